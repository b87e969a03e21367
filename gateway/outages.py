"""Noticing that no upstream answers any more, and that one does again. Lives in the supervisor, who has what every worker tells.

A worker that nobody asks knows nothing, and one that was asked last an hour ago knows what was true then. So: nobody answers when a worker
that asked since the last answer came to any of them holds every upstream of names without a route for dead, and that is a while ago.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any, Final

SILENT_SECONDS: Final = 3.0

log = logging.getLogger(__name__)


class OutageWatch:
    """One line in the log when the last upstream is gone, one when one is back; neither names anybody."""

    def __init__(self) -> None:
        self.is_out = False
        self._since = self._heard = float("-inf")
        self._answers = 0
        self._asked: list[int] = []
        """What each worker had asked, in vain or not, when the last answer came."""

    def look(self, workers: Sequence[Iterable[dict[str, Any]]], now: float) -> None:  # Any: rows of `worker.report`
        """`workers`: the upstreams as each worker sees them. `now` in monotonic seconds."""
        rows = [[row for row in worker if row.get("default")] for worker in workers]
        answers = sum(int(row["answered"]) for worker in rows for row in worker)
        asked = [sum(int(row["asked"]) + int(row["failed"]) for row in worker) for worker in rows]
        if answers > self._answers:
            self._heard, self._asked = now, asked
        self._answers = answers
        cut_off = [
            worker
            for number, worker in enumerate(rows)
            if worker and asked[number : number + 1] != self._asked[number : number + 1] and not any(row["up"] for row in worker)
        ]
        is_out = bool(cut_off) and now - self._heard >= SILENT_SECONDS
        if is_out and not self.is_out:
            self._since = now
            why = sorted({f"{row['fault']}: {row['detail']}".removesuffix(": ") for worker in cut_off for row in worker if row["fault"]})
            log.error("no upstream answers: only names used lately resolve", extra={"event": "upstreams.gone", "reasons": why})
        elif self.is_out and not is_out:
            log.warning("an upstream answers again", extra={"event": "upstreams.back", "seconds": round(now - self._since)})
        self.is_out = is_out
