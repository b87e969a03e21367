"""Listeners behind front ends that speak the PROXY protocol: the same as the others, with a header read first from those on the list.

The worker opens these instead of the plain ones when `proxy_protocol` is set; without it nothing here runs and nothing costs anything. What
a listed front end sends without a header is its own question; a header that cannot be read ends the datagram or the connection.

On TLS listeners the header may stand before the handshake (a balancer that does not look inside) or as the first octets inside it.
Connections of a front end are counted for the clients behind it, each with its own share.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any, Final

from gateway.listeners import PENDING, Front, Pending
from gateway.listeners.batch import BatchListener
from gateway.listeners.connection import Connection
from gateway.listeners.doh import DohConnection, DohListener
from gateway.listeners.stream import StreamListener
from gateway.listeners.udp import DatagramListener
from gateway.metrics import MALFORMED, Counters
from gateway.proxyprotocol import MOST, SIGNATURE, FrontEnds, Header, may_begin, parse_header, parse_stream_header, stream_header_size
from gateway.query import Origin, Transport

if TYPE_CHECKING:
    from gateway.clients import Scope

_PARTIAL_SECONDS: Final = 0.005
_MARK: Final = b"PROXY"
"""In front of the key of a source that a front end told: no address of a datagram is as long or begins so."""


class ProxiedBatchListener(BatchListener):
    """Datagrams by the batch. Only the slow path is another: a front end has no answer table of its own."""

    def __init__(
        self, front_ends: FrontEnds, sock: socket.socket, scope: Scope, front: Front, counters: Counters, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(sock, scope, front, counters, loop)
        self._front_ends = front_ends
        self._broken = counters.cell(MALFORMED, "dropped")

    def _answer(self, slot: int, base: int, length: int, record: Any) -> int:  # Any: a Record, passed on
        ring = self._ring
        memory = ring.memory
        at = ring.names[slot].start
        first, last = ring.address
        if memory[base : base + 12] != SIGNATURE or not self._front_ends.holds(memory[at + first : at + last]):
            return super()._answer(slot, base, length, record)
        data = memory[base : base + length]
        header = parse_header(data)
        if header is None:
            self._broken.n += 1
            return 0
        if header.peer is None or header.local is None:
            memory[base : base + length - header.size] = data[header.size :]
            return super()._answer(slot, base, length - header.size, record)
        origin = _origin(header, self._scope, self._front_ends, self._send_late)
        reply = _look_up(data[header.size :], origin, self._front, int(self._loop.time()))
        if reply is None:
            return 0
        if reply is PENDING:
            origin.handle = memory[ring.addresses[slot]]
            self._waiting += 1
            return 0
        memory[base : base + len(reply)] = reply
        return len(reply)


class ProxiedDatagramListener(DatagramListener):
    """Datagrams one by one."""

    def __init__(
        self, front_ends: FrontEnds, sock: socket.socket, scope: Scope, front: Front, counters: Counters, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(sock, scope, front, counters, loop)
        self._front_ends = front_ends
        self._broken = counters.cell(MALFORMED, "dropped")

    def _serve(self, data: bytes, address: Any) -> None:  # Any: an address as the socket module has it
        peer = socket.inet_pton(self._sock.family, address[0].partition("%")[0])
        if not data.startswith(SIGNATURE) or not self._front_ends.holds(peer):
            super()._serve(data, address)
            return
        header = parse_header(data)
        if header is None:
            self._broken.n += 1
        elif header.peer is None or header.local is None:
            super()._serve(data[header.size :], address)
        else:
            second = self._front.begin()
            origin = _origin(header, self._scope, self._front_ends, self._send_late)
            origin.handle = address
            reply = _look_up(data[header.size :], origin, self._front, second)
            if reply is PENDING:
                self._waiting += 1
            elif reply is not None:
                self._send(reply, address)


def _origin(header: Header, scope: Scope, front_ends: FrontEnds, send: Any) -> Origin:  # Any: the listener's own method
    """Where a datagram comes from according to its header."""
    assert header.peer is not None and header.local is not None
    token = front_ends.token_of(header)
    source = _MARK + header.peer + header.local + (b"\0" + token.encode("ascii") if token is not None else b"")
    return Origin(Transport.UDP, header.peer, header.port, scope, source, header.local, token, send)


def _look_up(data: bytes, origin: Origin, front: Front, second: int) -> bytes | Pending | None:
    """The reply to one message from the answer table of its client, else what the front says."""
    if len(data) < 12:
        return None
    record = origin.scope.records.get(origin.source)
    if record is not None and record.left > 0:
        record.left -= 1
        raw = data[2:]
        entry = record.view.answers.get(raw)
        if entry is not None:
            tail = entry.reply if entry.second == second else front.touch(record, entry, raw, second)
            if tail is not None:
                entry.tally.n += 1
                return data[:2] + tail
        origin.record = record
    return front.answer_now(data, origin)


class ProxiedStreamListener(StreamListener):
    """TCP and DoT. Call `trust` before `open`."""

    is_introduced = True
    front_ends: FrontEnds

    def trust(self, front_ends: FrontEnds) -> None:
        """Believe headers from these."""
        self.front_ends = front_ends
        self.connection_class = IntroducedConnection

    def introduce(self, connection: Connection, data: bytes) -> bool:
        """Let a connection stand for the client of a whole header; False when it has to go."""
        header = parse_stream_header(data)
        if header is None:
            self.malformed.n += 1
            return False
        if header.peer is None or header.local is None:
            return True
        client = header.peer[:8] if len(header.peer) == 16 else header.peer
        if connection.client is not None:
            self.places.leave(connection.client)
            budget = self.places.lacks(client)
            if budget is not None:
                self.places.enter(connection.client)
                self.refuse(budget)
                return False
            self.places.enter(client)
            connection.client = client
        connection.stand_for(header.peer, header.port, header.local, self.front_ends.token_of(header))
        return True

    def _lacks_place(self, peer: bytes, client: bytes) -> str | None:
        if self.front_ends.holds(peer):
            return "all" if self.places.taken >= self.places.most else None
        return super()._lacks_place(peer, client)

    async def _meet(self, connection: Connection, accepted: socket.socket) -> None:
        """A header before TLS. Octets are looked at without taking them, for without a header they belong to the handshake."""
        if not isinstance(connection, Introduced) or not connection.awaits_header or self._tls is None:
            return
        async with asyncio.timeout(self.limits.tcp_query):
            size = await _measure(self.loop, accepted)
            if size is None:
                return
            data = accepted.recv(size)
        connection.awaits_header = False
        if not self.introduce(connection, data):
            raise ConnectionRefusedError


class ProxiedDohListener(ProxiedStreamListener, DohListener):
    """DoH. Call `trust` before `open`."""

    def trust(self, front_ends: FrontEnds) -> None:
        """Believe headers from these."""
        super().trust(front_ends)
        self.connection_class = IntroducedDohConnection


class Introduced(Connection):
    """A connection that may begin with a header, when it comes from a front end."""

    def __init__(self, listener: StreamListener, peer: bytes, port: int, local: bytes, client: bytes) -> None:
        super().__init__(listener, peer, port, local, client)
        assert isinstance(listener, ProxiedStreamListener)
        self._head = b""
        self.awaits_header = listener.front_ends.holds(peer)
        """Until the first octets have shown whether there is one."""

    def data_received(self, data: bytes) -> None:
        """asyncio's callback."""
        if not self.awaits_header:
            super().data_received(data)
            return
        head = self._head = self._head + data
        if may_begin(head):
            size = stream_header_size(head)
            if size == 0:
                return
            listener = self._listener
            assert isinstance(listener, ProxiedStreamListener)
            if not listener.introduce(self, head[:size]):
                self._transport.abort()
                return
            head = head[size or 0 :]
        self.awaits_header = False
        self._head = b""
        if head:
            super().data_received(head)


class IntroducedConnection(Introduced):
    """TCP or DoT."""


class IntroducedDohConnection(Introduced, DohConnection):
    """DoH."""


async def _measure(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> int | None:
    """Octets of the header that waits to be read, without taking them, once it is whole; None when there is none. A broken one counts with
    what is there of it. Raises OSError at the end of the connection."""
    before = 0
    while True:
        readable = loop.create_future()
        loop.add_reader(sock.fileno(), _wake, readable)
        try:
            await readable
        finally:
            loop.remove_reader(sock.fileno())
        data = sock.recv(MOST, socket.MSG_PEEK)
        if not data:
            raise ConnectionResetError
        if not may_begin(data):
            return None
        size = stream_header_size(data)
        if size != 0:
            return size or len(data)
        if len(data) == before:
            await asyncio.sleep(_PARTIAL_SECONDS)  # what is there stays readable: the rest has to come first
        before = len(data)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
