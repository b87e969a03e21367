"""The queue of candidates: names with evidence that wait for a person; third-party lists come in here, families are looked for here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from admin.dependencies import Visit, need
from admin.errors import FieldMistake, NotFound
from admin.office import open_office
from admin.officepreview import open_index
from admin.permissions import Permission
from admin.routes.officeparts import actor_for, words_of
from blocklists.normalize import Host, normalize_host
from blocklists.takedown import candidates, store
from blocklists.takedown.candidates import CATEGORIES, Found
from blocklists.takedown.candidatetables import Origin
from blocklists.takedown.freetext import require_clean
from blocklists.takedown.importer import known_endings
from blocklists.takedown.reading import find_addresses
from blocklists.takedown.workflow import TransitionRefused

router = APIRouter()

Work = Annotated[Visit, Depends(need(Permission.REPORT_WORK))]
Act = Callable[[store.Office, Any], Awaitable[object]]  # Any: the write transaction


@router.get("/office/finding")
async def show(visit: Annotated[Visit, Depends(need(Permission.OFFICE_READ))], added: int | None = None) -> Response:
    """What waits, with the evidence and what became of its source's candidates before."""
    return await _page(visit, added=added)


@router.post("/office/finding/list")
async def bring(visit: Work) -> Response:
    """A list of somebody else's: its names become candidates of that source; nothing is blocked."""
    form = visit.form
    source, category, text = form.text("source", 80), form.one_of("category", CATEGORIES), form.raw("text")
    if not text:
        form.mistake("text", "required")
    if form.mistakes:
        return await _page(visit, mistakes=tuple(form.mistakes), status=422)
    found = await asyncio.to_thread(_read, text, source, category)
    if not found:
        return await _page(visit, mistakes=(FieldMistake("text", "no_address"),), status=422)
    return await _add(visit, lambda: require_clean(source, "Nguồn", "Source"), found)


@router.post("/office/finding/scan")
async def scan(visit: Work) -> Response:
    """Look for names that were reported more than once, and in the lists of this machine for relatives of what is blocked."""
    async with visit.services.database.read() as connection:
        office = await open_office(connection, visit.tenant_id)
        reported = await candidates.from_reports(connection, office)
        listed = await candidates.listed_names(connection, office)
    state_dir = visit.services.settings.state_dir
    alike = await asyncio.to_thread(lambda: candidates.relatives(listed, _names_of_lists(state_dir))) if listed else []
    return await _add(visit, lambda: "", [*reported, *alike])


@router.post("/office/finding/{identity}")
async def decide(visit: Work, identity: str) -> Response:
    """Take it, so that it is verified and approved like any report, or refuse it."""
    step, reason = visit.form.raw("step"), visit.form.raw("reason")[:300]
    try:
        async with visit.services.database.write() as connection:
            office = await open_office(connection, visit.tenant_id)
            report = await candidates.decide(connection, office, identity, step, reason, actor_for(visit), visit.now)
    except TransitionRefused as refused:
        return await _page(visit, words_of(visit).refusal(refused), status=409)
    except store.NotFound as error:
        raise NotFound from error
    return visit.go(f"/office/reports/{report}" if report else "/office/finding")


async def _add(visit: Visit, check: Callable[[], object], found: list[Found]) -> Response:
    guard = await asyncio.to_thread(visit.services.office.guard.current)
    try:
        check()
    except TransitionRefused as refused:
        return await _page(visit, words_of(visit).refusal(refused), status=409)
    async with visit.services.database.write() as connection:
        office = await open_office(connection, visit.tenant_id)
        added = await candidates.add_found(connection, office, found, guard, actor_for(visit), visit.now)
    return visit.go(f"/office/finding?added={added}")


def _read(text: str, source: str, category: str) -> list[Found]:
    """The names of a pasted list, each once; a page of a site is no name."""
    hosts: dict[str, Found] = {}
    for one in find_addresses(text, known_endings()):
        host = normalize_host(one.text)
        if isinstance(host, Host) and not host.has_path:
            hosts.setdefault(host.name, Found(host.name, category, Origin.LIST, source, source))
    return list(hosts.values())


def _names_of_lists(state_dir: Path) -> Iterator[tuple[str, str]]:
    """The names of the lists in force with the list that holds them: third-party knowledge, never anybody's questions."""
    index = open_index(state_dir)
    if index is None:
        return
    sources: dict[int, str | None] = {}
    for key, number in index.names():
        if number not in sources:
            held = [entry.source for entry in index.entries(number) if entry.source.kind == "category" and not entry.source.allows]
            sources[number] = (held[0].title or held[0].id) if held else None
        source = sources[number]
        if source is not None:
            yield key, source


async def _page(
    visit: Visit, fault: str = "", *, added: int | None = None, mistakes: tuple[FieldMistake, ...] = (), status: int = 200
) -> Response:
    async with visit.services.database.read() as connection:
        office = await open_office(connection, visit.tenant_id)
        rows = await candidates.waiting(connection, office)
        count = await candidates.count_waiting(connection, office)
        before = await candidates.histories(connection, office)
    form = visit.form
    context = {
        "rows": rows, "count": count, "past_of": lambda row: before.get((row["origin"], row["source"]), candidates.History()),
        "categories": CATEGORIES, "say": words_of(visit), "fault": fault, "added": added, "mistakes": mistakes,
        "typed": {name: form.raw(name) for name in ("source", "category", "text")},
    }  # fmt: skip
    return visit.page("office/finding.html", context, status)
