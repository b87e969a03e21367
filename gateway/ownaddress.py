"""Whether a server is this gateway itself: a resolver that is asked in turn and is ourselves makes every name fail.

A router that hands out this machine as DNS hands it to this machine, too, so the system's own resolver may be we. `servers` leaves such a
one out, `configuration` refuses it where a person wrote it. Any package may import this module.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final, cast

from gateway.settings import Endpoint

_NOBODYS: Final = {4: "240.0.0.1", 6: "100::1"}
"""Addresses that no machine has (RFC 1112 §4, RFC 6666): who may use them may use any, and being allowed to tells nothing."""


def is_listened_on(address: str, port: int, listen: Iterable[Endpoint]) -> bool:
    """Whether what is sent to this address and port of the network comes to one of these listeners of ours."""
    try:
        packed = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    everywhere = "::" if packed.version == 6 else "0.0.0.0"
    for endpoint in listen:
        if endpoint.port != port:
            continue
        if endpoint.host == address or (endpoint.host == everywhere and is_ours(address)):
            return True
    return False


def is_ours(address: str) -> bool:
    """Whether an address is one of this machine's now."""
    found = ip_address(address.partition("%")[0])
    if found.is_loopback or found.is_unspecified:
        return True
    if not _may_use(address):
        return False
    return not _may_use(_NOBODYS[found.version]) or _is_its_own_source(address)


def socket_address(address: str, port: int) -> tuple[str | int, ...]:
    """An address as `connect` and `bind` take it. By themselves they forget the link of a link-local one (`fe80::1%eth0`). Raises OSError
    where this machine has no such link."""
    if "%" not in address:
        return (address, port)
    try:
        found = socket.getaddrinfo(address, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)[0][4]
    except socket.gaierror:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV)) from None
    return cast(tuple[str | int, ...], found)


def _may_use(address: str) -> bool:
    """Whether a throw-away socket can have it."""
    try:
        with _socket(address) as probe:
            probe.bind(socket_address(address, 0))
    except OSError:
        return False
    return True


def _is_its_own_source(address: str) -> bool:
    """Whether the system would speak to an address from that address: true of the first one of each network of ours. Nothing is sent."""
    try:
        with _socket(address) as probe:
            probe.connect(socket_address(address, 53))
            return str(probe.getsockname()[0]).partition("%")[0] == address.partition("%")[0]
    except OSError:
        return False


def _socket(address: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
