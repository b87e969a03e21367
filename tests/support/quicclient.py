"""A client of DNS over QUIC that can also misbehave: raw octets on streams of its choice."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection


class QuicClient(QuicConnectionProtocol):
    """One connection. `closed_with` is the error code the server ended it with, None while it lives."""

    def __init__(self, *arguments: Any, **options: Any) -> None:  # Any: what aioquic hands over
        super().__init__(*arguments, **options)
        self.closed_with: int | None = None
        self.received: dict[int, bytes] = {}
        self.resets: dict[int, int] = {}
        self._done: dict[int, asyncio.Event] = {}

    def quic_event_received(self, event: events.QuicEvent) -> None:
        """aioquic's callback."""
        if isinstance(event, events.StreamDataReceived):
            self.received[event.stream_id] = self.received.get(event.stream_id, b"") + event.data
            if event.end_stream:
                self._event(event.stream_id).set()
        elif isinstance(event, events.StreamReset):
            self.resets[event.stream_id] = event.error_code
            self._event(event.stream_id).set()
        elif isinstance(event, events.ConnectionTerminated):
            self.closed_with = event.error_code
            for waiting in self._done.values():
                waiting.set()

    def send(self, data: bytes, end: bool = True, stream: int | None = None, unidirectional: bool = False) -> int:
        """Octets on a new stream, or on one more piece of an old one; its number."""
        ident = self._quic.get_next_available_stream_id(is_unidirectional=unidirectional) if stream is None else stream
        self._quic.send_stream_data(ident, data, end_stream=end)
        self.transmit()
        return ident

    def cancel(self, stream: int) -> None:
        """Want no answer any more."""
        self._quic.stop_stream(stream, 3)
        self.transmit()

    async def answer(self, stream: int, seconds: float = 5) -> bytes | None:
        """What came back on a stream until its end, None when it was reset or the connection ended."""
        await asyncio.wait_for(self._event(stream).wait(), seconds)
        return None if stream in self.resets or self.closed_with is not None else self.received.get(stream, b"")

    async def ask(self, message: bytes) -> bytes | None:
        """The reply to one message, None when there is none."""
        whole = await self.answer(self.send(len(message).to_bytes(2, "big") + message))
        if whole is None:
            return None
        assert len(whole) == 2 + int.from_bytes(whole[:2], "big"), "one message with its length"
        return whole[2:]

    async def ended(self, seconds: float = 5) -> int:
        """The error the server ends the connection with."""
        end = self._loop.time() + seconds
        while self.closed_with is None:
            assert self._loop.time() < end, "the connection lives on"
            await asyncio.sleep(0.02)
        return self.closed_with

    def _event(self, stream: int) -> asyncio.Event:
        return self._done.setdefault(stream, asyncio.Event())


@contextlib.asynccontextmanager
async def dial(
    port: int, authority: Path | None, name: str = "dns.example", alpn: str = "doq", source: str | None = None, **options: Any
) -> AsyncIterator[QuicClient]:
    """A connection to 127.0.0.1 whose server proves `name`; without `authority` whoever it is. From `source` if one is given."""
    settings = QuicConfiguration(is_client=True, alpn_protocols=[alpn], server_name=name, idle_timeout=20, **options)
    if authority is None:
        settings.verify_mode = ssl.CERT_NONE
    else:
        settings.load_verify_locations(str(authority))
    if source is None:
        async with connect("127.0.0.1", port, configuration=settings, create_protocol=QuicClient) as client:
            assert isinstance(client, QuicClient)
            yield client
        return
    loop = asyncio.get_running_loop()
    quic = QuicConnection(configuration=settings)
    transport, mine = await loop.create_datagram_endpoint(lambda: QuicClient(quic), local_addr=(source, 0))
    try:
        mine.connect(("127.0.0.1", port))
        await mine.wait_connected()
        yield mine
    finally:
        mine.close()
        await mine.wait_closed()
        transport.close()


def exchange(port: int, authority: Path, message: bytes, name: str) -> bytes | None:
    """One query on a connection of its own."""

    async def once() -> bytes | None:
        async with dial(port, authority, name) as client:
            return await client.ask(message)

    return asyncio.run(once())
