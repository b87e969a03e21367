"""Garbage collection of a worker."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from gateway import pauses
from gateway.pauses import Collector, collection_put_off


@pytest.fixture(autouse=True)
def restore_collection() -> Iterator[None]:
    """The interpreter as it was."""
    yield
    gc.unfreeze()
    gc.enable()


class Cycle:
    def __init__(self) -> None:
        self.me = self


def test_start_freezes_and_switches_automatic_collection_off() -> None:
    """Nothing is collected at a moment nobody chose."""
    Collector(lambda seconds: None, 0.0).start()
    assert not gc.isenabled()
    assert gc.get_freeze_count() > 1000


def test_small_steps_are_taken_when_enough_gathered_and_measured() -> None:
    """Few new objects: no pause; many: one short pause that is told."""
    seen: list[float] = []
    collector = Collector(seen.append, 0.0)
    collector.start()
    collector.step(1.0, queries=1000)
    assert seen == []
    kept = [Cycle() for _ in range(pauses.SMALL_STEP + 10)]
    collector.step(2.0, queries=1000)
    assert len(seen) == 1
    assert 0 <= seen[0] < 0.5
    del kept


def test_what_lived_for_seconds_is_collected_without_a_full_look() -> None:
    """A connection that ended after one small step is gone after a few more, however busy the worker is."""
    collector = Collector(lambda seconds: None, 0.0)
    collector.start()
    connection = Cycle()
    gone = weakref.ref(connection)
    for step in range(1, 3 * pauses.MIDDLE_STEP):
        kept = [Cycle() for _ in range(pauses.SMALL_STEP + 10)]
        collector.step(float(step), queries=1000)
        if step == 1:
            del connection
        del kept
    assert gone() is None


@pytest.mark.parametrize(("now", "queries", "expected"), [(100.0, 0, 0), (601.0, 0, 1), (601.0, 1000, 0), (15_000.0, 1000, 1)])
def test_full_collection_waits_for_a_quiet_moment(now: float, queries: int, expected: int) -> None:
    """A full look happens when hardly anybody asks, at the latest after four hours."""
    seen: list[float] = []
    collector = Collector(seen.append, 0.0)
    collector.start()
    collector.step(now, queries)
    assert len(seen) == expected


def test_collection_is_put_off_while_much_is_loaded_and_as_it_was_afterwards() -> None:
    """Also when loading fails; in a worker, where it is off, it stays off."""
    with pytest.raises(ValueError, match="broken"), collection_put_off():
        assert not gc.isenabled()
        raise ValueError("broken")
    assert gc.isenabled()
    gc.disable()
    with collection_put_off():
        pass
    assert not gc.isenabled()
