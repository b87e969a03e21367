"""Cache and upstreams behind one door."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.cache import AnswerCache
from gateway.listeners import PENDING
from gateway.metrics import Counters
from gateway.outcomes import REBINDING, UPSTREAM_BLOCK
from gateway.query import Answer, AnswerFacts, Query
from gateway.resolution import Resolution, Unasked
from gateway.settings import CacheSettings
from gateway.upstreams import Overload, Timeout, UpstreamFailure
from gateway.wire.constants import Flag
from gateway.wire.name import key_of


class Resolver:
    """Notes what is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Query, int, Any, Any]] = []

    def group_of(self, key: str) -> int:
        """Names below `lan` have a route."""
        return int(key.startswith("lan."))

    def is_routed(self, group: int) -> bool:
        """Whether the group is a route's."""
        return group > 0

    def ask(self, query: Query, group: int, done: Any, slow: Any = None) -> None:
        """Ask nobody."""
        self.asked.append((query, group, done, slow))


class Clock:
    """The loop, as far as it is asked."""

    at = 95.0

    def time(self) -> float:
        """Monotonic seconds."""
        return self.at


class Waiting:
    """The ask and its client."""

    def __init__(self) -> None:
        self.record = self
        self.waiting = 0
        self.cache_key: Any = None

    def done(self, outcome: object) -> None:
        """Called back."""

    def slow(self) -> None:
        """Called when it takes long."""


def make(most: int = 5) -> tuple[Resolution, Resolver, AnswerCache, Counters]:
    """A resolution before a resolver that only notes."""
    resolver, cache, counters = Resolver(), AnswerCache(CacheSettings()), Counters()
    real: Any = resolver
    clock: Any = Clock()
    return Resolution(cache, real, counters, clock, ("example.allowed.",), most), resolver, cache, counters


def query(qname: bytes = b"\x03www\x07example\0", flags: int = 0x0100) -> Query:
    """A query."""
    return Query(1, flags, qname, key_of(qname), 1, qname + b"\0\1\0\1", None)


def answer(address: bytes = bytes((198, 51, 100, 1)), ttl: int = 60) -> Answer:
    """An answer of one address."""
    body = b"\xc0\x0c\0\1\0\1" + ttl.to_bytes(4, "big") + b"\0\4" + address
    return Answer(0, True, body, 1, 0, (6,), (ttl,), ((16, 1, 0),), AnswerFacts((), (address,)), (), ttl)


def look_up(resolution: Resolution, asked: Query, now: float = 0.0) -> tuple[Any, Any]:
    """What is found, and the ask."""
    ask: Any = Waiting()
    return resolution.look_up(ask, asked, now), ask


def counted(counters: Counters) -> dict[str, int]:
    """Look-ups by outcome."""
    return {labels[0]: number for name, labels, number in counters.harvest() if name == "lachan_cache_lookups" and number}  # type: ignore[index, has-type, misc]


def test_unknown_is_asked_then_known() -> None:
    """The first question goes to the upstreams, the next one is answered from what came."""
    resolution, resolver, _, counters = make()
    found, ask = look_up(resolution, query())
    assert found is PENDING and ask.waiting == 1 and len(resolver.asked) == 1
    entry = resolution.take(ask.cache_key, query().key, answer(), 0.0)
    assert look_up(resolution, query(), 1.0)[0] is entry
    assert counted(counters) == {"miss": 1, "hit": 1}


def test_those_who_waited_together_share_one_entry() -> None:
    """One answer is inspected and stored once, however many wait for it."""
    resolution, _, _, _ = make()
    _, ask = look_up(resolution, query())
    same = answer()
    assert resolution.take(ask.cache_key, query().key, same, 0.0) is resolution.take(ask.cache_key, query().key, same, 0.0)


def test_dnssec_flags_and_routes_have_entries_of_their_own() -> None:
    """CD and the upstream group are part of the key; letter case is not."""
    resolution, _, _, _ = make()
    keys = {look_up(resolution, each)[1].cache_key for each in (query(), query(flags=0x0110), query(b"\x01x\x03lan\0"))}
    assert len(keys) == 3
    assert resolution.is_routed("lan.x.") and not resolution.is_routed("example.")


def test_no_recursion_desired_asks_nobody() -> None:
    """RD=0 is answered from what is known only."""
    resolution, resolver, _, _ = make()
    assert look_up(resolution, query(flags=Flag.CD))[0] is Unasked.NO_RECURSION
    assert resolver.asked == []


def test_failure_is_remembered_and_stale_is_offered() -> None:
    """A question that just failed is not asked again; once its answer is stale, slowness has a way out."""
    resolution, resolver, _, counters = make()
    _, ask = look_up(resolution, query())
    resolution.take(ask.cache_key, query().key, answer(ttl=5), 0.0)
    assert look_up(resolution, query(), 6.0)[0] is PENDING
    assert resolver.asked[-1][3] is not None
    failure = Timeout()
    assert resolution.take(ask.cache_key, query().key, failure, 6.0) is failure
    assert isinstance(look_up(resolution, query(), 6.5)[0], UpstreamFailure)
    assert resolution.stale(ask.cache_key, 6.5) is not None
    assert counted(counters) == {"miss": 2, "failure": 1, "stale": 1}


def test_share_of_one_client_is_bounded() -> None:
    """A client with its share of waiting questions gets no further one asked."""
    resolution, resolver, _, _ = make(most=2)
    ask: Any = Waiting()
    for number in range(4):
        found = resolution.look_up(ask, query(b"\x01%d\x07example\0" % number), 0.0)
        assert (found is PENDING) is (number < 2)
    assert isinstance(found, Overload)
    assert len(resolver.asked) == 2


@pytest.mark.parametrize(
    ("name", "address", "label"),
    [
        (b"\x03www\x07example\x03com\0", bytes((192, 168, 1, 1)), REBINDING),
        (b"\x03www\x07example\x03com\0", bytes(4), UPSTREAM_BLOCK),
        (b"\x03www\x07example\x03com\0", bytes((198, 51, 100, 1)), ()),
        (b"\x03nas\x07allowed\x07example\0", bytes((192, 168, 1, 1)), ()),
        (b"\x03nas\x01x\x03lan\0", bytes((192, 168, 1, 1)), ()),
    ],
)
def test_answers_are_inspected_before_they_are_kept(name: bytes, address: bytes, label: object) -> None:
    """What an answer may not hold never reaches the cache; it is known by its label."""
    resolution, _, _, _ = make()
    _, ask = look_up(resolution, query(name))
    entry = resolution.take(ask.cache_key, key_of(name), answer(address), 0.0)
    assert not isinstance(entry, UpstreamFailure)
    assert entry.answer.ede == label
    assert (entry.answer.an, entry.answer.ad) == ((0, False) if label else (1, True))


def test_popular_answer_is_asked_for_ahead() -> None:
    """In the last tenth of a popular answer's life it is asked for once, and the fresh one takes its place."""
    resolution, resolver, _, counters = make()
    _, ask = look_up(resolution, query())
    resolution.take(ask.cache_key, query().key, answer(ttl=100), 0.0)
    for now in (1.0, 2.0, 95.0, 96.0):
        look_up(resolution, query(), now)
    assert len(resolver.asked) == 2
    assert counted(counters)["prefetch"] == 1
    resolver.asked[-1][2](answer(bytes((198, 51, 100, 2)), 100))
    assert look_up(resolution, query(), 99.0)[0].answer.body.endswith(bytes((198, 51, 100, 2)))


def test_late_answer_is_kept_and_flush_forgets() -> None:
    """An answer after the end still serves the next; a flush forgets it."""
    resolution, _, cache, counters = make()
    _, ask = look_up(resolution, query())
    resolution.late(ask.cache_key, answer())
    assert len(cache) == 1
    resolution.measure()
    gauges = {name: number for name, _, number in counters.harvest()}  # type: ignore[misc]
    assert gauges["lachan_cache_entries"] == 1
    assert resolution.flush("example.") == 1
    assert len(cache) == 0
