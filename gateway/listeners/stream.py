"""TCP, and TLS by the same class: many queries on a connection, answered as they come, each reply with its length in one piece.

Every budget is the gateway's own: connections in all and per client, queries under way per connection, time for a handshake, time and reads
for a query to arrive, time a connection may be idle (shrinking as places run out), octets a client may leave unread and for how long. One
timer serves all connections. A connection takes turns: it never has more than `TURN` queries answered before others are looked at.

The worker opens it; nothing else imports it. RFC 1035 §4.2.2, 7766, 7858, 8310, 9210.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from gateway.listeners import PENDING, Front
from gateway.listeners.secure import SecureTransport
from gateway.metrics import CONNECTIONS, CONNECTIONS_REFUSED, MALFORMED, Counters
from gateway.query import Origin
from gateway.settings import Limits

if TYPE_CHECKING:
    from gateway.clients import Record, Scope

TURN: Final = 64
"""Queries of one connection that are answered in one turn of the loop."""
MOST_READS: Final = 128
"""Reads one query may take; a client that sends single octets is slow on purpose."""
CROWDED_IDLE_SECONDS: Final = 0.5
"""How long a connection may be idle while more than four fifths of the places are taken."""
LAST_CALL_SECONDS: Final = 0.5
"""How long a connection may still ask when the listener stops, unless it is quiet before; one that has asked nothing yet is not quiet."""
QUIET_SECONDS: Final = 0.1
LINGER_SECONDS: Final = 1.0
"""How long a client has for ending its side after we have ended ours."""
_TICK: Final = 0.25
_ACCEPTS: Final = 64
_HEADER: Final = 12

TokenOf = Callable[[ssl.SSLObject, bytes], str | None]


class StreamListener:
    """One listening socket. `scope` holds its clients; the socket is non-blocking and belongs to the caller, who closes it after `close`.

    With `tls` every connection is encrypted; `token_of` then finds the client's token in the handshake (RFC 6066 server name).
    """

    is_introduced = False
    """Whether something comes before TLS (`_meet`)."""

    def __init__(
        self,
        sock: socket.socket,
        scope: Scope,
        front: Front,
        counters: Counters,
        limits: Limits,
        loop: asyncio.AbstractEventLoop,
        tls: ssl.SSLContext | None = None,
        token_of: TokenOf | None = None,
    ) -> None:
        self.scope = scope
        self.front = front
        self.limits = limits
        self.loop = loop
        self.token_of = token_of
        self.connections: set[Connection] = set()
        self.is_stopping = False
        self.connection_class: type[Connection] = Connection
        self.malformed = counters.cell(MALFORMED, "dropped")
        self._sock = sock
        self._tls = tls
        self._counters = counters
        self._per_client: dict[bytes, int] = {}
        self._opening: set[asyncio.Task[None]] = set()
        self._shaking: set[SecureTransport] = set()
        self._open = 0
        self._timer: asyncio.TimerHandle | None = None
        label = scope.transport.value
        self._gauge = (label,)
        self._refused = {budget: counters.cell(CONNECTIONS_REFUSED, label, budget) for budget in ("all", "client", "idle", "slow")}

    def open(self) -> None:
        """Begin to accept."""
        self.loop.add_reader(self._sock.fileno(), self._accept)
        self._timer = self.loop.call_later(_TICK, self._tick)

    def stop(self) -> None:
        """Accept nothing more; connections end once what they asked is answered."""
        self.loop.remove_reader(self._sock.fileno())
        self.is_stopping = True
        for connection in list(self.connections):
            connection.leave()

    @property
    def is_idle(self) -> bool:
        """Whether no connection is left."""
        return not self._open

    def close(self) -> None:
        """Close every connection at once."""
        self.stop()
        if self._timer is not None:
            self._timer.cancel()
        for task in self._opening:
            task.cancel()
        for transport in list(self._shaking):
            transport.abort()
        for connection in list(self.connections):
            connection.abort()

    def refuse(self, budget: str) -> None:
        """Count a connection that had to go."""
        self._refused[budget].n += 1

    def _accept(self) -> None:
        for _ in range(_ACCEPTS):
            try:
                accepted, address = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                # Out of descriptors: let the others end; the queue of the system waits.
                self.loop.remove_reader(self._sock.fileno())
                self.loop.call_later(_TICK, self._resume)
                return
            peer = socket.inet_pton(accepted.family, address[0].partition("%")[0])
            client = peer[:8] if len(peer) == 16 else peer
            here, most = self._per_client.get(client, 0), self._allowance(peer)
            if self._open >= self.limits.tcp_connections or here >= most or not address[1]:
                self.refuse("client" if here >= most else "all")
                accepted.close()
                continue
            accepted.setblocking(False)
            self._per_client[client] = here + 1
            self._open += 1
            self._counters.set(CONNECTIONS, self._gauge, self._open)
            local = socket.inet_pton(accepted.family, accepted.getsockname()[0].partition("%")[0])
            connection = self.connection_class(self, peer, address[1], local, client)
            if self._tls is not None and not self.is_introduced:
                self._secure(connection, accepted, self._tls)
            else:
                task = self.loop.create_task(self._serve(connection, accepted))
                self._opening.add(task)
                task.add_done_callback(self._opening.discard)

    def _resume(self) -> None:
        if not self.is_stopping:
            self.loop.add_reader(self._sock.fileno(), self._accept)

    async def _serve(self, connection: Connection, accepted: socket.socket) -> None:
        """Turn an accepted socket into a connection."""
        try:
            await self._meet(connection, accepted)
            if self._tls is not None:
                self._secure(connection, accepted, self._tls)
            else:
                await self.loop.connect_accepted_socket(lambda: connection, accepted)
        except (OSError, asyncio.CancelledError) as error:
            error.__traceback__ = None  # its frames hold the error again: a circle
            accepted.close()
            self.forget(connection)

    def _secure(self, connection: Connection, accepted: socket.socket, tls: ssl.SSLContext) -> None:
        """Turn an accepted socket into a connection after a handshake."""
        self._shaking.add(SecureTransport(self.loop, accepted, tls, connection, self.limits.tcp_query, self._met))

    def _met(self, transport: SecureTransport, connection: asyncio.Protocol, is_done: bool) -> None:
        """A handshake is over, one way or the other."""
        self._shaking.discard(transport)
        if not is_done:
            assert isinstance(connection, Connection)
            self.forget(connection)

    def _allowance(self, peer: bytes) -> int:
        """How many connections this address may have."""
        return self.limits.tcp_per_client

    async def _meet(self, connection: Connection, accepted: socket.socket) -> None:
        """What comes before TLS: nothing here. Raises OSError when the connection has to go."""

    def forget(self, connection: Connection) -> None:
        """A connection is gone, or never came to be: free its place, once."""
        client = connection.client
        if client is None:
            return
        connection.client = None
        connection.let_go()
        left = self._per_client[client] - 1
        if left:
            self._per_client[client] = left
        else:
            del self._per_client[client]
        self._open -= 1
        self._counters.set(CONNECTIONS, self._gauge, self._open)

    def _tick(self) -> None:
        """Look at every connection's clock."""
        now = self.loop.time()
        limits = self.limits
        is_crowded = self._open * 5 > limits.tcp_connections * 4
        idle = min(limits.tcp_idle, CROWDED_IDLE_SECONDS) if is_crowded else limits.tcp_idle
        for connection in list(self.connections):
            connection.check(now, idle, limits.tcp_query)
        self._timer = self.loop.call_later(_TICK, self._tick)


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
        self._left = 0
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
        transport.set_write_buffer_limits(high=listener.limits.tcp_write_bytes, low=listener.limits.tcp_write_bytes // 4)
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
        if is_quiet or now >= self._leave_by:
            self.finish()
        else:
            self._listener.loop.call_later(QUIET_SECONDS, self._look_whether_quiet)

    def finish(self) -> None:
        """End once everything asked so far is answered, and what comes until then."""
        self._is_ending = True
        if not self._in_flight and not self._is_scheduled:
            self._part()

    def _part(self) -> None:
        """End our side once everything written has left, and let the client end its own. Closing over octets that were not read would have
        the system throw away answers that are still on their way."""
        transport = self._transport
        if self._is_over or isinstance(transport, SecureTransport):  # which does the same by itself
            transport.close()
        elif self._farewell is None and not transport.is_closing():
            self._farewell = self._listener.loop.call_later(LINGER_SECONDS, transport.abort)
            transport.write_eof()
            if self._is_paused:
                self._is_paused = False
                transport.resume_reading()

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
        """We have ended, and answers wait: a client that takes nothing of them for so long keeps its place no longer."""
        left = self._transport.get_write_buffer_size()
        if left != self._left:
            self._left, self._since = left, now
        elif now - self._since > query:
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
        turn = TURN
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
