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
