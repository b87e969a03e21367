"""A client that has said everything and still listens: every answer arrives, over TCP and over TLS, whoever reads slowly."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import dns.message
import pytest

from gateway.listeners.doh import DohListener
from gateway.listeners.stream import StreamListener
from gateway.query import Transport
from gateway.settings import Limits
from tests.support.certificates import Authority
from tests.support.oneworker import OneWorker
from tests.support.scripts import Asked, Say, addresses
from tests.support.upstream import ScriptedUpstream

BIG = {("big.example.com", "TXT"): [f'"{number:03}{"x" * 240}"' for number in range(60)]}
QUESTIONS = 300
"""Each with an answer of 15 KiB: far more than a socket and a connection's budget hold at once."""


class Slow(ScriptedUpstream):
    """Answers names that begin with `late` after a while."""

    def handle(self, asked: Asked) -> Any:
        if asked.qname.startswith("late"):
            return [Say(addresses(asked, "198.51.100.7"), after=0.3)]
        return super().handle(asked)


class Client:
    """TLS on a blocking socket whose two ends can be closed one by one, which the ssl module's own sockets cannot."""

    def __init__(self, server: tuple[str, int], trust: ssl.SSLContext) -> None:
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
        self.sock.settimeout(20)
        self.sock.connect(server)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = trust.wrap_bio(self._in, self._out, server_hostname="dns.example")
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._flush()
                self._in.write(self.sock.recv(65_536))
        self._flush()

    def _flush(self) -> None:
        if self._out.pending:
            self.sock.sendall(self._out.read())

    def send(self, data: bytes) -> None:
        self._tls.write(data)
        self._flush()

    def say_everything_is_said(self, *, notify: bool) -> None:
        """Close our direction: of TLS when `notify`, and of TCP."""
        if notify:
            with contextlib.suppress(ssl.SSLError):  # wants to hear the other's goodbye, too
                self._tls.unwrap()
            self._flush()
        self.sock.shutdown(socket.SHUT_WR)

    def rest(self, pause: float = 0.0) -> bytes:
        """Everything the server still says, decrypted; `pause` seconds after each third of a megabyte."""
        got, taken = bytearray(), 0
        while data := self.sock.recv(65_536):
            taken += len(data)
            if pause and taken > 333_000:
                taken = 0
                time.sleep(pause)
            self._in.write(data)
            with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):
                while part := self._tls.read(65_536):
                    got += part
        return bytes(got)


@asynccontextmanager
async def listening(folder: Path, kind: type[StreamListener], limits: Limits) -> AsyncIterator[tuple[tuple[str, int], ssl.SSLContext]]:
    """An encrypted listener of a worker: where it listens, and what its clients trust."""
    authority = Authority(folder)
    is_doh = kind is DohListener
    context = authority.vouch("dns.example").context("h2" if is_doh else "dot")
    trust = ssl.create_default_context(cafile=str(authority.file))
    async with Slow(BIG) as upstream, OneWorker(folder / "state", upstream) as worker:
        sock = socket.create_server(("127.0.0.1", 0))
        sock.setblocking(False)
        scope = worker.pipeline.open_scope("tls", Transport.DOH if is_doh else Transport.DOT, bytes((127, 0, 0, 1)))
        loop = asyncio.get_running_loop()
        listener = kind(sock, scope, worker.pipeline, worker.counters, limits, loop, context, lambda tls, hello: None)
        listener.open()
        try:
            yield sock.getsockname(), trust
        finally:
            listener.close()
            sock.close()


def framed(name: str, qtype: str, number: int) -> bytes:
    data = dns.message.make_query(name, qtype, id=number).to_wire()
    return len(data).to_bytes(2, "big") + data


def numbers(octets: bytes) -> list[int]:
    """The ids of the whole messages in a stream; nothing else may be in it."""
    found, at = [], 0
    while at < len(octets):
        size = int.from_bytes(octets[at : at + 2], "big")
        assert len(octets) >= at + 2 + size, "the last answer is cut"
        found.append(int.from_bytes(octets[at + 2 : at + 4], "big"))
        at += 2 + size
    return found


@pytest.mark.parametrize("notify", [True, False], ids=["close_notify", "FIN alone"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
async def test_every_answer_arrives_after_a_half_close(tmp_path: Path, version: ssl.TLSVersion, notify: bool) -> None:
    """Many questions in one go, one whose answer takes its time, then the client's side is closed; it reads only a while later."""
    async with listening(tmp_path, StreamListener, Limits()) as (server, trust):
        trust.maximum_version = version

        def talk() -> bytes:
            client = Client(server, trust)
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
    async with listening(tmp_path, StreamListener, Limits(tcp_write_bytes=32 << 20)) as (server, trust):

        def talk() -> bytes:
            client = Client(server, trust)
            client.send(b"".join(framed("big.example.com", "TXT", n) for n in range(600)))
            client.say_everything_is_said(notify=True)
            with client.sock:
                return client.rest(pause=0.1)

        assert sorted(numbers(await asyncio.to_thread(talk))) == list(range(600))


async def test_client_that_never_reads_after_its_goodbye_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps its place for a moment, not for ever."""
    monkeypatch.setattr("gateway.listeners.secure.LINGER_SECONDS", 0.4)
    async with listening(tmp_path, StreamListener, Limits(tcp_query=0.6)) as (server, trust):

        def begin() -> Client:
            client = Client(server, trust)
            client.send(b"".join(framed("big.example.com", "TXT", n) for n in range(QUESTIONS)))
            client.say_everything_is_said(notify=True)
            return client

        client = await asyncio.to_thread(begin)
        await asyncio.sleep(3.0)
        with client.sock, pytest.raises((ConnectionError, AssertionError)):
            assert sorted(numbers(await asyncio.to_thread(client.rest))) == list(range(QUESTIONS))
