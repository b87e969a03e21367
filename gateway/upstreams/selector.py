"""The resolver: joins identical questions, chooses upstreams, bounds attempts and time, notices who is down. The pipeline imports this
module.

A question under way is an `Exchange`. Per client question at most `MAX_SENDS` messages leave, over all upstreams and transports. Life of
an exchange:

    asked → sent → answered                                                   done with an Answer
            sent → truncated → sent over TCP
            sent → missed (silence, network, broken reply) or declined (SERVFAIL, REFUSED …) → sent elsewhere, or again
            no sends left → lingers for a late answer until its deadline       done with an UpstreamFailure
    asked → parked while every upstream of its group is down → sent as soon as one is back, or failed at 1.8 s

No exchange has a timer or a task of its own: one tick serves all.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from typing import Final

from gateway.query import Answer, Query
from gateway.settings import Strategy, UpstreamAddress, UpstreamSettings
from gateway.upstreams import (
    Evidence,
    Fault,
    Invalid,
    NetworkError,
    Overload,
    Refused,
    ServerFailure,
    Tally,
    Timeout,
    Upstream,
    UpstreamFailure,
)
from gateway.upstreams.datagrams import make_ring
from gateway.upstreams.exchange import Exchange, Key, OnDone, OnSlow
from gateway.upstreams.stream import StreamUpstream
from gateway.upstreams.udp import UdpUpstream
from gateway.wire.constants import Qclass, Qtype, Rcode

MAX_SENDS: Final = 3
MAX_WAITERS: Final = 1024
"""Clients that may wait for one question."""
SLOW: Final = 1.8
"""RFC 8767 §5: after this a stale answer is given; with dead upstreams it is also the end, with living ones `timeout` more is waited."""
TICK: Final = 0.025
IDLE_TICK: Final = 1.0
RETRY_PAUSE: Final = 0.3
"""Before the same upstream is asked again after the network refused."""
EXPLORE_EVERY: Final = 50
"""With strategy `fastest`, one question in so many also goes to another upstream, to learn its speed without making the client wait for
it."""
DEMAND: Final = 30.0
"""A down upstream is probed for so long after the last question."""

_PROBE: Final = Query(0, 0x0100, b"\0", "", Qtype.NS, b"\0\0\x02\0\x01", None)
_PROBE_KEY: Final[Key] = (b"\0", Qtype.NS, Qclass.IN, False, False, -1)
_FALLS_BACK: Final = frozenset({Rcode.FORMERR, Rcode.NOTIMP})


@dataclass(frozen=True, slots=True)
class UpstreamStatus:
    """One upstream for status pages and metrics. `latency` is the smoothed round trip time in seconds, 0 before the first answer."""

    label: str
    is_up: bool
    latency: float
    tally: Tally


class _Group:
    """Upstreams that answer for the same names: the default ones, or those of one route."""

    __slots__ = ("asked", "best", "upstreams")

    def __init__(self, upstreams: tuple[Upstream, ...]) -> None:
        self.upstreams = upstreams
        self.best: Upstream | None = upstreams[0] if upstreams else None
        self.asked = 0


class Resolver:
    """Asks upstreams and calls back, exactly once per question. Belongs to one worker and its loop.

    `on_recovered()` is called when an upstream comes back, `on_late(key, answer)` when an answer comes after its question was given up.
    `trusted` names the encrypted upstreams whose AD bit is passed on.
    """

    def __init__(
        self,
        settings: UpstreamSettings,
        loop: asyncio.AbstractEventLoop,
        *,
        in_flight: int = 4096,
        trusted: frozenset[UpstreamAddress] = frozenset(),
        on_recovered: Callable[[], None] | None = None,
        on_late: Callable[[Key, Answer], None] | None = None,
    ) -> None:
        self._loop = loop
        self._ring = make_ring()
        self._strategy: Strategy = settings.strategy
        self._patience = SLOW + settings.timeout
        self._in_flight = in_flight
        self._trusted = trusted
        self._on_recovered = on_recovered
        self._on_late = on_late
        self._upstreams: dict[UpstreamAddress, Upstream] = {}
        self._streams: dict[Upstream, Upstream] = {}
        routes = sorted(settings.routes.items(), key=lambda route: (-len(route[0]), route[0]))
        self._suffixes = tuple(suffix for suffix, _ in routes)
        self._groups = [self._group(servers) for servers in (settings.servers, *(servers for _, servers in routes))]
        self._flying: dict[Key, Exchange] = {}
        self._parked: list[Exchange] = []
        self._lingering: list[Exchange] = []
        self._again: deque[tuple[float, Exchange, Upstream]] = deque()
        self._slow: list[tuple[float, int, Exchange]] = []
        self._numbers = count()
        self._timer: asyncio.TimerHandle | None = None
        self._is_awake = False
        self._last_ask = float("-inf")

    # What the pipeline calls

    def group_of(self, key: str) -> int:
        """The upstream group for a name, given by its index key: 0 is the default one, the others are routes (longest suffix wins)."""
        if self._suffixes and key.startswith(self._suffixes):
            for index, suffix in enumerate(self._suffixes):
                if key.startswith(suffix):
                    return index + 1
        return 0

    def ask(self, query: Query, group: int, on_done: OnDone, on_slow: OnSlow | None = None) -> None:
        """Ask the upstreams of `group`. `on_done` is called exactly once, never before this returns.

        `on_slow` is called at most once before it: after 1.8 s without an answer, or at once when every upstream of the group is down;
        the moment to
        give a stale answer (RFC 8767). Questions with the same key share one exchange.
        """
        edns = query.edns
        key = (query.qname, query.qtype, query.qclass, edns is not None and edns.do, query.flags & 0x10 != 0, group)
        flying = self._flying
        exchange = flying.get(key)
        now = self._loop.time()
        self._last_ask = now
        if exchange is not None:
            self._join(exchange, on_done)
        else:
            if len(flying) >= self._in_flight:
                self._finish(flying[next(iter(flying))], Overload())
            exchange = flying[key] = Exchange(key, query, now, on_done)
            self._begin(exchange, self._groups[group], now)
            if not self._is_awake:
                self._wake()
        if on_slow is not None:
            self._watch(exchange, on_slow, now)

    def is_reachable(self, group: int) -> bool:
        """Whether any upstream of the group is held for alive."""
        return self._groups[group].best is not None

    def is_routed(self, group: int) -> bool:
        """Whether the group belongs to a route, whose names may lead to private addresses."""
        return group > 0

    @property
    def in_flight(self) -> int:
        """Questions under way."""
        return len(self._flying)

    def status(self) -> list[UpstreamStatus]:
        """Every upstream, in the order of the settings; TCP used after truncation counts for the UDP upstream's line of its own."""
        every: Iterable[Upstream] = (*self._upstreams.values(), *self._streams.values())
        return [UpstreamStatus(upstream.label, not upstream.health.is_down, upstream.health.srtt, upstream.tally) for upstream in every]

    def close(self) -> None:
        """Close every socket and give up what is under way."""
        if self._timer is not None:
            self._timer.cancel()
        self._is_awake = True
        for upstream in (*self._upstreams.values(), *self._streams.values()):
            upstream.close()
        for exchange in list(self._flying.values()):
            self._finish(exchange, Overload())

    # Beginning

    def _group(self, servers: Iterable[UpstreamAddress]) -> _Group:
        found: list[Upstream] = []
        for address in dict.fromkeys(servers):
            if address not in self._upstreams:
                self._upstreams[address] = self._open(address)
            found.append(self._upstreams[address])
        return _Group(tuple(found))

    def _open(self, address: UpstreamAddress) -> Upstream:
        match address.scheme:
            case "udp":
                return UdpUpstream(address, self, self._loop, self._ring)
            case "tcp":
                return StreamUpstream(address, self, self._loop)
            case "tls" | "https":
                raise NotImplementedError(address.scheme)

    def _begin(self, exchange: Exchange, group: _Group, now: float) -> None:
        best = group.best
        if best is None:
            self._park(exchange, group, now)
            return
        self._send(exchange, best, now)
        if len(group.upstreams) == 1 or self._strategy == "ordered":
            return
        if self._strategy == "parallel":
            # One of the three messages is kept for TCP or a retry.
            second = self._choose(group, exchange)
            if second is not None:
                self._send(exchange, second, now)
            return
        group.asked += 1
        if group.asked % EXPLORE_EVERY == 0:
            others = [upstream for upstream in group.upstreams if upstream is not best and not upstream.health.is_down]
            if others:
                self._send(exchange, others[group.asked // EXPLORE_EVERY % len(others)], now)

    def _join(self, exchange: Exchange, on_done: OnDone) -> None:
        if exchange.done is None:
            exchange.done = on_done
        elif exchange.waiters is None:
            exchange.waiters = [on_done]
        elif len(exchange.waiters) < MAX_WAITERS:
            exchange.waiters.append(on_done)
        else:
            self._loop.call_soon(on_done, Overload())

    def _watch(self, exchange: Exchange, on_slow: OnSlow, now: float) -> None:
        if self._groups[exchange.group].best is None:
            self._loop.call_soon(on_slow)
        elif exchange.slow is not None:
            exchange.slow.append(on_slow)
        else:
            exchange.slow = [on_slow]
            heapq.heappush(self._slow, (max(now, exchange.started + SLOW), next(self._numbers), exchange))

    # Choosing and sending

    def _choose(self, group: _Group, exchange: Exchange) -> Upstream | None:
        """The best living upstream that this exchange has not met yet."""
        tried = exchange.tried
        left = [upstream for upstream in group.upstreams if not upstream.health.is_down and upstream not in tried]
        if not left:
            return None
        return left[0] if self._strategy == "ordered" else min(left, key=_rank)

    def _send(self, exchange: Exchange, upstream: Upstream, now: float) -> None:
        exchange.sends += 1
        exchange.open += 1
        exchange.tried.append(upstream)
        upstream.send(exchange)

    def _advance(self, exchange: Exchange, upstream: Upstream, fault: Fault, now: float, may_repeat: bool) -> None:
        """Ask elsewhere, ask again, wait, or give up."""
        if exchange.sends < MAX_SENDS:
            group = self._groups[exchange.group]
            if group.best is None:
                self._park(exchange, group, now)
                return
            other = self._choose(group, exchange)
            exchange.fold()
            if other is not None:
                self._send(exchange, other, now)
                return
            if may_repeat:
                if fault is not Fault.NETWORK or (upstream.is_stream and len(exchange.evidence) == 1):
                    # A kept connection that the server had closed meanwhile is no fault of anybody.
                    self._repeat(exchange, upstream, now)
                else:
                    self._again.append((now + RETRY_PAUSE, exchange, upstream))
                return
        if exchange.open <= 0:
            # Everyone who was asked has answered, and nobody knows.
            self._finish(exchange, self._failure(exchange, now))
        elif not exchange.is_lingering:
            exchange.is_lingering = True
            self._lingering.append(exchange)

    def _repeat(self, exchange: Exchange, upstream: Upstream, now: float) -> None:
        group = self._groups[exchange.group]
        if group.best is None:
            self._park(exchange, group, now)
        else:
            self._send(exchange, group.best if upstream.health.is_down else upstream, now)

    def _park(self, exchange: Exchange, group: _Group, now: float) -> None:
        if not exchange.is_parked:
            exchange.is_parked = True
            self._parked.append(exchange)
        self._probe(group.upstreams, now)

    def _probe(self, upstreams: Iterable[Upstream], now: float) -> None:
        for upstream in upstreams:
            if upstream.health.is_probe_due(now):
                upstream.health.probed_at = now
                upstream.send(Exchange(_PROBE_KEY, _PROBE, now, None))

    # What upstreams report

    def answered(self, exchange: Exchange, upstream: Upstream, answer: Answer, now: float) -> None:
        """A well-formed answer to the exchange's own question came, whatever its rcode."""
        health = upstream.health
        if health.is_down:
            self._recover(upstream, now)
        if exchange.group < 0:
            return
        rcode = answer.rcode
        if rcode != 0 and rcode != 3 and rcode != 6:
            if not exchange.is_finished:
                self._declined(exchange, upstream, answer, now)
            return
        health.was_good(now)
        if answer.ad and upstream.address not in self._trusted:
            answer = answer._replace(ad=False)
        if exchange.is_finished:
            if exchange.is_wanted and self._on_late is not None:
                exchange.is_wanted = False
                self._on_late(exchange.key, answer)
            return
        for other in exchange.decliners:
            other.health.was_bettered()
        self._finish(exchange, answer)

    def _declined(self, exchange: Exchange, upstream: Upstream, answer: Answer, now: float) -> None:
        rcode = answer.rcode
        exchange.open -= 1
        if rcode in _FALLS_BACK and not exchange.is_bare and exchange.sends < MAX_SENDS:
            exchange.drop_edns()
            self._send(exchange, upstream, now)
            return
        fault = Fault.REFUSED if rcode == Rcode.REFUSED else Fault.SERVFAIL
        upstream.tally.failures[fault] += 1
        if fault is Fault.REFUSED:
            upstream.health.refused += 1
        if answer.ede and not exchange.errors:
            exchange.errors = answer.ede
        exchange.evidence.append(Evidence(upstream.label, fault, f"rcode {rcode}"))
        exchange.decliners.append(upstream)
        self._advance(exchange, upstream, fault, now, False)

    def was_truncated(self, exchange: Exchange, upstream: Upstream, now: float) -> None:
        """The answer did not fit into a datagram: the same upstream is asked over TCP."""
        if upstream.health.is_down:
            self._recover(upstream, now)
        if exchange.group < 0 or exchange.is_finished:
            return
        exchange.open -= 1
        if exchange.sends >= MAX_SENDS:
            self.missed(exchange, upstream, Fault.MALFORMED, "truncated, and no attempt left", now)
            return
        stream = self._streams.get(upstream)
        if stream is None:
            address = upstream.address
            tcp = UpstreamAddress("tcp", address.name, address.port, "", address.address)
            stream = self._streams[upstream] = self._upstreams.get(tcp) or StreamUpstream(tcp, self, self._loop)
        self._send(exchange, stream, now)

    def missed(self, exchange: Exchange, upstream: Upstream, fault: Fault, detail: str, now: float, may_repeat: bool = True) -> None:
        """The attempt came to nothing, or is worth another one."""
        if exchange.group < 0:
            return
        exchange.evidence.append(Evidence(upstream.label, fault, detail))
        if upstream.is_stream and (fault is Fault.NETWORK or fault is Fault.TLS):
            exchange.open -= 1
        self._advance(exchange, upstream, fault, now, may_repeat)

    def went_down(self, upstream: Upstream, now: float) -> None:
        """The upstream is held for dead: probe it at once, so that a mistake lasts one round trip."""
        self._rank_groups()
        self._probe((upstream,), now)

    def _recover(self, upstream: Upstream, now: float) -> None:
        upstream.health.revive(now)
        self._rank_groups()
        parked, self._parked = self._parked, []
        for exchange in parked:
            if exchange.is_finished:
                continue
            best = self._groups[exchange.group].best
            if best is None:
                self._parked.append(exchange)
            else:
                exchange.is_parked = False
                self._send(exchange, best, now)
        if self._on_recovered is not None:
            self._on_recovered()

    def _rank_groups(self) -> None:
        for group in self._groups:
            alive = [upstream for upstream in group.upstreams if not upstream.health.is_down]
            if len(alive) > 1 and self._strategy != "ordered":
                group.best = min(alive, key=_rank)
            else:
                group.best = alive[0] if alive else None

    # Ending

    def _finish(self, exchange: Exchange, outcome: Answer | UpstreamFailure) -> None:
        del self._flying[exchange.key]
        done = exchange.done
        waiters = exchange.waiters
        exchange.finish()
        if outcome.__class__ is not Answer:
            exchange.is_wanted = True
        if done is not None:
            try:
                done(outcome)
            except Exception as error:  # one client's trouble must not reach the others of this batch
                self._report(error)
        if waiters is not None:
            for waiter in waiters:
                try:
                    waiter(outcome)
                except Exception as error:
                    self._report(error)

    def _report(self, error: Exception) -> None:
        self._loop.call_exception_handler({"message": "a waiting question could not be completed", "exception": error})

    def _failure(self, exchange: Exchange, now: float) -> UpstreamFailure:
        """What the evidence amounts to."""
        evidence = tuple(exchange.evidence)
        if not evidence:
            upstreams = self._groups[exchange.group].upstreams
            evidence = tuple(Evidence(upstream.label, upstream.health.fault, "down") for upstream in upstreams if upstream.health.is_down)
        faults = {item.fault for item in evidence}
        errors = exchange.errors
        if faults == {Fault.REFUSED}:
            return Refused(evidence, errors, all(upstream.health.is_working(now) for upstream in exchange.decliners))
        if Fault.SERVFAIL in faults or Fault.REFUSED in faults:
            return ServerFailure(evidence, errors)
        if Fault.MALFORMED in faults:
            return Invalid(evidence)
        if (faults and Fault.TIMEOUT not in faults) or not self._groups[exchange.group].upstreams:
            return NetworkError(evidence)
        return Timeout(evidence)

    # Time

    def _wake(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._is_awake = True
        self._timer = self._loop.call_later(TICK, self._tick)

    def _tick(self) -> None:
        now = self._loop.time()
        upstreams = [*self._upstreams.values(), *self._streams.values()]
        for upstream in upstreams:
            upstream.expire(now)
        self._rank_groups()
        again = self._again
        while again and again[0][0] <= now:
            _, exchange, upstream = again.popleft()
            if not exchange.is_finished:
                self._repeat(exchange, upstream, now)
        slow = self._slow
        while slow and slow[0][0] <= now:
            _, _, exchange = heapq.heappop(slow)
            self._say_slow(exchange)
        if self._lingering:
            self._lingering = [exchange for exchange in self._lingering if not self._has_ended(exchange, now)]
        if self._parked:
            self._parked = [exchange for exchange in self._parked if not self._has_ended(exchange, now)]
        if now - self._last_ask < DEMAND:
            self._probe(upstreams, now)
        self._is_awake = bool(self._flying) or now - self._last_ask < 1.0
        if self._is_awake:
            self._timer = self._loop.call_later(TICK, self._tick)
        elif all(upstream.is_idle for upstream in upstreams) and not any(upstream.health.is_down for upstream in upstreams):
            self._timer = None
        else:
            self._timer = self._loop.call_later(IDLE_TICK, self._tick)

    def _say_slow(self, exchange: Exchange) -> None:
        watchers = exchange.slow
        if watchers is None:
            return
        exchange.slow = None
        for watcher in watchers:
            try:
                watcher()
            except Exception as error:
                self._report(error)

    def _has_ended(self, exchange: Exchange, now: float) -> bool:
        if exchange.is_finished:
            return True
        if now < exchange.started + SLOW:
            return False
        is_alive = any(upstream.health.last_reply >= exchange.started for upstream in exchange.tried)
        if is_alive and now < exchange.started + self._patience:
            # Slow rather than dead.
            return False
        for upstream in exchange.tried:
            if upstream.health.missed(exchange.started, now, Fault.TIMEOUT):
                self.went_down(upstream, now)
        self._finish(exchange, self._failure(exchange, now))
        return True


def _rank(upstream: Upstream) -> float:
    return upstream.health.rank
