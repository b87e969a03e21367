"""A gateway compares what it answers before a list and since: sampled once a round, told once, never from too little."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import ControlError
from lachan import healthcounts
from lachan.healthcounts import FILE, count_health


def test_counts_before_and_since_are_told_after_a_quarter_of_an_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two samples before the list came, and a quarter of an hour since; a restart begins anew; a gateway that is away tells nothing."""
    (tmp_path / "follow").mkdir()
    totals = {"answers": 0, "blocked": 0, "failed": 0}
    monkeypatch.setattr(healthcounts, "ask_now", lambda *_: dict(totals))

    def sample(now: int, serial: int, answers: int, blocked: int, failed: int) -> object:
        totals.update(answers=answers, blocked=blocked, failed=failed)
        return count_health(tmp_path, serial, now)

    assert sample(1000, 1, 5000, 100, 10) is None
    assert sample(1300, 1, 6000, 150, 11) is None
    assert sample(1600, 2, 7000, 200, 12) is None
    assert sample(1900, 2, 8000, 700, 13) is None
    assert sample(2500, 2, 9000, 1200, 14) == ((1000, 50, 1), (2000, 1000, 2))
    assert sample(2800, 2, 10, 1, 1) is None, "counts began anew"
    (tmp_path / FILE).write_text("[[")
    assert sample(3100, 2, 20, 1, 1) is None

    def away(*_: object) -> None:
        raise ControlError("not_running", "nobody there")

    monkeypatch.setattr(healthcounts, "ask_now", away)
    assert count_health(tmp_path, 2, 3400) is None
