"""TCP, and TLS by the same class: many queries on a connection, answered as they come, each reply with its length in one piece.

Every budget is the gateway's own: connections in all and per client, queries under way per connection, time for a handshake, time and reads
for a query to arrive, time a connection may be idle (shrinking as places run out), octets a client may leave unread and for how long. One
timer serves all connections.

The worker opens it; nothing else imports it. RFC 1035 §4.2.2, 7766, 7858, 8310, 9210.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from gateway.listeners import Front
from gateway.listeners.connection import Connection
from gateway.listeners.secure import SecureTransport
from gateway.metrics import CONNECTIONS, CONNECTIONS_REFUSED, MALFORMED, Counters
from gateway.places import Places
from gateway.settings import Limits

if TYPE_CHECKING:
    from gateway.clients import Scope

CROWDED_IDLE_SECONDS: Final = 0.5
"""How long a connection may be idle while more than four fifths of the places are taken."""
_TICK: Final = 0.25
_ACCEPTS: Final = 64

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
        self.places = Places(limits.tcp_connections, limits.tcp_per_client)
        self._opening: set[asyncio.Task[None]] = set()
        self._shaking: set[SecureTransport] = set()
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
        return not self.places.taken

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
            budget = self._lacks_place(peer, client) if address[1] else "all"
            if budget is not None:
                self.refuse(budget)
                accepted.close()
                continue
            accepted.setblocking(False)
            self.places.enter(client)
            self._counters.set(CONNECTIONS, self._gauge, self.places.taken)
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

    def _lacks_place(self, peer: bytes, client: bytes) -> str | None:
        """The budget that one more connection of this address would exceed."""
        return self.places.lacks(client)

    async def _meet(self, connection: Connection, accepted: socket.socket) -> None:
        """What comes before TLS: nothing here. Raises OSError when the connection has to go."""

    def forget(self, connection: Connection) -> None:
        """A connection is gone, or never came to be: free its place, once."""
        client = connection.client
        if client is None:
            return
        connection.client = None
        connection.let_go()
        self.places.leave(client)
        self._counters.set(CONNECTIONS, self._gauge, self.places.taken)

    def _tick(self) -> None:
        """Look at every connection's clock."""
        now = self.loop.time()
        limits = self.limits
        idle = min(limits.tcp_idle, CROWDED_IDLE_SECONDS) if self.places.is_crowded else limits.tcp_idle
        for connection in list(self.connections):
            connection.check(now, idle, limits.tcp_query)
        self._timer = self.loop.call_later(_TICK, self._tick)
