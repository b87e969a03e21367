"""One call for any transport, and a bare stream for those who want to behave badly. For tests only.

reply = await ask(("127.0.0.1", port), "www.example.com", "AAAA", transport="tcp")
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from types import TracebackType
from typing import Any, Self

import dns.edns
import dns.flags
import dns.message
import dns.rrset

Address = tuple[str, int]


async def ask(
    server: Address,
    name: str,
    qtype: str = "A",
    *,
    transport: str = "udp",
    source: str | None = None,
    seconds: float = 5.0,
    rd: bool = True,
    **edns: Any,
) -> dns.message.Message:
    """The reply to one question; `edns` are arguments of dnspython's make_query (use_edns, want_dnssec, payload, options)."""
    query = dns.message.make_query(name, qtype, **edns)
    if not rd:
        query.flags &= ~dns.flags.RD
    reply = dns.message.from_wire(await exchange(server, query.to_wire(), transport=transport, source=source, seconds=seconds))
    assert query.is_response(reply), "not the reply to this query"
    return reply


async def exchange(
    server: Address, wire: bytes, *, transport: str = "udp", source: str | None = None, seconds: float = 5.0
) -> bytes:  # the octets of the reply
    """Send octets and return the octets that come back. Raises TimeoutError when none do."""
    async with asyncio.timeout(seconds):
        if transport == "udp":
            async with Datagrams(server, source) as client:
                client.send(wire)
                return await client.receive()
        async with Stream(server, source) as stream:
            stream.send(wire)
            return await stream.receive()


async def is_silent(server: Address, wire: bytes, *, transport: str = "udp", seconds: float = 0.2) -> bool:
    """Whether nothing comes back for these octets within a moment."""
    try:
        await exchange(server, wire, transport=transport, seconds=seconds)
    except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
        return True
    return False


class Datagrams:
    """One UDP socket of a client."""

    def __init__(self, server: Address, source: str | None = None) -> None:
        family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
        self.server = server
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        if source is not None:
            self.sock.bind((source, 0))

    def send(self, wire: bytes) -> None:
        """Send one datagram."""
        self.sock.sendto(wire, self.server)

    async def receive(self) -> bytes:
        """The next datagram that comes from the server."""
        while True:
            data, address = await asyncio.get_running_loop().sock_recvfrom(self.sock, 65535)
            if address[:2] == self.server[:2]:
                return data

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.sock.close()


class Stream:
    """One TCP connection of a client."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def __init__(self, server: Address, source: str | None = None, **options: Any) -> None:
        self._server = server
        self._options = {**options, **({"local_addr": (source, 0)} if source else {})}

    def send(self, wire: bytes) -> None:
        """Send one message with its length."""
        self.writer.write(len(wire).to_bytes(2, "big") + wire)

    async def receive(self) -> bytes:
        """The next message. Raises IncompleteReadError when the server has closed."""
        size = int.from_bytes(await self.reader.readexactly(2), "big")
        return await self.reader.readexactly(size)

    async def is_closed(self, seconds: float = 5.0) -> bool:
        """Whether the server closes the connection within this time, whatever it sends before."""
        try:
            async with asyncio.timeout(seconds):
                while await self.reader.read(65536):
                    pass
        except TimeoutError:
            return False
        except ConnectionError:
            pass
        return True

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection(*self._server, **self._options)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError, TimeoutError):
            await self.writer.wait_closed()


def answers(reply: dns.message.Message, qtype: str = "") -> list[str]:
    """The record data of the answer section, sorted; of one type if given."""
    return sorted(str(rdata) for rrset in reply.answer for rdata in rrset if not qtype or rrset.rdtype.name == qtype)


def errors(reply: dns.message.Message) -> list[int]:
    """The codes of the extended DNS errors of a reply."""
    return [int(option.code) for option in reply.options if isinstance(option, dns.edns.EDEOption)]
