"""What workers counted about use, waiting in the supervisor's memory for the control plane to fetch it. Nobody else imports this module.

A batch is one minute of one or more workers. The control plane asks with the serial of the last batch it has stored; batches up to that
are then forgotten, so nothing is lost or counted twice when either side restarts in between. A serial that was not given here is of an
earlier run, or of another machine's backup: it says nothing about what waits, which is then numbered on from it. Nothing is written to
disk here, and what nobody fetches is forgotten oldest first, counted.
"""

from __future__ import annotations

from collections import deque
from typing import Any

MOST_ROWS = 200_000
MOST_ROWS_A_REPLY = 20_000
Fields = dict[str, Any]  # Any: JSON values on their way from worker to control plane


class Handover:
    """Batches of aggregates, oldest first. Serials begin at `first` (unix milliseconds at the start, by a clock that may be wrong)."""

    def __init__(self, first: int) -> None:
        self._next = first
        self._given = first - 1
        """The highest serial that was given to anybody."""
        self._batches: deque[Fields] = deque()
        self._rows = 0
        self._forgotten = 0

    def take(self, counts: list[object], names: list[object], dropped: int) -> None:
        """Keep what one worker sent."""
        dropped += self._forgotten
        self._forgotten = 0
        if not counts and not names and not dropped:
            return
        self._batches.append({"serial": self._next, "counts": counts, "names": names, "dropped": dropped})
        self._next += 1
        self._rows += len(counts) + len(names)
        while self._rows > MOST_ROWS and len(self._batches) > 1:
            lost = self._pop()
            self._forgotten += lost

    def fetch(self, after: int) -> list[Fields]:
        """Forget what is stored (serials up to `after`) and give the next batches, a bounded number of rows at a time."""
        if after > self._given:
            self._number_from(after + 1)
        while self._batches and self._batches[0]["serial"] <= after:
            self._pop()
        given: list[Fields] = []
        rows = 0
        for batch in self._batches:
            given.append(batch)
            rows += len(batch["counts"]) + len(batch["names"])
            if rows >= MOST_ROWS_A_REPLY:
                break
        if given:
            self._given = max(self._given, given[-1]["serial"])
        return given

    def _number_from(self, first: int) -> None:
        """Give what waits other serials, where its own do not lie above those that were stored."""
        start = self._batches[0]["serial"] if self._batches else self._next
        if start < first:
            for serial, batch in enumerate(self._batches, first):
                batch["serial"] = serial
            self._next = first + len(self._batches)

    def _pop(self) -> int:
        batch = self._batches.popleft()
        size = len(batch["counts"]) + len(batch["names"])
        self._rows -= size
        return size + int(batch["dropped"])
