"""Clients of TCP and TLS that ask for much and read slowly, and an encrypted listener for them. For tests only."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import dns.message

from gateway.listeners.doh import DohListener
from gateway.listeners.stream import StreamListener
from gateway.query import Transport
from gateway.settings import Limits
from tests.support.certificates import Authority
from tests.support.oneworker import OneWorker
from tests.support.scripts import Asked, Say, addresses
from tests.support.upstream import ScriptedUpstream

BIG = {("big.example.com", "TXT"): [f'"{number:03}{"x" * 240}"' for number in range(60)]}


class Slow(ScriptedUpstream):
    """Answers names that begin with `late` after a while."""

    def handle(self, asked: Asked) -> Any:
        """The delayed reply."""
        if asked.qname.startswith("late"):
            return [Say(addresses(asked, "198.51.100.7"), after=0.3)]
        return super().handle(asked)


class PlainReader:
    """TCP on a blocking socket that reads as slowly as it likes."""

    def __init__(self, server: tuple[str, int]) -> None:
        self.sock = _connected(server)

    def send(self, data: bytes) -> None:
        """Send octets."""
        self.sock.sendall(data)

    def say_everything_is_said(self) -> None:
        """Close our direction."""
        self.sock.shutdown(socket.SHUT_WR)

    def rest(self, pause: float = 0.0) -> bytes:
        """Everything the server still says; `pause` seconds after each third of a megabyte."""
        return b"".join(_slowly(self.sock, pause))


class SecureReader:
    """TLS on a blocking socket whose two ends can be closed one by one, which the ssl module's own sockets cannot."""

    def __init__(self, server: tuple[str, int], trust: ssl.SSLContext) -> None:
        self.sock = _connected(server)
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
        """Send octets, encrypted."""
        self._tls.write(data)
        self._flush()

    def say_everything_is_said(self, *, notify: bool = True) -> None:
        """Close our direction: of TLS when `notify`, and of TCP."""
        if notify:
            with contextlib.suppress(ssl.SSLError):  # wants to hear the other's goodbye, too
                self._tls.unwrap()
            self._flush()
        self.sock.shutdown(socket.SHUT_WR)

    def rest(self, pause: float = 0.0) -> bytes:
        """Everything the server still says, decrypted; `pause` seconds after each third of a megabyte."""
        got = bytearray()
        for data in _slowly(self.sock, pause):
            self._in.write(data)
            with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):
                while part := self._tls.read(65_536):
                    got += part
        return bytes(got)


def _connected(server: tuple[str, int]) -> socket.socket:
    """A connection whose client has little room."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
    sock.settimeout(20)
    sock.connect(server)
    return sock


def _slowly(sock: socket.socket, pause: float) -> Iterator[bytes]:
    taken = 0
    while data := sock.recv(65_536):
        yield data
        taken += len(data)
        if pause and taken > 333_000:
            taken = 0
            time.sleep(pause)


@asynccontextmanager
async def listening(
    folder: Path, kind: type[StreamListener], limits: Limits
) -> AsyncIterator[tuple[StreamListener, Callable[[], SecureReader], ssl.SSLContext]]:
    """An encrypted listener of a worker, how a client of it is made, and what its clients trust."""
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
            yield listener, lambda: SecureReader(sock.getsockname(), trust), trust
        finally:
            listener.close()
            sock.close()


def framed(name: str, qtype: str, number: int) -> bytes:
    """A query with its length."""
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
