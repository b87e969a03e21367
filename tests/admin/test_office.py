"""Which organisation the list office is, and how names of the masked category are shown."""

from __future__ import annotations

from datetime import datetime

import pytest

from admin.audit import By
from admin.errors import NotFound
from admin.office import NoOffice, actor_of, find_office, keyed, masked, open_office, public_office
from blocklists.database import Database
from blocklists.tables import AccountId
from blocklists.takedown.model import Capacity
from tests.support.office import make_officers
from tests.support.people import make_person


async def test_open_office_only_for_an_office(database: Database, now: datetime) -> None:
    """A family is no office, whoever asks."""
    people, family = await make_officers(database, now), await make_person(database, now)
    async with database.read() as connection:
        assert await find_office(connection, now) == people.tenant
        assert (await open_office(connection, people.tenant)).tenant == people.tenant
        with pytest.raises(NotFound):
            await open_office(connection, family.tenant)


async def test_public_office_where_there_is_none(database: Database, now: datetime) -> None:
    """An installation without an office has nothing to publish."""
    async with database.read() as connection:
        with pytest.raises(NoOffice):
            await public_office(connection, now)


def test_digests_are_keyed() -> None:
    """The same content has another digest in another office, and none once the key was destroyed."""
    assert keyed(b"a" * 32)("x") != keyed(b"b" * 32)("x")
    assert keyed(None)("x") == ""


def test_masked_names_say_nothing() -> None:
    """Only the restricted category is masked, by an id that is not made from the name."""
    assert masked("bad.example", "order", "abcdefghij") == "bad.example"
    assert masked("bad.example", "csam", "abcdefghij") == "#abcdefgh"


def test_actor_acts_in_the_capacity_of_the_role() -> None:
    """The role that allowed the request is the capacity that the transition table sees."""
    assert actor_of(By(AccountId("a"), "approver"), "office").capacity is Capacity.APPROVER
