"""HTTP/2 on one DoH connection (RFC 9113), within budgets: streams at once, header octets, body octets, resets in a minute (rapid reset,
CVE-2023-44487), frames that carry nothing, octets of answers a client leaves unread. A client beyond one of them, or one that breaks the
rules of the protocol, gets GOAWAY and its connection ends; nobody else notices.

The frames are our own, those of the serving side, without priorities, push and upgrade: whoever answers whole requests needs no more of the
protocol than this file, and `h2`, which keeps both sides and every state, took eight times as long over an answer (tests/bench/README.md).
Where we are the client `h2` speaks for us, and it is the client in the tests of this file.

`doh` opens it. Answers that are ready together leave in one write.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from h2.errors import ErrorCodes

from gateway.listeners.headerblocks import Fault, HeadReader, write_block
from gateway.listeners.http import MEDIA_TYPE, MOST_BODY, Request

if TYPE_CHECKING:
    from gateway.listeners.doh import DohConnection

MOST_STREAMS: Final = 100
MOST_HEADERS: Final = 16_384
MOST_RESETS: Final = 200
"""Streams a client may reset in a minute, and streams beyond `MOST_STREAMS` it may begin."""
MOST_IDLE_FRAMES: Final = 2_000
"""Frames that carry nothing (PING, SETTINGS, empty DATA, priority) in a minute, beyond one for each query."""
MOST_WAITING: Final = 256 * 1024
"""Octets of answers that wait for the client's window."""
MOST_FRAME: Final = 16_384
"""Octets of a frame we take: as the protocol begins with."""
_MOST_BLOCKS: Final = 4096
_MINUTE: Final = 60.0
_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_WINDOW: Final = 65_535
_HALF: Final = _WINDOW // 2
_MOST_WINDOW: Final = (1 << 31) - 1
_DATA, _HEADERS, _PRIORITY, _RST_STREAM, _SETTINGS, _PUSH_PROMISE, _PING, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION = range(10)
_ACK: Final = 0x1
_END_STREAM: Final = 0x1
_END_HEADERS: Final = 0x4
_PADDED: Final = 0x8
_HAS_PRIORITY: Final = 0x20
_TABLE_SIZE, _ENABLE_PUSH, _MOST_AT_ONCE, _INITIAL_WINDOW, _FRAME_SIZE, _HEADER_LIST = range(1, 7)
_FRAME: Final = Struct(">HBBBL")
"""The head of a frame (§4.1): 24 bits of length in two parts, kind, flags, stream."""
_SETTING: Final = Struct(">HL")
_LONG: Final = Struct(">L")
_NO_TABLE: Final = b"\x20"
"""A dynamic table of size nought (RFC 7541 §6.3): we use none, whatever the client allows."""

Blocks = dict[tuple[int, int], bytes]
"""Header blocks of answers, by the size of the body and its least TTL."""


class Http2:
    """HTTP/2 on one connection."""

    is_full = False

    def __init__(self, connection: DohConnection) -> None:
        self._owner = connection
        self._reader = HeadReader(MOST_HEADERS)
        self._blocks = connection.blocks
        self._rest = b""
        self._out: list[bytes] = []
        self._is_reading = False
        self._is_greeted = False
        self._is_ending = False
        self._newest = 0
        self._requests: dict[int, Request] = {}
        """Requests that are not whole yet."""
        self._asked: set[int] = set()
        """Streams whose request is whole and whose answer has not left as a whole."""
        self._given_up: dict[int, None] = {}
        """The last streams that we reset: what the client had sent before it knew is not held against it."""
        self._block_of = 0
        self._block_flags = 0
        self._block = b""
        self._taken = 0
        """Octets of DATA since the connection's window was last opened."""
        self._window = _WINDOW
        self._initial_window = _WINDOW
        self._windows: dict[int, int] = {}
        """What the client added to the windows of single streams, less what was sent of answers in parts."""
        self._most_frame = MOST_FRAME
        self._before_block = b""
        self._waiting: dict[int, bytes] = {}
        self._waiting_octets = 0
        self._resets = 0
        self._idle_frames = 0
        self._minute = connection.now()
        settings = _SETTING.pack(_MOST_AT_ONCE, MOST_STREAMS) + _SETTING.pack(_HEADER_LIST, MOST_HEADERS)
        connection.send(_frame(_SETTINGS, 0, 0, settings))

    @property
    def begun(self) -> float | None:
        """Since when the oldest request that is not whole yet has been arriving."""
        return next(iter(self._requests.values())).since if self._requests else None

    @property
    def has_more(self) -> bool:
        """Whether an answer waits for the client's window."""
        return bool(self._waiting)

    def receive(self, data: bytes) -> bool:
        """Take octets in; False when the connection must end."""
        if self._rest:
            data = self._rest + data
        self._is_reading = True
        try:
            self._rest = self._take(data)
        except Fault as fault:
            fault.__traceback__ = None  # its frames hold all of this connection
            self._say_goodbye(fault.code)
            return False
        finally:
            self._is_reading = False
            self._send()
        return self._is_welcome()

    def _take(self, data: bytes) -> bytes:
        """Take every frame that is whole; the rest."""
        at, end = 0, len(data)
        if not self._is_greeted:
            if not data.startswith(_PREFACE[:end]):
                raise Fault(ErrorCodes.PROTOCOL_ERROR)
            at = len(_PREFACE)
            if end < at + 9:
                return data
            if data[at + 3] != _SETTINGS or data[at + 4] & _ACK:
                raise Fault(ErrorCodes.PROTOCOL_ERROR)
            self._is_greeted = True
        start = at
        while end - at >= 9:
            size, size_low, kind, flags, stream = _FRAME.unpack_from(data, at)
            size = size << 8 | size_low
            if size > MOST_FRAME:
                raise Fault(ErrorCodes.FRAME_SIZE_ERROR)
            after = at + 9 + size
            if after > end:
                break
            payload = data[at + 9 : after]
            at = after
            stream &= _MOST_WINDOW
            if self._block_of and (kind != _CONTINUATION or stream != self._block_of):
                raise Fault(ErrorCodes.PROTOCOL_ERROR)
            if kind <= _CONTINUATION:
                self._KINDS[kind](self, flags, stream, payload)
            else:
                self._idle_frames += 1  # of a kind nobody knows (§5.5)
        if at == start:
            self._idle_frames += 1
        return data[at:]

    def _is_welcome(self) -> bool:
        if self._resets <= MOST_RESETS and self._idle_frames <= MOST_IDLE_FRAMES and self._waiting_octets <= MOST_WAITING:
            return True
        now = self._owner.now()
        if now - self._minute > _MINUTE:
            self._minute, self._resets, self._idle_frames = now, 0, 0
            if self._waiting_octets <= MOST_WAITING:
                return True
        self._owner.refuse("slow")
        self._say_goodbye(ErrorCodes.ENHANCE_YOUR_CALM)
        self._send()
        return False

    # Frames (RFC 9113 §6), each with its flags, its stream and its payload

    def _take_data(self, flags: int, stream: int, payload: bytes) -> None:
        size = len(payload)
        self._taken += size
        if self._taken > _HALF:
            self._out.append(_frame(_WINDOW_UPDATE, 0, 0, _LONG.pack(self._taken)))
            self._taken = 0
        if flags & _PADDED:
            payload = _without_padding(payload)
        request = self._requests.get(stream)
        if request is None:
            if stream not in self._given_up:
                raise Fault(ErrorCodes.PROTOCOL_ERROR if self._is_idle(stream) else ErrorCodes.STREAM_CLOSED)
            self._idle_frames += 1
            return
        if flags & _END_STREAM:
            if len(request.body) + len(payload) <= MOST_BODY:
                request.body = request.body + payload if request.body else payload
                self._ask(stream, request)
                return
        elif not payload:
            self._idle_frames += 1
        request.body += payload
        if len(request.body) > MOST_BODY:
            del self._requests[stream]
            self._asked.add(stream)
            self.respond(stream, 413, [], b"")
            if not flags & _END_STREAM:
                self._give_up(stream, ErrorCodes.NO_ERROR)  # the rest of the body is not wanted (§8.1)
            return
        request.taken += size
        if request.taken > _HALF:
            self._out.append(_frame(_WINDOW_UPDATE, 0, stream, _LONG.pack(request.taken)))
            request.taken = 0

    def _take_headers(self, flags: int, stream: int, payload: bytes) -> None:
        if not stream & 1:
            raise Fault(ErrorCodes.PROTOCOL_ERROR)
        if flags & _PADDED:
            payload = _without_padding(payload)
        if flags & _HAS_PRIORITY:
            if len(payload) < 5:
                raise Fault(ErrorCodes.FRAME_SIZE_ERROR)
            payload = payload[5:]
        if flags & _END_HEADERS:
            self._begin(flags, stream, payload)
        else:
            self._block_of, self._block_flags, self._block = stream, flags, payload

    def _take_continuation(self, flags: int, stream: int, payload: bytes) -> None:
        if not self._block_of:
            raise Fault(ErrorCodes.PROTOCOL_ERROR)
        self._idle_frames += 1
        self._block += payload
        if len(self._block) > MOST_HEADERS:
            raise Fault(ErrorCodes.ENHANCE_YOUR_CALM)
        if flags & _END_HEADERS:
            self._block_of = 0
            self._begin(self._block_flags, stream, self._block)
            self._block = b""

    def _begin(self, flags: int, stream: int, block: bytes) -> None:
        """Take the head of a request, or its trailers."""
        head = self._reader.read(block)
        if stream > self._newest:
            if head is None:
                raise Fault(ErrorCodes.PROTOCOL_ERROR)
            self._newest = stream
            if self._is_ending or len(self._requests) + len(self._asked) >= MOST_STREAMS:
                self._resets += 1
                self._give_up(stream, ErrorCodes.REFUSED_STREAM)
                return
            owner = self._owner
            request = Request(head.method, owner.read_target(head.path), head.media_type, owner.now(), head.length)
            if flags & _END_STREAM:
                self._ask(stream, request)
            else:
                self._requests[stream] = request
            return
        trailed = self._requests.get(stream)
        if trailed is None:
            if stream not in self._given_up:
                raise Fault(ErrorCodes.STREAM_CLOSED)
            self._idle_frames += 1
        elif head is not None or not flags & _END_STREAM:
            raise Fault(ErrorCodes.PROTOCOL_ERROR)
        else:
            self._ask(stream, trailed)

    def _ask(self, stream: int, request: Request) -> None:
        """Ask what a whole request asks."""
        self._requests.pop(stream, None)
        if request.length not in (-1, len(request.body)):
            raise Fault(ErrorCodes.PROTOCOL_ERROR)  # malformed (§8.1.1)
        self._asked.add(stream)
        if self._idle_frames:
            self._idle_frames -= 1
        self._owner.ask(stream, request.read())

    def _take_priority(self, flags: int, stream: int, payload: bytes) -> None:
        if len(payload) != 5:
            raise Fault(ErrorCodes.FRAME_SIZE_ERROR)
        if not stream:
            raise Fault(ErrorCodes.PROTOCOL_ERROR)
        self._idle_frames += 1

    def _take_reset(self, flags: int, stream: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise Fault(ErrorCodes.FRAME_SIZE_ERROR)
        if self._is_idle(stream):
            raise Fault(ErrorCodes.PROTOCOL_ERROR)
        self._resets += 1
        self._requests.pop(stream, None)
        self._forget(stream)

    def _take_settings(self, flags: int, stream: int, payload: bytes) -> None:
        if stream:
            raise Fault(ErrorCodes.PROTOCOL_ERROR)
        self._idle_frames += 1
        if len(payload) % 6 or (flags & _ACK and payload):
            raise Fault(ErrorCodes.FRAME_SIZE_ERROR)
        if flags & _ACK:
            return
        for setting, value in _SETTING.iter_unpack(payload):
            if setting == _INITIAL_WINDOW:
                if value > _MOST_WINDOW:
                    raise Fault(ErrorCodes.FLOW_CONTROL_ERROR)
                self._initial_window = value
            elif setting == _FRAME_SIZE:
                if not 16_384 <= value < 1 << 24:
                    raise Fault(ErrorCodes.PROTOCOL_ERROR)
                self._most_frame = value
            elif setting == _TABLE_SIZE:
                self._before_block = _NO_TABLE
            elif setting == _ENABLE_PUSH and value > 1:
                raise Fault(ErrorCodes.PROTOCOL_ERROR)
        if any(self._initial_window + added > _MOST_WINDOW for added in self._windows.values()):
            raise Fault(ErrorCodes.FLOW_CONTROL_ERROR)
        self._out.append(_frame(_SETTINGS, _ACK, 0, b""))
        if self._waiting:
            self._flush()

    def _take_push(self, flags: int, stream: int, payload: bytes) -> None:
        raise Fault(ErrorCodes.PROTOCOL_ERROR)

    def _take_ping(self, flags: int, stream: int, payload: bytes) -> None:
        if stream:
            raise Fault(ErrorCodes.PROTOCOL_ERROR)
        if len(payload) != 8:
            raise Fault(ErrorCodes.FRAME_SIZE_ERROR)
        self._idle_frames += 1
        if not flags & _ACK:
            self._out.append(_frame(_PING, _ACK, 0, payload))

    def _take_goaway(self, flags: int, stream: int, payload: bytes) -> None:
        if stream:
            raise Fault(ErrorCodes.PROTOCOL_ERROR)
        if len(payload) < 8:
            raise Fault(ErrorCodes.FRAME_SIZE_ERROR)
        self._idle_frames += 1

    def _take_window(self, flags: int, stream: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise Fault(ErrorCodes.FRAME_SIZE_ERROR)
        more = _LONG.unpack(payload)[0] & _MOST_WINDOW
        if not more or (stream and self._is_idle(stream)):
            raise Fault(ErrorCodes.PROTOCOL_ERROR)
        self._idle_frames += 1
        if not stream:
            self._window += more
            if self._window > _MOST_WINDOW:
                raise Fault(ErrorCodes.FLOW_CONTROL_ERROR)
        elif stream in self._requests or stream in self._asked:
            added = self._windows[stream] = self._windows.get(stream, 0) + more
            if self._initial_window + added > _MOST_WINDOW:
                raise Fault(ErrorCodes.FLOW_CONTROL_ERROR)
        if self._waiting:
            self._flush()

    _KINDS: Final = (
        _take_data,
        _take_headers,
        _take_priority,
        _take_reset,
        _take_settings,
        _take_push,
        _take_ping,
        _take_goaway,
        _take_window,
        _take_continuation,
    )

    def _is_idle(self, stream: int) -> bool:
        """Whether no such stream was ever begun (§5.1)."""
        return not stream & 1 or stream > self._newest

    # Answers

    def answer(self, stream: int, age: int, body: bytes) -> None:
        """Send a DNS answer, which may be kept for `age` seconds; what the client's window does not take yet waits."""
        block = self._blocks.get((len(body), age))
        if block is None:
            if len(self._blocks) >= _MOST_BLOCKS:
                self._blocks.clear()
            fields = [(b":status", b"200"), (b"content-type", MEDIA_TYPE), (b"cache-control", b"max-age=%d" % age)]
            block = self._blocks[len(body), age] = write_block([*fields, (b"content-length", b"%d" % len(body))])
        self._answer(stream, block, body)

    def respond(self, stream: int, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Send any response."""
        block = write_block([(b":status", b"%d" % status), *headers, (b"content-length", b"%d" % len(body))])
        self._answer(stream, block, body)

    def _answer(self, stream: int, block: bytes, body: bytes) -> None:
        if stream not in self._asked:
            return  # the client gave this stream up
        if self._before_block:
            block, self._before_block = self._before_block + block, b""
        size = len(body)
        flags = _END_HEADERS if size else _END_HEADERS | _END_STREAM
        head = _FRAME.pack(0, len(block), _HEADERS, flags, stream) + block
        if not size:
            self._out.append(head)
            self._forget(stream)
        elif size <= self._window and size <= self._most_frame and size <= self._initial_window + self._windows.get(stream, 0):
            self._window -= size
            self._out.append(head + _FRAME.pack(size >> 8, size & 0xFF, _DATA, _END_STREAM, stream) + body)
            self._asked.discard(stream)
            self._windows.pop(stream, None)
        else:
            self._out.append(head)
            self._waiting[stream] = body
            self._waiting_octets += size
            self._flush()
        if not self._is_reading:
            self._send()

    def _flush(self) -> None:
        """Send what the windows take of the bodies that wait."""
        for stream in list(self._waiting):
            rest = self._waiting[stream]
            while (room := min(self._window, self._most_frame, self._initial_window + self._windows.get(stream, 0))) > 0:
                part, rest = rest[:room], rest[room:]
                self._window -= len(part)
                self._windows[stream] = self._windows.get(stream, 0) - len(part)
                self._waiting_octets -= len(part)
                self._waiting[stream] = rest
                self._out.append(_frame(_DATA, 0 if rest else _END_STREAM, stream, part))
                if not rest:
                    self._forget(stream)
                    break
            if self._window <= 0:
                return

    def _forget(self, stream: int) -> None:
        """A stream is over."""
        self._asked.discard(stream)
        self._windows.pop(stream, None)
        self._waiting_octets -= len(self._waiting.pop(stream, b""))

    def _give_up(self, stream: int, code: ErrorCodes) -> None:
        """Reset a stream; what the client still sends of it is read and dropped."""
        self._forget(stream)
        self._given_up[stream] = None
        if len(self._given_up) > MOST_STREAMS:
            del self._given_up[next(iter(self._given_up))]
        self._out.append(_frame(_RST_STREAM, 0, stream, _LONG.pack(code)))

    def _send(self) -> None:
        """Write what is to leave, in one piece."""
        if self._out:
            data = b"".join(self._out)
            self._out.clear()
            self._owner.send(data)

    def _say_goodbye(self, code: ErrorCodes) -> None:
        if not self._is_ending:
            self._is_ending = True
            self._out.append(_frame(_GOAWAY, 0, 0, _LONG.pack(self._newest) + _LONG.pack(code)))

    def let_go(self) -> None:
        """The connection is gone; nothing here holds itself."""

    def end(self) -> None:
        """Say that nothing more is taken."""
        self._say_goodbye(ErrorCodes.NO_ERROR)
        if not self._is_reading:
            self._send()


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    size = len(payload)
    return _FRAME.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


def _without_padding(payload: bytes) -> bytes:
    """What is inside the padding (§6.1)."""
    if not payload or payload[0] >= len(payload):
        raise Fault(ErrorCodes.PROTOCOL_ERROR)
    return payload[1 : len(payload) - payload[0]]
