"""Replies: what dnspython reads in them, how large they get, what is cut."""

from __future__ import annotations

import dns.edns
import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.query import Answer, Query, Reject
from gateway.wire import compose
from gateway.wire.constants import Rcode
from gateway.wire.message import parse_answer, parse_query
from gateway.wire.name import wire_from_text

MNAME = wire_from_text("lachan.internal")


def ask(
    qname: str = "www.example.com", qtype: str = "A", edns: bool = True, do: bool = False, size: int = 1232, flags: int = 0x100
) -> Query:
    """A query as the pipeline sees it."""
    message = dns.message.make_query(qname, qtype, use_edns=0 if edns else False, want_dnssec=do, payload=size)
    message.flags = dns.flags.Flag(flags)
    query = parse_query(message.to_wire())
    assert isinstance(query, Query)
    return query


def many(query: Query, count: int) -> Answer:
    """An answer of `count` addresses behind an alias."""
    message = dns.message.make_response(dns.message.make_query("www.example.com", "A"))
    message.answer.append(dns.rrset.from_text("www.example.com.", 300, "IN", "CNAME", "x.example.com."))
    message.answer.append(dns.rrset.from_text("x.example.com.", 60, "IN", "A", *[f"192.0.2.{index}" for index in range(count)]))
    return parse_answer(message.to_wire(), query.question)


def read(reply: bytes) -> dns.message.Message:
    """The reply as dnspython reads it."""
    return dns.message.from_wire(reply)


def test_reply_echoes_id_question_case_and_flags() -> None:
    """Id, letter case, RD and CD come back; RA is set; AD and reserved bits are not."""
    query = ask("wWw.Example.COM", flags=0x0150)
    answer = many(query, 1)
    reply = compose.compose_reply(query, answer, answer.body, 1232)
    message = read(reply)
    assert message.id == query.id
    assert reply[12 : 12 + len(query.question)] == query.question
    assert int(message.flags) & 0xFFF0 == 0x8190
    assert str(message.answer[0].name) == "wWw.Example.COM."


@pytest.mark.parametrize(("flags", "do", "expected"), [(0x100, False, False), (0x120, False, True), (0x100, True, True)])
def test_ad_only_for_those_who_understand_it(flags: int, do: bool, expected: bool) -> None:
    """AD of an answer is shown to clients that set AD or DO (RFC 6840 §5.8)."""
    query = ask(flags=flags, do=do)
    answer = many(query, 1)._replace(ad=True)
    assert bool(read(compose.compose_reply(query, answer, answer.body, 1232)).flags & dns.flags.AD) is expected


@pytest.mark.parametrize(("edns", "do"), [(False, False), (True, False), (True, True)])
def test_opt_only_when_the_query_had_one(edns: bool, do: bool) -> None:
    """OPT is answered with OPT, with our size and the client's DO; never otherwise, also in blocks and errors."""
    query = ask(edns=edns, do=do)
    replies = [
        compose.compose_reply(query, block, block.body, 512, [(17, "")])
        for block in [compose.block_answer("zero", 1, 10, (), MNAME), compose.negative_answer(Rcode.NXDOMAIN, 10, MNAME)]
    ]
    replies += [compose.compose_error(query, Rcode.SERVFAIL, [(22, "")]), compose.compose_truncated(query)]
    for reply in replies:
        message = read(reply)
        assert (message.edns, message.payload) == ((0, 1232) if edns else (-1, 0))
        assert bool(message.ednsflags & dns.flags.DO) is do


@pytest.mark.parametrize(
    ("size", "limit"), [(0, 512), (511, 512), (512, 512), (1231, 1231), (1232, 1232), (1233, 1232), (4096, 1232), (65535, 1232)]
)
def test_udp_limit(size: int, limit: int) -> None:
    """The client's size counts between 512 and 1232."""
    assert compose.udp_limit(ask(size=size).edns) == limit


def test_udp_limit_without_edns() -> None:
    """Without EDNS a datagram has at most 512 octets."""
    assert compose.udp_limit(None) == 512


@given(st.integers(1, 120), st.integers(512, 1232), st.booleans())
def test_truncation_drops_whole_rrsets(count: int, limit: int, edns: bool) -> None:
    """Too large: TC is set, no RRset is halved, the size holds; fitting: everything is there and TC is not."""
    query = ask(edns=edns)
    answer = many(query, count)
    reply = compose.compose_reply(query, answer, answer.body, limit)
    message = read(reply)
    assert len(reply) <= limit
    sizes = [len(rrset) for rrset in message.answer]
    if message.flags & dns.flags.TC:
        assert 12 + len(query.question) + len(answer.body) + 11 * edns > limit
        assert sizes in ([1], [])
    else:
        assert sizes == [1, count]


def test_extended_error_text_goes_before_records_do() -> None:
    """An extended error never makes a reply truncated: text first, then the error, gives way."""
    query = ask()
    answer = many(query, 10)
    bare = len(compose.compose_reply(query, answer, answer.body, 65535))
    full = read(compose.compose_reply(query, answer, answer.body, bare + 30, [(17, "x" * 20)]))
    assert [(int(option.code), option.text) for option in full.options] == [(17, "x" * 20)]  # type: ignore[attr-defined]
    short = read(compose.compose_reply(query, answer, answer.body, bare + 10, [(17, "x" * 20)]))
    assert [(int(option.code), option.text) for option in short.options] == [(17, None)]  # type: ignore[attr-defined]
    none = read(compose.compose_reply(query, answer, answer.body, bare, [(17, "x" * 20)]))
    assert not none.options
    for message in (full, short, none):
        assert not message.flags & dns.flags.TC


def test_text_of_extended_error_is_utf8_without_terminator() -> None:
    """Vietnamese text arrives as it was written."""
    query = ask()
    message = read(compose.compose_error(query, Rcode.REFUSED, [(18, "không được phép")]))
    assert message.options[0].text == "không được phép"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("mode", "qtype", "rcode", "rdata"),
    [
        ("zero", "A", 0, ["0.0.0.0"]),
        ("zero", "AAAA", 0, ["::"]),
        ("zero", "HTTPS", 0, []),
        ("zero", "TXT", 0, []),
        ("nxdomain", "A", 3, []),
        ("nodata", "A", 0, []),
        ("refused", "A", 5, None),
        ("page", "A", 0, ["192.0.2.80", "192.0.2.81"]),
        ("page", "AAAA", 0, ["2001:db8::80"]),
        ("page", "MX", 0, []),
    ],
)
def test_block_answers(mode: str, qtype: str, rcode: int, rdata: list[str] | None) -> None:
    """Each mode answers as configured; answers without data carry an SOA with the same short TTL."""
    query = ask("a.b.example", qtype)
    page = (bytes((192, 0, 2, 80)), bytes((192, 0, 2, 81)), bytes.fromhex("20010db8000000000000000000000080"))
    block = compose.block_answer(mode, query.qtype, 10, page, MNAME)
    message = read(compose.compose_reply(query, block, block.body, 1232))
    assert message.rcode() == rcode
    assert not message.flags & dns.flags.AD
    if rdata:
        assert [item.to_text() for item in message.answer[0]] == rdata
        assert message.answer[0].ttl == 10
    else:
        assert not message.answer
        assert [rrset.rdtype for rrset in message.authority] == ([] if rdata is None else [dns.rdatatype.SOA])
        assert [(rrset.ttl, rrset[0].minimum) for rrset in message.authority] == ([] if rdata is None else [(10, 10)])


def test_page_without_an_address_of_the_family_is_no_data() -> None:
    """A block page known by IPv4 only leaves AAAA without data."""
    query = ask(qtype="AAAA")
    block = compose.block_answer("page", query.qtype, 10, (bytes(4),), MNAME)
    assert not read(compose.compose_reply(query, block, block.body, 1232)).answer


def test_rewrite_is_an_alias_with_the_targets_addresses() -> None:
    """A rewritten name shows the alias and what stands behind it."""
    query = ask("www.search.example")
    answer = compose.alias_answer(
        wire_from_text("safe.search.example"), 60, [(1, 30, bytes((192, 0, 2, 1))), (1, 30, bytes((192, 0, 2, 2)))]
    )
    message = read(compose.compose_reply(query, answer, answer.body, 1232))
    assert [rrset.to_text() for rrset in message.answer] == [
        "www.search.example. 60 IN CNAME safe.search.example.",
        "safe.search.example. 30 IN A 192.0.2.1\nsafe.search.example. 30 IN A 192.0.2.2",
    ]
    assert answer.ttl == 30
    assert [cut[1] for cut in answer.rrset_ends] == [1, 3]


def test_any_is_answered_minimally() -> None:
    """ANY gets one HINFO record (RFC 8482 §4.2)."""
    query = ask(qtype="ANY")
    answer = compose.any_answer()
    message = read(compose.compose_reply(query, answer, answer.body, 512))
    assert [rrset.to_text() for rrset in message.answer] == ['www.example.com. 3600 IN HINFO "RFC8482" ""']


def test_ages_and_fixed_ttls() -> None:
    """TTLs fall with age, stay above zero, obey the cap; a TTL of zero stays; stale answers get one TTL."""
    query = ask()
    answer = many(query, 2)
    answer = answer._replace(ttls=(300, 60, 0))
    aged = [rrset.ttl for rrset in read(compose.compose_reply(query, answer, compose.age_body(answer, 59, 200), 1232)).answer]
    assert aged == [200, 0]
    assert compose.age_body(answer, 100, 300)[answer.ttl_offsets[1] :][:4] == b"\0\0\0\1"
    assert {rrset.ttl for rrset in read(compose.compose_reply(query, answer, compose.fix_ttl(answer, 30), 1232)).answer} == {30}


@pytest.mark.parametrize("rcode", [Rcode.FORMERR, Rcode.NOTIMP, Rcode.REFUSED, Rcode.BADVERS, Rcode.NOERROR])
def test_reject_carries_the_code_even_when_extended(rcode: int) -> None:
    """The code of a rejected query arrives, BADVERS through OPT with our version 0."""
    query = ask()
    message = read(compose.compose_reject(Reject(7, 0x0100, rcode, query.question, query.edns)))
    assert (message.id, message.rcode(), message.edns) == (7, rcode, 0)
    bare = read(compose.compose_reject(Reject(7, 0x7900, Rcode.NOTIMP)))
    assert (int(bare.opcode()), bare.rcode(), bare.question) == (15, Rcode.NOTIMP, [])


def test_truncated_reply_is_small_and_asks_for_tcp() -> None:
    """The reply over the limit is no larger than the query but for OPT, and sets TC."""
    query = ask()
    message = read(compose.compose_truncated(query))
    assert message.flags & dns.flags.TC
    assert not message.answer


def test_padding_fills_blocks_only_when_asked() -> None:
    """Padded replies have a multiple of 468 octets; without the client's padding option there is none."""
    message = dns.message.make_query("www.example.com", "A", use_edns=0, options=[dns.edns.GenericOption(12, b"")])
    padded = parse_query(message.to_wire(), stream=True)
    assert isinstance(padded, Query)
    answer = many(padded, 3)
    assert len(compose.compose_reply(padded, answer, answer.body, 65535, [(17, "x")], padded=True)) == 468
    assert len(compose.compose_reply(ask(), answer, answer.body, 65535, padded=True)) < 200
    assert len(compose.compose_reply(padded, answer, answer.body, 65535, [(17, "x")])) < 200
