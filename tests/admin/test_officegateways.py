"""How gateways stand, without a page: the spread of the newest version in time."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import insert

from admin.audit import Act, by_account
from admin.officegateways import invite_gateway, office_status, read_gateways, read_spread
from blocklists.database import Database
from blocklists.tables import Role
from blocklists.takedown import tables
from gateway.officestatus import OfficeStatus
from tests.support.office import make_officers


async def test_spread_counts_gateways_and_time(database: Database, now: datetime) -> None:
    """None before the first version; then who has it, the middle and the slowest; an invited gateway counts for nothing yet."""
    officers = await make_officers(database, now)
    act = Act(officers.tenant, by_account(officers.approver, Role.APPROVER), now)
    async with database.write() as connection:
        assert await read_spread(connection, officers.tenant) is None
        await invite_gateway(connection, act, "Trường A")
        assert [one.state for one in await read_gateways(connection, officers.tenant, now)] == ["invited"]
        await connection.execute(
            insert(tables.versions).values(
                serial=1, tenant_id=officers.tenant, created_at=now, entries=1, added=1, removed=0, segment="x", is_base=1, digest="d",
                previous_digest="", journal_seq=1,
            )
        )  # fmt: skip
        for gateway, seconds in (("local", 1), ("stranger", 900)):
            at = now + timedelta(seconds=seconds)
            await connection.execute(insert(tables.receipts).values(gateway=gateway, serial=1, in_force_at=at, received_at=at))
        spread = await read_spread(connection, officers.tenant)
        numbers = await office_status(connection, officers.tenant, now, unsigned=True, alarm=False)
    assert numbers == OfficeStatus(invited=1, middle=1, slowest=1, unsigned=1)
    assert spread is not None
    assert (spread.serial, spread.gateways, spread.reached, spread.slowest) == (1, 1, 1, timedelta(seconds=1))
