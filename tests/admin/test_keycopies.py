"""A backup put back that is older than a key which the signed list admits: its officer can sign again, and nothing stale is signed."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import delete, select

from admin.dependencies import Services
from admin.keycopies import FOLDER, KeyCopy, keep_copies, read_copies
from admin.officetables import signing_keys
from admin.settings import AdminSettings
from blocklists.database import Database
from blocklists.tables import AccountId, OrganisationId
from tests.admin.conftest import Clock
from tests.admin.routes.test_officeorders import gateway
from tests.admin.routes.test_officesigning import PASSPHRASE, Far, approve, far, make_key, sign, three
from tests.support.office import OfficeGateway, Officers
from tests.support.visitor import Visitor

__all__ = ["far", "gateway", "three"]
OTHER = "cụm mật khẩu khác hẳn"


class Keys:
    """The rows of the officers' keys, put back as a backup has them."""

    def __init__(self, database: Database, tenant: OrganisationId) -> None:
        self.database, self.tenant = database, tenant

    async def rows(self) -> list[dict[str, object]]:
        async with self.database.read() as connection:
            found = await connection.execute(select(signing_keys).where(signing_keys.c.tenant_id == self.tenant))
            return [dict(row) for row in found.mappings()]

    async def put_back(self, rows: list[dict[str, object]]) -> None:
        async with self.database.write() as connection:
            await connection.execute(delete(signing_keys).where(signing_keys.c.tenant_id == self.tenant))
            for row in rows:
                await connection.execute(signing_keys.insert().values(**row))


@pytest.fixture
def keys(database: Database, officers: Officers) -> Keys:
    return Keys(database, officers.tenant)


async def settle(services: Services, officers: Officers, clock: Clock) -> None:
    """What the machine does once a minute."""
    await services.office.signing.settle(officers.tenant, clock.at)


async def test_a_key_that_the_list_admits_comes_back_to_its_officer(
    one: Visitor, two: Visitor, three: Visitor, gateway: OfficeGateway, far: Far, keys: Keys, services: Services, officers: Officers,
    clock: Clock,
) -> None:  # fmt: skip
    """The backup is of a time when the second approver had no key; their key is admitted, and they can sign what everybody takes."""
    await make_key(two)
    backup = await keys.rows()
    clock.forward(seconds=1)
    await make_key(three, OTHER)
    await sign(two)
    await two.get("/office/signing")
    await two.submit(next(form.action for form in two.forms if form.action.endswith("/retire")))
    await sign(three, OTHER)
    await keys.put_back(backup)
    await three.get("/office/signing")
    assert "Nhận lại khóa của bạn" in three.text
    await settle(services, officers, clock)
    await three.get("/office/signing")
    assert "Nhận lại khóa của bạn" not in three.text and not three.has_form("/office/signing/key")
    await approve(one, three, OTHER)
    assert far.take() is not None and far.keys == {"example.game-doi-the."}
    await three.get("/journal")
    assert "Nhận lại khóa ký sau khi phục hồi bản sao lưu" in three.text


async def test_with_a_new_account_the_key_is_taken_up_by_its_passphrase(
    one: Visitor, two: Visitor, three: Visitor, gateway: OfficeGateway, far: Far, keys: Keys, services: Services, officers: Officers,
    settings: AdminSettings, clock: Clock,
) -> None:  # fmt: skip
    """The account that held it is not in the backup: whoever knows the passphrase has the key again, and a guess is one of few."""
    await make_key(two)
    backup = await keys.rows()
    clock.forward(seconds=1)
    await make_key(three, OTHER)
    await sign(two)
    await keys.put_back(backup)
    for path in (settings.state_dir / FOLDER).iterdir():  # the account of before the backup was put back is none now
        path.write_text(path.read_text().replace(str(officers.second), "gone" * 5))
    await settle(services, officers, clock)
    await three.get("/office/signing")
    assert "Nhận lại khóa của bạn" in three.text
    await three.submit("/office/signing/take-up", {"passphrase": "không phải cụm ấy"})
    assert three.response.status_code == 422 and "không mở được" in three.text
    await three.submit("/office/signing/take-up", {"passphrase": OTHER})
    assert "Nhận lại khóa của bạn" not in three.text
    await approve(one, three, OTHER)
    assert far.take() is not None
    await two.get("/office/signing")
    assert "Nhận lại khóa của bạn" not in two.text, "nothing is forgotten any more"


async def test_a_change_of_keys_from_before_the_backup_is_signed_by_nobody(
    one: Visitor, two: Visitor, three: Visitor, gateway: OfficeGateway, far: Far, keys: Keys, settings: AdminSettings
) -> None:
    """An officer made another key, which waits for a signature; the backup does not know of it: what is signed is what the page shows."""
    await make_key(two)
    backup = await keys.rows()
    await two.get("/office/signing")
    await two.submit(next(form.action for form in two.forms if form.action.endswith("/retire")))
    await make_key(two, "một cụm thứ hai, rồi bỏ")
    assert (settings.state_dir / "signing/root.json").exists()
    await keys.put_back(backup)
    await two.get("/office/signing")
    if two.has_form("/office/signing/sign"):
        await two.submit("/office/signing/sign", {"passphrase": PASSPHRASE})
    await approve(one, two, PASSPHRASE)
    assert far.take() is not None, "the key that the list admits signs on"


async def test_a_withdrawn_key_comes_back_by_nothing(
    two: Visitor, three: Visitor, gateway: OfficeGateway, settings: AdminSettings, services: Services, officers: Officers, clock: Clock
) -> None:
    """Its copy goes with it; and no copy brings back what the database knows as withdrawn."""
    await make_key(two)
    clock.forward(seconds=1)
    await make_key(three, OTHER)
    await sign(two)
    held = read_copies(settings.state_dir)
    assert [one.account for one in held] == [officers.approver, officers.second]
    await three.get("/office/signing")
    mine = next(form.action for form in reversed(three.forms) if form.action.endswith("/retire"))
    await three.submit(mine)
    assert [one.account for one in read_copies(settings.state_dir)] == [officers.approver]
    keep_copies(settings.state_dir, held)
    await settle(services, officers, clock)
    await three.get("/office/signing")
    assert three.has_form("/office/signing/key") and "Nhận lại khóa của bạn" not in three.text


def test_a_copy_that_cannot_be_read_is_none(tmp_path: Path, clock: Clock) -> None:
    """Cut off, of another shape, with another name: the others are read all the same."""
    good = KeyCopy(OrganisationId("office"), AccountId("someone"), "ab" * 32, "cd" * 32, b"sealed", clock.at)
    keep_copies(tmp_path, [good])
    [path] = (tmp_path / FOLDER).iterdir()
    assert path.stat().st_mode & 0o077 == 0
    content = path.read_bytes()
    for number, wrong in enumerate((b"", b"[]", content[:-9], content.replace(b"+00:00", b""), b"[" * 90_000)):
        (path.parent / f"{number:032x}.json").write_bytes(wrong)
    (path.parent / "notes.txt").write_bytes(content)
    assert read_copies(tmp_path) == [good]
    assert read_copies(tmp_path / "nowhere") == []
