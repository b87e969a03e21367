"""QUIC connections by a real client, well-behaved and not: each misuse ends its own connection only (RFC 9250 §4)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import dns.edns
import dns.message
import pytest
import pytest_asyncio
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection

from gateway.places import Places
from gateway.quic import server as quic
from gateway.quic.server import EXCESSIVE_LOAD, PROTOCOL_ERROR, Budgets, DoqServer, configuration
from tests.support.certificates import Authority
from tests.support.quicclient import dial

QUERY = dns.message.make_query("open.example", "A", id=0).to_wire()
SECRET, LATE = b"silence", b"later"


@dataclass
class Relay:
    """Workers: they echo. A message that holds `SECRET` gets no reply, one that holds `LATE` waits for `release`."""

    asked: list[tuple[bytes, str, bytes]] = field(default_factory=list)
    forgotten: list[int] = field(default_factory=list)
    waiting: list[Callable[[], None]] = field(default_factory=list)

    def ask(self, peer: bytes, port: int, token: str, message: bytes, give: Callable[[bytes], None]) -> int:
        self.asked.append((peer, token, message))
        if LATE in message:
            self.waiting.append(lambda: give(message))
        else:
            asyncio.get_running_loop().call_soon(give, b"" if SECRET in message else message)
        return len(self.asked)

    def forget(self, question: int) -> None:
        self.forgotten.append(question)


@dataclass
class Running:
    """A server that is being served."""

    server: DoqServer
    relay: Relay
    port: int
    authority: Path

    def dial(self, name: str = "dns.example") -> contextlib.AbstractAsyncContextManager[quic.Any]:
        return dial(self.port, self.authority, name)


@pytest_asyncio.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    """A server with small budgets."""
    authority = Authority(tmp_path)
    made = authority.vouch("dns.example", "*.dns.example")
    settings = configuration(5.0)
    settings.load_cert_chain(made.certificate, made.key)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    relay, budgets = Relay(), Budgets(Places(6, 3), 5.0, 5.0)
    loop = asyncio.get_running_loop()
    _, server = await loop.create_datagram_endpoint(lambda: DoqServer(settings, budgets, relay, "dns.example"), sock=sock)
    yield Running(server, relay, sock.getsockname()[1], authority.file)
    server.stop()
    await asyncio.sleep(0.05)


def named(label: bytes) -> bytes:
    """A query for a name with this label."""
    return dns.message.make_query(f"{label.decode()}.example", "A", id=0).to_wire()


async def test_many_queries_on_one_connection_and_the_token_of_its_name(running: Running) -> None:
    """A stream each, answered as they come; who asks is the name of the handshake."""
    async with running.dial("k3j9abcdefgh.dns.example") as client:
        late = client.send(len(named(LATE)).to_bytes(2, "big") + named(LATE))
        assert [await client.ask(QUERY) for _ in range(150)] == [QUERY] * 150, "more than may be open at once, one after the other"
        running.relay.waiting[0]()
        assert await client.answer(late) == len(named(LATE)).to_bytes(2, "big") + named(LATE)
    assert {(peer, token) for peer, token, _ in running.relay.asked} == {(socket.inet_aton("127.0.0.1"), "k3j9abcdefgh")}
    async with running.dial() as client:
        assert await client.ask(QUERY) == QUERY
    assert running.relay.asked[-1][1] == ""


async def test_query_in_single_octets(running: Running) -> None:
    """It is answered once its end has come."""
    async with running.dial() as client:
        stream = client.send(b"\0", end=False)
        for octet in (len(QUERY).to_bytes(2, "big") + QUERY)[1:]:
            client.send(bytes([octet]), end=False, stream=stream)
            await asyncio.sleep(0)
        client.send(b"", stream=stream)
        assert await client.answer(stream) == len(QUERY).to_bytes(2, "big") + QUERY


def framed(message: bytes, length: int | None = None) -> bytes:
    """A message with its length, or with another."""
    return (len(message) if length is None else length).to_bytes(2, "big") + message


KEEPALIVE = dns.message.make_query("open.example", "A", id=0, use_edns=0, options=[dns.edns.GenericOption(11, b"")]).to_wire()
MISUSES = {
    "id that is not 0": framed(b"\0\1" + QUERY[2:]),
    "keepalive option": framed(KEEPALIVE),
    "two messages on a stream": framed(QUERY) * 2,
    "length longer than the data": framed(QUERY, len(QUERY) + 1),
    "length shorter than the data": framed(QUERY, len(QUERY) - 1),
    "length beyond every query": framed(QUERY, 65_535),
    "nothing at all": b"",
    "half a length": b"\0",
}


@pytest.mark.parametrize("data", MISUSES.values(), ids=list(MISUSES))
async def test_misuse_ends_its_own_connection_with_the_error_of_the_rfc(running: Running, data: bytes) -> None:
    """DOQ_PROTOCOL_ERROR for the guilty; an outside client goes on."""
    async with running.dial() as other, running.dial() as guilty:
        assert await other.ask(QUERY) == QUERY
        guilty.send(data)
        assert await guilty.ended() == PROTOCOL_ERROR
        assert await other.ask(QUERY) == QUERY


async def test_more_after_the_query_ends_the_connection(running: Running) -> None:
    """A second message on a stream whose first is being answered."""
    async with running.dial() as guilty:
        stream = guilty.send(framed(named(LATE)), end=False)
        guilty.send(framed(QUERY), end=False, stream=stream)
        assert await guilty.ended() == PROTOCOL_ERROR


async def test_unidirectional_streams_are_refused(running: Running) -> None:
    """DoQ has none; the client is told that it may open none."""
    async with running.dial() as other, running.dial() as guilty:
        guilty._quic._remote_max_streams_uni = 5
        guilty.send(framed(QUERY), unidirectional=True)
        assert await guilty.ended() > 0
        assert await other.ask(QUERY) == QUERY


async def test_query_without_end_is_not_waited_for(running: Running) -> None:
    """A stream held open for ever costs the whole connection."""
    running.server.budgets.query = 0.2
    async with running.dial() as other, running.dial() as guilty:
        guilty.send(framed(QUERY), end=False)
        assert await guilty.ended() == EXCESSIVE_LOAD
        assert await other.ask(QUERY) == QUERY
    assert running.server.budgets.refused["slow"] == 1


async def test_half_open_handshake_is_not_kept(running: Running) -> None:
    """Who greets and then falls silent loses the place; who is connected and idle keeps it for the idle time."""
    running.server.budgets.query = 0.2
    async with running.dial() as idle:
        client = QuicConnection(configuration=QuicConfiguration(is_client=True, alpn_protocols=["doq"], server_name="dns.example"))
        client.connect(("127.0.0.1", running.port), now=0.0)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for data, address in client.datagrams_to_send(now=0.0):
                sock.sendto(data, address)
            async with asyncio.timeout(5):
                while not running.server.budgets.refused["slow"]:  # noqa: ASYNC110 - a number has no event
                    await asyncio.sleep(0.05)
        assert running.server.budgets.refused["slow"] == 1 and running.server.budgets.places.taken == 1
        assert await idle.ask(QUERY) == QUERY


async def test_silence_of_the_worker_is_a_reset_stream(running: Running) -> None:
    """Over the limit: this stream only; and the connection goes on."""
    async with running.dial() as client:
        stream = client.send(framed(named(SECRET)))
        assert await client.answer(stream) is None
        assert client.resets == {stream: EXCESSIVE_LOAD} and client.closed_with is None
        assert await client.ask(QUERY) == QUERY


async def test_answer_that_nobody_wants_any_more_is_forgotten(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """STOP_SENDING gives a question up; a flood of them ends the connection."""
    monkeypatch.setattr(quic, "MOST_CANCELLED", 20)
    async with running.dial() as other, running.dial() as client:
        client.cancel(client.send(framed(named(LATE))))
        await client.ask(QUERY)
        assert running.relay.forgotten == [1]
        running.relay.waiting[0]()
        for _ in range(21):
            client.cancel(client.send(framed(named(LATE))))
            await asyncio.sleep(0.01)
        assert await client.ended() == EXCESSIVE_LOAD
        assert await other.ask(QUERY) == QUERY


async def test_one_client_cannot_take_all_places(running: Running) -> None:
    """With six places the fourth connection of one address finds none; a place that is free again is taken."""
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(running.dial()) for _ in range(3)]
        with pytest.raises((ConnectionError, TimeoutError)):
            async with asyncio.timeout(0.7):
                await stack.enter_async_context(running.dial())
        assert running.server.budgets.refused["client"] >= 1
        assert await clients[0].ask(QUERY) == QUERY
        clients[0].close()
        await clients[0].wait_closed()
        async with running.dial() as again:
            assert await again.ask(QUERY) == QUERY
    async with asyncio.timeout(15):  # one that was given up in the middle is forgotten by the server's own clock
        while running.server.connections or running.server.budgets.places.taken:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.05)
    assert (running.server.budgets.places.taken, running.server.budgets.places._of) == (0, {})


async def test_addresses_are_proven_when_connections_come_fast(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """By Retry; a well-behaved client does not notice, and a forged source gets three times nothing."""
    monkeypatch.setattr(quic, "CALM_PER_SECOND", 0)
    async with running.dial() as client:
        assert await client.ask(QUERY) == QUERY
        assert client._quic._retry_count == 1


async def test_another_protocol_is_refused(running: Running) -> None:
    """HTTP/3 finds nobody here."""
    with pytest.raises(ConnectionError):
        async with dial(running.port, running.authority, alpn="h3"):
            pass


async def test_junk_hurts_nobody(running: Running) -> None:
    """Random datagrams, and initial packets whose inside is noise."""
    loop = asyncio.get_running_loop()
    async with running.dial() as other:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            for number in range(300):
                head = b"\xc3\0\0\0\1\10" + os.urandom(8) + b"\0\0\x44\x90" if number % 3 else os.urandom(30)
                await loop.sock_sendto(sock, (head + os.urandom(1200))[:1200], ("127.0.0.1", running.port))
            await asyncio.sleep(0.2)
        assert await other.ask(QUERY) == QUERY
        assert running.server.budgets.places.taken <= 3
