"""PROXY protocol version 2: who a client of a front end (dnsdist, HAProxy) really is. Pure; `listeners.proxied` reads the octets.

A header stands before the DNS message of a datagram, or before everything on a connection. It is looked for only in what comes from front
ends the operator listed; anybody else's is not DNS. A header from a listed front end that cannot be read ends the query: the client must
never be taken for the front end itself.

Besides the addresses two fields are read: the server name of the TLS handshake that the front end terminated (PP2_TYPE_AUTHORITY), in which
our token may stand, and type 0xE0 (free for own use), whose value is the token itself, such as from a DoH path.

The PROXY protocol, Willy Tarreau, 2020/03/05, section 2.2. Imported by the listeners and the worker.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network
from typing import Final, NamedTuple

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
FIXED: Final = 16
"""Octets before the addresses: signature, version and command, family, length of the rest."""
MOST: Final = 2048
"""Octets of the longest header that is read."""
AUTHORITY: Final = 0x02
TOKEN: Final = 0xE0

_LOCAL, _PROXY = 0x20, 0x21
_WIDTHS: Final = {0x11: 4, 0x12: 4, 0x21: 16, 0x22: 16}
"""Octets of an address by family and protocol (TCP and UDP over IPv4 and IPv6)."""
_MAPPED: Final = bytes(10) + b"\xff\xff"
_TOKEN: Final = re.compile(rb"[a-z0-9][a-z0-9-]{0,62}")
_NAME: Final = re.compile(rb"[a-z0-9_.-]{1,255}")


class Header(NamedTuple):
    """One header. `size` are its octets; `peer` and `local` packed addresses, None when the front end speaks for itself (LOCAL)."""

    size: int
    peer: bytes | None = None
    port: int = 0
    local: bytes | None = None
    name: str | None = None
    """The server name of the client's TLS handshake, in lower case."""
    token: str | None = None


def header_size(data: bytes) -> int | None:
    """Octets of the whole header, from its first 16; None when this is no header of version 2, or one too long to be read."""
    if len(data) < FIXED or not data.startswith(SIGNATURE) or data[12] >> 4 != 2:
        return None
    size = FIXED + (data[14] << 8 | data[15])
    return size if size <= MOST else None


def parse_header(data: bytes) -> Header | None:
    """The header at the beginning of `data`; None when there is none, or it is broken or not whole."""
    size = header_size(data)
    if size is None or len(data) < size:
        return None
    command = data[12]
    if command == _LOCAL:
        return Header(size)
    if command != _PROXY:
        return None
    width = _WIDTHS.get(data[13])
    if width is None:
        # Unknown families carry no address: the connection's own stand (section 2.2, "UNSPEC").
        return Header(size) if data[13] == 0 else None
    start = FIXED + 2 * width + 4
    if size < start:
        return None
    fields = _read_fields(data, start, size)
    if fields is None:
        return None
    peer, local = data[FIXED : FIXED + width], data[FIXED + width : FIXED + 2 * width]
    port = int.from_bytes(data[FIXED + 2 * width : FIXED + 2 * width + 2], "big")
    name, token = fields.get(AUTHORITY, b"").lower(), fields.get(TOKEN, b"").lower()
    return Header(
        size,
        _unmapped(peer),
        port,
        _unmapped(local),
        name.decode("ascii") if _NAME.fullmatch(name) else None,
        token.decode("ascii") if _TOKEN.fullmatch(token) else None,
    )


def _read_fields(data: bytes, start: int, end: int) -> dict[int, bytes] | None:
    """The fields behind the addresses by type, the first of each; None when they do not end where the header does."""
    fields: dict[int, bytes] = {}
    while start < end:
        if start + 3 > end:
            return None
        stop = start + 3 + (data[start + 1] << 8 | data[start + 2])
        if stop > end:
            return None
        fields.setdefault(data[start], data[start + 3 : stop])
        start = stop
    return fields


def _unmapped(address: bytes) -> bytes:
    return address[12:] if len(address) == 16 and address.startswith(_MAPPED) else address


class FrontEnds:
    """The front ends that are believed. `name` is our own server name, below which tokens stand."""

    def __init__(self, networks: Iterable[IPv4Network | IPv6Network], name: str | None = None) -> None:
        self._ranges: dict[int, list[tuple[int, int]]] = {4: [], 16: []}
        for network in networks:
            self._ranges[4 if network.version == 4 else 16].append((int(network.netmask), int(network.network_address)))
        self._below = f".{name.lower().rstrip('.')}" if name else None

    def holds(self, address: bytes) -> bool:
        """Whether a packed address is that of a listed front end."""
        number = int.from_bytes(address, "big")
        return any(number & mask == first for mask, first in self._ranges[len(address)])

    def token_of(self, header: Header) -> str | None:
        """The client token that a header carries, by itself or in the server name."""
        if header.token is not None:
            return header.token
        if header.name is None or self._below is None or not header.name.endswith(self._below):
            return None
        token = header.name[: -len(self._below)]
        return token if _TOKEN.fullmatch(token.encode("ascii")) else None
