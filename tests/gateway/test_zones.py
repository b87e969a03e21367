"""What a transfer leaves about its zone, when the zone is due again, and when it is past its own expiry."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.zones import ZoneState, describe, forget_others, read_zone, read_zones, write_zone

STATE = ZoneState("rpz.example", "192.0.2.53:53")
DAY = 86_400
GOOD = STATE.after_success(7, (600, 120, DAY), 3, 1_000_000.0)


def test_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    """By the copy of the zone, and with all others; a damaged one counts as none."""
    copy = tmp_path / "zones" / "rpz.example.zone"
    assert read_zone(tmp_path, copy) is None and read_zones(tmp_path) == []
    write_zone(tmp_path, copy, GOOD)
    assert read_zone(tmp_path, copy) == GOOD and read_zones(tmp_path) == [GOOD]
    copy.with_suffix(".json").write_text('{"format": 1, "name": "rpz.example"}')
    assert read_zone(tmp_path, copy) is None


def test_zone_that_is_not_taken_any_more_is_forgotten(tmp_path: Path) -> None:
    """Its state and its copy go, the others stay."""
    kept, gone = tmp_path / "zones" / "a.zone", tmp_path / "zones" / "b.zone"
    for copy in (kept, gone):
        write_zone(tmp_path, copy, GOOD)
        copy.write_text("zone")
    forget_others(tmp_path, {kept})
    assert sorted(path.name for path in (tmp_path / "zones").iterdir()) == ["a.json", "a.zone"]


def test_failure_keeps_what_is_known_and_counts() -> None:
    """Serial and times stay; the first failure in a row is remembered until one transfer goes well."""
    failed = GOOD.after_failure("key", "no", 1_000_100.0).after_failure("cut", "x" * 900, 1_000_200.0)
    assert (failed.serial, failed.expire, failed.code, failed.failures) == (7, DAY, "cut", 2)
    assert (failed.failing_since, failed.good_at, len(failed.problem)) == (1_000_100, 1_000_000, 500)
    assert GOOD.after_failure("nonsense", "", 0.0).code == "shape"
    again = failed.after_success(8, (600, 120, DAY), None, 1_000_300.0)
    assert (again.code, again.failures, again.failing_since, again.changed_at, again.records) == ("", 0, 0, 1_000_000, 3)


@pytest.mark.parametrize(
    ("state", "least", "most"),
    [
        (STATE, 0, 0),
        (GOOD, 1_000_540, 1_000_600),
        (STATE.after_success(1, (1, 1, 1), 0, 1000.0), 1027, 1030),
        (STATE.after_success(1, (10 * DAY, 1, 1), 0, 1000.0), 1000 + 0.9 * DAY, 1000 + DAY),
        (GOOD.after_failure("cut", "", 1_000_600.0), 1_000_708, 1_000_720),
        (STATE.after_failure("unreachable", "", 1000.0), 1054, 1060),
        (STATE.after_failure("unreachable", "", 0.0).after_failure("unreachable", "", 1000.0), 1108, 1120),
    ],
)
def test_zone_is_due_as_its_soa_record_says(state: ZoneState, least: float, most: float) -> None:
    """After refresh or retry, within bounds, up to a tenth early; one that was never had ever less often."""
    assert least <= state.due_at() <= most


def test_expired_zone_is_said_and_nothing_else() -> None:
    """Past the expiry of its SOA record the document says so, with the age; a zone that was never had has none."""
    assert not GOOD.is_expired(1_000_000.0 + DAY) and GOOD.is_expired(1_000_001.0 + DAY)
    shown = describe(GOOD.after_failure("unreachable", "nobody there", 1_000_500.0), 1_000_002.0 + DAY)
    assert (shown["expired"], shown["age"], shown["code"], shown["serial"]) == (True, DAY + 2, "unreachable", 7)
    never = describe(STATE.after_failure("refused", "no", 5.0), 10.0)
    assert (never["expired"], never["age"], never["serial"], never["good_at"]) == (False, None, None, None)
