"""How often a name somebody registered is asked for: the little that a list office may know before it approves a block.

Counted in the memory of each worker, by registered name (public suffix list) and day; never written, never with a client, and never told
before five different clients asked on one day. Until then a name keeps a sketch of who asked: at most four salted marks of four bytes, made
with a secret of this run and of the day, dropped when the fifth client comes. Only queries that leave the path of the finished answers are
looked at, and of those at most `MOST_SAMPLES` in a second, so a count says "at least". Names of help, of health and of protected categories
are counted for nobody. A client is a device where that is known and else a network, so whoever holds many addresses is one; somebody with
four devices of their own in the network, who is an officer besides, could still learn that a fifth asked, never which. The pipeline adds
samples, the worker counts and answers, the supervisor sums (`told`). Only the gateway imports this module.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from publicsuffixlist import PublicSuffixList

from gateway.metrics import PROTECTED_CATEGORIES
from gateway.policy.model import Block, Pass, Reason, Rewrite, Verdict
from gateway.wire.name import text_of

if TYPE_CHECKING:
    from gateway.clients import Record

MOST_SAMPLES: Final = 128
"""Queries of one second that are looked at; the rest are not counted."""
LEAST_CLIENTS: Final = 5
MOST_KNOWN: Final = 8_192
MOST_SKETCHED: Final = 4_096
MOST_NAMES_ASKED: Final = 64
DAY: Final = 86_400
_OFFSET: Final = 7 * 3600
"""Days begin at midnight in Viet Nam."""
_OPEN: Final = frozenset({Reason.HELP, Reason.INFRASTRUCTURE})
_NEVER: Final = PROTECTED_CATEGORIES | {"help", "health"}
_MARK: Final = 4
_STEPS: Final = (1, 2, 5)

Sample = tuple[str, "Record", Verdict]


@dataclass(slots=True)
class _Sketch:
    """A name that fewer than five clients asked for so far: how often, and a mark for each client, one behind the other."""

    count: int = 0
    marks: bytes = b""

    def each(self) -> set[bytes]:
        """The marks one by one."""
        return {self.marks[at : at + _MARK] for at in range(0, len(self.marks), _MARK)}


@cache
def suffix_list() -> PublicSuffixList:
    """The list that is installed. Read before workers are forked, so that they share it."""
    return PublicSuffixList(accept_encoded_idn=False)


def registered_name(name: str) -> str:
    """The name somebody registered above this one, lower case without a final dot; empty when there is none."""
    return str(suffix_list().privatesuffix(name.rstrip(".").lower()) or "")


class Demand:
    """The counts of one worker. Belongs to its event loop; times are wall time."""

    def __init__(self, secret: bytes) -> None:
        self.samples: list[Sample] = []
        self._secret = secret
        self._day = 0
        self._salt = b""
        self._known: dict[str, int] = {}
        self._before: dict[str, int] = {}
        self._sketched: OrderedDict[str, _Sketch] = OrderedDict()

    def sample(self, key: str, record: Record, verdict: Verdict) -> None:
        """Look at one query, if this second has room."""
        if len(self.samples) < MOST_SAMPLES:
            self.samples.append((key, record, verdict))

    def count(self, wall: float) -> None:
        """Count what was sampled since the last call; about once a second."""
        day = int(wall + _OFFSET) // DAY
        if day != self._day:
            self._before = self._known if day == self._day + 1 else {}
            self._known, self._day = {}, day
            self._sketched.clear()
            self._salt = hashlib.blake2b(day.to_bytes(8, "big"), key=self._secret, digest_size=16).digest()
        samples, self.samples[:] = self.samples[:], ()
        for key, record, verdict in samples:
            if _is_counted(verdict) and "\\" not in key:
                name = registered_name(text_of(key))
                if name:
                    self._add(name, record)

    def _add(self, name: str, record: Record) -> None:
        if name in self._known:
            self._known[name] += 1
            return
        sketch = self._sketched.get(name)
        if sketch is None:
            if len(self._sketched) >= MOST_SKETCHED:
                self._sketched.popitem(last=False)
            sketch = self._sketched[name] = _Sketch()
        self._sketched.move_to_end(name)
        sketch.count += 1
        mark = hashlib.blake2b(client_of(record), key=self._salt, digest_size=_MARK).digest()
        if mark not in sketch.each():
            sketch.marks += mark
        if len(sketch.marks) >= LEAST_CLIENTS * _MARK:
            del self._sketched[name]
            if len(self._known) < MOST_KNOWN:
                self._known[name] = sketch.count

    def of(self, names: Iterable[str]) -> dict[str, Any]:  # Any: JSON values
        """What this worker has counted for registered names, for the supervisor alone: marks never go further."""
        rows = {}
        for name in names:
            sketch = self._sketched.get(name)
            rows[name] = {
                "known": self._known.get(name, 0),
                "before": self._before.get(name, 0),
                "count": sketch.count if sketch is not None else 0,
                "marks": sorted(mark.hex() for mark in sketch.each()) if sketch is not None else [],
            }
        return {"day": self._day, "names": rows}


def told(replies: Sequence[dict[str, Any]], names: Iterable[str]) -> dict[str, dict[str, int] | None]:
    """What may be told of each name after every worker answered: at least how often since when (unix seconds), None for "not known".

    Today counts when five clients asked over all workers together, yesterday when five asked one worker. The number is rounded down to
    1, 2, 5, 10, 20, 50, …, so that asking twice shows nobody's single question.
    """
    answer: dict[str, dict[str, int] | None] = {}
    day = max((int(reply["day"]) for reply in replies), default=0)
    for name in names:
        rows = [reply["names"][name] for reply in replies if int(reply["day"]) == day and name in reply["names"]]
        today = sum(int(row["known"]) for row in rows)
        if today or len({mark for row in rows for mark in row["marks"]}) >= LEAST_CLIENTS:
            today += sum(int(row["count"]) for row in rows)
        before = sum(int(row["before"]) for row in rows)
        since = (day - (1 if before else 0)) * DAY - _OFFSET
        answer[name] = {"at_least": round_down(today + before), "since": since} if today + before else None
    return answer


def round_down(number: int) -> int:
    """The largest of 1, 2, 5, 10, 20, 50, … that is not above a positive number."""
    power = int(10 ** (len(str(number)) - 1))
    return max(step * power for step in _STEPS if step * power <= number)


def _is_counted(verdict: Verdict) -> bool:
    match verdict:
        case Pass():
            return verdict.reason not in _OPEN and verdict.category not in _NEVER
        case Block():
            return verdict.category not in _NEVER
        case Rewrite():
            return True
        case _:
            return False


def client_of(record: Record) -> bytes:
    """Who asked, as far as it is known: the one client, the hardware, else the network of the address (/24, /48): one machine can take
    many addresses of its network, and must not be able to play four of the five."""
    match = record.match
    if match.client_id and match.by in ("token", "mac", "address"):
        return b"c" + match.client_id.encode()
    if record.mac:
        return b"m" + record.mac.encode()
    return b"a" + (record.address[:6] if len(record.address) == 16 else record.address[:3])
