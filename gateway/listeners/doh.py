"""DNS over HTTPS (RFC 8484): HTTP/2 by `h2`, HTTP/1.1 by `h11`, on the accepting, limits and clocks of `stream`.

The budgets are the gateway's own: streams at once, header octets, body octets, frames that carry nothing, resets in a minute (rapid reset,
CVE-2023-44487), octets a client leaves unread. A client beyond one of them gets GOAWAY and its connection ends; nobody else notices.
The token of a client is in the path, or else in the server name of the handshake. The worker opens it; nothing else imports it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import h11

from gateway.listeners import PENDING
from gateway.listeners.http import MEDIA_TYPE, MOST_BODY, Ask, Refusal, Target, least_ttl, read_get, read_post, read_target
from gateway.listeners.stream import Connection, StreamListener
from gateway.query import Origin

if TYPE_CHECKING:
    import socket
    import ssl

    from gateway.clients import Scope
    from gateway.listeners import Front
    from gateway.listeners.stream import TokenOf
    from gateway.metrics import Counters
    from gateway.settings import Limits

MOST_STREAMS: Final = 100
MOST_HEADERS: Final = 16_384
MOST_RESETS: Final = 200
"""Streams a client may reset in a minute."""
MOST_IDLE_FRAMES: Final = 2_000
"""Frames that carry nothing (PING, SETTINGS, empty DATA, priority) in a minute."""
MOST_WAITING: Final = 256 * 1024
"""Octets of answers that wait for the client's window."""
_MINUTE: Final = 60.0


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


class Speaker(Protocol):
    """One version of HTTP on one connection."""

    def receive(self, data: bytes) -> bool:
        """Take octets in; False when the connection must end."""

    def respond(self, stream: int, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Send one response."""

    def end(self) -> None:
        """Say that nothing more is taken."""


class _Gone:
    """What a connection that is no more speaks: nothing."""

    def receive(self, data: bytes) -> bool:
        """The connection must end."""
        return False

    def respond(self, stream: int, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Nobody is there."""

    def end(self) -> None:
        """It has ended."""


GONE: Final = _Gone()


class DohConnection(Connection):
    """One client connection; which HTTP it speaks is agreed in the handshake (ALPN), HTTP/1.1 without one."""

    _speaker: Speaker = GONE

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's callback."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        is_h2 = tls is not None and tls.selected_alpn_protocol() == "h2"
        self._speaker = Http2(self) if is_h2 else Http1(self)

    def data_received(self, data: bytes) -> None:
        """asyncio's callback."""
        self._since = self._listener.loop.time()
        self._is_new = False
        if not self._speaker.receive(data) and not self._transport.is_closing():
            self._speaker.end()
            self._transport.close()

    def let_go(self) -> None:
        """Hold nothing in a circle any more."""
        super().let_go()
        speaker, self._speaker = self._speaker, GONE
        if isinstance(speaker, Http2):
            speaker.let_go()

    def finish(self) -> None:
        """End once everything asked so far is answered."""
        if not self._is_ending:
            self._is_ending = True
            self._speaker.end()
        if not self._in_flight:
            self._transport.close()

    def check(self, now: float, idle: float, query: float) -> None:
        """Close the connection if it is idle, slow or does not read. Monotonic seconds."""
        if self._is_new and now - self._since > query:
            self._listener.refuse("idle")
            self._transport.abort()
        else:
            super().check(now, idle, query)

    def now(self) -> float:
        """Monotonic seconds."""
        return self._listener.loop.time()

    def later(self, work: Callable[[], None]) -> None:
        """Do something in the next turn of the loop, unless the connection is gone."""
        self._listener.loop.call_soon(lambda: None if self._is_lost else work())

    def close(self) -> None:
        """End the connection once what was written is sent."""
        if not self._is_lost:
            self._transport.close()

    def send(self, data: bytes) -> None:
        """Write octets of the protocol."""
        if data and not self._is_lost and not self._transport.is_closing():
            self._transport.write(data)

    def read_target(self, path: str) -> Target | None:
        """The target of a request, None when the path is not ours."""
        listener = self._listener
        assert isinstance(listener, DohListener)
        return read_target(path, listener.path)

    def ask(self, stream: int, ask: Ask | Refusal) -> None:
        """Answer a request, now or when its upstream has."""
        if isinstance(ask, Refusal):
            headers = [(b"allow", ask.allow.encode())] if ask.allow else []
            self._speaker.respond(stream, ask.status, headers, b"")
            return
        mine = self._origin
        token = ask.token or mine.token
        origin = mine
        if token != mine.token or stream:
            source = mine.source if token == mine.token else mine.peer + (mine.local or b"") + b"\0" + (token or "").encode()
            origin = Origin(mine.transport, mine.peer, mine.port, mine.scope, source, mine.local, token, self._send_late, stream)
        second = self._listener.front.begin()
        reply = self.look_up(ask.message, origin, second)
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
        if self._is_ending and not self._in_flight:
            self._transport.close()

    def _give(self, stream: int, reply: bytes | None) -> None:
        if reply is None:
            # Over the limit, or nothing that could be answered: DNS says nothing, HTTP must.
            self._speaker.respond(stream, 429, [(b"retry-after", b"1")], b"")
            return
        headers = [(b"content-type", MEDIA_TYPE), (b"cache-control", b"max-age=%d" % least_ttl(reply))]
        self._speaker.respond(stream, 200, headers, reply)


class _Request:
    """A request while it arrives."""

    __slots__ = ("body", "media_type", "method", "target")

    def __init__(self, method: bytes, target: Target | None, media_type: bytes) -> None:
        self.method = method
        self.target = target
        self.media_type = media_type
        self.body = bytearray()

    def read(self) -> Ask | Refusal:
        """What the whole request asks."""
        if self.target is None:
            return Refusal(404)
        if self.method == b"GET":
            return read_get(self.target)
        if self.method == b"POST":
            return read_post(self.target, self.media_type, bytes(self.body))
        return Refusal(405, "GET, POST")


class Http2:
    """HTTP/2 on one connection (RFC 9113)."""

    def __init__(self, connection: DohConnection) -> None:
        self._owner = connection
        config = h2.config.H2Configuration(client_side=False, header_encoding=None)
        self._h2 = h2.connection.H2Connection(config)
        self._h2.local_settings = h2.settings.Settings(
            client=False,
            initial_values={
                h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: MOST_STREAMS,
                h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: MOST_HEADERS,
            },
        )
        self._requests: dict[int, _Request] = {}
        self._waiting: dict[int, bytes] = {}
        self._waiting_octets = 0
        self._resets = 0
        self._idle_frames = 0
        self._minute = connection.now()
        self._h2.initiate_connection()
        connection.send(self._h2.data_to_send())

    def receive(self, data: bytes) -> bool:
        """Take octets in; False when the connection must end."""
        try:
            events = self._h2.receive_data(data)
            for event in events:
                self._take(event)
        except (h2.exceptions.ProtocolError, ValueError):
            self._owner.send(self._h2.data_to_send())
            return False
        if not events:
            self._idle_frames += 1
        self._owner.send(self._h2.data_to_send())
        return self._is_welcome()

    def _is_welcome(self) -> bool:
        now = self._owner.now()
        if now - self._minute > _MINUTE:
            self._minute, self._resets, self._idle_frames = now, 0, 0
        if self._resets <= MOST_RESETS and self._idle_frames <= MOST_IDLE_FRAMES and self._waiting_octets <= MOST_WAITING:
            return True
        self._h2.close_connection(h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
        self._owner.send(self._h2.data_to_send())
        return False

    def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            self._begin(event)
        elif isinstance(event, h2.events.DataReceived):
            self._add(event)
        elif isinstance(event, h2.events.StreamEnded):
            request = self._requests.pop(event.stream_id or 0, None)
            if request is not None:
                self._owner.ask(event.stream_id or 0, request.read())
        elif isinstance(event, h2.events.StreamReset):
            self._resets += 1
            self._requests.pop(event.stream_id or 0, None)
            self._drop(event.stream_id or 0)
        elif isinstance(event, h2.events.WindowUpdated):
            self._idle_frames += 1
            self._flush()
        else:
            self._idle_frames += 1

    def _begin(self, event: h2.events.RequestReceived) -> None:
        headers = dict(event.headers or ())
        method = bytes(headers.get(b":method", b""))
        path = bytes(headers.get(b":path", b"")).decode("ascii", "replace")
        request = _Request(method, self._owner.read_target(path), bytes(headers.get(b"content-type", b"")))
        self._requests[event.stream_id or 0] = request

    def _add(self, event: h2.events.DataReceived) -> None:
        stream = event.stream_id or 0
        self._h2.acknowledge_received_data(event.flow_controlled_length or 0, stream)
        request = self._requests.get(stream)
        if not event.data:
            self._idle_frames += 1
        if request is None:
            return
        request.body += event.data or b""
        if len(request.body) > MOST_BODY:
            del self._requests[stream]
            self.respond(stream, 413, [], b"")

    def respond(self, stream: int, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Send one response; what the client's window does not take yet waits."""
        try:
            fields = [(b":status", str(status).encode()), *headers, (b"content-length", str(len(body)).encode())]
            self._h2.send_headers(stream, fields, end_stream=not body)
        except h2.exceptions.ProtocolError:
            return  # the client gave this stream up
        if body:
            self._waiting[stream] = body
            self._waiting_octets += len(body)
            self._flush()
        self._owner.send(self._h2.data_to_send())

    def _flush(self) -> None:
        for stream in list(self._waiting):
            body = self._waiting[stream]
            try:
                room = min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)
                if room <= 0:
                    continue
                part, rest = body[:room], body[room:]
                self._h2.send_data(stream, part, end_stream=not rest)
            except h2.exceptions.ProtocolError:
                self._drop(stream)
                continue
            self._waiting_octets -= len(part)
            if rest:
                self._waiting[stream] = rest
            else:
                del self._waiting[stream]

    def _drop(self, stream: int) -> None:
        self._waiting_octets -= len(self._waiting.pop(stream, b""))

    def end(self) -> None:
        """Say that nothing more is taken."""
        try:
            self._h2.close_connection()
        except h2.exceptions.ProtocolError:
            return
        self._owner.send(self._h2.data_to_send())


    def let_go(self) -> None:
        """Empty the library's connection, which holds itself by a table of its methods."""
        vars(self._h2).clear()


class Http1:
    """HTTP/1.1 on one connection (RFC 9112): one request after the other."""

    def __init__(self, connection: DohConnection) -> None:
        self._owner = connection
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=MOST_HEADERS)
        self._request: _Request | None = None
        self._is_answering = False
        self._is_ending = False

    def receive(self, data: bytes) -> bool:
        """Take octets in; False when the connection must end."""
        try:
            self._h11.receive_data(data)
            return self._read()
        except h11.RemoteProtocolError as error:
            error.__traceback__ = None  # the library raises it out of its own frame: a circle that holds all of this connection
            if self._h11.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                self._write(error.error_status_hint, [], b"")
            return False

    def _read(self) -> bool:
        while not self._is_answering:
            event = self._h11.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED:
                return True
            if isinstance(event, h11.Request):
                fields = dict(event.headers)
                target = self._owner.read_target(bytes(event.target).decode("ascii", "replace"))
                self._request = _Request(bytes(event.method), target, bytes(fields.get(b"content-type", b"")))
            elif isinstance(event, h11.Data) and self._request is not None:
                self._request.body += event.data
                if len(self._request.body) > MOST_BODY:
                    self._is_ending = True
                    self._write(413, [], b"")
                    return False
            elif isinstance(event, h11.EndOfMessage) and self._request is not None:
                request, self._request = self._request, None
                self._is_answering = True
                self._owner.ask(0, request.read())
            elif isinstance(event, h11.ConnectionClosed):
                return False
        return True

    def respond(self, stream: int, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Send one response and go on with the next request."""
        self._write(status, headers, body)
        self._is_answering = False
        if self._h11.our_state is h11.MUST_CLOSE or self._is_ending:
            self._owner.close()
        elif self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()
            self._owner.later(self._go_on)

    def _go_on(self) -> None:
        try:
            is_welcome = self._read()
        except h11.RemoteProtocolError as error:
            error.__traceback__ = None
            is_welcome = False
        if not is_welcome:
            self._owner.close()

    def _write(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        fields = [*headers, (b"content-length", str(len(body)).encode())]
        parts = (h11.Response(status_code=status, headers=fields), h11.Data(data=body), h11.EndOfMessage())
        self._owner.send(b"".join(self._h11.send(part) or b"" for part in parts))

    def end(self) -> None:
        """Take no further request."""
        self._is_ending = True
