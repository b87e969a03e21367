"""The wall clock and its test clock."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from gateway.clock import JumpWatch, WallClock, offset_of
from gateway.errors import StartError


def test_clock_without_a_file_is_the_system_clock() -> None:
    """No variable: real time, and polling does nothing."""
    clock = WallClock.from_environment({})
    assert clock.now() == pytest.approx(time.time(), abs=1)
    assert not clock.is_test
    assert clock.poll() is False


@pytest.mark.parametrize(
    ("text", "anchor", "shown"),
    [
        ("+3600", 1000.0, 4600.0),
        ("-60.5", 1000.0, 939.5),
        ("2026-09-01T21:30", 0.0, 1788273000.0),
        ("2026-09-01T21:30:00+07:00", 5.0, 1788273000.0),
        ("2026-09-01T14:30:00Z", 5.0, 1788273000.0),
    ],
)
def test_offset_makes_the_clock_show_the_text_at_the_anchor(text: str, anchor: float, shown: float) -> None:
    """An offset moves, a time sets; a time without a zone is Viet Nam time."""
    assert anchor + offset_of(text, anchor) == pytest.approx(shown)


@pytest.mark.parametrize("text", ["tomorrow", "3600", "+1e9", "2026-13-01", "+" + "9" * 40])
def test_offset_of_other_text_is_refused(text: str) -> None:
    """Neither form: ValueError, never a guess."""
    with pytest.raises(ValueError):
        offset_of(text, 0.0)


def test_clock_follows_the_file_and_runs_on(tmp_path: Path) -> None:
    """A rewritten file moves the clock once; between two writes time passes."""
    file = tmp_path / "clock"
    file.write_text("2026-09-01T21:30")
    clock = WallClock(file)
    assert clock.now() == pytest.approx(1788273000, abs=2)
    first = clock.now()
    time.sleep(0.02)
    assert clock.now() > first
    file.write_text("2026-09-01T22:30")
    os.utime(file)
    assert clock.poll() is True
    assert clock.now() == pytest.approx(1788276600, abs=2)
    assert clock.poll() is False


def test_clock_of_an_old_file_starts_at_the_start_of_the_program(tmp_path: Path) -> None:
    """A file written long ago sets the clock as of now, not as of when it was written."""
    file = tmp_path / "clock"
    file.write_text("2026-09-01T21:30")
    os.utime(file, (time.time() - 86400, time.time() - 86400))
    assert WallClock(file).now() == pytest.approx(1788273000, abs=2)


def test_unreadable_file_keeps_the_last_offset(tmp_path: Path) -> None:
    """A file that vanishes, is empty or holds nonsense changes nothing."""
    file = tmp_path / "clock"
    file.write_text("+3600")
    clock = WallClock(file)
    for spoil in (lambda: file.write_text("nonsense"), lambda: file.write_text(""), file.unlink):
        spoil()
        assert clock.poll() is False
        assert clock.now() == pytest.approx(time.time() + 3600, abs=1)


def test_root_must_say_it_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root is refused with the remedy; with the second variable, or as another user, it works."""
    file = tmp_path / "clock"
    file.write_text("+60")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(StartError, match="LACHAN_TEST_CLOCK_AS_ROOT=1"):
        WallClock.from_environment({"LACHAN_TEST_CLOCK": str(file)})
    assert WallClock.from_environment({"LACHAN_TEST_CLOCK": str(file), "LACHAN_TEST_CLOCK_AS_ROOT": "1"}).is_test
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert WallClock.from_environment({"LACHAN_TEST_CLOCK": str(file)}).is_test


def test_clock_jump_is_noticed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step of the wall clock counts, drift does not."""
    watch = JumpWatch()
    real = time.time()
    monkeypatch.setattr(time, "time", lambda: real + 1.0)
    assert watch.check() == 0.0
    monkeypatch.setattr(time, "time", lambda: real + 3601.0)
    assert watch.check() == pytest.approx(3600, abs=1)
    assert watch.check() == 0.0


def test_steps_that_are_small_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is put back a second again and again was put back all the same."""
    watch = JumpWatch()
    real = time.time()
    monkeypatch.setattr(time, "time", lambda: real - 1.5)
    assert watch.check() == 0.0
    monkeypatch.setattr(time, "time", lambda: real - 3.0)
    assert watch.check() == pytest.approx(-3, abs=1)


def test_machine_whose_clock_is_set_moved_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ahead or back, also without a test clock, and told once."""
    clock = WallClock()
    real = time.time
    for step in (-86400.0, 50 * 86400.0):
        monkeypatch.setattr(time, "time", lambda step=step: real() + step)
        assert clock.poll() is True
        assert clock.poll() is False
