"""Clocks as dated settings: what began before a change keeps the older clock."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from admin.office import open_office
from blocklists.database import Database
from blocklists.takedown.clocks import read_levels, set_level
from blocklists.takedown.deadlines import VIET_NAM, countdown
from blocklists.takedown.model import Actor, Capacity, TransitionRefused
from tests.admin.conftest import database, migrated_file, now, storage
from tests.support.office import Officers, make_officers

__all__ = ["database", "migrated_file", "now", "storage"]


@pytest.fixture
async def officers(database: Database, now: datetime) -> Officers:
    return await make_officers(database, now)


async def test_a_changed_clock_holds_for_what_begins_later(database: Database, officers: Officers, now: datetime) -> None:
    """A document received the day before keeps 24 hours; one of the day of the change has 12, to the minute in Viet Nam."""
    actor = Actor(officers.approver, Capacity.APPROVER)
    today = now.astimezone(VIET_NAM).date()
    tomorrow = today + timedelta(days=1)
    async with database.write() as connection:
        office = await open_office(connection, officers.tenant)
        await set_level(connection, office, actor, "order", 12, "9/QĐ-UBND", tomorrow, now)
        levels = await read_levels(connection, office)
        for hours, basis, day in ((12, "9/QĐ-UBND", tomorrow), (0, "x", tomorrow), (5, "", tomorrow), (5, "x", today - timedelta(days=1))):
            with pytest.raises(TransitionRefused):
                await set_level(connection, office, actor, "order", hours, basis, day, now)
    before = datetime.combine(today, datetime.min.time(), VIET_NAM).replace(hour=23, minute=59)
    after = before + timedelta(minutes=1)
    assert countdown("order", before, before, levels).left == timedelta(hours=24)
    assert countdown("order", after, after, levels).left == timedelta(hours=12)
    assert countdown("order", after, after, levels).basis == "9/QĐ-UBND"
    assert countdown("order", after, after + timedelta(hours=12), levels).overdue
    assert levels[0].valid_from == date(2024, 12, 25)
