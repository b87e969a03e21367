"""Names answered here: our own, the operator's, the special-use ones."""

from __future__ import annotations

import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest

from gateway.errors import SettingsError
from gateway.localnames import LocalNames, OwnName
from gateway.policy.model import Local, Rewrite
from gateway.settings import LocalRecord
from gateway.wire.constants import Qtype
from gateway.wire.name import key_from_text

NAMES = LocalNames("dns.school.example")


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("dns.school.example", OwnName("page")),
        ("health.dns.school.example", OwnName("health")),
        ("check-k3j9.dns.school.example", OwnName("probe", "k3j9")),
        ("check-.dns.school.example", OwnName("probe", "")),
        ("a.check-k3j9.dns.school.example", OwnName("unknown")),
        ("serial.orders.dns.school.example", OwnName("serial", "orders")),
        ("serial.a.b.dns.school.example", OwnName("serial", "a.b")),
        ("x.dns.school.example", OwnName("unknown")),
        ("resolver.arpa", OwnName("resolver")),
        ("_dns.resolver.arpa", OwnName("resolver", "_dns.")),
        ("school.example", None),
        ("xdns.school.example", None),
    ],
)
def test_own_names(name: str, own: OwnName | None) -> None:
    """Everything at and below our own name is ours, and nothing else."""
    key = key_from_text(name)
    assert NAMES.own(key) == own
    assert own is None or NAMES.may_hold(key)


@pytest.mark.parametrize(
    ("name", "rcode", "records"),
    [
        ("localhost", 0, 2),
        ("a.b.localhost", 0, 2),
        ("invalid", 0, 2),
        ("x.invalid", 3, 0),
        ("x.test", 3, 0),
        ("x.onion", 3, 0),
        ("printer.local", 3, 0),
        ("x.home.arpa", 3, 0),
        ("x.internal", 3, 0),
        ("_dnssd.default.service.arpa", 3, 0),
        ("x.6tisch.arpa", 3, 0),
        ("x.eap-noob.arpa", 3, 0),
        ("1.0.0.127.in-addr.arpa", 0, 1),
        ("2.0.0.127.in-addr.arpa", 3, 0),
        ("1.2.3.10.in-addr.arpa", 3, 0),
        ("10.in-addr.arpa", 0, 2),
        ("1.1.16.172.in-addr.arpa", 3, 0),
        ("1.1.31.172.in-addr.arpa", 3, 0),
        ("1.1.168.192.in-addr.arpa", 3, 0),
        ("1.1.254.169.in-addr.arpa", 3, 0),
        ("1.1.64.100.in-addr.arpa", 3, 0),
        ("1.1.127.100.in-addr.arpa", 3, 0),
        ("1.2.0.192.in-addr.arpa", 3, 0),
        ("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa", 0, 1),
        ("x.d.f.ip6.arpa", 3, 0),
        ("x.8.e.f.ip6.arpa", 3, 0),
        ("x.8.b.d.0.1.0.0.2.ip6.arpa", 3, 0),
    ],
)
def test_special_use_names_are_answered_here(name: str, rcode: int, records: int) -> None:
    """RFC 6761, 6303 and their successors: the apex has no data, what is below does not exist."""
    key = key_from_text(name)
    assert NAMES.may_hold(key)
    local = NAMES.special(key)
    assert local is not None
    assert (local.rcode, len(local.records)) == (rcode, records)


@pytest.mark.parametrize(
    "name",
    ["example.com", "alt", "x.alt", "ipv4only.arpa", "8.8.8.8.in-addr.arpa", "1.1.32.172.in-addr.arpa", "1.1.128.100.in-addr.arpa",
     "localhost.example.com", "local.example", "mylocal", "arpa", "in-addr.arpa", "a.2.ip6.arpa"],
)  # fmt: skip
def test_other_names_are_not(name: str) -> None:
    """What only resembles a special-use name is asked as usual."""
    assert NAMES.special(key_from_text(name)) is None


@pytest.mark.parametrize(
    ("rtype", "data"),
    [
        ("A", "10.0.0.9"),
        ("AAAA", "fd00::9"),
        ("TXT", '"one two" three'),
        ("MX", "10 mail.school.example."),
        ("SRV", "1 2 53 ns.school.example."),
    ],
)
def test_records_in_wire_form(rtype: str, data: str) -> None:
    """A configured record means what dnspython reads in the same text."""
    names = LocalNames("dns.example", [LocalRecord("host.school.example", rtype, data)])
    found = names.record(key_from_text("host.school.example"), 1)
    assert isinstance(found, Local)
    expected = dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.from_text(rtype), data).to_wire()
    assert [(record.rtype, record.ttl, record.rdata) for record in found.records] == [(dns.rdatatype.from_text(rtype), 300, expected)]
    assert names.record(key_from_text("x.host.school.example"), 1) is None


def test_several_records_of_one_name_stand_together() -> None:
    """Two addresses are two records."""
    names = LocalNames("dns.example", [LocalRecord("h.example", "A", "10.0.0.1"), LocalRecord("h.example", "A", "10.0.0.2")])
    found = names.record("example.h.", 1)
    assert isinstance(found, Local) and len(found.records) == 2


def test_alias_is_followed_for_every_other_type() -> None:
    """A configured CNAME is itself for CNAME, and a way on for the rest."""
    names = LocalNames("dns.example", [LocalRecord("portal.example", "CNAME", "Web.School.example.")])
    rewrite = names.record("example.portal.", Qtype.A)
    assert isinstance(rewrite, Rewrite)
    assert (rewrite.target, rewrite.engine) == ("web.school.example", "")
    assert isinstance(names.record("example.portal.", Qtype.CNAME), Local)


def test_every_record_that_cannot_be_written_is_named() -> None:
    """All mistakes at once, each with its place."""
    with pytest.raises(SettingsError) as caught:
        LocalNames(
            "dns.example",
            [LocalRecord("a.example", "A", "no address"), LocalRecord("b.example", "A", "10.0.0.1"), LocalRecord("c..d", "A", "10.0.0.1")],
        )
    assert [mistake.path for mistake in caught.value.mistakes] == ["records[0]", "records[2]"]


def test_empty_zone_has_a_soa_record_and_a_name_server_of_no_consequence() -> None:
    """RFC 6303 §3: a tool that asks who answers for the zone is told, instead of being told that nobody does."""
    found = NAMES.special(key_from_text("168.192.in-addr.arpa"))
    assert isinstance(found, Local)
    shown = {
        dns.rdatatype.to_text(record.rtype): dns.rdata.from_wire(
            dns.rdataclass.IN, record.rtype, record.rdata, 0, len(record.rdata)
        ).to_text()
        for record in found.records
    }
    assert shown == {"SOA": "168.192.in-addr.arpa. nobody.invalid. 1 3600 1200 604800 3600", "NS": "168.192.in-addr.arpa."}
