"""The worker's end of the lines from the QUIC process: the real pipeline behind a Unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import dns.message

from gateway.listeners.relayed import RelayListener
from gateway.query import Transport
from gateway.quic.relay import Counts, Relayed, pack_counts, pack_query, read_reply
from tests.support.generation import category, profile
from tests.support.oneworker import OneWorker
from tests.support.scripts import Asked, Say, addresses
from tests.support.upstream import ScriptedUpstream

CLIENT, STRANGER = socket.inet_aton("127.0.0.1"), socket.inet_aton("203.0.113.9")
LISTS = {"bets": category("gamb", "bet.example")}
CLIENTS = [{"id": "phone", "profile": "kid", "match": ["token:k3j9abcdefgh"]}]


@contextlib.asynccontextmanager
async def relayed(worker: OneWorker, folder: Path) -> AsyncIterator[tuple[RelayListener, Path]]:
    """A listener on a Unix socket before this worker's pipeline."""
    path = folder / "doq.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        sock.bind(str(path))
        sock.listen()
        scopes = [worker.pipeline.open_scope("127.0.0.1:853", Transport.DOQ, CLIENT)]
        listener = RelayListener(sock, scopes, worker.pipeline, worker.counters, asyncio.get_running_loop())
        listener.open()
        try:
            yield listener, path
        finally:
            listener.close()
            await asyncio.sleep(0)


async def read(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The next reply."""
    size = int.from_bytes(await asyncio.wait_for(reader.readexactly(4), 5), "big")
    return read_reply(await reader.readexactly(size))


def query(ident: int, name: str, peer: bytes = CLIENT, token: str = "") -> bytes:
    """A frame that asks for the address of a name."""
    return pack_query(Relayed(ident, 0, peer, 4711, b"", token, dns.message.make_query(name, "A", id=0, use_edns=0).to_wire()))


def shown(reply: bytes) -> list[str]:
    """Addresses, or the code when there are none."""
    message = dns.message.from_wire(reply)
    return [str(rdata) for rrset in message.answer for rdata in rrset] or [str(message.rcode().name)]


async def test_each_query_is_judged_for_its_client(tmp_path: Path) -> None:
    """By address and token, in any order of readiness; a stranger is refused, a stranger with a live token is served."""
    async with (
        ScriptedUpstream({("www.example.com", "A"): ["198.51.100.1"]}) as upstream,
        OneWorker(tmp_path, upstream, lists=LISTS, profiles=[profile("TH", "kid")], clients=CLIENTS) as worker,
        relayed(worker, tmp_path) as (_, path),
    ):
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(query(1, "www.example.com") + query(2, "bet.example", STRANGER, "k3j9abcdefgh") + query(3, "bet.example", STRANGER))
        writer.write(query(4, "bet.example", STRANGER, "zzzzzzzzzzzz"))
        replies = dict([await read(reader) for _ in range(4)])
        assert {ident: shown(reply) for ident, reply in replies.items()} == {
            1: ["198.51.100.1"],
            2: ["0.0.0.0"],
            3: ["REFUSED"],
            4: ["REFUSED"],
        }
        writer.close()


async def test_counts_become_metrics_and_end_with_the_line(tmp_path: Path) -> None:
    """Connections of the QUIC process are shown; a process that died has none."""
    async with OneWorker(tmp_path) as worker, relayed(worker, tmp_path) as (listener, path):
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(pack_counts(Counts(7, 1, 2, 3)) + query(1, "localhost"))
        assert shown((await read(reader))[1]) == ["127.0.0.1"]
        assert worker.metric("lachan_connections", "doq") == 7
        writer.write(pack_counts(Counts(7, 1, 2, 3)) + query(2, "localhost"))
        assert (await read(reader))[0] == 2
        assert worker.metric("lachan_connections_refused", "doq", "client") == 2
        writer.close()
        while listener.lines:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)
        assert worker.metric("lachan_connections", "doq") == 0


async def test_junk_ends_the_line(tmp_path: Path) -> None:
    """Whatever is no frame is not guessed at."""
    async with OneWorker(tmp_path) as worker, relayed(worker, tmp_path) as (_, path):
        for junk in (b"\xff" * 8, b"\0\0\0\2ab", pack_query(Relayed(1, 9, CLIENT, 1, b"", "", b"x"))):
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(junk)
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()


async def test_stop_lets_late_replies_out(tmp_path: Path) -> None:
    """After `stop` what was asked before is still answered, then the line ends."""

    class Slow(ScriptedUpstream):
        def handle(self, asked: Asked) -> Any:
            return [Say(addresses(asked, "198.51.100.1"), after=0.15)]

    async with Slow() as upstream, OneWorker(tmp_path, upstream) as worker, relayed(worker, tmp_path) as (listener, path):
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(query(1, "www.example.com"))
        await asyncio.sleep(0.05)
        listener.stop()
        assert not listener.is_idle
        assert shown((await read(reader))[1]) == ["198.51.100.1"]
        assert await asyncio.wait_for(reader.read(), 5) == b""
        assert listener.is_idle
        writer.close()
