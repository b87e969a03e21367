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

from collections.abc import Callable
from itertools import combinations
from struct import Struct
from typing import TYPE_CHECKING, Final, Protocol

from gateway.asks import TABLED_SIZES, Ask, Continuation
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
from gateway.wire.constants import MAX_LABEL, MAX_NAME, MIN_UDP_SIZE, UDP_SIZE, Flag, Qtype
from gateway.wire.edns import opt_record
from gateway.wire.message import parent_key, parse_query
from gateway.wire.name import SAFE_OCTETS

if TYPE_CHECKING:
    from gateway.answers import AnswerTable
    from gateway.clients import Record
    from gateway.policy.model import EffectivePolicy
    from gateway.upstreams import Upstream

RECENT_SECONDS: Final = 0.02
"""Answers of upstreams that come in together look at the wall clock once."""
MOST_PARENTS: Final = 32_768
"""Names whose children are known to be open alike, each kind of question counted, all policies together."""
MOST_POLICIES: Final = 4096
_OVERRIDE: Final = Reason.OVERRIDE
_RD: Final = Flag.RD
_CD: Final = Flag.CD
_NO_OPT: Final = b"\0\1\0\0\0\0\0\0"
_ONE_OPT: Final = b"\0\1\0\0\0\0\0\1"
_QNAME_END: Final = 10 + MAX_NAME
_LABEL_END: Final = 11 + MAX_LABEL
_LONG: Final = Struct(">I")
_unpack: Final = Struct(">6sIH").unpack_from
"""The owner (two octets: the name that was asked for), type and class of a record; its TTL, the length of its data."""
_BITS: Final = (Flag.AA, Flag.RD, Flag.RA, Flag.Z, Flag.AD, Flag.CD)
_FLAGS: Final = [Flag.QR | sum(chosen) for count in range(len(_BITS) + 1) for chosen in combinations(_BITS, count)]
_ORDINARY: Final = {flags.to_bytes(2, "big") + b"\0\1\0\1\0\0\0" + bytes((with_opt,)): with_opt for flags in _FLAGS for with_opt in (0, 1)}
"""Headers, behind the id, of whole and good responses with one answer and nothing else but perhaps an OPT."""


def _opt(size: int, do: bool) -> bytes:
    """The OPT record of somebody with this payload size."""
    return b"\0\0\x29" + size.to_bytes(2, "big") + b"\0\0" + (b"\x80\0" if do else b"\0\0") + b"\0\0"


_OPTS: Final = frozenset(_opt(size, do) for size in (*TABLED_SIZES, 1410, 1452, 65494) for do in (False, True))
"""OPT records of upstreams that need no second look."""


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

    __slots__ = ("absent", "asked", "counts", "head", "keyed", "kind", "limit", "named", "one", "opt", "qtype", "reply", "size", "suffix",
                 "tail", "tally", "width")  # fmt: skip

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
        self.one = self.reply + b"\0\1\0\1" + self.counts
        self.limit = max(MIN_UDP_SIZE, min(size, UDP_SIZE))
        end = -15 if size else -4
        self.named, self.keyed, self.asked = slice(10, end), slice(10, end + 2), slice(10, end + 4 or None)
        """The name in a query behind its id; with its type; with its class, too."""
        self.tally = tallies.plain(Transport.UDP, qtype, 0)


Opened = tuple[str, Pass, Callable[[str], bool] | None, _Shape, int]
"""What follows the first label of a query, when all names below it are open: the key of this name, the verdict, what tells of a name below
it whether it is masked, the kind of question, and where the longest label before it ends."""


class PlainAsk:
    """One query on the short way. `raw` is the query behind its id; `handle` belongs to the listener. As an upstream sees it, a question
    like any `Exchange`.

    `PlainPath.ask` fills it in: a call with a dozen arguments would cost as much as all the rest of it.
    """

    __slots__ = ("absent", "epoch", "exchange", "handle", "ident", "key", "listener", "path", "question", "raw", "record", "shape",
                 "started", "tail", "upstream", "verdict", "view")  # fmt: skip

    is_finished = False
    absent: bytes
    epoch: int
    exchange: Exchange
    handle: bytes
    ident: bytes
    key: bytes
    listener: Late
    path: PlainPath | None
    question: bytes
    raw: bytes
    record: Record
    shape: _Shape
    started: float
    tail: bytes
    upstream: Upstream
    verdict: Pass
    view: AnswerTable

    def whole(self) -> Exchange:
        """The same question as an exchange with an ask that waits for it; this object has then done its work, and no path any more."""
        if self.path is not None:
            self.exchange = self.path.unfold(self)
            self.path = None
        return self.exchange


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
        tallies: Tallies,
        ttl_max: int,
        asked: list[Sample],
    ) -> None:
        self._moment = moment
        self._cells = cells
        self._resolution = resolution
        self._cache = resolution.cache
        self._resolver = resolution.resolver
        self._flying = resolution.resolver.flying
        self._misses = resolution.misses
        self._most_waiting = resolution.most_waiting
        self._tops = names.tops
        self._ttl_max = ttl_max
        self._asked = asked
        self._arrived = 0.0
        self._shapes: dict[bytes, dict[bytes, _Shape]] = {}
        for flags in (_RD, _RD | Flag.AD, _RD | _CD, _RD | Flag.AD | _CD):
            head = flags.to_bytes(2, "big")
            self._shapes[head + _NO_OPT] = {
                kind.to_bytes(2, "big") + b"\0\1": _Shape(kind, flags, 0, False, tallies) for kind in (Qtype.A, Qtype.AAAA)
            }
            self._shapes[head + _ONE_OPT] = {
                kind.to_bytes(2, "big") + b"\0\1" + _opt(size, do): _Shape(kind, flags, size, do, tallies)
                for kind in (Qtype.A, Qtype.AAAA)
                for size in TABLED_SIZES
                for do in (False, True)
            }
        self.use(snapshot)

    def use(self, snapshot: Snapshot) -> None:
        """Judge by another generation."""
        self._judge = snapshot.judge
        self._is_uniform_below = snapshot.is_uniform_below
        self._hides = snapshot.hides
        self._canaries = frozenset(label.encode() for label in snapshot.catalogue.canary_labels)
        self._is_open = not snapshot.has_address_triggers and self._cache.keeps_small and self._resolver.strips_ad
        self._forget()

    def _forget(self) -> None:
        self._opened: dict[bytes, dict[EffectivePolicy, dict[bytes, Opened]]] = {head: {} for head in self._shapes}
        self._by_rules: dict[tuple[bytes, object], dict[bytes, Opened]] = {}
        self._parents = 0

    # Asking

    def ask(self, raw: bytes, record: Record, listener: Late) -> PlainAsk | None:
        """Ask the upstreams for a query (behind its id) of a client that has paid for it; the listener adds `ident` and `handle`.

        None when the query is not ordinary, or is not to be asked of anybody.
        """
        try:
            opened = self._opened.get(raw[:10])
            if opened is None or len(raw) == 10:
                return None
            first = raw[10] + 11
            label = raw[11:first]
            moment = self._moment
            policy = record.policy
            view = record.view
            base = view.base
            if not label or label.lstrip(SAFE_OCTETS) or not view.is_current or policy.valid_until <= moment.wall:
                return None
            if base is not None and (not base.is_current or raw in base.answers):
                return None
            below = opened.get(policy)
            found = below.get(raw[first:]) if below is not None else None
            if (
                found is None
                or label in self._canaries
                or (policy.own_names and policy.touches(f"{found[0]}{label.decode('ascii')}."))
                or (found[2] is not None and found[2](f"{found[0]}{label.decode('ascii')}."))
            ):
                found = self._consider(raw, first, label, policy)
                if found is None:
                    return None
            shape = found[3]
            key = raw[shape.keyed] + shape.suffix
            absent = raw[shape.named] + shape.absent
            if first > found[4] or self._cache.knows(key, absent) or record.waiting >= self._most_waiting:
                return None
            question = raw[shape.asked]
            ask = PlainAsk()
            ask.path = self
            ask.record = record
            ask.view = view
            ask.raw = raw
            ask.key = key
            ask.absent = absent
            ask.question = question
            ask.tail = shape.head + question + shape.tail
            ask.shape = shape
            ask.verdict = found[1]
            ask.epoch = moment.epoch
            ask.started = moment.now
            ask.listener = listener
            if not self._resolver.ask_plain(ask, moment.now):
                return None
            record.waiting += 1
            if len(self._asked) < MOST_SAMPLES:
                self._asked.append((f"{found[0]}{label.decode('ascii')}.", record, found[1]))
            self._misses.n += 1
            return ask
        except Exception as error:  # a fault of ours: the long way answers
            self._moment.guard(error, None)
            return None

    def _consider(self, raw: bytes, first: int, label: bytes, policy: EffectivePolicy) -> Opened | None:
        """Judge the name of a query whose first `label` ends at `first`, and remember what holds for everything below the rest of it. None
        for the long way."""
        end = raw.find(0, 10, _QNAME_END) + 1
        shape = self._shapes[raw[:10]].get(raw[end:])
        if shape is None:
            return None
        wire = raw[first:end]
        parent = parent_key(wire) if wire == wire.lower() else None
        if not parent or parent[: parent.find(".") + 1] in self._tops or not self._is_open or policy.activity == "history":
            return None
        name = f"{parent}{label.decode('ascii')}."
        if self._resolver.group_of(name):
            return None
        verdict = self._judge(name, shape.qtype, policy)
        if verdict.__class__ is not Pass or verdict.reason is _OVERRIDE:
            return None
        found = parent, verdict, self._hides(policy), shape, min(_LABEL_END, _QNAME_END - len(wire))
        if label not in self._canaries and not policy.touches(name) and not self._resolver.routes_below(parent):
            rules = self._is_uniform_below(parent, policy)
            if rules is not None:
                self._remember(raw, first, found, policy, rules)
        return found

    def _remember(self, raw: bytes, first: int, found: Opened, policy: EffectivePolicy, rules: object) -> None:
        """Policies with the same `rules` remember together."""
        if self._parents >= MOST_PARENTS or len(self._opened[raw[:10]]) >= MOST_POLICIES:
            self._forget()
        head = raw[:10]
        below = self._opened[head][policy] = self._by_rules.setdefault((head, rules), {})
        below[raw[first:]] = found
        self._parents += 1

    # Answering

    def take(self, ask: PlainAsk, data: bytes, now: float) -> bool:
        """Reply with an upstream's message that has the id and the socket of the question; False when it takes an exchange to understand
        it, or whether it matches.
        """
        question = ask.question
        if not data.startswith(question, 12):
            return False
        shape = ask.shape
        at = 12 + len(question)
        with_opt = _ORDINARY.get(data[2:12])
        if with_opt is None:
            return self._take_several(ask, data, now)
        end = at + shape.size
        if with_opt:
            opt = data[end:]
            if opt not in _OPTS and not is_plain_opt(opt):
                return False
        elif len(data) < end:
            return False
        kind, ttl, width = _unpack(data, at)
        if kind != shape.kind or width != shape.width or not ttl:
            return False
        if ttl > MAX_TTL:
            ttl = MAX_TTL
        first = data[at + 12]
        if width == 4:
            if first in SUSPECT_IPV4 and is_private(data[at + 12 : end]):
                return False
        elif (first & 0xE0 != 0x20 or data.startswith(b"\x20\x02", at + 12)) and is_private(data[at + 12 : end]):
            return False
        if self._arrived is not now:
            self._arrive(now)
        moment = self._moment
        record = ask.record
        policy = record.policy
        view = ask.view
        if moment.epoch != ask.epoch or record.view is not view or not view.is_current or policy.valid_until <= moment.wall:
            return False
        ttl_max = ask.verdict.ttl_max
        if self._ttl_max < ttl_max:
            ttl_max = self._ttl_max
        if policy.client_ttl_max < ttl_max:
            ttl_max = policy.client_ttl_max
        reply = ask.ident + shape.one + data[12:end] + shape.opt
        if not ttl_max or len(reply) > shape.limit:
            return False
        if ttl > ttl_max:
            reply = reply[: at + 6] + _LONG.pack(ttl_max) + reply[at + 10 :]
        self._finish(ask, reply, data[at:end], ttl, now)
        return True

    def _take_several(self, ask: PlainAsk, data: bytes, now: float) -> bool:
        """The same for a message that does not hold just one address."""
        question = ask.question
        if data[4:6] != b"\0\1" or data[2] & 0xFA != 0x80 or data[3] & 15:
            return False
        several = parse_addresses(data, question)
        if several is None or not several.ttl or any(is_private(address) for address in several.facts.addresses):
            return False
        ttl_max = self._still_open(ask, now)
        if not ttl_max:
            return False
        shape = ask.shape
        body = several.body
        reply = ask.ident + shape.reply + b"\0\1" + several.an.to_bytes(2, "big") + shape.counts + question + body + shape.opt
        if len(reply) > shape.limit:
            return False
        if several.ttl > ttl_max:
            reply = _lower(reply, 12 + len(question), len(body), shape.size, ttl_max)
        self._finish(ask, reply, body, several.ttl, now)
        return True

    def _arrive(self, now: float) -> None:
        """The first answer of a batch: follow what changed, or look at the wall clock now and then."""
        self._arrived = now
        moment = self._moment
        if self._cells[0] != moment.epoch or now - moment.now > RECENT_SECONDS:
            moment.begin()
        else:
            moment.now = now

    def _still_open(self, ask: PlainAsk, now: float) -> int:
        """The longest TTL that the client may be told, 0 when the policy that let the query through does not hold any more."""
        if self._arrived is not now:
            self._arrive(now)
        moment, policy, view = self._moment, ask.record.policy, ask.view
        if moment.epoch != ask.epoch or ask.record.view is not view or not view.is_current or policy.valid_until <= moment.wall:
            return 0
        return min(ask.verdict.ttl_max, self._ttl_max, policy.client_ttl_max)

    def _finish(self, ask: PlainAsk, reply: bytes, body: bytes, ttl: int, now: float) -> None:
        """The question is settled: keep the addresses in `body` and send the reply."""
        del self._flying[ask.key]
        ask.record.waiting -= 1
        try:
            self._cache.put_addresses(ask.key, ask.absent, body, ttl, now)
            ask.shape.tally.n += 1
        except Exception as error:  # as in `ask`
            guarded = self._moment.guard(error, self._query(ask))
            if guarded is None:
                return
            reply = guarded
        ask.listener.send_later(ask.handle, reply)

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


def _lower(reply: bytes, start: int, length: int, size: int, ttl: int) -> bytes:
    """The reply with every TTL of a body of equal records set to `ttl`."""
    lowered = bytearray(reply)
    for at in range(start + 6, start + length, size):
        _LONG.pack_into(lowered, at, ttl)
    return bytes(lowered)
