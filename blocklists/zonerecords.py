"""The records of a policy zone that is served, as octets for a message whose question is the zone's own name (RFC 1035 §4.1.4).

Names below the zone end in a pointer to the question, so a rule is its labels and a fixed tail, and a zone of a million names is written
without an object for each. Rules close (`CNAME .`, NXDOMAIN) or leave alone (`CNAME rpz-passthru.`): draft-vixie-dnsop-dns-rpz §3, §4.1.
`blocklists.policyzone` and `blocklists.categoryzone` use it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import dns.name
import dns.rrset

TTL: Final = 60
REFRESH, RETRY, EXPIRE = 60, 30, 604_800
"""Seconds: how often a secondary asks, how soon again after a failure, after how long it forgets the zone."""
ZONE: Final = b"\xc0\x0c"
"""The zone's name: a pointer to the question, which follows the twelve octets of the header."""
_CNAME, _SOA, _NS, _TXT = 5, 6, 2, 16
_LONGEST_NAME, _LONGEST_LABEL, _LONGEST_TEXT = 255, 63, 255


def _tail(rtype: int, rdata: bytes) -> bytes:
    return rtype.to_bytes(2) + b"\x00\x01" + TTL.to_bytes(4) + len(rdata).to_bytes(2) + rdata


_CLOSES: Final = ZONE + _tail(_CNAME, b"\x00")
_PASSES: Final = ZONE + _tail(_CNAME, b"\x0crpz-passthru\x00")
_LABELS: Final = tuple(bytes([size]) for size in range(_LONGEST_LABEL + 1))


class Origin:
    """The name of a zone, and the records that are made for it."""

    def __init__(self, name: str) -> None:
        self.name = dns.name.from_text(name)
        self._wire = self.name.to_wire() or b""

    def soa(self, serial: int) -> dns.rrset.RRset:
        """The SOA of a serial, for an answer of its own: refresh 60 s, retry 30 s, expire 7 days, minimum 60 s."""
        text = f"lachan.{self.name} hostmaster.{self.name} {serial} {REFRESH} {RETRY} {EXPIRE} {TTL}"
        return dns.rrset.from_text(self.name, TTL, "IN", "SOA", text)

    def soa_record(self, serial: int) -> bytes:
        """The same as a record of a transfer."""
        numbers = b"".join(number.to_bytes(4) for number in (serial, REFRESH, RETRY, EXPIRE, TTL))
        return ZONE + _tail(_SOA, b"\x06lachan" + self._wire + b"\x0ahostmaster" + self._wire + numbers)

    def name_server(self) -> bytes:
        """The NS that a zone must have; policy zones are never delegated, so it points nowhere."""
        return ZONE + _tail(_NS, b"\x09localhost\x00")

    def rule(self, key: str, below: bool, passes: bool = False) -> bytes | None:
        """The rule about a key (`com.example.`), or about what is below it. None for a name that would pass 255 octets below the zone."""
        labels = key[:-1].encode().split(b".")
        labels.reverse()
        if below:
            labels.insert(0, b"*")
        if sum(map(len, labels)) + len(labels) + len(self._wire) > _LONGEST_NAME or max(map(len, labels)) > _LONGEST_LABEL:
            return None
        name = b"".join([_LABELS[len(label)] + label for label in labels])
        return name + (_PASSES if passes else _CLOSES)

    def text(self, label: str, text: str) -> bytes:
        """A TXT record at a label below the zone; a long text is cut into strings of 255 octets."""
        octets, name = text.encode(), label.encode()
        parts: Iterable[bytes] = (octets[at : at + _LONGEST_TEXT] for at in range(0, len(octets) or 1, _LONGEST_TEXT))
        return bytes([len(name)]) + name + ZONE + _tail(_TXT, b"".join(bytes([len(part)]) + part for part in parts))
