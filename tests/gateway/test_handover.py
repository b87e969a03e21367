"""Aggregates on their way to the control plane."""

from __future__ import annotations

import pytest

from gateway import handover
from gateway.handover import Handover


def test_batches_stay_until_they_are_stored() -> None:
    """Fetching again with the same serial gives the same batches; a later serial forgets them."""
    waiting = Handover(100)
    waiting.take([["a", 1]], [], 0)
    waiting.take([["b", 1]], [["n", 1]], 2)
    first = waiting.fetch(0)
    assert [batch["serial"] for batch in first] == [100, 101]
    assert waiting.fetch(0) == first
    assert [batch["counts"] for batch in waiting.fetch(100)] == [[["b", 1]]]
    assert waiting.fetch(101) == []


@pytest.mark.parametrize("first", [5_000, 9_998, 9_999, 10_000, 20_000])
def test_a_start_with_a_clock_that_is_behind_loses_nothing(first: int) -> None:
    """The control plane stored up to 10,000 in an earlier run; the clock stood anywhere when this one began. Every batch arrives once, in
    order, also where the first reply is lost and it asks again."""
    waiting, stored, got = Handover(first), 10_000, []
    for minute in range(5):
        waiting.take([[minute]], [], 0)
        lost = waiting.fetch(stored)
        batches = waiting.fetch(stored)
        assert batches == lost and min(batch["serial"] for batch in batches) > stored
        got += [batch["counts"][0][0] for batch in batches]
        stored = batches[-1]["serial"]
        assert waiting.fetch(stored) == []
    assert got == [0, 1, 2, 3, 4]


def test_a_control_plane_that_came_from_elsewhere_is_served() -> None:
    """A backup was put back while the gateway ran on: its serial is older, or of another machine and newer. Nothing that waits is lost."""
    waiting = Handover(100)
    waiting.take([["a"]], [], 0)
    assert waiting.fetch(waiting.fetch(0)[-1]["serial"]) == []
    for number, stored in enumerate((3, 5_000, 70)):
        waiting.take([[number]], [], 0)
        (batch,) = waiting.fetch(stored)
        assert batch["counts"] == [[number]] and batch["serial"] > stored
        assert waiting.fetch(batch["serial"]) == []


def test_empty_harvests_make_no_batch() -> None:
    """A quiet worker costs nothing."""
    waiting = Handover(1)
    waiting.take([], [], 0)
    assert waiting.fetch(0) == []


def test_what_nobody_fetches_is_bounded_and_its_loss_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go first, and the next batch says how many rows were lost."""
    monkeypatch.setattr(handover, "MOST_ROWS", 3)
    waiting = Handover(1)
    for number in range(5):
        waiting.take([[number], [number]], [], 0)
    kept = waiting.fetch(0)
    assert [batch["counts"][0][0] for batch in kept] == [4]
    assert sum(batch["dropped"] for batch in kept) > 0


def test_reply_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long absence is caught up in several requests."""
    monkeypatch.setattr(handover, "MOST_ROWS_A_REPLY", 3)
    waiting = Handover(1)
    for number in range(5):
        waiting.take([[number], [number]], [], 0)
    stored, rows = 0, 0
    while batches := waiting.fetch(stored):
        assert len(batches) <= 2
        rows += sum(len(batch["counts"]) for batch in batches)
        stored = batches[-1]["serial"]
    assert rows == 10
