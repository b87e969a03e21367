"""What an upstream's answer must not contain: private addresses under public names, and an upstream's own block passed off as data.

Pure functions over the facts of an answer; the pipeline calls them once per upstream answer, before it is stored. What the answer means
for a client's policy (targets, listed addresses) is `policy`'s business.

* Loopback and unspecified addresses (127/8, 0.0.0.0, ::, ::1) under a public name are how filtering resolvers block: `UpstreamBlock`,
never counted
  as ours. The same holds when every upstream refuses this one name.
* Other private addresses under a public name would let a web page reach devices at home (DNS rebinding): `Rebinding`. In SVCB and HTTPS
records only
  the offending hints go (RFC 9460 §7.3); the browser then uses the address records, which are inspected too.
* Names of a route, names that `rebinding.allow` covers, and names nobody can register (`lan`, `home.arpa` …) may lead to private addresses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.query import NO_FACTS, Answer, AnswerFacts
from gateway.upstreams import Refused, UpstreamFailure
from gateway.wire.constants import Qtype
from gateway.wire.name import read_name, wire_of

PRIVATE_SUFFIXES: Final = (
    "arpa.home.", "corp.", "home.", "internal.", "intranet.", "lan.", "local.", "localdomain.", "private.", "test.",
)  # fmt: skip
"""Keys of names that no stranger can own (RFC 6761, 6762, 8375, and what routers use)."""


@dataclass(frozen=True, slots=True)
class UpstreamBlock:
    """The upstream blocked this name itself; `signature` is how it said so: an address in text form, or `refused`."""

    signature: str


@dataclass(frozen=True, slots=True)
class Rebinding:
    """A public name that leads to a private address (packed)."""

    address: bytes


def inspect(answer: Answer, key: str, is_routed: bool = False, allow: tuple[str, ...] = ()) -> Answer | UpstreamBlock | Rebinding:
    """The answer as it may be used, or why it may not. `key` is the index key of the name asked, `allow` holds keys of exempted
    suffixes."""
    addresses = answer.facts.addresses
    if not addresses or is_routed:
        return answer
    for address in addresses:
        first = address[0]
        if len(address) == 4:
            if first in SUSPECT_IPV4 and _judge_ipv4(address):
                break
        elif (first & 0xE0 != 0x20 or address[:2] == b"\x20\x02") and _judge_ipv6(address):
            break
    else:
        return answer
    if key.startswith(PRIVATE_SUFFIXES) or (allow and key.startswith(allow)) or key.count(".") < 2:
        return answer
    return _refuse(answer, key)


def inspect_failure(failure: UpstreamFailure) -> UpstreamBlock | None:
    """A failure that is a block in disguise: every upstream refuses this name while it answers others."""
    return UpstreamBlock("refused") if isinstance(failure, Refused) and failure.is_block else None


def is_private(address: bytes) -> bool:
    """Whether a packed address is private, local or unspecified, also when wrapped into an IPv6 address."""
    return _judge(address) != ""


_BLOCK: Final = "block"
_PRIVATE: Final = "private"
SUSPECT_IPV4: Final = frozenset({0, 10, 100, 127, 169, 172, 192})
"""First octets of addresses that have to be looked at."""
_MAPPED: Final = bytes(10) + b"\xff\xff"
_NAT64: Final = b"\x00\x64\xff\x9b" + bytes(8)
_NAT64_LOCAL: Final = b"\x00\x64\xff\x9b\x00\x01"


def _judge(address: bytes) -> str:
    return _judge_ipv4(address) if len(address) == 4 else _judge_ipv6(address)


def _judge_ipv4(address: bytes) -> str:
    """RFC 1918, 6598 (shared), 3927 (link-local), 1122 (loopback, this network)."""
    first, second = address[0], address[1]
    if first == 127 or address == b"\0\0\0\0":
        return _BLOCK
    if (
        first == 10
        or first == 0
        or (first == 192 and second == 168)
        or (first == 172 and second & 0xF0 == 16)
        or (first == 169 and second == 254)
        or (first == 100 and second & 0xC0 == 64)
    ):
        return _PRIVATE
    return ""


def _judge_ipv6(address: bytes) -> str:
    """RFC 4193 (unique local), 4291 (link-local, loopback, mapped), 3056 and 6052 (addresses that carry an IPv4 one), 8215 (local
    NAT64)."""
    first = address[0]
    if first & 0xFE == 0xFC or (first == 0xFE and address[1] & 0x80):
        return _PRIVATE
    if address[:12] == _MAPPED or address[:12] == _NAT64:
        return _judge_ipv4(address[12:])
    if address[:2] == b"\x20\x02":
        return _PRIVATE if _judge_ipv4(address[2:6]) else ""
    if address[:6] == _NAT64_LOCAL:
        return _PRIVATE
    if not any(address[:12]):
        # ::, ::1 and the old compatible form of an IPv4 address.
        return _BLOCK if address[12:] in (b"\0\0\0\0", b"\0\0\0\1") else _judge_ipv4(address[12:])
    return ""


def _refuse(answer: Answer, key: str) -> Answer | UpstreamBlock | Rebinding:
    """Address records decide; if only hints offend, the answer is kept without them."""
    body = answer.body
    worst: UpstreamBlock | Rebinding | None = None
    for offset in answer.ttl_offsets[: answer.an]:
        rtype = body[offset - 4] << 8 | body[offset - 3]
        if rtype == Qtype.A or rtype == Qtype.AAAA:
            address = body[offset + 6 : offset + 6 + (body[offset + 4] << 8 | body[offset + 5])]
            judged = _judge(address)
            if judged == _PRIVATE:
                return Rebinding(address)
            if judged == _BLOCK and worst is None:
                worst = UpstreamBlock(_signature(address))
    return worst or _scrub(answer, key)


def _signature(address: bytes) -> str:
    if len(address) == 4:
        return "127.0.0.0/8" if address[0] == 127 else "0.0.0.0"
    return "::1" if address[15] == 1 else "::"


# Hints ----------------------------------------------------------------------------------------------------------------------------


def _scrub(answer: Answer, key: str) -> Answer:
    """The answer without private hints; signatures and AD go, because what was signed is no longer there."""
    wire = wire_of(key)
    base = 12 + len(wire) + 4
    message = bytes(12) + wire + bytes(4) + answer.body
    body = bytearray()
    offsets: list[int] = []
    ttls: list[int] = []
    an = ns = 0
    start = base
    for index, offset in enumerate(answer.ttl_offsets):
        at = base + offset
        rtype = message[at - 4] << 8 | message[at - 3]
        end = at + 6 + (message[at + 4] << 8 | message[at + 5])
        owner, start = read_name(message, start)[0], end
        rdata: bytes | None = message[at + 6 : end]
        if (rtype == Qtype.SVCB or rtype == Qtype.HTTPS) and rdata is not None:
            rdata = _scrub_service(rdata)
        elif rtype == Qtype.CNAME or rtype == Qtype.DNAME:
            rdata = read_name(message, at + 6)[0]
        if rdata is None or rtype == Qtype.RRSIG:
            continue
        if index < answer.an:
            an += 1
        else:
            ns += 1
        body += b"\xc0\x0c" if owner == wire else owner
        offsets.append(len(body) + 4)
        ttls.append(answer.ttls[index])
        body += message[at - 4 : at + 4] + len(rdata).to_bytes(2, "big") + rdata
    left = tuple(address for address in answer.facts.addresses if not is_private(address))
    facts = AnswerFacts(answer.facts.targets, left) if left or answer.facts.targets else NO_FACTS
    return answer._replace(
        ad=False, body=bytes(body), an=an, ns=ns, ttl_offsets=tuple(offsets), ttls=tuple(ttls),
        rrset_ends=((len(body), an, ns),) if ttls else (), facts=facts,
        negative=answer.negative or an == 0,
    )  # fmt: skip


def _scrub_service(rdata: bytes) -> bytes | None:
    """One SVCB record without private hints; None when a parameter it declares mandatory had to go."""
    pos = 2
    while rdata[pos]:
        pos += rdata[pos] + 1
    pos += 1
    kept = bytearray(rdata[:pos])
    mandatory: set[int] = set()
    while pos < len(rdata):
        number = rdata[pos] << 8 | rdata[pos + 1]
        stop = pos + 4 + (rdata[pos + 2] << 8 | rdata[pos + 3])
        value = rdata[pos + 4 : stop]
        if number == 0:
            mandatory = {value[at] << 8 | value[at + 1] for at in range(0, len(value) - 1, 2)}
        if number == 4 or number == 6:
            width = 4 if number == 4 else 16
            parts = [value[at : at + width] for at in range(0, len(value), width)]
            value = b"".join(part for part in parts if not is_private(part))
            if not value and number in mandatory:
                return None
        if value or number not in (4, 6):
            kept += number.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value
        pos = stop
    return bytes(kept)
