"""QUIC connections and what each may do: RFC 9250 on aioquic, with budgets of our own.

One query on each stream that the client opens, ended by FIN, with message id 0; anything else ends the connection with the error the RFC
names. Addresses are validated by Retry once connections come fast. Early data is not offered, so nothing can be replayed. No session is
resumed: who a client is comes from the server name of the handshake it just made.

Only `quic.process` imports this module. RFC 9000, 9001, 9250.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from aioquic._buffer import Buffer
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import QuicServer
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.packet import pull_quic_header
from aioquic.quic.retry import QuicRetryTokenHandler
from aioquic.tls import pull_client_hello

from gateway.places import Places
from gateway.query import Query
from gateway.tls import token_in
from gateway.wire.message import parse_query

log = logging.getLogger(__name__)

ALPN: Final = "doq"
NO_ERROR, INTERNAL_ERROR, PROTOCOL_ERROR, REQUEST_CANCELLED, EXCESSIVE_LOAD = 0, 1, 2, 3, 4
"""RFC 9250 §4.3."""
MOST_QUERY: Final = 4096
"""Octets of a query; no real one is longer."""
STREAMS: Final = 100
"""Streams a client may have open at once."""
MOST_CANCELLED: Final = 500
"""Streams of one connection that were given up before their answer."""
MOST_IDLE_PACKETS: Final = 2_000
"""Packets since the last whole query: floods of PING, of new paths, of connection ids and of whatever else asks nothing."""
CALM_PER_SECOND: Final = 50
"""New connections in a second that are taken without proof of their address."""
FAULT_SECONDS: Final = 60.0
_TICK: Final = 1.0


class Relay(Protocol):
    """Where queries go."""

    def ask(self, peer: bytes, port: int, token: str, message: bytes, give: Callable[[bytes], None]) -> int:
        """Hand a query to a worker; `give` gets its reply, empty for none. The number of the question."""

    def forget(self, question: int) -> None:
        """Nobody waits for this reply any more."""


@dataclass(slots=True)
class Budgets:
    """What all connections share. `query` is how long a handshake or a query may take to arrive. `refused` counts by budget."""

    places: Places
    idle: float
    query: float
    refused: dict[str, int] = field(default_factory=lambda: {"all": 0, "client": 0, "slow": 0})


def configuration(idle: float) -> QuicConfiguration:
    """The settings of every connection; certificates are loaded into it, again when they change."""
    return QuicConfiguration(is_client=False, alpn_protocols=[ALPN], idle_timeout=idle, max_data=256 * 1024, max_stream_data=16 * 1024)


class ServerName:
    """Keeps the server name of a connection's handshake, which aioquic reads and lets go, and sets how many streams it may open."""

    def __init__(self, quic: QuicConnection) -> None:
        self.text: str | None = None
        self._begin = quic._initialize
        self._quic = quic
        quic._initialize = self._initialize  # type: ignore[method-assign]
        quic._local_max_streams_bidi.value = quic._local_max_streams_bidi.sent = STREAMS
        quic._local_max_streams_uni.value = quic._local_max_streams_uni.sent = 0

    def _initialize(self, peer_cid: bytes) -> None:
        self._begin(peer_cid)
        self._handle = self._quic.tls._server_handle_hello
        self._quic.tls._server_handle_hello = self._read  # type: ignore[method-assign]

    def _read(self, input_buf: Buffer, initial_buf: Buffer, handshake_buf: Buffer) -> None:
        start = input_buf.tell()
        self.text = pull_client_hello(input_buf).server_name
        input_buf.seek(start)
        self._handle(input_buf, initial_buf, handshake_buf)


class DoqServer(QuicServer):
    """One listening socket. `name` is the server's own, in front of which a token may stand."""

    def __init__(self, settings: QuicConfiguration, budgets: Budgets, relay: Relay, name: str | None) -> None:
        super().__init__(configuration=settings, create_protocol=self._meet)
        self.budgets = budgets
        self.relay = relay
        self.name = name
        self.connections: set[DoqConnection] = set()
        self._proof = QuicRetryTokenHandler()
        self._second = 0
        self._new = 0
        self._faulted_at = float("-inf")
        self._peer: Any = None
        self._timer = self._loop.call_later(_TICK, self._tick)

    def datagram_received(self, data: bytes | str, addr: Any) -> None:  # Any: an address as the system gives it
        """asyncio's callback."""
        if isinstance(data, str) or not addr[1]:
            return
        self._peer = addr
        try:
            if data and data[0] & 0x80 and self._is_new(data) and not self._may_begin(data, packed(addr)):
                return
            super().datagram_received(data, addr)
        except Exception:  # whatever a packet did to the library, the others go on
            now = self._loop.time()
            if now - self._faulted_at > FAULT_SECONDS:
                self._faulted_at = now
                log.exception("QUIC packet", extra={"event": "quic.fault"})

    def stop(self) -> None:
        """Close every connection in order."""
        self._timer.cancel()
        self.close()

    def _is_new(self, data: bytes) -> bool:
        """Whether a long-header packet belongs to no connection."""
        return len(data) < 6 or data[6 : 6 + data[5]] not in self._protocols

    def _may_begin(self, data: bytes, client: bytes) -> bool:
        """Whether this begins a connection and there is a place for it. Asks for proof of the address when connections come fast or places
        run out."""
        try:
            header = pull_quic_header(Buffer(data=data), host_cid_length=self._configuration.connection_id_length)
        except ValueError:  # junk that looks like a long header
            return False
        budget = self.budgets.places.lacks(client[:8])
        if budget is not None:
            self.budgets.refused[budget] += 1
            return False
        second = int(self._loop.time())
        if second != self._second:
            self._second, self._new = second, 0
        self._new += 1
        is_calm = self._new <= CALM_PER_SECOND and self.budgets.places.taken * 2 < self.budgets.places.most
        self._retry = self._proof if header.token or not is_calm else None  # type: ignore[assignment]
        return True

    def _meet(self, quic: QuicConnection, stream_handler: object = None) -> DoqConnection:
        return DoqConnection(quic, self, self._peer)

    def _tick(self) -> None:
        now = self._loop.time()
        for connection in list(self.connections):
            connection.check(now)
        self._timer = self._loop.call_later(_TICK, self._tick)


class _Stream:
    """A query while it arrives, and the number of its question afterwards."""

    __slots__ = ("data", "question", "since")

    def __init__(self, since: float) -> None:
        self.data = b""
        self.question = 0
        self.since = since


class DoqConnection(QuicConnectionProtocol):
    """One client connection."""

    def __init__(self, quic: QuicConnection, server: DoqServer, address: Any) -> None:
        super().__init__(quic)
        self._server = server
        self._name = ServerName(quic)
        self._peer = packed(address)
        self._port = int(address[1])
        self._client = self._peer[:8] if len(self._peer) == 16 else self._peer
        self._streams: dict[int, _Stream] = {}
        self._cancelled = 0
        self._packets = 0
        self._since = self._loop.time()
        self._is_open = True
        self._is_met = False
        server.budgets.places.enter(self._client)
        server.connections.add(self)

    def datagram_received(self, data: bytes | str, addr: Any) -> None:
        """asyncio's callback."""
        self._packets += 1
        if self._packets > MOST_IDLE_PACKETS and self._is_open:
            self._refuse()
            return
        super().datagram_received(data, addr)

    def quic_event_received(self, event: events.QuicEvent) -> None:
        """aioquic's callback."""
        if isinstance(event, events.StreamDataReceived):
            self._take(event)
        elif isinstance(event, events.StreamReset | events.StopSendingReceived):
            self._give_up(event.stream_id)
        elif isinstance(event, events.HandshakeCompleted):
            self._is_met = True
        elif isinstance(event, events.ConnectionTerminated):
            self._leave()

    def check(self, now: float) -> None:
        """Close streams that do not come to their end, and handshakes that do not."""
        budgets = self._server.budgets
        is_slow = any(not stream.question and now - stream.since > budgets.query for stream in self._streams.values())
        if is_slow or (not self._is_met and now - self._since > budgets.query):
            self._refuse()
        elif not self._streams and now - self._since > budgets.idle:
            self._end(NO_ERROR)  # packets that ask nothing keep no place

    def _refuse(self) -> None:
        self._server.budgets.refused["slow"] += 1
        self._end(EXCESSIVE_LOAD)

    def _take(self, event: events.StreamDataReceived) -> None:
        ident = event.stream_id
        if ident % 4:
            self._end(PROTOCOL_ERROR)
            return
        stream = self._streams.get(ident)
        if stream is None:
            stream = self._streams[ident] = _Stream(self._loop.time())
        if stream.question:
            self._end(PROTOCOL_ERROR)  # a second message on one stream (§4.2)
            return
        stream.data += event.data
        size = int.from_bytes(stream.data[:2], "big") if len(stream.data) >= 2 else MOST_QUERY
        if size > MOST_QUERY or len(stream.data) > 2 + size:
            self._end(PROTOCOL_ERROR)
        elif event.end_stream:
            if len(stream.data) != 2 + size:
                self._end(PROTOCOL_ERROR)
            else:
                self._ask(ident, stream)

    def _ask(self, ident: int, stream: _Stream) -> None:
        message, stream.data = stream.data[2:], b""
        if message[:2] != b"\0\0" or self._asks_keepalive(message):
            self._end(PROTOCOL_ERROR)  # §4.2.1, §5.5.2
            return
        self._since, self._packets = self._loop.time(), 0
        name, base = self._name.text, self._server.name
        token = token_in(name, base) if name and base else None
        stream.question = self._server.relay.ask(self._peer, self._port, token or "", message, lambda reply: self._answer(ident, reply))

    def _asks_keepalive(self, message: bytes) -> bool:
        query = parse_query(message, stream=True)
        return isinstance(query, Query) and query.edns is not None and query.edns.keepalive

    def _answer(self, ident: int, reply: bytes) -> None:
        if self._streams.pop(ident, None) is None or not self._is_open:
            return
        self._since = self._loop.time()
        try:
            if reply:
                self._quic.send_stream_data(ident, len(reply).to_bytes(2, "big") + reply, end_stream=True)
            else:
                self._quic.reset_stream(ident, EXCESSIVE_LOAD)
        except (RuntimeError, AssertionError, ValueError):
            return  # the client gave this stream up, and we have not been told yet
        self.transmit()

    def _give_up(self, ident: int) -> None:
        """The client wants no answer (§4.3.1)."""
        stream = self._streams.pop(ident, None)
        if stream is not None and stream.question:
            self._server.relay.forget(stream.question)
        self._cancelled += 1
        if self._cancelled > MOST_CANCELLED:
            self._refuse()

    def _end(self, code: int) -> None:
        if self._is_open:
            self.close(error_code=code)
            self._leave()

    def _leave(self) -> None:
        """The connection is gone: free its place, once."""
        if not self._is_open:
            return
        self._is_open = False
        self._server.budgets.places.leave(self._client)
        self._server.connections.discard(self)
        for stream in self._streams.values():
            if stream.question:
                self._server.relay.forget(stream.question)
        self._streams.clear()


def packed(address: Any) -> bytes:
    """The packed address of a socket address; IPv4 in its four-octet form."""
    text = str(address[0]).partition("%")[0]
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
