"""PROXY protocol version 2 headers as a front end sends them, composed apart from the product's own reader. For tests only."""

from __future__ import annotations

import socket
import struct
from ipaddress import ip_address

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")


def proxy_header(peer: str, local: str, *, port: int = 40000, is_stream: bool = False, **fields: str) -> bytes:
    """The header for a client `peer` that asked `local`. `name` is the server name of its handshake, `token` our own field."""
    addresses = ip_address(peer).packed + ip_address(local).packed + struct.pack(">HH", port, 53)
    family = 0x10 if len(addresses) == 12 else 0x20
    kinds = {"name": 0x02, "token": 0xE0, "other": 0x04}
    values = b"".join(struct.pack(">BH", kinds[kind], len(text)) + text.encode() for kind, text in fields.items())
    body = addresses + values
    return SIGNATURE + struct.pack(">BBH", 0x21, family | (1 if is_stream else 2), len(body)) + body


def local_header() -> bytes:
    """The header of a front end that speaks for itself, as in its health checks."""
    return SIGNATURE + struct.pack(">BBH", 0x20, 0, 0)


def packed(text: str) -> bytes:
    """An address as the product holds it."""
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
