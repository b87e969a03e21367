"""Records of a served zone as octets: dnspython reads what was meant."""

from __future__ import annotations

import dns.rdatatype
import pytest

from blocklists.zonerecords import Origin
from tests.support.zonerecords import answer_of, read_records

ORIGIN = Origin("rpz.test")


def read(*records: bytes | None) -> list[tuple[str, str, str]]:
    """Owner, type and data as text."""
    return [(name.to_text(), kind, data) for name, kind, data in read_records(ORIGIN.name, [one for one in records if one is not None])]


def test_rules_close_or_leave_alone() -> None:
    """A name or what is below it, closed or not."""
    assert read(ORIGIN.rule("example.bad.", False), ORIGIN.rule("example.ok.", True, True)) == [
        ("bad.example.rpz.test.", "CNAME", "."),
        ("*.ok.example.rpz.test.", "CNAME", "rpz-passthru."),
    ]


def test_head_of_a_zone() -> None:
    """SOA and NS; the SOA of a transfer is that of an answer."""
    (soa, server) = read(ORIGIN.soa_record(7), ORIGIN.name_server())
    assert soa == ("rpz.test.", "SOA", ORIGIN.soa(7)[0].to_text())
    assert server == ("rpz.test.", "NS", "localhost.")


def test_texts_of_any_length() -> None:
    """A text longer than a string is cut into several, of octets."""
    ((name, kind, data),) = read(ORIGIN.text("_sources", "a" * 300))
    assert (name, kind, data) == ("_sources.rpz.test.", "TXT", f'"{"a" * 255}" "{"a" * 45}"')
    assert read(ORIGIN.text("_sources", ""))[0][1] == dns.rdatatype.to_text(dns.rdatatype.TXT)


@pytest.mark.parametrize("key", [".".join(["a" * 62] * 4) + ".", "example." + "b" * 64 + "."])
def test_names_that_cannot_be_written_are_left_out(key: str) -> None:
    """Too long below the zone, or a label that DNS does not know."""
    assert ORIGIN.rule(key, False) is None


def test_wildcards_are_read_as_rfc_4592_says() -> None:
    """The reader of the tests: from the closest name that exists, and from no other."""
    rules = {"*.x": ".", "b.a.x": "rpz-passthru."}
    assert [answer_of(rules, name) for name in ("y.x", "z.y.x", "b.a.x")] == [".", ".", "rpz-passthru."]
    assert [answer_of(rules, name) for name in ("a.x", "c.a.x", "x")] == [None, None, None]
