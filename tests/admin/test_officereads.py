"""What pages show of documents and entries."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import update

from admin.dependencies import Services
from admin.office import open_office
from admin.officereads import find_entries, known_keys, read_history, read_inbox, read_order
from blocklists.takedown import tables
from blocklists.takedown.model import Actor, Capacity
from tests.admin.conftest import Clock
from tests.admin.test_officeactions import PLAIN, register
from tests.admin.test_officeduty import approve
from tests.support.office import make_officers


async def test_inbox_puts_the_most_urgent_first_and_counts_what_is_late(services: Services, now: datetime, clock: Clock) -> None:
    """A document a day old is overdue at the minute; a young one is not."""
    people = await make_officers(services.database, now)
    old, _ = await register(services.database, people, PLAIN, "order", now)
    clock.forward(hours=24)
    await register(services.database, people, PLAIN, "order", clock.at)
    async with services.database.read() as connection:
        inbox = await read_inbox(connection, await open_office(connection, people.tenant), clock.at)
    assert inbox.orders[0].row["id"] == old
    assert inbox.overdue == 1


async def test_a_document_shows_the_steps_of_this_person_only(services: Services, now: datetime) -> None:
    """The verifier may verify, the approver not yet approve."""
    people = await make_officers(services.database, now)
    order, _ = await register(services.database, people, PLAIN, "order", now)
    async with services.database.read() as connection:
        office = await open_office(connection, people.tenant)
        one = await read_order(connection, office, order, [Actor(people.verifier, Capacity.VERIFIER)], now)
        two = await read_order(connection, office, order, [Actor(people.approver, Capacity.APPROVER)], now)
        history = await read_history(connection, office, order)
    assert "verify" in one.verbs
    assert "approve" not in two.verbs
    assert [(step.verb, step.name) for step in history] == [("register", "Cán bộ verifier")]


async def test_entries_are_found_by_name_and_by_document(services: Services, now: datetime) -> None:
    """A whole address finds its host; signs of the search language find nothing more."""
    people = await make_officers(services.database, now)
    await approve(services, people, "bad.example")
    async with services.database.read() as connection:
        office = await open_office(connection, people.tenant)
        for text, count in (("https://bad.example/x", 1), ("12/QĐ", 1), ("%", 0), ("good.example", 0), ("", 1)):
            assert len(await find_entries(connection, office, text, "")) == count, text
        assert await known_keys(connection, office) == {"example.bad."}


async def test_an_entry_that_ends_soon_is_told_before(services: Services, now: datetime) -> None:
    """Three days before its end it stands in the inbox."""
    people = await make_officers(services.database, now)
    await approve(services, people, "bad.example", days=2)
    await approve(services, people, "later.example", days=20)
    async with services.database.read() as connection:
        inbox = await read_inbox(connection, await open_office(connection, people.tenant), now + timedelta(minutes=1))
    assert [row["host"] for row in inbox.expiring] == ["bad.example"]


async def test_an_entry_without_an_end_is_looked_at_again_after_a_year(services: Services, now: datetime) -> None:
    """Names change hands: after its clock it stands in the inbox, and not a day before."""
    people = await make_officers(services.database, now)
    await approve(services, people, "bad.example", days=2)
    async with services.database.write() as connection:
        office = await open_office(connection, people.tenant)
        own = tables.entries.c.tenant_id == office.tenant
        await connection.execute(update(tables.entries).where(own).values(no_end=1, valid_until=None))
        early = await read_inbox(connection, office, now + timedelta(days=364))
        late = await read_inbox(connection, office, now + timedelta(days=366))
    assert (len(early.endless), [row["host"] for row in late.endless]) == (0, ["bad.example"])
