"""Our HTTP against judges that others wrote: `h2`'s serving side over any frames a client may think of, `h11`'s client over requests."""

from __future__ import annotations

import struct
from typing import Any, Final

import h2.config
import h2.connection
import h2.events
import h11
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from hpack import Encoder
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.listeners.http import Ask
from gateway.listeners.http1 import Http1
from gateway.listeners.http2 import Http2
from tests.support.besiegers import GREETING, frame
from tests.support.speaking import Owner

MESSAGE: Final = bytes(12)
DATA, HEADERS, PRIORITY, RESET, SETTINGS, PUSH, PING, GOODBYE, WINDOW, CONTINUATION = range(10)
FIELDS: Final = [(b":method", b"POST"), (b":path", b"/dns-query"), (b":scheme", b"https"), (b":authority", b"x")]
MORE: Final[list[list[tuple[bytes, bytes]]]] = [
    [*FIELDS, (b"content-type", b"application/dns-message")],
    [*FIELDS, (b"content-type", b"application/dns-message"), (b"content-length", b"12")],
    [*FIELDS, (b"content-length", b"13")],
    [(b":method", b"GET"), (b":path", b"/dns-query?dns=" + b"A" * 16), *FIELDS[2:]],
    [*FIELDS, (b"connection", b"close")],
    [*FIELDS, (b"x-long", b"y" * 5000)],
    FIELDS[:3],
    [(b"x-end", b"1")],
]

_STREAMS: Final = st.sampled_from([1, 1, 3, 3, 5, 5, 7, 0, 2])
_SETTING: Final = st.builds(
    lambda code, value: struct.pack("!HL", code, value),
    st.integers(1, 6), st.sampled_from([0, 1, 2, 100, 16_384, 65_535, (1 << 24) - 1, 1 << 24, (1 << 31) - 1, 1 << 31]),
)  # fmt: skip
_ROOM: Final = st.sampled_from([0, 1, 100, 1 << 30, (1 << 31) - 1]).map(lambda more: more.to_bytes(4))
_MANY: Final = st.lists(_SETTING, max_size=2, unique_by=lambda setting: setting[:2]).map(b"".join)
"""Of two values for one setting the judge looks at the last only (§6.5.3 has them in their order)."""
_FRAMES: Final = st.one_of(
    st.tuples(st.just(HEADERS), st.sampled_from([5, 5, 4, 4, 0x24, 0x2D, 0xC, 0, 1]), _STREAMS, st.sampled_from(MORE)),
    st.tuples(st.just(DATA), st.sampled_from([1, 1, 0, 8, 9]), _STREAMS, st.sampled_from([12, 12, 0, 1, 100, 16_000])),
    st.tuples(st.just(DATA), st.sampled_from([1, 0]), _STREAMS, st.sampled_from([12, 16_384, 16_385])),
    st.tuples(st.just(SETTINGS), st.sampled_from([0, 0, 0, 1]), st.sampled_from([0, 0, 0, 1]), _MANY),
    st.tuples(st.just(WINDOW), st.just(0), _STREAMS, _ROOM),
    st.tuples(st.sampled_from([RESET, WINDOW]), st.just(0), _STREAMS, st.sampled_from([4, 4, 4, 3, 5]).map(lambda n: b"\1" * n)),
    st.tuples(st.just(PRIORITY), st.just(0), _STREAMS, st.sampled_from([5, 5, 5, 4, 6]).map(lambda n: b"\0\0\0\x0b\1\1"[:n])),
    st.tuples(st.just(PING), st.sampled_from([0, 1]), st.sampled_from([0, 0, 1]), st.sampled_from([8, 8, 7, 9]).map(bytes)),
    st.tuples(st.just(CONTINUATION), st.sampled_from([0, 4]), _STREAMS, st.sampled_from([b"", b"\x0f\x01\x01z", b"\x80"])),
    st.tuples(st.just(PUSH), st.just(4), _STREAMS, st.just(bytes(8))),
    st.tuples(st.sampled_from([11, 99, 255]), st.integers(0, 255), _STREAMS, st.binary(max_size=9)),
)  # fmt: skip

SEEN_EARLIER: Final = "we look at the stream, or at the whole request, a frame earlier than the judge"
OF_A_STREAM: Final = "a fault of one stream may end the connection (RFC 9113 §5.4.1); the judge resets the stream"
STRICTER: Final = "a reset of a stream that was never begun (§6.4), a body that was told and never came (§8.1.1): the judge lets both pass"
STRICTER_CODE: Final = "the RFC's code; the judge says PROTOCOL_ERROR of all its reader refuses"
TWO_FAULTS: Final = "two faults in one frame, or a frame of a wrong size where none may come: either code is right"


def made(encoder: Encoder, kind: int, flags: int, stream: int, what: Any) -> bytes:
    """The octets of a frame."""
    payload: bytes
    if kind == HEADERS:
        payload = encoder.encode(what)
        if flags & 0x20:
            payload = struct.pack("!LB", 11, 5) + payload
    else:
        payload = bytes(what) if kind == DATA else what
    if kind in (HEADERS, DATA) and flags & 8:
        payload = bytes([len(payload) % 7]) + payload + bytes(len(payload) % 7)
    return frame(kind, flags, stream, payload)


class Judge:
    """The library's serving side. It answers each request at once, as ours does."""

    def __init__(self) -> None:
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))
        self.h2.initiate_connection()
        self.h2.receive_data(GREETING)
        self.h2.data_to_send()

    def find(self, octets: bytes) -> tuple[str, int]:
        """What it says of one frame: "ok", "stream" or "connection", and the code."""
        try:
            events = self.h2.receive_data(octets)
        except ProtocolError as error:
            return "connection", int(error.error_code)
        for event in events:
            if isinstance(event, h2.events.StreamEnded):
                self.h2.send_headers(event.stream_id, [(b":status", b"200")], end_stream=True)
        sent, at = self.h2.data_to_send(), 0
        while at < len(sent):
            size = int.from_bytes(sent[at : at + 3])
            if sent[at + 3] == RESET:
                return "stream", int.from_bytes(sent[at + 9 : at + 13])
            at += 9 + size
        return "ok", 0


def reason(kind: int, head: tuple[int, Any], code: ErrorCodes | None, verdict: str, theirs: int, is_in_block: bool) -> str:
    """Why ours may say something else than the judge; empty if it may not. `head`: flags and fields of the request a block belongs to."""
    if verdict == "stream" and code in (ErrorCodes.STREAM_CLOSED, ErrorCodes.PROTOCOL_ERROR):
        return OF_A_STREAM
    if verdict == "connection" and code is None:
        # the body is longer than was said: we look when it has ended, and it is bounded until then
        return SEEN_EARLIER if kind == DATA and theirs == ErrorCodes.PROTOCOL_ERROR else ""
    if code is ErrorCodes.FRAME_SIZE_ERROR and theirs == ErrorCodes.PROTOCOL_ERROR:
        return STRICTER_CODE
    if code is ErrorCodes.PROTOCOL_ERROR and theirs == ErrorCodes.FRAME_SIZE_ERROR and (is_in_block or kind in (RESET, WINDOW, PRIORITY)):
        return TWO_FAULTS
    if kind in (HEADERS, CONTINUATION) and {code, theirs} == {ErrorCodes.STREAM_CLOSED, ErrorCodes.PROTOCOL_ERROR}:
        return TWO_FAULTS  # on an older stream: §5.1 has one code, §5.1.1 the other
    is_without_body = kind in (HEADERS, CONTINUATION) and head[0] & 1 and b"content-length" in dict(head[1])
    if (kind == RESET or is_without_body) and code is ErrorCodes.PROTOCOL_ERROR and verdict == "ok":
        return STRICTER
    return ""


@settings(derandomize=True)  # another reason may be found by somebody who looks for one, not by somebody else's change
@given(st.lists(_FRAMES, max_size=25))
def test_every_fault_the_library_finds_ends_the_connection_with_its_code(frames: list[tuple[int, int, int, Any]]) -> None:
    """RFC 9113 §5 and §6, frame by frame: what the judge takes is taken, what it refuses is refused, with the same code or for a reason."""
    encoder, owner, judge = Encoder(), Owner(lambda ask: b""), Judge()
    owner.speaker = ours = Http2(owner)  # type: ignore[arg-type]
    assert ours.receive(GREETING)
    is_in_block, head = False, (0, [])
    for kind, flags, stream, what in frames:
        if kind in (HEADERS, CONTINUATION) and not stream % 2:
            stream = 1 if kind == HEADERS else stream
        if kind == HEADERS:
            head = flags, what
        octets = made(encoder, kind, flags, stream, what)
        owner.take()
        is_taken = ours.receive(octets)
        code = None if is_taken else ErrorCodes(int.from_bytes(owner.take()[-4:]))
        verdict, theirs = judge.find(octets)
        if is_taken is not (verdict == "ok") or (verdict == "connection" and code is not None and code != theirs):
            why = reason(kind, head, code, verdict, theirs, is_in_block)
            assert why, (kind, hex(flags), stream, what, code, verdict, ErrorCodes(theirs))
            return
        if not is_taken:
            return
        is_in_block = kind in (HEADERS, CONTINUATION) and not flags & 4


_ASKS: Final = st.sampled_from(["get", "post", "chunked", "head", "elsewhere", "no type"])
_REQUESTS: Final = st.lists(st.tuples(_ASKS, st.binary(min_size=12, max_size=40), st.integers(1, 9)), min_size=1, max_size=8)


def asked(kind: str, body: bytes, piece: int) -> tuple[bytes, int]:
    """One request as octets, and its status."""
    path = "/elsewhere" if kind == "elsewhere" else "/dns-query"
    fields = [("host", "dns.example"), ("content-type", "text/plain" if kind == "no type" else "application/dns-message")]
    client = h11.Connection(h11.CLIENT)
    if kind in ("get", "head"):
        parts = [h11.Request(method=kind.upper(), target=path + "?dns=" + "A" * 16, headers=fields), h11.EndOfMessage()]
    else:
        how = ("transfer-encoding", "chunked") if kind == "chunked" else ("content-length", str(len(body)))
        pieces = [h11.Data(data=body[at : at + piece]) for at in range(0, len(body), piece)]
        end = h11.EndOfMessage(headers=[("x-end", "1")] if kind == "chunked" else [])
        parts = [h11.Request(method="POST", target=path, headers=[*fields, how]), *pieces, end]
    return b"".join(client.send(part) or b"" for part in parts), {"elsewhere": 404, "no type": 415, "head": 405}.get(kind, 200)


@given(_REQUESTS, st.integers(1, 300), st.booleans())
def test_requests_in_a_row_are_answered_in_their_order(requests: list[tuple[str, bytes, int]], cut: int, is_late: bool) -> None:
    """HTTP/1.1 (RFC 9112 §9.3.2), pipelined, in chunks of any size, cut anywhere: each answer is whole, once, and its own question's."""
    owner = Owner((lambda ask: None) if is_late else lambda ask: ask.message)
    owner.speaker = ours = Http1(owner)  # type: ignore[arg-type]
    wire = [asked(*each) for each in requests]
    waiting = b"".join(octets for octets, _ in wire)
    seen, answered = b"", 0
    for _ in range(10_000):
        if ours.is_full:
            if is_late and len([ask for _, ask in owner.asked if isinstance(ask, Ask)]) > answered:
                found = owner.asked[-1][1]
                assert isinstance(found, Ask)
                answered += 1
                ours.answer(0, 5, found.message)
            owner.turn()
        elif waiting:
            assert ours.receive(waiting[:cut])
            waiting = waiting[cut:]
        else:
            break
    seen = owner.take()
    assert not owner.is_closed and ours.begun is None
    client = h11.Connection(h11.CLIENT)
    client.receive_data(seen)
    for (kind, body, _), (_, status) in zip(requests, wire, strict=True):
        client.send(h11.Request(method="HEAD" if kind == "head" else "GET", target="/", headers=[("host", "x")]))
        client.send(h11.EndOfMessage())
        response = client.next_event()
        assert isinstance(response, h11.Response) and response.status_code == status
        got = b""
        while isinstance(event := client.next_event(), h11.Data):
            got += event.data
        assert got == (b"" if status != 200 else bytes(12) if kind == "get" else body)
        client.start_next_cycle()
    assert client.trailing_data == (b"", False)
