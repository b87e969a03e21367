"""The education department: counts of the schools of its own province, small ones hidden, and nothing of any other place."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime

import pytest
from sqlalchemy import insert, update

from admin.dependencies import Services
from admin.devices import Match
from admin.errors import NotFound
from admin.familytables import category_totals
from admin.office import open_office
from admin.officeschools import read_schools
from admin.setup import NewChild, NewDevice, Owner, Plan, make_tenant
from admin.tables import policies
from admin.totals import collect
from admin.values import DeviceMatch
from blocklists.database import Database
from blocklists.tables import OrganisationKind, Role, organisations
from blocklists.takedown.agencies import NewAgency, add_agency
from blocklists.takedown.agencytables import AgencyKind
from blocklists.takedown.model import Actor, Capacity
from gateway.policy.model import Band
from tests.support.family import WORDS
from tests.support.gateway import Gateway
from tests.support.livegateway import counted
from tests.support.office import Officers
from tests.support.people import Person, make_person

PLAN = Plan(
    kind=OrganisationKind.SCHOOL, owner=Owner("truong", "x", "vi"), children=(NewChild("3A", Band.TH),), devices=(), networks=(),
    messenger=False, words=WORDS,
)  # fmt: skip


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


async def test_counts_of_schools_come_from_queries(live: Services, gateway_running: Gateway, officers: Officers) -> None:
    """Pupils of three schools of the province ask; the third's two blocks are "<5", and the one next to it is not told either."""
    asked = {"3": ("Trường A", 9), "4": ("Trường B", 6), "5": ("Trường C", 2)}
    for net, (name, _) in asked.items():
        async with live.database.write() as connection:
            plan = replace(
                PLAN, owner=Owner(f"truong-{net}", "x", "vi"), networks=(f"127.0.{net}.0/24",),
                devices=(NewDevice(Match(DeviceMatch.NETWORK, f"127.0.{net}.0/25"), 0),),
            )  # fmt: skip
            made = await make_tenant(connection, plan, live.shelves.current(), live.now())
            await connection.execute(update(organisations).where(organisations.c.id == made.tenant).values(name=name, place_code="12"))
        await live.applier.settle(made.tenant)
    for net, (_, times) in asked.items():
        for number in range(times):
            name = "www.facebook.com" if number % 2 else "www.tiktok.com"
            await asyncio.to_thread(gateway_running.ask, name, source=f"127.0.{net}.{10 + number}")
        await asyncio.to_thread(gateway_running.ask, "scratch.mit.edu", source=f"127.0.{net}.10")
    await asyncio.sleep(1.5)
    await counted(gateway_running, live.link)
    await collect(live.database, live.link, live.now())
    agency = await body(live.database, officers, live.now(), "12")
    async with live.database.read() as connection:
        found = await read_schools(connection, await open_office(connection, officers.tenant), agency, live.now())
    told = [(one.name, one.in_force, one.blocked, one.small) for one in found.schools]
    assert told == [("Trường A", True, 9, False), ("Trường B", True, None, False), ("Trường C", True, None, True)]
    assert [(cell.category, cell.count) for cell in found.figures.cells] == [("live", 9), ("social", 8)]


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
