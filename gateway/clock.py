"""The wall clock of the product, and the test clock that can move it.

What follows it: schedules, order dates, release expiry, sessions, the journal. What never does: TTLs and time-outs (monotonic clock),
TSIG, TLS, cookies, one-time codes (`time.time`). Any package may import this module.

`LACHAN_TEST_CLOCK=FILE` moves the clock: the file holds an ISO 8601 time (`2026-09-01T21:30`, Viet Nam time unless it names a zone) or
an offset in seconds (`+3600`). The owner of a loop calls `poll` every 100 ms; the file is read again when it changed, and a step of the
machine's own clock (a time service that sets it, a machine that slept) is noticed. From the moment the file
was written the clock runs on from there, the same in every process. A file that cannot be read keeps the last offset.
Because it can open a closed evening, the variable is refused for root, unless `LACHAN_TEST_CLOCK_AS_ROOT=1` stands beside it (test
machines and containers whose only user is root).
"""

from __future__ import annotations

import ctypes
import logging
import os
import re
import sys
import time
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path

from gateway.errors import StartError

VARIABLE = "LACHAN_TEST_CLOCK"
AS_ROOT_VARIABLE = "LACHAN_TEST_CLOCK_AS_ROOT"
POLL_SECONDS = 0.1
VIET_NAM = timezone(timedelta(hours=7))  # one zone, no summer time

JUMP_SECONDS = 2.0

_OFFSET = re.compile(r"[+-]\d{1,10}(\.\d{1,6})?")
_MOST_BYTES = 100
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised

log = logging.getLogger(__name__)


class JumpWatch:
    """Notices steps of the machine's wall clock against its monotonic one; steps that are small add up until they count."""

    def __init__(self) -> None:
        self._gap = time.time() - time.monotonic()

    def check(self) -> float:
        """Seconds the wall clock stepped since the last step that was told, 0.0 for less than `JUMP_SECONDS`."""
        step = time.time() - time.monotonic() - self._gap
        if abs(step) < JUMP_SECONDS:
            return 0.0
        self._gap += step
        return step


class WallClock:
    """Wall time in unix seconds. Made once before processes are forked, so that all of them agree."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.offset = 0.0
        self._started = time.time()
        self._seen: tuple[int, int, int] | None = None
        self._complained = ""
        self._jumps = JumpWatch()
        self.poll()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> WallClock:
        """The clock this environment asks for; raises StartError when root asks for a test clock without saying so twice."""
        text = environment.get(VARIABLE, "")
        if not text:
            return cls()
        if os.geteuid() == 0 and environment.get(AS_ROOT_VARIABLE) != "1":
            raise StartError(
                f"{VARIABLE} moves every schedule and is refused for root: unset it, run as another user, "
                f"or set {AS_ROOT_VARIABLE}=1 on a machine used only for tests"
            )
        clock = cls(Path(text).absolute())
        log.warning("test clock on", extra={"event": "clock.test", "offset": round(clock.offset, 3), "variable": VARIABLE})
        return clock

    @property
    def is_test(self) -> bool:
        """Whether a file moves this clock."""
        return self.path is not None

    def now(self) -> float:
        """Unix seconds. No input or output: the file is read by `poll` only."""
        return time.time() + self.offset

    def poll(self) -> bool:
        """True when the clock moved: the machine's own was set, or the file written. Called every `POLL_SECONDS` by the owner of a loop.

        What was worked out for another time, as a policy that holds until bedtime, is then worked out anew.
        """
        was_set = self._jumps.check() != 0
        return self._read() or was_set

    def _read(self) -> bool:
        """Read the file again if it changed; True when that moved the clock."""
        if self.path is None:
            return False
        try:
            status = self.path.stat()
            seen = (status.st_mtime_ns, status.st_size, status.st_ino)
            if seen == self._seen:
                return False
            with self.path.open("rb") as file:
                text = file.read(_MOST_BYTES).decode("ascii", "replace").strip()
        except OSError as error:
            self._complain(error.strerror or "unreadable")
            return False
        if not text:  # caught between truncation and write
            return False
        try:
            offset = offset_of(text, max(status.st_mtime, self._started))
        except ValueError:
            self._seen = seen
            self._complain("neither an ISO time nor an offset")
            return False
        self._seen, self._complained = seen, ""
        moved = abs(offset - self.offset) > 0.0005
        self.offset = offset
        return moved

    def _complain(self, reason: str) -> None:
        if reason != self._complained:
            self._complained = reason
            log.warning("test clock not read", extra={"event": "clock.unreadable", "reason": reason})


def offset_of(text: str, anchor: float) -> float:
    """Seconds to add to the real clock so that it shows `text` at real time `anchor`; ValueError when `text` is neither form."""
    if _OFFSET.fullmatch(text):
        return float(text)
    wanted = datetime.fromisoformat(text)
    if wanted.tzinfo is None:
        wanted = wanted.replace(tzinfo=VIET_NAM)
    return wanted.timestamp() - anchor


def is_synchronised() -> bool | None:
    """Whether the kernel's clock is kept by a time service; None where it may not be asked."""
    if sys.platform != "linux":
        return None
    state = int(ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(512)))  # struct timex, all zero: read only
    return None if state < 0 else state != _TIME_ERROR
