"""Which hardware address stands behind a local address: the system's neighbour table (ARP, NDP), followed by netlink.

Only addresses on the same link have an entry, so this identifies devices at home and in a school's own network, never behind a router.
Whoever identifies a client by it must drop what it concluded when `changed(address)` is called. An entry that neither an event nor one of
the regular dumps confirmed for ten seconds is forgotten (review 14): a lease may have gone to another device.

rtnetlink(7), RTM_GETNEIGH; where netlink may not be used, /proc/net/arp (IPv4 only); off Linux the table stays empty.
Only the worker imports this module; the pipeline asks `mac_of`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

log = logging.getLogger(__name__)

UNCONFIRMED_SECONDS = 10.0
DUMP_SECONDS = 4.0
MOST_ENTRIES = 65_536

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_NEIGHBOUR = struct.Struct("=BBHiHBB")  # family, -, -, interface, state, flags, type
_ATTRIBUTE = struct.Struct("=HH")
_DONE, _NEW, _DELETED, _GET = 3, 28, 29, 30
_REQUEST_DUMP = 0x1 | 0x300
_GROUP_NEIGHBOURS = 1 << 2
_DESTINATION, _LINK_ADDRESS = 1, 2
_USABLE = 0x02 | 0x04 | 0x08 | 0x10 | 0x80  # reachable, stale, delay, probe, permanent
_ARP_COMPLETE = 0x2


class Neighbour(NamedTuple):
    """One message: this address has this hardware address now, None when it has none any more."""

    address: bytes
    mac: str | None


class NeighbourTable:
    """The table of one worker. Times are monotonic seconds, as the loop counts them."""

    def __init__(self, changed: Callable[[bytes], None], arp: Path = Path("/proc/net/arp")) -> None:
        self._changed = changed
        self._arp = arp
        self._entries: dict[bytes, tuple[str, float]] = {}
        self._netlink: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def mac_of(self, address: bytes, now: float) -> str | None:
        """The hardware address (`aa:bb:cc:dd:ee:ff`) behind a packed address, None when it is not known or not confirmed lately."""
        entry = self._entries.get(address)
        return entry[0] if entry is not None and now - entry[1] <= UNCONFIRMED_SECONDS else None

    def open(self) -> None:
        """Begin to follow the table on the running loop."""
        self._loop = asyncio.get_running_loop()
        try:
            self._netlink = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
            )
            self._netlink.bind((0, _GROUP_NEIGHBOURS))
            self._loop.add_reader(self._netlink.fileno(), self._read)
        except (AttributeError, OSError) as error:
            self._close_netlink()
            log.info("no netlink", extra={"event": "neighbours.fallback", "reason": str(error)})
        self._refresh()

    def close(self) -> None:
        """Stop following."""
        if self._timer is not None:
            self._timer.cancel()
        self._close_netlink()

    def take(self, neighbour: Neighbour, now: float) -> None:
        """Note one message."""
        before = self._entries.get(neighbour.address)
        if neighbour.mac is None:
            if before is not None:
                del self._entries[neighbour.address]
                self._changed(neighbour.address)
            return
        if before is None and len(self._entries) >= MOST_ENTRIES:
            return
        self._entries[neighbour.address] = (neighbour.mac, now)
        if before is None or before[0] != neighbour.mac:
            self._changed(neighbour.address)

    def forget_unconfirmed(self, now: float) -> None:
        """Drop what was not confirmed for too long."""
        gone = [address for address, (_, confirmed) in self._entries.items() if now - confirmed > UNCONFIRMED_SECONDS]
        for address in gone:
            del self._entries[address]
            self._changed(address)

    def _refresh(self) -> None:
        """Every few seconds: ask for the whole table, forget what did not show up in the last two."""
        assert self._loop is not None
        now = self._loop.time()
        self.forget_unconfirmed(now)
        if self._netlink is not None:
            request = _HEADER.pack(_HEADER.size + _NEIGHBOUR.size, _GET, _REQUEST_DUMP, 1, 0) + _NEIGHBOUR.pack(0, 0, 0, 0, 0, 0, 0)
            with contextlib.suppress(OSError):
                self._netlink.send(request)
        else:
            with contextlib.suppress(OSError, ValueError):
                for neighbour in parse_arp(self._arp.read_text("ascii")):
                    self.take(neighbour, now)
        self._timer = self._loop.call_later(DUMP_SECONDS, self._refresh)

    def _read(self) -> None:
        """One datagram of netlink at a time, so that a large table does not hold up queries."""
        assert self._netlink is not None and self._loop is not None
        try:
            data = self._netlink.recv(65_536)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:  # messages were lost; the next dump brings them
                log.warning("netlink failed", extra={"event": "neighbours.failed", "reason": str(error)})
                self._close_netlink()
            return
        now = self._loop.time()
        for neighbour in parse_netlink(data):
            self.take(neighbour, now)

    def _close_netlink(self) -> None:
        if self._netlink is not None:
            if self._loop is not None:
                self._loop.remove_reader(self._netlink.fileno())
            self._netlink.close()
            self._netlink = None


def parse_netlink(data: bytes) -> Iterator[Neighbour]:
    """The neighbour messages of one netlink datagram; anything else, and anything damaged, is skipped."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size or offset + length > len(data) or kind == _DONE:
            return
        if kind in (_NEW, _DELETED) and length >= _HEADER.size + _NEIGHBOUR.size:
            neighbour = _parse_neighbour(data[offset + _HEADER.size : offset + length], kind)
            if neighbour is not None:
                yield neighbour
        offset += (length + 3) & ~3


def parse_arp(text: str) -> Iterator[Neighbour]:
    """The complete entries of /proc/net/arp."""
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) >= 4 and int(fields[2], 16) & _ARP_COMPLETE and fields[3] != "00:00:00:00:00:00":
            yield Neighbour(socket.inet_aton(fields[0]), fields[3].lower())


def _parse_neighbour(message: bytes, kind: int) -> Neighbour | None:
    family, _, _, _, state, _, _ = _NEIGHBOUR.unpack_from(message)
    if family not in (socket.AF_INET, socket.AF_INET6):
        return None
    address = mac = b""
    offset = _NEIGHBOUR.size
    while offset + _ATTRIBUTE.size <= len(message):
        length, name = _ATTRIBUTE.unpack_from(message, offset)
        if length < _ATTRIBUTE.size:
            break
        value = message[offset + _ATTRIBUTE.size : offset + length]
        if name == _DESTINATION:
            address = value
        elif name == _LINK_ADDRESS:
            mac = value
        offset += (length + 3) & ~3
    if len(address) not in (4, 16):
        return None
    if kind == _DELETED or not state & _USABLE or len(mac) != 6 or not any(mac):
        return Neighbour(address, None)
    return Neighbour(address, mac.hex(":"))
