"""Clocks of the office as dated settings; renewing an entry before it ends; noting that the owner of a state site was told."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from admin.dependencies import Visit, need
from admin.errors import FieldMistake, NotFound
from admin.office import open_office
from admin.permissions import Permission
from admin.routes.office import act_on_entry
from admin.routes.officeparts import actor_for, words_of
from blocklists.takedown import renewing, store
from blocklists.takedown.clocks import CLOCKS, read_levels, set_level
from blocklists.takedown.deadlines import VIET_NAM, level
from blocklists.takedown.workflow import TransitionRefused

router = APIRouter()

Approve = Annotated[Visit, Depends(need(Permission.ORDER_APPROVE))]


@router.get("/office/clocks")
async def show(visit: Annotated[Visit, Depends(need(Permission.OFFICE_READ))]) -> Response:
    """Every clock with its basis, and what is set for later."""
    return await _page(visit)


@router.post("/office/clocks")
async def change(visit: Approve) -> Response:
    """A clock from a day on, by a document; what began before keeps the older one."""
    form = visit.form
    clock, basis = form.one_of("clock", CLOCKS), form.text("basis", 160)
    starts = _day(form.raw("starts"))
    try:
        hours = float(form.raw("hours").replace(",", "."))
    except ValueError:
        hours = 0.0
        form.mistake("hours", "required")
    if starts is None:
        form.mistake("starts", "date_form")
    if form.mistakes:
        return await _page(visit, mistakes=tuple(form.mistakes), status=422)
    assert starts is not None
    try:
        async with visit.services.database.write() as connection:
            office = await open_office(connection, visit.tenant_id)
            await set_level(connection, office, actor_for(visit), clock, hours, basis, starts, visit.now)
    except TransitionRefused as refused:
        return await _page(visit, words_of(visit).refusal(refused), status=409)
    return visit.go("/office/clocks")


@router.post("/office/entries/{entry_id}/renew")
async def renew(visit: Approve, entry_id: str) -> Response:
    """A new end, with the reason; the caps of the transition table hold."""
    last = _day(visit.form.raw("until"))
    until = datetime.combine(last + timedelta(days=1), time(0), VIET_NAM) if last else visit.now
    reason = visit.form.raw("reason")[:300]
    return await act_on_entry(
        visit, entry_id,
        lambda office, connection: renewing.renew_entry(connection, office, entry_id, until, reason, actor_for(visit), visit.now),
        publishes=True,
    )  # fmt: skip


@router.post("/office/entries/{entry_id}/owner")
async def owner(visit: Annotated[Visit, Depends(need(Permission.REPORT_WORK))], entry_id: str) -> Response:
    """Somebody told the owner of a state site; nothing is sent from here."""
    how = visit.form.raw("how")[:120]
    return await act_on_entry(
        visit, entry_id, lambda office, connection: renewing.tell_owner(connection, office, entry_id, how, actor_for(visit), visit.now)
    )


async def _page(visit: Visit, fault: str = "", *, mistakes: tuple[FieldMistake, ...] = (), status: int = 200) -> Response:
    today = visit.now.astimezone(VIET_NAM).date()
    async with visit.services.database.read() as connection:
        try:
            levels = await read_levels(connection, await open_office(connection, visit.tenant_id))
        except store.NotFound as error:
            raise NotFound from error
    context = {
        "rows": [(level(clock, today, levels), sorted((row for row in levels if row.clock == clock and row.valid_from > today),
                  key=lambda row: row.valid_from)) for clock in CLOCKS],
        "say": words_of(visit), "fault": fault, "mistakes": mistakes, "today": today,
        "typed": {name: visit.form.raw(name) for name in ("clock", "hours", "basis", "starts")},
    }  # fmt: skip
    return visit.page("office/clocks.html", context, status)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
