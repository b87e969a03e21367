"""The short way of the most frequent question that nobody has asked yet: an ordinary A or AAAA question over UDP, with an ordinary answer.

A `PlainAsk` is the query, its origin, the wait and the question to the upstream in one small object. It asks the same upstreams with the
same sockets, ids and matching as every other question, is judged by the same policy before and after, and its answer is inspected for the
same addresses. What is not ordinary leaves the short way at once: `ask` says None and the pipeline takes the query, or `take` says False
and the ask becomes `whole`, an `Ask` that waits for an `Exchange`, from where everything goes on as for any other query (a second client
with the same question, silence, a broken or truncated reply, an alias, a private address, a policy that changed meanwhile). Imported by the
pipeline.

RFC 1035, 2181 §5.2, 5452, 6891.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final, Protocol

from gateway.answers import AnswerTables, Entry
from gateway.asks import TABLED_SIZES, Ask, Continuation
from gateway.cache import Entry as Cached
from gateway.demand import MOST_SAMPLES, Sample
from gateway.inspection import SUSPECT_IPV4, is_private
from gateway.localnames import LocalNames
from gateway.policy.model import Pass, Reason
from gateway.policy.snapshot import Snapshot
from gateway.query import Origin, Query, Transport
from gateway.resolution import Resolution
from gateway.tallies import Tallies
from gateway.upstreams.exchange import HEADERS, OPTS, Exchange
from gateway.wire.answer import MAX_TTL, is_plain_opt, parse_addresses
from gateway.wire.constants import MAX_NAME, MIN_UDP_SIZE, UDP_SIZE, Flag, Qtype
from gateway.wire.edns import opt_record
from gateway.wire.message import parent_key, parse_query
from gateway.wire.name import SAFE_OCTETS

if TYPE_CHECKING:
    from gateway.clients import Record
    from gateway.upstreams import Upstream

RECENT_SECONDS: Final = 0.02
"""Answers of upstreams that come in together look at the wall clock once."""
_OVERRIDE: Final = Reason.OVERRIDE
_NAME_END: Final = 10 + MAX_NAME
_RD: Final = Flag.RD
_CD: Final = Flag.CD
_NO_OPT: Final = b"\0\1\0\0\0\0\0\0"
_ONE_OPT: Final = b"\0\1\0\0\0\0\0\1"
_ONE_ANSWER: Final = b"\0\1\0\0\0\0"
_ONE_ANSWER_AND_OPT: Final = b"\0\1\0\0\0\1"
_LONG: Final = Struct(">I")


class Moment(Continuation, Protocol):
    """The pipeline, as far as the short way needs it: what it knows of the moment, and what it does with faults."""

    now: float
    wall: float
    epoch: int

    def begin(self) -> int: ...
    def guard(self, error: Exception, query: Query | None) -> bytes | None: ...


class Late(Protocol):
    """The listener a query came from."""

    def origin_of(self, handle: bytes, record: Record) -> Origin: ...
    def send_later(self, handle: bytes, reply: bytes) -> None: ...


class _Shape:
    """What all questions of one type with the same flags and the same OPT record have in common."""

    __slots__ = ("absent", "counts", "head", "kind", "limit", "opt", "qtype", "reply", "size", "suffix", "tail", "tally", "width")

    def __init__(self, qtype: int, flags: int, size: int, do: bool, tallies: Tallies) -> None:
        self.qtype = qtype
        cd = flags & _CD != 0
        self.suffix = bytes((do + 2 * cd, 0, 0))
        self.absent = b"\0\0" + self.suffix
        self.head = HEADERS[cd]
        self.tail = OPTS[do]
        self.kind = b"\xc0\x0c" + qtype.to_bytes(2, "big") + b"\0\1"
        self.width = 4 if qtype == Qtype.A else 16
        self.size = 12 + self.width
        self.reply = (Flag.QR | Flag.RA | flags & (_RD | _CD)).to_bytes(2, "big")
        self.opt = opt_record(do) if size else b""
        self.counts = b"\0\0\0\1" if size else b"\0\0\0\0"
        self.limit = max(MIN_UDP_SIZE, min(size, UDP_SIZE))
        self.tally = tallies.plain(Transport.UDP, qtype, 0)


class PlainAsk:
    """One query on the short way. `raw` is the query behind its id; `handle` belongs to the listener. As an upstream sees it, a question
    like any `Exchange`."""

    __slots__ = ("absent", "epoch", "exchange", "handle", "ident", "key", "listener", "path", "question", "raw", "record", "shape",
                 "started", "tail", "upstream", "verdict", "view")  # fmt: skip

    is_plain = True
    is_finished = False
    ident: bytes
    handle: bytes
    upstream: Upstream

    def __init__(
        self, path: PlainPath, record: Record, raw: bytes, key: bytes, absent: bytes, question: bytes, shape: _Shape, verdict: Pass,
        epoch: int, started: float, listener: Late,
    ) -> None:  # fmt: skip
        self.path = path
        self.record = record
        self.view = record.view
        self.raw = raw
        self.key = key
        self.absent = absent
        self.question = question
        self.tail = shape.head + question + shape.tail
        self.shape = shape
        self.verdict = verdict
        self.epoch = epoch
        self.started = started
        self.listener = listener
        self.exchange: Exchange | None = None

    def whole(self) -> Exchange:
        """The same question as an exchange with an ask that waits for it; this object has then done its work."""
        if self.exchange is None:
            self.exchange = self.path.unfold(self)
        return self.exchange

    def take(self, data: bytes, upstream: Upstream, now: float) -> bool:
        """Reply with the upstream's message, if it is as ordinary as the question; it matches id, socket and question already."""
        if self.exchange is not None:
            return False
        shape = self.shape
        question = self.question
        width = shape.width
        end = 12 + len(question) + shape.size
        counts = data[6:12]
        if ((counts == _ONE_ANSWER_AND_OPT and is_plain_opt(data[end:])) or (counts == _ONE_ANSWER and len(data) >= end)) and not data[
            3
        ] & 15:
            body = data[12 + len(question) : end]
            if not body.startswith(shape.kind) or body[11] != width or body[10]:
                return False
            ttl = (body[6] << 24) + (body[7] << 16) + (body[8] << 8) + body[9]
            if width == 4:
                if body[12] in SUSPECT_IPV4 and is_private(body[12:]):
                    return False
            elif (body[12] & 0xE0 != 0x20 or body[12:14] == b"\x20\x02") and is_private(body[12:]):
                return False
            count = b"\0\1"
        else:
            several = parse_addresses(data, question)
            if several is None or data[3] & 15 or any(is_private(address) for address in several.facts.addresses):
                return False
            body, ttl, count = several.body, several.ttl, several.an.to_bytes(2, "big")
        return bool(ttl) and self.path.finish(self, upstream, body, ttl, count, now)


class PlainPath:
    """The short way of one worker under one set of settings. `cells` holds the shared word, `names` are those the gateway answers itself,
    `ttl_max` caps what clients are told, `asked` takes samples of what was asked for."""

    def __init__(
        self,
        moment: Moment,
        cells: memoryview,
        snapshot: Snapshot,
        resolution: Resolution,
        names: LocalNames,
        tables: AnswerTables,
        tallies: Tallies,
        ttl_max: int,
        asked: list[Sample],
    ) -> None:
        self._moment = moment
        self._cells = cells
        self._resolution = resolution
        self._cache = resolution.cache
        self._resolver = resolution.resolver
        self._most_waiting = resolution.most_waiting
        self._tops = names.tops
        self._tables = tables
        self._tallies = tallies
        self._ttl_max = ttl_max
        self._asked = asked
        self._heads: dict[bytes, dict[bytes, _Shape]] = {}
        for flags in (_RD, _RD | Flag.AD, _RD | _CD, _RD | Flag.AD | _CD):
            head = flags.to_bytes(2, "big")
            self._heads[head + _NO_OPT] = {
                kind.to_bytes(2, "big") + b"\0\1": _Shape(kind, flags, 0, False, tallies) for kind in (Qtype.A, Qtype.AAAA)
            }
            self._heads[head + _ONE_OPT] = {
                kind.to_bytes(2, "big") + b"\0\1" + _opt(size, do): _Shape(kind, flags, size, do, tallies)
                for kind in (Qtype.A, Qtype.AAAA)
                for size in TABLED_SIZES
                for do in (False, True)
            }
        self.use(snapshot)

    def use(self, snapshot: Snapshot) -> None:
        """Judge by another generation."""
        self._judge = snapshot.judge
        self._is_open = not snapshot.has_address_triggers and self._cache.keeps_small and self._resolver.strips_ad

    def ask(self, raw: bytes, record: Record, listener: Late) -> PlainAsk | None:
        """Ask the upstreams for a query (behind its id) of a client that has paid for it; the listener adds `ident` and `handle`.

        None when the query is not ordinary, or is not to be asked of anybody.
        """
        try:
            tails = self._heads.get(raw[:10])
            if tails is None:
                return None
            end = raw.find(0, 10, _NAME_END) + 1
            shape = tails.get(raw[end:])
            if shape is None:
                return None
            qname = raw[10:end]
            first = qname[0] + 1
            label = qname[1:first]
            if first > 64 or qname != qname.lower() or not (label.isalnum() or (label and not label.translate(None, SAFE_OCTETS))):
                return None
            parent = parent_key(qname[first:])
            if not parent or parent[: parent.find(".") + 1] in self._tops or not self._is_open:
                return None
            name = f"{parent}{label.decode('ascii')}."
            moment = self._moment
            policy = record.policy
            view = record.view
            base = view.base
            if not view.is_current or policy.valid_until <= moment.wall or policy.activity == "history":
                return None
            if base is not None and (not base.is_current or raw in base.answers):
                return None
            verdict = self._judge(name, shape.qtype, policy)
            if verdict.__class__ is not Pass or verdict.reason is _OVERRIDE:
                return None
            key = raw[10 : end + 2] + shape.suffix
            absent = qname + shape.absent
            if self._cache.knows(key, absent) or record.waiting >= self._most_waiting:
                return None
            ask = PlainAsk(self, record, raw, key, absent, raw[10 : end + 4], shape, verdict, moment.epoch, moment.now, listener)
            if not self._resolver.ask_plain(ask, name, moment.now):
                return None
            record.waiting += 1
            if len(self._asked) < MOST_SAMPLES:
                self._asked.append((name, record, verdict))
            self._resolution.missed()
            return ask
        except Exception as error:  # a fault of ours: the long way answers
            self._moment.guard(error, None)
            return None

    def finish(self, ask: PlainAsk, upstream: Upstream, body: bytes, ttl: int, count: bytes, now: float) -> bool:
        """Keep the addresses in `body` and reply with them, if the policy that let the query through still holds."""
        moment = self._moment
        if self._cells[0] != ask.epoch or now - moment.now > RECENT_SECONDS:
            moment.begin()
        else:
            moment.now = now
        record = ask.record
        policy = record.policy
        view = ask.view
        shape = ask.shape
        if moment.epoch != ask.epoch or record.view is not view or not view.is_current or policy.valid_until <= moment.wall:
            return False
        question = ask.question
        reply = ask.ident + shape.reply + b"\0\1" + count + shape.counts + question + body + shape.opt
        if len(reply) > shape.limit or not self._resolver.settle_plain(ask, upstream, now):
            return False
        record.waiting -= 1
        try:
            if ttl > MAX_TTL:
                ttl = MAX_TTL
            cached = self._cache.put_addresses(ask.key, ask.absent, body, ttl, now)
            ttl_max = ask.verdict.ttl_max
            if self._ttl_max < ttl_max:
                ttl_max = self._ttl_max
            if policy.client_ttl_max < ttl_max:
                ttl_max = policy.client_ttl_max
            if ttl > ttl_max:
                reply = _lower(reply, 12 + len(question), len(body), shape.size, ttl_max)
            shape.tally.n += 1
            if self._tables.is_second_sight(ask.raw):
                self._table(ask, reply, cached, ttl_max, now)
        except Exception as error:  # as in `ask`; the question itself is settled
            guarded = moment.guard(error, self._query(ask))
            if guarded is None:
                return True
            reply = guarded
        ask.listener.send_later(ask.handle, reply)
        return True

    def unfold(self, ask: PlainAsk) -> Exchange:
        """The ask and the exchange that this question would have been otherwise."""
        query = self._query(ask)
        whole = Ask(self._moment, query, ask.listener.origin_of(ask.handle, ask.record), ask.record, ask.raw, True)
        whole.verdict = ask.verdict
        whole.epoch = ask.epoch
        whole.view = ask.view
        whole.cache_key = ask.key
        exchange = Exchange(ask.key, query, 0, ask.started, whole.done)
        self._resolver.replace_plain(ask, exchange)
        return exchange

    def _query(self, ask: PlainAsk) -> Query:
        query = parse_query(ask.ident + ask.raw)
        assert isinstance(query, Query)
        return query

    def _table(self, ask: PlainAsk, reply: bytes, cached: Cached, ttl_max: int, now: float) -> None:
        """Keep the reply for the next who asks: the name was asked for before."""
        second = int(now)
        expires = int(cached.expires)
        if expires > second:
            tally = self._tallies.known(Transport.UDP, ask.shape.qtype, 0, False)
            entry = Entry(reply[2:], tally, self._query(ask).key, None, expires, cached, 10 + len(ask.question), ttl_max)
            entry.second = second
            self._tables.enter(ask.view, ask.raw, entry)


def _opt(size: int, do: bool) -> bytes:
    """The OPT record of a client with this payload size."""
    return b"\0\0\x29" + size.to_bytes(2, "big") + b"\0\0" + (b"\x80\0" if do else b"\0\0") + b"\0\0"


def _lower(reply: bytes, start: int, length: int, size: int, ttl: int) -> bytes:
    """The reply with every TTL of a body of equal records set to `ttl`."""
    lowered = bytearray(reply)
    for at in range(start + 6, start + length, size):
        _LONG.pack_into(lowered, at, ttl)
    return bytes(lowered)
