"""PROXY protocol: who a client of a front end (dnsdist, HAProxy) really is. Pure; `listeners.proxied` reads the octets.

A header stands before the DNS message of a datagram, or before everything on a connection. It is looked for only in what comes from front
ends the operator listed; anybody else's is not DNS. A header from a listed front end that cannot be read ends the query: the client must
never be taken for the front end itself.

Besides the addresses two fields are read: the server name of the TLS handshake that the front end terminated (PP2_TYPE_AUTHORITY), in which
our token may stand, and type 0xE0 (free for own use), whose value is the token itself, such as from a DoH path.

Version 2 (binary) before datagrams and connections, version 1 (a line of text, which knows only TCP) before connections.

The PROXY protocol, Willy Tarreau, 2020/03/05, sections 2.1 and 2.2. Imported by the listeners and the worker.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network
from socket import AF_INET, AF_INET6, inet_pton
from typing import Final, NamedTuple

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
FIXED: Final = 16
"""Octets before the addresses: signature, version and command, family, length of the rest."""
MOST: Final = 2048
"""Octets of the longest header that is read."""
AUTHORITY: Final = 0x02
TOKEN: Final = 0xE0

LINE: Final = b"PROXY "
"""What a header of version 1 begins with."""
LONGEST_LINE: Final = 107

_LOCAL, _PROXY = 0x20, 0x21
_WIDTHS: Final = {0x11: 4, 0x12: 4, 0x21: 16, 0x22: 16}
"""Octets of an address by family and protocol (TCP and UDP over IPv4 and IPv6)."""
_MAPPED: Final = bytes(10) + b"\xff\xff"
_PORT: Final = re.compile(r"0|[1-9][0-9]{0,4}", re.ASCII)
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


def may_begin(data: bytes) -> bool:
    """Whether octets on a connection are the beginning of a header, as far as they go."""
    return SIGNATURE.startswith(data[:12]) or LINE.startswith(data[: len(LINE)])


def stream_header_size(data: bytes) -> int | None:
    """Octets of the whole header that `data` begins with on a connection; 0 while more have to come, None when it is broken."""
    if data.startswith(LINE):
        end = data.find(b"\r\n", 0, LONGEST_LINE)
        return end + 2 if end >= 0 else 0 if len(data) < LONGEST_LINE else None
    if len(data) < FIXED:
        return 0 if may_begin(data) else None
    size = header_size(data)
    return size if size is None or len(data) >= size else 0


def parse_stream_header(data: bytes) -> Header | None:
    """The header at the beginning of a connection, of either version; None when it is broken or not whole."""
    return _parse_line(data) if data.startswith(LINE) else parse_header(data)


def _parse_line(data: bytes) -> Header | None:
    """Version 1: `PROXY TCP4 192.0.2.1 198.51.100.1 4711 53`, or `PROXY UNKNOWN` and anything."""
    size = stream_header_size(data)
    if not size:
        return None
    words = data[: size - 2].decode("ascii", "replace").split(" ")
    if words[1:2] == ["UNKNOWN"]:
        return Header(size)
    if len(words) != 6 or words[1] not in ("TCP4", "TCP6") or not all(_PORT.fullmatch(word) and int(word) < 65_536 for word in words[4:]):
        return None
    family = AF_INET if words[1] == "TCP4" else AF_INET6
    try:
        peer, local = inet_pton(family, words[2]), inet_pton(family, words[3])
    except OSError:
        return None
    return Header(size, _unmapped(peer), int(words[4]), _unmapped(local))


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
