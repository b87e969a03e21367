"""Seed 004, the copy of the three-ministry regulation: who leads is said by each directive, not by the kind of organisation."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from admin.dependencies import Services
from admin.office import open_office
from admin.officedirectives import add_directive, directives_in_force
from admin.officepublic import report
from blocklists.takedown import tables
from blocklists.takedown.model import Actor, Capacity
from tests.support.office import Officers


async def test_two_directives_with_two_leads_hold_at_once(services: Services, officers: Officers, now: datetime) -> None:
    """The police lead one, a department leads the other; a report goes the way of its directive."""
    actor = Actor(officers.approver, Capacity.APPROVER)
    async with services.database.write() as connection:
        office = await open_office(connection, officers.tenant)
        for symbol, lead, topic in (("05/QC-BCA-BLĐTBXH-BTTTT", "Công an tỉnh", "groom"), ("3008/KH-UBND", "Sở TT&TT", "gamb")):
            await add_directive(connection, office, actor, now, symbol=symbol, title="Phối hợp", lead=lead, focal_point=lead, topic=topic)
        assert {row["lead"] for row in await directives_in_force(connection, office, now)} == {"Công an tỉnh", "Sở TT&TT"}
        for host, topic in (("one.example", "groom"), ("two.example", "gamb")):
            await report(connection, office, host, topic, "public", "", now)
        found = select(tables.reports.c.host, tables.reports.c.routed_to).where(tables.reports.c.tenant_id == office.tenant)
        routed = {row.host: row.routed_to for row in await connection.execute(found)}
    assert routed == {"one.example": "Công an tỉnh", "two.example": "Sở TT&TT"}
