"""What holds now and until when, as a card says it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from admin.catalogue import read_shipped
from admin.hours import Hours
from admin.moment import Standing, moment_of
from admin.overrides import Override
from admin.values import Days, HoursEffect, OverrideKind, ProfileId, TargetKind

SHELF = read_shipped()
ZONE = "Asia/Ho_Chi_Minh"
NOW = datetime(2026, 10, 12, 12, 30, tzinfo=UTC)
NIGHT = Hours(Days.EVERY, "21:00", "06:00", HoursEffect.REST)


def act(kind: OverrideKind, minutes: int) -> Override:
    ends = NOW + timedelta(minutes=minutes)
    return Override("o", ProfileId("p"), kind, NOW - timedelta(minutes=1), ends, None, ((TargetKind.CATEGORY, "game"),))


def test_free_says_what_comes_next() -> None:
    """In the evening before nine: open, rest from nine."""
    found = moment_of([NIGHT], [], SHELF, NOW, ZONE)
    assert (found.standing, found.next_standing) == (Standing.FREE, Standing.REST)
    assert found.next_at == datetime(2026, 10, 12, 14, 0, tzinfo=UTC)


def test_free_without_hours_has_no_next() -> None:
    """Nothing is announced that does not come."""
    found = moment_of([], [], SHELF, NOW, ZONE)
    assert (found.standing, found.until, found.next_at) == (Standing.FREE, None, None)


def test_rest_over_midnight_ends_in_the_morning() -> None:
    """At eleven in the evening: rest until six."""
    found = moment_of([NIGHT], [], SHELF, NOW + timedelta(hours=4), ZONE)
    assert (found.standing, found.until) == (Standing.REST, datetime(2026, 10, 12, 23, 0, tzinfo=UTC))


def test_adjoining_windows_are_one_stretch() -> None:
    """Rest from nine to eleven and from eleven to six is rest until six."""
    rows = [Hours(Days.EVERY, "21:00", "23:00", HoursEffect.REST), Hours(Days.EVERY, "23:00", "06:00", HoursEffect.REST)]
    found = moment_of(rows, [], SHELF, NOW + timedelta(hours=2), ZONE)
    assert found.until == datetime(2026, 10, 12, 23, 0, tzinfo=UTC)


def test_stricter_hours_are_shown() -> None:
    """Where offline and rest overlap, the page says offline and when that ends."""
    rows = [NIGHT, Hours(Days.EVERY, "22:00", "05:00", HoursEffect.OFFLINE)]
    found = moment_of(rows, [], SHELF, NOW + timedelta(hours=4), ZONE)
    assert (found.standing, found.until) == (Standing.OFFLINE, datetime(2026, 10, 12, 22, 0, tzinfo=UTC))


def test_off_by_a_person_comes_before_the_hours() -> None:
    """A parent's press is what the card shows, with its end."""
    found = moment_of([NIGHT], [act(OverrideKind.OFF, 45)], SHELF, NOW, ZONE)
    assert (found.standing, found.until) == (Standing.OFF, NOW + timedelta(minutes=45))
    assert found.by is not None


def test_opened_things_are_listed_beside_the_hours() -> None:
    """During rest, the games that were opened stand beside it; what has ended does not."""
    found = moment_of([NIGHT], [act(OverrideKind.OPEN, 45), act(OverrideKind.EXCEPTION, -1)], SHELF, NOW, ZONE)
    assert len(found.opened) == 1
    assert found.opened_targets == ((TargetKind.CATEGORY, "game"),)


def test_hours_that_join_are_one_rest() -> None:
    """Half an hour into a rest that is written in two parts, midnight is not where the next one begins."""
    rows = [Hours(Days.EVERY, "19:00", "24:00", HoursEffect.REST), Hours(Days.EVERY, "00:00", "06:00", HoursEffect.REST)]
    assert moment_of(rows, [], SHELF, NOW, ZONE).rest_at == datetime(2026, 10, 13, 12, 0, tzinfo=UTC)


def test_a_lesson_of_the_timetable_is_no_rest_time() -> None:
    """What is opened in a class does not close with the bell; the night is where it ends."""
    lesson = Hours(Days.MON, "20:00", "20:45", HoursEffect.STUDY)
    assert moment_of([lesson, NIGHT], [], SHELF, NOW, ZONE).rest_at == datetime(2026, 10, 12, 14, 0, tzinfo=UTC)
    assert moment_of([lesson], [], SHELF, NOW, ZONE).rest_at is None
