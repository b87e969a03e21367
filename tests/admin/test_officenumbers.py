"""No number of a list is used twice, whatever database stands beside the release folder."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from admin.audit import Act, by_account
from admin.backup import back_up, restore
from admin.dependencies import Services
from admin.office import open_office
from blocklists.database import Database
from blocklists.tables import Role
from blocklists.takedown import publishing, store
from blocklists.takedown.documents import parse_symbol
from blocklists.takedown.model import Actor, Capacity, Enforceability, Match
from blocklists.takedown.store import NewItem
from tests.blocklists.takedown.test_store import letter
from tests.support.office import Officers

PASSPHRASE = "bốn từ không liên quan"


async def test_after_an_older_backup_new_lists_are_signed(
    services: Services, database: Database, officers: Officers, now: datetime, tmp_path: Path
) -> None:
    """The office's own gateway takes its orders elsewhere. A backup of the first list is put back after the third was signed: the next
    order gets a number that followers take, and is signed."""
    duty, desk = services.office.duty, services.office.signing
    duty.elsewhere = "follows_file"
    verifier, approver = Actor(officers.verifier, Capacity.VERIFIER), Actor(officers.approver, Capacity.APPROVER)
    act = Act(officers.tenant, by_account(officers.approver, Role.APPROVER), now)

    async def sign_order(number: int) -> int:
        host = f"n{number}.example"
        async with database.write() as connection:
            office = await open_office(connection, officers.tenant)
            changes = {"valid_from": now, "valid_until": now + timedelta(days=60), "symbol": parse_symbol(f"{number}/QĐ-A")}
            item = NewItem(host, host, Match.BOTH, Enforceability.YES)
            order = await store.register(connection, office, letter(item, **changes), verifier, now)
            await store.move_order(connection, office, order, "verify", verifier, now)
            await store.move_order(connection, office, order, "approve", approver, now)
        await duty.settle()
        await desk.sign(office, act, await desk.unlock(officers.tenant, officers.approver, PASSPHRASE))
        async with database.read() as connection:
            newest = await publishing.newest_serial(connection, officers.tenant)
        assert (await desk.standing()).serial == newest
        return newest

    async with database.read() as connection:
        office = await open_office(connection, officers.tenant)
    await desk.make_key(office, act, officers.approver, PASSPHRASE)
    first = await sign_order(1)
    backup = tmp_path / "one.backup"
    await back_up(database, services.settings.state_dir, backup, now)
    third = [await sign_order(number) for number in (2, 3)][-1]
    await restore(database, services.settings.state_dir, backup, now + timedelta(hours=1))
    await duty.settle()
    assert await sign_order(4) > third > first
