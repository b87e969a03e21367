"""Sending and receiving many datagrams with one system call, on connected sockets. Imported by `udp` only.

Neighbours of equal length leave as one large message that the kernel cuts into datagrams (UDP_SEGMENT): they pass its layers once together
instead of one by one, which is most of what sending costs. Where the kernel or the network card cannot, they leave singly.

One `DatagramRing` serves all upstream sockets of a worker: its buffers are used within one call and never across turns of the loop. Off
Linux, `PlainRing` has the same face with one system call per datagram.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import socket
from struct import Struct
from typing import Final, Protocol

from gateway.kernelmessages import WORD, Iovec, Mmsghdr, Msghdr, has_batches

SLOTS: Final = 64
SLOT_SIZE: Final = 4096
"""Larger than what we advertise (1232), so that a generous answer still fits; what is larger arrives cut and is asked for over TCP."""
_STARTS: Final = range(0, SLOTS * SLOT_SIZE, SLOT_SIZE)
_MSG_DONTWAIT: Final = 0x40
_MSG_TRUNC: Final = 0x20
_UDP_SEGMENT: Final = 103
_UNABLE: Final = frozenset({errno.EINVAL, errno.EIO, errno.EOPNOTSUPP, errno.ENOPROTOOPT, errno.EMSGSIZE})
"""What a kernel says that cuts no messages, or not for this network card."""


class Ring(Protocol):
    """Batches on one connected, non-blocking socket."""

    def send(self, sock: socket.socket, messages: list[bytes]) -> int:
        """Send up to `SLOTS` messages, cheapest when equal lengths are neighbours; returns how many left. Raises OSError when not even the
        first one did."""

    def receive(self, sock: socket.socket) -> list[bytes]:
        """Everything that waits, up to `SLOTS` messages; a message longer than a slot is cut and has its TC bit set. Raises OSError."""


def make_ring() -> Ring:
    """The fastest ring this system has."""
    return DatagramRing() if has_batches() else PlainRing()


_CMSG: Final = Struct("@NiiH")
"""A control message with one number: its length, level, kind, and the number."""
_CONTROL: Final = (_CMSG.size + WORD - 1) // WORD * WORD


class _Outgoing:
    """Headers, control messages and octets of one batch that leaves."""

    def __init__(self) -> None:
        self._buffer = mmap.mmap(-1, SLOTS * SLOT_SIZE)
        self._base = ctypes.addressof(ctypes.c_char.from_buffer(self._buffer))
        self._iovecs = (Iovec * SLOTS)()
        self._headers = (Mmsghdr * SLOTS)()
        self._controls = bytearray(SLOTS * _CONTROL)
        controls = ctypes.addressof(ctypes.c_char.from_buffer(self._controls))
        for slot in range(SLOTS):
            header = self._headers[slot].header
            header.iov = ctypes.addressof(self._iovecs[slot])
            header.iov_count = 1
            header.control = controls + slot * _CONTROL
            _CMSG.pack_into(self._controls, slot * _CONTROL, _CMSG.size, socket.IPPROTO_UDP, _UDP_SEGMENT, 0)
        places = memoryview(self._iovecs).cast("B").cast("P")
        step = ctypes.sizeof(Iovec) // WORD
        self._places = places[Iovec.base.offset // WORD :: step]
        self._lengths = places[Iovec.length.offset // WORD :: step]
        headers = memoryview(self._headers).cast("B").cast("P")
        self._control_lengths = headers[Msghdr.control_length.offset // WORD :: ctypes.sizeof(Mmsghdr) // WORD]
        self._pieces = memoryview(self._controls).cast("H")[(_CMSG.size - 2) // 2 :: _CONTROL // 2]
        self.pointer = ctypes.c_void_p(ctypes.addressof(self._headers))

    def lay(self, messages: list[bytes], may_join: bool) -> list[int]:
        """Lay a batch out, neighbours of equal length in one header if they may; the number of messages up to the end of each header."""
        octets = b"".join(messages)
        self._buffer[: len(octets)] = octets
        lengths = list(map(len, messages))
        ends: list[int] = []
        place = self._base
        first = slot = 0
        while first < len(messages):
            length = lengths[first]
            last = first + 1
            if may_join and length:
                while last < len(messages) and lengths[last] == length:
                    last += 1
            self._places[slot] = place
            self._lengths[slot] = size = length * (last - first)
            self._control_lengths[slot] = _CONTROL if last - first > 1 else 0
            self._pieces[slot] = length
            place += size
            ends.append(last)
            first = last
            slot += 1
        return ends


class DatagramRing:
    """`sendmmsg` and `recvmmsg` over buffers that are laid out once."""

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._sendmmsg = libc.sendmmsg
        self._recvmmsg = libc.recvmmsg
        self._buffer = mmap.mmap(-1, SLOTS * SLOT_SIZE)  # slices of a map are octets at once
        base = ctypes.addressof(ctypes.c_char.from_buffer(self._buffer))
        self._iovecs = (Iovec * SLOTS)()
        self._headers = (Mmsghdr * SLOTS)()
        for slot in range(SLOTS):
            self._iovecs[slot].base = base + slot * SLOT_SIZE
            self._iovecs[slot].length = SLOT_SIZE
            self._headers[slot].header.iov = ctypes.addressof(self._iovecs[slot])
            self._headers[slot].header.iov_count = 1
        words = memoryview(self._headers).cast("B").cast("I")
        step = ctypes.sizeof(Mmsghdr) // 4
        self._lengths = words[Mmsghdr.length.offset // 4 :: step]
        self._flags = words[Msghdr.flags.offset // 4 :: step]
        self._pointer = ctypes.c_void_p(ctypes.addressof(self._headers))
        self._out = _Outgoing()
        self._cuts = True

    def send(self, sock: socket.socket, messages: list[bytes]) -> int:
        """Send up to `SLOTS` messages; returns how many left. Raises OSError when not even the first one did."""
        if len(messages) == 1:
            sock.send(messages[0])
            return 1
        out = self._out
        ends = out.lay(messages[:SLOTS], self._cuts)
        sent: int = self._sendmmsg(sock.fileno(), out.pointer, len(ends), _MSG_DONTWAIT)
        if sent > 0:
            return ends[sent - 1]
        number = ctypes.get_errno()
        if self._cuts and ends[0] > 1 and number in _UNABLE:
            self._cuts = False
            return self.send(sock, messages)
        raise OSError(number, os.strerror(number))

    def receive(self, sock: socket.socket) -> list[bytes]:
        """Everything that waits, up to `SLOTS` messages; a message longer than a slot is cut and has its TC bit set. Raises OSError."""
        count: int = self._recvmmsg(sock.fileno(), self._pointer, SLOTS, _MSG_DONTWAIT, None)
        if count < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        buffer = self._buffer
        lengths = self._lengths[:count].tolist()
        messages = [buffer[start : start + length] for start, length in zip(_STARTS, lengths, strict=False)]
        if SLOT_SIZE in lengths:
            for slot, length in enumerate(lengths):
                if length == SLOT_SIZE and self._flags[slot] & _MSG_TRUNC:
                    messages[slot] = _mark_cut(messages[slot])
        return messages


class PlainRing:
    """The same with one system call per datagram."""

    def send(self, sock: socket.socket, messages: list[bytes]) -> int:
        """Send up to `SLOTS` messages; returns how many left. Raises OSError when not even the first one did."""
        for count, message in enumerate(messages[:SLOTS]):
            try:
                sock.send(message)
            except OSError:
                if not count:
                    raise
                return count
        return min(len(messages), SLOTS)

    def receive(self, sock: socket.socket) -> list[bytes]:
        """Everything that waits, up to `SLOTS` messages; a message longer than a slot is cut and has its TC bit set. Raises OSError."""
        messages: list[bytes] = []
        while len(messages) < SLOTS:
            try:
                data = sock.recv(65535)
            except OSError:
                if not messages:
                    raise
                break
            messages.append(data if len(data) <= SLOT_SIZE else _mark_cut(data[:SLOT_SIZE]))
        return messages


def _mark_cut(data: bytes) -> bytes:
    return data[:2] + bytes([data[2] | 0x02]) + data[3:] if len(data) > 2 else data
