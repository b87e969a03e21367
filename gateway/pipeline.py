"""From a message to a reply: accept, read, admit, identify, own names, judge, cache, upstream, inspect, judge again, compose, keep.

`answer_now` is synchronous and raises for no input; what waits for an upstream goes on in an `Ask`. Listeners call it, the worker composes
it (README.md shows how). A finished reply goes into the answer table of the client's policy, from where listeners answer the next one.

What fails                              what is answered                                        open or closed     decided in
--------------------------------------  ------------------------------------------------------  -----------------  ---------------------
no header, or a response                silence                                                 closed             wire.parse_query
malformed, unsupported                  FORMERR, NOTIMP, BADVERS, REFUSED; never forwarded      closed             wire, Admission.reject
a source outside allow_from             REFUSED, EDE 18, never more octets than it sent         closed             Admission
a token that nobody has, or had         as without one; from outside REFUSED, then silence      closed             Clients, Admission
over the limit                          TC first, then silence; proven addresses on their own   closed             Admission, RateLimiter
identification fails                    the strictest band of the place                         closed             Snapshot.identify
judgement fails (a fault of ours)       SERVFAIL, EDE 0; logged once a minute                   closed             guard
no recursion desired and not known      REFUSED; blocks are blocks whatever RD says             closed             _settle
too many queries wait (all, one client) silence                                                 closed             Resolution, _fail
upstreams slow (1.8 s) or all dead      stale (EDE 3 or 19), if today's policy still allows     per name           is_slow, _fail
nothing stale                           SERVFAIL, EDE 22 or 23, within 2 s                      per name           _fail
a question that just failed             the same without asking again, for a moment             per name           Resolution.look_up
every upstream refuses this name        zero answer, EDE 15, counted as the upstream's block    closed             _fail
private address under a public name     block, EDE 15, counted as rebinding                     closed             _finish
target of a rewrite not reachable       the known addresses of the target, else SERVFAIL        closed             _finish_rewrite
a generation that cannot be staged      the old one stays                                       last good          the worker

RFC 1034, 1035, 2308, 4035 §3.2, 5625, 6761, 6840, 6891, 7766, 7871 (client subnets are never sent on), 8482, 8767, 8914, 9520.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from gateway.admission import Admission
from gateway.answers import AnswerTables, Entry
from gateway.asks import Ask, canonical_query, target_query
from gateway.cache import Entry as Cached
from gateway.clients import Clients, Record, Scope
from gateway.clock import JUMP_SECONDS
from gateway.discovery import Discovery
from gateway.errors import InvalidName
from gateway.inspection import inspect_failure
from gateway.listeners import PENDING, Pending
from gateway.localnames import OWN_TTL, LocalNames
from gateway.metrics import MALFORMED, TABLE_BYTES, UNANSWERED
from gateway.notebook import Notebook, note_passage
from gateway.outcomes import REBINDING, REBINDING_TTL, REFUSED_TTL, UPSTREAM_BLOCK, Outcome, Outcomes
from gateway.ownname import OwnAnswers
from gateway.plain import RECENT_SECONDS, PlainPath
from gateway.policy.model import Block, Drop, Local, Pass, Rewrite, TcpOnly, Verdict
from gateway.policy.snapshot import Snapshot
from gateway.query import STREAMS, Answer, Origin, Query, Reject, Transport
from gateway.ratelimit import RateLimiter
from gateway.replies import Replies
from gateway.resolution import Resolution, Unasked
from gateway.settings import GatewaySettings
from gateway.surroundings import Surroundings
from gateway.tallies import SILENCE, Tallies
from gateway.upstreams import Overload, UpstreamFailure
from gateway.wire.compose import STALE_TTL, age_body, any_answer, compose_error, fix_ttl
from gateway.wire.constants import Ede, Qtype, Rcode
from gateway.wire.edns import keepalive_option
from gateway.wire.message import parse_query

log = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 5.0
"""How often every client record is looked at."""
_CHORE_SECONDS: Final = 0.003
_IDLE_SECONDS: Final = 0.25
_FAULT_SECONDS: Final = 60.0
_UDP: Final = Transport.UDP
_STALE, _STALE_NXDOMAIN = (Ede.STALE, ""), (Ede.STALE_NXDOMAIN, "")
_FAULT: Final = ((Ede.OTHER, ""),)


class Pipeline:
    """Everything one worker does with a query. Belongs to the worker's event loop; implements `listeners.Front`."""

    def __init__(self, settings: GatewaySettings, snapshot: Snapshot, resolution: Resolution, around: Surroundings) -> None:
        self._snapshot = snapshot
        self._resolution = resolution
        self._counters = counters = around.counters
        self._activity = around.activity
        self._demand, self._notices = around.demand, around.notices
        self._clock = around.clock
        self._cells = around.word.cells
        self.epoch = around.word.value
        self._follow = around.follow
        self._loop = around.loop
        self.now, self.wall = around.loop.time(), around.clock.now()
        self._tables = AnswerTables(settings.limits.answer_table_bytes)
        self._tallies = Tallies(counters)
        self._notebook = Notebook(around.activity, counters)
        self._write = self._notebook.write
        limiter = RateLimiter(settings.rate_limit)
        allowed, most = settings.dns.allow_from, settings.limits.clients
        self._clients = Clients(snapshot, self._tables, limiter, allowed, most, around.neighbours, self._notice, around.weights.add)
        self.sweep, self.serve_link = self._clients.sweep, self._clients.serve_link
        trusted = settings.proxy_protocol.sources if settings.proxy_protocol is not None else ()
        self._admission = Admission(self._clients, limiter, around.cookies, self._tallies, counters, trusted, around.real_time)
        self._discovery: Discovery | None = None
        self._adopt(settings)
        self._silent = counters.cell(MALFORMED, "dropped")
        self._exhausted_stale = counters.cell(UNANSWERED, "stale")
        self._exhausted = counters.cell(UNANSWERED, "servfail")
        self._faulted_at = float("-inf")
        self._swept_at, self._is_sweeping = self.now, False
        self._timer: asyncio.TimerHandle | None = None

    def _adopt(self, settings: GatewaySettings) -> None:
        """Take over what is made from settings and may change while the worker runs."""
        self._names = LocalNames(settings.dns.name, settings.records)
        self._own = OwnAnswers(self._names, self._activity, self._discovery)
        servers = settings.upstreams.servers
        asked = servers[0].label if len(servers) == 1 else "several"
        self._outcomes = Outcomes(settings.dns.name, self._tallies, asked, settings.structured_errors)
        self._ttl_max = settings.cache.client_ttl_max
        self._shorten()
        self._admission.identify(settings.dns.identity)
        self._replies = Replies(self._tables, self._tallies, self._notebook, self._admission, keepalive_option(settings.limits.tcp_idle))
        self._settings = settings

    def _shorten(self) -> None:
        """Open the short way for these settings, cache and upstreams."""
        about = self._cells, self._snapshot, self._resolution, self._names, self._tallies, self._ttl_max
        self._plain = PlainPath(self, *about, self._demand.samples)
        self.ask_plain = self._plain.ask

    # What the worker calls

    def open_scope(self, listener: str, transport: Transport, local: bytes | None = None) -> Scope:
        """A scope for one listener: `listener` is its address as configured, `local` its packed address, None for a wildcard."""
        return self._clients.open_scope(listener, transport, local)

    def start(self) -> None:
        """Begin the chores that are done between queries."""
        self._timer = self._loop.call_later(_CHORE_SECONDS, self._work)

    def close(self) -> None:
        """End the chores."""
        if self._timer is not None:
            self._timer.cancel()

    def put_in_force(self, snapshot: Snapshot, settings: GatewaySettings | None = None, resolution: Resolution | None = None) -> None:
        """Judge by another generation from now on, and work with other settings, cache and upstreams where they changed.

        What is under way is judged again when it arrives. Limits, `allow_from` and trusted forwarders stay as they were at the start.
        """
        self._snapshot = snapshot
        if resolution is not None:
            self._resolution = resolution
        if settings is not None and settings != self._settings:
            self._adopt(settings)
            self._tables.flush(None)
        elif resolution is not None:
            self._shorten()
        self._plain.use(snapshot)
        self._clients.swap(snapshot)

    def tell_age(self, days: int) -> None:
        """Blocks by order say from now on that the office's release is that many days old (0: not old)."""
        if self._outcomes.tell_age(days):
            self._tables.flush(None)

    def designate(self, discovery: Discovery) -> None:
        """Offer these encrypted listeners to clients that look for some."""
        self._discovery = discovery
        self._own = OwnAnswers(self._names, self._activity, discovery)

    def clock_moved(self) -> None:
        """The wall clock was set: every policy is resolved anew."""
        self.wall = self._clock.now()
        self._clients.clock_moved()

    def flush(self, key: str | None) -> int:
        """Forget what is known of a name and all below it (index key), or everything; how many upstream answers went."""
        self._tables.flush(key)
        return self._resolution.flush(key)

    def forget_client(self, address: bytes) -> None:
        """The hardware address behind a packed address changed."""
        self._clients.forget(address)

    def count(self) -> None:
        """Bring counters, gauges and the activity up to date; once a second."""
        self._tallies.harvest()
        self._notebook.hand_over(self._clients, self._clock.now())
        self._resolution.measure()
        self._counters.set(TABLE_BYTES, (), self._tables.size)

    # What listeners call

    def begin(self) -> int:
        """Called after each receive: follow the shared word and the wall clock, ahead and back. The monotonic second."""
        if self._cells[0] != self.epoch:
            self._follow()
            self.epoch = self._cells[0]
        wall = self._clock.now()
        if wall >= self._clients.boundary:
            self._clients.cross(wall)
        elif wall < self.wall - JUMP_SECONDS:
            self._clients.clock_moved()  # at once: whoever looks ten times a second may miss a clock that goes there and back
        self.wall = wall
        self.now = now = self._loop.time()
        return int(now)

    def touch(self, record: Record, entry: Entry, raw: bytes, second: int) -> bytes | None:
        """A hit that was not rendered this second, or that has to be noted: the reply behind its id; None when it is no longer good."""
        if second >= entry.expires:
            self._tables.remove(record.view, raw, entry)
            return None
        note, cached = entry.note, entry.cached
        if note is not None:
            self._write(record, note)
        elif cached is None:
            entry.second = second
        if cached is None:
            return entry.reply
        cached.hits += 1
        cached.is_used = True
        if second >= cached.prefetch_at and cached.wants_prefetch(second):
            self._prefetch(raw)
        return entry.render(second)

    def _prefetch(self, raw: bytes) -> None:
        query = parse_query(b"\0\0" + raw)
        if isinstance(query, Query):
            try:
                self._resolution.prefetch(query)
            except Exception as error:  # the answer at hand is good, and the others of its batch must not be lost
                self.guard(error, None)

    def answer_now(self, data: bytes, origin: Origin) -> bytes | Pending | None:
        """The reply to a message, None for silence, PENDING when it comes later."""
        try:
            query = parse_query(data, origin.transport is not _UDP)
            if query is None:
                self._silent.n += 1
                return None
            if query.__class__ is Reject and self._notices is not None and self._notices.hears(data, origin):
                return self._notices.take(data, origin)
            record = origin.record
            if record is None:
                admitted = self._admission.admit(query, len(data), origin, self.now, self.wall)
                if not isinstance(admitted, Record):
                    return admitted
                record = admitted
            return self._admission.reject(query, origin) if isinstance(query, Reject) else self._serve(query, data, origin, record)
        except Exception as error:  # a fault of ours must cost one client one answer, and nobody else anything
            return self.guard(error, parse_query(data))

    # The stages

    def _serve(self, query: Query, data: bytes, origin: Origin, record: Record) -> bytes | Pending | None:
        """Look among the finished replies, judge, do what the verdict says."""
        edns = query.edns
        if edns is not None and edns.mac is not None:
            record = self._admission.behind(record, edns.mac, origin, self.now, self.wall)
        is_stale = not record.view.is_current or record.policy.valid_until <= self.wall
        if is_stale and not self._clients.refresh(origin, record, self.wall):
            return self._admission.turn_away(query, len(data), origin, self.now)
        raw = canonical_query(query)
        is_plain = raw == data[2:]
        if raw is not None and (record.view.base is not None or not is_plain):
            reply = self._replies.find(query, origin, record, raw, int(self.now), self.touch)
            if reply is not None:
                return reply
        ask = Ask(self, query, origin, record, raw, is_plain)
        verdict = self._judge(ask)
        self._demand.sample(query.key, record, verdict)
        return self._carry_out(ask, verdict)

    def _judge(self, ask: Ask) -> Verdict:
        """Line 1 of the judgement (own names, records, special-use names), then the policy."""
        query, key = ask.query, ask.query.key
        if self._names.may_hold(key):
            own = self._own.answer(ask, self._snapshot, self.wall)
            if own is not None:
                ask.is_plain = False
                return own
            local = self._names.record(key, query.qtype)
            if local is None and not self._resolution.is_routed(key):
                local = self._names.special(key)
            if local is not None:
                return local
        return self._snapshot.judge(key, query.qtype, ask.record.policy)

    def _carry_out(self, ask: Ask, verdict: Verdict) -> bytes | Pending | None:
        """Do what a verdict says."""
        query, transport = ask.query, ask.origin.transport
        match verdict:
            case Pass():
                ask.verdict = verdict
                if query.qtype == Qtype.ANY:
                    return self._reply(ask, Outcome(any_answer(), self._tallies.plain(transport, Qtype.ANY, Rcode.NOERROR)))
                return self._look_up(ask, query)
            case Block():
                return self._reply(ask, self._outcomes.block(query, transport, verdict, ask.record.policy))
            case Rewrite():
                return self._rewrite(ask, verdict)
            case Local():
                return self._reply(ask, self._outcomes.local(query, transport, verdict))
            case TcpOnly():
                if transport in STREAMS:
                    return self._carry_out(ask, verdict.then)
                return self._replies.truncated(ask)
            case Drop():
                self._tallies.plain(transport, query.qtype, SILENCE).n += 1
                return None

    def _rewrite(self, ask: Ask, verdict: Rewrite) -> bytes | Pending | None:
        """Lead to the target of a rewrite. Addresses are those of the target; other types have none."""
        query = ask.query
        ask.verdict = verdict
        if query.qtype != Qtype.A and query.qtype != Qtype.AAAA:
            return self._reply(ask, self._outcomes.rewrite(query, ask.origin.transport, verdict, (), OWN_TTL))
        try:
            ask.target = target = target_query(query, verdict.target)
        except InvalidName:
            # A target made of the query name may be too long; the real answer is never given instead (RFC 6672 §2.2).
            return self._replies.error(ask, Rcode.YXDOMAIN)
        return self._look_up(ask, target)

    def _look_up(self, ask: Ask, query: Query) -> bytes | Pending | None:
        ask.epoch, ask.view = self.epoch, ask.record.view
        found = self._resolution.look_up(ask, query, self.now)
        return PENDING if found is PENDING else self._settle(ask, found)

    def _settle(self, ask: Ask, found: Cached | UpstreamFailure | Unasked) -> bytes | Pending | None:
        """Reply by what is known, or by how asking failed."""
        if isinstance(found, Cached):
            return self._finish(ask, found)
        if isinstance(found, UpstreamFailure):
            return self._fail(ask, found)
        return (self._fall_back(ask) if ask.target is not None else None) or self._replies.error(ask, Rcode.REFUSED)

    # Upstream answers

    def arrived(self, ask: Ask, outcome: Answer | UpstreamFailure) -> None:
        """What a query waited for is there."""
        try:
            now = self._loop.time()
            if self._cells[0] != self.epoch or now - self.now > RECENT_SECONDS:
                self.begin()
            else:
                self.now = now
            found = self._resolution.take(ask.cache_key, (ask.target or ask.query).key, outcome, self.now)
            if ask.is_answered:
                return
            reply = self._finish(ask, found) if self._holds(ask) and isinstance(found, Cached) else self._go_on(ask, found)
        except Exception as error:  # as in `answer_now`
            reply = self.guard(error, ask.query)
        self._send(ask, reply)

    def _holds(self, ask: Ask) -> bool:
        """Whether the policy that let a query through is still the one of its client."""
        record = ask.record
        return ask.epoch == self.epoch and record.view is ask.view and ask.view.is_current and record.policy.valid_until > self.wall

    def is_slow(self, ask: Ask) -> None:
        """The upstreams take long, or none is alive: give the stale answer now and let the question go on."""
        try:
            self.begin()
            stale = self._resolution.stale(ask.cache_key, self.now)
            if stale is None or ask.is_answered:
                return
            reply = self._go_on(ask, stale, is_stale=True)
        except Exception as error:  # as in `answer_now`
            reply = self.guard(error, ask.query)
        self._send(ask, reply)

    def _go_on(self, ask: Ask, found: Cached | UpstreamFailure, is_stale: bool = False) -> bytes | Pending | None:
        """Judge again if the policy has changed while the query waited, then reply."""
        if not self._holds(ask):
            self._clients.refresh(ask.origin, ask.record, self.wall)
            ask.epoch, ask.view = self.epoch, ask.record.view
            verdict = self._judge(ask)
            if verdict != ask.verdict:
                ask.target = None
                return self._carry_out(ask, verdict)
        if isinstance(found, Cached):
            return self._finish(ask, found, is_stale)
        return self._settle(ask, found)

    def _send(self, ask: Ask, reply: bytes | Pending | None) -> None:
        if reply is PENDING or ask.is_answered:
            return
        ask.is_answered = True
        origin = ask.origin
        if origin.send is not None:
            origin.send(origin, reply)

    def _finish(self, ask: Ask, cached: Cached, is_stale: bool = False) -> bytes | None:
        """Judge an upstream's answer for this client, and reply with it."""
        query = ask.query
        transport = ask.origin.transport
        policy = ask.record.policy
        verdict = ask.verdict
        answer = cached.answer
        expires = int(cached.expires)
        errors = answer.ede
        if errors:
            if errors is UPSTREAM_BLOCK:
                return self._reply(ask, self._outcomes.upstream_block(query, transport, REBINDING_TTL, expires=expires))
            if errors is REBINDING:
                return self._reply(ask, self._outcomes.rebinding(query, transport, policy, expires))
        facts = answer.facts
        if facts.targets or (facts.addresses and self._snapshot.has_address_triggers):
            judged = self._snapshot.judge_answer(facts, verdict, policy, query.key, query.qtype)
            if isinstance(judged, Block):
                return self._reply(ask, self._outcomes.block(query, transport, judged, policy, expires))
        if isinstance(verdict, Rewrite):
            return self._finish_rewrite(ask, verdict, cached, is_stale)
        ttl_max = verdict.ttl_max
        if self._ttl_max < ttl_max:
            ttl_max = self._ttl_max
        if policy.client_ttl_max < ttl_max:
            ttl_max = policy.client_ttl_max
        body = answer.body
        if is_stale:
            errors = (*errors, _STALE_NXDOMAIN if answer.rcode == Rcode.NXDOMAIN else _STALE)
            body = fix_ttl(answer, STALE_TTL)
            ask.is_plain = False
        elif body:
            age = int(self.now) - int(cached.stored)
            if age or max(answer.ttls) > ttl_max:
                body = age_body(answer, age, ttl_max)
        note = note_passage(policy, verdict, query.key)
        tally = self._tallies.plain(transport, query.qtype, answer.rcode)
        return self._replies.give(ask, answer, body, tally, errors, note, expires, cached, ttl_max, int(self.now))

    def _finish_rewrite(self, ask: Ask, verdict: Rewrite, cached: Cached, is_stale: bool) -> bytes | None:
        """The addresses of a rewrite's target, under the alias."""
        addresses = cached.answer.facts.addresses
        if not addresses and cached.answer.rcode != Rcode.NOERROR:
            reply = self._fall_back(ask)
            if reply is not None:
                return reply
        left = STALE_TTL if is_stale else max(1, int(cached.expires - self.now))
        ttl = min(left, verdict.ttl_max, self._ttl_max)
        expires = int(cached.expires)
        ask.is_plain = ask.is_plain and not is_stale
        return self._reply(ask, self._outcomes.rewrite(ask.query, ask.origin.transport, verdict, addresses, ttl, expires))

    def _fall_back(self, ask: Ask) -> bytes | None:
        """A rewrite whose target cannot be resolved, answered with the addresses known for it."""
        verdict = ask.verdict
        if not isinstance(verdict, Rewrite):
            return None
        outcome = self._outcomes.fallback(ask.query, ask.origin.transport, verdict)
        ask.is_plain = False
        return None if outcome is None else self._reply(ask, outcome)

    def _fail(self, ask: Ask, failure: UpstreamFailure) -> bytes | None:
        """Nothing came from the upstreams: stale, the known addresses of a rewrite's target, or SERVFAIL with the reason."""
        query, transport = ask.query, ask.origin.transport
        if isinstance(failure, Overload):
            self._tallies.plain(transport, query.qtype, SILENCE).n += 1
            return None
        if inspect_failure(failure) is not None and ask.target is None:
            ask.is_plain = False
            return self._reply(ask, self._outcomes.upstream_block(query, transport, REFUSED_TTL, failure.errors or UPSTREAM_BLOCK))
        stale = self._resolution.stale(ask.cache_key, self.now)
        if stale is not None:
            self._exhausted_stale.n += 1
            return self._finish(ask, stale, is_stale=True)
        reply = self._fall_back(ask)
        if reply is not None:
            return reply
        self._exhausted.n += 1
        return self._replies.error(ask, failure.rcode, failure.ede)

    def _reply(self, ask: Ask, outcome: Outcome) -> bytes:
        return self._replies.reply(ask, outcome, int(self.now))

    def guard(self, error: Exception, query: Query | Reject | None) -> bytes | None:
        """A fault of ours: say so in the log, at most once a minute, and tell the client that it was not its fault."""
        if self.now - self._faulted_at > _FAULT_SECONDS:
            self._faulted_at = self.now
            log.error("a query could not be answered", extra={"event": "pipeline.fault"}, exc_info=error)
        return compose_error(query, Rcode.SERVFAIL, _FAULT) if isinstance(query, Query) else None

    # Chores

    def _notice(self, record: Record) -> None:
        """A source was met for the first time, or was used since the sweep last saw it."""
        self._activity.met(record.address, record.policy, self.wall, record.match, record.mac, record.is_behind)

    def _work(self) -> None:
        """One slice of what has to be done between queries."""
        now = self._loop.time()
        is_busy = self._tables.has_chores
        try:
            if is_busy:
                self._tables.work()
            if self._is_sweeping or now - self._swept_at >= SWEEP_SECONDS:
                self._is_sweeping, self._swept_at = self._clients.sweep(now), now
        finally:
            self._timer = self._loop.call_later(_CHORE_SECONDS if is_busy or self._is_sweeping else _IDLE_SECONDS, self._work)
