"""Backups while people work, and what comes back: whole or not at all, without sessions, without what was erased since."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from admin.audit import Act, verify_database
from admin.backup import back_up, read_info, restore
from admin.dependencies import Services
from admin.erasing import erase_profile, note_erased
from admin.permissions import Scope
from admin.profiles import change_profile, list_profiles
from admin.sessions import create_token, load_token, open_session, revoke_token
from admin.tables import policies, sessions
from blocklists.tables import AccountId, accounts
from gateway.errors import StartError
from tests.support.family import Family


async def labels(services: Services, family: Family) -> set[str]:
    async with services.database.read() as connection:
        return {profile.label for profile in await list_profiles(connection, family.tenant)}


async def rename(services: Services, act: Act, family: Family, label: str) -> None:

    async with services.database.write() as connection:
        await change_profile(connection, act, family.bi, replace(family.bi, label=label))


async def test_what_was_backed_up_comes_back(services: Services, family: Family, act: Act, tmp_path: Path) -> None:
    """A child renamed after the backup has the old name again; nobody is signed in; the gateway is told; what was there is kept."""
    path = tmp_path / "one.backup"
    info = await back_up(services.database, path, act.now)
    assert read_info(path) == info and path.stat().st_mode & 0o777 == 0o600
    await rename(services, act, family, "Bông")
    async with services.database.write() as connection:
        await open_session(connection, family.account, act.now, kept=True, browser="")
        before = (await connection.execute(select(policies.c.revision).where(policies.c.tenant_id == family.tenant))).scalar_one()
    assert "Bông" in await labels(services, family)
    await restore(services.database, services.settings.state_dir, path, act.now + timedelta(hours=1))
    assert "Bi" in await labels(services, family) and "Bông" not in await labels(services, family)
    async with services.database.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(sessions))).scalar_one() == 0
        row = (await connection.execute(select(policies).where(policies.c.tenant_id == family.tenant))).one()
    assert row.revision > row.applied_revision and before > 0
    assert (await verify_database(services.database, services.settings.state_dir)).first_bad is None
    [kept] = services.settings.state_dir.glob("lachan-before-restore-*.db")
    assert "Bông".encode() in kept.read_bytes()


async def test_erased_child_stays_erased(services: Services, family: Family, act: Act, tmp_path: Path) -> None:
    """Nothing of the child is on disk afterwards, and a backup from before does not bring it back."""
    await rename(services, act, family, "Bé Bông Xinh")
    path = tmp_path / "before.backup"
    await back_up(services.database, path, act.now)
    note_erased(services.settings.state_dir, family.tenant, family.bi.id)
    async with services.database.write() as connection:
        await erase_profile(connection, act, family.bi.id)
    assert "Bé Bông Xinh" not in await labels(services, family)
    copy = tmp_path / "now.db"
    await services.database.copy_to(copy)
    for word in ("Bé Bông Xinh", "192.168.1.31"):
        assert word.encode() not in copy.read_bytes()
    await restore(services.database, services.settings.state_dir, path, act.now)
    assert "Bé Bông Xinh" not in await labels(services, family)
    assert {"Na"} <= await labels(services, family), "the others are back"
    again = tmp_path / "again.db"
    await services.database.copy_to(again)
    assert "Bé Bông Xinh".encode() not in again.read_bytes() and b"192.168.1.31" not in again.read_bytes()


async def test_a_key_that_was_taken_back_stays_worthless(services: Services, family: Family, act: Act, tmp_path: Path) -> None:
    """A backup from before brings no revoked key back; one that still works goes on."""
    ends = act.now + timedelta(days=30)
    async with services.database.write() as connection:
        account = AccountId((await connection.execute(select(accounts.c.id))).scalars().first() or "")
        made = [await create_token(connection, family.tenant, account, label, frozenset({Scope.READ}), act.now, ends) for label in "ab"]
    path = tmp_path / "before.backup"
    await back_up(services.database, path, act.now)
    async with services.database.write() as connection:
        assert await revoke_token(connection, family.tenant, made[0][0], act.now)
    await restore(services.database, services.settings.state_dir, path, act.now)
    async with services.database.read() as connection:
        found = [await load_token(connection, secret, act.now) for _, secret in made]
    assert [one is not None for one in found] == [False, True]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def junk(path: Path) -> None:
    path.write_bytes(b"not a backup")


def another_format(path: Path) -> None:
    rewrite(path, format=99)


def another_size(path: Path) -> None:
    rewrite(path, octets=5)


def endless_manifest(path: Path) -> None:
    rewrite(path, more=" " * 5000)


def another_content(path: Path) -> None:
    rewrite(path, sha256="0" * 64)


def rewrite(path: Path, **changes: object) -> None:
    """The same backup with another manifest."""
    with zipfile.ZipFile(path) as archive:
        manifest, data = json.loads(archive.read("manifest.json")), archive.read("lachan.db")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", json.dumps({**manifest, **changes}))
        archive.writestr("lachan.db", data)


@pytest.mark.parametrize("damage", [cut, junk, another_format, another_size, another_content, endless_manifest])
async def test_broken_backup_changes_nothing(services: Services, family: Family, act: Act, tmp_path: Path, damage: object) -> None:
    """One sentence with the remedy; the family is as it was."""
    path = tmp_path / "one.backup"
    await back_up(services.database, path, act.now)
    await rename(services, act, family, "Bông")
    damage(path)  # type: ignore[operator]
    with pytest.raises(StartError):
        await restore(services.database, services.settings.state_dir, path, act.now)
    assert "Bông" in await labels(services, family)
    assert not list(services.settings.state_dir.glob(".lachan-restore-*"))


async def test_existing_file_is_never_overwritten(services: Services, family: Family, act: Act, tmp_path: Path) -> None:
    """A slip in the name costs nothing."""
    path = tmp_path / "mine"
    path.write_text("precious")
    with pytest.raises(StartError, match="choose another place"):
        await back_up(services.database, path, act.now)
    assert path.read_text() == "precious"
