"""Discovery of our own encrypted listeners (DDR): what `_dns.resolver.arpa` is answered with, and what we say about ourselves.

A client that only knows our plain address asks for SVCB records and moves to DoT or DoH by itself. It believes them only if the certificate
carries the address it asked (RFC 9462 §4.2), so nothing is offered otherwise. A client known by a token is offered names that carry the
token, or for DoH a path that does; where neither is possible it is offered nothing: moving must never make a child unknown.

The worker builds it from real listeners and reads the certificate again when that is renewed; `ownname` asks. Deciding is pure.

RFC 9460 (SVCB), 9461 (dohpath), 9462 (DDR), 9606 (RESINFO).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from struct import Struct
from typing import Final, Literal

from gateway.errors import InvalidName, StartError
from gateway.policy.model import LocalRecord
from gateway.wire.constants import Ede, Qtype
from gateway.wire.name import wire_from_text

TTL: Final = 300
"""Seconds an offer may be remembered: about as long as a changed certificate or token may take to reach every device."""

_PAIR: Final = Struct(">HH")
_ALPN, _PORT, _IPV4_HINT, _IPV6_HINT, _DOH_PATH = 1, 3, 4, 6, 7
_PROTOCOLS: Final = {"doh": b"h2", "dot": b"dot", "doq": b"doq"}
_USUAL_PORTS: Final = {"doh": 443, "dot": 853, "doq": 853}
_ORDER: Final[tuple[Literal["doh", "dot", "doq"], ...]] = ("doh", "dot", "doq")
_SPOKEN_ERRORS: Final = (
    Ede.STALE, Ede.FORGED_ANSWER, Ede.BLOCKED, Ede.CENSORED, Ede.FILTERED, Ede.PROHIBITED, Ede.STALE_NXDOMAIN,
    Ede.NO_REACHABLE_AUTHORITY, Ede.NETWORK_ERROR, Ede.INVALID_QUERY_TYPE,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Offer:
    """One encrypted listener. `address` is packed, all zeros for a wildcard of its family."""

    kind: Literal["dot", "doh", "doq"]
    address: bytes
    port: int


@dataclass(frozen=True, slots=True)
class Covered:
    """What a certificate speaks for: names in lower case (`*.` stands for one label) and packed addresses."""

    names: frozenset[str]
    addresses: frozenset[bytes]

    def has_name(self, name: str) -> bool:
        """Whether the certificate speaks for a name."""
        _, dot, rest = name.partition(".")
        return name in self.names or bool(dot and rest and f"*.{rest}" in self.names)


class Discovery:
    """What is offered. `name` is the server's own name; `path` that of DoH queries."""

    def __init__(self, name: str, covered: Covered, offers: Iterable[Offer], path: str = "/dns-query") -> None:
        self._name = name.lower().rstrip(".")
        self._covered = covered
        self._offers = tuple(offers)
        self._path = path

    def designate(self, asked: bytes | None, token: str | None) -> tuple[LocalRecord, ...]:
        """SVCB records for a client that asked this packed address of ours (None: not known) and is known by this token (None: by none)."""
        covered = self._covered
        if asked is None or asked not in covered.addresses or not covered.has_name(self._name):
            return ()
        records: list[LocalRecord] = []
        for kind in _ORDER:
            target, path = self._name, self._path
            if token is not None:
                named = f"{token}.{self._name}"
                if covered.has_name(named):
                    target = named
                elif kind == "doh":
                    path = f"{path}/{token}"
                else:
                    continue
            for port, addresses in self._reachable(kind, asked).items():
                rdata = _svcb(len(records) + 1, target, kind, port, addresses, path)
                if rdata is not None:
                    records.append(LocalRecord(Qtype.SVCB, TTL, rdata))
        return tuple(records)

    def _reachable(self, kind: str, asked: bytes) -> dict[int, list[bytes]]:
        """Addresses by port at which whoever asked `asked` reaches this kind of listener."""
        found: dict[int, list[bytes]] = {}
        for offer in self._offers:
            if offer.kind != kind:
                continue
            address = offer.address
            if not any(address):
                if len(address) != len(asked):
                    continue
                address = asked
            if address != asked and _is_local(address):
                continue
            addresses = found.setdefault(offer.port, [])
            if address not in addresses:
                addresses.append(address)
        return found


def describe() -> tuple[LocalRecord, ...]:
    """The RESINFO record: which extended errors we send (RFC 9606 §5)."""
    parts = [f"exterr={_ranges(sorted({int(code) for code in _SPOKEN_ERRORS}))}"]
    rdata = b"".join(bytes((len(part),)) + part.encode("ascii") for part in parts)
    return (LocalRecord(Qtype.RESINFO, TTL, rdata),)


def read_certificate(path: Path) -> Covered:
    """What the first certificate of a PEM file speaks for. Raises StartError when it cannot be read."""
    from cryptography import x509  # only workers with a named certificate pay for it

    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return Covered(frozenset(), frozenset())
    except (OSError, ValueError) as error:
        raise StartError(f"tls: {path} cannot be read: {error}") from None
    addresses: list[IPv4Address | IPv6Address] = [
        address for address in names.get_values_for_type(x509.IPAddress) if isinstance(address, IPv4Address | IPv6Address)
    ]
    texts = names.get_values_for_type(x509.DNSName)
    return Covered(frozenset(text.lower().rstrip(".") for text in texts), frozenset(address.packed for address in addresses))


def _svcb(priority: int, target: str, kind: str, port: int, addresses: list[bytes], path: str) -> bytes | None:
    """The data of one SVCB record in service mode, keys in ascending order (RFC 9460 §2.2); None when the name is too long."""
    try:
        name = wire_from_text(target)
    except InvalidName:
        return None
    protocol = _PROTOCOLS[kind]
    parameters = [(_ALPN, bytes((len(protocol),)) + protocol)]
    if port != _USUAL_PORTS[kind]:
        parameters.append((_PORT, port.to_bytes(2, "big")))
    parameters += [
        (key, b"".join(found)) for key, width in ((_IPV4_HINT, 4), (_IPV6_HINT, 16)) if (found := [a for a in addresses if len(a) == width])
    ]
    if kind == "doh":
        parameters.append((_DOH_PATH, f"{path}{{?dns}}".encode()))
    return priority.to_bytes(2, "big") + name + b"".join(_PAIR.pack(key, len(value)) + value for key, value in parameters)


def _is_local(address: bytes) -> bool:
    """Whether an address is of use on this machine or link only."""
    found = IPv4Address(address) if len(address) == 4 else IPv6Address(address)
    return found.is_loopback or found.is_link_local


def _ranges(numbers: list[int]) -> str:
    """Numbers in ascending order as `3-4,15`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
