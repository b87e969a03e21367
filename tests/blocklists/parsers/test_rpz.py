"""Response policy zones: every action, every way of writing it, and nothing that a forwarder cannot do."""

from __future__ import annotations

import dns.rdatatype
import dns.zone
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocklists.parsers import Action, Bucket, Harvest, Match, Options, rpz
from blocklists.rejections import Reason
from gateway.wire.name import key_from_text

HEAD = "$TTL 300\n@ IN SOA ns.rpz.example. admin.rpz.example. ( 2026112201 3600\n  600 86400 ; expire\n 60 )\n IN NS localhost.\n"


def _parse(text: str, zone: str = "rpz.example") -> Harvest:
    harvest = Harvest()
    rpz.parse(text.split("\n"), harvest, Options(zone=zone))
    return harvest


def _found(text: str) -> dict[tuple[str, Match], Action | None]:
    harvest = _parse(HEAD + text)
    assert not harvest.rejected, harvest.examples
    return {(key, bucket.match): bucket.action for bucket, keys in harvest.buckets.items() for key in keys}


@pytest.mark.parametrize(
    ("record", "action"),
    [
        ("CNAME .", Action("nxdomain")),
        ("CNAME *.", Action("nodata")),
        ("CNAME rpz-passthru.", Action("passthru")),
        ("CNAME RPZ-Passthru.", Action("passthru")),
        ("CNAME bad.example.", Action("passthru")),
        ("CNAME rpz-drop.", Action("drop")),
        ("CNAME rpz-tcp-only.", Action("tcp-only")),
        ("CNAME walled.example.net.", Action("cname", "walled.example.net")),
        ("CNAME walled", Action("cname", "walled.rpz.example")),
        ("CNAME *.walled.example.net.", Action("cname", "*.walled.example.net")),
        ("A 192.0.2.1", Action("local", records=((1, 300, "c0000201"),))),
        ("60 IN A 192.0.2.1", Action("local", records=((1, 60, "c0000201"),))),
        ("IN 1h30m A 192.0.2.1", Action("local", records=((1, 5400, "c0000201"),))),
        ("AAAA 2001:db8::1", Action("local", records=((28, 300, "20010db8000000000000000000000001"),))),
        ('TXT "blocked; by law"', Action("local", records=((16, 300, "0f" + b"blocked; by law".hex()),))),
        ("MX 10 mail", Action("local", records=((15, 300, "000a" + "046d61696c0372707a076578616d706c6500"),))),
        ("TYPE65534 \\# 2 abcd", Action("local", records=((65534, 300, "abcd"),))),
    ],
)
def test_rpz_qname_trigger_carries_its_action(record: str, action: Action) -> None:
    """Each target means its action; data of any type is local data."""
    assert _found(f"bad.example {record}") == {("example.bad.", Match.EXACT): action}


@pytest.mark.parametrize(
    ("owner", "trigger", "network"),
    [
        ("24.0.2.0.192.rpz-client-ip", "client-ip", "192.0.2.0/24"),
        ("32.1.2.0.192.rpz-ip", "response-ip", "192.0.2.1/32"),
        ("32.zz.db8.2001.rpz-ip", "response-ip", "2001:db8::/32"),
        ("128.1.zz.db8.2001.rpz-client-ip", "client-ip", "2001:db8::1/128"),
        ("128.1.zz.rpz-ip", "response-ip", "::1/128"),
        ("0.zz.rpz-ip", "response-ip", "::/0"),
    ],
)
def test_rpz_address_trigger_carries_network_and_action(owner: str, trigger: str, network: str) -> None:
    """Rules on who asks and on what is answered keep their network and their action."""
    harvest = _parse(HEAD + f"{owner} CNAME rpz-drop.\n")
    assert harvest.addresses == {(trigger, network): Action("drop")}
    assert not harvest.rejected and not harvest.entries


def test_rpz_owner_covers_itself_and_star_what_is_below() -> None:
    """RPZ rules keep RPZ's reading: the name alone, or only what is below it."""
    nxdomain = Action("nxdomain")
    assert _found("bad.example CNAME .\n*.bad.example CNAME .\nbad.test.rpz.example. CNAME .\n") == {
        ("example.bad.", Match.EXACT): nxdomain,
        ("example.bad.", Match.BELOW): nxdomain,
        ("test.bad.", Match.EXACT): nxdomain,
    }
    assert _found("*.bad.example CNAME *.bad.example.") == {("example.bad.", Match.BELOW): Action("passthru")}


def test_rpz_several_records_of_one_name_are_one_local_answer() -> None:
    """Local data of one name is answered together, whatever order it was written in."""
    records = ((1, 300, "c0000201"), (1, 300, "c0000202"), (28, 300, "20010db8" + "0" * 23 + "1"))
    text = "bad.example A 192.0.2.2\nother.example CNAME .\nbad.example AAAA 2001:db8::1\n\tA 192.0.2.1\n         A 192.0.2.1\n"
    expected = {("example.bad.", Match.EXACT): Action("local", records=records), ("example.other.", Match.EXACT): Action("nxdomain")}
    assert _found(text.replace("\tA", "bad.example A")) == expected


def test_rpz_blank_owner_repeats_the_last_one() -> None:
    """A line that begins with a space belongs to the owner before it."""
    assert set(_found("bad.example A 192.0.2.1\n  A 192.0.2.2\n")) == {("example.bad.", Match.EXACT)}


def test_rpz_origin_and_zone_name_are_followed() -> None:
    """Relative names stand below the origin; the SOA's owner says which zone it is."""
    harvest = _parse("$ORIGIN policy.test.\n" + HEAD + "bad.example CNAME .\n$ORIGIN example.policy.test.\nworse CNAME .\n", zone="")
    assert harvest.buckets == {Bucket(match=Match.EXACT, action=Action("nxdomain")): ["example.bad.", "example.worse."]}
    assert harvest.facts == {"serial": "2026112201", "zone": "policy.test"}


def test_rpz_name_with_a_dot_inside_a_label_is_not_its_parent() -> None:
    """An escaped dot belongs to the label: the rule must not match another name."""
    assert _found("x\\.bad.example CNAME .") == {("example.x\\046bad.", Match.EXACT): Action("nxdomain")}


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ("ns.example.rpz-nsdname CNAME .", Reason.RPZ_NSDNAME),
        ("32.1.2.0.192.rpz-nsip CNAME .", Reason.RPZ_NSIP),
        ("24.1.2.0.192.rpz-client-ip CNAME .", Reason.BAD_RECORD),
        ("33.1.2.0.192.rpz-ip CNAME .", Reason.BAD_RECORD),
        ("024.0.2.0.192.rpz-ip CNAME .", Reason.BAD_RECORD),
        ("24.0.02.0.192.rpz-ip CNAME .", Reason.BAD_RECORD),
        ("32.zz.0db8.2001.rpz-ip CNAME .", Reason.BAD_RECORD),
        ("48.zz.1.zz.2001.rpz-ip CNAME .", Reason.BAD_RECORD),
        ("*.24.0.2.0.192.rpz-ip CNAME .", Reason.BAD_RECORD),
        ("rpz-ip CNAME .", Reason.BAD_RECORD),
        ("bad.example.org. CNAME .", Reason.OUT_OF_ZONE),
        ("bad.example DNAME other.example.", Reason.RPZ_ACTION),
        ("bad.example CNAME rpz-future.", Reason.RPZ_ACTION),
        ("bad.example NS ns.example.", Reason.RPZ_ACTION),
        ("bad.example DS 1 8 2 00", Reason.RPZ_ACTION),
        ("* CNAME .", Reason.PUBLIC_SUFFIX),
        ("*.rpz.example. CNAME .", Reason.PUBLIC_SUFFIX),
        ("bad.example CH A 192.0.2.1", Reason.BAD_RECORD),
        ("bad.example A 192.0.2.999", Reason.BAD_RECORD),
        ("bad.example A", Reason.BAD_RECORD),
        ("bad.example", Reason.BAD_RECORD),
        ("bad.example CNAME a. b.", Reason.BAD_RECORD),
        ("bad..example CNAME .", Reason.BAD_RECORD),
        ("b" * 64 + ".example CNAME .", Reason.BAD_RECORD),
        ("bad.example NOSUCHTYPE x", Reason.BAD_RECORD),
        ("$INCLUDE /etc/passwd", Reason.BAD_RECORD),
        ("$GENERATE 1-1000000 $ CNAME .", Reason.BAD_RECORD),
        ("@ IN SOA . . 1 1 1 1 1", Reason.BAD_RECORD),
        ("bad.example A ( 192.0.2.1", Reason.BAD_RECORD),
        ('bad.example TXT "open', Reason.BAD_RECORD),
    ],
)
def test_rpz_record_that_cannot_be_enforced_is_counted(record: str, reason: Reason) -> None:
    """What a forwarder cannot do or nobody can read is counted with its reason, and the rest of the zone still loads."""
    harvest = _parse(HEAD + record + "\ngood.example CNAME .\n" if "(" not in record else HEAD + "good.example CNAME .\n" + record)
    assert harvest.rejected == {reason: 1}
    assert harvest.buckets == {Bucket(match=Match.EXACT, action=Action("nxdomain")): ["example.good."]}


def test_rpz_name_with_an_action_and_data_keeps_the_first() -> None:
    """A CNAME beside other data is no zone; the first rule stays and the other is counted."""
    harvest = _parse(HEAD + "bad.example CNAME .\nbad.example A 192.0.2.1\nworse.example A 192.0.2.1\nworse.example CNAME .\n")
    assert harvest.rejected == {Reason.BAD_RECORD: 2}
    assert harvest.entries == 2


LABEL = st.from_regex(r"[a-z0-9_-]{1,12}", fullmatch=True)
OWNER = st.builds(lambda labels, star: ("*." if star else "") + ".".join(labels), st.lists(LABEL, min_size=1, max_size=4), st.booleans())


@given(st.dictionaries(OWNER, st.sampled_from(["CNAME .", "CNAME *.", "CNAME rpz-drop.", "A 192.0.2.1", 'TXT "a;b" c']), max_size=12))
def test_rpz_agrees_with_dnspython_on_names_and_data(rules: dict[str, str]) -> None:
    """An independent reader of master files finds the same owners, and the same data at them."""
    text = HEAD.replace("SOA", "SOA", 1) + "".join(f"{owner} {record}\n" for owner, record in rules.items())
    zone = dns.zone.from_text(text, origin="rpz.example.", relativize=True, check_origin=False)
    expected = set()
    for name, rdataset in zone.iterate_rdatasets():
        if rdataset.rdtype in (dns.rdatatype.SOA, dns.rdatatype.NS):
            continue
        owner = name.to_text()
        match = Match.BELOW if owner.startswith("*.") else Match.EXACT
        expected.add((key_from_text(owner.removeprefix("*.")), match))
    harvest = _parse(text)
    if any(owner == "*" for owner in rules):
        return
    assert {(key, bucket.match) for bucket, keys in harvest.buckets.items() for key in keys} == expected


@given(st.lists(st.text(alphabet='ab.*@$(); \t"\\#1CNAMETXSOrpz-', max_size=60), max_size=15))
def test_rpz_any_text_raises_nothing(lines: list[str]) -> None:
    """No zone makes the parser raise, and every key it gives is a key."""
    harvest = Harvest()
    rpz.parse(lines, harvest, Options(zone="rpz.example"))
    assert all(key and key.endswith(".") for keys in harvest.buckets.values() for key in keys)
