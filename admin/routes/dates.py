"""A family's or school's own dates: exam days, days off, its summer."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends
from starlette.responses import Response

from admin.apply import read_enforcement
from admin.dates import add_dates, list_dates, remove_dates
from admin.dependencies import Visit, need
from admin.errors import FieldMistake, InvalidInput
from admin.forms import Form
from admin.permissions import Permission
from admin.routes.home import waiting_of
from admin.values import DatesKind

router = APIRouter()

Reader = Annotated[Visit, Depends(need(Permission.PROFILE_READ))]
Loosener = Annotated[Visit, Depends(need(Permission.PROFILE_LOOSEN))]


@router.get("/dates")
async def show(visit: Reader, stored: bool = False) -> Response:
    """What the calendar knows, and one's own dates."""
    return await _page(visit, stored)


@router.post("/dates")
async def add(visit: Loosener) -> Response:
    """Add a span. A day off may open hours, so it asks for the password."""
    form = visit.form
    kind = form.choice("kind", DatesKind, DatesKind.EXAM)
    label = form.text("label", 40, required=False)
    first = read_day(form, "first")
    last = read_day(form, "last") if form.raw("last") else first
    try:
        form.check()
        assert first is not None and last is not None
        async with visit.services.database.write() as connection:
            await add_dates(connection, visit.act, kind, label, first, last)
    except InvalidInput as error:
        return await _page(visit, False, error.mistakes)
    await visit.services.applier.settle(visit.tenant_id)
    return visit.go("/dates?stored=1")


@router.post("/dates/{dates}/remove")
async def remove(dates: str, visit: Loosener) -> Response:
    """Take a span away."""
    async with visit.services.database.write() as connection:
        await remove_dates(connection, visit.act, dates)
    await visit.services.applier.settle(visit.tenant_id)
    return visit.go("/dates?stored=1")


def read_day(form: Form, name: str) -> date | None:
    """A day as people type it; what is none is noted as a mistake."""
    text = form.raw(name)
    for parts in (text.split("-"), text.replace(".", "/").split("/")[::-1]):
        try:
            return date(*(int(part) for part in parts))
        except (ValueError, TypeError):
            continue
    form.mistake(name, "date_form" if text else "required")
    return None


async def _page(visit: Visit, stored: bool, mistakes: tuple[FieldMistake, ...] = ()) -> Response:
    async with visit.services.database.read() as connection:
        own = await list_dates(connection, visit.tenant_id)
        enforcement = await read_enforcement(connection, visit.tenant_id)
    shelf = visit.services.shelves.current()
    today = visit.now.astimezone(ZoneInfo(visit.tenant.time_zone)).date()
    context = {
        "own": own,
        "days_off": [one for one in shelf.days_off if one.last >= today][:8],
        "summers": [span for span in shelf.summers if span[1] >= today],
        "kinds": list(DatesKind),
        "enforcement": enforcement,
        "stored": stored,
        "mistakes": mistakes,
        "waiting": await waiting_of(visit),
        "may_change": visit.may(Permission.PROFILE_LOOSEN),
        "typed": {name: visit.form.raw(name) if mistakes else "" for name in ("label", "first", "last", "kind")},
    }
    return visit.page("profile/dates.html", context, 422 if mistakes else 200)
