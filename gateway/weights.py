"""How much each client weighs in what a gateway answers, so that a handful of them cannot make a list look bad or good.

Whoever asks decides how many answers, blocks and failures there are. So the counts that a gateway tells about a list leave out its busiest
clients (`lachan.healthcounts` asks for them): from each span of time the answers of the `HANDFUL` clients that asked most are taken off,
and taken off the blocks and the failures too, as if each of them had been one. So five clients can add nothing, whatever they ask; what
many meet still shows. A client is what `gateway.demand` counts as one. Worker: how many queries each client's sources spent, as the sweep
finds them, in memory only. Supervisor: the sum over workers by marks that a secret of this run makes. Only the gateway imports this module.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from gateway.demand import client_of

if TYPE_CHECKING:
    from gateway.clients import Record

HANDFUL: Final = 5
MOST_CLIENTS: Final = 65_536
MOST_TOLD: Final = 64
_MARK: Final = 8

Counts = tuple[int, int, int]
"""Answers, blocks, failures."""


class Weights:
    """What the clients of one worker asked since somebody last wanted to know. Belongs to the worker's event loop."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._spent: dict[bytes, int] = {}

    def add(self, record: Record, queries: int) -> None:
        """A source has asked so many queries more. Who finds no place is counted as one client with the others that do not."""
        client = client_of(record)
        if client not in self._spent and len(self._spent) >= MOST_CLIENTS:
            client = b""
        self._spent[client] = self._spent.get(client, 0) + queries

    def take(self) -> dict[str, int]:
        """The busiest clients by a mark that only the workers of this run can make, and how much each asked; begins anew."""
        busiest = heapq.nlargest(MOST_TOLD, self._spent.items(), key=lambda row: row[1])
        self._spent = {}
        return {hashlib.blake2b(who, key=self._secret, digest_size=_MARK).hexdigest(): spent for who, spent in busiest}


class Shares:
    """The totals of a gateway without its busiest clients; only ever grows, from nought at the start."""

    def __init__(self) -> None:
        self._last: Counts = (0, 0, 0)
        self._told: Counts = (0, 0, 0)

    def take(self, totals: Counts, weights: Sequence[Mapping[str, int]] | None) -> Counts:
        """What may be told now. `totals`: everything since the start; `weights`: what each worker's clients asked since the last time, None
        when a worker did not say, and then nothing that came since counts."""
        grown = [max(0, now - before) for now, before in zip(totals, self._last, strict=True)]
        self._last = totals
        if weights is not None:
            clients: dict[str, int] = {}
            for told in weights:
                for mark, spent in told.items():
                    clients[mark] = clients.get(mark, 0) + spent
            off = sum(heapq.nlargest(HANDFUL, clients.values()))
            answers, blocked, failed = (before + max(0, number - off) for before, number in zip(self._told, grown, strict=True))
            self._told = answers, blocked, failed
        return self._told
