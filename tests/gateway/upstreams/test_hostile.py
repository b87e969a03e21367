"""Hostile and broken upstreams, one row each: what the client is told, and that no row costs more than three messages.

All rows run at once, each with an upstream and a resolver of its own, because many of them end by waiting.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

from gateway.query import Answer
from gateway.upstreams import Invalid, NetworkError, Refused, ServerFailure, Timeout, UpstreamFailure
from tests.gateway.upstreams.conftest import OpenResolver
from tests.support.scripts import (
    Asked,
    Close,
    Dribble,
    Raw,
    Reset,
    Say,
    Script,
    addresses,
    failure,
    negative,
    reply_to,
    truncated,
    wire,
    with_id,
)
from tests.support.upstream import ScriptedUpstream

GOOD = (b"\xc0\x00\x02\x01",)


@dataclass(frozen=True)
class Row:
    """One behaviour and what must come of it: a failure class, or the addresses of the answer."""

    name: str
    script: Callable[[Asked], Script]
    expected: type[UpstreamFailure] | tuple[bytes, ...]
    scheme: str = "udp"
    ede: int | None = None


def raw(asked: Asked, records: bytes, *, an: int = 1, ns: int = 0, ar: int = 0, flags: int = 0x8180) -> bytes:
    """A reply put together by hand."""
    return asked.raw[:2] + struct.pack("!HHHHH", flags, 1, an, ns, ar) + asked.question + records


def record(rtype: int, rdata: bytes, *, owner: bytes = b"\xc0\x0c", ttl: int = 300, rclass: int = 1, length: int | None = None) -> bytes:
    """One record put together by hand."""
    return owner + struct.pack("!HHIH", rtype, rclass, ttl, len(rdata) if length is None else length) + rdata


A = record(1, b"\xc0\x00\x02\x01")
OK = "www.example. 300 IN A 192.0.2.1"


def chain(asked: Asked, length: int) -> bytes:
    """A chain of aliases with an address at its end."""
    lines = ["www.example. 300 IN CNAME c1.example."]
    lines += [f"c{step}.example. 300 IN CNAME c{step + 1}.example." for step in range(1, length)]
    return wire(reply_to(asked, *lines, f"c{length}.example. 300 IN A 192.0.2.1"))


def over_tcp(then: Callable[[Asked], Script]) -> Callable[[Asked], Script]:
    """Truncate over UDP, then do this over TCP."""
    return lambda asked: truncated(asked) if asked.transport == "udp" else then(asked)


def many_records(asked: Asked) -> bytes:
    return raw(asked, b"".join(record(1, b"\xc6\x33" + struct.pack("!H", number)) for number in range(2000)), an=2000)


def said(asked: Asked, text: str) -> bytes:
    return wire(reply_to(asked, text))


ROWS = [
    # nothing that could be an answer
    Row("silence", lambda asked: None, Timeout, ede=22),
    Row("junk", lambda asked: b"\xde\xad\xbe\xef" * 20, Timeout),
    Row("empty datagram", lambda asked: b"", Timeout),
    Row("header only", lambda asked: asked.raw[:2] + b"\x81\x80" + bytes(8), Timeout),
    Row("wrong id", lambda asked: with_id(addresses(asked, "192.0.2.1"), asked.id + 1), Timeout),
    Row("other question", lambda asked: addresses(asked, "192.0.2.1").replace(b"\x03www", b"\x03wwx"), Timeout),
    Row("the query echoed", lambda asked: asked.raw, Timeout),
    Row("another opcode", lambda asked: raw(asked, A, flags=0xA180), Timeout),
    # matching, but broken
    Row("cut short", lambda asked: raw(asked, A[:-2]), Invalid, ede=24),
    Row("count lies", lambda asked: raw(asked, A, an=3), Invalid),
    Row("pointer to itself", lambda asked: raw(asked, record(1, bytes(4), owner=struct.pack("!H", 0xC00C + len(asked.question)))), Invalid),
    Row("pointer forward", lambda asked: raw(asked, record(1, b"\xc0\0\2\1", owner=b"\xcf\xff")), Invalid),
    Row("address of five octets", lambda asked: raw(asked, record(1, b"\xc0\0\2\1\1")), Invalid),
    Row("record data longer than the message", lambda asked: raw(asked, record(1, b"\xc0\0\2\1", length=400)), Invalid),
    Row("broken OPT", lambda asked: raw(asked, A + b"\0\0\x29\x04\xd0\0\0\0\0\0\x20", ar=1), Invalid),
    Row("alias to itself", lambda asked: said(asked, "www.example. 300 IN CNAME www.example."), Invalid),
    Row("alias loop", lambda asked: wire(reply_to(
        asked, "www.example. 300 IN CNAME b.example.", "b.example. 300 IN CNAME www.example.")), Invalid),
    Row("chain of 500", over_tcp(lambda asked: chain(asked, 500)), Invalid),
    Row("2,000 records", over_tcp(many_records), Invalid),
    Row("truncated for ever", truncated, Invalid),
    # answers that must be used, stripped of what does not belong
    Row("chain of 10", lambda asked: chain(asked, 10), GOOD),
    Row("foreign authority", lambda asked: wire(reply_to(asked, OK, authority=["bank.example. 300 IN NS ns.evil.example."],
                                                         additional=["ns.evil.example. 300 IN A 198.51.100.66"])), GOOD),
    Row("foreign answer", lambda asked: wire(reply_to(asked, OK, "bank.example. 300 IN A 198.51.100.66")), GOOD),
    Row("foreign DNAME", lambda asked: wire(reply_to(asked, OK, "bank.example. 300 IN DNAME evil.example.")), GOOD),
    Row("records of another class", lambda asked: raw(asked, A + record(1, b"\xc6\x33\x64\x42", rclass=3), an=2), GOOD),
    Row("sent twice", lambda asked: [Say(addresses(asked, "192.0.2.1")), Say(addresses(asked, "192.0.2.1"))], GOOD),
    Row("junk first", lambda asked: [Say(b"\0" * 40), Say(raw(asked, A[:-1])), Say(addresses(asked, "192.0.2.1"), after=0.05)], GOOD),
    Row("larger than announced", lambda asked: addresses(asked, *["192.0.2.1"] * 1, *(f"198.51.100.{n}" for n in range(99))), GOOD + tuple(
        b"\xc6\x33\x64" + bytes([n]) for n in range(99))),
    Row("empty NXDOMAIN without SOA", lambda asked: failure(asked, "NXDOMAIN"), ()),
    Row("slow", lambda asked: [Say(addresses(asked, "192.0.2.1"), after=1.2)], GOOD),
    # answers that decline
    Row("SERVFAIL", failure, ServerFailure, ede=22),
    Row("REFUSED", lambda asked: failure(asked, "REFUSED"), Refused),
    Row("NOTIMP", lambda asked: failure(asked, "NOTIMP"), ServerFailure),
    Row("FORMERR", lambda asked: failure(asked, "FORMERR"), ServerFailure),
    Row("BADVERS", lambda asked: failure(asked, "BADVERS"), ServerFailure),
    Row("NOTAUTH", lambda asked: failure(asked, "NOTAUTH"), ServerFailure),
    # TCP after truncation
    Row("TCP closed at once", over_tcp(lambda asked: [Close()]), NetworkError, ede=23),
    Row("TCP reset", over_tcp(lambda asked: [Reset()]), NetworkError),
    Row("TCP half an answer", over_tcp(lambda asked: [Raw(b"\0\x40" + asked.raw[:20]), Close(after=0.01)]), NetworkError),
    Row("TCP silence", over_tcp(lambda asked: None), Timeout),
    Row("TCP length 0", over_tcp(lambda asked: [Raw(b"\0\0"), Say(addresses(asked, "192.0.2.1"))]), GOOD),
    Row("TCP length 1", over_tcp(lambda asked: [Raw(b"\0\1\0"), Say(addresses(asked, "192.0.2.1"))]), GOOD),
    Row("TCP length 11", over_tcp(lambda asked: [Raw(b"\0\x0b" + bytes(11)), Say(addresses(asked, "192.0.2.1"))]), GOOD),
    Row("TCP dribble", over_tcp(lambda asked: [Dribble(addresses(asked, "192.0.2.1"))]), GOOD),
    Row("TCP dribble too slow", over_tcp(lambda asked: [Dribble(addresses(asked, "192.0.2.1"), pause=0.2)]), Timeout),
    Row("TCP strangers", over_tcp(lambda asked: [Say(bytes(40))] * 500), NetworkError),
    # TCP from the start
    Row("tcp:// broken", lambda asked: raw(asked, A[:-2]), Invalid, scheme="tcp"),
    Row("tcp:// closed at once", lambda asked: [Close()], NetworkError, scheme="tcp"),
    Row("tcp:// reset", lambda asked: [Reset()], NetworkError, scheme="tcp"),
    Row("tcp:// silence", lambda asked: None, Timeout, scheme="tcp"),
    Row("tcp:// SERVFAIL", failure, ServerFailure, scheme="tcp"),
    Row("tcp:// truncated", truncated, Invalid, scheme="tcp"),
    Row("tcp:// out of nowhere", lambda asked: [
        Say(with_id(addresses(asked, "198.51.100.6"), asked.id + 1)), Say(addresses(asked, "192.0.2.1"))], GOOD, scheme="tcp"),
]  # fmt: skip


class Hostile(ScriptedUpstream):
    """Does what its row says; health questions are answered, so that only the row itself is judged."""

    row: Row

    def handle(self, asked: Asked) -> Script:
        if asked.is_probe:
            return negative(asked, zone=".", rcode="NOERROR")
        return self.row.script(asked)


async def test_every_hostile_upstream_gets_its_answer(open_resolver: OpenResolver) -> None:
    """Each row ends as written, within the time allowed, with at most three messages, each failure with its extended error and evidence."""

    async def run(row: Row) -> str:
        async with Hostile() as upstream:
            upstream.row = row
            asker = open_resolver(upstream, scheme=row.scheme)
            started = time.monotonic()
            outcome = await asker.ask()
            took = time.monotonic() - started
            await asyncio.sleep(0.1)
            if upstream.count() > 3:
                return f"{row.name}: {upstream.count()} messages"
            if took > (3.6 if isinstance(outcome, Answer) else 4.2):
                return f"{row.name}: {took:.1f} s"
            if len(asker.outcomes) != 1:
                return f"{row.name}: {len(asker.outcomes)} outcomes"
            if isinstance(row.expected, tuple):
                right = isinstance(outcome, Answer) and outcome.facts.addresses == row.expected
            else:
                right = type(outcome) is row.expected and outcome.rcode == 2 and len(outcome.evidence) >= 1
                right = right and (row.ede is None or (isinstance(outcome, UpstreamFailure) and outcome.ede[0][0] == row.ede))
            return "" if right else f"{row.name}: {outcome}"

    assert len(ROWS) >= 40
    wrong = [text for text in await asyncio.gather(*(run(row) for row in ROWS)) if text]
    assert wrong == []


async def test_nothing_but_the_chain_is_kept(open_resolver: OpenResolver) -> None:
    """Of an answer stuffed with other people's records, only the question's own chain reaches the cache."""

    class Stuffed(ScriptedUpstream):
        def handle(self, asked: Asked) -> Script:
            return wire(reply_to(
                asked, "www.example. 300 IN CNAME a.example.", "a.example. 300 IN A 192.0.2.1", "bank.example. 300 IN A 198.51.100.66",
                "www.example. 300 IN NS ns.evil.example.", authority=["example. 300 IN NS ns.evil.example."],
                additional=["bank.example. 300 IN A 198.51.100.66"]))  # fmt: skip

    async with Stuffed() as upstream:
        answer = await open_resolver(upstream).ask()
        assert isinstance(answer, Answer)
        assert (answer.an, answer.ns) == (2, 0)
        assert b"\xc6\x33\x64\x42" not in answer.body and b"evil" not in answer.body
