"""The education department: counts of the schools of its own province, small ones hidden, and nothing of any other place."""

from __future__ import annotations

from datetime import datetime

import pytest
from sqlalchemy import insert, update

from admin.errors import NotFound
from admin.familytables import category_totals
from admin.office import open_office
from admin.officeschools import read_schools
from admin.tables import policies
from blocklists.database import Database
from blocklists.tables import OrganisationKind, Role, organisations
from blocklists.takedown.agencies import NewAgency, add_agency
from blocklists.takedown.agencytables import AgencyKind
from blocklists.takedown.model import Actor, Capacity
from tests.support.office import Officers
from tests.support.people import Person, make_person


async def school(database: Database, now: datetime, name: str, place: str | None, **blocked: int) -> Person:
    """A school somewhere, with what was blocked there this week."""
    made = await make_person(database, now, f"truong-{name.split()[-1]}", OrganisationKind.SCHOOL, Role.SCHOOL_ADMIN)
    async with database.write() as connection:
        await connection.execute(update(organisations).where(organisations.c.id == made.tenant).values(name=name, place_code=place))
        for category, count in blocked.items():
            row = {"tenant_id": made.tenant, "site_id": name, "day": "2026-10-12", "category": category, "blocked": count}
            await connection.execute(insert(category_totals).values(**row))
    return made


async def body(database: Database, officers: Officers, now: datetime, place: str) -> str:
    async with database.write() as connection:
        office = await open_office(connection, officers.tenant)
        actor = Actor(officers.approver, Capacity.APPROVER, officers.tenant)
        return await add_agency(connection, office, actor, NewAgency("Sở Giáo dục", AgencyKind.DEPARTMENT, "", place, None), now)


async def test_counts_of_ones_own_province_only(database: Database, officers: Officers, now: datetime) -> None:
    """Two schools of the province, one of a commune in it; another province, a school without a place and a family are not counted."""
    one = await school(database, now, "A", "12", game=40, gamb=3)
    await school(database, now, "B", "12.03412", game=60)
    await school(database, now, "C", "11", game=500)
    await school(database, now, "D", None, game=500)
    await make_person(database, now)
    async with database.write() as connection:
        await connection.execute(update(policies).where(policies.c.tenant_id == one.tenant).values(applied_revision=policies.c.revision))
    agency = await body(database, officers, now, "12")
    async with database.read() as connection:
        office = await open_office(connection, officers.tenant)
        found = await read_schools(connection, office, agency, now)
    assert [(one.name, one.in_force, one.blocked) for one in found.schools] == [("A", True, 43), ("B", False, 60)]
    assert [(cell.category, cell.count, cell.small) for cell in found.figures.cells] == [("game", None, False), ("gamb", None, True)]
    assert found.body == "Sở Giáo dục"


async def test_small_schools_are_not_told_and_cannot_be_worked_out(database: Database, officers: Officers, now: datetime) -> None:
    """Under five is "<5"; where it is the only one, the next smallest is not told either; nothing counted is nothing."""
    for name, count in (("A", 2), ("B", 30), ("C", 50)):
        await school(database, now, name, "12", game=count)
    await school(database, now, "E", "12")
    agency = await body(database, officers, now, "12")
    async with database.read() as connection:
        found = await read_schools(connection, await open_office(connection, officers.tenant), agency, now)
    told = [(one.name, one.blocked, one.small) for one in found.schools]
    assert told == [("A", None, True), ("B", None, False), ("C", 50, False), ("E", 0, False)]


async def test_a_body_without_a_place_sees_nothing(database: Database, officers: Officers, now: datetime) -> None:
    """And so does whoever speaks for none."""
    agency = await body(database, officers, now, "")
    async with database.read() as connection:
        office = await open_office(connection, officers.tenant)
        for one in (agency, None, "nobody"):
            with pytest.raises(NotFound):
                await read_schools(connection, office, one, now)
