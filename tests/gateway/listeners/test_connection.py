"""A client that reads slowly when the listener stops: it is served while it goes on reading; who takes nothing, or drips, is not."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.listeners.stream import StreamListener
from gateway.settings import Limits
from tests.support.oneworker import OneWorker
from tests.support.slowreaders import BIG, PlainReader, SecureReader, Slow, framed, listening, numbers

QUESTIONS = 900
"""Each with an answer of 15 KiB: more than the system holds for one connection, whatever it is set to."""


@asynccontextmanager
async def opened(folder: Path, kind: str, limits: Limits) -> AsyncIterator[tuple[StreamListener, Callable[[], PlainReader | SecureReader]]]:
    """A listener, and how a client of it is made."""
    if kind == "tcp":
        async with Slow(BIG) as upstream, OneWorker(folder, upstream, limits=limits) as worker:
            yield worker.streams, lambda: PlainReader(worker.server)
    else:
        async with listening(folder, StreamListener, limits) as (listener, connect, _):
            yield listener, connect


@pytest.mark.parametrize("kind", ["tcp", "dot"])
async def test_client_that_goes_on_reading_gets_all_it_asked_for(tmp_path: Path, kind: str) -> None:
    """Many questions in one go, and then the listener stops: the client takes seconds to read, and every answer arrives whole."""
    async with opened(tmp_path, kind, Limits()) as (listener, make):

        def begin() -> PlainReader | SecureReader:
            client = make()
            client.send(b"".join(framed("big.example.com", "TXT", n) for n in range(QUESTIONS)))
            return client

        client = await asyncio.to_thread(begin)
        await until(lambda: any(each._stalled_at for each in listener.connections))
        listener.stop()
        begun = time.monotonic()
        with client.sock:
            got = await asyncio.to_thread(client.rest, 0.1)
        assert time.monotonic() - begun > 2.5, "it read too fast to show anything"
        assert sorted(numbers(got)) == list(range(QUESTIONS))
        await until(lambda: listener.is_idle)


@pytest.mark.parametrize("kind", ["tcp", "dot"])
async def test_client_that_takes_nothing_is_waited_for_a_moment_only(tmp_path: Path, kind: str) -> None:
    """It costs the last call and one farewell, however much was asked."""
    async with opened(tmp_path, kind, Limits()) as (listener, make):

        def begin() -> PlainReader | SecureReader:
            client = make()
            client.send(b"".join(framed("big.example.com", "TXT", n) for n in range(QUESTIONS)))
            return client

        client = await asyncio.to_thread(begin)
        with client.sock:
            await until(lambda: any(each._stalled_at for each in listener.connections))
            begun = asyncio.get_running_loop().time()
            listener.stop()
            await until(lambda: listener.is_idle)
            assert asyncio.get_running_loop().time() - begun < 4.0


@pytest.mark.parametrize("kind", ["tcp", "dot"])
async def test_client_that_drips_after_its_goodbye_has_one_bound_for_all(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taking a few octets again and again wins no more time than is written down."""
    monkeypatch.setattr("gateway.listeners.connection.REST_SECONDS", 2.0)
    monkeypatch.setattr("gateway.listeners.secure.REST_SECONDS", 2.0)
    async with opened(tmp_path, kind, Limits(tcp_query=1.0, tcp_write_bytes=64 << 20)) as (listener, make):

        def begin() -> PlainReader | SecureReader:
            client = make()
            client.send(b"".join(framed("big.example.com", "TXT", n) for n in range(QUESTIONS)))
            client.say_everything_is_said()
            return client

        client = await asyncio.to_thread(begin)
        loop = asyncio.get_running_loop()
        with client.sock:
            client.sock.setblocking(False)
            await until(lambda: any(each._transport.get_write_buffer_size() for each in listener.connections))
            begun = loop.time()
            while not listener.is_idle and loop.time() - begun < 10:
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    client.sock.recv(16_384)
                await asyncio.sleep(0.05)
            assert 1.5 < loop.time() - begun < 5


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - listeners have no event to wait for
            await asyncio.sleep(0.01)
