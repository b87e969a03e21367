"""Where reports go is data on the directive, never on the kind of organisation."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest

from admin.office import open_office
from admin.officedirectives import add_directive, directives_in_force, end_directive, move_focal_point, route
from blocklists.database import Database
from blocklists.takedown.deadlines import DueRule, due_at, is_on_time
from blocklists.takedown.documents import SymbolError
from blocklists.takedown.model import Actor, Capacity, NotFound
from tests.support.office import make_officers


async def test_seed_004_two_directives_two_leads(database: Database, now: datetime) -> None:
    """The police lead one directive, another body leads another; both hold at once and their reports go different ways."""
    people = await make_officers(database, now)
    actor = Actor(people.approver, Capacity.APPROVER)
    async with database.write() as connection:
        office = await open_office(connection, people.tenant)
        for symbol, lead, topic in (("05/QC-BCA", "Công an tỉnh", "groom"), ("3008/KH-UBND", "Sở Văn hóa", "gamb")):
            await add_directive(connection, office, actor, now, symbol=symbol, title="Phối hợp", lead=lead, focal_point=lead, topic=topic)
        assert len(await directives_in_force(connection, office, now)) == 2
        found = [await route(connection, office, topic, now) for topic in ("groom", "gamb", "scam")]
    assert [row["lead"] if row else None for row in found] == ["Công an tỉnh", "Sở Văn hóa", None]


async def test_a_later_directive_of_the_same_topic_takes_over_from_its_day(database: Database, now: datetime) -> None:
    """The one before ends when the new one begins; nothing is deleted."""
    people = await make_officers(database, now)
    actor = Actor(people.approver, Capacity.APPROVER)
    later = now + timedelta(days=1)
    async with database.write() as connection:
        office = await open_office(connection, people.tenant)
        common = {"title": "Phối hợp", "topic": "gamb"}
        await add_directive(connection, office, actor, now, symbol="1/KH-UBND", lead="A", focal_point="A", **common)
        await add_directive(connection, office, actor, later, symbol="2/KH-UBND", lead="B", focal_point="B", **common)
        before, after = [await route(connection, office, "gamb", moment) for moment in (now + timedelta(hours=1), later)]
    assert before is not None
    assert after is not None
    assert (before["lead"], after["lead"]) == ("A", "B")


async def test_a_focal_point_moves_without_a_new_directive(database: Database, now: datetime) -> None:
    """Offices move; the directive stays."""
    people = await make_officers(database, now)
    actor = Actor(people.approver, Capacity.APPROVER)
    async with database.write() as connection:
        office = await open_office(connection, people.tenant)
        made = await add_directive(connection, office, actor, now, symbol="1/KH-UBND", title="x", lead="A", focal_point="A")
        await move_focal_point(connection, office, actor, made, "B", now)
        found = await route(connection, office, "gamb", now)
    assert found is not None
    assert found["focal_point"] == "B"


async def test_a_directive_needs_a_document(database: Database, now: datetime) -> None:
    """Nobody reroutes reports without a number and symbol."""
    people = await make_officers(database, now)
    with pytest.raises(SymbolError):
        async with database.write() as connection:
            office = await open_office(connection, people.tenant)
            actor = Actor(people.approver, Capacity.APPROVER)
            await add_directive(connection, office, actor, now, symbol="không số", title="x", lead="A", focal_point="A")


def test_seed_001_before_a_day_ends_with_the_day_before() -> None:
    """Due before 5 November: 00:00 on the fifth is late, 23:59:59 on the fourth is on time, in Viet Nam's time."""
    start = datetime.fromisoformat("2021-09-27T08:00:00+07:00")
    due = due_at(DueRule.BEFORE, date(2021, 11, 5), start)
    assert is_on_time(due, datetime.fromisoformat("2021-11-04T23:59:59+07:00"))
    assert not is_on_time(due, datetime.fromisoformat("2021-11-05T00:00:00+07:00"))


async def test_a_directive_ends_once(database: Database, now: datetime) -> None:
    """From then on reports of its topic come to the office; ended twice it is not there, and another office cannot end it."""
    people = await make_officers(database, now)
    actor = Actor(people.approver, Capacity.APPROVER)
    async with database.write() as connection:
        office = await open_office(connection, people.tenant)
        made = await add_directive(connection, office, actor, now, symbol="8/CT-UBND", title="x", lead="A", focal_point="A", topic="gamb")
        with pytest.raises(NotFound):
            await end_directive(connection, replace(office, tenant="x" * 24), actor, made, now)
        await end_directive(connection, office, actor, made, now)
        assert await route(connection, office, "gamb", now) is None
        with pytest.raises(NotFound):
            await end_directive(connection, office, actor, made, now)
