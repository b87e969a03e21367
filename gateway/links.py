"""The IPv6 networks of this machine's own links: what the word `link` in `dns.allow_from` stands for today.

A provider gives a home another prefix now and then, so these are read again every few seconds and never written down. Only what the system
calls global on a link with neighbours counts: no loopback, no point-to-point link, nothing wider than /48. Linux's /proc/net/if_inet6 and
netdevice(7); elsewhere there are none. Any package may import this module.
"""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
from collections.abc import Iterable
from ipaddress import IPv6Network, ip_address
from pathlib import Path
from typing import Final

from gateway.settings import DnsSettings

WIDEST: Final = 48
"""The shortest prefix that is believed to be one home's or one school's."""
_TABLE: Final = Path("/proc/self/net/if_inet6")
_GLOBAL: Final = "00"
_SIOCGIFFLAGS: Final = 0x8913
_UP, _LOOPBACK, _POINT_TO_POINT = 0x1, 0x8, 0x10


def own_networks() -> tuple[IPv6Network, ...]:
    """The networks of this machine's links now, in a fixed order."""
    try:
        table = _TABLE.read_text("ascii")
    except (OSError, UnicodeDecodeError):
        return ()
    found = list(read_table(table))
    shared = {link for link in {link for _, link in found} if _has_neighbours(link)}
    return tuple(sorted({network for network, link in found if link in shared}))


def read_table(table: str) -> Iterable[tuple[IPv6Network, str]]:
    """The networks of a table of addresses that are not too wide, each with the name of its link; damaged lines are skipped."""
    for line in table.splitlines():
        fields = line.split()
        if len(fields) != 6 or fields[3] != _GLOBAL:
            continue
        with contextlib.suppress(ValueError):
            length = int(fields[2], 16)
            if length >= WIDEST:
                yield IPv6Network((bytes.fromhex(fields[0]), length), strict=False), fields[5]


def may_ask(dns: DnsSettings, address: str) -> bool:
    """Whether `allow_from` lets this address ask now."""
    return dns.serves(address) or (dns.link and any(ip_address(address) in network for network in own_networks()))


def _has_neighbours(link: str) -> bool:
    """Whether a link is up and leads to more than one other machine."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            answer = fcntl.ioctl(probe, _SIOCGIFFLAGS, struct.pack("16sH14x", link.encode()[:15], 0))
    except OSError:
        return False
    flags = struct.unpack_from("H", answer, 16)[0]
    return bool(flags & _UP) and not flags & (_LOOPBACK | _POINT_TO_POINT)
