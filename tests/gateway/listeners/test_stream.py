"""TCP and TLS: pipelining, answers out of order, and every way a client can behave badly."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import ssl
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import pytest

from gateway.listeners.stream import StreamListener
from gateway.query import Transport
from gateway.settings import Limits
from tests.support.certificates import Authority
from tests.support.client import Stream, answers, ask
from tests.support.generation import category, profile
from tests.support.oneworker import OneWorker
from tests.support.scripts import Asked, Say, addresses
from tests.support.upstream import ScriptedUpstream

OPEN = {("www.example.com", "A"): ["198.51.100.1"], ("big.example.com", "TXT"): [f'"{number:03}{"x" * 240}"' for number in range(60)]}
PROMPT = Limits(tcp_idle=0.4, tcp_query=0.5)


def query(name: str = "www.example.com", qtype: str = "A", number: int = 1) -> bytes:
    """A query as octets."""
    return dns.message.make_query(name, qtype, id=number).to_wire()


@contextmanager
def no_collector() -> Iterator[None]:
    """Workers run without the automatic collector, so what is in a circle stays."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - listeners have no event to wait for
            await asyncio.sleep(0.01)


class Slow(ScriptedUpstream):
    """Answers names that begin with `late` after a while, and `never` not at all."""

    def handle(self, asked: Asked) -> Any:
        """The delayed reply."""
        if asked.is_probe or asked.qname.startswith("www"):
            return super().handle(asked)
        if asked.qname.startswith("never"):
            return None
        return [Say(addresses(asked, "198.51.100.7"), after=0.3 if asked.qname.startswith("late") else 0.0)]


async def test_answers_leave_as_they_come(tmp_path: Path) -> None:
    """Several queries on one connection are answered in the order their answers are ready (RFC 7766 §6.2.1.1)."""
    async with Slow(OPEN) as upstream, OneWorker(tmp_path, upstream) as worker, Stream(worker.server) as stream:
        for number, name in enumerate(("late.example.com", "a.example.com", "localhost")):
            stream.send(query(name, number=number))
        order = [dns.message.from_wire(await stream.receive()).id for _ in range(3)]
        assert order == [2, 1, 0]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
async def test_query_that_arrives_in_pieces(tmp_path: Path, size: int) -> None:
    """Octet by octet or in any other pieces: the query is answered, and so are the two behind it."""
    async with ScriptedUpstream(OPEN) as upstream, OneWorker(tmp_path, upstream) as worker, Stream(worker.server) as stream:
        octets = b"".join(len(data).to_bytes(2, "big") + data for data in (query(number=number) for number in range(3)))
        for start in range(0, len(octets), size):
            stream.writer.write(octets[start : start + size])
            await asyncio.sleep(0.001)
        assert sorted([dns.message.from_wire(await stream.receive()).id for _ in range(3)]) == [0, 1, 2]


async def test_reply_leaves_in_one_piece_with_its_length(tmp_path: Path) -> None:
    """Length and reply leave together (RFC 7766 §8)."""
    async with OneWorker(tmp_path) as worker:
        loop = asyncio.get_running_loop()
        with socket.socket() as client:
            client.setblocking(False)
            await loop.sock_connect(client, worker.server)
            data = query("localhost")
            await loop.sock_sendall(client, len(data).to_bytes(2, "big") + data)
            received = await loop.sock_recv(client, 65535)
        assert len(received) == 2 + int.from_bytes(received[:2], "big")


@pytest.mark.parametrize("size", [0, 1, 11])
async def test_length_too_short_for_a_header_ends_the_connection(tmp_path: Path, size: int) -> None:
    """What has no room for a header is no DNS; the connection is closed at once."""
    async with OneWorker(tmp_path) as worker, Stream(worker.server) as stream:
        stream.writer.write(size.to_bytes(2, "big") + bytes(size))
        assert await stream.is_closed(10.0)
        assert worker.metric("lachan_malformed", "dropped") == 1


async def test_client_that_has_said_everything_still_gets_its_answers(tmp_path: Path) -> None:
    """A half-closed connection receives what was asked before, then ends."""
    async with Slow(OPEN) as upstream, OneWorker(tmp_path, upstream) as worker, Stream(worker.server) as stream:
        stream.send(query("late.example.com", number=5))
        stream.send(query("www.example.com", number=6))
        stream.writer.write_eof()
        assert {dns.message.from_wire(await stream.receive()).id for _ in range(2)} == {5, 6}
        assert await stream.is_closed(10.0)


async def test_cut_message_ends_quietly(tmp_path: Path) -> None:
    """A client that leaves in the middle of a message takes nothing with it."""
    async with ScriptedUpstream(OPEN) as upstream, OneWorker(tmp_path, upstream) as worker:
        async with Stream(worker.server) as stream:
            stream.writer.write(b"\0\x40" + query()[:10])
            await asyncio.sleep(0.02)
        assert answers(await ask(worker.server, "www.example.com", transport="tcp")) == ["198.51.100.1"]
        await until(lambda: worker.streams.is_idle)


async def test_idle_connection_is_closed(tmp_path: Path) -> None:
    """A connection without queries ends after its idle time; one that asks stays."""
    async with OneWorker(tmp_path, limits=Limits(tcp_idle=1.0)) as worker, Stream(worker.server) as stream, Stream(worker.server) as busy:
        stream.send(query("localhost"))
        await stream.receive()
        ended = asyncio.create_task(stream.is_closed(10.0))
        while not ended.done():
            busy.send(query("localhost"))
            await busy.receive()
            await asyncio.sleep(0.1)
        assert ended.result()
        busy.send(query("localhost"))
        await busy.receive()


@pytest.mark.parametrize("octets", [b"", b"\0", b"\0\x30" + bytes(20)])
async def test_slow_query_is_cut_off(tmp_path: Path, octets: bytes) -> None:
    """No octet, one octet or half a query: after the time a query may take the connection is closed."""
    async with OneWorker(tmp_path, limits=PROMPT) as worker, Stream(worker.server) as stream:
        stream.writer.write(octets)
        assert await stream.is_closed(10.0)


async def test_query_in_too_many_pieces_is_cut_off(tmp_path: Path) -> None:
    """A client that sends a long message octet by octet is slow on purpose."""
    async with OneWorker(tmp_path) as worker, Stream(worker.server) as stream:
        with contextlib.suppress(ConnectionError):
            stream.writer.write(b"\x10\0")
            for _ in range(400):
                stream.writer.write(b"\0")
                await stream.writer.drain()
                await asyncio.sleep(0.001)
        assert await stream.is_closed(10.0)
        assert worker.metric("lachan_connections_refused", "tcp", "slow") == 1


async def test_one_client_cannot_take_all_connections(tmp_path: Path) -> None:
    """Beyond its share, and beyond half of all, a client's connections are closed at once; another client connects and is answered."""
    async with OneWorker(tmp_path, limits=Limits(tcp_connections=10, tcp_per_client=3)) as worker:
        async with contextlib.AsyncExitStack() as stack:
            streams = [await stack.enter_async_context(Stream(worker.server, "127.0.0.2")) for _ in range(12)]
            closed = await asyncio.gather(*(stream.is_closed(1.0) for stream in streams))
            assert list(closed) == [False] * 5 + [True] * 7
            assert (await ask(worker.server, "localhost", transport="tcp", source="127.0.0.3")).rcode() == 0
            assert worker.metric("lachan_connections_refused", "tcp", "client") == 7
        await until(lambda: worker.streams.is_idle)
        assert (await ask(worker.server, "localhost", transport="tcp", source="127.0.0.2")).rcode() == 0


async def test_idle_time_shrinks_as_places_run_out(tmp_path: Path) -> None:
    """With most places taken, idle connections end within a second or so until they no longer are, so that newcomers find one."""
    limits = Limits(tcp_connections=10, tcp_per_client=10, tcp_idle=30.0)
    async with OneWorker(tmp_path, limits=limits) as worker, contextlib.AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(Stream(worker.server, "127.0.0.2")) for _ in range(9)]
        for stream in streams:
            stream.send(query("localhost"))
            await stream.receive()
        assert any(await asyncio.gather(*(stream.is_closed(10.0) for stream in streams)))
        assert (await ask(worker.server, "localhost", transport="tcp", source="127.0.0.3")).rcode() == 0


async def test_queries_under_way_are_bounded_per_connection(tmp_path: Path) -> None:
    """A connection has at most its share of unanswered queries; the rest waits unread and is answered later."""
    async with (
        Slow(OPEN) as upstream,
        OneWorker(tmp_path, upstream, limits=Limits(tcp_in_flight=10)) as worker,
        Stream(worker.server) as stream,
    ):
        for number in range(40):
            stream.send(query(f"late{number}.example.com", number=number))
        await until(lambda: len(upstream.questions) >= 10)
        assert len(upstream.questions) == 10
        got = {dns.message.from_wire(await stream.receive()).id for _ in range(40)}
        assert got == set(range(40))


async def test_ten_thousand_queries_and_gone(tmp_path: Path) -> None:
    """A client that sends ten thousand queries and leaves does not hold up others for long."""
    async with ScriptedUpstream(OPEN) as upstream, OneWorker(tmp_path, upstream) as worker:
        await ask(worker.server, "www.example.com")
        async with Stream(worker.server, "127.0.0.2") as flood:
            data = query()
            flood.writer.write((len(data).to_bytes(2, "big") + data) * 10_000)
            begun = asyncio.get_running_loop().time()
            assert answers(await ask(worker.server, "www.example.com", source="127.0.0.3")) == ["198.51.100.1"]
            assert asyncio.get_running_loop().time() - begun < 3.0
        assert answers(await ask(worker.server, "www.example.com", source="127.0.0.3")) == ["198.51.100.1"]


async def test_client_that_never_reads_is_stopped(tmp_path: Path) -> None:
    """Replies nobody reads are bounded: the client is not read from any more, then its connection ends; others notice nothing."""
    limits = Limits(tcp_write_bytes=64 * 1024)
    async with ScriptedUpstream(OPEN) as upstream, OneWorker(tmp_path, upstream, limits=limits) as worker:
        await ask(worker.server, "big.example.com", "TXT", transport="tcp")
        loop = asyncio.get_running_loop()
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            await loop.sock_connect(client, worker.server)
            data = query("big.example.com", "TXT")
            with contextlib.suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(1.0):
                    await loop.sock_sendall(client, (len(data).to_bytes(2, "big") + data) * 20_000)
                    await asyncio.sleep(1.0)
            connection = next(iter(worker.streams.connections))
            assert connection._transport.get_write_buffer_size() < 64 * 1024 + 64 * 20_000
            assert answers(await ask(worker.server, "www.example.com")) == ["198.51.100.1"]
            connection._stalled_at -= 10
            await until(lambda: worker.streams.is_idle)
        assert worker.metric("lachan_connections_refused", "tcp", "slow") == 1


@pytest.mark.parametrize("says_goodbye", [False, True])
async def test_what_nobody_reads_keeps_no_place(tmp_path: Path, says_goodbye: bool) -> None:
    """Answers that wait, too few to stall it, and a client that takes none of them, whether it has ended its side or is idle: it goes."""
    limits = Limits(tcp_idle=0.4, tcp_query=0.5, tcp_write_bytes=64 << 20)
    async with ScriptedUpstream(OPEN) as upstream, OneWorker(tmp_path, upstream, limits=limits) as worker:
        await ask(worker.server, "big.example.com", "TXT", transport="tcp")
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(client, worker.server)
            data = query("big.example.com", "TXT")
            await asyncio.get_running_loop().sock_sendall(client, (len(data).to_bytes(2, "big") + data) * 600)
            await until(lambda: any(each._transport.get_write_buffer_size() for each in worker.streams.connections))
            if says_goodbye:
                client.shutdown(socket.SHUT_WR)
            await until(lambda: worker.streams.is_idle, 5.0)
        assert worker.metric("lachan_connections_refused", "tcp", "idle") <= 1, "counted once"


async def test_table_answers_streams_too(tmp_path: Path) -> None:
    """The second query for a name over TCP is finished from the table, and blocked names are counted there as well."""
    lists = {"bets": category("gamb", "bet.example")}
    async with OneWorker(tmp_path, lists=lists, profiles=[profile("TH", "kid")]) as worker, Stream(worker.server) as stream:
        for number in range(5):
            stream.send(query("bet.example", number=number))
            assert answers(dns.message.from_wire(await stream.receive())) == ["0.0.0.0"]
        assert worker.metric("lachan_queries", "tcp", "A") == 5


async def test_stop_lets_connections_finish(tmp_path: Path) -> None:
    """After `stop` nobody new is accepted; who waits for an answer gets it, then the connection ends."""
    async with Slow(OPEN) as upstream, OneWorker(tmp_path, upstream) as worker:
        async with Stream(worker.server) as waiting, Stream(worker.server) as idle:
            waiting.send(query("late.example.com", number=9))
            await asyncio.sleep(0.05)
            worker.streams.stop()
            assert await idle.is_closed(10.0)
            assert dns.message.from_wire(await waiting.receive()).id == 9
            assert await waiting.is_closed(10.0)
        await until(lambda: worker.streams.is_idle)


async def test_who_has_just_come_when_the_listener_stops_is_answered(tmp_path: Path) -> None:
    """A connection that was accepted here cannot be handed to the next process; its first question is answered, then it ends."""
    async with ScriptedUpstream(OPEN) as upstream, OneWorker(tmp_path, upstream) as worker:
        async with Stream(worker.server) as stream:
            await until(lambda: bool(worker.streams.connections))
            worker.streams.stop()
            await asyncio.sleep(0.05)
            stream.send(query(number=7))
            assert dns.message.from_wire(await stream.receive()).id == 7
            assert await stream.is_closed(10.0)
        await until(lambda: worker.streams.is_idle)


async def test_question_that_lies_in_the_system_when_the_listener_stops_is_answered(tmp_path: Path) -> None:
    """A kept connection: what was asked before the end, and what follows in the same breath, is answered; then it ends, without a reset."""
    async with ScriptedUpstream(OPEN) as upstream, OneWorker(tmp_path, upstream) as worker:
        async with Stream(worker.server) as stream:
            stream.send(query(number=1))
            assert dns.message.from_wire(await stream.receive()).id == 1
            stream.send(query(number=2))  # in the system: nobody has read it yet
            worker.streams.stop()
            for number in (3, 4):
                await asyncio.sleep(0.05)
                stream.send(query(number=number))
            assert {dns.message.from_wire(await stream.receive()).id for _ in range(3)} == {2, 3, 4}
            assert await stream.reader.read(1) == b""
        await until(lambda: worker.streams.is_idle)


async def test_client_that_asks_on_and_on_is_let_go_without_a_reset(tmp_path: Path) -> None:
    """It is never quiet: at some moment nothing more is read, but every answer arrives, and then the end."""
    async with ScriptedUpstream(OPEN) as upstream, OneWorker(tmp_path, upstream) as worker:
        async with Stream(worker.server) as stream:
            stream.send(query(number=0))
            await stream.receive()
            worker.streams.stop()
            began = asyncio.get_running_loop().time()
            number = got = 0
            gap, before = 0.0, began
            with contextlib.suppress(asyncio.IncompleteReadError):
                while True:
                    number += 1
                    now = asyncio.get_running_loop().time()
                    gap, before = max(gap, now - before), now
                    stream.send(query(number=number))
                    assert dns.message.from_wire(await stream.receive()).id == number
                    got = number
                    await asyncio.sleep(0.01)
            assert got >= number - 1 > 1
            lasted = asyncio.get_running_loop().time() - began
            assert lasted < 5.0 and (lasted > 0.4 or gap > 0.05), "held up by the machine for so long, it was quiet"
        await until(lambda: worker.streams.is_idle)


async def test_connection_that_is_gone_leaves_no_memory_behind(tmp_path: Path) -> None:
    """Nothing of it waits for the collector, which looks at old things once in hours."""
    async with ScriptedUpstream(OPEN) as upstream, OneWorker(tmp_path, upstream) as worker:
        with no_collector():
            async with Stream(worker.server) as stream:
                stream.send(query())
                await stream.receive()
                (left,) = [weakref.ref(connection) for connection in worker.streams.connections]
            await until(lambda: worker.streams.is_idle and left() is None)
        assert left() is None


async def test_tls_by_the_same_class(tmp_path: Path) -> None:
    """With a context every connection is encrypted; a handshake that fails or never ends costs one place for a while."""
    authority = Authority(tmp_path)
    context = authority.vouch("dns.example", "127.0.0.1").context("dot")
    async with ScriptedUpstream(OPEN) as upstream, OneWorker(tmp_path / "state", upstream) as worker:
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.setblocking(False)
        scope = worker.pipeline.open_scope("dot", Transport.DOT, bytes((127, 0, 0, 1)))
        limits = Limits(tcp_idle=0.4)
        listener = StreamListener(
            listening, scope, worker.pipeline, worker.counters, limits, asyncio.get_running_loop(), context, lambda tls, hello: None
        )
        listener.open()
        server = listening.getsockname()
        trust = ssl.create_default_context(cafile=str(authority.file))
        with no_collector():
            async with Stream(server, ssl=trust, server_hostname="dns.example") as stream:
                for number in range(3):
                    stream.send(query(number=number))
                    assert answers(dns.message.from_wire(await stream.receive())) == ["198.51.100.1"]
                (connection,) = listener.connections
                left = [weakref.ref(connection), weakref.ref(connection._transport)]
                del connection
            await until(lambda: not any(one() for one in left))
        async with Stream(server) as plain:
            plain.writer.write(b"GET / HTTP/1.1\r\n\r\n" * 5)
            assert await plain.is_closed(10.0)
        assert worker.metric("lachan_queries", "dot", "A") == 3
        await until(lambda: listener.is_idle)
        listener.close()
        listening.close()
