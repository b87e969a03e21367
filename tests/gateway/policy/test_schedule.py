"""Windows of the week: by example, and against an oracle that looks at every minute of the wall clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfoNotFoundError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.policy.model import NEVER
from gateway.policy.reading import Reading
from gateway.policy.schedule import DEFAULT_ZONE, Effect, Window, active, inactive_from, is_zone, next_boundary, parse_window, zone_of
from tests.support import plainrules
from tests.support.strategies import moments, windows


def window(**row: Any) -> Window:
    """A window without mistakes."""
    reading = Reading()
    found = parse_window({"name": "w", "effect": "offline", **row}, "schedule[0]", reading)
    assert found is not None, reading.mistakes
    return found


def at(text: str) -> float:
    """An ISO moment, in Viet Nam's time when it has no offset."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC) - timedelta(hours=7)).timestamp()


@pytest.mark.parametrize(
    ("row", "moment", "expected"),
    [
        ({"from": "21:00", "to": "06:00"}, "2026-03-04T20:59:59", False),
        ({"from": "21:00", "to": "06:00"}, "2026-03-04T21:00:00", True),
        ({"from": "21:00", "to": "06:00"}, "2026-03-05T05:59:59", True),
        ({"from": "21:00", "to": "06:00"}, "2026-03-05T06:00:00", False),
        ({"from": "21:00", "to": "06:00", "days": ["fri"]}, "2026-03-07T03:00:00", True),
        ({"from": "21:00", "to": "06:00", "days": ["fri"]}, "2026-03-06T03:00:00", False),
        ({"from": "21:00", "to": "06:00", "days": ["sun"]}, "2026-03-02T03:00:00", True),
        ({"from": "18:00", "to": "24:00"}, "2026-03-04T23:59:59", True),
        ({"from": "18:00", "to": "24:00"}, "2026-03-05T00:00:00", False),
        ({"from": "18:00", "to": "00:00"}, "2026-03-04T23:59:59", True),
        ({"from": "18:00", "to": "00:00"}, "2026-03-05T00:00:00", False),
        ({"from": "00:00", "to": "24:00", "days": ["wed"]}, "2026-03-04T00:00:00", True),
        ({"dates": [{"from": "2026-06-01", "to": "2026-08-31"}]}, "2026-08-31T23:59:00", True),
        ({"dates": [{"from": "2026-06-01", "to": "2026-08-31"}]}, "2026-09-01T00:00:00", False),
        ({"from": "21:00", "to": "06:00", "dates": [{"from": "2026-06-01", "to": "2026-06-01"}]}, "2026-06-02T05:00:00", True),
        ({"from": "21:00", "to": "06:00", "dates": [{"from": "2026-06-01", "to": "2026-06-01"}]}, "2026-06-01T05:00:00", False),
        ({"days": ["mon"], "dates": [{"from": "2026-03-04", "to": "2026-03-04"}]}, "2026-03-04T12:00:00", False),
        ({"from": "07:00", "to": "17:00", "time_zone": "UTC"}, "2026-03-04T12:00:00", False),
        ({"from": "07:00", "to": "17:00", "time_zone": "UTC"}, "2026-03-04T14:00:00", True),
    ],
)
def test_window_is_active_by_the_wall_clock_of_its_zone(row: dict[str, Any], moment: str, expected: bool) -> None:
    """Ends are exclusive, the day of `from` owns the night, 24:00 ends a day, dates are inclusive and belong to the owning day."""
    assert window(**row).is_active(at(moment)) is expected


def test_window_without_a_zone_takes_the_places(tmp_path: object) -> None:
    """The zone of the place counts where the window names none."""
    row = window(**{"from": "07:00", "to": "08:00"})
    assert [row.is_active(at("2026-03-04T07:30:00+01:00"), zone) for zone in ("Europe/Paris", DEFAULT_ZONE)] == [True, False]


def test_window_over_an_hour_that_comes_twice_holds_both_times() -> None:
    """When clocks go back, 02:00 to 03:00 is on the wall twice, and the window holds twice."""
    row = window(**{"from": "02:00", "to": "03:00", "time_zone": "Europe/Paris"})
    hours = ["2026-10-25T01:30:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "2026-10-25T03:30:00+01:00"]
    assert [row.is_active(at(hour)) for hour in hours] == [False, True, True, False]


def test_window_over_an_hour_that_is_skipped_never_shows() -> None:
    """When clocks go forward, 02:00 to 03:00 is not on the wall; a longer window around it goes on."""
    night = window(**{"from": "22:00", "to": "06:00", "time_zone": "Europe/Paris"})
    skipped = window(**{"from": "02:00", "to": "03:00", "time_zone": "Europe/Paris"})
    before, after = at("2026-03-29T01:59:00+01:00"), at("2026-03-29T03:00:00+02:00")
    assert [night.is_active(before), night.is_active(after)] == [True, True]
    assert [skipped.is_active(before), skipped.is_active(after)] == [False, False]


@settings(deadline=None, max_examples=150)
@given(windows(), moments)
def test_window_agrees_with_an_oracle_minute_by_minute(row: dict[str, Any], start: float) -> None:
    """For any window and any half day, every minute is on or off as the wall clock says."""
    found = window(**row)
    for minute in range(0, 720, 7):
        now = start + minute * 60
        assert found.is_active(now) is plainrules.is_on(row, now, DEFAULT_ZONE)


@settings(deadline=None, max_examples=150)
@given(st.lists(windows(), min_size=1, max_size=3), moments)
def test_next_boundary_lets_no_change_pass(rows: list[dict[str, Any]], start: float) -> None:
    """From a moment to its next boundary nothing begins or ends; boundaries move on and are at most about a day ahead."""
    found = [window(**row) for row in rows]
    now = start
    for _ in range(3):
        boundary = next_boundary(found, now)
        assert now < boundary <= now + 26 * 3600
        state = active(found, now)
        step = max(60.0, (boundary - now) / 40)
        inner = now
        while inner < boundary:
            assert active(found, inner) == state
            inner += step
        assert active(found, boundary - 0.001) == state
        now = boundary


@settings(deadline=None, max_examples=60)
@given(windows())
def test_next_boundary_around_clock_changes_lets_no_change_pass(row: dict[str, Any]) -> None:
    """The same on the days when clocks change, minute by minute."""
    found = [window(**{**row, "dates": []})]
    for day in ("2026-03-08", "2026-03-29", "2026-10-25", "2026-11-01", "2026-04-05", "2026-10-04"):
        now = at(f"{day}T00:00:00+00:00") - 6 * 3600
        end = now + 30 * 3600
        boundary, state = next_boundary(found, now), active(found, now)
        while now < end:
            if now >= boundary:
                boundary, state = next_boundary(found, now), active(found, now)
            assert active(found, now) == state
            now += 300


def test_next_boundary_without_windows_never_comes() -> None:
    """A profile without windows is never resolved again."""
    assert next_boundary([], at("2026-03-04T00:00:00")) == NEVER


def test_inactive_from_says_when_it_opens_again() -> None:
    """The block page may say when: through back-to-back windows, now when nothing is on, None when it never opens."""
    now = at("2026-03-04T22:00:00")
    night = [window(**{"from": "21:00", "to": "24:00"}), window(**{"from": "00:00", "to": "06:00"})]
    assert inactive_from(night, now) == at("2026-03-05T06:00:00")
    assert inactive_from(night, at("2026-03-04T12:00:00")) == at("2026-03-04T12:00:00")
    assert inactive_from([window(**{"from": "00:00", "to": "24:00"})], now) is None


@pytest.mark.parametrize(
    ("effect", "expected"),
    [
        ("offline", Effect("offline")),
        ({"block": ["game", "video"]}, Effect("block", frozenset({"game", "video"}))),
        ({"only": ["edu"]}, Effect("only", frozenset({"edu"}))),
    ],
)
def test_effect_is_read(effect: object, expected: Effect) -> None:
    """The three effects."""
    assert window(effect=effect).effect == expected


@pytest.mark.parametrize(
    ("row", "paths"),
    [
        ({"from": "25:00"}, ["s.from"]),
        ({"from": "24:00"}, ["s.from"]),
        ({"from": 21, "to": "6:00"}, ["s.from", "s.to"]),
        ({"from": "21:00", "to": "21:00"}, ["s.to"]),
        ({"from": "00:00", "to": "00:00"}, ["s.to"]),
        ({"days": ["monday", "tue"]}, ["s.days[0]"]),
        ({"days": "mon"}, ["s.days"]),
        ({"dates": [{"from": "2026-13-01", "to": "2026-01-01"}]}, ["s.dates[0].from", "s.dates[0].to"]),
        ({"dates": [{"from": "2026-02-01", "to": "2026-01-01"}]}, ["s.dates[0].to"]),
        ({"dates": [{"from": "2026-02-01"}]}, ["s.dates[0].to", "s.dates[0].to"]),
        ({"time_zone": "Asia/Hanoi"}, ["s.time_zone"]),
        ({"time_zone": "../../etc/passwd"}, ["s.time_zone"]),
        ({"effect": "off"}, ["s.effect"]),
        ({"effect": {"block": []}}, ["s.effect.block"]),
        ({"effect": {"block": ["gmae"]}}, ["s.effect.block[0]"]),
        ({"effect": {"block": ["game"], "only": ["edu"]}}, ["s.effect"]),
        ({"effect": None}, ["s.effect"]),
        ({"form": "21:00"}, ["s.form"]),
    ],
)
def test_window_with_mistakes_names_each_with_its_path(row: dict[str, Any], paths: list[str]) -> None:
    """A window with a mistake is not used; every mistake has its path."""
    reading = Reading()
    assert parse_window({"name": "w", "effect": "offline", **row}, "s", reading, frozenset({"game", "edu"})) is None
    assert [mistake.path for mistake in reading.mistakes] == paths


def test_zone_names() -> None:
    """Only names of the zone database are zones."""
    assert [is_zone(name) for name in ("Asia/Ho_Chi_Minh", "UTC", "Hanoi", "", "/etc/localtime", "Asia")] == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]


def test_viet_nams_zone_needs_no_zone_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine without zone files windows still hold at their hour in Viet Nam; other zones are then unknown."""

    def missing(name: str) -> None:
        raise ZoneInfoNotFoundError(name)

    zone_of.cache_clear()
    monkeypatch.setattr("gateway.policy.schedule.ZoneInfo", missing)
    try:
        night = window(**{"from": "21:00", "to": "06:00"})
        assert [night.is_active(at(moment)) for moment in ("2026-03-04T20:59:00", "2026-03-04T21:00:00")] == [False, True]
        assert next_boundary([night], at("2026-03-04T12:00:00")) == at("2026-03-04T21:00:00")
        assert not is_zone("Europe/Paris")
    finally:
        zone_of.cache_clear()
