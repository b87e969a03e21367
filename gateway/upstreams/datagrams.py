"""Sending and receiving many datagrams with one system call, on connected sockets. Imported by `udp` only.

One `DatagramRing` serves all upstream sockets of a worker: its buffers are used within one call and never across turns of the loop. Off
Linux, `PlainRing` has the same face with one system call per datagram.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import socket
import sys
from typing import Final, Protocol

SLOTS: Final = 64
SLOT_SIZE: Final = 4096
"""Larger than what we advertise (1232), so that a generous answer still fits; what is larger arrives cut and is asked for over TCP."""
_STARTS: Final = range(0, SLOTS * SLOT_SIZE, SLOT_SIZE)
_MSG_DONTWAIT: Final = 0x40
_MSG_TRUNC: Final = 0x20


class Ring(Protocol):
    """Batches on one connected, non-blocking socket."""

    def send(self, sock: socket.socket, messages: list[bytes]) -> int:
        """Send up to `SLOTS` messages; returns how many left. Raises OSError when not even the first one did."""

    def receive(self, sock: socket.socket) -> list[bytes]:
        """Everything that waits, up to `SLOTS` messages; a message longer than a slot is cut and has its TC bit set. Raises OSError."""


def make_ring() -> Ring:
    """The fastest ring this system has."""
    return DatagramRing() if sys.platform == "linux" and hasattr(_libc(), "recvmmsg") else PlainRing()


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Msghdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("iov", ctypes.c_void_p),
        ("iov_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Mmsghdr(ctypes.Structure):
    _fields_ = (("header", _Msghdr), ("length", ctypes.c_uint32))


class DatagramRing:
    """`sendmmsg` and `recvmmsg` over buffers that are laid out once."""

    def __init__(self) -> None:
        libc = _libc()
        self._sendmmsg = libc.sendmmsg
        self._recvmmsg = libc.recvmmsg
        self._buffer = mmap.mmap(-1, SLOTS * SLOT_SIZE)  # slices of a map are octets at once
        base = ctypes.addressof(ctypes.c_char.from_buffer(self._buffer))
        self._iovecs = (_Iovec * SLOTS)()
        self._headers = (_Mmsghdr * SLOTS)()
        for slot in range(SLOTS):
            self._iovecs[slot].base = base + slot * SLOT_SIZE
            self._iovecs[slot].length = SLOT_SIZE
            self._headers[slot].header.iov = ctypes.addressof(self._iovecs[slot])
            self._headers[slot].header.iov_count = 1
        word = ctypes.sizeof(ctypes.c_size_t)
        self._sizes = memoryview(self._iovecs).cast("B").cast("Q" if word == 8 else "I")
        self._sizes = self._sizes[_Iovec.length.offset // word :: ctypes.sizeof(_Iovec) // word]
        words = memoryview(self._headers).cast("B").cast("I")
        step = ctypes.sizeof(_Mmsghdr) // 4
        self._lengths = words[_Mmsghdr.length.offset // 4 :: step]
        self._flags = words[_Msghdr.flags.offset // 4 :: step]
        self._pointer = ctypes.c_void_p(ctypes.addressof(self._headers))
        self._dirty = 0

    def send(self, sock: socket.socket, messages: list[bytes]) -> int:
        """Send up to `SLOTS` messages; returns how many left. Raises OSError when not even the first one did."""
        if len(messages) == 1:
            sock.send(messages[0])
            return 1
        buffer = self._buffer
        sizes = self._sizes
        start = 0
        for slot, message in zip(range(SLOTS), messages, strict=False):
            size = len(message)
            buffer[start : start + size] = message
            sizes[slot] = size
            start += SLOT_SIZE
        count = min(len(messages), SLOTS)
        if count > self._dirty:
            self._dirty = count
        sent: int = self._sendmmsg(sock.fileno(), self._pointer, count, _MSG_DONTWAIT)
        if sent < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return sent

    def receive(self, sock: socket.socket) -> list[bytes]:
        """Everything that waits, up to `SLOTS` messages; a message longer than a slot is cut and has its TC bit set. Raises OSError."""
        if self._dirty:
            sizes = self._sizes
            for slot in range(self._dirty):
                sizes[slot] = SLOT_SIZE
            self._dirty = 0
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
