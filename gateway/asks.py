"""One query on its way through the pipeline, and what waits of it for an upstream. Imported by the pipeline only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from gateway.policy.model import Pass, Rewrite
from gateway.query import Answer, Key, Origin, Query
from gateway.upstreams import UpstreamFailure
from gateway.wire.constants import Flag
from gateway.wire.message import parse_query
from gateway.wire.name import wire_from_text

if TYPE_CHECKING:
    from gateway.answers import AnswerTable
    from gateway.clients import Record

TABLED_SIZES: Final = frozenset({512, 1220, 1232, 1400, 4096})
"""UDP payload sizes that clients send in practice (review 12). A query with another size is answered from the entry of a smaller or equal
one.
"""
_LARGE: Final = 1232
_RD: Final = Flag.RD
_NO_OPT: Final = b"\0\1\0\0\0\0\0\0"
_ONE_OPT: Final = b"\0\1\0\0\0\0\0\1"
_FLAGS: Final = {flags: flags.to_bytes(2, "big") for flags in (_RD, _RD | Flag.AD, _RD | Flag.CD, _RD | Flag.AD | Flag.CD)}
_OPTS: Final = {
    (size, do): b"\0\0\x29" + size.to_bytes(2, "big") + b"\0\0" + (b"\x80\0" if do else b"\0\0") + b"\0\0"
    for size in TABLED_SIZES
    for do in (False, True)
}


def canonical_query(query: Query) -> bytes | None:
    """The plain form of a query behind its id, under which tables know it: lower case, no options. None when it has no such form.

    Only queries equal to their canonical form are entered into tables; so one sender cannot mint keys for one name.
    """
    _, sent, qname, _, _, question, edns, _ = query
    flags = _FLAGS.get(sent)
    if flags is None:
        return None
    if edns is None:
        return flags + _NO_OPT + qname + question[-4:]
    size = edns.size
    if size not in TABLED_SIZES:
        if size < _LARGE:
            return None
        size = _LARGE
    return flags + _ONE_OPT + qname + question[-4:] + _OPTS[size, edns.do]


def target_query(query: Query, target: str) -> Query:
    """The same question about another name. Raises InvalidName for what is no name."""
    flags = query.flags & (Flag.RD | Flag.CD)
    question = wire_from_text(target) + query.question[-4:]
    parsed = parse_query(b"\0\0" + flags.to_bytes(2, "big") + b"\0\1\0\0\0\0\0\0" + question)
    assert isinstance(parsed, Query)
    return parsed


class Continuation(Protocol):
    """The pipeline, as far as an ask needs it."""

    def arrived(self, ask: Ask, outcome: Answer | UpstreamFailure) -> None: ...
    def is_slow(self, ask: Ask) -> None: ...


class Ask:
    """One query, who asked it, and what was decided so far.

    `raw` is its canonical form, `is_plain` whether it came in that form. `target` is the query for the target of a rewrite, whose answer is
    waited for instead of the query's own. `epoch` is the generation and `view` the table of the policy under which `verdict` was reached.
    """

    __slots__ = (
        "cache_key",
        "epoch",
        "group",
        "is_answered",
        "is_plain",
        "origin",
        "pipeline",
        "query",
        "raw",
        "record",
        "target",
        "verdict",
        "view",
    )

    def __init__(self, pipeline: Continuation, query: Query, origin: Origin, record: Record, raw: bytes | None, is_plain: bool) -> None:
        self.pipeline = pipeline
        self.query = query
        self.origin = origin
        self.record = record
        self.raw = raw
        self.is_plain = is_plain
        self.is_answered = False
        self.target: Query | None = None
        self.epoch = 0
        self.cache_key: Key
        self.verdict: Pass | Rewrite
        self.view: AnswerTable

    def done(self, outcome: Answer | UpstreamFailure) -> None:
        """The upstreams have answered, or have not."""
        self.record.waiting -= 1
        self.pipeline.arrived(self, outcome)

    def slow(self) -> None:
        """The upstreams take long: the moment for a stale answer (RFC 8767 §5)."""
        self.pipeline.is_slow(self)
