"""Backups that are kept on the machine: whole, five at most, private, and without what was erased."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import sqlite3
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest

from admin.audit import Act
from admin.backup import restore
from admin.dependencies import Services
from admin.erasing import erase_in_copies
from admin.errors import Conflict, NoRoom, NotFound
from admin.keptbackups import FOLDER, MOST, drop_backup, erase_in_kept, find_backup, keep_backup, list_backups, path_of
from admin.routes.profiles import erase_everywhere
from tests.support.family import Family


async def test_five_are_kept_and_none_goes_by_itself(services: Services, family: Family, act: Act) -> None:
    """The newest first; the sixth is refused until one is taken away; only the owner reads the files."""
    state = services.settings.state_dir
    made = [await keep_backup(services.database, state, act.now + timedelta(hours=hour)) for hour in range(MOST)]
    assert [one.id for one in list_backups(state)] == [one.id for one in reversed(made)]
    assert path_of(state, made[0]).stat().st_mode & 0o777 == 0o600 and (state / FOLDER).stat().st_mode & 0o777 == 0o700
    with pytest.raises(Conflict, match="backups_full"):
        await keep_backup(services.database, state, act.now)
    drop_backup(state, made[0].id)
    with pytest.raises(NotFound):
        find_backup(state, made[0].id)
    assert len(list_backups(state)) == MOST - 1
    for name in ("../lachan", "..%2f", "", "x"):
        with pytest.raises(NotFound):
            find_backup(state, name)


async def test_full_disk_is_said_and_leaves_nothing_half(
    services: Services, family: Family, act: Act, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not as if the database kept its own backups elsewhere; nothing of the attempt stays."""
    state = services.settings.state_dir

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("admin.backup.zipfile.ZipFile", full)
    with pytest.raises(NoRoom):
        await keep_backup(services.database, state, act.now)
    assert list((state / FOLDER).iterdir()) == []


@pytest.mark.parametrize(
    "part", ["admin.backup.os.fdopen", "admin.scratch.tempfile.TemporaryDirectory", "admin.keptbackups.erase_in_copy"]
)
async def test_erasing_on_a_full_disk_throws_no_backup_away(
    services: Services, family: Family, act: Act, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """They stay as they were, and it is said; one that is put back erases again."""
    state = services.settings.state_dir
    kept = [await keep_backup(services.database, state, act.now + timedelta(hours=hour)) for hour in range(2)]
    before = [path_of(state, one).read_bytes() for one in kept]

    def full(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full") if "erase" in part else OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(part, full)
        with pytest.raises(NoRoom):
            erase_in_kept(state, family.tenant, family.bi.id)
    assert [path_of(state, one).read_bytes() for one in kept] == before
    assert erase_in_kept(state, family.tenant, family.bi.id) == 2


async def test_what_is_erased_is_erased_in_them(services: Services, family: Family, act: Act, tmp_path: Path) -> None:
    """Not a word of the child is left in the file, and it can still be put back; a torn one goes."""
    state = services.settings.state_dir
    kept = await keep_backup(services.database, state, act.now)
    torn = state / FOLDER / "20260101t000000xaaaaaa.backup"
    torn.write_bytes(b"torn")
    assert erase_in_kept(state, family.tenant, family.bi.id) == 2
    assert not torn.exists() and find_backup(state, kept.id).made_at == kept.made_at
    with zipfile.ZipFile(path_of(state, kept)) as archive:
        archive.extract("lachan.db", tmp_path / "out")
    text = (tmp_path / "out" / "lachan.db").read_bytes()
    assert b"192.168.1.31" not in text and b"192.168.1.32" in text
    copy = sqlite3.connect(tmp_path / "out" / "lachan.db")
    assert copy.execute("SELECT label FROM profiles WHERE id = ?", (family.bi.id,)).fetchall() == [("",)]
    copy.close()
    await restore(services.database, state, path_of(state, kept), act.now)


async def test_one_that_is_being_made_is_erased_in_when_it_is_there(services: Services, family: Family, act: Act, tmp_path: Path) -> None:
    """It was copied while the child was there, and comes to the shelf after the child was erased everywhere else."""
    state = services.settings.state_dir
    kept = path_of(state, await keep_backup(services.database, state, act.now))
    kept.rename(tmp_path / "whole")
    async with services.backing_up:
        erasing = asyncio.create_task(erase_everywhere(services, act, family.bi.id))
        await asyncio.wait([erasing], timeout=2)
        (tmp_path / "whole").rename(kept)
    await erasing
    with zipfile.ZipFile(kept) as archive:
        text = archive.read("lachan.db")
    assert b"192.168.1.31" not in text and b"192.168.1.32" in text


async def test_a_copy_of_another_shape_is_left_and_erased_in(services: Services, family: Family, act: Act) -> None:
    """A file with such a name and a schema that knows no profiles keeps what is not the child's; an empty one goes."""
    state = services.settings.state_dir
    other, empty = state / "lachan-before-one.db", state / "lachan-before-two.db"
    with contextlib.closing(sqlite3.connect(other)) as copy, copy:
        copy.execute("CREATE TABLE notes (tenant_id, profile_id, words)")
        rows = [(family.tenant, family.bi.id, "of Bi"), (family.tenant, family.na.id, "of Na")]
        copy.executemany("INSERT INTO notes VALUES (?, ?, ?)", rows)
    empty.touch()
    assert erase_in_copies(state, family.tenant, family.bi.id) == 2
    with contextlib.closing(sqlite3.connect(other)) as copy:
        assert copy.execute("SELECT words FROM notes").fetchall() == [("of Na",)]
    assert not empty.exists()
