"""Hours: when games and videos rest, when only learning is open, when there is no internet.

Families say *school days, weekend, summer, holidays, exam days*; a row has from and to, may cross midnight, and the day of its beginning
owns the night. In the policy file rows become schedule windows; where a profile has rows for summer or for holidays, its school-day and
weekend rows pause on those days; lessons of a timetable (rows for one weekday) always do. Rows for days that nobody has dated (exams)
wait until somebody does.
Pure but for the three functions on top.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import Act, Action, record
from admin.catalogue import STUDY_CODES, Shelf
from admin.tables import hours
from admin.tenants import mark_changed
from admin.values import WEEKDAYS, Days, HoursEffect, ProfileId
from blocklists.tables import OrganisationId
from gateway.policy.reading import Reading
from gateway.policy.schedule import DAY_MINUTES, Window, parse_window

MOST_HOURS = 12
#: Lessons of a week; a school with two shifts has about fifty.
MOST_LESSONS = 80
_WEEKDAYS = {
    Days.SCHOOL: ["mon", "tue", "wed", "thu", "fri"],
    Days.WEEKEND: ["sat", "sun"],
    Days.SUMMER: ["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
    Days.HOLIDAY: ["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
    Days.EXAM: ["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
    Days.EVERY: ["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
    **{day: [day.value] for day in WEEKDAYS},
}
#: Where rows overlap the stricter one holds.
_WEIGHT = {None: 0, HoursEffect.REST: 1, HoursEffect.STUDY: 2, HoursEffect.OFFLINE: 3}
#: Coming weeks with special days that are looked at when a change may loosen.
_WEEKS_COMPARED = 12
_FIRST_DAY, _LAST_DAY = date(2000, 1, 1), date(2099, 12, 31)

#: One window of a policy file (JSON values), and what it does.
Written = tuple[HoursEffect, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Hours:
    """One row: on these days, from and to on the clock of the place, with this effect."""

    days: Days
    starts: str
    ends: str
    effect: HoursEffect


async def list_hours(connection: AsyncConnection, tenant: OrganisationId, profile: ProfileId) -> list[Hours]:
    """The hours of a profile in the order they were written."""
    statement = select(hours).where(hours.c.tenant_id == tenant, hours.c.profile_id == profile).order_by(hours.c.position, hours.c.id)
    return [Hours(Days(row.days), row.starts, row.ends, HoursEffect(row.effect)) for row in await connection.execute(statement)]


async def set_hours(connection: AsyncConnection, act: Act, profile: ProfileId, rows: Sequence[Hours]) -> None:
    """Replace the hours of a profile."""
    before = await list_hours(connection, act.tenant, profile)
    if list(rows) == before:
        return
    await connection.execute(delete(hours).where(hours.c.tenant_id == act.tenant, hours.c.profile_id == profile))
    if rows:
        await connection.execute(
            insert(hours),
            [{"tenant_id": act.tenant, "profile_id": profile, "position": place, **_content(row)} for place, row in enumerate(rows)],
        )
    contents = [[_content(row) for row in one] for one in (before, rows)]
    await record(connection, act, Action.HOURS_SET, profile, before=contents[0], after=contents[1])
    await mark_changed(connection, act)


def schedule_of(rows: Sequence[Hours], shelf: Shelf) -> list[dict[str, Any]]:
    """The rows as windows of a policy file (contract: Ruleset.schedule)."""
    return [window for _, window in write_hours(rows, shelf)]


def write_hours(rows: Sequence[Hours], shelf: Shelf) -> list[Written]:
    """The rows as windows of a policy file, each with what it does."""
    dated = {Days.SUMMER: shelf.summers, Days.HOLIDAY: shelf.holidays, Days.EXAM: shelf.exams}
    pauses = [span for days in (Days.SUMMER, Days.HOLIDAY) if any(row.days is days for row in rows) for span in dated[days]]
    no_lessons = [*shelf.summers, *shelf.holidays]
    windows = []
    for row in rows:
        window: dict[str, Any] = {
            "name": f"{row.days.value}-{row.effect.value}",
            "days": _WEEKDAYS[row.days],
            "from": "00:00" if row.starts == "24:00" else row.starts,
            "to": row.ends,
            "effect": write_effect(row.effect, shelf),
        }
        if row.days in dated:
            spans = list(dated[row.days])
            if not spans:
                continue  # no such day is known
        elif row.days in WEEKDAYS:
            spans = _between(no_lessons) if no_lessons else []
        else:
            spans = _between(pauses) if pauses and row.days in (Days.SCHOOL, Days.WEEKEND) else []
        if spans:
            window["dates"] = [{"from": first.isoformat(), "to": last.isoformat()} for first, last in spans]
        windows.append((row.effect, window))
    return windows


def windows_of(rows: Sequence[Hours], shelf: Shelf) -> list[tuple[HoursEffect, Window]]:
    """The rows as the gateway itself reads them, for pictures and countdowns."""
    return read_windows(write_hours(rows, shelf))


def read_windows(written: Sequence[Written]) -> list[tuple[HoursEffect, Window]]:
    """Windows of a policy file as the gateway itself reads them."""
    reading = Reading()
    found = []
    for effect, row in written:
        window = parse_window(row, "hours", reading)
        if window is not None:
            found.append((effect, window))
    return found


def is_looser(before: Sequence[Hours], after: Sequence[Hours], shelf: Shelf, monday: date) -> bool:
    """Whether any minute of a school week, or of a week in summer, in holidays or with exams, is less restricted than before."""
    summers = [first + timedelta(days=(7 - first.weekday()) % 7) for first, last in shelf.summers if last >= monday]
    weeks = dict.fromkeys([monday, *summers[:1]])
    for spans in (shelf.holidays, shelf.exams):  # so many of each: the holidays of years to come must not crowd out the exams
        coming = [first - timedelta(days=first.weekday()) for first, last in spans if last >= monday]
        weeks |= dict.fromkeys(coming[:_WEEKS_COMPARED])
    return any(_is_looser_week(before, after, shelf, week) for week in weeks)


def paint_week(rows: Sequence[Hours], shelf: Shelf, monday: date, step: int = 15) -> list[list[HoursEffect | None]]:
    """What holds in every `step` minutes of the week from `monday`: seven days of 1440/step, None where nothing does."""
    slots = DAY_MINUTES // step
    grid: list[list[HoursEffect | None]] = [[None] * slots for _ in range(7)]
    for effect, window in windows_of(rows, shelf):
        for day in range(-1, 7):
            if not window.owns(monday + timedelta(days=day)):
                continue
            for slot in range(-(-window.start // step), -(-window.end // step)):
                at = day * slots + slot
                if 0 <= at < 7 * slots and _WEIGHT[effect] > _WEIGHT[grid[at // slots][at % slots]]:
                    grid[at // slots][at % slots] = effect
    return grid


def _is_looser_week(before: Sequence[Hours], after: Sequence[Hours], shelf: Shelf, monday: date) -> bool:
    pairs = zip(paint_week(before, shelf, monday, 1), paint_week(after, shelf, monday, 1), strict=True)
    return any(_WEIGHT[new] < _WEIGHT[old] for olds, news in pairs for old, new in zip(olds, news, strict=True))


def _between(pauses: Sequence[tuple[date, date]]) -> list[tuple[date, date]]:
    """The days outside some spans, which may overlap."""
    spans, start = [], _FIRST_DAY
    for first, last in sorted(pauses):
        if start < first:
            spans.append((start, first - timedelta(days=1)))
        start = max(start, last + timedelta(days=1))
    return [*spans, (start, _LAST_DAY)]


def write_effect(effect: HoursEffect, shelf: Shelf) -> object:
    """What hours do, as a policy file says it."""
    match effect:
        case HoursEffect.OFFLINE:
            return "offline"
        case HoursEffect.STUDY:
            return {"only": [code for code in STUDY_CODES if code in shelf.catalogue.codes]}
        case HoursEffect.REST:
            return {"block": sorted(shelf.leisure)}


def _content(row: Hours) -> dict[str, str]:
    return {"days": row.days.value, "starts": row.starts, "ends": row.ends, "effect": row.effect.value}
