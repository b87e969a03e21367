"""Backup and erasing through the pages."""

from __future__ import annotations

import errno
import zipfile
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from starlette.types import ASGIApp

from admin.apply import read_enforcement
from admin.backup import Backup, pack
from admin.dependencies import Services
from admin.keptbackups import keep_backup, path_of
from admin.profiles import list_profiles
from tests.admin.conftest import Clock
from tests.support.family import Family
from tests.support.people import PASSWORD, make_person
from tests.support.visitor import Visitor


@pytest.fixture
async def parent(visitor: Visitor, family: Family) -> Visitor:
    """The mother, on her own phone."""
    await visitor.sign_in("me", PASSWORD)
    return visitor


async def labels(services: Services, family: Family) -> set[str]:
    async with services.database.read() as connection:
        return {profile.label for profile in await list_profiles(connection, family.tenant)}


async def test_backup_goes_home_and_comes_back(parent: Visitor, services: Services, family: Family) -> None:
    """Download, erase a child by mistake elsewhere, put the file back: what was not erased on purpose is there again."""
    await parent.get("/tokens")
    await parent.submit("/tokens", {"label": "nhà thông minh", "scope": "read", "life": "30"})
    await parent.get("/more")
    assert "/backup" in parent.links
    await parent.get("/backup")
    token = dict(parent.forms[0].fields)["_form"]
    got = await parent.post("/backup", {"_form": token})
    assert got.headers["content-disposition"].endswith('.backup"') and got.content[:2] == b"PK"
    assert not list(services.settings.state_dir.glob(".lachan-*")), "nothing stays behind"
    await parent.get("/tokens")
    (revoke,) = [form.action for form in parent.forms if form.action.endswith("/revoke")]
    await parent.submit(revoke)
    path = f"/profiles/{family.na.id}"
    await parent.get(f"{path}/settings")
    await parent.submit(f"{path}/retire")
    assert "Na" not in await labels(services, family)
    sent = {"file": ("x.backup", got.content, "application/octet-stream")}
    response = await parent.http.post("/backup/restore", data={"_form": token}, files=sent, headers={"Origin": parent.origin})
    assert response.status_code == 200
    assert "Bản sao lưu đã được đưa trở lại" in response.text and "hôm nay, lúc 19:30" in response.text
    assert "khóa cho phần mềm đã thu lại: <strong>1</strong>" in response.text, "the page says what did not come back"
    assert "Na" in await labels(services, family)
    assert (await parent.get("/")).status_code == 401, "everybody signs in again"


async def test_file_that_is_no_backup_says_so(parent: Visitor, services: Services, family: Family) -> None:
    """And changes nothing; a forgotten file is a mistake of the field."""
    await parent.get("/backup")
    token = dict(parent.forms[0].fields)["_form"]
    for sent, words in (
        ({"file": ("x", b"nonsense", "text/plain")}, "tệp này không phải bản sao lưu của lachan"),
        ({"file": ("x", b"", "text/plain")}, ""),
    ):
        response = await parent.http.post("/backup/restore", data={"_form": token}, files=sent, headers={"Origin": parent.origin})
        assert response.status_code == 422 and words in response.text
        assert ".lachan-restore" not in response.text, "where it lay for a moment says nothing to anybody"
    assert {"Bi", "Na"} <= await labels(services, family)


async def test_backup_is_for_who_has_the_machine_alone(
    parent: Visitor, app: ASGIApp, services: Services, clock: Clock, now: datetime
) -> None:
    """With a second family on the machine nobody of a family may: it would hold the other's data. Later the password is asked for."""
    clock.forward(minutes=11)
    await parent.get("/backup")
    token = dict(parent.forms[0].fields)["_form"]
    assert (await parent.post("/backup", {"_form": token})).status_code == 401
    await make_person(services.database, now, "other")
    assert (await parent.get("/backup")).status_code == 404
    await parent.get("/more")
    assert "/backup" not in parent.links


async def test_child_is_erased_in_one_step(parent: Visitor, services: Services, family: Family) -> None:
    """The page says what goes; afterwards nothing of the child is in the database, and the ids wait for older backups."""
    path = f"/profiles/{family.bi.id}"
    await parent.get("/?erased=1")
    assert "Đã xóa." not in parent.text, "an address alone says nothing"
    await parent.get(f"{path}/settings")
    await parent.submit(f"{path}/erase")
    assert "Xóa thật hết mọi điều về Bi?" in parent.text and "Bi" in await labels(services, family)  # asked once more
    await parent.submit(f"{path}/erase")
    assert parent.response.url.path == "/" and "Đã xóa." in parent.text
    assert "Bi" not in await labels(services, family)
    copy = services.settings.state_dir / "copy.db"
    await services.database.copy_to(copy)
    assert b"192.168.1.31" not in copy.read_bytes()
    erased = services.settings.state_dir / "erased.ids"
    assert erased.read_text() == f"{family.tenant} {family.bi.id}\n" and erased.stat().st_mode & 0o777 == 0o600
    await parent.get("/journal")
    assert "Xóa hết mọi điều về một hồ sơ" in parent.text


@pytest.mark.parametrize("half", [b"", b"half a copy" * 1000])
async def test_half_a_copy_does_not_stop_the_erasing(
    parent: Visitor, services: Services, family: Family, gateway: object, half: bytes
) -> None:
    """A full disk left it beside the database: it goes, and the child leaves the backup that is kept and the rules in force."""
    state = services.settings.state_dir
    kept = await keep_backup(services.database, state, services.now())
    left = state / "lachan-before-restore-20261012T120000.db"
    left.write_bytes(half)
    path = f"/profiles/{family.bi.id}"
    await parent.get(f"{path}/settings")
    await parent.submit(f"{path}/erase")
    await parent.submit(f"{path}/erase")
    assert parent.response.url.path == "/" and not left.exists()
    assert erased_in(path_of(state, kept), family)
    async with services.database.read() as connection:
        assert not (await read_enforcement(connection, family.tenant)).is_pending


async def test_erasing_on_a_full_disk_is_finished_by_asking_again(
    parent: Visitor, services: Services, family: Family, gateway: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One backup found no room: the other is erased all the same, the page says so, and loading it again with room does the rest."""
    state = services.settings.state_dir
    kept = [path_of(state, await keep_backup(services.database, state, services.now() + timedelta(hours=hour))) for hour in range(2)]
    path = f"/profiles/{family.bi.id}"
    await parent.get(f"{path}/settings")
    await parent.submit(f"{path}/erase")
    form = next(form for form in parent.forms if form.action == f"{path}/erase")

    def full(copy: Path, fresh: Path, info: Backup) -> Backup:
        if fresh.name == kept[0].name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return pack(copy, fresh, info)

    with monkeypatch.context() as patched:
        patched.setattr("admin.keptbackups.pack", full)
        response = await parent.post(f"{path}/erase", dict(form.fields))
    assert response.status_code == 503 and "Đĩa đã hết chỗ" in response.text and "tải lại trang này" in response.text
    assert [erased_in(one, family) for one in kept] == [False, True]
    async with services.database.read() as connection:
        assert not (await read_enforcement(connection, family.tenant)).is_pending
    response = await parent.post(f"{path}/erase", dict(form.fields))
    assert response.url.path == "/" and [erased_in(one, family) for one in kept] == [True, True]
    assert (await parent.post("/profiles/nobody/erase", dict(form.fields))).status_code == 404


def erased_in(path: Path, family: Family) -> bool:
    """Whether nothing of Bi's is in a backup, and Na's address is."""
    with zipfile.ZipFile(path) as archive:
        content = archive.read("lachan.db")
    assert b"192.168.1.32" in content
    return b"192.168.1.31" not in content
