"""Cache and upstreams behind one door: what is known, what is asked, what is kept. Imported by the pipeline.

Whatever an upstream answers is inspected once before it is kept; those who waited for one answer together share one entry.
RFC 2308, 8767, 9520 (through `cache`), 5625.
"""

from __future__ import annotations

import asyncio
import enum
from functools import partial
from typing import Final

from gateway.asks import Ask
from gateway.cache import AnswerCache
from gateway.cache import Entry as Cached
from gateway.inspection import UpstreamBlock, inspect
from gateway.listeners import PENDING, Pending
from gateway.metrics import CACHE, CACHE_BYTES, CACHE_ENTRIES, Counters
from gateway.outcomes import REBINDING, UPSTREAM_BLOCK
from gateway.query import NO_FACTS, Answer, Key, Query, group_in, name_in, question_key
from gateway.upstreams import Overload, UpstreamFailure
from gateway.upstreams.selector import Resolver
from gateway.wire.constants import Flag
from gateway.wire.name import key_of

_RD: Final = Flag.RD
_TOO_MANY: Final = Overload()


class Unasked(enum.Enum):
    """Nothing is known and nobody may be asked."""

    NO_RECURSION = "no_recursion"


class Resolution:
    """What one worker knows and asks. `rebinding_allow` holds index keys of names that may lead to private addresses, `misses_per_client`
    bounds the questions of one client that wait.
    """

    def __init__(
        self,
        cache: AnswerCache,
        resolver: Resolver,
        counters: Counters,
        loop: asyncio.AbstractEventLoop,
        rebinding_allow: tuple[str, ...],
        misses_per_client: int,
    ) -> None:
        self.cache = cache
        self.resolver = resolver
        self._counters = counters
        self._loop = loop
        self._allow = rebinding_allow
        self.most_waiting = misses_per_client
        self._last_answer: Answer | None = None
        self._last_entry: Cached | None = None
        outcomes = ("hit", "miss", "stale", "negative", "failure", "prefetch")
        self._hits, self.misses, self._stales, self._negatives, self._failures, self._prefetches = (
            counters.cell(CACHE, outcome) for outcome in outcomes
        )

    def is_routed(self, key: str) -> bool:
        """Whether the operator has named servers of its own for the name."""
        return self.resolver.group_of(key) != 0

    def look_up(self, ask: Ask, query: Query, now: float) -> Cached | UpstreamFailure | Unasked | Pending:
        """The cached answer to `query` (the ask's own, or that for the target of its rewrite), how it just failed, or PENDING: the
        upstreams are asked and call the ask back."""
        group = self.resolver.group_of(query.key)
        ask.cache_key = cache_key = question_key(query, group)
        cached = self.cache.get(cache_key, now)
        if cached is not None:
            if cached.answer.negative:
                self._negatives.n += 1
            else:
                self._hits.n += 1
            if cached.wants_prefetch(now):
                self.prefetch(query)
            return cached
        if not query.flags & _RD:
            return Unasked.NO_RECURSION
        failure = self.cache.failure(cache_key, now)
        if failure is not None:
            self._failures.n += 1
            return failure
        record = ask.record
        if record.waiting >= self.most_waiting:
            return _TOO_MANY
        self.misses.n += 1
        record.waiting += 1
        self.resolver.ask(query, group, ask.done, ask.slow if self.cache.stale(cache_key, now) is not None else None)
        return PENDING

    def take(self, cache_key: Key, key: str, outcome: Answer | UpstreamFailure, now: float) -> Cached | UpstreamFailure:
        """Inspect and keep what came for a question; `key` is the index key of its name."""
        if not isinstance(outcome, Answer):
            self.cache.put_failure(cache_key, outcome, now)
            return outcome
        if outcome is self._last_answer and self._last_entry is not None:
            return self._last_entry
        answer = inspect(outcome, key, group_in(cache_key) != 0, self._allow)
        if not isinstance(answer, Answer):
            answer = _emptied(outcome, UPSTREAM_BLOCK if isinstance(answer, UpstreamBlock) else REBINDING)
        self._last_answer = outcome
        self._last_entry = entry = self.cache.put(cache_key, answer, now)
        return entry

    def stale(self, cache_key: Key, now: float) -> Cached | None:
        """What may be given when no upstream answers."""
        cached = self.cache.stale(cache_key, now)
        if cached is not None:
            self._stales.n += 1
        return cached

    def prefetch(self, query: Query) -> None:
        """Ask again for what is popular and about to expire."""
        self._prefetches.n += 1
        group = self.resolver.group_of(query.key)
        self.resolver.ask(query, group, partial(self._prefetched, question_key(query, group), query.key))

    def _prefetched(self, cache_key: Key, key: str, outcome: Answer | UpstreamFailure) -> None:
        self.take(cache_key, key, outcome, self._loop.time())

    def late(self, cache_key: Key, answer: Answer) -> None:
        """An answer that came after its question had been given up is still worth keeping."""
        self.take(cache_key, key_of(name_in(cache_key)), answer, self._loop.time())

    def flush(self, key: str | None) -> int:
        """Forget what is known of a name and all below it (index key), or everything; how many answers went."""
        self._last_answer = None
        return self.cache.flush(key)

    def measure(self) -> None:
        """Bring the gauges up to date."""
        self._counters.set(CACHE_ENTRIES, (), len(self.cache))
        self._counters.set(CACHE_BYTES, (), self.cache.bytes)


def _emptied(answer: Answer, label: tuple[tuple[int, str], ...]) -> Answer:
    """An answer none of whose records may be used, known by its label."""
    return answer._replace(ad=False, body=b"", an=0, ns=0, ttl_offsets=(), ttls=(), rrset_ends=(), facts=NO_FACTS, ede=label)
