"""Offers of encrypted listeners: only what the certificate carries, with the client's token, in a form dnspython reads."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest

from gateway.discovery import Covered, Discovery, Offer, describe, read_certificate
from gateway.errors import StartError
from gateway.policy.model import LocalRecord
from tests.support.certificates import Authority

NAME = "dns.example"
V4, V6, OTHER = (ip_address(text).packed for text in ("192.168.1.2", "2001:db8::2", "192.168.1.3"))
ANY4, ANY6 = bytes(4), bytes(16)
COVERED = Covered(frozenset({NAME, f"*.{NAME}"}), frozenset({V4, V6}))
PLAIN = Covered(frozenset({NAME}), frozenset({V4, V6}))
OFFERS = (Offer("dot", ANY4, 853), Offer("dot", ANY6, 853), Offer("doh", ANY4, 8443), Offer("doh", ANY6, 8443))


def shown(records: tuple[LocalRecord, ...]) -> list[str]:
    """The records as dnspython writes them."""
    found = [dns.rdata.from_wire(dns.rdataclass.IN, record.rtype, record.rdata, 0, len(record.rdata)) for record in records]
    return [rdata.to_text() for rdata in found]


def test_both_transports_are_offered_where_they_are() -> None:
    """DoH first, DoT second, each with its port unless it is the usual one, and the address that was asked."""
    discovery = Discovery(NAME, COVERED, OFFERS)
    assert shown(discovery.designate(V4, None)) == [
        f'1 {NAME}. alpn="h2" port="8443" ipv4hint="192.168.1.2" dohpath="/dns-query{{?dns}}"',
        f'2 {NAME}. alpn="dot" ipv4hint="192.168.1.2"',
    ]
    assert 'ipv6hint="2001:db8::2"' in shown(discovery.designate(V6, None))[0]


def test_nothing_is_offered_for_an_address_the_certificate_does_not_carry() -> None:
    """A client would not believe it (RFC 9462 §4.2); nor when the address that was asked is not known."""
    discovery = Discovery(NAME, COVERED, OFFERS)
    assert discovery.designate(OTHER, None) == ()
    assert discovery.designate(None, None) == ()


def test_nothing_is_offered_when_the_certificate_has_another_name() -> None:
    """A name that the certificate does not speak for could not be used."""
    assert Discovery("other.example", COVERED, OFFERS).designate(V4, None) == ()


def test_client_with_a_token_is_offered_names_with_the_token() -> None:
    """Moving to an encrypted transport keeps the child known."""
    texts = shown(Discovery(NAME, COVERED, OFFERS).designate(V4, "k3j9"))
    assert [text.split()[1] for text in texts] == [f"k3j9.{NAME}.", f"k3j9.{NAME}."]


def test_without_a_wildcard_the_token_stands_in_the_path_or_nothing_is_offered() -> None:
    """DoH can carry it in the path; DoT cannot, so it is left out rather than make the child a stranger."""
    texts = shown(Discovery(NAME, PLAIN, OFFERS).designate(V4, "k3j9"))
    assert texts == [f'1 {NAME}. alpn="h2" port="8443" ipv4hint="192.168.1.2" dohpath="/dns-query/k3j9{{?dns}}"']
    assert Discovery(NAME, PLAIN, OFFERS[:2]).designate(V4, "k3j9") == ()


def test_listener_on_another_address_is_offered_with_that_address() -> None:
    """Each port once, with every address it has; what is for this machine only is left out."""
    offers = (Offer("dot", V4, 853), Offer("dot", OTHER, 853), Offer("dot", bytes((127, 0, 0, 1)), 853))
    assert shown(Discovery(NAME, COVERED, offers).designate(V4, None)) == [f'1 {NAME}. alpn="dot" ipv4hint="192.168.1.2,192.168.1.3"']


@pytest.mark.parametrize("asked", [V4, V6])
def test_wildcard_of_the_other_family_is_no_place_to_send_anybody(asked: bytes) -> None:
    """0.0.0.0 serves IPv4 only, :: IPv6 only."""
    wrong = ANY6 if len(asked) == 4 else ANY4
    assert Discovery(NAME, COVERED, [Offer("dot", wrong, 853)]).designate(asked, None) == ()


def test_token_that_makes_the_name_too_long_offers_nothing_by_name() -> None:
    """A label ends at 63 octets; no record is better than a broken one."""
    assert Discovery(NAME, COVERED, OFFERS).designate(V4, "k" * 64) == ()


def test_what_we_say_about_ourselves_is_text_of_known_keys() -> None:
    """RESINFO names the extended errors that are sent, as ranges in ascending order (RFC 9606 §5)."""
    (record,) = describe()
    text = record.rdata[1 : 1 + record.rdata[0]].decode()
    assert record.rtype == 261
    assert text.startswith("exterr=") and "15-19" in text
    assert len(record.rdata) == 1 + len(text)


def test_names_and_addresses_of_a_certificate_are_read(tmp_path: Path) -> None:
    """Names in lower case, addresses packed, wildcards for one label only."""
    made = Authority(tmp_path).vouch("DNS.example", "*.dns.example", "192.168.1.2", "2001:db8::2")
    covered = read_certificate(made.certificate)
    assert covered.addresses == {V4, V6}
    assert covered.has_name("dns.example") and covered.has_name("k3j9.dns.example")
    assert not covered.has_name("a.b.dns.example") and not covered.has_name("example")


def test_certificate_that_is_none_is_told(tmp_path: Path) -> None:
    """The file is named in the sentence."""
    (tmp_path / "cert.pem").write_text("nothing")
    with pytest.raises(StartError, match=r"cert\.pem"):
        read_certificate(tmp_path / "cert.pem")
