"""Hours: over midnight, paused in summer, and loosening noticed to the minute."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from admin.audit import Act
from admin.catalogue import read_shipped
from admin.dates import Dates, with_dates
from admin.dependencies import Services
from admin.hours import Hours, is_looser, list_hours, paint_week, schedule_of, set_hours, windows_of
from admin.values import DatesKind, Days, HoursEffect
from gateway.policy.reading import Reading
from gateway.policy.schedule import parse_window
from tests.support.family import Family

SHELF = read_shipped()
MONDAY = date(2026, 10, 12)
NIGHT = Hours(Days.EVERY, "21:00", "06:00", HoursEffect.REST)
SCHOOL = Hours(Days.SCHOOL, "14:00", "16:00", HoursEffect.STUDY)
SUMMER = Hours(Days.SUMMER, "23:00", "05:00", HoursEffect.OFFLINE)


async def test_set_hours_replaces_in_order(services: Services, family: Family, act: Act) -> None:
    """The rows come back as they were written; the same rows write nothing."""
    async with services.database.write() as connection:
        await set_hours(connection, act, family.bi.id, [SCHOOL, NIGHT, SUMMER])
        assert await list_hours(connection, act.tenant, family.bi.id) == [SCHOOL, NIGHT, SUMMER]
    before = (await services.applier.enforcement(act.tenant)).revision
    async with services.database.write() as connection:
        await set_hours(connection, act, family.bi.id, [SCHOOL, NIGHT, SUMMER])
    assert (await services.applier.enforcement(act.tenant)).revision == before


def test_schedule_is_accepted_by_the_gateways_own_reader() -> None:
    """Every combination of days and effects is a window the gateway takes."""
    rows = [Hours(days, "20:00", "24:00", effect) for days in Days for effect in HoursEffect]
    reading = Reading()
    windows = [parse_window(row, "x", reading, SHELF.catalogue.codes) for row in schedule_of(rows, SHELF)]
    assert reading.mistakes == []
    assert None not in windows


def test_school_days_pause_in_summer_when_summer_has_hours_of_its_own() -> None:
    """In July only the summer's hours hold; in October only the school year's."""
    rows = [SCHOOL, SUMMER, NIGHT]
    july, october = (datetime(2026, 7, 15, 8, 0, tzinfo=UTC), datetime(2026, 10, 14, 8, 0, tzinfo=UTC))  # Wednesdays, 15:00 at home
    active = {
        moment.month: [effect for effect, window in windows_of(rows, SHELF) if window.is_active(moment.timestamp())]
        for moment in (july, october)
    }
    assert active == {7: [], 10: [HoursEffect.STUDY]}
    assert "dates" not in schedule_of([SCHOOL], SHELF)[0]


def test_paint_week_crosses_midnight_and_shows_the_stricter() -> None:
    """Sunday night reaches into Monday morning; offline covers rest."""
    grid = paint_week([NIGHT, Hours(Days.SCHOOL, "05:00", "05:30", HoursEffect.OFFLINE)], SHELF, MONDAY)
    assert grid[0][0] is HoursEffect.REST
    assert grid[0][20] is HoursEffect.OFFLINE
    assert grid[5][20] is HoursEffect.REST
    assert grid[0][24] is None
    assert grid[6][95] is HoursEffect.REST


@pytest.mark.parametrize(
    ("before", "after", "looser"),
    [
        ([NIGHT], [NIGHT], False),
        ([NIGHT], [], True),
        ([], [NIGHT], False),
        ([NIGHT], [Hours(Days.EVERY, "21:01", "06:00", HoursEffect.REST)], True),
        ([NIGHT], [Hours(Days.EVERY, "20:00", "07:00", HoursEffect.REST)], False),
        ([NIGHT], [Hours(Days.EVERY, "21:00", "06:00", HoursEffect.OFFLINE)], False),
        ([Hours(Days.EVERY, "21:00", "06:00", HoursEffect.OFFLINE)], [NIGHT], True),
        ([NIGHT], [Hours(Days.SCHOOL, "21:00", "06:00", HoursEffect.REST), Hours(Days.WEEKEND, "22:00", "06:00", HoursEffect.REST)], True),
        ([SUMMER], [], True),
    ],
)
def test_is_looser_sees_every_minute(before: list[Hours], after: list[Hours], looser: bool) -> None:
    """One minute less of rest is loosening, also if it only shows in summer."""
    assert is_looser(before, after, SHELF, MONDAY) is looser


def test_is_looser_sees_exams_behind_years_of_holidays() -> None:
    """The calendar knows the holidays of many years to come; taking an evening of next month's exams away is still seen."""
    monday = date(2026, 11, 23)
    shelf = with_dates(read_shipped(), [Dates("thi", DatesKind.EXAM, "thi học kỳ", date(2026, 12, 21), date(2026, 12, 23))])
    evening = [Hours(Days.EXAM, "18:00", "24:00", HoursEffect.OFFLINE)]
    assert is_looser(evening, [], shelf, monday)
    assert not is_looser([], evening, shelf, monday)


def test_rest_closes_leisure_and_study_opens_learning_only() -> None:
    """Rest never touches learning or help; study opens nothing else."""
    rest, study = schedule_of([NIGHT, SCHOOL], SHELF)
    assert "game" in rest["effect"]["block"]
    assert not {"edu", "help", "gov", "health"} & set(rest["effect"]["block"])
    assert set(study["effect"]["only"]) == {"edu", "gov", "health", "help"}
