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
from itertools import count
from typing import Final

from gateway.query import Answer, Key, Query, question_key
from gateway.settings import UpstreamAddress, UpstreamSettings
from gateway.upstreams import Evidence, Fault, Overload, Upstream, UpstreamFailure, UpstreamStatus
from gateway.upstreams.conclusion import conclude
from gateway.upstreams.datagrams import make_ring
from gateway.upstreams.exchange import Exchange, OnDone, OnSlow, Plain, query_of
from gateway.upstreams.groups import Group, Routes
from gateway.upstreams.memory import Refusals, Troubles
from gateway.upstreams.opening import numbered, open_upstream
from gateway.upstreams.stream import StreamUpstream
from gateway.wire.constants import Qtype, Rcode

MAX_SENDS: Final = 3
MAX_WAITERS: Final = 1024
"""Clients that may wait for one question."""
SLOW: Final = 1.8
"""RFC 8767 §5: after this a stale answer is given; with dead upstreams it is also the end, with living ones `timeout` more is waited."""
TICK: Final = 0.025
IDLE_TICK: Final = 1.0
RETRY_PAUSE: Final = 0.3
"""Before the same upstream is asked again after the network refused."""
DEMAND: Final = 30.0
"""A down upstream is probed for so long after the last question."""

_PROBE: Final = Query(0, 0x0100, b"\0", "", Qtype.NS, b"\0\0\x02\0\x01", None)
_PROBE_GROUP: Final = -1
_FALLS_BACK: Final = frozenset({Rcode.FORMERR, Rcode.NOTIMP})
_BOGUS: Final = frozenset({6, 7, 8})
"""Extended errors (RFC 8914 §4.7 to 4.9) of a name whose signatures are wrong: bogus, expired, not yet valid."""


class Resolver:
    """Asks upstreams and calls back, exactly once per question. Belongs to one worker and its loop.

    `on_recovered()` is called when an upstream comes back, `on_late(key, answer)` when an answer comes after its question was given up.
    `trusted` names the encrypted upstreams whose AD bit is passed on. `group_of(key)` is the upstream group for a name, given by its index
    key: 0 is the default one, the others are routes (longest suffix wins). `authorities` is a PEM file that encrypted upstreams are
    checked against instead of the system's.
    """

    def __init__(
        self,
        settings: UpstreamSettings,
        loop: asyncio.AbstractEventLoop,
        *,
        in_flight: int = 4096,
        trusted: frozenset[UpstreamAddress] = frozenset(),
        authorities: str | None = None,
        on_recovered: Callable[[], None] | None = None,
        on_late: Callable[[Key, Answer], None] | None = None,
    ) -> None:
        self._loop = loop
        self._ring = make_ring()
        self._patience = SLOW + settings.timeout
        self._in_flight = in_flight
        self._trusted = trusted
        self._authorities = authorities
        self._on_recovered = on_recovered
        self._on_late = on_late
        self._upstreams: dict[UpstreamAddress, Upstream] = {}
        self._streams: dict[Upstream, Upstream] = {}
        routes = sorted(settings.routes.items(), key=lambda route: (-len(route[0]), route[0]))
        self._routes = Routes(suffix for suffix, _ in routes)
        self.group_of: Callable[[str], int] = self._routes.group_of
        self.routes_below: Callable[[str], bool] = self._routes.begin_below
        self._groups = [Group(self._find(servers), settings.strategy) for servers in (settings.servers, *(found for _, found in routes))]
        self._default = self._groups[0]
        plain = [upstream for address, upstream in self._upstreams.items() if address.address and not upstream.is_encrypted]
        self._plain = len(self._groups)
        self._groups.append(Group(plain, "ordered"))
        self.flying: dict[Key, Exchange | Plain] = {}
        """Questions under way. A plain one that has its answer is taken out by whoever answers it."""
        self._refusals = Refusals()
        self._troubles = Troubles()
        self._forgeries = Troubles()
        self._parked: list[Exchange] = []
        self._lingering: list[Exchange] = []
        self._again: deque[tuple[float, Exchange, Upstream]] = deque()
        self._slow: list[tuple[float, int, Exchange]] = []
        self._numbers = count()
        self._timer: asyncio.TimerHandle | None = None
        self._is_awake = self._is_closed = False
        self._last_ask = float("-inf")

    # What the pipeline calls

    def ask(self, query: Query, group: int, on_done: OnDone, on_slow: OnSlow | None = None) -> None:
        """Ask the upstreams of `group`. `on_done` is called exactly once, never before this returns.

        `on_slow` is called at most once before it: after 1.8 s without an answer, or at once when every upstream of the group is down; the
        moment to give a stale answer (RFC 8767). Questions with the same key share one exchange.
        """
        key = question_key(query, group)
        flying = self.flying
        flown = flying.get(key)
        self._last_ask = now = self._loop.time()
        if flown is not None:
            exchange = flown.whole()
            self._join(exchange, on_done)
        else:
            if len(flying) >= self._in_flight:
                self._finish(flying[next(iter(flying))].whole(), Overload())
            exchange = flying[key] = Exchange(key, query, group, now, on_done)
            self._begin(exchange, self._groups[group], now)
            if not self._is_awake:
                self._wake()
        if on_slow is not None:
            self._watch(exchange, on_slow, now)

    def ask_plain(self, plain: Plain, now: float) -> bool:
        """Ask the best upstream of the default group for a plain question whose name has no route. False when the question has to be asked
        the long way: it is under way already, needs another transport or several upstreams, or there is no room.
        """
        flying = self.flying
        group = self._default
        best = group.best
        if best is None or not best.takes_plain or len(flying) >= self._in_flight or plain.key in flying:
            return False
        if not group.is_steady and not group.is_alone():
            return False
        self._last_ask = now
        flying[plain.key] = plain
        group.last = plain.key
        plain.upstream = best
        best.send(plain)
        if not self._is_awake:
            self._wake()
        return True

    def replace_plain(self, plain: Plain, exchange: Exchange) -> None:
        """Carry on with a plain question, sent once, as an exchange."""
        exchange.sends = exchange.open = 1
        exchange.tried = (plain.upstream,)
        self.flying[plain.key] = exchange

    @property
    def strips_ad(self) -> bool:
        """Whether no upstream's AD bit is passed on."""
        return not self._trusted

    def is_reachable(self, group: int) -> bool:
        """Whether any upstream of the group is held for alive."""
        return self._groups[group].best is not None

    @property
    def in_flight(self) -> int:
        """Questions under way."""
        return len(self.flying)

    def status(self) -> list[UpstreamStatus]:
        """Every upstream, in the order of the settings; TCP used after truncation has a line of its own."""
        every: Iterable[Upstream] = (*self._upstreams.values(), *self._streams.values())
        return [UpstreamStatus.of(upstream, upstream in self._default.upstreams) for upstream in every]

    def close(self) -> None:
        """Close every socket and give up what is under way."""
        self._is_closed = True
        self._is_awake = False
        if self._timer is not None:
            self._timer.cancel()
        for upstream in (*self._upstreams.values(), *self._streams.values()):
            upstream.close()
        self._give_up()

    def _give_up(self) -> None:
        for exchange in list(self.flying.values()):
            self._finish(exchange.whole(), Overload())

    # Beginning

    def _find(self, servers: Iterable[UpstreamAddress]) -> list[Upstream]:
        for address in servers:
            if address not in self._upstreams:
                opened = open_upstream(address, self, self._loop, self._ring, self._authorities, self._ask_unencrypted)
                opened.label, self._upstreams[address] = numbered(opened.label, self._upstreams.values()), opened
        return [self._upstreams[address] for address in dict.fromkeys(servers)]

    def _ask_unencrypted(self, query: Query, on_done: OnDone) -> None:
        self.ask(query, self._plain, on_done)

    def _begin(self, exchange: Exchange, group: Group, now: float) -> None:
        best = group.best
        group.last = exchange.key
        if best is None:
            self._park(exchange, group, now)
            return
        self._send(exchange, best, now)
        # With `parallel` one of the three messages is kept for TCP or a retry.
        companion = group.companion()
        if companion is not None:
            self._send(exchange, companion, now)

    def _join(self, exchange: Exchange, on_done: OnDone) -> None:
        if not exchange.join(on_done, MAX_WAITERS):
            self._loop.call_soon(on_done, Overload())

    def _watch(self, exchange: Exchange, on_slow: OnSlow, now: float) -> None:
        if self._groups[exchange.group].best is None:
            self._loop.call_soon(on_slow)
        elif exchange.slow is not None:
            exchange.slow.append(on_slow)
        else:
            exchange.slow = [on_slow]
            heapq.heappush(self._slow, (max(now, exchange.started + SLOW), next(self._numbers), exchange))

    # Sending

    def _send(self, exchange: Exchange, upstream: Upstream, now: float) -> None:
        exchange.sends += 1
        exchange.open += 1
        exchange.tried += (upstream,)
        upstream.send(exchange)

    def _advance(self, exchange: Exchange, upstream: Upstream, fault: Fault, now: float, may_repeat: bool) -> None:
        """Ask elsewhere, ask again, wait, or give up."""
        if exchange.sends < MAX_SENDS:
            group = self._groups[exchange.group]
            if group.best is None:
                self._park(exchange, group, now)
                return
            other = group.choose(exchange.tried)
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
            self._fail(exchange, now)
        else:
            self._linger(exchange)

    def _repeat(self, exchange: Exchange, upstream: Upstream, now: float) -> None:
        group = self._groups[exchange.group]
        if group.best is None:
            self._park(exchange, group, now)
        else:
            self._send(exchange, group.best if upstream.health.is_down else upstream, now)

    def _park(self, exchange: Exchange, group: Group, now: float) -> None:
        if not exchange.is_parked:
            exchange.is_parked = True
            self._parked.append(exchange)
        self._probe(group.upstreams, now)

    def _probe(self, upstreams: Iterable[Upstream], now: float) -> None:
        for upstream in upstreams:
            health = upstream.health
            if health.is_probe_due(now):
                health.probed_at = now
                health.probes += 1
                # Firewalls swallow ". NS", a favourite of amplification: every second probe is a question that somebody waits for, or else
                # the last that its group was asked.
                waiting = None if health.probes % 2 else self._first_waiting(upstream)
                if waiting is None:
                    last = b"" if health.probes % 2 else self._last_asked(upstream)
                    upstream.send(Exchange(b"", query_of(last) if last else _PROBE, _PROBE_GROUP, now, None))
                else:
                    self._send(waiting, upstream, now)

    def _first_waiting(self, upstream: Upstream) -> Exchange | None:
        could = (each for each in self._parked if not each.is_finished and each.sends < MAX_SENDS)
        return next((each for each in could if upstream in self._groups[each.group].upstreams), None)

    def _last_asked(self, upstream: Upstream) -> Key:
        return next((group.last for group in self._groups if group.last and upstream in group.upstreams), b"")

    # What upstreams report

    def answered(self, exchange: Exchange, upstream: Upstream, answer: Answer, now: float) -> None:
        """A well-formed answer to the exchange's own question came, whatever its rcode."""
        health = upstream.health
        if health.is_down:
            self._recover(upstream, exchange, now)
        if exchange.group < 0:
            return
        rcode = answer.rcode
        if rcode != 0 and rcode != 3 and rcode != 6:
            if not exchange.is_finished:
                self._declined(exchange, upstream, answer, now)
            return
        if health.last_good != now:
            health.was_good(now)
        if answer.ad and upstream.address not in self._trusted:
            answer = answer._replace(ad=False)
        if exchange.is_finished:
            if exchange.is_wanted and self._on_late is not None:
                exchange.is_wanted = False
                self._on_late(exchange.key, answer)
            return
        if exchange.decliners and self._troubles.is_news(exchange.key, now):
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
            upstream.health.declined()
        if answer.ede and not exchange.errors:
            exchange.errors = answer.ede
        exchange.evidence += (Evidence(upstream.label, fault, f"rcode {rcode}"),)
        if not exchange.cd and any(code in _BOGUS for code, _ in answer.ede):
            # Forged or signed wrongly: one that does not look would pass the forgery on. A server to which all is forged is wrong itself.
            if self._forgeries.is_news(exchange.key, now):
                upstream.health.was_bogus()
            if upstream.health.is_sound(now):
                exchange.errors = answer.ede
                self._fail(exchange, now)
                return
        exchange.decliners += (upstream,)
        self._advance(exchange, upstream, fault, now, False)

    def was_truncated(self, exchange: Exchange, upstream: Upstream, now: float) -> None:
        """The answer did not fit into a datagram: the same upstream is asked over TCP."""
        if upstream.health.is_down:
            self._recover(upstream, exchange, now)
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
        exchange.evidence += (Evidence(upstream.label, fault, detail),)
        if upstream.is_stream and fault is not Fault.TIMEOUT:
            exchange.open -= 1
        self._advance(exchange, upstream, fault, now, may_repeat)

    def went_down(self, upstream: Upstream, now: float) -> None:
        """The upstream is held for dead: probe it at once, so that a mistake lasts one round trip."""
        self._rank()
        self._probe((upstream,), now)

    def _recover(self, upstream: Upstream, answered: Exchange, now: float) -> None:
        upstream.health.revive(now)
        self._rank()
        parked, self._parked = self._parked, []
        for exchange in parked:
            if exchange.is_finished:
                continue
            best = self._groups[exchange.group].best
            exchange.is_parked = best is None and exchange is not answered
            if exchange.is_parked:
                self._parked.append(exchange)
            elif best is not None and exchange is not answered:
                self._send(exchange, best, now) if exchange.sends < MAX_SENDS else self._linger(exchange)
        if self._on_recovered is not None:
            self._on_recovered()

    def _rank(self) -> None:
        for group in self._groups:
            group.rank()

    # Ending

    def _linger(self, exchange: Exchange) -> None:
        if not exchange.is_lingering:
            exchange.is_lingering = True
            self._lingering.append(exchange)

    def _fail(self, exchange: Exchange, now: float) -> None:
        self._finish(exchange, conclude(exchange, self._groups[exchange.group].upstreams, now, self._refusals.since))

    def _finish(self, exchange: Exchange, outcome: Answer | UpstreamFailure) -> None:
        del self.flying[exchange.key]
        waiting = (exchange.done, *(exchange.waiters or ()))
        exchange.finish()
        if outcome.__class__ is not Answer:
            exchange.is_wanted = True
        for done in waiting:
            if done is not None:
                try:
                    done(outcome)
                except Exception as error:  # one client's trouble must not reach the others of this batch
                    self._report(error)

    def _report(self, error: Exception) -> None:
        self._loop.call_exception_handler({"message": "a waiting question could not be completed", "exception": error})

    # Time

    def _wake(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._is_closed:
            self._timer = self._loop.call_later(0, self._give_up)
            return
        self._is_awake = True
        self._timer = self._loop.call_later(TICK, self._tick)

    def _tick(self) -> None:
        now = self._loop.time()
        self._timer = self._loop.call_later(TICK, self._tick)  # first: whatever fails below must not stop the clock
        upstreams = [*self._upstreams.values(), *self._streams.values()]
        for upstream in upstreams:
            upstream.expire(now)
        self._rank()
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
        self._end_forgotten(now)
        if now - self._last_ask < DEMAND:
            self._probe(upstreams, now)
        self._is_awake = bool(self.flying) or now - self._last_ask < 1.0
        if not self._is_awake:
            self._timer.cancel()
            is_idle = all(upstream.is_idle and not upstream.health.is_down for upstream in upstreams)
            self._timer = None if is_idle else self._loop.call_later(IDLE_TICK, self._tick)

    def _end_forgotten(self, now: float) -> None:
        """Whatever an upstream does or fails to report, a question ends: those under way stand in the order of their beginning."""
        flying = self.flying
        while flying:
            exchange = flying[next(iter(flying))]
            if now < exchange.started + self._patience + SLOW:
                return
            self._fail(exchange.whole(), now)

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
        if now < exchange.started + SLOW and self._groups[exchange.group].upstreams:
            return False
        is_alive = any(upstream.health.last_reply >= exchange.started for upstream in exchange.tried)
        if is_alive and now < exchange.started + self._patience:
            return False  # slow rather than dead
        for upstream in exchange.tried:
            if upstream.health.missed(exchange.started, now, Fault.TIMEOUT):
                self.went_down(upstream, now)
        self._fail(exchange, now)
        return True
