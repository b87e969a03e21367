"""DNS over HTTPS on real sockets: both versions of HTTP, every status, tokens, and clients that misbehave on purpose."""

from __future__ import annotations

import asyncio
import base64
import gc
import socket
import ssl
import struct
import weakref
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import dns.message
import dns.rrset
import h2.connection
import h2.events
import httpx
import pytest

from gateway.clients import Scope
from gateway.listeners import PENDING, Pending
from gateway.listeners import http2 as http2_module
from gateway.listeners.doh import DohConnection, DohListener
from gateway.listeners.secure import SecureTransport
from gateway.metrics import Counters
from gateway.query import Origin, Transport
from gateway.settings import Endpoint, Limits, TlsSettings
from gateway.sockets import bind
from gateway.tls import DOH_PROTOCOLS, ServerContext
from tests.support.besiegers import FLOODS, GREETING, frame, headers
from tests.support.certificates import Authority
from tests.support.client import Stream


@dataclass
class Front:
    """A pipeline of a few lines: answers `late.` later, `drop.` never, all else at once with the token as TTL text."""

    seen: list[tuple[str, str | None]] = field(default_factory=list)

    def begin(self) -> int:
        """The listener's clock is not needed here."""
        return 0

    def touch(self, record: object, entry: object, raw: bytes, second: int) -> bytes | None:
        """No table, no hit."""
        return None

    def answer_now(self, data: bytes, origin: Origin) -> bytes | Pending | None:
        """The reply, or a promise."""
        query = dns.message.from_wire(data)
        name = query.question[0].name.to_text()
        self.seen.append((name, origin.token))
        reply = dns.message.make_response(query)
        text = "big " * 4000 if name.startswith("big.") else "x"
        pieces = " ".join(f'"{text[at : at + 200]}"' for at in range(0, len(text), 200))
        reply.answer.append(dns.rrset.from_text(name, 77, "IN", "TXT", pieces))
        wire = reply.to_wire(max_size=65535)
        if name.startswith("drop."):
            return None
        if name.startswith("late."):
            assert origin.send is not None
            asyncio.get_running_loop().call_later(0.05, origin.send, origin, wire)
            return PENDING
        return wire


@dataclass
class Server:
    """A listener with its address and what it was asked."""

    port: int
    front: Front
    trust: ssl.SSLContext
    listener: DohListener

    def client(self, http2: bool = True) -> httpx.AsyncClient:
        """An HTTP client that trusts this server."""
        return httpx.AsyncClient(http2=http2, verify=self.trust, base_url=f"https://127.0.0.1:{self.port}", timeout=5)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """A DoH listener on loopback."""
    authority = Authority(tmp_path)
    vouched = authority.vouch("dns.example", "*.dns.example", "127.0.0.1")
    tls = ServerContext(TlsSettings(vouched.certificate, vouched.key, "dns.example"), DOH_PROTOCOLS)
    sock = bind(Endpoint("127.0.0.1", 0), socket.SOCK_STREAM, "doh.listen", share=False)
    front = Front()
    loop = asyncio.get_running_loop()
    scope = Scope("doh", Transport.DOH, socket.inet_aton("127.0.0.1"))
    listener = DohListener(sock, scope, front, Counters(), Limits(tcp_per_client=50), loop, tls.context, tls.token_of)
    listener.open()
    trust = ssl.create_default_context(cafile=str(authority.file))
    yield Server(sock.getsockname()[1], front, trust, listener)
    listener.close()
    await asyncio.sleep(0.05)
    sock.close()


def query(name: str = "www.example.com") -> bytes:
    """A query as DoH clients send it: with id 0."""
    return dns.message.make_query(name, "TXT", id=0).to_wire()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - a listener has no event to wait for
            await asyncio.sleep(0.01)


def encoded(message: bytes) -> str:
    """The message for a GET."""
    return base64.urlsafe_b64encode(message).rstrip(b"=").decode()


@pytest.mark.parametrize("http2", [True, False])
async def test_connection_that_is_gone_leaves_no_memory_behind(server: Server, http2: bool) -> None:
    """Neither the connection nor what it spoke waits for the collector, which looks at old things once in hours."""
    gc.disable()
    try:
        async with server.client(http2) as client:
            await client.get(f"/dns-query?dns={encoded(query())}")
            (connection,) = server.listener.connections
            assert isinstance(connection, DohConnection)
            left = [weakref.ref(connection), weakref.ref(connection._speaker)]
            del connection
        await until(lambda: not any(one() for one in left))
    finally:
        gc.enable()


JUNK = [b"", b"GET / HTTP/1.1\r\n\r\n", b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", b"\0" * 500]
H2_JUNK = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9) + b"\xff" * 60, b"nonsense" * 9]


@pytest.mark.parametrize(("junk", "protocol"), [*((junk, "") for junk in JUNK), *((junk, "h2") for junk in H2_JUNK)])
async def test_junk_inside_tls_leaves_no_memory_behind(server: Server, junk: bytes, protocol: str) -> None:
    """A connection that ends by a fault of its client is forgotten like any other."""
    trust = server.trust
    if protocol:
        trust.set_alpn_protocols([protocol])
    gc.disable()
    try:
        async with Stream(("127.0.0.1", server.port), ssl=trust, server_hostname="dns.example") as stream:
            await until(lambda: bool(server.listener.connections))
            (connection,) = server.listener.connections
            assert isinstance(connection, DohConnection)
            inner = (connection, connection._speaker, connection._transport)
            left = [weakref.ref(one) for one in inner]
            del connection, inner
            stream.writer.write(junk)
            await asyncio.sleep(0.05)
        await until(lambda: not any(one() for one in left))
    finally:
        gc.enable()


async def test_handshake_that_fails_leaves_no_memory_behind(server: Server) -> None:
    """A half-made connection goes at once, not when the collector looks at old things."""
    gc.disable()
    try:
        before = sum(isinstance(one, SecureTransport) for one in gc.get_objects())
        for _ in range(5):
            async with Stream(("127.0.0.1", server.port)) as stream:
                stream.writer.write(b"GET / HTTP/1.1\r\n\r\n")
                assert await stream.is_closed()
        await until(lambda: server.listener.is_idle)
        await until(lambda: sum(isinstance(one, SecureTransport) for one in gc.get_objects()) <= before)
    finally:
        gc.enable()


TYPE = {"content-type": "application/dns-message"}


@pytest.mark.parametrize("http2", [True, False])
@pytest.mark.parametrize("name", ["www.example.com", "late.example.com", "big.example.com"])
async def test_get_and_post_are_answered_over_both_versions(server: Server, http2: bool, name: str) -> None:
    """The same reply by GET and POST, over HTTP/2 and HTTP/1.1, with media type, the least TTL to keep it, and id 0."""
    async with server.client(http2) as client:
        for reply in (
            await client.get(f"/dns-query?dns={encoded(query(name))}"),
            await client.post("/dns-query", content=query(name), headers=TYPE),
        ):
            assert reply.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
            assert (reply.status_code, reply.headers["content-type"]) == (200, "application/dns-message")
            assert reply.headers["cache-control"] == "max-age=77"
            assert dns.message.from_wire(reply.content).id == 0


@pytest.mark.parametrize("http2", [True, False])
async def test_every_other_request_has_its_status(server: Server, http2: bool) -> None:
    """Wrong path, method, type, size and encoding have the status RFC 8484 and RFC 9110 give them, and none reaches the pipeline."""
    async with server.client(http2) as client:
        cases = [
            (client.get("/"), 404),
            (client.get("/dns-query"), 400),
            (client.get(f"/dns-query?dns={encoded(query())}="), 400),
            (client.post("/dns-query", content=query(), headers={"content-type": "text/plain"}), 415),
            (client.post("/dns-query", content=b"", headers=TYPE), 400),
            (client.put("/dns-query", content=query(), headers=TYPE), 405),
            (client.post("/dns-query", content=query("drop.example.com"), headers=TYPE), 429),
        ]
        for request, status in cases:
            assert (await request).status_code == status
    assert [name for name, _ in server.front.seen] == ["drop.example.com."]
    async with server.client(http2) as client:
        assert (await client.post("/dns-query", content=bytes(70_000), headers=TYPE)).status_code == 413


async def test_token_of_the_path_wins_and_a_connection_serves_several(server: Server) -> None:
    """Two children behind one connection keep their own tokens; without one in the path the server name counts."""
    async with server.client() as client:
        for path in ("/dns-query/an", "/dns-query/binh", "/dns-query"):
            await client.post(path, content=query(), headers=TYPE)
    named = httpx.AsyncClient(http2=True, verify=server.trust, base_url=f"https://127.0.0.1:{server.port}")
    async with named:
        await named.post("/dns-query", content=query(), headers=TYPE, extensions={"sni_hostname": "chi.dns.example"})
    assert [token for _, token in server.front.seen] == ["an", "binh", None, "chi"]


async def test_listener_that_stops_answers_what_lies_in_the_system(server: Server) -> None:
    """HTTP/1.1: two requests in one breath, sent just before the end and one that takes its time among them, are answered; then it ends."""
    async with Stream(("127.0.0.1", server.port), ssl=server.trust, server_hostname="dns.example") as stream:
        ask = lambda name: f"GET /dns-query?dns={encoded(query(name))} HTTP/1.1\r\nhost: dns.example\r\n\r\n".encode()  # noqa: E731
        stream.writer.write(ask("www.example.com"))
        assert b"200" in await stream.reader.readuntil(b"\r\n")
        stream.writer.write(ask("late.example.com") + ask("www.example.com"))
        server.listener.stop()
        rest = await asyncio.wait_for(stream.reader.read(-1), 10)
        assert rest.count(b"HTTP/1.1 200") == 2
    await until(lambda: server.listener.is_idle)


async def test_listener_that_stops_lets_a_small_window_take_its_answers(server: Server) -> None:
    """HTTP/2: answers that wait for the client's window when the listener stops leave as it opens; the goodbye comes last."""
    server.trust.set_alpn_protocols(["h2"])
    async with Stream(("127.0.0.1", server.port), ssl=server.trust, server_hostname="dns.example") as stream:
        client = h2.connection.H2Connection()
        client.initiate_connection()
        for number in range(8):  # 16 KiB each: twice the window of a connection
            fields = [(":method", "GET"), (":scheme", "https"), (":authority", "dns.example")]
            fields.append((":path", f"/dns-query?dns={encoded(query('big.example.com'))}"))
            client.send_headers(2 * number + 1, fields, end_stream=True)
        stream.writer.write(client.data_to_send())
        await until(lambda: len(server.front.seen) == 8)
        server.listener.stop()
        await asyncio.sleep(0.7)
        ended: list[int] = []
        async with asyncio.timeout(10):
            while data := await stream.reader.read(65536):
                for event in client.receive_data(data):
                    if isinstance(event, h2.events.DataReceived):
                        client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    elif isinstance(event, h2.events.StreamEnded):
                        ended.append(event.stream_id)
                stream.writer.write(client.data_to_send())
        assert sorted(ended) == list(range(1, 16, 2))


async def test_many_streams_at_once_are_all_answered(server: Server) -> None:
    """A browser asks a page's names together; all are answered, late ones too."""
    async with server.client() as client:
        names = [f"{kind}{number}.example.com" for number in range(40) for kind in ("now", "late.")]
        replies = await asyncio.gather(*(client.post("/dns-query", content=query(name), headers=TYPE) for name in names))
    assert [reply.status_code for reply in replies] == [200] * 80


class RawClient:
    """A client that speaks frames by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, server: Server) -> RawClient:
        """Connect and greet."""
        trust = server.trust
        trust.set_alpn_protocols(["h2"])
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=trust, server_hostname="dns.example")
        client = cls(reader, writer)
        writer.write(GREETING)
        return client

    async def is_cut(self, seconds: float = 3.0) -> bool:
        """Whether the server ends the connection."""
        try:
            async with asyncio.timeout(seconds):
                while await self.reader.read(65536):
                    pass
        except TimeoutError:
            return False
        except (ConnectionError, ssl.SSLError):
            return True
        return True


async def healthy(server: Server) -> bool:
    """Whether another client is served."""
    async with server.client() as client:
        return (await client.post("/dns-query", content=query(), headers=TYPE)).status_code == 200


@pytest.mark.parametrize("flood", FLOODS)
async def test_flood_ends_its_own_connection_only(server: Server, flood: str) -> None:
    """Rapid reset and floods of empty frames, settings, pings and continuations are cut off; others are served meanwhile."""
    client = await RawClient.connect(server)
    make = FLOODS[flood]
    try:
        for number in range(4000):
            client.writer.write(make(number))
            if number % 500 == 0:
                await client.writer.drain()
        assert await healthy(server)
    except (ConnectionError, ssl.SSLError):
        pass
    assert await client.is_cut()
    client.writer.close()
    assert await healthy(server)


async def test_client_that_never_reads_is_bounded(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers for a closed window wait only up to a bound; then the connection ends."""
    monkeypatch.setattr(http2_module, "MOST_WAITING", 60_000)
    client = await RawClient.connect(server)
    client.writer.write(frame(4, 0, 0, struct.pack("!HI", 4, 0)))
    body = query("big.example.com")
    for number in range(40):
        stream = 2 * number + 1
        client.writer.write(headers(stream) + frame(0, 1, stream, body))
    assert await client.is_cut()
    client.writer.close()
    assert await healthy(server)


async def test_half_open_handshakes_and_silence_end_by_themselves(server: Server) -> None:
    """Connections without a handshake, or with one and nothing after it, are ended; others are served meanwhile."""
    object.__setattr__(server.listener.limits, "tcp_query", 1.0)
    object.__setattr__(server.listener.limits, "tcp_idle", 1.0)
    silent = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(10)]
    assert await healthy(server)
    client = await RawClient.connect(server)
    assert await client.is_cut(15)
    for reader, writer in silent:
        async with asyncio.timeout(5):
            await reader.read()
        writer.close()
    client.writer.close()
