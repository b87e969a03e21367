"""Inspection of upstream answers: rebinding, the upstream's own blocks, SVCB hints. dnspython composes and reads the messages."""

from __future__ import annotations

import ipaddress

import dns.message
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.inspection import Rebinding, UpstreamBlock, inspect, inspect_failure, is_private
from gateway.query import Answer
from gateway.upstreams import Refused, ServerFailure
from gateway.wire.message import parse_answer
from gateway.wire.name import key_from_text


def answer_of(*lines: str, name: str = "www.example.com", qtype: str = "A", do: bool = False) -> tuple[Answer, bytes]:
    """An upstream's answer with these records, and the question it belongs to."""
    message = dns.message.make_query(name, qtype, want_dnssec=do)
    message.flags |= 0x8080
    for line in lines:
        owner, ttl, rdclass, rdtype, rdata = line.split(None, 4)
        message.answer.append(dns.rrset.from_text(owner, int(ttl), rdclass, rdtype, rdata))
    wire = message.to_wire()
    end = 12 + len(message.question[0].name.to_wire()) + 4
    return parse_answer(wire, wire[12:end], do), wire[12:end]


def read_back(answer: Answer, question: bytes) -> dns.message.Message:
    """What a client would read from this answer."""
    counts = answer.an.to_bytes(2, "big") + answer.ns.to_bytes(2, "big") + b"\0\0"
    return dns.message.from_wire(b"\0\0\x81\x80\0\1" + counts + question + answer.body)


KEY = key_from_text("www.example.com")

PRIVATE = ["10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "169.254.169.254", "100.64.0.1", "100.127.255.255",
           "0.0.0.1", "fc00::1", "fd12:3456::1", "fe80::1", "fec0::1", "::ffff:192.168.1.1", "::192.168.1.1", "64:ff9b::10.0.0.1",
           "64:ff9b:1::1", "2002:c0a8:101::1", "2002:7f00:1::"]  # fmt: skip
BLOCKS = {"127.0.0.1": "127.0.0.0/8", "127.255.0.9": "127.0.0.0/8", "0.0.0.0": "0.0.0.0", "::": "::", "::1": "::1"}
PUBLIC = ["192.0.2.1", "9.9.9.9", "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0", "100.63.255.255", "100.128.0.0",
          "169.253.1.1", "11.0.0.0", "1.0.0.1", "126.0.0.1", "128.0.0.1", "192.0.0.170", "2001:db8::1", "2606:4700::1111",
          "64:ff9b::9.9.9.9", "2002:909:909::1", "::ffff:9.9.9.9"]  # fmt: skip


def line(address: str, owner: str = "www.example.com.") -> str:
    """An address record."""
    return f"{owner} 300 IN {'AAAA' if ':' in address else 'A'} {address}"


def qtype_of(address: str) -> str:
    return "AAAA" if ":" in address else "A"


@pytest.mark.parametrize("address", PRIVATE)
def test_private_address_of_a_public_name_is_rebinding(address: str) -> None:
    """No public name leads into the home, however the address is wrapped, alone or among public ones."""
    answer, _ = answer_of(line(address), qtype=qtype_of(address))
    assert inspect(answer, KEY) == Rebinding(ipaddress.ip_address(address).packed)
    public = "2001:db8::1" if ":" in address else "192.0.2.1"
    answer, _ = answer_of(line(public), line(address), qtype=qtype_of(address))
    assert isinstance(inspect(answer, KEY), Rebinding)


@pytest.mark.parametrize(("address", "signature"), BLOCKS.items())
def test_upstreams_own_block_is_told_apart(address: str, signature: str) -> None:
    """Loopback and unspecified addresses are the upstream's block, never ours."""
    answer, _ = answer_of(line(address), qtype=qtype_of(address))
    assert inspect(answer, KEY) == UpstreamBlock(signature)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_address_passes_untouched(address: str) -> None:
    """Public addresses, those beside private ranges too, pass as they are."""
    answer, _ = answer_of(line(address), qtype=qtype_of(address))
    assert inspect(answer, KEY) is answer


def test_private_address_behind_an_alias_is_found() -> None:
    """An alias in front changes nothing."""
    answer, _ = answer_of("www.example.com. 300 IN CNAME a.evil.example.", line("192.168.1.1", "a.evil.example."))
    assert isinstance(inspect(answer, KEY), Rebinding)


@pytest.mark.parametrize("name", ["nas.lan", "printer.home.arpa", "router", "a.b.internal", "lan", "x.local"])
def test_names_nobody_can_own_may_be_private(name: str) -> None:
    """Names of the home network lead to home addresses."""
    answer, _ = answer_of(line("192.168.1.1", name + "."), name=name)
    assert inspect(answer, key_from_text(name)) is answer


@pytest.mark.parametrize("name", ["lan.example.com", "home.arpa.example", "notlan", "xlan.example", "arpa.home.example"])
def test_lookalikes_of_private_names_stay_public(name: str) -> None:
    """A public name that only contains such a label gets no exception (a single label belongs to nobody)."""
    answer, _ = answer_of(line("192.168.1.1", name + "."), name=name)
    expected = answer if "." not in name else Rebinding(bytes([192, 168, 1, 1]))
    assert inspect(answer, key_from_text(name)) == expected


def test_route_and_allow_make_exceptions() -> None:
    """A route's answers are the operator's own; `rebinding.allow` covers a name and what is below, not its neighbours."""
    answer, _ = answer_of(line("10.0.0.1"))
    assert inspect(answer, KEY, is_routed=True) is answer
    assert inspect(answer, KEY, allow=(key_from_text("example.com"),)) is answer
    assert inspect(answer, KEY, allow=(key_from_text("www.example.com"),)) is answer
    assert isinstance(inspect(answer, KEY, allow=(key_from_text("ww.example.com"), key_from_text("example.org"))), Rebinding)
    blocked, _ = answer_of(line("127.0.0.2"))
    assert inspect(blocked, KEY, allow=(key_from_text("example.com"),)) is blocked


def test_private_hints_are_taken_out_of_service_records() -> None:
    """Private hints go, public ones and everything else stay readable; AD and the signature go with them."""
    answer, question = answer_of(
        "www.example.com. 300 IN CNAME cdn.example.net.",
        'cdn.example.net. 300 IN HTTPS 1 . alpn="h2,h3" ipv4hint="192.0.2.1,192.168.1.1" ipv6hint="fd00::1" key65500="abc"',
        "cdn.example.net. 300 IN RRSIG HTTPS 8 2 300 20300101000000 20200101000000 1 example.net. AAAA",
        qtype="HTTPS", do=True,
    )  # fmt: skip
    scrubbed = inspect(answer._replace(ad=True), KEY)
    assert isinstance(scrubbed, Answer) and not scrubbed.ad
    message = read_back(scrubbed, question)
    texts = [rrset.to_text() for rrset in message.answer]
    assert texts == [
        "www.example.com. 300 IN CNAME cdn.example.net.",
        'cdn.example.net. 300 IN HTTPS 1 . alpn="h2,h3" ipv4hint="192.0.2.1" key65500="abc"',
    ]
    assert scrubbed.facts.addresses == (bytes([192, 0, 2, 1]),)
    assert scrubbed.facts.targets == (key_from_text("cdn.example.net"),)
    assert scrubbed.rrset_ends == ((len(scrubbed.body), 2, 0),)


def test_service_record_that_needs_its_private_hint_goes() -> None:
    """A record whose mandatory parameter had to go would be malformed: it goes as a whole; nothing left is a negative answer."""
    answer, question = answer_of('www.example.com. 300 IN HTTPS 1 . mandatory="ipv4hint" ipv4hint="10.0.0.1"', qtype="HTTPS")
    scrubbed = inspect(answer, KEY)
    assert isinstance(scrubbed, Answer)
    assert (scrubbed.an, scrubbed.negative, scrubbed.body) == (0, True, b"")
    assert read_back(scrubbed, question).answer == []


def test_public_hints_pass_untouched() -> None:
    """A service record with public hints is not rewritten, so its signature stays good."""
    answer, _ = answer_of('www.example.com. 300 IN HTTPS 1 . ipv4hint="192.0.2.1"', qtype="HTTPS")
    assert inspect(answer, KEY) is answer


def test_refusal_by_all_is_a_block_only_when_they_work() -> None:
    """REFUSED from every upstream that answers other names is their block; any other failure is a failure."""
    assert inspect_failure(Refused(is_block=True)) == UpstreamBlock("refused")
    assert inspect_failure(Refused()) is None
    assert inspect_failure(ServerFailure()) is None


@given(st.ip_addresses())
def test_private_agrees_with_the_standard_library(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """Whatever we call private the standard library does not call global, except addresses that carry a private one inside."""
    if is_private(address.packed) and not (
        isinstance(address, ipaddress.IPv6Address) and (address.sixtofour or address in ipaddress.ip_network("64:ff9b::/32"))
    ):
        assert not address.is_global


@given(st.ip_addresses(v=4))
def test_wrapped_address_is_judged_like_the_bare_one(address: ipaddress.IPv4Address) -> None:
    """Mapping an IPv4 address into IPv6 never changes the judgement."""
    for prefix in (bytes(10) + b"\xff\xff", b"\x00\x64\xff\x9b" + bytes(8)):
        assert is_private(prefix + address.packed) == is_private(address.packed)
    assert is_private(b"\x20\x02" + address.packed + bytes(10)) == is_private(address.packed)
