"""TLS as a transport: what asyncio promises its protocols, held on real sockets with an ordinary client."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.listeners import secure
from gateway.listeners.secure import SecureTransport
from tests.support.certificates import Authority


@dataclass
class Served(asyncio.Protocol):
    """What one connection heard; `answer` is done with everything that arrives."""

    answer: Callable[[SecureTransport, bytes], None] = lambda transport, data: None
    made: int = 0
    lost: int = 0
    ended: int = 0
    stalls: list[str] = field(default_factory=list)
    got: bytearray = field(default_factory=bytearray)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, SecureTransport)
        self.made += 1
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.got += data
        self.answer(self.transport, data)

    def eof_received(self) -> bool:
        self.ended += 1
        return False

    def pause_writing(self) -> None:
        self.stalls.append("pause")

    def resume_writing(self) -> None:
        self.stalls.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost += 1


class Server:
    """Accepts one connection after the other, each with the next of `protocols`."""

    def __init__(self, folder: Path, seconds: float = 5.0) -> None:
        authority = Authority(folder)
        vouched = authority.vouch("dns.example")
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(vouched.certificate, vouched.key)
        self.trust = ssl.create_default_context(cafile=str(authority.file))
        self.seconds = seconds
        self.met: list[bool] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.setblocking(False)
        self.port: int = self._listening.getsockname()[1]

    async def serve(self, protocol: Served) -> SecureTransport:
        """Take the next connection."""
        loop = asyncio.get_running_loop()
        accepted, _ = await loop.sock_accept(self._listening)
        met: Callable[[object, object, bool], None] = lambda transport, who, is_done: self.met.append(is_done)  # noqa: E731
        return SecureTransport(loop, accepted, self.context, protocol, self.seconds, met)

    async def connect(self, protocol: Served) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A client of this server."""
        opening = asyncio.open_connection("127.0.0.1", self.port, ssl=self.trust, server_hostname="dns.example")
        (reader, writer), _ = await asyncio.gather(opening, self.serve(protocol))
        await until(lambda: protocol.made == 1)
        return reader, writer

    def close(self) -> None:
        """Accept no more."""
        self._listening.close()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """A server on loopback."""
    made = Server(tmp_path)
    yield made
    made.close()


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - a transport has no event to wait for
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_everything_arrives_in_order_both_ways(server: Server, version: ssl.TLSVersion) -> None:
    """Two megabytes there and back at once, in both versions of TLS."""
    server.trust.maximum_version = version
    protocol = Served(lambda transport, data: transport.write(data))
    reader, writer = await server.connect(protocol)
    sent = os.urandom(1 << 21)
    writer.write(sent)
    assert await reader.readexactly(len(sent)) == sent
    assert protocol.transport.get_extra_info("ssl_object").version() == version.name.replace("_", ".")
    writer.close()
    await until(lambda: protocol.lost == 1)
    assert (protocol.made, protocol.ended, server.met) == (1, 1, [True])


async def test_client_that_does_not_read_stalls_the_protocol_until_it_does(server: Server) -> None:
    """`pause_writing` above the limit, `resume_writing` below it; nothing is lost."""
    protocol = Served()
    reader, writer = await server.connect(protocol)
    protocol.transport.set_write_buffer_limits(high=100_000, low=10_000)
    reader._transport.pause_reading()  # type: ignore[attr-defined]
    sent = bytearray()
    while not protocol.stalls:
        part = os.urandom(50_000)
        protocol.transport.write(part)
        sent += part
    assert protocol.transport.get_write_buffer_size() > 100_000
    reader._transport.resume_reading()  # type: ignore[attr-defined]
    assert await reader.readexactly(len(sent)) == bytes(sent)
    assert protocol.stalls == ["pause", "resume"] and protocol.transport.get_write_buffer_size() == 0
    writer.close()
    await until(lambda: protocol.lost == 1)


async def test_reading_that_is_paused_leaves_octets_in_the_system(server: Server) -> None:
    """And goes on where it was."""
    protocol = Served()
    _, writer = await server.connect(protocol)
    protocol.transport.pause_reading()
    writer.write(b"x" * 1000)
    await asyncio.sleep(0.1)
    assert not protocol.got and not protocol.transport.is_reading()
    protocol.transport.resume_reading()
    await until(lambda: len(protocol.got) == 1000)
    writer.close()
    await until(lambda: protocol.lost == 1)


async def test_last_words_reach_a_client_that_goes_on_sending(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ending sends all that was written and says goodbye; a client that does not end its side is waited for, but not for ever."""
    monkeypatch.setattr(secure, "LINGER_SECONDS", 0.5)
    protocol = Served()
    reader, writer = await server.connect(protocol)
    protocol.transport.pause_reading()
    writer.write(bytes(200_000))
    protocol.transport.write(b"w" * 300_000)
    protocol.transport.close()
    protocol.transport.close()
    protocol.transport.write(b"too late")
    assert protocol.transport.is_closing() and not protocol.lost
    assert await reader.readexactly(300_000) == b"w" * 300_000
    await until(lambda: protocol.lost == 1, 3)
    assert not protocol.ended
    writer.transport.abort()


@pytest.mark.parametrize("is_abrupt", [True, False])
async def test_client_that_ends_is_gone_at_once(server: Server, is_abrupt: bool) -> None:
    """With a goodbye or without one."""
    protocol = Served()
    _, writer = await server.connect(protocol)
    writer.write(b"last")
    await until(lambda: protocol.got == b"last")
    if is_abrupt:
        writer.transport.get_extra_info("socket").shutdown(socket.SHUT_WR)
    else:
        writer.close()
    await until(lambda: protocol.lost == 1, 1)
    assert protocol.ended == 1
    writer.transport.abort()


async def test_end_finds_out_that_nobody_is_there(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """The client was reset while reading was paused: closing neither raises nor listens to a descriptor that is closed."""
    protocol = Served()
    _, writer = await server.connect(protocol)
    protocol.transport.pause_reading()
    client = writer.transport.get_extra_info("socket")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    await asyncio.sleep(0.05)
    protocol.transport.close()
    await until(lambda: protocol.lost == 1)
    assert not caplog.records


async def test_protocol_may_end_it_inside_any_call(server: Server) -> None:
    """Aborted while data is being handed on: no call comes behind the last one."""
    protocol = Served(lambda transport, data: transport.abort())
    _, writer = await server.connect(protocol)
    writer.write(b"x" * 50_000)
    await until(lambda: protocol.lost == 1)
    assert protocol.ended == 0 and len(protocol.got) <= 50_000
    protocol.transport.write(b"x")
    protocol.transport.close()
    protocol.transport.abort()
    writer.transport.abort()


async def test_fault_of_a_protocol_ends_its_connection(server: Server) -> None:
    """It is told to the loop, and the client does not wait for nothing."""
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["exception"]))

    def fail(transport: SecureTransport, data: bytes) -> None:
        raise ZeroDivisionError

    protocol = Served(fail)
    _, writer = await server.connect(protocol)
    writer.write(b"x")
    await until(lambda: protocol.lost == 1)
    assert [type(one) for one in told] == [ZeroDivisionError]
    writer.transport.abort()


async def test_fault_when_a_protocol_first_hears_ends_its_connection(server: Server) -> None:
    """The same at the end of the handshake."""
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["exception"]))
    protocol = Served()

    def fail(transport: asyncio.BaseTransport) -> None:
        protocol.made += 1
        raise ZeroDivisionError

    protocol.connection_made = fail  # type: ignore[method-assign]
    _, writer = await server.connect(protocol)
    await until(lambda: protocol.lost == 1)
    assert [type(one) for one in told] == [ZeroDivisionError]
    writer.transport.abort()


async def test_handshake_in_single_octets_succeeds(server: Server) -> None:
    """Whatever the pieces."""
    protocol = Served()
    inside, outside = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = server.trust.wrap_bio(inside, outside, server_hostname="dns.example")
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    await server.serve(protocol)
    while True:
        try:
            client.do_handshake()
            break
        except ssl.SSLWantReadError:
            for octet in outside.read():
                writer.write(bytes([octet]))
                await asyncio.sleep(0)
            inside.write(await reader.read(65_536))
    client.write(b"hello")
    for octet in outside.read():
        writer.write(bytes([octet]))
        await asyncio.sleep(0)
    await until(lambda: protocol.got == b"hello")
    writer.transport.abort()
    await until(lambda: protocol.lost == 1)


@pytest.mark.parametrize("words", [b"GET / HTTP/1.1\r\n\r\n", b"", b"\x16\x03\x01\x00"])
async def test_handshake_that_comes_to_nothing(tmp_path: Path, words: bytes) -> None:
    """Of no TLS, of silence, of half a greeting: the protocol never hears of it, the listener does, and the socket is closed."""
    server = Server(tmp_path, seconds=0.3)
    protocol = Served()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    transport = await server.serve(protocol)
    writer.write(words)
    async with asyncio.timeout(3):
        while await reader.read(1000):
            pass
    await until(lambda: server.met == [False])
    assert (protocol.made, protocol.lost) == (0, 0) and transport.is_closing()
    writer.close()
    server.close()


async def test_broken_record_ends_the_connection(server: Server) -> None:
    """Octets that were not encrypted for us are handed on to nobody."""
    protocol = Served()
    _, writer = await server.connect(protocol)
    raw = writer.transport.get_extra_info("socket")
    os.write(raw.fileno(), b"\x17\x03\x03\x00\x20" + bytes(32))
    await until(lambda: protocol.lost == 1)
    assert not protocol.got
    writer.transport.abort()
