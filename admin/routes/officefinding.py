"""The queue of candidates: names with evidence that wait for a person; third-party lists come in here, families are looked for here."""

from __future__ import annotations

import asyncio
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends
from starlette.responses import Response

from admin.dependencies import Visit, need
from admin.errors import Busy, FieldMistake, InvalidInput, NotFound
from admin.office import open_office
from admin.permissions import Permission
from admin.routes.officeparts import actor_for, words_of
from blocklists.takedown import candidates, store
from blocklists.takedown.candidates import CATEGORIES, Added
from blocklists.takedown.workflow import TransitionRefused

router = APIRouter()

Read = Annotated[Visit, Depends(need(Permission.OFFICE_READ))]
Work = Annotated[Visit, Depends(need(Permission.REPORT_WORK))]


@router.get("/office/finding")
async def show(visit: Read, added: int | None = None, left: int = 0, known: int = 0, guarded: int = 0) -> Response:
    """What waits, with the evidence and what became of its source's candidates before."""
    return await _page(visit, became=None if added is None else Added(added, left, known, guarded))


@router.post("/office/finding/list")
async def bring(visit: Work) -> Response:
    """A list of somebody else's: its names become candidates of that source; nothing is blocked."""
    form = visit.form
    source, category, text = form.text("source", 80), form.one_of("category", CATEGORIES), form.raw("text")
    if not text:
        form.mistake("text", "required")
    if form.mistakes:
        return await _page(visit, mistakes=tuple(form.mistakes), status=422)
    try:
        finder = visit.services.office.finder
        names, became = await finder.bring(visit.tenant_id, actor_for(visit), source, category, text, visit.now)
    except InvalidInput as error:
        return await _page(visit, mistakes=error.mistakes, status=422)
    except TransitionRefused as refused:
        return await _page(visit, words_of(visit).refusal(refused), status=409)
    if not names:
        return await _page(visit, mistakes=(FieldMistake("text", "no_address"),), status=422)
    return visit.go("/office/finding?" + urlencode(became._asdict()))


@router.post("/office/finding/scan")
async def scan(visit: Work) -> Response:
    """Look for names that were reported more than once, and in the lists of this machine for relatives of what is blocked."""
    search = visit.services.office.finder.begin(visit.tenant_id, actor_for(visit), visit.now)
    if search.task is not None:
        await asyncio.shield(search.task)
    if search.state == "failed":
        raise Busy
    return visit.go(f"/office/finding?added={search.added}")


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


async def _page(
    visit: Visit, fault: str = "", *, became: Added | None = None, mistakes: tuple[FieldMistake, ...] = (), status: int = 200
) -> Response:
    async with visit.services.database.read() as connection:
        office = await open_office(connection, visit.tenant_id)
        rows = await candidates.waiting(connection, office)
        count = await candidates.count_waiting(connection, office)
        before = await candidates.histories(connection, office)
    form = visit.form
    running = next((one for one in visit.services.office.finder.of(visit.tenant_id, visit.now) if one.state == "running"), None)
    context = {
        "rows": rows, "count": count, "past_of": lambda row: before.get((row["origin"], row["source"]), candidates.History()),
        "categories": CATEGORIES, "say": words_of(visit), "fault": fault, "became": became, "running": running,
        "mistakes": mistakes,
        "typed": {name: form.raw(name) for name in ("source", "category", "text")},
    }  # fmt: skip
    return visit.page("office/finding.html", context, status)
