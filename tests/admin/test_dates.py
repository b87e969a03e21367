"""Days that are not like others: Tết and public holidays until 2030, and a family's or school's own."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from admin.audit import Act
from admin.catalogue import read_days_off, read_shipped
from admin.dates import Dates, add_dates, list_dates, remove_dates, with_dates
from admin.dependencies import Services
from admin.errors import InvalidInput
from admin.hours import Hours, schedule_of, set_hours
from admin.moment import Standing, moment_of
from admin.policyfile import cut, read_rows
from admin.values import DatesKind, Days, HoursEffect
from gateway.policy.tenant import parse_policy_file
from tests.support.family import Family

ZONE = "Asia/Ho_Chi_Minh"


@pytest.mark.parametrize(("year", "tet"), [(2026, "02-17"), (2027, "02-06"), (2028, "01-26"), (2029, "02-13"), (2030, "02-02")])
def test_calendar_knows_tet_until_2030(year: int, tet: str) -> None:
    """The first day of the lunar year, the days around it, and the public holidays of each year are days off."""
    holidays = read_shipped().holidays
    for month_day in (tet, "01-01", "04-30", "05-01", "09-02"):
        day = date.fromisoformat(f"{year}-{month_day}")
        assert any(first <= day <= last for first, last in holidays), day
    assert not any(first <= date(year, 3, 10) <= last for first, last in holidays)


def test_every_day_off_has_a_name_in_both_languages() -> None:
    """Nobody reads "public holiday" where the day has a name; a catalogue of an older release that tells none still opens."""
    days = read_shipped().days_off
    assert [(one.first, one.last) for one in days] == list(read_shipped().holidays)
    assert all(one.vi and one.en for one in days)
    by_day = {one.first.isoformat(): one.vi for one in days}
    assert by_day["2027-04-16"] == "Giỗ Tổ Hùng Vương"
    assert by_day["2027-02-01"] == "Tết Nguyên đán"
    assert {one.vi for one in read_days_off({"tet": [{"year": "2027", "date": "2027-02-06"}]})} == {""}


def test_own_days_off_keep_their_own_name() -> None:
    """What a school calls its day off stands among the others."""
    own = Dates("1", DatesKind.HOLIDAY, "Kỷ niệm trường", date(2027, 3, 26), date(2027, 3, 26))
    assert "Kỷ niệm trường" in [one.vi for one in with_dates(read_shipped(), [own]).days_off]


def test_school_rows_pause_on_days_off_that_have_rows_of_their_own() -> None:
    """On the first of Tết 2027 (a Saturday) and on a Tuesday off the holiday's row holds, the others rest; elsewhere it is the reverse."""
    rows = [
        Hours(Days.SCHOOL, "19:00", "21:00", HoursEffect.STUDY),
        Hours(Days.HOLIDAY, "22:00", "23:00", HoursEffect.REST),
    ]
    shelf = read_shipped()

    def standing(moment: datetime) -> Standing:
        return moment_of(rows, (), shelf, moment, ZONE).standing

    assert standing(datetime(2027, 2, 9, 12, 30, tzinfo=UTC)) is Standing.FREE  # Tuesday in Tết, 19:30
    assert standing(datetime(2027, 2, 9, 15, 30, tzinfo=UTC)) is Standing.REST
    assert standing(datetime(2027, 3, 9, 12, 30, tzinfo=UTC)) is Standing.STUDY
    assert standing(datetime(2027, 3, 9, 15, 30, tzinfo=UTC)) is Standing.FREE


async def test_exam_rows_wait_for_their_days(services: Services, family: Family, act: Act) -> None:
    """Without dates an exam's row does nothing; with them the gateway's file says on which days; both pass the gateway's own reader."""
    row = Hours(Days.EXAM, "06:00", "22:00", HoursEffect.STUDY)
    shelf = services.shelves.current()
    assert schedule_of([row], shelf) == []
    async with services.database.write() as connection:
        await set_hours(connection, act, family.bi.id, [row])
        await add_dates(connection, act, DatesKind.EXAM, "Thi học kỳ", date(2026, 12, 21), date(2026, 12, 23))
        rows = await read_rows(connection, family.tenant, act.now)
    document = cut(rows, shelf, ())
    (written,) = [one["schedule"] for one in document["profiles"] if one["id"] == family.bi.id]
    assert [one["dates"] for one in written] == [[{"from": "2026-12-21", "to": "2026-12-23"}]]
    parse_policy_file(document, shelf.catalogue)
    async with services.database.write() as connection:
        (own,) = await list_dates(connection, family.tenant)
        await remove_dates(connection, act, own.id)
        assert await list_dates(connection, family.tenant) == []


async def test_dates_that_make_no_sense_are_refused(services: Services, family: Family, act: Act) -> None:
    """Backwards, or half a year long."""
    last = date(2026, 12, 1)
    for first, code in ((date(2026, 12, 2), "dates_backwards"), (date(2026, 1, 1), "dates_long")):
        with pytest.raises(InvalidInput) as caught:
            async with services.database.write() as connection:
                await add_dates(connection, act, DatesKind.EXAM, "", first, last)
        assert caught.value.mistakes[0].code == code


def test_own_summer_takes_the_place_of_the_proposed_one() -> None:
    """The province's dates win over the calendar's for that year alone."""
    shelf = read_shipped()
    own = Dates("x", DatesKind.SUMMER, "", date(2027, 6, 10), date(2027, 8, 20))
    summers = with_dates(shelf, [own]).summers
    assert [span for span in summers if span[0].year == 2027] == [(date(2027, 6, 10), date(2027, 8, 20))]
    assert [span for span in summers if span[0].year == 2026] == [span for span in shelf.summers if span[0].year == 2026]
    assert with_dates(shelf, []) is shelf
