"""An upstream over HTTPS (DoH, HTTP/2): POST, id 0, padded, answers in any order. Imported by `selector` only.

HTTP/2 framing is `h2`'s; what is believed and how much is read is decided here. RFC 8484, 9113, 8467.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Hashable
from contextlib import suppress
from typing import Final

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, Event, ResponseReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes

from gateway.settings import UpstreamAddress
from gateway.upstreams import Fault, Observer
from gateway.upstreams.exchange import Exchange
from gateway.upstreams.pool import Connection, Locate, PooledUpstream
from gateway.wire.constants import MAX_MESSAGE

STREAMS: Final = 100
"""Questions under way on one connection, if the server allows as many."""
MAX_REQUESTS: Final = 10_000
"""Questions in the life of one connection: header tables and stream numbers start over now and then."""
MAX_IDLE_TALK: Final = 1 << 20
"""Bytes a server may send without completing an answer before it is taken for hostile."""
_TYPE: Final = "application/dns-message"
_ID: Final = b"\0\0"
"""RFC 8484 §4.1: the id is always 0; the stream tells answers apart."""


class DohConnection(Connection):
    """One HTTP/2 connection; answers are known by their stream."""

    def __init__(self, upstream: PooledUpstream, opened: float, headers: list[tuple[str, str]]) -> None:
        super().__init__(upstream, opened)
        self._headers = headers
        self._http = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._bodies: dict[int, bytearray] = {}
        self._talk = 0

    @property
    def capacity(self) -> int:
        """Questions it should carry at once."""
        return min(self._http.remote_settings.max_concurrent_streams, STREAMS)

    def greet(self) -> None:
        """Send the preface and our settings: no pushes."""
        self._http.local_settings[SettingCodes.ENABLE_PUSH] = 0
        self._http.initiate_connection()
        self._transmit()

    def write(self, exchanges: list[Exchange], now: float) -> None:
        """Send each question as one POST, all in one write; what the server's limits do not allow yet waits."""
        if self.upstream is None:
            return
        http = self._http
        room = self.capacity - http.open_outbound_streams
        for index, exchange in enumerate(exchanges):
            body = _ID + exchange.padded()
            if room <= 0 or http.outbound_flow_control_window < len(body):
                self.waiting, self.waiting_since = exchanges[index:], now
                break
            stream = http.get_next_available_stream_id()
            try:
                http.send_headers(stream, [*self._headers, ("content-length", str(len(body)))])
                http.send_data(stream, body, end_stream=True)
            except ProtocolError as error:
                self.waiting = exchanges[index:]
                self._break_off(type(error).__name__)
                return
            room -= 1
            self._bodies[stream] = bytearray()
            self.pending[stream] = (now, exchange, exchange.question)
            self.upstream.tally.sent += 1
            if stream >= 2 * MAX_REQUESTS:
                self.is_retired = True
        self._transmit()

    def data_received(self, data: bytes) -> None:
        """Read frames; a server that breaks HTTP/2, or talks without answering, is left."""
        self._talk += len(data)
        if self._talk > MAX_IDLE_TALK:
            self._break_off("much talk and no answer")
            return
        try:
            events = self._http.receive_data(data)
        except ProtocolError as error:
            self._break_off(type(error).__name__)
            return
        for event in events:
            if self.upstream is None:
                return
            self._handle(event, self.upstream)
        self._transmit()
        if self.waiting or self.delayed:
            self.flush()

    def _handle(self, event: Event, upstream: PooledUpstream) -> None:
        match event:
            case ResponseReceived(stream_id=int(stream), headers=headers):
                found = {_text(name): _text(value) for name, value in headers or ()}
                status, kind = found.get(":status", ""), found.get("content-type", "").partition(";")[0].strip().lower()
                if status != "200" or kind != _TYPE:
                    self._decline(stream, f"HTTP {status}" if status != "200" else "not a DNS message")
            case DataReceived(stream_id=int(stream), data=bytes(chunk), flow_controlled_length=length):
                self._http.acknowledge_received_data(length or 0, stream)
                body = self._bodies.get(stream)
                if body is not None:
                    body += chunk
                    if len(body) > MAX_MESSAGE:
                        self._decline(stream, "an answer larger than a DNS message")
            case StreamEnded(stream_id=int(stream)):
                body = self._bodies.pop(stream, None)
                if body is not None:
                    self._talk = 0
                    upstream.received(self, stream, bytes(body), upstream.now())
                    upstream.failed(self, stream, "no answer in the body", False)
            case StreamReset(stream_id=int(stream)):
                self._bodies.pop(stream, None)
                upstream.failed(self, stream, "stream reset", True)
            case ConnectionTerminated(last_stream_id=last):
                self.is_retired = True
                for stream in [stream for stream in self._bodies if stream > (last or 0)]:
                    del self._bodies[stream]
                    upstream.failed(self, stream, "the server is going away", True)
            case _:
                pass

    def drop(self, key: Hashable) -> None:
        """Give the stream back that nobody waits for."""
        if isinstance(key, int):
            self._decline(key, "")
            self._transmit()

    def _decline(self, stream: int, detail: str) -> None:
        """Give one stream up: nothing in it can be used."""
        if self._bodies.pop(stream, None) is None or self.upstream is None:
            return
        with suppress(ProtocolError):  # it may have ended by itself
            self._http.reset_stream(stream, ErrorCodes.CANCEL)
        self.upstream.failed(self, stream, detail, False)

    def _break_off(self, detail: str) -> None:
        upstream = self.upstream
        if upstream is not None:
            upstream.lost(self, Fault.NETWORK, detail)
            self._transmit()
            self.abort()

    def _transmit(self) -> None:
        if self.transport is not None:
            data = self._http.data_to_send()
            if data:
                self.transport.write(data)


class DohUpstream(PooledUpstream):
    """One server over HTTPS."""

    def __init__(
        self,
        address: UpstreamAddress,
        observer: Observer,
        loop: asyncio.AbstractEventLoop,
        tls: ssl.SSLContext,
        locate: Locate | None = None,
    ) -> None:
        super().__init__(address, observer, loop, tls, locate)
        name = f"[{address.name}]" if ":" in address.name else address.name
        self._headers = [
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", name if address.port == 443 else f"{name}:{address.port}"),
            (":path", address.path or "/dns-query"),
            ("accept", _TYPE),
            ("content-type", _TYPE),
        ]

    def make_connection(self, opened: float) -> Connection:
        """A connection that is not yet connected."""
        return DohConnection(self, opened, self._headers)

    def judge(self, transport: asyncio.Transport) -> str:
        """Refuse a server that does not speak HTTP/2 (RFC 8484 §5.2)."""
        connection: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if connection is None or connection.selected_alpn_protocol() != "h2":
            return "the server does not speak HTTP/2"
        return ""


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
