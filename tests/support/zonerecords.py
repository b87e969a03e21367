"""The records of a served zone as dnspython reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import dns.message
import dns.name
import dns.rdataclass
import dns.rdatatype


def read_records(origin: dns.name.Name, records: Iterable[bytes]) -> list[tuple[dns.name.Name, str, str]]:
    """Owner, type and data of each record, read from a message that asks for the zone."""
    question = (origin.to_wire() or b"") + dns.rdatatype.AXFR.to_bytes(2) + dns.rdataclass.IN.to_bytes(2)
    found = []
    for record in records:
        wire = b"\x00\x00\x84\x00\x00\x01\x00\x01\x00\x00\x00\x00" + question + record
        (rrset,) = dns.message.from_wire(wire).answer
        found.append((rrset.name, dns.rdatatype.to_text(rrset.rdtype), rrset[0].to_text()))
    return found


def answer_of(rules: Mapping[str, str], name: str) -> str | None:
    """What a zone says about a name, wildcards read as RFC 4592 §3.3 says: from the closest name that the zone holds, and from no other.

    `rules` are owner → data, owners without the zone's name.
    """
    if name in rules:
        return rules[name]
    held = {owner.removeprefix("*.") for owner in rules} | set(rules)
    held |= {".".join(owner.split(".")[place:]) for owner in held for place in range(owner.count(".") + 1)}
    labels = name.split(".")
    closest = next((".".join(labels[place:]) for place in range(len(labels)) if ".".join(labels[place:]) in held), None)
    if closest is None or closest == name:
        return None
    return rules.get(f"*.{closest}")
