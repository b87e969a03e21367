"""One connection of TCP or TLS: queries as they arrive, replies as they are ready, and its clocks. `stream` opens it; `doh` and `proxied`
build on it.

A connection takes turns: it never has more than `TURN` queries answered before others are looked at, nor more octets written at once than a
client may leave unread. RFC 1035 §4.2.2, 7766, 9210.
"""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios
from typing import TYPE_CHECKING, Final

from gateway.listeners import PENDING
from gateway.listeners.secure import REST_SECONDS, SecureTransport
from gateway.query import Origin

if TYPE_CHECKING:
    from gateway.clients import Record
    from gateway.listeners.stream import StreamListener

TURN: Final = 64
"""Queries of one connection that are answered in one turn of the loop."""
MOST_READS: Final = 128
"""Reads one query may take; a client that sends single octets is slow on purpose."""
LENT_WRITE_BYTES: Final = 32 * 1024
"""Octets a client may leave unread on a connection beyond the share of its address: places are lent, memory is not."""
LAST_CALL_SECONDS: Final = 0.5
"""How long a connection may still ask when the listener stops, unless it is quiet before; one that has asked nothing yet is not quiet. A
client that reads slowly is answered all it has asked for as long as it goes on reading and the worker waits (`Gateway.drain`)."""
QUIET_SECONDS: Final = 0.1
LINGER_SECONDS: Final = 1.0
"""How long a client that takes nothing of what waits for it is waited for when the listener stops, or when we have ended our side."""
_HEADER: Final = 12


class Connection(asyncio.Protocol):
    """One client connection. Replies may leave in any order (RFC 7766 §6.2.1.1)."""

    def __init__(self, listener: StreamListener, peer: bytes, port: int, local: bytes, client: bytes) -> None:
        self._listener = listener
        self.client: bytes | None = client
        """Whose place this connection takes; None once it is free again."""
        self._origin = Origin(listener.scope.transport, peer, port, listener.scope, peer + local, local, None, self._send_late)
        self._transport: asyncio.Transport
        self._buffer = bytearray()
        self._reads = 0
        self._in_flight = 0
        self._since = listener.loop.time()
        self._stalled_at = 0.0
        self._most_unread = listener.limits.tcp_write_bytes
        self._unread = -1
        self._unread_since = 0.0
        self._rest_by = 0.0
        """Until when everything must be taken; 0 while nothing says so."""
        self._is_new = True
        self._is_paused = False
        self._is_scheduled = False
        self._is_ending = False
        self._is_lost = False
        self._is_over = False
        """Whether the client has said everything."""
        self._leave_by = 0.0
        self._farewell: asyncio.TimerHandle | None = None
        """Set once we have ended our side."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's callback."""
        assert isinstance(transport, asyncio.Transport)
        listener = self._listener
        self._transport = transport
        if self.client is not None and listener.places.is_spare(self.client):
            self._most_unread = min(self._most_unread, LENT_WRITE_BYTES)
        transport.set_write_buffer_limits(high=self._most_unread, low=self._most_unread // 4)
        if listener.token_of is not None:
            token = listener.token_of(transport.get_extra_info("ssl_object"), transport.get_extra_info("hello", b""))
            if token == "":
                # Who it is cannot be told for certain; nobody is answered as somebody else.
                transport.abort()
            elif token is not None:
                self._know(token)
        listener.connections.add(self)
        self._since = listener.loop.time()
        if listener.is_stopping:
            self.leave()

    def _know(self, token: str) -> None:
        """The client has this token."""
        self._origin.token = token
        self._origin.source += b"\0" + token.encode("ascii", "replace")

    def stand_for(self, peer: bytes, port: int, local: bytes, token: str | None) -> None:
        """Serve somebody else from now on: a front end said who asks, and where."""
        origin = self._origin
        origin.peer, origin.port, origin.local, origin.token = peer, port, local, None
        origin.source = peer + local
        if token is not None:
            self._know(token)

    def let_go(self) -> None:
        """Hold nothing in a circle any more: the collector looks at what lived for seconds once in hours, and TLS has large buffers."""
        self._origin.send = None

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's callback."""
        self._is_lost = True
        if self._farewell is not None:
            self._farewell.cancel()
        self._listener.connections.discard(self)
        self._listener.forget(self)
        self._buffer.clear()

    def data_received(self, data: bytes) -> None:
        """asyncio's callback."""
        if self._farewell is not None:
            return  # the client did not know yet, and asks again elsewhere (RFC 7766 §6.2.4)
        if not self._buffer:
            self._since = self._listener.loop.time()
            self._reads = 0
        self._is_new = False
        self._reads += 1
        self._buffer += data
        if not self._is_scheduled:
            self._work()

    def eof_received(self) -> bool:
        """asyncio's callback. The client sends nothing more, but may still read."""
        self._is_ending = self._is_over = True
        return self._is_scheduled or self._in_flight > 0 or self._is_paused

    def pause_writing(self) -> None:
        """asyncio's callback: the client does not read, so it is not read from either."""
        self._stalled_at = self._listener.loop.time()
        self._pause()

    def resume_writing(self) -> None:
        """asyncio's callback."""
        self._stalled_at = 0.0
        self._since = self._listener.loop.time()
        if not self._is_scheduled:
            self._work()

    def leave(self) -> None:
        """The listener stops: end at a moment when nothing is under way, and soon. A client that has only just come may still ask, for it
        chose this process before it knew; so may one whose question lies in the system."""
        self._leave_by = self._listener.loop.time() + LAST_CALL_SECONDS
        self._listener.loop.call_later(QUIET_SECONDS, self._look_whether_quiet)

    def _look_whether_quiet(self) -> None:
        if self._is_lost or self._is_ending:
            return
        now = self._listener.loop.time()
        is_quiet = not (self._is_new or self._buffer or self._in_flight) and now - self._since >= QUIET_SECONDS
        if self._stalled_at:
            if self._untouched(now) >= LINGER_SECONDS:
                self._listener.refuse("slow")
                self._transport.abort()
                return
        elif is_quiet or now >= self._leave_by:
            self.finish()
            return
        self._listener.loop.call_later(QUIET_SECONDS, self._look_whether_quiet)

    def finish(self) -> None:
        """End once everything asked so far is answered, and what comes until then."""
        self._is_ending = True
        if not (self._in_flight or self._is_scheduled or self._stalled_at):
            self._part()

    def _untouched(self, now: float) -> float:
        """For how many seconds the client has taken nothing of what waits for it, here and in the system."""
        unread = self._transport.get_write_buffer_size() + _queued(self._transport)
        if unread != self._unread:
            self._unread, self._unread_since = unread, now
        return now - self._unread_since

    def _part(self) -> None:
        """End our side once everything written has left, and let the client end its own. Closing over octets that were not read would have
        the system throw away answers that are still on their way."""
        transport = self._transport
        if self._is_over or isinstance(transport, SecureTransport):  # which does the same by itself
            transport.close()
        elif self._farewell is None and not transport.is_closing():
            self._untouched(self._listener.loop.time())
            self._rest_by = self._listener.loop.time() + REST_SECONDS
            self._farewell = self._listener.loop.call_later(LINGER_SECONDS, self._say_farewell)
            transport.write_eof()
            if self._is_paused:
                self._is_paused = False
                transport.resume_reading()

    def _say_farewell(self) -> None:
        """We have ended our side: wait on while the client takes what is left, within bounds."""
        now = self._listener.loop.time()
        if self._untouched(now) >= LINGER_SECONDS or now >= self._rest_by:
            self._transport.abort()
        else:
            self._farewell = self._listener.loop.call_later(QUIET_SECONDS, self._say_farewell)

    def abort(self) -> None:
        """End at once."""
        self._transport.abort()

    def check(self, now: float, idle: float, query: float) -> None:
        """Close the connection if it is idle, slow or does not read. Monotonic seconds."""
        if self._farewell is not None:
            return
        if self._stalled_at:
            if now - self._stalled_at > query:
                self._listener.refuse("slow")
                self._transport.abort()
        elif self._in_flight or self._is_scheduled:
            return
        elif self._buffer or self._is_new:
            if now - self._since > query:
                self._listener.refuse("slow" if self._buffer else "idle")
                self._transport.abort()
        elif self._transport.is_closing():
            if not isinstance(self._transport, SecureTransport):  # which does the same by itself
                self._check_rest(now, query)
        elif now - self._since > idle:
            self._listener.refuse("idle")
            self._since = now
            self._transport.close()

    def _check_rest(self, now: float, query: float) -> None:
        """We have ended, and answers wait: a client that takes nothing of them for so long, or drips, keeps its place no longer."""
        self._rest_by = self._rest_by or now + REST_SECONDS
        if self._untouched(now) > query or now >= self._rest_by:
            self._transport.abort()

    def _work(self) -> None:
        """Answer what has arrived in full, at most one turn of it."""
        self._is_scheduled = False
        if self._is_lost or self._farewell is not None or self._transport.is_closing():
            return
        buffer = self._buffer
        most = self._listener.limits.tcp_in_flight
        replies: list[bytes] = []
        start = 0
        turn, room = TURN, self._most_unread
        if len(buffer) >= 2 and not self._stalled_at:
            second = self._listener.front.begin()
            while len(buffer) - start >= 2:
                size = buffer[start] << 8 | buffer[start + 1]
                if size < _HEADER:
                    # No message is that short: whatever this is, it is not DNS.
                    self._listener.malformed.n += 1
                    self._transport.abort()
                    return
                end = start + 2 + size
                if end > len(buffer) or not turn or self._in_flight >= most:
                    break
                turn -= 1
                reply = self._answer(bytes(buffer[start + 2 : end]), second)
                if self._transport.is_closing():
                    return
                start = end
                if reply is not None:
                    replies.append(len(reply).to_bytes(2, "big"))
                    replies.append(reply)
                    room -= len(reply)
                    if room < 0:
                        turn = 0  # perhaps more than the client takes: first see
            if start:
                del buffer[:start]
                self._since = self._listener.loop.time()
                self._reads = 1
        if replies:
            self._transport.write(b"".join(replies))
        self._go_on(turn)

    def _go_on(self, turn: int) -> None:
        """Read on, wait, take another turn, or end."""
        buffer = self._buffer
        has_message = len(buffer) >= 2 and len(buffer) >= 2 + (buffer[0] << 8 | buffer[1])
        if has_message and not turn:
            self._pause()
            self._is_scheduled = True
            self._listener.loop.call_soon(self._work)
        elif has_message or self._stalled_at:
            self._pause()
        elif self._is_ending:
            if not self._in_flight:
                self._part()
        elif buffer and self._reads > MOST_READS:
            self._listener.refuse("slow")
            self._transport.abort()
        elif self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()

    def _answer(self, data: bytes, second: int) -> bytes | None:
        """The reply to one message if it is ready."""
        origin = self._origin
        found = self.find(data, origin.source, second)
        if isinstance(found, bytes):
            return found
        origin.record = found
        reply = self._listener.front.answer_now(data, origin)
        if reply is PENDING:
            self._in_flight += 1
            return None
        if reply is None and origin.token is not None and origin.source not in self._listener.scope.records:
            # Who guesses tokens is told nothing more, and keeps no place either.
            self._transport.abort()
        return reply

    def find(self, data: bytes, source: bytes, second: int) -> bytes | Record | None:
        """The reply to one message from the answer table; else the record of the source, which has paid for it, None without one."""
        listener = self._listener
        record = listener.scope.records.get(source)
        if record is None or record.left <= 0:
            return None
        record.left -= 1
        raw = data[2:]
        entry = record.view.answers.get(raw)
        if entry is not None:
            tail = entry.reply if entry.second == second else listener.front.touch(record, entry, raw, second)
            if tail is not None:
                entry.tally.n += 1
                return data[:2] + tail
        return record

    def _send_late(self, origin: Origin, reply: bytes | None) -> None:
        """Take a reply that was not ready when its query was read."""
        self._in_flight -= 1
        if self._is_lost or self._transport.is_closing():
            return
        if reply is not None:
            self._transport.write(len(reply).to_bytes(2, "big") + reply)
        if not self._in_flight:
            self._since = self._listener.loop.time()
        if not self._is_scheduled and (self._is_paused or self._is_ending):
            self._is_scheduled = True
            self._listener.loop.call_soon(self._work)

    def _pause(self) -> None:
        if not self._is_paused and not self._transport.is_closing():
            self._is_paused = True
            self._transport.pause_reading()


def _queued(transport: asyncio.Transport) -> int:
    """Octets that the system holds because the client has not taken them; 0 where it does not say."""
    try:
        (octets,) = struct.unpack("i", fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4)))
    except (OSError, ValueError):
        return 0
    return int(octets)
