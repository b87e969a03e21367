"""Datagrams by the batch: one `recvmmsg` brings up to 64, replies are written over the queries, one `sendmmsg` takes them away. Linux.

One array of message headers serves both directions. A datagram arrives in slot i; the reply is written behind the id in the same slot, only
the length changes, and the slot's address and control message (the address that was asked) go back untouched. A hit then costs two
dictionary look-ups, no copy of an address and no system call of its own. Slots without a reply leave holes; the headers of the others are
then moved together.

All of it lives in one anonymous map, because slices of a map are `bytes` (dictionary keys) and can be assigned. The worker opens it;
nothing else imports it. RFC 1035 §4.2.1; the address that was asked is the one that answers (RFC 2181 §4.1).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import mmap
import socket
import sys
from typing import TYPE_CHECKING, Final

from gateway.kernelmessages import HEADER, IOVEC, WORD, Iovec, Mmsghdr
from gateway.listeners import PENDING, Front
from gateway.metrics import RECEIVE_ERRORS, SEND_ERRORS, Counters
from gateway.query import Origin, Transport

if TYPE_CHECKING:
    from gateway.clients import Record, Scope

SLOTS: Final = 64
ROUNDS: Final = 8
"""Batches read in one turn of the loop while there is a lot to read."""
ENOUGH: Final = 4
"""After so many datagrams in one batch more have probably come meanwhile: looking costs less than a turn of the loop."""
CAPACITY: Final = 2048
"""Octets of a slot; a longer datagram arrives cut and is malformed."""
MOST_LATE: Final = 4096
"""Replies waiting for their turn of the loop."""
_STRIDE: Final = CAPACITY + 192
"""Slots do not start at multiples of a page, or all of them would fight for the same lines of the processor's cache."""
ADDRESS_STRIDE: Final = 128
_DONTWAIT: Final = 0x40
_UDP: Final = Transport.UDP
_IP_PKTINFO: Final = 8
_IPV6_RECVPKTINFO: Final = 49
_PMTUDISC_OMIT: Final = 5
_V4_CONTROL: Final = 32
_V6_CONTROL: Final = 40


_WORD_FORMAT: Final = "Q" if WORD == 8 else "I"


class _Ring:
    """Headers, addresses and octets of `SLOTS` messages, laid out once. Offsets count from the start of `memory`.

    `with_local` leaves room for the control message that holds the address which was asked.
    """

    def __init__(self, family: int, with_local: bool) -> None:
        is_v6 = family == socket.AF_INET6
        self.name_size = 28 if is_v6 else 16
        self.control_size = (_V6_CONTROL if is_v6 else _V4_CONTROL) if with_local else 0
        control_at = 32 if is_v6 else 16
        iovecs = SLOTS * HEADER * 2
        addresses = iovecs + SLOTS * IOVEC
        octets = addresses + SLOTS * ADDRESS_STRIDE
        self.memory = mmap.mmap(-1, octets + SLOTS * _STRIDE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        self.bases = [octets + slot * _STRIDE for slot in range(SLOTS)]
        self.names = [slice(at, at + self.name_size) for at in range(addresses, octets, ADDRESS_STRIDE)]
        self.addresses = [slice(name.start, name.start + control_at + self.control_size) for name in self.names]
        """Address and control message together: all that a reply needs to find its way."""
        self.controls = [slice(name.start + control_at, name.start + control_at + self.control_size) for name in self.names]
        self.headers = [slice(slot * HEADER, slot * HEADER + HEADER) for slot in range(SLOTS)]
        self.pointer = ctypes.c_void_p(start)
        self.moved_pointer = ctypes.c_void_p(start + SLOTS * HEADER)
        self.moved_at = SLOTS * HEADER
        for slot in range(SLOTS):
            header = Mmsghdr.from_buffer(self.memory, slot * HEADER)
            header.header.name = start + self.names[slot].start
            header.header.name_length = self.name_size
            header.header.iov = start + iovecs + slot * IOVEC
            header.header.iov_count = 1
            if with_local:
                header.header.control = start + self.controls[slot].start
                header.header.control_length = self.control_size
            iovec = Iovec.from_buffer(self.memory, iovecs + slot * IOVEC)
            iovec.base = start + self.bases[slot]
            iovec.length = CAPACITY
        self.fresh_headers = bytes(self.memory[: SLOTS * HEADER])
        self.iovecs_at = iovecs
        self.fresh_iovecs = bytes(self.memory[iovecs:addresses])
        view = memoryview(self.memory)
        self.lengths = view[: SLOTS * HEADER].cast("I")[Mmsghdr.length.offset // 4 :: HEADER // 4]
        self.sizes = view[iovecs:addresses].cast(_WORD_FORMAT)[Iovec.length.offset // WORD :: IOVEC // WORD]
        shorts = view[addresses:octets].cast("H")
        words = view[addresses:octets].cast("I")
        self.ports = shorts[1 :: ADDRESS_STRIDE // 2]
        # Behind a control header of 16 octets: in_pktinfo has the interface first, in6_pktinfo has it last.
        link = control_at + 16 + (16 if is_v6 else 0)
        self.links = words[link // 4 :: ADDRESS_STRIDE // 4]
        self.locals = shorts[(control_at + 16) // 2 :: ADDRESS_STRIDE // 2]
        self.zeros = memoryview(bytes(4 * SLOTS)).cast("I")
        self.address = (8, 24) if is_v6 else (4, 8)
        self.local = (control_at + 16, control_at + 32) if is_v6 else (control_at + 20, control_at + 24)
        first = 8 if is_v6 else 4
        last = (link + 4 if is_v6 else control_at + 28) if with_local else (28 if is_v6 else 8)
        self.key = slice(first, last)
        self.keys = [slice(name.start + first, name.start + last) for name in self.names]


class BatchListener:
    """One UDP socket. `scope` holds its clients; the socket is non-blocking and belongs to the caller, who closes it after `close`."""

    def __init__(self, sock: socket.socket, scope: Scope, front: Front, counters: Counters, loop: asyncio.AbstractEventLoop) -> None:
        self._sock = sock
        self._fd = sock.fileno()
        self._scope = scope
        self._front = front
        self._loop = loop
        self._is_v6 = sock.family == socket.AF_INET6
        self._with_local = _is_wildcard(sock)
        if self._with_local:
            if self._is_v6:
                sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
            else:
                sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        _ignore_path_mtu(sock)
        libc = ctypes.CDLL(None, use_errno=True)
        self._recvmmsg = libc.recvmmsg
        self._sendmmsg = libc.sendmmsg
        self._ring = _Ring(sock.family, self._with_local)
        self._late_ring = _Ring(sock.family, self._with_local)
        self._late: list[tuple[bytes, bytes]] = []
        self._dirty = 0
        self._waiting = 0
        self._receive_errors = counters.cell(RECEIVE_ERRORS)
        self._unreachable = counters.cell(SEND_ERRORS, "unreachable")
        self._full = counters.cell(SEND_ERRORS, "full")
        self._is_closed = False

    def open(self) -> None:
        """Begin to read."""
        self._loop.add_reader(self._fd, self._on_readable)

    def stop(self) -> None:
        """Read nothing more; replies under way still go out."""
        self._loop.remove_reader(self._fd)

    @property
    def is_idle(self) -> bool:
        """Whether every query that was read has had its reply."""
        return not self._waiting and not self._late

    def close(self) -> None:
        """Stop reading and sending."""
        self._loop.remove_reader(self._fd)
        self._is_closed = True
        self._late.clear()

    def _on_readable(self) -> None:
        ring = self._ring
        memory = ring.memory
        for _ in range(ROUNDS):
            if dirty := self._dirty:
                memory[: dirty * HEADER] = ring.fresh_headers[: dirty * HEADER]
                end = dirty * IOVEC
                memory[ring.iovecs_at : ring.iovecs_at + end] = ring.fresh_iovecs[:end]
                self._dirty = 0
            count: int = self._recvmmsg(self._fd, ring.pointer, SLOTS, _DONTWAIT, None)
            if count <= 0:
                if count < 0 and ctypes.get_errno() not in (errno.EAGAIN, errno.EINTR):
                    self._receive_errors.n += 1
                return
            self._dirty = count
            self._serve(count)
            if count < ENOUGH:
                return

    def _serve(self, count: int) -> None:
        """Answer the datagrams in the first `count` slots."""
        ring = self._ring
        front = self._front
        second = front.begin()
        touch = front.touch
        ask_plain = front.ask_plain
        memory = ring.memory
        sizes = ring.sizes
        find = self._scope.records.get
        holes: list[int] = []
        if self._with_local:
            self._clear_links(count)
        lengths = ring.lengths[:count].tolist()
        if 0 in ring.ports[:count].tolist():
            # Nobody can be answered there, and one such reply would end the whole batch.
            for slot, port in enumerate(ring.ports[:count].tolist()):
                if not port:
                    lengths[slot] = 0
        for slot, key, base, length in zip(range(count), ring.keys, ring.bases, lengths, strict=False):
            record = find(memory[key])
            if record is not None:
                left = record.left
                if left > 0:
                    record.left = left - 1
                    raw = memory[base + 2 : base + length]
                    entry = record.view.answers.get(raw)
                    if entry is not None:
                        reply = entry.reply if entry.second == second else touch(record, entry, raw, second)
                        if reply is not None:
                            entry.tally.n += 1
                            base += 2
                            end = base + len(reply)
                            memory[base:end] = reply
                            sizes[slot] = end - base + 2
                            continue
                    else:
                        plain = ask_plain(raw, record, self)
                        if plain is not None:
                            plain.ident = memory[base : base + 2]
                            plain.handle = memory[ring.addresses[slot]]
                            self._waiting += 1
                            holes.append(slot)
                            continue
                else:
                    record = None
            size = self._answer(slot, base, length, record)
            if size:
                sizes[slot] = size
            else:
                holes.append(slot)
        if not holes:
            self._send(ring, ring.pointer, 0, count)
        elif len(holes) < count:
            gone = set(holes)
            left_over = [memory[header] for slot, header in enumerate(ring.headers[:count]) if slot not in gone]
            memory[ring.moved_at : ring.moved_at + len(left_over) * HEADER] = b"".join(left_over)
            self._send(ring, ring.moved_pointer, 0, len(left_over))

    def _answer(self, slot: int, base: int, length: int, record: Record | None) -> int:
        """The slow path for one slot: the length of the reply written into it, 0 for none now."""
        if length < 12:
            return 0
        ring = self._ring
        memory = ring.memory
        origin = self.origin_of(memory[ring.addresses[slot]], record)
        reply = self._front.answer_now(memory[base : base + length], origin)
        if reply is PENDING:
            self._waiting += 1
            return 0
        if reply is None:
            return 0
        size = len(reply)
        memory[base : base + size] = reply
        return size

    def origin_of(self, handle: bytes, record: Record | None) -> Origin:
        """Where a datagram came from, read from the address and control message of its slot."""
        ring = self._ring
        source = peer = handle[ring.key]
        local = None
        if self._with_local or self._is_v6:
            first, last = ring.address
            peer = handle[first:last]
            if self._with_local:
                first, last = ring.local
                local = handle[first:last]
        return Origin(_UDP, peer, 0, self._scope, source, local, None, self._send_late, handle, record)

    def _clear_links(self, count: int) -> None:
        """The way back may be another link than the way here; only a link-local address is bound to its link."""
        ring = self._ring
        if not self._is_v6:
            ring.links[:count] = ring.zeros[:count]
            return
        links = ring.links
        swap = sys.byteorder == "little"
        for slot, start in enumerate(ring.locals[:count].tolist()):
            if (start & 0xC0FF) != 0x80FE if swap else (start & 0xFFC0) != 0xFE80:
                links[slot] = 0

    def _send(self, ring: _Ring, pointer: ctypes.c_void_p, done: int, count: int) -> None:
        """Send the messages `done` to `count` of a header array. One that cannot be sent is skipped; the others are not held up by it."""
        assert pointer.value is not None
        while True:
            sent: int = self._sendmmsg(
                self._fd, ctypes.c_void_p(pointer.value + done * HEADER) if done else pointer, count - done, _DONTWAIT
            )
            if sent < 0:
                number = ctypes.get_errno()
                if number == errno.EINTR:
                    continue
                if number in (errno.EAGAIN, errno.ENOBUFS):
                    self._full.n += count - done
                    return
                self._unreachable.n += 1
                sent = 1
            done += sent
            if done >= count:
                return

    def _send_late(self, origin: Origin, reply: bytes | None) -> None:
        """Take a reply that was not ready in its batch, or None for silence."""
        if reply is None:
            self._waiting -= 1
        else:
            self.send_later(origin.handle, reply)

    def send_later(self, handle: bytes, reply: bytes) -> None:
        """Take a reply that was not ready in its batch; it leaves with the others of this turn of the loop."""
        self._waiting -= 1
        if self._is_closed:
            return
        late = self._late
        if len(late) >= MOST_LATE:
            self._full.n += 1
            return
        late.append((handle, reply))
        if len(late) == 1:
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        late = self._late
        if self._is_closed or not late:
            return
        self._late = []
        ring = self._late_ring
        memory = ring.memory
        sizes = ring.sizes
        for start in range(0, len(late), SLOTS):
            part = late[start : start + SLOTS]
            for slot, (handle, reply), base, address in zip(range(SLOTS), part, ring.bases, ring.addresses, strict=False):
                memory[address] = handle
                size = len(reply)
                memory[base : base + size] = reply
                sizes[slot] = size
            self._send(ring, ring.pointer, 0, len(part))


def _is_wildcard(sock: socket.socket) -> bool:
    host = sock.getsockname()[0]
    return not any(socket.inet_pton(sock.family, host.partition("%")[0]))


def _ignore_path_mtu(sock: socket.socket) -> None:
    """No reply is larger than 1232 octets; a forged ICMP message must not make the system fragment or refuse them (RFC 9715 §3.1)."""
    level, option = (socket.IPPROTO_IP, 10) if sock.family == socket.AF_INET else (socket.IPPROTO_IPV6, 23)
    with contextlib.suppress(OSError):
        sock.setsockopt(level, option, _PMTUDISC_OMIT)
