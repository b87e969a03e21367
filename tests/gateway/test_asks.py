"""The canonical form of a query: which queries may be tabled, and what the others are answered from."""

from __future__ import annotations

import dns.edns
import dns.flags
import dns.message
import pytest

from gateway.asks import TABLED_SIZES, Ask, canonical_query
from gateway.query import Query
from gateway.wire.message import parse_query


def query(name: str = "www.example.com", flags: int = 0x0100, **edns: object) -> tuple[Query, bytes]:
    """A query, and its octets behind the id."""
    message = dns.message.make_query(name, "A", **edns)  # type: ignore[arg-type]
    message.flags = dns.flags.Flag(flags)
    wire = message.to_wire()
    parsed = parse_query(wire)
    assert isinstance(parsed, Query)
    return parsed, wire[2:]


@pytest.mark.parametrize("flags", [0x0100, 0x0110, 0x0120, 0x0130])
@pytest.mark.parametrize("size", [0, *sorted(TABLED_SIZES)])
@pytest.mark.parametrize("do", [False, True])
def test_plain_queries_are_their_own_canonical_form(flags: int, size: int, do: bool) -> None:
    """The queries of ordinary clients are tabled under exactly their octets."""
    edns = {"use_edns": 0, "payload": size, "want_dnssec": do} if size else {}
    parsed, raw = query(flags=flags, **edns)
    assert canonical_query(parsed) == raw


@pytest.mark.parametrize("flags", [0x0000, 0x0140, 0x0500, 0x0108, 0x0101])
def test_odd_flags_are_never_tabled(flags: int) -> None:
    """No recursion desired, a reserved bit, a stray answer bit or rcode: nothing is kept for such queries."""
    assert canonical_query(query(flags=flags)[0]) is None


@pytest.mark.parametrize(
    ("name", "edns"),
    [
        ("WWW.example.com", {}),
        ("www.example.com", {"use_edns": 0, "payload": 4000}),
        ("www.example.com", {"use_edns": 0, "payload": 65535}),
        ("www.example.com", {"use_edns": 0, "options": [dns.edns.GenericOption(10, b"12345678")]}),
        ("www.example.com", {"use_edns": 0, "ednsflags": 0x4000}),
    ],
)
def test_unusual_queries_share_the_entry_of_the_usual_one(name: str, edns: dict[str, object]) -> None:
    """Letter case, sizes, options and reserved EDNS bits lead to one canonical form, which is not their own octets."""
    parsed, raw = query(name, **edns)
    canonical = canonical_query(parsed)
    assert canonical is not None and canonical != raw
    assert canonical == canonical_query(query(**({"use_edns": 0, "payload": 1232} if edns else {}))[0])


@pytest.mark.parametrize("size", [0, 511, 513, 1000, 1231])
def test_small_odd_sizes_are_not_tabled(size: int) -> None:
    """A client with a smaller payload than any entry's is answered by itself."""
    assert canonical_query(query(use_edns=0, payload=size)[0]) is None


def test_junk_behind_the_question_is_not_plain() -> None:
    """A TSIG behind the question keeps a query from being plain."""
    parsed, raw = query()
    signed = parse_query(b"\0\0" + raw[:8] + b"\0\1" + raw[10:] + b"\x01k\0\0\xfa\0\xff\0\0\0\0\0\0")
    assert isinstance(signed, Query)
    assert canonical_query(signed) == canonical_query(parsed)
    assert canonical_query(signed) != raw[:8] + b"\0\1" + raw[10:]


def test_ask_gives_its_place_back_before_it_goes_on() -> None:
    """When an answer arrives, the client's share of waiting questions is freed whatever happens next."""

    class Pipeline:
        arrivals: list[object] = []  # noqa: RUF012

        def arrived(self, ask: Ask, outcome: object) -> None:
            self.arrivals.append((ask.record.waiting, outcome))

        def is_slow(self, ask: Ask) -> None:
            self.arrivals.append("slow")

    class Record:
        waiting = 3

    parsed, raw = query()
    ask = Ask(Pipeline(), parsed, None, Record(), raw, True)  # type: ignore[arg-type]
    ask.slow()
    ask.done("outcome")  # type: ignore[arg-type]
    assert Pipeline.arrivals == ["slow", (2, "outcome")]
