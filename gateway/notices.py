"""NOTIFY (RFC 1996): a primary says that its zone has changed. A worker hands it to the process that takes zones, and its reply back.

The worker knows the addresses of the primaries and nothing else: signatures are checked, and the reply is made, where dnspython is
(`lachan.notices`). Over the Unix socket `state_dir/notices.sock` travel packets: four octets of a number, one with the length of the peer's
packed address, the address, the message; back come the number and the reply, which is empty for silence. The worker and `lachan` import
this module.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Collection
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from gateway.listeners import PENDING, Pending
from gateway.query import Origin

SOCKET: Final = "notices.sock"
MOST_OCTETS: Final = 4096
MOST_WAITING: Final = 64
PER_SECOND: Final = 50
WAIT_SECONDS: Final = 3.0
_OPCODE, _NOTIFY = 0xF8, 0x20


def pack_notice(number: int, peer: bytes, message: bytes) -> bytes:
    """A packet to the process that takes zones."""
    return number.to_bytes(4) + bytes((len(peer),)) + peer + message


def read_notice(packet: bytes) -> tuple[int, bytes, bytes]:
    """The number, the peer's packed address and the message of a packet. Raises ValueError."""
    size = packet[4] if len(packet) > 4 else 0
    if size not in (4, 16) or len(packet) < 5 + size + 12:
        raise ValueError("no notice")
    return int.from_bytes(packet[:4]), packet[5 : 5 + size], packet[5 + size :]


class NoticeLine:
    """A worker's line to the process that takes zones, opened when the first notice comes."""

    def __init__(self, state_dir: Path, loop: asyncio.AbstractEventLoop) -> None:
        self._primaries: frozenset[bytes] = frozenset()
        self._path = str(state_dir / SOCKET)
        self._loop = loop
        self._socket: socket.socket | None = None
        self._waiting: dict[int, tuple[Origin, asyncio.TimerHandle]] = {}
        self._number = 0
        self._second = self._taken = 0

    def know(self, primaries: Collection[str]) -> None:
        """Hear these addresses from now on."""
        self._primaries = frozenset(ip_address(host.partition("%")[0]).packed for host in primaries)

    def hears(self, data: bytes, origin: Origin) -> bool:
        """Whether a message is a notice of a primary; strangers are told what they are told about every other operation."""
        return len(data) > 2 and data[2] & _OPCODE == _NOTIFY and origin.peer in self._primaries

    def take(self, data: bytes, origin: Origin) -> Pending | None:
        """Hand a notice on; PENDING when a reply will come, None when none will: the primary then says it again (RFC 1996 §3.6)."""
        second = int(self._loop.time())
        if second != self._second:
            self._second, self._taken = second, 0
        self._taken += 1
        if self._taken > PER_SECOND or len(self._waiting) >= MOST_WAITING or len(data) > MOST_OCTETS or origin.send is None:
            return None
        self._number = self._number + 1 & 0xFFFFFFFF
        if not self._send(pack_notice(self._number, origin.peer, data)):
            return None
        timer = self._loop.call_later(WAIT_SECONDS, self._give, self._number, None)
        self._waiting[self._number] = origin, timer
        return PENDING

    def close(self) -> None:
        """Close the line; what waits gets no reply."""
        self._hang_up()

    def _send(self, packet: bytes) -> bool:
        for _ in range(2):  # the process may have been started anew since the last notice
            try:
                if self._socket is None:
                    self._dial()
                assert self._socket is not None
                self._socket.send(packet)
                return True
            except BlockingIOError:
                return False
            except OSError:
                self._hang_up()
        return False

    def _dial(self) -> None:
        line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        line.setblocking(False)
        try:
            line.connect(self._path)
        except OSError:
            line.close()
            raise
        self._socket = line
        self._loop.add_reader(line.fileno(), self._on_readable)

    def _on_readable(self) -> None:
        while self._socket is not None:
            try:
                packet = self._socket.recv(MOST_OCTETS + 4)
            except BlockingIOError:
                return
            except OSError:
                packet = b""
            if len(packet) < 4:
                self._hang_up()
                return
            self._give(int.from_bytes(packet[:4]), packet[4:] or None)

    def _give(self, number: int, reply: bytes | None) -> None:
        found = self._waiting.pop(number, None)
        if found is None:
            return
        origin, timer = found
        timer.cancel()
        if origin.send is not None:
            origin.send(origin, reply)

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None
        for number in list(self._waiting):
            self._give(number, None)
