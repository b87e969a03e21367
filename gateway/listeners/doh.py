"""DNS over HTTPS (RFC 8484): HTTP/2 (`http2`) or HTTP/1.1 (`http1`), on the accepting, limits and clocks of `stream`.

The clock of a connection moves with whole queries and their answers, never with octets: whoever sends a request bit by bit, or frames that
ask nothing, runs out of time. The token of a client is in the path, or else in the server name of the handshake. The worker opens it;
nothing else imports it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from gateway.listeners import PENDING
from gateway.listeners.connection import Connection
from gateway.listeners.http import Ask, Refusal, Target, least_ttl, read_target
from gateway.listeners.http1 import Http1
from gateway.listeners.http2 import Blocks, Http2
from gateway.listeners.stream import StreamListener
from gateway.query import Origin

if TYPE_CHECKING:
    import socket
    import ssl

    from gateway.clients import Scope
    from gateway.listeners import Front
    from gateway.listeners.stream import TokenOf
    from gateway.metrics import Counters
    from gateway.settings import Limits

SLICE: Final = 8192
"""Octets of one connection that are read before others are looked at."""


class DohListener(StreamListener):
    """One listening socket for DoH. `path` is where queries are taken (`/dns-query`); the token may follow it."""

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
        path: str = "/dns-query",
    ) -> None:
        super().__init__(sock, scope, front, counters, limits, loop, tls, token_of)
        self.path = path
        self.connection_class = DohConnection
        self.blocks: Blocks = {}
        """Header blocks of answers over HTTP/2, for every connection."""


class Speaker(Protocol):
    """One version of HTTP on one connection."""

    @property
    def begun(self) -> float | None:
        """Since when the oldest request that is not whole yet has been arriving; monotonic seconds."""

    @property
    def is_full(self) -> bool:
        """Whether nothing more is to be read before an answer has left."""

    @property
    def has_more(self) -> bool:
        """Whether an answer waits for the client to make room."""

    def receive(self, data: bytes) -> bool:
        """Take octets in; False when the connection must end."""

    def answer(self, stream: int, age: int, body: bytes) -> None:
        """Send a DNS answer, which may be kept for `age` seconds."""

    def respond(self, stream: int, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Send one response of another kind."""

    def end(self) -> None:
        """Say that nothing more is taken."""

    def let_go(self) -> None:
        """The connection is gone: hold nothing in a circle any more."""


class _Gone:
    """What a connection that is no more speaks: nothing."""

    begun = None
    is_full = has_more = False

    def receive(self, data: bytes) -> bool:
        """The connection must end."""
        return False

    def answer(self, stream: int, age: int, body: bytes) -> None:
        """Nobody is there."""

    def respond(self, stream: int, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Nobody is there."""

    def end(self) -> None:
        """It has ended."""

    def let_go(self) -> None:
        """It has."""


GONE: Final = _Gone()


class DohConnection(Connection):
    """One client connection; which HTTP it speaks is agreed in the handshake (ALPN), HTTP/1.1 without one."""

    _speaker: Speaker = GONE
    _second = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's callback."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        tls = transport.get_extra_info("ssl_object")
        is_h2 = tls is not None and tls.selected_alpn_protocol() == "h2"
        self._speaker = Http2(self) if is_h2 else Http1(self)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """asyncio's callback."""
        if self._farewell is not None:
            return
        if self._buffer:
            self._buffer += data
        elif len(data) > SLICE:
            self._buffer += data[SLICE:]
            self._pause()
            if self._feed(data[:SLICE]):
                self.go_on()
        else:
            self._feed(data)

    def let_go(self) -> None:
        """Hold nothing in a circle any more."""
        super().let_go()
        speaker, self._speaker = self._speaker, GONE
        speaker.let_go()

    def go_on(self) -> None:
        """Read on, from what had to wait or from the client, in a turn of the loop of its own."""
        if not self._is_scheduled and not self._is_lost:
            self._is_scheduled = True
            self._listener.loop.call_soon(self._work)

    def _feed(self, data: bytes) -> bool:
        """Give octets to the protocol; False when that was the end of the connection."""
        self._second = self._listener.front.begin()
        if not self._speaker.receive(data):
            if not self._transport.is_closing():
                self._speaker.end()
                self._transport.close()
            return False
        if self._speaker.is_full:
            self._pause()
        self._end_if_done()
        return True

    def _work(self) -> None:
        """Take one more turn."""
        self._is_scheduled = False
        if self._is_lost or self._transport.is_closing() or self._stalled_at or self._speaker.is_full:
            return
        if self._buffer:
            part = bytes(self._buffer[:SLICE])
            del self._buffer[:SLICE]
            if self._feed(part) and not self._speaker.is_full:
                self.go_on()
        elif self._is_ending:
            self._end_if_done()
        elif self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()

    def finish(self) -> None:
        """End once everything asked so far is answered, and what comes until then. The client hears of it with the last answer: many cannot
        read answers after a GOAWAY."""
        self._is_ending = True
        self._end_if_done()

    def _end_if_done(self) -> None:
        if self._is_ending and not (self._in_flight or self._buffer or self._speaker.has_more or self._transport.is_closing()):
            self._speaker.end()
            self._part()

    def check(self, now: float, idle: float, query: float) -> None:
        """Close the connection if it is idle, slow or does not read. Monotonic seconds."""
        begun = self._speaker.begun
        if begun is not None and now - begun > query and not self._is_paused:
            self.refuse("slow")
            self._transport.abort()
        elif self._is_new and now - self._since > query:
            self.refuse("idle")
            self._transport.abort()
        else:
            super().check(now, idle, query)

    def refuse(self, budget: str) -> None:
        """Count that the connection had to go."""
        self._listener.refuse(budget)

    @property
    def blocks(self) -> Blocks:
        """Header blocks that were written already."""
        assert isinstance(self._listener, DohListener)
        return self._listener.blocks

    def now(self) -> float:
        """Monotonic seconds."""
        return self._listener.loop.time()

    def later(self, work: Callable[[], None]) -> None:
        """Do something in the next turn of the loop, unless the connection is gone."""
        self._listener.loop.call_soon(self._do, work)

    def _do(self, work: Callable[[], None]) -> None:
        if not self._is_lost:
            self._second = self._listener.front.begin()
            work()

    def close(self) -> None:
        """End the connection once what was written is sent."""
        if not self._is_lost:
            self._transport.close()

    def send(self, data: bytes) -> None:
        """Write octets of the protocol."""
        if data and not self._is_lost and not self._transport.is_closing():
            self._transport.write(data)

    def read_target(self, path: bytes) -> Target | None:
        """The target of a request, None when the path is not ours."""
        listener = self._listener
        assert isinstance(listener, DohListener)
        return read_target(path.decode("ascii", "replace"), listener.path)

    def ask(self, stream: int, ask: Ask | Refusal) -> None:
        """Answer a request, now or when its upstream has."""
        self._since = self._listener.loop.time()
        if isinstance(ask, Refusal):
            headers = [(b"allow", ask.allow.encode())] if ask.allow else []
            self._speaker.respond(stream, ask.status, headers, b"")
            return
        self._is_new = False
        mine = self._origin
        token = ask.token or mine.token
        source = mine.source if token == mine.token else mine.peer + (mine.local or b"") + b"\0" + (token or "").encode()
        found = self.find(ask.message, source, self._second)
        if isinstance(found, bytes):
            self._give(stream, found)
            return
        origin = Origin(mine.transport, mine.peer, mine.port, mine.scope, source, mine.local, token, self._send_late, stream, found)
        reply = self._listener.front.answer_now(ask.message, origin)
        if reply is PENDING:
            self._in_flight += 1
        else:
            self._give(stream, reply)

    def _send_late(self, origin: Origin, reply: bytes | None) -> None:
        """Take a reply that was not ready when its query was read."""
        self._in_flight -= 1
        if self._is_lost:
            return
        self._since = self._listener.loop.time()
        self._give(origin.handle or 0, reply)
        self._end_if_done()

    def _give(self, stream: int, reply: bytes | None) -> None:
        if reply is None:
            # Over the limit, or nothing that could be answered: DNS says nothing, HTTP must.
            self._speaker.respond(stream, 429, [(b"retry-after", b"1")], b"")
            return
        self._speaker.answer(stream, least_ttl(reply), reply)
