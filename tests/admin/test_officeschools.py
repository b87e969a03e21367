"""The education department: counts of the schools of its own province, small ones hidden, and nothing of any other place."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime

import pytest
from sqlalchemy import update

from admin.dependencies import Services
from admin.devices import Match
from admin.errors import NotFound
from admin.office import open_office
from admin.officeschools import read_schools
from admin.setup import NewChild, NewDevice, Owner, Plan, make_tenant
from admin.totals import collect
from admin.values import DeviceMatch
from blocklists.database import Database
from blocklists.tables import OrganisationKind, organisations
from blocklists.takedown.agencies import NewAgency, add_agency
from blocklists.takedown.agencytables import AgencyKind
from blocklists.takedown.model import Actor, Capacity
from gateway.policy.model import Band
from tests.support.family import WORDS
from tests.support.gateway import Gateway
from tests.support.livegateway import counted
from tests.support.office import Officers
from tests.support.people import make_person

PLAN = Plan(
    kind=OrganisationKind.SCHOOL, owner=Owner("truong", "x", "vi"), children=(NewChild("3A", Band.TH),), devices=(), networks=(),
    messenger=False, words=WORDS,
)  # fmt: skip


async def body(database: Database, officers: Officers, now: datetime, place: str) -> str:
    async with database.write() as connection:
        office = await open_office(connection, officers.tenant)
        actor = Actor(officers.approver, Capacity.APPROVER, officers.tenant)
        return await add_agency(connection, office, actor, NewAgency("Sở Giáo dục", AgencyKind.DEPARTMENT, "", place, None), now)


async def test_counts_of_schools_come_from_queries(live: Services, gateway_running: Gateway, officers: Officers) -> None:
    """Pupils ask, and only schools of the province count, one of a commune in it too: neither another province, nor a school without a
    place, nor a family. Two blocks are "under 5", the next smallest is not told; nothing asked is nothing; who is in force is told."""
    asked = {
        "3": ("Trường A", "12", 9),
        "4": ("Trường B", "12.03412", 6),
        "5": ("Trường C", "12", 2),
        "6": ("Trường D", "11", 7),
        "7": ("Trường E", None, 7),
        "8": ("Trường F", "12", 0),
    }
    await make_person(live.database, live.now())
    for net, (name, place, times) in asked.items():
        async with live.database.write() as connection:
            plan = replace(
                PLAN, owner=Owner(f"truong-{net}", "x", "vi"), networks=(f"127.0.{net}.0/24",),
                devices=(NewDevice(Match(DeviceMatch.NETWORK, f"127.0.{net}.0/25"), 0),),
            )  # fmt: skip
            made = await make_tenant(connection, plan, live.shelves.current(), live.now())
            await connection.execute(update(organisations).where(organisations.c.id == made.tenant).values(name=name, place_code=place))
        if times:
            await live.applier.settle(made.tenant)
    for net, (_, _, times) in asked.items():
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
    assert told == [
        ("Trường A", True, 9, False),
        ("Trường B", True, None, False),
        ("Trường C", True, None, True),
        ("Trường F", False, 0, False),
    ]
    assert [(cell.category, cell.count) for cell in found.figures.cells] == [("live", 9), ("social", 8)]
    assert found.body == "Sở Giáo dục"


async def test_a_body_without_a_place_sees_nothing(database: Database, officers: Officers, now: datetime) -> None:
    """And so does whoever speaks for none."""
    agency = await body(database, officers, now, "")
    async with database.read() as connection:
        office = await open_office(connection, officers.tenant)
        for one in (agency, None, "nobody"):
            with pytest.raises(NotFound):
                await read_schools(connection, office, one, now)
