"""A class's timetable: lines of lessons in, rows of hours out; the week shows what came of it."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends
from starlette.responses import Response

from admin.dates import list_dates, with_dates
from admin.dependencies import Visit, need
from admin.errors import FieldMistake, NotFound
from admin.hours import MOST_LESSONS, is_looser, list_hours, paint_week, set_hours
from admin.pages.weekgrid import draw_week, monday_of
from admin.permissions import Permission
from admin.profiles import Profile, load_profile
from admin.routes.home import waiting_of
from admin.timetable import day_names, read_timetable, rows_of, write_timetable
from admin.values import WEEKDAYS, HoursEffect, ProfileKind

router = APIRouter()

Reader = Annotated[Visit, Depends(need(Permission.PROFILE_READ))]
Writer = Annotated[Visit, Depends(need(Permission.PROFILE_TIGHTEN))]


@router.get("/profiles/{profile}/timetable")
async def show(profile: str, visit: Reader) -> Response:
    """The lessons as lines, and the picture of the week."""
    return await _page(visit, await _load(visit, profile))


@router.post("/profiles/{profile}/timetable")
async def change(profile: str, visit: Writer) -> Response:
    """Replace the lessons; other hours stay. Fewer lessons loosen and ask for the password."""
    found = await _load(visit, profile)
    text = visit.form.raw("lessons")[:4000]
    timetable = read_timetable(text)
    effect = visit.form.choice("effect", HoursEffect, HoursEffect.REST)
    if timetable.faults:
        visit.form.mistake("lessons", "timetable_line")
    elif timetable.count > MOST_LESSONS:
        visit.form.mistake("lessons", "timetable_long")
    if visit.form.mistakes:
        return await _page(visit, found, text, tuple(visit.form.mistakes), timetable.faults)
    async with visit.services.database.read() as connection:
        before = await list_hours(connection, visit.tenant_id, found.id)
        shelf = with_dates(visit.services.shelves.current(), await list_dates(connection, visit.tenant_id))
    rows = [row for row in before if row.days not in WEEKDAYS]
    rows += rows_of(timetable, effect, breaks_open=visit.form.has("breaks"))
    if is_looser(before, rows, shelf, monday_of(visit.now.astimezone(ZoneInfo(visit.tenant.time_zone)).date())):
        visit.require(Permission.PROFILE_LOOSEN)
    async with visit.services.database.write() as connection:
        await set_hours(connection, visit.act, found.id, rows)
    await visit.services.applier.settle(visit.tenant_id)
    return visit.go(f"/profiles/{profile}/hours?stored=1")


async def _load(visit: Visit, profile: str) -> Profile:
    async with visit.services.database.read() as connection:
        found = await load_profile(connection, visit.tenant_id, profile)
    if found.kind not in (ProfileKind.CLASS, ProfileKind.CHILD):
        raise NotFound
    return found


async def _page(
    visit: Visit, profile: Profile, typed: str | None = None, mistakes: tuple[FieldMistake, ...] = (), faults: list[str] | None = None
) -> Response:
    async with visit.services.database.read() as connection:
        rows = await list_hours(connection, visit.tenant_id, profile.id)
        shelf = with_dates(visit.services.shelves.current(), await list_dates(connection, visit.tenant_id))
    lessons = [row for row in rows if row.days in WEEKDAYS]
    words = visit.services.pages.words[visit.language]
    here = visit.now.astimezone(ZoneInfo(visit.tenant.time_zone))
    context = {
        "profile": profile,
        "typed": write_timetable(lessons, day_names(visit.language)) if typed is None else typed,
        "effect": lessons[0].effect if lessons else HoursEffect.REST,
        "week": draw_week(paint_week(rows, shelf, monday_of(here.date())), words, here),
        "faults": faults or [],
        "mistakes": mistakes,
        "may_change": visit.may(Permission.PROFILE_TIGHTEN),
        "stored": False,
        "enforcement": await visit.services.applier.enforcement(visit.tenant_id),
        "waiting": await waiting_of(visit),
    }
    return visit.page("profile/timetable.html", context, 422 if mistakes else 200)
