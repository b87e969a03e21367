"""Clients that behave as badly as they can, one function for each way, over TLS, HTTP/2 and QUIC. For tests only.

Every attack takes a `Target` and returns once the gateway has ended it; an attack that is put up with for longer than `PATIENCE` fails.
Each has an address of its own, so that budgets per client do not hide one behind another.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import dns.message
import h2.config
import h2.connection
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection

from tests.support.quicclient import dial

PATIENCE = 40.0
TYPE = b"content-type: application/dns-message\r\n"
GONE = (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError)


@dataclass(frozen=True)
class Target:
    """Where to attack, and from which address."""

    ports: dict[str, int]
    authority: Path
    source: str

    async def plainly(self, transport: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A TCP connection."""
        return await asyncio.open_connection("127.0.0.1", self.ports[transport], local_addr=(self.source, 0))

    async def secretly(self, transport: str, *alpn: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A TLS connection."""
        trust = ssl.create_default_context(cafile=str(self.authority))
        if alpn:
            trust.set_alpn_protocols(list(alpn))
        port = self.ports[transport]
        return await asyncio.open_connection("127.0.0.1", port, local_addr=(self.source, 0), ssl=trust, server_hostname="dns.example")


Attack = Callable[[Target], Awaitable[None]]


def query(name: str, qtype: str = "A") -> bytes:
    """A query with EDNS and id 0."""
    return dns.message.make_query(name, qtype, id=0, use_edns=0).to_wire()


def framed(message: bytes) -> bytes:
    """A message with its length."""
    return len(message).to_bytes(2, "big") + message


async def is_cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read until the gateway ends the connection."""
    async with asyncio.timeout(PATIENCE):
        with contextlib.suppress(*GONE):
            while await reader.read(65_536):
                pass
    writer.close()


async def dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> None:
    """An octet now and then, until the gateway has enough."""
    ending = asyncio.ensure_future(is_cut(reader, writer))
    for octet in data:
        if ending.done():
            break
        with contextlib.suppress(*GONE):
            writer.write(bytes([octet]))
        await asyncio.sleep(0.1)
    assert ending.done() or len(data) > PATIENCE * 10, "the whole of it was waited for"
    await ending


def hello() -> bytes:
    """The first flight of a TLS client."""
    out = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname="dns.example")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return out.read()


# TLS ------------------------------------------------------------------------------------------------------------------------------


def half_open(transport: str) -> Attack:
    """Connections that never begin a handshake."""

    async def attack(target: Target) -> None:
        for pair in [await target.plainly(transport) for _ in range(8)]:
            await is_cut(*pair)

    return attack


def slow_handshake(transport: str) -> Attack:
    """A handshake in single octets."""

    async def attack(target: Target) -> None:
        await dribble(*await target.plainly(transport), hello())

    return attack


def unfinished_handshake(transport: str) -> Attack:
    """A greeting, and silence once the gateway has signed."""

    async def attack(target: Target) -> None:
        reader, writer = await target.plainly(transport)
        writer.write(hello())
        await is_cut(reader, writer)

    return attack


def silence(transport: str) -> Attack:
    """A handshake, and nothing."""

    async def attack(target: Target) -> None:
        await is_cut(*await target.secretly(transport))

    return attack


def flood_of_connections(transport: str) -> Attack:
    """Two hundred at once from one address: what is beyond half of all places is turned away without a handshake."""

    async def attack(target: Target) -> None:
        async def one() -> bool:
            try:
                reader, writer = await target.secretly(transport)
            except (OSError, ssl.SSLError):
                return False
            await is_cut(reader, writer)
            return True

        async with asyncio.timeout(PATIENCE):
            done = await asyncio.gather(*(one() for _ in range(200)))
        assert sum(done) <= 30 + 40, f"{sum(done)} places for one address"

    return attack


async def slow_query(target: Target) -> None:
    """A query in single octets."""
    await dribble(*await target.secretly("dot"), framed(query("www.example.com")))


async def oversized_length(target: Target) -> None:
    """A length of 65,535, a little of it, and silence."""
    reader, writer = await target.secretly("dot")
    writer.write(b"\xff\xff" + bytes(100))
    await is_cut(reader, writer)


async def never_reads(target: Target) -> None:
    """Queries for large answers, none of them read."""
    reader, writer = await target.secretly("dot")
    reader._transport.pause_reading()  # type: ignore[attr-defined]
    data = framed(query("large.example", "TXT")) * 200
    async with asyncio.timeout(PATIENCE):
        with contextlib.suppress(*GONE):
            while not writer.transport.is_closing():
                writer.write(data)
                await writer.drain()
                await asyncio.sleep(0.01)
    writer.transport.abort()


# HTTP -----------------------------------------------------------------------------------------------------------------------------


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """One frame (RFC 9113 §4.1)."""
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def _head() -> bytes:
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    connection.initiate_connection()
    connection.data_to_send()
    fields = [(":method", "POST"), (":path", "/dns-query"), (":scheme", "https"), (":authority", "x")]
    connection.send_headers(1, [*fields, ("content-type", "application/dns-message")])
    return connection.data_to_send()[9:]


HEAD = _head()
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"")


def headers(stream: int) -> bytes:
    """A request's headers; its body follows."""
    return frame(1, 4, stream, HEAD)


FLOODS: dict[str, Callable[[int], bytes]] = {
    "rapid reset": lambda n: headers(2 * n + 1) + frame(3, 0, 2 * n + 1, struct.pack("!I", 8)),
    "ping": lambda n: frame(6, 0, 0, n.to_bytes(8)),
    "settings": lambda n: frame(4, 0, 0, b""),
    "priority": lambda n: frame(2, 0, 1, b"\0\0\0\0\x10"),
    "empty data": lambda n: (headers(1) if n == 0 else b"") + frame(0, 0, 1, b""),
    "continuation": lambda n: frame(1, 0, 1, b"\x82") if n == 0 else frame(9, 0, 1, b"\x00\x01a\x01b" * 50),
    "window": lambda n: frame(8, 0, 0, (1).to_bytes(4)),
}


def flood(kind: str) -> Attack:
    """Thousands of frames of one kind."""

    async def attack(target: Target) -> None:
        reader, writer = await target.secretly("doh", "h2")
        writer.write(GREETING)
        ending = asyncio.ensure_future(is_cut(reader, writer))
        with contextlib.suppress(*GONE):
            for number in range(4000):
                if ending.done():
                    break
                writer.write(FLOODS[kind](number))
                if number % 100 == 0:
                    await writer.drain()
                    await asyncio.sleep(0)
        await ending

    return attack


async def endless_streams(target: Target) -> None:
    """A hundred requests that never end, with a sign of life on each again and again."""
    reader, writer = await target.secretly("doh", "h2")
    writer.write(GREETING + b"".join(headers(2 * number + 1) for number in range(100)))
    ending = asyncio.ensure_future(is_cut(reader, writer))
    async with asyncio.timeout(PATIENCE):
        while not ending.done():
            with contextlib.suppress(*GONE):
                writer.write(b"".join(frame(0, 0, 2 * number + 1, b"\0") for number in range(0, 100, 10)))
            await asyncio.sleep(0.1)
    await ending


async def slow_body(target: Target) -> None:
    """One request over HTTP/1.1 whose body comes in single octets."""
    reader, writer = await target.secretly("doh")
    writer.write(b"POST /dns-query HTTP/1.1\r\nhost: x\r\n" + TYPE + b"content-length: 60000\r\n\r\n")
    await dribble(reader, writer, bytes(1000))


async def slow_head(target: Target) -> None:
    """A head over HTTP/1.1 in single octets."""
    await dribble(*await target.secretly("doh"), b"GET /dns-query HTTP/1.1\r\nhost: x\r\n" + b"x: yyyyyyy\r\n" * 100)


async def oversized_body(target: Target) -> None:
    """A body larger than any message, again and again on the same connection, unread answers and all."""
    reader, writer = await target.secretly("doh", "h2")
    writer.write(GREETING)
    ending = asyncio.ensure_future(is_cut(reader, writer))
    async with asyncio.timeout(PATIENCE):
        for number in range(2000):
            if ending.done():
                break
            with contextlib.suppress(*GONE):
                body = b"".join(frame(0, 0, 2 * number + 1, bytes(16_000)) for _ in range(5))
                writer.write(headers(2 * number + 1) + body)
                await writer.drain()
            await asyncio.sleep(0.005)
        await ending


async def closed_window(target: Target) -> None:
    """Large answers for a window that stays shut, while the connection is kept awake."""
    reader, writer = await target.secretly("doh", "h2")
    writer.write(GREETING + frame(4, 0, 0, struct.pack("!HI", 4, 0)))
    body = query("large.example", "TXT")
    writer.write(b"".join(headers(2 * number + 1) + frame(0, 1, 2 * number + 1, body) for number in range(20)))
    ending = asyncio.ensure_future(is_cut(reader, writer))
    async with asyncio.timeout(PATIENCE):
        while not ending.done():
            with contextlib.suppress(*GONE):
                writer.write(frame(6, 0, 0, bytes(8)))
            await asyncio.sleep(0.1)
    await ending


async def endless_pipeline(target: Target) -> None:
    """Requests over HTTP/1.1 one behind the other, no answer read."""
    reader, writer = await target.secretly("doh")
    reader._transport.pause_reading()  # type: ignore[attr-defined]
    body = query("large.example", "TXT")
    data = (b"POST /dns-query HTTP/1.1\r\nhost: x\r\n" + TYPE + b"content-length: %d\r\n\r\n" % len(body) + body) * 100
    async with asyncio.timeout(PATIENCE):
        with contextlib.suppress(*GONE):
            while not writer.transport.is_closing():
                writer.write(data)
                await writer.drain()
                await asyncio.sleep(0.01)
    writer.transport.abort()


# QUIC -----------------------------------------------------------------------------------------------------------------------------


async def half_open_quic(target: Target) -> None:
    """Greetings from one address that go no further."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((target.source, 0))
        sock.setblocking(False)
        for _ in range(30):
            client = QuicConnection(configuration=QuicConfiguration(is_client=True, alpn_protocols=["doq"], server_name="dns.example"))
            client.connect(("127.0.0.1", target.ports["doq"]), now=0.0)
            for data, address in client.datagrams_to_send(now=0.0):
                await loop.sock_sendto(sock, data, address)


async def junk(target: Target) -> None:
    """Noise, some of it with the head of a greeting."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((target.source, 0))
        sock.setblocking(False)
        for number in range(300):
            head = b"\xc3\0\0\0\1\10" + os.urandom(8) + b"\0\0\x44\x90" if number % 3 else os.urandom(30)
            await loop.sock_sendto(sock, (head + os.urandom(1200))[:1200], ("127.0.0.1", target.ports["doq"]))
            await asyncio.sleep(0)


def on_quic(misuse: Callable[..., Awaitable[None]], **options: int) -> Attack:
    """Misuse of one connection, until it is ended."""

    async def attack(target: Target) -> None:
        async with dial(target.ports["doq"], target.authority, "dns.example", "doq", target.source, **options) as client:
            ending = asyncio.ensure_future(client.ended(PATIENCE))
            while not ending.done():
                await misuse(client)
                await asyncio.sleep(0.05)
            await ending

    return attack


async def _open_streams(client: object) -> None:
    if not getattr(client, "begun", False):
        client.begun = True  # type: ignore[attr-defined]
        for _ in range(90):
            client.send(b"\0", end=False)  # type: ignore[attr-defined]
    client._quic.send_ping(7)  # type: ignore[attr-defined]
    client.transmit()  # type: ignore[attr-defined]


async def _shut_window(client: object) -> None:
    if not getattr(client, "begun", False):
        client.begun = True  # type: ignore[attr-defined]
        for _ in range(50):
            client.send(framed(query("large.example", "TXT")))  # type: ignore[attr-defined]
    client._quic.send_ping(7)  # type: ignore[attr-defined]
    client.transmit()  # type: ignore[attr-defined]


async def _pings(client: object) -> None:
    for number in range(100):
        client._quic.send_ping(number)  # type: ignore[attr-defined]
        client.transmit()  # type: ignore[attr-defined]
        if number % 10 == 0:
            await asyncio.sleep(0)


async def _cancelled(client: object) -> None:
    for _ in range(40):
        client.cancel(client.send(framed(query("www.example.com"))))  # type: ignore[attr-defined]


ATTACKS: dict[str, Attack] = {
    **{
        f"{way.__name__} {transport}": way(transport)
        for way in (half_open, slow_handshake, unfinished_handshake, silence)
        for transport in ("dot", "doh")
    },
    "flood_of_connections dot": flood_of_connections("dot"),
    "flood_of_connections doh": flood_of_connections("doh"),
    "slow_query dot": slow_query,
    "oversized_length dot": oversized_length,
    "never_reads dot": never_reads,
    **{f"flood of {kind} doh": flood(kind) for kind in FLOODS},
    "endless_streams doh": endless_streams,
    "slow_body doh": slow_body,
    "slow_head doh": slow_head,
    "oversized_body doh": oversized_body,
    "closed_window doh": closed_window,
    "endless_pipeline doh": endless_pipeline,
    "half_open doq": half_open_quic,
    "junk doq": junk,
    "streams without end doq": on_quic(_open_streams),
    "closed_window doq": on_quic(_shut_window, max_data=1000, max_stream_data=1000),
    "flood of pings doq": on_quic(_pings),
    "flood of cancelled streams doq": on_quic(_cancelled),
}
