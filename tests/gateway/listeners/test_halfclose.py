"""A client that has said everything and still listens: every answer arrives, over TCP and over TLS, whoever reads slowly."""

from __future__ import annotations

import asyncio
import ssl
import time
from pathlib import Path

import pytest

from gateway.listeners.stream import StreamListener
from gateway.settings import Limits
from tests.support.slowreaders import SecureReader, framed, listening, numbers

QUESTIONS = 300
"""Each with an answer of 15 KiB: far more than a socket and a connection's budget hold at once."""


@pytest.mark.parametrize("notify", [True, False], ids=["close_notify", "FIN alone"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
async def test_every_answer_arrives_after_a_half_close(tmp_path: Path, version: ssl.TLSVersion, notify: bool) -> None:
    """Many questions in one go, one whose answer takes its time, then the client's side is closed; it reads only a while later."""
    async with listening(tmp_path, StreamListener, Limits()) as (_, connect, trust):
        trust.maximum_version = version

        def talk() -> bytes:
            client = connect()
            client.send(framed("big.example.com", "TXT", 1))  # the rest is answered at once, from what is known
            questions = [framed("late.example.com", "A", 2), *(framed("big.example.com", "TXT", 3 + n) for n in range(QUESTIONS))]
            client.send(b"".join(questions))
            client.say_everything_is_said(notify=notify)
            time.sleep(0.7)
            with client.sock:
                return client.rest()

        assert sorted(numbers(await asyncio.to_thread(talk))) == list(range(1, QUESTIONS + 3))


async def test_client_that_reads_slowly_after_its_goodbye_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time to end is counted from the last octet it took, not from the goodbye."""
    monkeypatch.setattr("gateway.listeners.secure.LINGER_SECONDS", 1.0)
    async with listening(tmp_path, StreamListener, Limits(tcp_write_bytes=32 << 20)) as (_, connect, _):

        def talk() -> bytes:
            client = connect()
            client.send(b"".join(framed("big.example.com", "TXT", n) for n in range(600)))
            client.say_everything_is_said(notify=True)
            with client.sock:
                return client.rest(pause=0.1)

        assert sorted(numbers(await asyncio.to_thread(talk))) == list(range(600))


async def test_client_that_never_reads_after_its_goodbye_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps its place for a moment, not for ever."""
    monkeypatch.setattr("gateway.listeners.secure.LINGER_SECONDS", 0.4)
    async with listening(tmp_path, StreamListener, Limits(tcp_query=0.6)) as (_, connect, _):

        def begin() -> SecureReader:
            client = connect()
            client.send(b"".join(framed("big.example.com", "TXT", n) for n in range(QUESTIONS)))
            client.say_everything_is_said(notify=True)
            return client

        client = await asyncio.to_thread(begin)
        await asyncio.sleep(3.0)
        with client.sock, pytest.raises((ConnectionError, AssertionError)):
            assert sorted(numbers(await asyncio.to_thread(client.rest))) == list(range(QUESTIONS))
