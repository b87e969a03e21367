"""Connections that ask nothing: they are lent, and nobody closes the pages with them. A real server on a real socket."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import uvicorn

from admin.edge.connections import HEAD_SECONDS, MOST, MOST_WAITING_EACH, LendingServer, LentConnection
from admin.process import _Server
from tests.support.certificates import Authority

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
REQUEST = b"GET / HTTP/1.1\r\nhost: pages\r\n\r\n"


class Hasty(LentConnection):
    """Less patience, for tests."""

    head_seconds = 1.0


class HastyServer(LendingServer):
    """Less patience with handshakes, for tests."""

    handshake_seconds = 1.0


async def _app(scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
    if scope["path"] == "/slow":
        await asyncio.sleep(3)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def pages(
    protocol: type[LentConnection], certificate: Path | None = None, key: Path | None = None, serving: type[LendingServer] = LendingServer
) -> AsyncIterator[int]:
    """A server with this protocol, over TLS where there is a certificate; its port."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(512)
    config = uvicorn.Config(
        _app,
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        limit_concurrency=MOST,
        timeout_keep_alive=20,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    server = serving(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    running = asyncio.create_task(server._serve([listener]))
    while not server.started:  # noqa: ASYNC110 - the server has no event for it
        await asyncio.sleep(0.01)
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        server.force_exit = True
        await running
        listener.close()


async def connect(stack: AsyncExitStack, port: int, source: str = "127.0.0.1") -> Stream:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    stack.callback(writer.close)
    return reader, writer


async def status(stream: Stream, request: bytes = REQUEST) -> int:
    """The status of one request on this connection; 0 when it was ended instead."""
    reader, writer = stream
    writer.write(request)
    async with asyncio.timeout(20):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(2)
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0
    return int(head.split()[1])


async def test_silent_connections_close_the_pages_for_nobody() -> None:
    """One device opens more than there are places and says nothing: its neighbours, and itself, read pages at once."""
    async with pages(LentConnection) as port, AsyncExitStack() as stack:
        kept = [await connect(stack, port, "127.0.0.2") for _ in range(6)]
        assert [await status(one) for one in kept] == [200] * 6
        silent = [await connect(stack, port) for _ in range(MOST + 50)]
        await asyncio.sleep(0.2)
        began = time.monotonic()
        assert await status(await connect(stack, port, "127.0.0.3")) == 200
        assert await status(await connect(stack, port)) == 200
        assert time.monotonic() - began < 5
        assert [await status(one) for one in kept] == [200] * 6, "a browser with connections it keeps was disturbed"
        ended = sum(reader.at_eof() or reader.exception() is not None for reader, _ in silent)
        assert ended >= MOST + 50 - MOST_WAITING_EACH - 1


async def test_many_addresses_take_each_others_waiting_places() -> None:
    """Where all places are lent, whoever waits longest goes; a new one is served."""
    async with pages(LentConnection) as port, AsyncExitStack() as stack:
        for number in range(MOST + 40):
            await connect(stack, port, f"127.0.{1 + number % 8}.1")
        await asyncio.sleep(0.2)
        assert await status(await connect(stack, port, "127.0.9.9")) == 200


async def test_what_is_under_way_is_never_ended() -> None:
    """A slow answer arrives, whatever opens beside it, and however long it takes."""
    async with pages(Hasty) as port, AsyncExitStack() as stack:
        slow = asyncio.create_task(status(await connect(stack, port), REQUEST.replace(b"GET / ", b"GET /slow ")))
        await asyncio.sleep(0.1)
        for _ in range(MOST + 20):
            await connect(stack, port)
        assert await slow == 200


async def test_head_that_drips_or_never_comes_is_late() -> None:
    """Silence, a head letter by letter, and a second head on a kept connection end after their time."""
    async with pages(Hasty) as port, AsyncExitStack() as stack:
        quiet, dripping, second = [await connect(stack, port) for _ in range(3)]
        assert await status(second) == 200
        await asyncio.sleep(1.5)
        second[1].write(REQUEST[:5])
        began = time.monotonic()
        while time.monotonic() - began < 4:
            dripping[1].write(b"G")
            await asyncio.sleep(0.1)
        for reader, _ in (quiet, dripping, second):
            async with asyncio.timeout(10):
                with suppress(ConnectionError):
                    assert await reader.read() == b""


async def test_silent_handshake_is_late_like_a_silent_request(tmp_path: Path) -> None:
    """Over TLS, too, a connection that says nothing ends, and so does one that stops in the middle of a handshake; a browser is served."""
    made = Authority(tmp_path).vouch("127.0.0.1")
    async with pages(LentConnection, made.certificate, made.key, HastyServer) as port, AsyncExitStack() as stack:
        silent, broken_off = [await connect(stack, port) for _ in range(2)]
        broken_off[1].write(bytes.fromhex("1603010200"))
        began = time.monotonic()
        for reader, _ in (silent, broken_off):
            async with asyncio.timeout(10):
                with suppress(ConnectionError):
                    assert await reader.read() == b""
        assert 0.8 < time.monotonic() - began < 8
        trust = ssl.create_default_context()
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
        browser = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
        stack.callback(browser[1].close)
        await asyncio.sleep(1.5)
        assert await status(browser) == 200, "whoever has shaken hands is held to the time of a request only"


async def test_silent_handshakes_have_places_too(tmp_path: Path) -> None:
    """One device opens hundreds and shakes no hands: the oldest of its own end at once, nobody else's do, and all are served."""
    made = Authority(tmp_path).vouch("127.0.0.1")
    trust = ssl.create_default_context()
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    async with pages(LentConnection, made.certificate, made.key) as port, AsyncExitStack() as stack:

        async def browse(source: str) -> int:
            stream = await asyncio.open_connection("127.0.0.1", port, ssl=trust, local_addr=(source, 0))
            stack.callback(stream[1].close)
            return await status(stream)

        neighbour = await connect(stack, port, "127.0.0.2")
        silent = [await connect(stack, port) for _ in range(MOST + 50)]
        await asyncio.sleep(0.3)
        ended = sum(reader.at_eof() or reader.exception() is not None for reader, _ in silent)
        assert ended == MOST + 50 - MOST_WAITING_EACH
        assert not neighbour[0].at_eof()
        assert [await browse("127.0.0.3"), await browse("127.0.0.1")] == [200, 200]


async def test_handshakes_of_many_addresses_take_each_others_places(tmp_path: Path) -> None:
    """Where all places are taken, the oldest handshake goes; a browser is served."""
    made = Authority(tmp_path).vouch("127.0.0.1")
    trust = ssl.create_default_context()
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    async with pages(LentConnection, made.certificate, made.key) as port, AsyncExitStack() as stack:
        silent = [await connect(stack, port, f"127.0.{1 + number % 8}.1") for number in range(MOST + 40)]
        await asyncio.sleep(0.3)
        assert sum(reader.at_eof() or reader.exception() is not None for reader, _ in silent) == 40
        browser = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
        stack.callback(browser[1].close)
        assert await status(browser) == 200


async def test_a_flood_of_connections_stops_nobody(tmp_path: Path) -> None:
    """One device opens thousands as fast as it can: the loop goes round all the while, the places are held, a browser is served."""
    made = Authority(tmp_path).vouch("127.0.0.1")
    trust = ssl.create_default_context()
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    late, most, ended = 0.0, 0, threading.Event()

    def flood(port: int) -> None:
        kept: deque[socket.socket] = deque(maxlen=400)  # what falls out is closed
        until = time.monotonic() + 2.0
        while time.monotonic() < until and not ended.is_set():
            one = socket.socket()
            one.settimeout(1.0)
            with suppress(OSError):
                one.connect(("127.0.0.1", port))
            kept.append(one)
            if len(kept) == kept.maxlen:
                kept.popleft().close()
        for one in kept:
            one.close()

    async with pages(LentConnection, made.certificate, made.key) as port, AsyncExitStack() as stack:
        before = len(os.listdir("/proc/self/fd"))
        flooding = threading.Thread(target=flood, args=(port,))
        flooding.start()
        try:
            while flooding.is_alive():
                now = time.monotonic()
                await asyncio.sleep(0.01)
                late = max(late, time.monotonic() - now)
                most = max(most, len(os.listdir("/proc/self/fd")) - before)
                if late > 1.5:
                    break
        finally:
            ended.set()
            await asyncio.to_thread(flooding.join)
        assert late < 1.5
        assert most < 400 + 2 * MOST_WAITING_EACH + 50, "the flooder's own, and the places it may hold"
        browser = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
        stack.callback(browser[1].close)
        assert await status(browser) == 200


def test_pages_give_a_handshake_ten_seconds() -> None:
    """The program itself uses this server, with the time that is promised."""
    assert issubclass(_Server, LendingServer)
    assert _Server.handshake_seconds == HEAD_SECONDS == 10
