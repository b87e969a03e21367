"""Clocks: due rules as documents word them, levels by date, overdue at the right second in Viet Nam time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from blocklists.takedown.deadlines import DueRule, countdown, due_at, is_on_time, level

STARTED = datetime(2026, 9, 1, 1, tzinfo=UTC)


def local(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> datetime:
    """An instant given as the clock on a wall in Viet Nam shows it (UTC+7)."""
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC) - timedelta(hours=7)


def test_before_a_day_is_late_at_midnight_of_that_day() -> None:
    """Due "before 5 Nov": 23:59:59 on 4 Nov is on time, 00:00 on 5 Nov is late."""
    due = due_at(DueRule.BEFORE, date(2026, 11, 5), STARTED)
    assert is_on_time(due, local(2026, 11, 4, 23, 59, 59))
    assert not is_on_time(due, local(2026, 11, 5))


def test_by_a_day_includes_that_day() -> None:
    """Due "by 5 Nov": the whole of 5 Nov is on time."""
    due = due_at(DueRule.BY, date(2026, 11, 5), STARTED)
    assert is_on_time(due, local(2026, 11, 5, 23, 59, 59))
    assert not is_on_time(due, local(2026, 11, 6))


def test_within_hours_and_no_deadline() -> None:
    """Hours run from the start; no rule means never late."""
    assert due_at(DueRule.WITHIN, None, STARTED, 6) == STARTED + timedelta(hours=6)
    assert is_on_time(due_at(DueRule.NONE, None, STARTED), STARTED + timedelta(days=9999))


@pytest.mark.parametrize(("clock", "hours"), [("order", 24), ("order_urgent", 6), ("review", 48)])
def test_countdown_turns_overdue_at_the_minute(clock: str, hours: int) -> None:
    """A clock is overdue exactly when its hours are over, and names its basis."""
    end = STARTED + timedelta(hours=hours)
    assert not countdown(clock, STARTED, end - timedelta(seconds=1)).overdue
    assert countdown(clock, STARTED, end).overdue
    assert countdown(clock, STARTED, end).basis


def test_unknown_clock_is_an_error() -> None:
    """A clock that nobody defined is not silently unlimited."""
    with pytest.raises(KeyError):
        level("none", date(2026, 1, 1))
