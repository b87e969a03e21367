"""Listeners behind front ends: the policy is that of the client in the header, over datagrams, TCP and TLS; broken headers end it.

127.0.0.1 is the front end. Its clients are a child (10.0.0.1), an adult (10.0.0.2), a child known by token, and strangers.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import pytest

from gateway.kernelmessages import has_batches
from gateway.listeners.proxied import ProxiedBatchListener, ProxiedDatagramListener, ProxiedDohListener, ProxiedStreamListener
from gateway.metrics import CONNECTIONS_REFUSED, MALFORMED
from gateway.proxyprotocol import SIGNATURE, FrontEnds
from gateway.query import Transport
from gateway.settings import Endpoint, Limits, TlsSettings
from gateway.sockets import bind
from gateway.tls import DOH_PROTOCOLS, DOT_PROTOCOLS, ServerContext
from tests.support.certificates import Authority
from tests.support.client import Stream, answers, exchange, is_silent
from tests.support.generation import category, profile
from tests.support.oneworker import OneWorker
from tests.support.proxyheader import local_header, proxy_header
from tests.support.upstream import ScriptedUpstream

FRONT, STRANGE_FRONT, LISTENER = "127.0.0.1", "127.0.0.2", "192.0.2.53"
CHILD, ADULT, STRANGER = "10.0.0.1", "10.0.0.2", "198.51.100.9"
FRONT_ENDS = FrontEnds([ip_network("127.0.0.1/32")], "dns.example")
RECORDS = {("game.example", "A"): ["198.51.100.1"], ("open.example", "A"): ["198.51.100.2"]}
OPEN, BLOCKED = ["198.51.100.1"], ["0.0.0.0"]


def streams(*arguments: Any) -> ProxiedStreamListener:
    """A TCP listener that believes the front end."""
    listener = ProxiedStreamListener(*arguments)
    listener.trust(FRONT_ENDS)
    return listener


def make(folder: Path, upstream: ScriptedUpstream, datagrams: Any = ProxiedBatchListener, **changes: Any) -> OneWorker:
    """A worker that knows the child, the adult and the child's token."""
    if datagrams is ProxiedBatchListener and not has_batches():
        datagrams = ProxiedDatagramListener
    return OneWorker(
        folder,
        upstream,
        lists={"games": category("game", "game.example")},
        profiles=[profile("NL", "adult"), profile("TH", "child", categories={"game": "block"})],
        clients=[
            {"id": "child", "profile": "child", "match": [f"{CHILD}/32", "2001:db8::1", "token:k3j9"]},
            {"id": "adult", "profile": "adult", "match": [f"{ADULT}/32", "127.0.0.0/8"]},
        ],
        allow_from=["127.0.0.0/8", "10.0.0.0/8", "2001:db8::/64"],
        datagrams=partial(datagrams, FRONT_ENDS),
        streams=streams,
        **changes,
    )


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    """The resolver behind."""
    async with ScriptedUpstream(RECORDS) as running:
        yield running


@pytest.fixture(params=[ProxiedBatchListener, ProxiedDatagramListener])
async def worker(request: pytest.FixtureRequest, tmp_path: Path, upstream: ScriptedUpstream) -> AsyncIterator[OneWorker]:
    """A worker behind a front end, with either kind of datagrams."""
    async with make(tmp_path, upstream, request.param) as running:
        yield running


async def ask(worker: OneWorker, header: bytes, name: str = "game.example", transport: str = "udp") -> dns.message.Message:
    """Ask as the front end does: a header, then the message (over TCP with its length)."""
    query = dns.message.make_query(name, "A", use_edns=0)
    if transport == "udp":
        reply = dns.message.from_wire(await exchange(worker.server, header + query.to_wire()))
    else:
        async with Stream(worker.server) as stream:
            stream.writer.write(header)
            stream.send(query.to_wire())
            reply = dns.message.from_wire(await asyncio.wait_for(stream.receive(), 5))
    assert query.is_response(reply)
    return reply


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_policy_is_that_of_the_client_in_the_header(worker: OneWorker, transport: str) -> None:
    """A child and an adult behind one front end, again and again, also when replies are tabled by then."""
    for _ in range(4):
        assert answers(await ask(worker, proxy_header(CHILD, LISTENER), transport=transport)) == BLOCKED
        assert answers(await ask(worker, proxy_header(ADULT, LISTENER), transport=transport)) == OPEN
    assert answers(await ask(worker, proxy_header("2001:db8::1", "2001:db8::53"), transport=transport)) == BLOCKED


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_token_of_the_header_admits_from_anywhere(worker: OneWorker, transport: str) -> None:
    """By its own field or in the server name; without one a stranger is refused."""
    for fields in ({"token": "k3j9"}, {"name": "k3j9.dns.example"}):
        assert answers(await ask(worker, proxy_header(STRANGER, LISTENER, **fields), transport=transport)) == BLOCKED
    refused = await ask(worker, proxy_header(STRANGER, LISTENER), transport=transport)
    assert refused.rcode() == dns.rcode.REFUSED


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_front_end_speaks_for_itself_without_a_client(worker: OneWorker, transport: str) -> None:
    """Health checks with a LOCAL header, and plain questions, have the front end's own policy."""
    for header in (local_header(), b""):
        assert answers(await ask(worker, header, transport=transport)) == OPEN


async def test_broken_header_is_met_with_silence(worker: OneWorker) -> None:
    """The client is never taken for the front end; over TCP the connection ends."""
    query = dns.message.make_query("game.example", "A").to_wire()
    broken = SIGNATURE + b"\x21\x11\x00\x04" + bytes(4)
    assert await is_silent(worker.server, broken + query)
    async with Stream(worker.server) as stream:
        stream.writer.write(broken)
        stream.send(query)
        assert await stream.is_closed(2)
    assert worker.metric(MALFORMED.name, "dropped") == 2


async def test_nobody_else_is_believed(worker: OneWorker) -> None:
    """A header from an address that is not on the list is not DNS, and moves nobody."""
    query = dns.message.make_query("game.example", "A").to_wire()
    header = proxy_header(ADULT, LISTENER)
    reply = dns.message.from_wire(await exchange(worker.server, header + query, source=STRANGE_FRONT))
    assert reply.rcode() in (dns.rcode.NOTIMP, dns.rcode.FORMERR)
    async with Stream(worker.server, STRANGE_FRONT) as stream:
        stream.writer.write(header)
        stream.send(query)
        with pytest.raises((asyncio.IncompleteReadError, TimeoutError, ConnectionError)):
            reply = dns.message.from_wire(await asyncio.wait_for(stream.receive(), 0.5))
            assert not reply.answer
            raise TimeoutError


async def test_header_in_single_octets_is_put_together(worker: OneWorker) -> None:
    """TCP has no borders: the header and the first message may come in any pieces."""
    query = dns.message.make_query("game.example", "A").to_wire()
    whole = proxy_header(CHILD, LISTENER, is_stream=True, token="k3j9") + len(query).to_bytes(2, "big") + query
    async with Stream(worker.server) as stream:
        for at in range(len(whole)):
            stream.writer.write(whole[at : at + 1])
            await stream.writer.drain()
        assert answers(dns.message.from_wire(await asyncio.wait_for(stream.receive(), 5))) == BLOCKED


def line(client: str, family: str = "TCP4", local: str = LISTENER) -> bytes:
    """A header of version 1."""
    return f"PROXY {family} {client} {local} 4711 53\r\n".encode()


async def test_line_of_version_1_introduces_a_connection(worker: OneWorker) -> None:
    """What HAProxy's `send-proxy` writes: the client's policy, in one piece or many; on datagrams it is no header."""
    for _ in range(2):
        assert answers(await ask(worker, line(CHILD), transport="tcp")) == BLOCKED
        assert answers(await ask(worker, line(ADULT), transport="tcp")) == OPEN
    assert answers(await ask(worker, line("2001:db8::1", "TCP6", "2001:db8::53"), transport="tcp")) == BLOCKED
    assert answers(await ask(worker, b"PROXY UNKNOWN\r\n", transport="tcp")) == OPEN, "the front end speaks for itself"
    assert (await ask(worker, line(STRANGER), transport="tcp")).rcode() == dns.rcode.REFUSED
    query = dns.message.make_query("game.example", "A").to_wire()
    whole = line(CHILD) + len(query).to_bytes(2, "big") + query
    async with Stream(worker.server) as stream:
        for at in range(len(whole)):
            stream.writer.write(whole[at : at + 1])
            await stream.writer.drain()
        assert answers(dns.message.from_wire(await asyncio.wait_for(stream.receive(), 5))) == BLOCKED


@pytest.mark.parametrize("broken", [b"PROXY TCP4 10.0.0.2 192.0.2.53 1\r\n", b"PROXY TCP6 10.0.0.2 ::1 1 2\r\n", b"PROXY " + b"x" * 120])
async def test_broken_line_ends_the_connection(worker: OneWorker, broken: bytes) -> None:
    """The client is never taken for the front end."""
    async with Stream(worker.server) as stream:
        stream.writer.write(broken)
        stream.send(dns.message.make_query("game.example", "A").to_wire())
        assert await stream.is_closed(2)
    assert worker.metric(MALFORMED.name, "dropped") == 1


async def test_header_that_never_ends_is_not_waited_for(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    """Half a header, then nothing: the connection ends when a query would have to be there."""
    async with make(tmp_path, upstream, limits=Limits(tcp_query=0.3)) as worker, Stream(worker.server) as stream:
        stream.writer.write(proxy_header(CHILD, LISTENER)[:20])
        assert await stream.is_closed(2)


async def test_connections_are_counted_for_the_clients_behind(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    """One client cannot take the front end's connections; the next client still gets in."""
    async with make(tmp_path, upstream, limits=Limits(tcp_connections=4, tcp_per_client=2)) as worker:
        query = dns.message.make_query("open.example", "A").to_wire()
        held = [Stream(worker.server) for _ in range(4)]
        for number, stream in enumerate(held):
            await stream.__aenter__()
            stream.writer.write(proxy_header(CHILD if number < 3 else ADULT, LISTENER))
            stream.send(query)
            if number == 2:
                assert await stream.is_closed(2)
            else:
                assert dns.message.from_wire(await asyncio.wait_for(stream.receive(), 5)).answer
        for stream in held:
            await stream.__aexit__(None, None, None)
        assert worker.metric(CONNECTIONS_REFUSED.name, "tcp", "client") == 1
        await asyncio.sleep(0.05)
        assert answers(await ask(worker, proxy_header(CHILD, LISTENER), "open.example", "tcp")) == ["198.51.100.2"]


@pytest.mark.parametrize("kind", ["dot", "doh"])
@pytest.mark.parametrize("place", ["before", "line before", "inside", "none"])
async def test_header_stands_before_or_inside_tls(tmp_path: Path, upstream: ScriptedUpstream, kind: str, place: str) -> None:
    """A balancer that does not look inside writes it before the handshake, dnsdist inside; without one the front end asks for itself."""
    made = Authority(tmp_path).vouch("dns.example", "127.0.0.1")
    (tmp_path / "state").mkdir()
    async with make(tmp_path / "state", upstream) as worker:
        server = ServerContext(TlsSettings(made.certificate, made.key, "dns.example"), DOT_PROTOCOLS if kind == "dot" else DOH_PROTOCOLS)
        transport = Transport(kind)
        sock = bind(Endpoint("127.0.0.1", 0), socket.SOCK_STREAM, "dot.listen", share=False)
        port = sock.getsockname()[1]
        build = ProxiedStreamListener if kind == "dot" else ProxiedDohListener
        scope = worker.pipeline.open_scope(f"127.0.0.1:{port}", transport, None)
        loop = asyncio.get_running_loop()
        listener = build(sock, scope, worker.pipeline, worker.counters, Limits(), loop, server.context, server.token_of)
        listener.trust(FRONT_ENDS)
        listener.open()
        try:
            assert answers(await ask_tls(port, kind, place, made.certificate)) == (OPEN if place == "none" else BLOCKED)
        finally:
            listener.close()
            await asyncio.sleep(0.05)
            sock.close()


async def ask_tls(port: int, kind: str, place: str, certificate: Path) -> dns.message.Message:
    """Ask over DoT or DoH (HTTP/1.1) with the header of the child where `place` says."""
    query = dns.message.make_query("game.example", "A").to_wire()
    header = line(CHILD) if place == "line before" else proxy_header(CHILD, LISTENER, is_stream=True)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    if place.endswith("before"):
        for at in range(0, len(header), 10):
            writer.write(header[at : at + 10])
            await writer.drain()
            await asyncio.sleep(0.01)
    await writer.start_tls(context, server_hostname="dns.example")
    if place == "inside":
        writer.write(header)
    if kind == "dot":
        writer.write(len(query).to_bytes(2, "big") + query)
        size = int.from_bytes(await asyncio.wait_for(reader.readexactly(2), 5), "big")
        reply = await reader.readexactly(size)
    else:
        head = "POST /dns-query HTTP/1.1\r\nHost: dns.example\r\nContent-Type: application/dns-message\r\n"
        head += f"Content-Length: {len(query)}\r\n\r\n"
        writer.write(head.encode() + query)
        said = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).lower()
        assert said.startswith(b"http/1.1 200")
        reply = await reader.readexactly(int(said.partition(b"content-length: ")[2].split(b"\r\n")[0]))
    writer.transport.abort()
    await asyncio.sleep(0)
    return dns.message.from_wire(reply)
