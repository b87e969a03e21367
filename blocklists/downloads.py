"""Several lists fetched side by side, each with its own end in time. `blocklists.jobs` imports this module.

A server that sends one byte a minute must hold up nothing but its own list, so every download has a thread that is left behind when its
time is over. Threads write to files of their own; only a finished one is taken.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from blocklists.fetch import Fetched, Fetcher, Validators
from gateway.errors import FetchError

AT_ONCE: Final = 4
"""Downloads side by side."""

GRACE: Final = 5.0
"""Seconds beyond a download's own bound until its thread is given up."""


@dataclass(frozen=True, slots=True)
class Download:
    """One list to fetch: to which file, and what is known of the copy at hand."""

    id: str
    url: str
    target: Path
    validators: Validators


Outcome = Fetched | FetchError


def fetch_all(fetcher: Fetcher, wanted: Sequence[Download], on_done: Callable[[str], None], grace: float = GRACE) -> dict[str, Outcome]:
    """Fetch every list; `on_done` hears of each id. Never raises for a list: its outcome is the error."""
    waiting = list(reversed(wanted))
    running: dict[str, float] = {}
    results: queue.SimpleQueue[tuple[str, Outcome]] = queue.SimpleQueue()
    outcomes: dict[str, Outcome] = {}
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            item = waiting.pop()
            running[item.id] = time.monotonic()
            threading.Thread(target=_fetch, args=(fetcher, item, results), name=f"fetch {item.id}", daemon=True).start()
        try:
            done, outcome = results.get(timeout=min(1.0, grace))
        except queue.Empty:
            late = [id_ for id_, since in running.items() if time.monotonic() - since > fetcher.limits.total_time + grace]
            if not late:
                continue
            done, outcome = late[0], FetchError("time", "tải quá lâu", "the download took too long")
        if running.pop(done, None) is not None:
            outcomes[done] = outcome
            on_done(done)
    return outcomes


def _fetch(fetcher: Fetcher, item: Download, results: queue.SimpleQueue[tuple[str, Outcome]]) -> None:
    try:
        results.put((item.id, fetcher.fetch(item.url, item.target, item.validators)))
    except FetchError as error:
        results.put((item.id, error))
    except Exception as error:  # a thread that ends without a word would hold the others up until its time is over
        results.put((item.id, FetchError("internal", "lỗi khi tải", f"fetching failed: {type(error).__name__}")))
