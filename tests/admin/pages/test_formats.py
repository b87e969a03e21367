"""Dates, times and numbers as people read them, on the clock of the place."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from admin.pages.formats import Formats
from admin.pages.words import load_words

WORDS = load_words()
NOW = datetime(2026, 10, 12, 12, 30, tzinfo=UTC)
VI = Formats(WORDS["vi"], "Asia/Ho_Chi_Minh", NOW)
EN = Formats(WORDS["en"], "Asia/Ho_Chi_Minh", NOW)


def test_number_has_the_separator_of_the_language() -> None:
    """1.234 for a Vietnamese reader, 1,234 for an English one."""
    assert (VI.number(1234), EN.number(1234)) == ("1.234", "1,234")


def test_clock_is_that_of_the_place() -> None:
    """Half past twelve in UTC is half past seven in the evening at home."""
    assert VI.clock(NOW) == "19:30"
    assert VI.machine(NOW) == "2026-10-12T19:30:00+07:00"


@pytest.mark.parametrize(
    ("days", "vietnamese", "english"),
    [(0, "hôm nay", "today"), (1, "ngày mai", "tomorrow"), (-1, "hôm qua", "yesterday"), (7, "thứ Hai, 19/10/2026", "Mon, Oct 19, 2026")],
)
def test_day_is_near_or_dated(days: int, vietnamese: str, english: str) -> None:
    """Near days have names; others their weekday and date as written in the country."""
    moment = NOW + timedelta(days=days)
    assert (VI.day(moment), EN.day(moment)) == (vietnamese, english)
    assert VI.day(date(2026, 10, 12)) == "hôm nay"


def test_day_changes_at_the_places_midnight() -> None:
    """23:30 at home is still today, though in UTC it is the same date in the afternoon."""
    assert VI.day(datetime(2026, 10, 12, 16, 59, tzinfo=UTC)) == "hôm nay"
    assert VI.day(datetime(2026, 10, 12, 17, 1, tzinfo=UTC)) == "ngày mai"


@pytest.mark.parametrize(
    ("gap", "text"),
    [
        (timedelta(seconds=20), "1 phút"),
        (timedelta(minutes=43), "43 phút"),
        (timedelta(minutes=60), "1 giờ"),
        (timedelta(minutes=125), "2 giờ 5 phút"),
        (timedelta(days=3, hours=2), "3 ngày"),
        (timedelta(minutes=-5), "0 phút"),
    ],
)
def test_left_counts_up_to_the_next_minute(gap: timedelta, text: str) -> None:
    """A countdown never says zero while there is time left."""
    assert VI.left(NOW + gap) == text


@pytest.mark.parametrize(
    ("gap", "text"),
    [
        (timedelta(seconds=59), "vừa xong"),
        (timedelta(seconds=119), "1 phút trước"),
        (timedelta(hours=3), "3 giờ trước"),
        (timedelta(seconds=-10), "vừa xong"),
    ],
)
def test_ago_counts_whole_minutes(gap: timedelta, text: str) -> None:
    """What was seen a minute and a half ago was seen one minute ago."""
    assert VI.ago(NOW - gap) == text


def test_until_names_the_day_only_when_it_is_far() -> None:
    """Six in the morning needs no date tonight; next week does."""
    assert VI.until(NOW + timedelta(hours=11)) == "06:30"
    assert VI.until(NOW + timedelta(days=4)) == "19:30 thứ Sáu, 16/10/2026"
