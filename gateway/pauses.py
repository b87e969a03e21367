"""Garbage collection: taken out of the query path of a worker (small, often, measured), and put off while much is loaded.

Automatic collection is off: it would stop every client for tens of milliseconds at moments nobody chose. What lives long is frozen out of
sight. New objects are looked through once a few thousand have gathered, which takes well under a millisecond, and what outlived that once
more after a few such looks: connections live for seconds and would else be missed. Everything is looked through when hardly anybody asks,
at the latest after some hours.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SMALL_STEP = 4000
MIDDLE_STEP = 4  # small steps
CHECK_SECONDS = 0.05
FULL_SECONDS = 600.0
LATEST_SECONDS = 4 * 3600.0
QUIET_QUERIES = 50


@contextmanager
def collection_put_off() -> Iterator[None]:
    """Collect nothing meanwhile: what is loaded stays, and looking through it again and again would take most of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class Collector:
    """Decides when to collect. Times are monotonic seconds; `observe(seconds)` hears how long each pause was."""

    def __init__(self, observe: Callable[[float], None], now: float) -> None:
        self._observe = observe
        self._full_at = now

    def start(self) -> None:
        """Everything loaded so far is here to stay: collect once, freeze, switch automatic collection off."""
        gc.disable()
        gc.collect()
        gc.freeze()

    def step(self, now: float, queries: int) -> None:
        """Called every `CHECK_SECONDS`; `queries` is what came in during the last second."""
        if gc.get_count()[0] >= SMALL_STEP:
            self._collect(0 if gc.get_count()[1] < MIDDLE_STEP else 1)
        quiet = queries < QUIET_QUERIES and now - self._full_at >= FULL_SECONDS
        if quiet or now - self._full_at >= LATEST_SECONDS:
            self._full_at = now
            self._collect(2)

    def _collect(self, generation: int) -> None:
        started = time.perf_counter()
        gc.collect(generation)
        self._observe(time.perf_counter() - started)
