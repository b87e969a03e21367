"""Who may keep a connection to the pages open without asking anything. `admin.process` gives this class to the web server; nobody else
imports it.

The server by itself counts every open connection against its limit and gives the first request of a connection no time: a device that
opens two hundred and says nothing would close the pages for everybody, and with them the page that names 111. So a connection that has no
request under way is only lent: it ends when the head of a request is late, and the one that has waited longest makes room for a new one,
first among those of the same address, then among all. What is under way is never ended here. A TLS handshake, which comes before all of
this, has the same time, and as many places.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
"""From the beginning of a connection, or the first octet of a further request, until its head is whole."""
MOST_WAITING_EACH = 64
"""Connections without a request under way that one address may hold: a school behind one address opens pages for many."""
MOST = 200
"""All connections of a listener; beyond it the server answers 503."""
_ROOM = 10
_PAUSE = 0.1
"""Seconds until the next look at a listener that gave no connection: no file is left to open, or the caller was gone."""


class TlsDoor:
    """Accepts the connections of one listening socket that speaks TLS. Handshakes have places of their own: the oldest makes room, first
    among those of the same address, and none lasts longer than `seconds`. It stands where uvicorn has an `asyncio.Server`."""

    def __init__(
        self, listener: socket.socket, connection: Callable[[], asyncio.Protocol], context: ssl.SSLContext, seconds: float
    ) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._connection = connection
        self._context = context
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._handshakes: dict[asyncio.Task[None], Any] = {}
        self._accepting = self._loop.create_task(self._accept())

    def close(self) -> None:
        """Accept no more, and give up handshakes under way."""
        self._accepting.cancel()
        for one in self._handshakes:
            one.cancel()

    async def wait_closed(self) -> None:
        """Until nothing of it is left."""
        await asyncio.wait([self._accepting, *self._handshakes])

    async def _accept(self) -> None:
        while True:
            try:
                sock, address = await self._loop.sock_accept(self._listener)
            except OSError:
                await asyncio.sleep(_PAUSE)
                continue
            here = home_of(address)
            own = [one for one, home in self._handshakes.items() if home == here]
            if len(own) >= MOST_WAITING_EACH:
                self._give_up(own[0])
            elif len(self._handshakes) >= MOST:
                self._give_up(next(iter(self._handshakes)))
            task = self._loop.create_task(self._shake(sock))
            self._handshakes[task] = here
            task.add_done_callback(lambda ended: self._handshakes.pop(ended, None))
            await asyncio.sleep(0)  # where many wait, the others' turn comes between any two of them

    def _give_up(self, handshake: asyncio.Task[None]) -> None:
        del self._handshakes[handshake]
        handshake.cancel()

    async def _shake(self, sock: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(
                self._connection, sock, ssl=self._context, ssl_handshake_timeout=self._seconds
            )  # fmt: skip
        except OSError:  # it spoke no TLS, fell silent or went; the connection is closed
            return


class LendingServer(uvicorn.Server):
    """The web server on sockets that are open already; a TLS handshake that is not done in `handshake_seconds` ends (asyncio's own: 60)."""

    handshake_seconds = HEAD_SECONDS

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections of these sockets. `OSError` where one cannot be listened on."""
        config = self.config
        loop = asyncio.get_running_loop()

        def connection() -> asyncio.Protocol:
            return config.http_protocol_class(config=config, server_state=self.server_state, app_state={})  # type: ignore[call-arg]

        self.servers = []
        for one in sockets or ():
            if config.ssl is not None:
                self.servers.append(TlsDoor(one, connection, config.ssl, self.handshake_seconds))  # type: ignore[arg-type]  # closes alike
            else:
                self.servers.append(await loop.create_server(connection, sock=one, backlog=config.backlog))
        self.started = True


class LentConnection(H11Protocol):
    """One connection of a browser."""

    head_seconds = HEAD_SECONDS
    _waiting_since = 0.0
    _head_timer: asyncio.TimerHandle | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether no request is under way."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the class above
        """A new connection: it has its time for a first request, and takes the place of one that has waited longer."""
        super().connection_made(transport)
        self._waiting_since = self.loop.time()
        self._expect_head()
        self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end, whoever wanted it."""
        self._forget_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Octets of a request; the first ones of a further request begin its time anew."""
        if self.is_waiting and self._head_timer is None:
            self._expect_head()
        super().data_received(data)
        if not self.is_waiting:
            self._forget_timer()

    def on_response_complete(self) -> None:
        """The answer is out; the connection waits again."""
        self._waiting_since = self.loop.time()
        super().on_response_complete()

    def _expect_head(self) -> None:
        self._head_timer = self.loop.call_later(self.head_seconds, self._end)

    def _forget_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _end(self) -> None:
        self._forget_timer()
        if self.is_waiting:
            self.connections.discard(self)
            self.transport.abort()

    def _make_room(self) -> None:
        waiting = [one for one in self.connections if isinstance(one, LentConnection) and one.is_waiting and one is not self]
        # An answer that is still on its way comes last: its reader is slow, and the rest of it would be lost.
        waiting.sort(key=lambda one: (one.transport.get_write_buffer_size() > 0, one._waiting_since))
        here = home_of(self.client)
        own = [one for one in waiting if home_of(one.client) == here]
        if len(own) >= MOST_WAITING_EACH:
            own[0]._end()
        elif len(self.connections) > MOST - _ROOM and waiting:
            waiting[0]._end()


def home_of(client: tuple[str, int] | None) -> Any:
    """An IPv4 address, or the network of a home where IPv6 is spoken; None for a socket without addresses."""
    if client is None:
        return None
    try:
        address = ip_address(client[0].partition("%")[0])
    except ValueError:
        return client[0]
    return address.packed[:8] if address.version == 6 else address.packed
