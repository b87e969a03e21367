"""HTTP/2 as a conversation, and the budgets that end one."""

from __future__ import annotations

from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import pytest

from gateway.listeners import http2 as module
from gateway.listeners.http import Ask
from gateway.listeners.http2 import Http2
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
    """The library would remember 65,536 of them for each connection."""
    pair = Pair(Owner())
    for _ in range(1500):
        pair.post()
        pair.exchange()
    assert len(pair.ours._h2._closed_streams) <= 1000 and len(pair.ours._h2.streams) <= 2
    assert pair.is_alive
