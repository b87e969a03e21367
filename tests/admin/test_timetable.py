"""Timetables: lines as people type them, breaks joined or open, nothing in holidays and summer."""

from __future__ import annotations

from datetime import date

import pytest

from admin.catalogue import read_shipped
from admin.hours import Hours, paint_week, schedule_of
from admin.timetable import day_names, read_timetable, rows_of, write_timetable
from admin.values import WEEKDAYS, Days, HoursEffect
from gateway.policy.reading import Reading
from gateway.policy.schedule import parse_window

SHELF = read_shipped()
TEXT = "T2-T6 7:00-7:45, 7h50-8h35 9:00–9:45 13:30-16:00\nT7 7:00-9:30"
NAMES = dict(zip(WEEKDAYS, ("T2", "T3", "T4", "T5", "T6", "T7", "CN"), strict=True))


def test_breaks_are_like_lessons_and_noon_is_free() -> None:
    """Five and twenty-five minutes are breaks; from a quarter to ten until half past one nobody has lessons."""
    rows = rows_of(read_timetable(TEXT), HoursEffect.REST, breaks_open=False)
    assert [(row.starts, row.ends) for row in rows if row.days is Days.MON] == [("07:00", "09:45"), ("13:30", "16:00")]
    assert [(row.starts, row.ends) for row in rows if row.days is Days.SAT] == [("07:00", "09:30")]
    assert not [row for row in rows if row.days is Days.SUN]


def test_open_breaks_leave_each_lesson_its_own_window() -> None:
    """Twenty-one lessons in the week, and the minutes between them are open."""
    rows = rows_of(read_timetable(TEXT), HoursEffect.STUDY, breaks_open=True)
    assert len(rows) == 21
    monday = paint_week(rows, SHELF, date(2026, 10, 12), 5)[0]
    assert monday[7 * 12] is HoursEffect.STUDY
    assert monday[7 * 12 + 9] is None
    assert monday[8 * 12] is HoursEffect.STUDY


@pytest.mark.parametrize(
    "line",
    ["T2", "7:00-7:45", "T9 7:00-7:45", "T6-T2 7:00-7:45", "T2 7:00", "T2 7:00-25:00", "T2 8:00-7:00", "T2 7:00-7:45 toán", "<b> 7-8"],
)
def test_lines_that_cannot_be_read_are_told(line: str) -> None:
    """Nothing is guessed: the line comes back."""
    found = read_timetable(f"{line}\nT3 7:00-8:00")
    assert found.faults == [line]
    assert set(found.lessons) == {Days.TUE}


@pytest.mark.parametrize("language", ["vi", "en", "hmn"])
def test_what_is_written_is_read_again_in_every_language(language: str) -> None:
    """Opening the page and saving it changes nothing, whatever the reader's language."""
    rows = rows_of(read_timetable(TEXT), HoursEffect.REST, breaks_open=True)
    again = read_timetable(write_timetable(rows, day_names(language)))
    assert again.faults == []
    assert rows_of(again, HoursEffect.REST, breaks_open=True) == rows


def test_timetable_is_written_as_it_is_read() -> None:
    """Days with the same lessons share a line, in the reader's words."""
    rows = rows_of(read_timetable("mon, wed 7:00-8:00\nTue 7:00-8:00\ncn 9-10"), HoursEffect.REST, breaks_open=True)
    text = write_timetable(rows, NAMES)
    assert text == "T2-T4 07:00-08:00\nCN 09:00-10:00"
    assert rows_of(read_timetable(text), HoursEffect.REST, breaks_open=True) == rows


def test_no_lessons_on_holidays_and_in_summer() -> None:
    """The windows are dated around Tết and summer, and the gateway's own reader takes them."""
    rows = [Hours(Days.WED, "07:00", "11:00", HoursEffect.REST)]
    reading = Reading()
    (window,) = [parse_window(one, "x", reading, SHELF.catalogue.codes) for one in schedule_of(rows, SHELF)]
    assert reading.mistakes == []
    assert window is not None
    assert window.owns(date(2026, 10, 14))
    assert not window.owns(date(2026, 7, 15))
    first, last = next(span for span in SHELF.holidays if (span[1] - span[0]).days >= 6)
    days = [date.fromordinal(day) for day in range(first.toordinal(), last.toordinal() + 1)]
    assert not any(window.owns(day) for day in days)
    assert any(day.weekday() == 2 for day in days)
