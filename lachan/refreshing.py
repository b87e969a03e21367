"""Fetching subscriptions when they are due, beside a running gateway. Only `lachan` imports this module.

A process of its own that sleeps nearly always. Each round runs `lachan prepare --fetch --commit` as a child, so that the memory of a
compilation is given back, and nothing that goes wrong with a list can touch the gateway.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

from gateway.clock import WallClock
from gateway.errors import LachanError
from lachan.lastgood import load_or_last_good

log = logging.getLogger(__name__)

SHORTEST = 10.0
LONGEST = 3600.0
AFTER_FAILURE = 300.0
MOST_REASON = 8000
"""Letters of a reason that go into the log; a settings file may have many mistakes, each in two languages."""
LOOK = 5.0
"""Seconds between two looks at the configuration file."""


def refresh_for_ever(path: Path) -> int:
    """Fetch what is due, sleep until the next is or until the configuration file changes. Ends only by a signal."""
    while True:
        seen = version_of(path)
        sleep_until_due(path, seen, wait_after(refresh_once(path), path))


def sleep_until_due(path: Path, seen: tuple[int, int], seconds: float) -> None:
    """Sleep, but wake soon after the configuration file has another version than the one seen: a new list wants to be fetched."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and version_of(path) == seen:
        time.sleep(min(left, LOOK))


def version_of(path: Path) -> tuple[int, int]:
    """What changes when a file is written: its time and size; zeros while it is not there."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def refresh_once(path: Path) -> bool:
    """One round in a child process; whether it went well."""
    command = [sys.executable, "-m", "lachan", "prepare", "--fetch", "--commit", "-c", str(path)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        log.warning("refreshing the lists failed", extra={"event": "lists.failed", "reason": reason_in(done.stderr)})
    return done.returncode == 0


def reason_in(written: bytes) -> str:
    """What a child wrote to standard error, for one line of the log: whole, or its first and last lines when there is very much of it."""
    text = written.decode("utf-8", "replace").strip()
    if len(text) <= MOST_REASON:
        return text
    half = MOST_REASON // 2
    first, last = text[:half], text[-half:]
    return "\n".join([first.rpartition("\n")[0] or first, "…", last.partition("\n")[2] or last])


def wait_after(went_well: bool, path: Path) -> float:
    """How long to sleep now (seconds): until the next list is due, a while after a failure."""
    from blocklists.jobs import next_due

    if not went_well:
        return AFTER_FAILURE
    try:
        now = WallClock.from_environment(os.environ).now()
        due = next_due(load_or_last_good(path)[0].lists, now)
    except LachanError:
        return AFTER_FAILURE
    return min(max(due - now, SHORTEST), LONGEST)
