"""HTTP/2 on one DoH connection (RFC 9113) by `h2`, within budgets of our own: streams at once, header octets, body octets, resets in a
minute (rapid reset, CVE-2023-44487), frames that carry nothing, octets of answers a client leaves unread. A client beyond one of them gets
GOAWAY and its connection ends; nobody else notices.

`doh` opens it. Answers that are ready together leave in one write. `h2` spends most of its time on headers: `headerblocks` spares it that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from gateway.listeners.headerblocks import BlockReader, BlockWriter
from gateway.listeners.http import MOST_BODY, Request

if TYPE_CHECKING:
    from gateway.listeners.doh import DohConnection

MOST_STREAMS: Final = 100
MOST_HEADERS: Final = 16_384
MOST_RESETS: Final = 200
"""Streams a client may reset in a minute."""
MOST_IDLE_FRAMES: Final = 2_000
"""Frames that carry nothing (PING, SETTINGS, empty DATA, priority) in a minute, beyond one for each query."""
MOST_WAITING: Final = 256 * 1024
"""Octets of answers that wait for the client's window."""
_MINUTE: Final = 60.0
_NUMBERS: Final = tuple(str(number).encode() for number in range(4096))


class _Connection(h2.connection.H2Connection):
    MAX_CLOSED_STREAMS = 1000  # streams that are over, by number; the library would keep 65,536 for each connection


class Http2:
    """HTTP/2 on one connection."""

    is_full = False

    def __init__(self, connection: DohConnection) -> None:
        self._owner = connection
        config = h2.config.H2Configuration(
            client_side=False,
            header_encoding=None,
            validate_inbound_headers=False,  # `BlockReader` does
            normalize_inbound_headers=False,
            validate_outbound_headers=False,  # they are ours
            normalize_outbound_headers=False,
        )
        self._h2 = _Connection(config)
        self._h2.local_settings = h2.settings.Settings(
            client=False,
            initial_values={
                h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: MOST_STREAMS,
                h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: MOST_HEADERS,
            },
        )
        self._h2.encoder = BlockWriter(connection.written)
        self._h2.decoder = BlockReader(MOST_HEADERS)
        self._requests: dict[int, Request] = {}
        self._waiting: dict[int, bytes] = {}
        self._waiting_octets = 0
        self._resets = 0
        self._idle_frames = 0
        self._minute = connection.now()
        self._is_reading = False
        self._h2.initiate_connection()
        connection.send(self._h2.data_to_send())

    @property
    def begun(self) -> float | None:
        """Since when the oldest request that is not whole yet has been arriving."""
        return next(iter(self._requests.values())).since if self._requests else None

    def receive(self, data: bytes) -> bool:
        """Take octets in; False when the connection must end."""
        self._is_reading = True
        try:
            events = self._h2.receive_data(data)
            for event in events:
                self._take(event)
        except (h2.exceptions.ProtocolError, ValueError) as error:
            error.__traceback__ = None  # its frames hold all of this connection
            self._owner.send(self._h2.data_to_send())
            return False
        finally:
            self._is_reading = False
        if not events:
            self._idle_frames += 1
        self._owner.send(self._h2.data_to_send())
        return self._is_welcome()

    def _is_welcome(self) -> bool:
        if self._resets <= MOST_RESETS and self._idle_frames <= MOST_IDLE_FRAMES and self._waiting_octets <= MOST_WAITING:
            return True
        now = self._owner.now()
        if now - self._minute > _MINUTE:
            self._minute, self._resets, self._idle_frames = now, 0, 0
            if self._waiting_octets <= MOST_WAITING:
                return True
        self._owner.refuse("slow")
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
                if self._idle_frames:
                    self._idle_frames -= 1
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
        stream = event.stream_id or 0
        fields = dict(event.headers or ())
        method, path = bytes(fields.get(b":method", b"")), bytes(fields.get(b":path", b""))
        if not method or not path:
            raise ValueError("a request without its pseudo-header fields")
        target = self._owner.read_target(path.decode("ascii", "replace"))
        self._requests[stream] = Request(method, target, bytes(fields.get(b"content-type", b"")), self._owner.now())

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
            self._h2.reset_stream(stream, h2.errors.ErrorCodes.NO_ERROR)  # the rest of the body is not wanted (RFC 9113 §8.1)

    def respond(self, stream: int, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Send one response; what the client's window does not take yet waits."""
        size = len(body)
        fields = [(b":status", b"%d" % status), *headers, (b"content-length", _NUMBERS[size] if size < 4096 else b"%d" % size)]
        try:
            self._h2.send_headers(stream, fields, end_stream=not body)
            if body:
                if size <= self._h2.max_outbound_frame_size and size <= self._h2.local_flow_control_window(stream):
                    self._h2.send_data(stream, body, end_stream=True)
                else:
                    self._waiting[stream] = body
                    self._waiting_octets += size
                    self._flush()
        except h2.exceptions.ProtocolError:
            return  # the client gave this stream up
        if not self._is_reading:
            self._owner.send(self._h2.data_to_send())

    def _flush(self) -> None:
        for stream in list(self._waiting):
            rest = self._waiting[stream]
            try:
                while rest and (room := min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)) > 0:
                    part, rest = rest[:room], rest[room:]
                    self._h2.send_data(stream, part, end_stream=not rest)
                    self._waiting_octets -= len(part)
                    self._waiting[stream] = rest
            except h2.exceptions.ProtocolError:
                self._drop(stream)
                continue
            if not rest:
                del self._waiting[stream]

    def _drop(self, stream: int) -> None:
        self._waiting_octets -= len(self._waiting.pop(stream, b""))

    def let_go(self) -> None:
        """The connection is gone: empty the library's, which holds itself by a table of its methods."""
        vars(self._h2).clear()

    def end(self) -> None:
        """Say that nothing more is taken."""
        try:
            self._h2.close_connection()
        except h2.exceptions.ProtocolError:
            return
        self._owner.send(self._h2.data_to_send())
