"""Packets that nobody should send, by class, and clients that misbehave on connections. For tests only.

`PACKETS` maps a class to a maker of one packet; `STREAMS` maps a class to what is written on a connection. Makers draw from a seeded
generator, so that a run can be repeated.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from random import Random

import dns.edns
import dns.message

from tests.support.upstream import break_connection

Maker = Callable[[Random], bytes]

NAMES = ("open.example", "facebook.com", "www.google.com", "nobody.example", "lie.example", "check.lachan.internal", "xn--4ca.example")
TYPES = ("A", "AAAA", "HTTPS", "TXT", "ANY", "PTR", "SVCB", "DNSKEY", "TYPE65280")
_CODES = (3, 8, 10, 11, 12, 15, 65001)
QUESTION = b"\x04open\x07example\0\0\1\0\1"


def sound(random: Random) -> bytes:
    """A query that is in order, the seed of most others."""
    name = random.choice(NAMES)
    if random.random() < 0.5:
        name = f"{random.choice(('www', 'a.b', 'x' * 40))}.{name}"
    options: list[dns.edns.Option] = [
        dns.edns.GenericOption(dns.edns.OptionType.make(random.choice(_CODES)), random.randbytes(random.choice((0, 4, 8, 24))))
        for _ in range(random.randrange(3))
    ]
    edns = random.choice((False, 0))
    message = dns.message.make_query(name, random.choice(TYPES), use_edns=edns, want_dnssec=random.random() < 0.3)
    if message.edns >= 0 and options:
        message.use_edns(0, payload=random.choice((0, 512, 1232, 4096, 65535)), options=options)
    return message.to_wire()


def _header(random: Random, flags: int = 0x0100, counts: tuple[int, int, int, int] = (1, 0, 0, 0)) -> bytes:
    return random.randbytes(2) + flags.to_bytes(2, "big") + b"".join(count.to_bytes(2, "big") for count in counts)


def _flipped(random: Random) -> bytes:
    data = bytearray(sound(random))
    for _ in range(random.randint(1, 6)):
        data[random.randrange(len(data))] = random.choice((0, 1, 0x29, 0x3F, 0x40, 0xC0, 0xFF, random.randrange(256)))
    return bytes(data)


def _stretched(random: Random) -> bytes:
    data = bytearray(sound(random))
    at = random.randrange(len(data))
    data[at:at] = random.randbytes(random.randrange(1, 60))
    return bytes(data)


def _options(random: Random) -> bytes:
    """OPT records that are broken: lengths that lie, several of them, another version, a name of their own."""
    body = b"".join(
        random.choice((3, 8, 10, 12, 15)).to_bytes(2, "big") + random.choice((0, 1, 7, 41, 65535)).to_bytes(2, "big") + random.randbytes(5)
        for _ in range(random.randint(1, 30))
    )
    length = random.choice((len(body), len(body) + 1, 0, 65535))
    owner = random.choice((b"\0", b"\0", b"\x01a\0", b"\xc0\x0c"))
    record = owner + b"\0\x29" + random.randbytes(2) + b"\0" + random.choice((b"\0", b"\1", b"\xff")) + random.randbytes(2)
    records = (record + length.to_bytes(2, "big") + body) * random.randint(1, 2)
    return _header(random, counts=(1, 0, 0, random.choice((1, 2)))) + QUESTION + records


def _question(random: Random, name: bytes, tail: bytes = b"\0\1\0\1") -> bytes:
    return _header(random) + name + tail


_LOOPS = (b"\xc0\x0c", b"\xc0\x0e\xc0\x0c", b"\x01a\xc0\x0c")
_LONGEST = (b"\x01a" * 126 + b"\0", b"\x01." * 126 + b"\0", (b"\x3f" + b"\xff" * 63) * 3 + b"\0")
_OWN_TYPES = (b"\0\0", b"\0\x29", b"\0\xfa", b"\0\xfb", b"\0\xfc", b"\0\xf9")
_ANSWER = QUESTION + b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\1\2\3\4"

PACKETS: dict[str, Maker] = {
    "in order": sound,
    "octets at random": lambda random: random.randbytes(random.randrange(0, 600)),
    "cut short": lambda random: sound(random)[: random.randrange(30)],
    "octets changed": _flipped,
    "octets put in": _stretched,
    "octets behind the end": lambda random: sound(random) + random.randbytes(random.randint(1, 200)),
    "counts that lie": lambda random: sound(random)[:4] + random.randbytes(8) + sound(random)[12:],
    "many questions": lambda random: _header(random, counts=(2000, 0, 0, 0)) + QUESTION * 2000,
    "names that point at themselves": lambda random: _question(random, random.choice(_LOOPS)),
    "reserved labels": lambda random: _question(random, bytes([random.randrange(0x40, 0xC0)]) + random.randbytes(30) + b"\0"),
    "the longest names": lambda random: _question(random, random.choice(_LONGEST)),
    "names that are too long": lambda random: _question(
        random, (b"\x3f" + b"a" * 63) * 3 + bytes((end := random.randint(62, 63),)) + b"a" * end + b"\0"
    ),
    "names without an end": lambda random: _header(random) + b"\x01a" * random.randint(100, 20000),
    "broken options": _options,
    "another operation": lambda random: _header(random, flags=random.randrange(1, 16) << 11) + QUESTION,
    "answers nobody asked for": lambda random: _header(random, flags=0x8180, counts=(1, 1, 0, 0)) + _ANSWER,
    "another class": lambda random: _header(random) + QUESTION[:-2] + random.choice((b"\0\3", b"\0\xfe", b"\0\xff", b"\0\0")),
    "types of the protocol itself": lambda random: _question(random, QUESTION[:-4], random.choice(_OWN_TYPES) + b"\0\1"),
    "the largest datagrams": lambda random: sound(random) + bytes(random.randint(20_000, 65_000)),
    "headers of front ends": lambda random: b"\r\n\r\n\0\r\nQUIT\n" + random.randbytes(4) + sound(random),
    "the beginning of QUIC": lambda random: b"\xc3\0\0\0\1\x08" + random.randbytes(1200),
}
"""Classes of datagrams."""

STREAMS: dict[str, Maker] = {
    "lengths that lie": lambda random: random.randbytes(2) + sound(random),
    "nothing as a message": lambda random: b"\0\0" * random.randint(1, 50),
    "half a message": lambda random: b"\0\x40" + sound(random)[:20],
    "hundreds at once": lambda random: b"".join(len(data := sound(random)).to_bytes(2, "big") + data for _ in range(300)),
    "broken messages": lambda random: b"".join(
        len(data := _flipped(random)).to_bytes(2, "big") + data for _ in range(random.randint(1, 30))
    ),
    "a web browser": lambda random: b"GET /" + b"a" * random.randrange(9000) + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    "a browser of HTTP/2": lambda random: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + random.randbytes(random.randrange(400)),
    "the beginning of TLS": lambda random: b"\x16\x03\x01" + random.randbytes(2) + random.randbytes(random.randrange(300)),
    "octets at random": lambda random: random.randbytes(random.randrange(1, 5000)),
}
"""Classes of what is written on a connection."""


async def flood(ports: list[int], random: Random, until: float, per_burst: int, sent: dict[str, int]) -> None:
    """Send datagrams of every class from many addresses until a moment of the loop's clock."""
    loop = asyncio.get_running_loop()
    clients = []
    for number in range(40):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.setblocking(False)
        client.bind((f"127.0.2.{number + 1}", 0))
        clients.append(client)
    kinds = list(PACKETS)
    try:
        while loop.time() < until:
            for _ in range(per_burst):
                kind = random.choice(kinds)
                with contextlib.suppress(OSError):  # a full buffer, a port that is not there any more: as on a real network
                    random.choice(clients).sendto(PACKETS[kind](random), ("127.0.0.1", random.choice(ports)))
                    sent[kind] = sent.get(kind, 0) + 1
            for client in clients:
                with contextlib.suppress(OSError):
                    client.recv(65535)
            await asyncio.sleep(0.005)
    finally:
        for client in clients:
            client.close()


async def pester(port: int, tls: ssl.SSLContext | None, random: Random, until: float, sent: dict[str, int]) -> None:
    """Open connections one after the other and misbehave on each: write junk, never read, wait, close or break off."""
    loop = asyncio.get_running_loop()
    while loop.time() < until:
        kind = random.choice(list(STREAMS))
        source = (f"127.0.3.{random.randint(1, 60)}", 0)
        with contextlib.suppress(OSError, ssl.SSLError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(5):
                reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, local_addr=source, limit=1024)
            try:
                writer.write(STREAMS[kind](random))
                sent[kind] = sent.get(kind, 0) + 1
                if random.random() < 0.3:
                    async with asyncio.timeout(0.2):
                        await reader.read(100)
                else:
                    await asyncio.sleep(random.choice((0, 0.01, 0.1, 2)))
            finally:
                break_connection(writer.transport) if random.random() < 0.3 else writer.transport.abort()
        await asyncio.sleep(0.005)
