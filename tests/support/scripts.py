"""What a scripted upstream was asked, the steps its script may take, and answers composed with dnspython. For tests only."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

Address = tuple[str, int]

SOA = "ns.{zone} hostmaster.{zone} 1 3600 600 86400 {minimum}"


# What the upstream was asked ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """One message the upstream received. `at` is on the monotonic clock, in seconds."""

    transport: str  # udp, tcp, dot, doh
    raw: bytes
    peer: Address
    at: float
    connection: int = 0  # which connection it came on; 0 over UDP
    headers: Mapping[str, str] = field(default_factory=dict)  # DoH only

    @property
    def id(self) -> int:
        """The message id."""
        return int.from_bytes(self.raw[:2], "big")

    @property
    def message(self) -> dns.message.Message:
        """The message as dnspython reads it."""
        return dns.message.from_wire(self.raw)

    @property
    def qname(self) -> str:
        """The name asked, in the case that was sent, without the final dot ("." for the root)."""
        return str(self.message.question[0].name).rstrip(".") or "."

    @property
    def qtype(self) -> str:
        """The type asked, as text."""
        return dns.rdatatype.to_text(self.message.question[0].rdtype)

    @property
    def question(self) -> bytes:
        """The raw question section: name, type, class."""
        end = 12
        while self.raw[end]:
            end += 1 + self.raw[end]
        return self.raw[12 : end + 5]

    @property
    def is_probe(self) -> bool:
        """True for the gateway's own health question (the root's name servers)."""
        return self.question == b"\0\0\x02\0\x01"


# What a handler may return --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Say:
    """Send one message, after `after` seconds; over UDP from `source` (an own socket of the upstream) when given."""

    data: bytes
    after: float = 0.0
    source: socket.socket | None = None


@dataclass(frozen=True, slots=True)
class Raw:
    """Send bytes as they are: no length prefix on a stream."""

    data: bytes
    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Dribble:
    """Send one message on a stream `size` bytes at a time, with `pause` seconds between."""

    data: bytes
    size: int = 1
    pause: float = 0.005


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection in an orderly way (nothing over UDP)."""

    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Reset:
    """Break the connection with a TCP reset (nothing over UDP)."""

    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Http:
    """Answer a DoH request with another status, content type or body."""

    status: int
    body: bytes = b""
    content_type: str = "application/dns-message"
    after: float = 0.0


Step = Say | Raw | Dribble | Close | Reset | Http
Script = bytes | Sequence[Step] | None


# Composing answers ----------------------------------------------------------------------------------------------------------------


def reply_to(asked: Asked, *lines: str, rcode: str = "NOERROR", flags: str = "QR RD RA", authority: Iterable[str] = (),
             additional: Iterable[str] = (), edns: bool | None = None) -> dns.message.Message:  # fmt: skip
    """Compose a reply to `asked` from zone-file lines "owner ttl IN type rdata"; OPT is echoed when the query had one."""
    query = asked.message
    message = dns.message.Message(id=query.id)
    message.flags = dns.flags.from_text(flags) | (query.flags & dns.flags.CD)
    message.question = list(query.question)
    message.answer = [_rrset(line) for line in lines]
    message.authority = [_rrset(line) for line in authority]
    message.additional = [_rrset(line) for line in additional]
    if query.edns >= 0 if edns is None else edns:
        message.use_edns(0, query.ednsflags if query.edns >= 0 else 0, 1232)
    message.set_rcode(dns.rcode.from_text(rcode))
    return message


def wire(message: dns.message.Message) -> bytes:
    """Encode a message without a size limit below 65,535 bytes."""
    return message.to_wire(max_size=65535, prepend_length=False)


def addresses(asked: Asked, *texts: str, ttl: int = 300) -> bytes:
    """Encode a reply that gives the asked name these IPv4 or IPv6 addresses."""
    name = asked.qname.rstrip(".") + "."
    return wire(reply_to(asked, *(f"{name} {ttl} IN {'AAAA' if ':' in text else 'A'} {text}" for text in texts)))


def negative(asked: Asked, zone: str = "example.", *, rcode: str = "NXDOMAIN", ttl: int = 300, minimum: int = 300) -> bytes:
    """Encode NXDOMAIN, or NODATA with rcode NOERROR, with the SOA of `zone`."""
    soa = f"{zone} {ttl} IN SOA " + SOA.format(zone=zone.lstrip("."), minimum=minimum)
    return wire(reply_to(asked, rcode=rcode, authority=[soa]))


def failure(asked: Asked, rcode: str = "SERVFAIL") -> bytes:
    """Encode an empty reply with this rcode."""
    return wire(reply_to(asked, rcode=rcode))


def truncated(asked: Asked) -> bytes:
    """Encode an empty reply with TC set."""
    return wire(reply_to(asked, flags="QR RD RA TC"))


def with_id(data: bytes, number: int) -> bytes:
    """Return the message with another id."""
    return struct.pack("!H", number & 0xFFFF) + data[2:]


def _rrset(line: str) -> dns.rrset.RRset:
    owner, ttl, rdclass, rdtype, *rdata = line.split(None, 4)
    return dns.rrset.from_text(owner, int(ttl), rdclass, rdtype, *rdata)
