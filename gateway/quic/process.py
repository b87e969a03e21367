"""The process that terminates QUIC: sockets, lines to the workers, certificate, limits. Only its own fork imports this module.

When a worker ends, its line breaks and the queries on it are answered by nobody: their streams are reset and clients ask again, over a line
to another worker. Without any line the connections stay, and queries are turned away. RFC 9250.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from gateway.errors import StartError
from gateway.places import Places
from gateway.quic.relay import Counts, Relayed, pack_counts, pack_query, read_reply, take_frames
from gateway.quic.server import Budgets, DoqServer, configuration
from gateway.settings import GatewaySettings, TlsSettings
from gateway.tls import ServerContext

log = logging.getLogger(__name__)

MEMORY: Final = 512 * 1024 * 1024
"""Octets of address space beyond what the process has when it starts."""
LINES_PER_WORKER: Final = 2
WAITING: Final = 20_000
"""Queries that may wait for workers."""
_COUNT_SECONDS: Final = 1.0
_CERTIFICATE_SECONDS: Final = 2.0
_DIAL_SECONDS: Final = 0.1
_ID_LIMIT: Final = 0xFFFFFFF0

Give = Callable[[bytes], None]


class Lines:
    """The lines to the workers. A client's queries stay on one line as long as that lives, so that one worker knows it."""

    def __init__(self, path: Path, number: int, loop: asyncio.AbstractEventLoop) -> None:
        self._path = path
        self._number = number
        self._loop = loop
        self._lines: list[_Line] = []
        self._waiting: dict[int, tuple[Give, _Line]] = {}
        self._id = 0
        self._is_closing = False

    @property
    def waiting(self) -> int:
        """Queries without a reply yet."""
        return len(self._waiting)

    async def keep(self) -> None:
        """Dial again and again, so that there are as many lines as there should be."""
        while True:
            while len(self._lines) < self._number:
                try:
                    await self._loop.create_unix_connection(lambda: _Line(self), str(self._path))
                except OSError:
                    break
            await asyncio.sleep(_DIAL_SECONDS)

    def ask(self, endpoint: int, peer: bytes, port: int, token: str, local: bytes, message: bytes, give: Give) -> int:
        """Hand a query to a worker; `give` gets its reply, empty for none. The number of the question, 0 when it was turned away."""
        if not self._lines or len(self._waiting) >= WAITING:
            give(b"")
            return 0
        self._id = self._id % _ID_LIMIT + 1
        line = self._lines[hash((peer, token)) % len(self._lines)]
        self._waiting[self._id] = (give, line)
        line.write(pack_query(Relayed(self._id, endpoint, peer, port, local, token, message)))
        return self._id

    def forget(self, question: int) -> None:
        """Nobody waits for this reply any more."""
        self._waiting.pop(question, None)

    def tell(self, counts: Counts) -> None:
        """Say how many connections there are, to one worker."""
        if self._lines:
            self._lines[0].write(pack_counts(counts))

    def take(self, question: int, reply: bytes) -> None:
        """A worker answered."""
        waiting = self._waiting.pop(question, None)
        if waiting is not None:
            waiting[0](reply)

    def add(self, line: _Line) -> None:
        """A line is open."""
        self._lines.append(line)

    def drop(self, line: _Line) -> None:
        """A line is gone, and what was asked on it."""
        if line in self._lines:
            self._lines.remove(line)
        for question in [number for number, (_, on) in self._waiting.items() if on is line]:
            self.take(question, b"")


class _Line(asyncio.Protocol):
    """One line to some worker."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._buffer = bytearray()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's callback."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._lines.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's callback."""
        self._lines.drop(self)

    def data_received(self, data: bytes) -> None:
        """asyncio's callback."""
        self._buffer += data
        try:
            for frame in take_frames(self._buffer):
                self._lines.take(*read_reply(frame))
        except ValueError:
            self._transport.abort()

    def write(self, frame: bytes) -> None:
        """Send a frame."""
        self._transport.write(frame)


class _Relay:
    """The lines, for the queries of one listener."""

    def __init__(self, lines: Lines, endpoint: int, local: bytes) -> None:
        self._lines = lines
        self._endpoint = endpoint
        self._local = local

    def ask(self, peer: bytes, port: int, token: str, message: bytes, give: Give) -> int:
        """`server.Relay`."""
        return self._lines.ask(self._endpoint, peer, port, token, self._local, message, give)

    def forget(self, question: int) -> None:
        """`server.Relay`."""
        self._lines.forget(question)


def run(settings: GatewaySettings, line: Path, sockets: Sequence[socket.socket]) -> int:
    """The whole life of the process; its exit status. `line` is the path of the workers' socket."""
    assert settings.tls is not None
    logging.getLogger("quic").setLevel(logging.ERROR)  # the library would write several lines for every connection of every client
    _limit_memory()
    return asyncio.run(_main(settings, settings.tls, line, sockets))


async def _main(settings: GatewaySettings, tls: TlsSettings, path: Path, sockets: Sequence[socket.socket]) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    limits = settings.limits
    lines = Lines(path, settings.dns.workers * LINES_PER_WORKER, loop)
    budgets = Budgets(Places(limits.tcp_connections, limits.tcp_per_client), limits.tcp_idle, limits.tcp_query)
    certificate = ServerContext(tls, ["doq"])
    quic = configuration(limits.tcp_idle)
    quic.load_cert_chain(tls.certificate, tls.key)
    servers: list[DoqServer] = []
    for number, opened in enumerate(sockets):
        relay = _Relay(lines, number, _local(opened))
        _, server = await loop.create_datagram_endpoint(lambda relay=relay: DoqServer(quic, budgets, relay, tls.name), sock=opened)  # type: ignore[misc]
        servers.append(server)
    chores = [asyncio.create_task(lines.keep()), asyncio.create_task(_count(lines, budgets))]
    looking = loop.call_later(_CERTIFICATE_SECONDS, lambda: None)

    def look() -> None:
        nonlocal looking
        try:
            if certificate.reload_if_changed():
                quic.certificate_chain = []
                quic.load_cert_chain(tls.certificate, tls.key)
                log.info("certificate renewed", extra={"event": "tls.renewed"})
        except (StartError, ValueError, OSError) as error:
            log.error("certificate not usable, the old one stays", extra={"event": "tls.broken", "reason": str(error)})
        looking = loop.call_later(_CERTIFICATE_SECONDS, look)

    looking.cancel()
    looking = loop.call_later(_CERTIFICATE_SECONDS, look)
    log.info("QUIC ready", extra={"event": "quic.ready", "listeners": len(servers)})
    await stop.wait()
    looking.cancel()
    for server in servers:
        server.stop()
    for chore in chores:
        chore.cancel()
    await asyncio.gather(*chores, return_exceptions=True)
    return 0


async def _count(lines: Lines, budgets: Budgets) -> None:
    """Tell the workers' metrics once a second."""
    while True:
        await asyncio.sleep(_COUNT_SECONDS)
        refused, budgets.refused = budgets.refused, dict.fromkeys(budgets.refused, 0)
        lines.tell(Counts(budgets.places.taken, refused["all"], refused["client"], refused["slow"]))


def _local(opened: socket.socket) -> bytes:
    """The packed address of a socket, empty for a wildcard."""
    text = opened.getsockname()[0].partition("%")[0]
    address = socket.inet_pton(opened.family, text)
    return address if any(address) else b""


def _limit_memory() -> None:
    """A leak, whoever caused it, ends this process and not the machine; the supervisor starts it again."""
    with open("/proc/self/statm", encoding="ascii") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = now + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
