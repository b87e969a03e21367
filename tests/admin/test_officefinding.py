"""Searching for names: one at a time for an office, found again by its id, and it tells when it failed."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta

from admin.dependencies import Services
from admin.officefinding import FOLDER, KEPT, Finder, read_names
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


async def test_a_search_that_a_stop_cut_off_begins_anew(services: Services, officers: Officers, now: datetime) -> None:
    """The process stops in the middle: the next one takes the search up under its id; one that came to its end, one of yesterday and a file
    that cannot be read are let go, and no file says a name."""
    folder = services.settings.state_dir / FOLDER
    actor = Actor(officers.verifier, Capacity.VERIFIER, officers.tenant)
    before = Finder(services.database, services.settings.state_dir, services.office.guard)
    done = before.begin(officers.tenant, actor, now)
    assert done.task is not None
    await done.task
    assert list(folder.iterdir()) == [], "it came to its end"
    async with services.database.write():  # so that it cannot end
        cut = before.begin(officers.tenant, actor, now)
        for _ in range(500):
            await asyncio.sleep(0.01)
            if list(folder.glob("*.json")):
                break
        await before.stop()
    assert cut.state == "running"
    [left] = folder.iterdir()
    assert set(json.loads(left.read_bytes())) == {"tenant", "account", "capacity", "begun_at"}
    (folder / "hong.json").write_text("{")
    after = Finder(services.database, services.settings.state_dir, services.office.guard)
    await after.resume(now + timedelta(minutes=1))
    [again] = after.of(officers.tenant, now)
    assert again.id == cut.id and again.task is not None
    await again.task
    assert again.state == "done" and list(folder.iterdir()) == []
    left.write_text(json.dumps({"tenant": officers.tenant, "account": actor.account, "capacity": "verifier", "begun_at": now.isoformat()}))
    late = Finder(services.database, services.settings.state_dir, services.office.guard)
    await late.resume(now + KEPT + timedelta(seconds=1))
    assert late.of(officers.tenant, now) == [] and list(folder.iterdir()) == []


async def test_a_search_that_fails_says_so(services: Services, now: datetime) -> None:
    """Of an organisation that is no office, for one."""
    finder = Finder(services.database, services.settings.state_dir, services.office.guard)
    scan = finder.begin(OrganisationId("x" * 24), Actor("a", Capacity.VERIFIER), now)
    assert scan.task is not None
    await scan.task
    assert scan.state == "failed"
