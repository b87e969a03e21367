"""Queries that came over QUIC: the QUIC process hands them over a Unix socket, one worker answers each.

Whoever can open the socket is the supervisor's own child (the socket lies in the state directory, mode 0600), so what a frame says of the
client is believed. A reply that is not ready leaves when it is. The worker opens it; nothing else imports it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Final

from gateway.clients import Scope
from gateway.listeners import PENDING, Front
from gateway.metrics import CONNECTIONS, CONNECTIONS_REFUSED, Counters
from gateway.query import Origin, Transport
from gateway.quic.relay import Counts, Relayed, pack_reply, read_request, take_frames

_ACCEPTS: Final = 16
_WRITE_BYTES: Final = 4 * 1024 * 1024
_LABEL: Final = (Transport.DOQ.value,)


class RelayListener:
    """The worker's end of the lines. `scopes` are those of `doq.listen`, in its order; the socket belongs to the caller."""

    def __init__(
        self, sock: socket.socket, scopes: Sequence[Scope], front: Front, counters: Counters, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.scopes = scopes
        self.front = front
        self.loop = loop
        self.lines: set[Line] = set()
        self._sock = sock
        self._counters = counters
        self._refused = [counters.cell(CONNECTIONS_REFUSED, *_LABEL, budget) for budget in ("all", "client", "slow")]
        self._opening: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Begin to accept."""
        self.loop.add_reader(self._sock.fileno(), self._accept)

    def stop(self) -> None:
        """Take no further line; the QUIC process then turns to other workers. What is under way is answered."""
        self.loop.remove_reader(self._sock.fileno())
        for line in list(self.lines):
            line.finish()

    @property
    def is_idle(self) -> bool:
        """Whether no line is left."""
        return not self.lines

    def close(self) -> None:
        """Close every line at once."""
        self.stop()
        for task in self._opening:
            task.cancel()
        for line in list(self.lines):
            line.abort()

    def count(self, counts: Counts) -> None:
        """What the QUIC process counted."""
        self._counters.set(CONNECTIONS, _LABEL, counts.connections)
        for cell, number in zip(self._refused, counts[1:], strict=True):
            cell.n += number

    def _accept(self) -> None:
        for _ in range(_ACCEPTS):
            try:
                accepted, _ = self._sock.accept()
            except OSError:  # nothing more waits, or another worker was faster
                return
            accepted.setblocking(False)
            task = self.loop.create_task(self._serve(accepted))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _serve(self, accepted: socket.socket) -> None:
        try:
            await self.loop.connect_accepted_socket(lambda: Line(self), accepted)
        except (OSError, asyncio.CancelledError):
            accepted.close()


class Line(asyncio.Protocol):
    """One line from the QUIC process."""

    def __init__(self, listener: RelayListener) -> None:
        self._listener = listener
        self._transport: asyncio.Transport
        self._buffer = bytearray()
        self._in_flight = 0
        self._is_ending = False
        self._is_lost = False
        self._has_counts = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's callback."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=_WRITE_BYTES)
        self._listener.lines.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's callback."""
        self._is_lost = True
        self._listener.lines.discard(self)
        if self._has_counts:
            self._listener.count(Counts(0, 0, 0, 0))

    def pause_writing(self) -> None:
        """asyncio's callback: the QUIC process does not read, so it is not read from either."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """asyncio's callback."""
        if not self._is_lost:
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """asyncio's callback."""
        self._buffer += data
        self._listener.front.begin()
        replies: list[bytes] = []
        try:
            for frame in take_frames(self._buffer):
                request = read_request(frame)
                if isinstance(request, Counts):
                    self._has_counts = True
                    self._listener.count(request)
                elif (reply := self._answer(request)) is not None:
                    replies.append(reply)
        except (ValueError, IndexError):
            self._transport.abort()
            return
        if replies:
            self._transport.write(b"".join(replies))

    def finish(self) -> None:
        """End once everything asked so far is answered."""
        self._is_ending = True
        if not self._in_flight:
            self._transport.close()

    def abort(self) -> None:
        """End at once."""
        self._transport.abort()

    def _answer(self, request: Relayed) -> bytes | None:
        """The frame of the reply if it is ready."""
        scope = self._listener.scopes[request.endpoint]
        local = request.local or scope.local
        source = request.peer + (local or b"")
        token = request.token or None
        if token is not None:
            source += b"\0" + token.encode("ascii", "replace")
        origin = Origin(Transport.DOQ, request.peer, request.port, scope, source, local, token, self._send_late, request.id)
        reply = self._listener.front.answer_now(request.message, origin)
        if reply is PENDING:
            self._in_flight += 1
            return None
        return pack_reply(request.id, reply or b"")

    def _send_late(self, origin: Origin, reply: bytes | None) -> None:
        """Take a reply that was not ready when its query was read."""
        self._in_flight -= 1
        if self._is_lost:
            return
        self._transport.write(pack_reply(origin.handle, reply or b""))
        if self._is_ending and not self._in_flight:
            self._transport.close()
