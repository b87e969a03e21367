"""HTTP/2 as a conversation with the library's client, the rules whose breach ends it, and the budgets that do."""

from __future__ import annotations

import struct
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
import pytest
from hpack import Decoder
from hypothesis import given
from hypothesis import strategies as st

from gateway.listeners import http2 as module
from gateway.listeners.http import Ask
from gateway.listeners.http2 import Http2
from tests.support.besiegers import GREETING, HEAD, frame, headers
from tests.support.speaking import Owner

MESSAGE = bytes(12)


class Pair:
    """A client by the library and our end."""

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.ours: Any = Http2(owner)  # type: ignore[arg-type]
        owner.speaker = self.ours
        self.client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=None))
        self.client.initiate_connection()
        self.is_alive = True
        self.exchange()

    def post(self, body: bytes = MESSAGE, path: bytes = b"/dns-query", end: bool = True) -> int:
        """Begin a request; its stream."""
        stream = self.client.get_next_available_stream_id()
        fields = [(b":method", b"POST"), (b":path", path), (b":scheme", b"https"), (b":authority", b"dns.example")]
        self.client.send_headers(stream, [*fields, (b"content-type", b"application/dns-message")])
        while len(body) > 16_000:
            self.client.send_data(stream, body[:16_000])
            body = body[16_000:]
            self.exchange()
        self.client.send_data(stream, body, end_stream=end)
        return stream

    def exchange(self) -> list[h2.events.Event]:
        """Octets over and back; what the client sees."""
        self.is_alive = self.ours.receive(self.client.data_to_send()) and self.is_alive
        events = self.client.receive_data(self.owner.take())
        for event in events:
            if isinstance(event, h2.events.DataReceived) and event.flow_controlled_length:
                self.client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        return events


def seen(events: list[h2.events.Event], kind: type[h2.events.Event]) -> list[Any]:
    """The events of one kind."""
    return [event for event in events if isinstance(event, kind)]


def test_answers_that_are_ready_together_leave_in_one_write() -> None:
    """And whose path has a token asks with that token."""
    pair = Pair(Owner())
    for token in (b"k3j9abcdefgh", b"m2p8abcdefgh", b"k3j9abcdefgh"):
        pair.post(path=b"/dns-query/" + token)
    pair.ours.receive(pair.client.data_to_send())
    assert len(pair.owner.sent) == 1
    events = pair.exchange()
    assert len(seen(events, h2.events.StreamEnded)) == 3
    asked = [ask.token for _, ask in pair.owner.asked if isinstance(ask, Ask)]
    assert asked == ["k3j9abcdefgh", "m2p8abcdefgh", "k3j9abcdefgh"]


def test_late_answer_leaves_by_itself_and_larger_than_the_window_in_pieces() -> None:
    """What does not fit waits for the client's window."""
    pair = Pair(Owner(lambda ask: None))
    stream = pair.post()
    pair.exchange()
    pair.ours.respond(stream, 200, [(b"cache-control", b"max-age=10")], bytes(60_000))
    data = b"".join(event.data for event in seen(pair.exchange(), h2.events.DataReceived))
    assert data == bytes(60_000), "all that the window takes leaves at once, whatever the size of a frame"
    stream = pair.post()
    pair.exchange()
    pair.ours.respond(stream, 200, [], bytes(65_000))
    for _ in range(20):
        data += b"".join(event.data for event in seen(pair.exchange(), h2.events.DataReceived))
    assert len(data) == 125_000 and pair.is_alive


def test_clock_of_the_oldest_request_that_is_not_whole() -> None:
    """It runs from the request's head and does not move with single octets of its body."""
    owner = Owner()
    pair = Pair(owner)
    assert pair.ours.begun is None
    stream = pair.post(b"", end=False)
    pair.exchange()
    owner.time += 3
    pair.client.send_data(stream, b"\0")
    other = pair.post(b"", end=False)
    pair.exchange()
    assert pair.ours.begun == 100.0
    pair.client.send_data(stream, MESSAGE[1:], end_stream=True)
    pair.exchange()
    assert pair.ours.begun == 103.0 and len(owner.asked) == 1
    pair.client.reset_stream(other)
    pair.exchange()
    assert pair.ours.begun is None


def test_body_beyond_a_message_is_not_wanted() -> None:
    """413, and the stream is reset so that the client sends no more; the connection goes on."""
    pair = Pair(Owner())
    stream = pair.post(bytes(65_536 + 10), end=False)
    events = pair.exchange()
    [head] = seen(events, h2.events.ResponseReceived)
    assert dict(head.headers)[b":status"] == b"413"
    resets = [(event.stream_id, event.error_code) for event in seen(events, h2.events.StreamReset)]
    assert resets == [(stream, h2.errors.ErrorCodes.NO_ERROR)]
    pair.post()
    assert seen(pair.exchange(), h2.events.StreamEnded) and pair.is_alive


def test_client_with_many_queries_and_few_frames_for_nothing_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy client's window updates and pings never end it; the same frames without a query do."""
    monkeypatch.setattr(module, "MOST_IDLE_FRAMES", 20)
    pair = Pair(Owner())
    for _ in range(100):
        pair.post()
        pair.client.ping(bytes(8))
        pair.exchange()
    assert pair.is_alive
    for _ in range(25):
        pair.client.ping(bytes(8))
    pair.exchange()
    assert not pair.is_alive and pair.owner.refused == ["slow"]


def test_no_memory_of_streams_that_are_over() -> None:
    """However many a connection has had."""
    pair = Pair(Owner())
    for number in range(1500):
        stream = pair.post(end=number % 3 > 0)
        if not number % 3:
            pair.client.reset_stream(stream)
        pair.client.increment_flow_control_window(10, stream) if number % 3 == 1 else None
        pair.ours._resets = 0
        pair.exchange()
    assert pair.is_alive
    ours = pair.ours
    assert not (ours._requests or ours._asked or ours._waiting or ours._windows or ours._given_up or ours._out)


def streams_of(octets: bytes) -> set[int]:
    """The streams of whole frames."""
    found, at = set(), 0
    while at < len(octets):
        found.add(int.from_bytes(octets[at + 5 : at + 9]))
        at += 9 + int.from_bytes(octets[at : at + 3])
    return found - {0}


Steps = list[tuple[str, int]]
_REQUESTS = ["get", "post", "open", "more", "end", "trailers", "reset", "answer", "abandon"]
_WORDS = [*_REQUESTS, "goodbye", "ping", "table", "frames", "window", "wait"]
_STEPS = st.lists(st.tuples(st.sampled_from(_WORDS), st.integers(0, 70_000)), max_size=60)


@given(_STEPS, st.sampled_from([0, 100, 65_535, 1 << 20]), st.integers(1, 4000))
def test_any_conversation_is_answered_in_full(steps: Steps, window: int, cut: int) -> None:
    """Whatever the library's client says, in whatever pieces: every request it did not give up has its answer, whole and once; and nothing
    is sent any more of one that it gave up, in the middle of the answer or before it."""
    owner = Owner(lambda ask: None)
    ours: Any = Http2(owner)  # type: ignore[arg-type]
    owner.speaker = ours
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=None))
    client.local_settings = h2.settings.Settings(client=True, initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
    client.initiate_connection()
    bodies: dict[int, bytes] = {}
    got: dict[int, bytes] = {}
    ended: list[int] = []
    open_streams: list[int] = []
    late: list[int] = []
    abandoned: set[int] = set()

    def exchange() -> None:
        data = client.data_to_send()
        for at in range(0, len(data), cut):
            assert ours.receive(data[at : at + cut])
            ours._idle_frames = 0  # budgets are for other tests
        sent = owner.take()
        assert not streams_of(sent) & abandoned
        for event in client.receive_data(sent):
            if isinstance(event, h2.events.DataReceived):
                got[event.stream_id] = got.get(event.stream_id, b"") + event.data
                if event.flow_controlled_length:
                    client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                ended.append(event.stream_id)
            assert not isinstance(event, h2.events.ConnectionTerminated | h2.events.StreamReset)
        late.extend(stream for stream, ask in owner.asked if isinstance(ask, Ask) and stream not in bodies)
        owner.asked.clear()

    exchange()
    for what, size in steps:
        if what in ("get", "post", "open") and client.open_outbound_streams < 100:
            stream = client.get_next_available_stream_id()
            path = b"/dns-query?dns=" + b"A" * 16 if what == "get" else b"/dns-query"
            fields = [(b":method", b"GET" if what == "get" else b"POST"), (b":path", path), (b":scheme", b"https"), (b":authority", b"x")]
            fields += [(b"content-type", b"application/dns-message"), (b"x-more", b"y" * (size % 9000))]
            client.send_headers(stream, fields, end_stream=what == "get")
            if what == "post":
                client.send_data(stream, bytes(12 + size % 500), end_stream=True, pad_length=size % 200 or None)
            elif what == "open":
                open_streams.append(stream)
        elif what in ("more", "end", "trailers", "reset") and open_streams:
            stream = open_streams[size % len(open_streams)]
            if what != "more":
                open_streams.remove(stream)
            if what == "reset":
                client.reset_stream(stream)
            elif what == "trailers":
                client.send_data(stream, bytes(20))
                client.send_headers(stream, [(b"x-end", b"1")], end_stream=True)
            else:
                client.send_data(stream, bytes(12 + size % 300), end_stream=what == "end")
        elif what == "answer" and late:
            stream = late.pop(size % len(late))
            bodies[stream] = bytes([size % 251]) * size
            ours.answer(stream, size % 7, bodies[stream])
        elif what == "abandon" and (living := [stream for stream in [*late, *bodies] if stream not in ended]):
            stream = living[size % len(living)]
            exchange()
            if stream not in ended:
                client.reset_stream(stream)
                exchange()
                ended.append(stream)
                abandoned.add(stream)
                bodies.setdefault(stream, b"")
                ours._resets = 0
        elif what == "goodbye":
            exchange()
            ours.receive(frame(7, 0, 0, bytes(8)))
        elif what == "ping":
            client.ping(bytes(8))
        elif what in ("table", "frames", "window"):
            codes = h2.settings.SettingCodes
            value = {"table": size % 5000, "frames": 16_384 + size, "window": size}[what]
            code = {"table": codes.HEADER_TABLE_SIZE, "frames": codes.MAX_FRAME_SIZE, "window": codes.INITIAL_WINDOW_SIZE}[what]
            exchange()
            client.update_settings({code: value})
            exchange()  # the library mixes up several that are not acknowledged yet
        elif what == "wait":
            exchange()
    exchange()
    for stream in open_streams:
        client.send_data(stream, bytes(12), end_stream=True)
    client.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 1 << 20})
    exchange()
    for stream in list(late):
        bodies[stream] = b"end"
        ours.answer(stream, 1, b"end")
    for _ in range(60):
        exchange()
        client.increment_flow_control_window(100_000)
    assert all(got.get(stream, b"") == body for stream, body in bodies.items() if stream not in abandoned)
    assert sorted(ended) == sorted(bodies) and not ours._asked and not ours._waiting_octets


@given(st.lists(st.one_of(
    st.binary(max_size=40),
    st.builds(frame, st.integers(0, 11), st.sampled_from([0, 1, 4, 5, 8, 13, 32, 37, 255]), st.integers(0, 8), st.binary(max_size=20)),
    st.sampled_from([headers(1), headers(3), headers(5), frame(0, 1, 1, MESSAGE), frame(3, 0, 1, bytes(4)), frame(9, 4, 1, b"")]),
), max_size=30), st.booleans(), st.integers(1, 60))  # fmt: skip
def test_no_octets_do_harm(pieces: list[bytes], is_greeted: bool, cut: int) -> None:
    """Whatever arrives, in whatever pieces: it is taken, or the connection ends with a GOAWAY; nothing is raised."""
    owner = Owner()
    owner.speaker = ours = Http2(owner)  # type: ignore[arg-type]
    data = (GREETING if is_greeted else b"") + b"".join(pieces)
    for at in range(0, len(data), cut):
        if not ours.receive(data[at : at + cut]):
            sent = owner.take()
            assert sent[-17:-8] == frame(7, 0, 0, bytes(8))[:9] and int.from_bytes(sent[-4:]) > 0
            return


BREACHES: dict[str, tuple[bytes, h2.errors.ErrorCodes]] = {
    "data on no stream": (frame(0, 0, 0, b"x"), h2.errors.ErrorCodes.PROTOCOL_ERROR),
    "data before its request": (frame(0, 0, 1, b"x"), h2.errors.ErrorCodes.PROTOCOL_ERROR),
    "data behind the end": (headers(1) + frame(0, 1, 1, MESSAGE) + frame(0, 0, 1, b"x"), h2.errors.ErrorCodes.STREAM_CLOSED),
    "data behind a reset": (headers(1) + frame(3, 0, 1, bytes(4)) + frame(0, 0, 1, b"x"), h2.errors.ErrorCodes.STREAM_CLOSED),
    "more padding than data": (headers(1) + frame(0, 8, 1, b"\x05x"), h2.errors.ErrorCodes.PROTOCOL_ERROR),
    "body of another length": (
        frame(1, 4, 1, HEAD + b"\x0f\x0d\x0213") + frame(0, 1, 1, MESSAGE), h2.errors.ErrorCodes.PROTOCOL_ERROR),
    "request on no stream": (headers(0), h2.errors.ErrorCodes.PROTOCOL_ERROR),
    "request on a stream of ours": (headers(2), h2.errors.ErrorCodes.PROTOCOL_ERROR),
    "request again": (headers(1) + headers(1), h2.errors.ErrorCodes.PROTOCOL_ERROR),
    "request on an older stream": (headers(5) + headers(3), h2.errors.ErrorCodes.STREAM_CLOSED),
    "trailers that do not end": (headers(1) + frame(1, 4, 1, b"\x00\x01a\x01b"), h2.errors.ErrorCodes.PROTOCOL_ERROR),
    "trailers for a head": (frame(1, 5, 1, b"\x00\x01a\x01b"), h2.errors.ErrorCodes.PROTOCOL_ERROR),
    "cut priority": (frame(1, 0x24, 1, b"abc"), h2.errors.ErrorCodes.FRAME_SIZE_ERROR),
    "no block": (frame(1, 5, 1, b"\x80"), h2.errors.ErrorCodes.COMPRESSION_ERROR),
    "frame inside a block": (frame(1, 0, 1, HEAD) + frame(6, 0, 0, bytes(8)), h2.errors.ErrorCodes.PROTOCOL_ERROR),
    "another stream inside a block": (frame(1, 0, 1, HEAD) + frame(9, 4, 3, b""), h2.errors.ErrorCodes.PROTOCOL_ERROR),
    "unknown frame inside a block": (frame(1, 0, 1, HEAD) + frame(99, 0, 1, b""), h2.errors.ErrorCodes.PROTOCOL_ERROR),
    "continuation of nothing": (frame(9, 4, 1, HEAD), h2.errors.ErrorCodes.PROTOCOL_ERROR),
    "endless block": (frame(1, 0, 1, HEAD) + frame(9, 0, 1, bytes(16_384)), h2.errors.ErrorCodes.ENHANCE_YOUR_CALM),
    "priority of no stream": (frame(2, 0, 0, bytes(5)), h2.errors.ErrorCodes.PROTOCOL_ERROR),
    "priority of four": (frame(2, 0, 1, bytes(4)), h2.errors.ErrorCodes.FRAME_SIZE_ERROR),
    "reset of nothing": (frame(3, 0, 1, bytes(4)), h2.errors.ErrorCodes.PROTOCOL_ERROR),
    "reset of no stream": (frame(3, 0, 0, bytes(4)), h2.errors.ErrorCodes.PROTOCOL_ERROR),
    "reset of five": (headers(1) + frame(3, 0, 1, bytes(5)), h2.errors.ErrorCodes.FRAME_SIZE_ERROR),
    "settings of a stream": (frame(4, 0, 1, b""), h2.errors.ErrorCodes.PROTOCOL_ERROR),
    "settings of five": (frame(4, 0, 0, bytes(5)), h2.errors.ErrorCodes.FRAME_SIZE_ERROR),
    "settings in an acknowledgement": (frame(4, 1, 0, bytes(6)), h2.errors.ErrorCodes.FRAME_SIZE_ERROR),
    "push of two": (frame(4, 0, 0, struct.pack("!HI", 2, 2)), h2.errors.ErrorCodes.PROTOCOL_ERROR),
    "window too large": (frame(4, 0, 0, struct.pack("!HI", 4, 1 << 31)), h2.errors.ErrorCodes.FLOW_CONTROL_ERROR),
    "small frames": (frame(4, 0, 0, struct.pack("!HI", 5, 16_383)), h2.errors.ErrorCodes.PROTOCOL_ERROR),
    "push": (frame(5, 4, 1, bytes(8)), h2.errors.ErrorCodes.PROTOCOL_ERROR),
    "ping of a stream": (frame(6, 0, 1, bytes(8)), h2.errors.ErrorCodes.PROTOCOL_ERROR),
    "ping of seven": (frame(6, 0, 0, bytes(7)), h2.errors.ErrorCodes.FRAME_SIZE_ERROR),
    "goodbye of a stream": (frame(7, 0, 1, bytes(8)), h2.errors.ErrorCodes.PROTOCOL_ERROR),
    "goodbye of seven": (frame(7, 0, 0, bytes(7)), h2.errors.ErrorCodes.FRAME_SIZE_ERROR),
    "window of nothing": (frame(8, 0, 0, bytes(4)), h2.errors.ErrorCodes.PROTOCOL_ERROR),
    "window of no stream yet": (frame(8, 0, 7, (1).to_bytes(4)), h2.errors.ErrorCodes.PROTOCOL_ERROR),
    "window of three": (frame(8, 0, 0, bytes(3)), h2.errors.ErrorCodes.FRAME_SIZE_ERROR),
    "window beyond 31 bits": (frame(8, 0, 0, (0x7FFFFFFF).to_bytes(4)), h2.errors.ErrorCodes.FLOW_CONTROL_ERROR),
    "window of a stream beyond 31 bits": (
        headers(1) + frame(8, 0, 1, (0x7FFFFFFF).to_bytes(4)), h2.errors.ErrorCodes.FLOW_CONTROL_ERROR),
    "settings beyond 31 bits": (
        headers(1) + frame(8, 0, 1, (0x70000000).to_bytes(4)) + frame(4, 0, 0, struct.pack("!HI", 4, 0x70000000)),
        h2.errors.ErrorCodes.FLOW_CONTROL_ERROR),
    "frame too large": (frame(0, 0, 1, bytes(16_385)), h2.errors.ErrorCodes.FRAME_SIZE_ERROR),
}  # fmt: skip


@pytest.mark.parametrize("breach", BREACHES)
def test_breach_of_the_protocol_ends_the_connection(breach: str) -> None:
    """Each with the code that RFC 9113 has for it."""
    data, code = BREACHES[breach]
    owner = Owner(lambda ask: None)
    owner.speaker = ours = Http2(owner)  # type: ignore[arg-type]
    assert ours.receive(GREETING)
    assert not ours.receive(data)
    assert owner.take()[-8:][4:] == code.to_bytes(4)


NO_GREETINGS = [b"GET / HTTP/1.1\r\n\r\n", GREETING[:24] + frame(6, 0, 0, bytes(8)), GREETING[:24] + frame(4, 1, 0, b"")]


@pytest.mark.parametrize("greeting", NO_GREETINGS, ids=["HTTP/1.1", "ping", "acknowledgement"])
def test_greeting_is_the_preface_and_settings(greeting: bytes) -> None:
    """RFC 9113 §3.4."""
    owner = Owner()
    assert not Http2(owner).receive(greeting)  # type: ignore[arg-type]
    assert owner.take()[-4:] == h2.errors.ErrorCodes.PROTOCOL_ERROR.to_bytes(4)


def test_streams_beyond_the_limit_are_refused_one_by_one() -> None:
    """A client that opens many before it has read our settings may ask again (RFC 9113 §5.1.2); one that goes on for ever has to go."""
    owner = Owner(lambda ask: None)
    owner.speaker = ours = Http2(owner)  # type: ignore[arg-type]

    def make(number: int) -> bytes:
        return headers(2 * number + 1) + frame(0, 1, 2 * number + 1, MESSAGE)

    assert ours.receive(GREETING + b"".join(map(make, range(150))))
    assert len(owner.asked) == 100
    sent = owner.take()
    assert sent.count(h2.errors.ErrorCodes.REFUSED_STREAM.to_bytes(4)) >= 50
    for number in range(100):
        ours.answer(2 * number + 1, 1, MESSAGE)
    assert ours.receive(make(150)) and len(owner.asked) == 101
    assert not ours.receive(b"".join(map(make, range(151, 500))))


def test_client_without_a_table_is_told_that_there_is_none() -> None:
    """A table that became smaller has to be acknowledged in front of the next block (RFC 7541 §4.2), once."""
    owner = Owner()
    owner.speaker = ours = Http2(owner)  # type: ignore[arg-type]
    assert ours.receive(GREETING[:24] + frame(4, 0, 0, struct.pack("!HI", 1, 0)))
    owner.take()
    decoder = Decoder()
    decoder.max_allowed_table_size = 0
    for number in (1, 3):
        assert ours.receive(headers(number) + frame(0, 1, number, MESSAGE))
        block = owner.take()
        fields = decoder.decode(block[9 : 9 + int.from_bytes(block[:3])])
        assert fields[0] == (":status", "200") and (block[9] == 0x20) is (number == 1)


def test_end_lets_what_was_asked_be_answered() -> None:
    """A listener that closes says so; answers under way still leave, new requests are refused."""
    pair = Pair(Owner(lambda ask: None))
    stream = pair.post()
    pair.exchange()
    pair.ours.end()
    pair.ours.answer(stream, 5, MESSAGE)
    goodbye, answer = pair.owner.sent
    assert goodbye == frame(7, 0, 0, stream.to_bytes(4) + bytes(4)) and answer.endswith(frame(0, 1, stream, MESSAGE))
    data = headers(stream + 2) + frame(0, 1, stream + 2, MESSAGE)
    assert pair.ours.receive(data) and len(pair.owner.asked) == 1
