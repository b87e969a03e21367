"""Following up an address on a platform, and opening one masked name."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from admin.office import open_office
from admin.officeactions import forward_item, open_item
from blocklists.database import Database
from blocklists.takedown import store
from blocklists.takedown.documents import parse_symbol
from blocklists.takedown.masking import hide
from blocklists.takedown.model import Actor, Capacity, Enforceability, Match
from blocklists.takedown.store import NewItem, NewOrder, NotFound
from blocklists.takedown.workflow import TransitionRefused
from tests.support.office import Officers, make_officers

ON_PLATFORM = NewItem("facebook.com", None, Match.BOTH, Enforceability.SHARED_PLATFORM, platform="facebook.com", platform_kind="group")
KEY = bytes(32)
PLAIN = NewItem("bad.example", "bad.example", Match.BOTH, Enforceability.YES)


async def register(database: Database, people: Officers, item: NewItem, category: str, now: datetime) -> tuple[str, str]:
    """A document with one row; the ids of both."""
    order = NewOrder(parse_symbol("5/QĐ-UBND"), "UBND", now, now + timedelta(days=5), category=category, items=(item,))
    async with database.write() as connection:
        office = await open_office(connection, people.tenant)
        order_id = await store.register(connection, office, order, Actor(people.verifier, Capacity.VERIFIER), now)
        return order_id, (await store.item_rows(connection, office, order_id))[0]["id"]


async def test_a_platform_is_followed_up_in_order(database: Database, now: datetime) -> None:
    """First to whom it was sent, then what came of it."""
    people = await make_officers(database, now)
    order, item = await register(database, people, ON_PLATFORM, "order", now)
    actor = Actor(people.verifier, Capacity.VERIFIER)
    async with database.write() as connection:
        office = await open_office(connection, people.tenant)
        with pytest.raises(TransitionRefused):
            await forward_item(connection, office, order, item, "", "removed", actor, now)
        await forward_item(connection, office, order, item, "Facebook", "", actor, now)
        await forward_item(connection, office, order, item, "", "removed", actor, now)
        row = (await store.item_rows(connection, office, order))[0]
    assert (row["forwarded_to"], row["outcome"]) == ("Facebook", "removed")


async def test_only_masked_documents_are_opened_and_only_by_their_two(database: Database, now: datetime) -> None:
    """One verifier, one approver; a second approver never; an open document needs no opening."""
    people = await make_officers(database, now)
    order, item = await register(database, people, hide(PLAIN, KEY), "csam", now)
    plain_order, plain_item = await register(database, people, PLAIN, "order", now)
    one, two, three = (
        Actor(people.verifier, Capacity.VERIFIER), Actor(people.approver, Capacity.APPROVER), Actor(people.second, Capacity.APPROVER)
    )  # fmt: skip
    async with database.write() as connection:
        office = await open_office(connection, people.tenant)
        assert await open_item(connection, office, order, item, one, now, KEY) == "bad.example"
        assert await open_item(connection, office, order, item, two, now, KEY) == "bad.example"
        with pytest.raises(TransitionRefused):
            await open_item(connection, office, order, item, three, now, KEY)
        with pytest.raises(NotFound):
            await open_item(connection, office, plain_order, plain_item, one, now, KEY)
