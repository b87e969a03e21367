"""The values that travel through the gateway: where a query came from, what it asks, what an upstream answered.

Anyone in `gateway` may import this module. Everything here is immutable but `Origin`, of which one listener owns each.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gateway.wire.constants import Flag

if TYPE_CHECKING:
    from gateway.clients import Record, Scope


class Transport(enum.Enum):
    """How a query reached us."""

    __hash__ = object.__hash__  # members are singletons; the hash of an enumeration is a call in Python, too slow for the path of a query

    UDP = "udp"
    TCP = "tcp"
    DOT = "dot"
    DOH = "doh"
    DOQ = "doq"


STREAMS: Final = frozenset({Transport.TCP, Transport.DOT, Transport.DOH, Transport.DOQ})
"""Transports whose client address is proven and whose answers need no truncation."""
_CD: Final = Flag.CD
ENCRYPTED: Final = frozenset({Transport.DOT, Transport.DOH, Transport.DOQ})


class Origin:
    """Where a query came from and how its reply goes back.

    `port` is 0 where the listener keeps the whole address in `handle`. `peer` and `local` are packed addresses (4 or 16 octets; IPv4 in its
    4-octet form), `local` None where the listener cannot tell. `token` is the client token of a server name, a DoH path or a front end.
    `scope` holds the records of the listener's sources and `source` is the key of this one; `record` is its record when the listener has
    already taken a token for this query. `send(origin, reply)` takes a reply that was not ready at once, exactly once per query; None says
    that there will be none. `handle` belongs to the listener.
    """

    __slots__ = ("handle", "local", "peer", "port", "record", "scope", "send", "source", "token", "transport")

    def __init__(
        self,
        transport: Transport,
        peer: bytes,
        port: int,
        scope: Scope,
        source: bytes,
        local: bytes | None = None,
        token: str | None = None,
        send: Callable[[Origin, bytes | None], None] | None = None,
        handle: Any = None,  # Any: only the listener that put it there looks at it
        record: Record | None = None,
    ) -> None:
        self.transport = transport
        self.peer = peer
        self.port = port
        self.scope = scope
        self.source = source
        self.local = local
        self.token = token
        self.send = send
        self.handle = handle
        self.record = record


class Edns(NamedTuple):
    """The OPT record of a query (RFC 6891). Unknown options are not kept; a client subnet (RFC 7871) is checked and forgotten."""

    size: int
    """UDP payload size the client can take, as sent."""
    do: bool = False
    version: int = 0
    plain: bool = True
    """No option at all."""
    cookie: bytes = b""
    """Client cookie, with the server cookie behind it if the client has one; empty when not sent (RFC 7873)."""
    padding: bool = False
    keepalive: bool = False
    mac: str | None = None
    """Hardware address `aa:bb:cc:dd:ee:ff` that a forwarder added; to be believed only from forwarders the operator named."""
    others: tuple[int, ...] = ()
    """Codes of options the wire gives no meaning to, and that of EDE when it was sent empty: by them a client says it can show a text."""


class Query(NamedTuple):
    """One well-formed question of class IN with opcode QUERY."""

    id: int
    flags: int
    """The second header word as received (RD, AD, CD are read from it)."""
    qname: bytes
    """Lower-case wire form."""
    key: str
    """The name as index key (`gateway.wire.name`)."""
    qtype: int
    question: bytes
    """The question section as sent, letter case included: what a reply echoes."""
    edns: Edns | None
    qclass: int = 1

    @property
    def rd(self) -> bool:
        """Recursion desired."""
        return self.flags & Flag.RD != 0

    @property
    def cd(self) -> bool:
        """Checking disabled (RFC 4035 §3.2.2)."""
        return self.flags & Flag.CD != 0

    @property
    def wants_ad(self) -> bool:
        """Whether the client understands AD in a reply (RFC 6840 §5.7 and §5.8)."""
        return self.flags & Flag.AD != 0 or (self.edns is not None and self.edns.do)

    @property
    def do(self) -> bool:
        """DNSSEC records wanted."""
        return self.edns is not None and self.edns.do


Key = bytes
"""What may share one answer: lower-case name in wire form, type (two octets), DO and CD (one), upstream group (two)."""

_FLAGS: Final = tuple(bytes((flags,)) for flags in range(4))
_FIRST_GROUP: Final = tuple(flags + b"\0\0" for flags in _FLAGS)


def question_key(query: Query, group: int) -> Key:
    """The key of a question to one upstream group; nothing else that a client may vary splits it."""
    _, sent, qname, _, _, question, edns, _ = query
    flags = (1 if edns is not None and edns.do else 0) + (2 if sent & _CD else 0)
    if group:
        return qname + question[-4:-2] + _FLAGS[flags] + group.to_bytes(2, "big")
    return qname + question[-4:-2] + _FIRST_GROUP[flags]


def absence_key(key: Key) -> Key:
    """The key under which it is kept that the name does not exist at all: type 0, which no question can have (RFC 6895 §3.1)."""
    return key[:-5] + b"\0\0" + key[-3:]


def is_absence(key: Key) -> bool:
    """Whether it is a key of a name that does not exist."""
    return key[-5:-3] == b"\0\0"


def name_in(key: Key) -> bytes:
    """The name of a key, in wire form."""
    return key[:-5]


def group_in(key: Key) -> int:
    """The upstream group of a key."""
    return key[-2] << 8 | key[-1]


class Reject(NamedTuple):
    """A query that is answered from its header alone: malformed, not supported, or carrying nothing but a cookie (rcode 0, RFC 7873
    §5.4)."""

    id: int
    flags: int
    rcode: int
    question: bytes = b""
    """Echoed when it could be read."""
    edns: Edns | None = None
    """Set when the reply carries an OPT record."""
    ede: int | None = None


class AnswerFacts(NamedTuple):
    """What an answer leads to: the names behind the first one and every address, also those in SVCB hints."""

    targets: tuple[str, ...] = ()
    """Index keys of CNAME, DNAME and SVCB/HTTPS targets in order, without the question's own name."""
    addresses: tuple[bytes, ...] = ()
    """Packed A and AAAA addresses and `ipv4hint`/`ipv6hint` values."""


NO_FACTS: Final = AnswerFacts()


class Answer(NamedTuple):
    """An answer without its header, question and OPT: what is stored, judged and composed for each client.

    `body` starts behind the question; compression pointers in it are valid in any message whose question has the same length. Offsets count
    from the start of `body`.
    """

    rcode: int
    ad: bool
    body: bytes
    an: int
    """Records of the answer section."""
    ns: int
    """Records of the authority section: the SOA of a negative answer, with its proofs when DNSSEC records were asked for."""
    ttl_offsets: tuple[int, ...]
    ttls: tuple[int, ...]
    """One per offset; equal inside an RRset (RFC 2181 §5.2), at most seven days (RFC 8767 §4)."""
    rrset_ends: tuple[tuple[int, int, int], ...]
    """(end, answer records, authority records) at which the body may be cut."""
    facts: AnswerFacts = NO_FACTS
    ede: tuple[tuple[int, str], ...] = ()
    """Extended errors of the upstream."""
    ttl: int = 0
    """Seconds it may be stored: the least TTL, for a negative answer the lesser of the SOA's TTL and its minimum (RFC 2308 §5), 0 without
    an SOA."""
    negative: bool = False
    """NXDOMAIN or no record of the type asked for (RFC 2308 §2); aliases may stand in front."""
