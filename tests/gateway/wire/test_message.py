"""Queries: accepted, turned down with the right code, or met with silence."""

from __future__ import annotations

import random
import struct
import sys
from types import FrameType

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.query import Query, Reject
from gateway.wire.constants import Ede, Rcode
from gateway.wire.message import MAX_ADDITIONAL, parse_query

QUESTION = b"\x03www\x07example\x03com\0\0\x01\0\x01"
ROOT_OPT = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"


def message(
    question: bytes = QUESTION, tail: bytes = b"", flags: int = 0x0100, qd: int = 1, an: int = 0, ns: int = 0, ar: int | None = None
) -> bytes:
    """A message put together by hand."""
    return struct.pack(">HHHHHH", 0x1234, flags, qd, an, ns, bool(tail) if ar is None else ar) + question + tail


def opt(options: bytes = b"", size: int = 1232, ttl: int = 0, owner: bytes = b"\0") -> bytes:
    """An OPT record put together by hand."""
    return owner + struct.pack(">HHIH", 41, size, ttl, len(options)) + options


def option(code: int, value: bytes = b"") -> bytes:
    """One EDNS option."""
    return struct.pack(">HH", code, len(value)) + value


def test_plain_query_is_read_in_full() -> None:
    """Name, key, type, flags and the question as sent come out; letter case is kept in the echo only."""
    question = b"\x03wWw\x07exAmple\x03com\0\0\x1c\0\x01"
    query = parse_query(message(question, flags=0x0130))
    assert isinstance(query, Query)
    assert (query.id, query.qname, query.key, query.qtype) == (0x1234, question[:-4].lower(), "com.example.www.", 28)
    assert query.question == question
    assert (query.rd, query.cd, query.wants_ad, query.do, query.edns) == (True, True, True, False, None)


def test_edns_is_read() -> None:
    """Size, DO, cookie, padding, client address option and the wish for texts are read; unknown options are ignored."""
    options = (
        option(10, b"c" * 8)
        + option(12, bytes(9))
        + option(65001, bytes.fromhex("020000000001"))
        + option(15)
        + option(4242, b"x")
        + option(11)
    )
    query = parse_query(message(tail=opt(options, 4096, 0x8000)))
    assert isinstance(query, Query)
    edns = query.edns
    assert edns is not None
    assert (edns.size, edns.do, edns.cookie, edns.padding, edns.mac) == (4096, True, b"c" * 8, True, "02:00:00:00:00:01")
    assert edns.others == (15, 4242)
    assert not edns.keepalive, "keepalive means nothing over UDP"
    streamed = parse_query(message(tail=opt(options)), stream=True)
    assert isinstance(streamed, Query) and streamed.edns is not None and streamed.edns.keepalive


@pytest.mark.parametrize(
    "data",
    [b"", b"\x12\x34", message()[:11], message(flags=0x8100), message(flags=0x8180), message(flags=0xA800), bytes(2) + b"\xff" * 10],
)
def test_silence_for_no_header_and_for_responses(data: bytes) -> None:
    """Answering a response would let two servers talk for ever; without a header there is nothing to answer."""
    assert parse_query(data) is None


@pytest.mark.parametrize(
    ("what", "data", "rcode"),
    [
        ("two questions", message(QUESTION * 2, qd=2), Rcode.FORMERR),
        ("65535 questions", message(qd=65535), Rcode.FORMERR),
        ("no question", message(b"", qd=0), Rcode.FORMERR),
        ("no question, EDNS without cookie", message(b"", opt(), qd=0), Rcode.FORMERR),
        ("no question, a cookie", message(b"", opt(option(10, bytes(8))), qd=0), Rcode.NOERROR),
        ("header only, says one question", message(b""), Rcode.FORMERR),
        ("name cut", message(b"\x03www\x07exam"), Rcode.FORMERR),
        ("class missing", message(QUESTION[:-2]), Rcode.FORMERR),
        ("pointer in the question", message(b"\xc0\x0c\0\x01\0\x01"), Rcode.FORMERR),
        ("label type 0x40", message(b"\x41a\0\0\x01\0\x01"), Rcode.FORMERR),
        ("name of 256 octets", message((b"\x3f" + b"a" * 63) * 3 + b"\x3e" + b"a" * 62 + b"\x01a\0\0\x01\0\x01"), Rcode.FORMERR),
        ("junk behind the question", message(tail=b"junk", ar=0), Rcode.FORMERR),
        ("junk behind OPT", message(tail=opt() + b"\0"), Rcode.FORMERR),
        ("an answer in the query", message(tail=b"\0" * 11, an=1, ar=0), Rcode.FORMERR),
        ("authority in the query", message(tail=b"\0" * 11, ns=1, ar=0), Rcode.FORMERR),
        ("says OPT, has none", message(ar=1), Rcode.FORMERR),
        ("too many records", message(tail=opt() + (b"\0" * 11) * MAX_ADDITIONAL, ar=MAX_ADDITIONAL + 1), Rcode.FORMERR),
        ("two OPT", message(tail=opt() * 2, ar=2), Rcode.FORMERR),
        ("OPT not at the root", message(tail=opt(owner=b"\x01a\0")), Rcode.FORMERR),
        ("OPT owner by pointer", message(tail=opt(owner=b"\xc0\x1c")), Rcode.FORMERR),
        ("EDNS version 1", message(tail=opt(ttl=0x010000)), Rcode.BADVERS),
        ("EDNS version 255, options unreadable", message(tail=opt(b"\xff" * 3, ttl=0xFF0000)), Rcode.BADVERS),
        ("option longer than OPT", message(tail=opt(b"\0\x0a\0\xff")), Rcode.FORMERR),
        ("option header cut", message(tail=opt(b"\0\x0a\0")), Rcode.FORMERR),
        ("cookie of 7 octets", message(tail=opt(option(10, bytes(7)))), Rcode.FORMERR),
        ("cookie of 15 octets", message(tail=opt(option(10, bytes(15)))), Rcode.FORMERR),
        ("cookie of 41 octets", message(tail=opt(option(10, bytes(41)))), Rcode.FORMERR),
        ("client subnet of unknown family", message(tail=opt(option(8, b"\0\x09\x18\0" + bytes(3)))), Rcode.FORMERR),
        ("client subnet longer than family", message(tail=opt(option(8, b"\0\x01\x21\0" + bytes(5)))), Rcode.FORMERR),
        ("client subnet with spare bits", message(tail=opt(option(8, b"\0\x01\x17\0" + b"\x0a\0\x01"))), Rcode.FORMERR),
        ("client subnet with scope", message(tail=opt(option(8, b"\0\x01\x18\x18" + bytes(3)))), Rcode.FORMERR),
        ("EXPIRE of one octet", message(tail=opt(option(9, b"x"))), Rcode.FORMERR),
        ("LLQ of two octets", message(tail=opt(option(1, b"xx"))), Rcode.FORMERR),
        ("NOTIFY", message(flags=0x2000), Rcode.NOTIMP),
        ("UPDATE", message(flags=0x2800), Rcode.NOTIMP),
        ("opcode 15, header only", message(b"", flags=0x7800, qd=0), Rcode.NOTIMP),
        ("opcode 15, junk", message(b"\xff" * 40, flags=0x7800), Rcode.NOTIMP),
        ("class CH", message(QUESTION[:-2] + b"\0\x03"), Rcode.REFUSED),
        ("class ANY", message(QUESTION[:-2] + b"\0\xff"), Rcode.REFUSED),
        ("class NONE", message(QUESTION[:-2] + b"\0\xfe"), Rcode.REFUSED),
        ("AXFR", message(QUESTION[:-4] + b"\0\xfc\0\x01"), Rcode.REFUSED),
        ("IXFR", message(QUESTION[:-4] + b"\0\xfb\0\x01"), Rcode.REFUSED),
        ("MAILA", message(QUESTION[:-4] + b"\0\xfe\0\x01"), Rcode.NOTIMP),
        ("type OPT", message(QUESTION[:-4] + b"\0\x29\0\x01"), Rcode.FORMERR),
        ("type 0", message(QUESTION[:-4] + b"\0\0\0\x01"), Rcode.FORMERR),
        ("type NXNAME", message(QUESTION[:-4] + b"\0\x80\0\x01"), Rcode.FORMERR),
    ],
)
def test_malformed_query_gets_the_right_code(what: str, data: bytes, rcode: int) -> None:
    """Each class of malformed or unsupported query is turned down with its own code and the sender's id."""
    reject = parse_query(data)
    assert isinstance(reject, Reject), what
    assert reject.rcode == rcode, what
    assert reject.id == 0x1234


@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("root", message(b"\0\0\x02\0\x01")),
        ("255 octets", message((b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"a" * 61 + b"\0\0\x01\0\x01")),
        ("type 65535", message(QUESTION[:-4] + b"\xff\xff\0\x01")),
        ("type 1000", message(QUESTION[:-4] + b"\x03\xe8\0\x01")),
        ("unknown flags of EDNS", message(tail=opt(ttl=0x4000))),
        ("unknown option", message(tail=opt(option(100, b"x" * 50)))),
        ("client subnet", message(tail=opt(option(8, b"\0\x01\x18\0\xc0\0\x02")))),
        ("client subnet, family 0", message(tail=opt(option(8, bytes(4))))),
        ("client subnet /0", message(tail=opt(option(8, b"\0\x01\0\0")))),
        ("keepalive with a value over UDP", message(tail=opt(option(11, bytes(5))))),
        ("OPT and TSIG", message(tail=opt() + b"\x01k\0" + struct.pack(">HHIH", 250, 255, 0, 0), ar=2)),
        ("reserved bit", message(flags=0x0140)),
    ],
)
def test_unusual_but_legal_queries_are_accepted(what: str, data: bytes) -> None:
    """What RFC 8906 and RFC 6891 tell servers to ignore is ignored."""
    assert isinstance(parse_query(data), Query), what


def test_keepalive_of_odd_length_on_a_stream_is_malformed() -> None:
    """RFC 7828 §3.1: no value or two octets."""
    reject = parse_query(message(tail=opt(option(11, bytes(5)))), stream=True)
    assert isinstance(reject, Reject) and reject.rcode == Rcode.FORMERR


def test_invalid_query_type_is_named() -> None:
    """A type that nobody may ask for carries extended error 30 (RFC 9824 §3.3)."""
    reject = parse_query(message(QUESTION[:-4] + b"\0\x80\0\x01", opt()))
    assert isinstance(reject, Reject) and reject.ede == Ede.INVALID_QUERY_TYPE


@pytest.mark.parametrize(
    ("code", "value", "mac"),
    [
        (65001, bytes.fromhex("0200000000aa"), "02:00:00:00:00:aa"),
        (65001, b"short", None),
        (65073, b"02:00:00:00:00:AA", "02:00:00:00:00:aa"),
        (65073, b"AgAAAACq", "02:00:00:00:00:aa"),
        (65073, b"!", None),
        (65073, b"x" * 300, None),
    ],
)
def test_hardware_address_options(code: int, value: bytes, mac: str | None) -> None:
    """The forms dnsmasq adds are read, everything else in them is ignored."""
    query = parse_query(message(tail=opt(option(code, value))))
    assert isinstance(query, Query) and query.edns is not None
    assert query.edns.mac == mac


label = st.binary(min_size=1, max_size=63)


@given(
    st.lists(label, max_size=4).map(lambda parts: dns.name.Name([*parts, b""])),
    st.integers(0, 65535),
    st.booleans(),
    st.booleans(),
    st.integers(0, 65535),
)
def test_composed_by_dnspython_is_read_alike(qname: dns.name.Name, qtype: int, edns: bool, do: bool, ident: int) -> None:
    """Whatever dnspython composes is read with the same content."""
    built = dns.message.make_query(qname, qtype, use_edns=0 if edns or do else False, want_dnssec=do, id=ident)
    query = parse_query(built.to_wire())
    assert query is not None
    assert query.id == ident
    if isinstance(query, Reject):
        assert qtype in {0, 41, 128, 249, 250, 251, 252, 253, 254}
        return
    assert query.qname == qname.to_wire().lower()
    assert (query.qtype, query.do, query.edns is not None) == (qtype, do, edns or do)


@given(st.binary(max_size=200), st.integers(0, 3))
@example(message(), 0)
def test_no_bytes_raise_and_dnspython_agrees(noise: bytes, cut: int) -> None:
    """No bytes raise; an accepted query is one that dnspython reads with the same question."""
    for data in (noise, struct.pack(">HHHHHH", 1, 0x100, 1, 0, 0, cut & 1) + noise, message(tail=noise, ar=cut)):
        query = parse_query(data)
        if isinstance(query, Query):
            seen = dns.message.from_wire(data, question_only=True)
            assert seen.question[0].name.to_wire().lower() == query.qname
            assert seen.question[0].rdtype == query.qtype


def test_mutated_queries_never_raise_and_agree_with_dnspython() -> None:
    """Thousands of damaged queries: never an exception, and what we accept dnspython accepts too."""
    rng = random.Random(20260901)
    seeds = [
        dns.message.make_query("www.example.com", "A").to_wire(),
        dns.message.make_query("a.b.c.example", "AAAA", want_dnssec=True).to_wire(),
        message(tail=opt(option(10, b"c" * 8) + option(12, bytes(20)))),
    ]
    accepted = 0
    for _ in range(6000):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(data))
            match rng.randrange(3):
                case 0:
                    data[at] = rng.randrange(256)
                case 1:
                    del data[at:]
                    data += rng.randbytes(rng.randrange(4))
                case _:
                    data[at:at] = rng.randbytes(rng.randrange(1, 5))
            if not data:
                break
        query = parse_query(bytes(data))
        if isinstance(query, Query):
            accepted += 1
            try:
                dns.message.from_wire(bytes(data))
            except (dns.exception.DNSException, ValueError) as error:
                # dnspython wants an even more regular message only inside options and records that we ignore.
                assert query.edns is not None or data[11], error
    assert accepted > 200


def count_steps(data: bytes) -> int:
    """Lines of Python executed by `parse_query`: a deterministic measure of work."""
    steps = 0

    def trace(frame: FrameType, event: str, arg: object) -> object:
        nonlocal steps
        steps += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        parse_query(data, stream=True)
    finally:
        sys.settrace(before)
    return steps


@pytest.mark.parametrize(
    "data",
    [
        message((b"\x01a" * 126) + b"\0\0\x01\0\x01"),
        message(b"\x01a" * 32000),
        message(tail=opt(option(4242) * 16000)),
        message(tail=opt(option(8, b"\0\x01\x18\0\xc0\0\x02") * 5000)),
        message(tail=(b"\x01a" * 126 + b"\0" + bytes(10)) * 2, ar=2),
        message(tail=(b"\0" + bytes(10)) * 5000, ar=5000),
    ],
)
def test_cost_of_hostile_queries_is_bounded(data: bytes) -> None:
    """Reading the worst message takes a bounded number of steps, far below twenty ordinary queries in the pipeline."""
    assert count_steps(data) < 2000
