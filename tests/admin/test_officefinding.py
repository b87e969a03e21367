"""Searching for names: one at a time for an office, found again by its id, and it tells when it failed."""

from __future__ import annotations

from datetime import datetime, timedelta

from admin.dependencies import Services
from admin.officefinding import KEPT, Finder, read_names
from blocklists.tables import OrganisationId
from blocklists.takedown.model import Actor, Capacity
from tests.support.office import Officers


def test_a_list_is_read_name_by_name() -> None:
    """Text and CSV, each name once; a page of a site is no name."""
    text = 'name,kind\nca-do-1.com,x\n"ca-do-2.com",y\nhttps://ca-do-1.com/\nhttps://site.example/mot-trang\n'
    assert [one.host for one in read_names(text, "A", "gamb")] == ["ca-do-1.com", "ca-do-2.com"]


async def test_one_search_at_a_time_and_of_ones_own_office(services: Services, officers: Officers, now: datetime) -> None:
    """While it runs, asking again is the same search; another office sees none; after an hour it is forgotten."""
    finder, actor = services.office.finder, Actor(officers.verifier, Capacity.VERIFIER, officers.tenant)
    first, again = (finder.begin(officers.tenant, actor, now) for _ in range(2))
    assert first is again and first.task is not None
    await first.task
    assert (first.state, first.added) == ("done", 0)
    assert finder.of(OrganisationId("x" * 24), now) == []
    assert finder.begin(officers.tenant, actor, now) is not first
    last = finder.of(officers.tenant, now)[0]
    assert last.task is not None
    await last.task
    assert finder.of(officers.tenant, now + KEPT + timedelta(seconds=1)) == []


async def test_a_search_that_fails_says_so(services: Services, now: datetime) -> None:
    """Of an organisation that is no office, for one."""
    finder = Finder(services.database, services.settings.state_dir, services.office.guard)
    scan = finder.begin(OrganisationId("x" * 24), Actor("a", Capacity.VERIFIER), now)
    assert scan.task is not None
    await scan.task
    assert scan.state == "failed"
