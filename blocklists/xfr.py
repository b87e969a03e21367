"""Zone transfer out: AXFR, IXFR, SOA and NOTIFY with TSIG, so that other people's resolvers follow the list.

RFC 5936 (AXFR), RFC 1995 (IXFR), RFC 1996 (NOTIFY), RFC 8945 (TSIG), RFC 9103 (over TLS). Messages, signatures and names are dnspython's;
here is only who may have what. Connections are counted in all and of each address, over TLS before the handshake. A transfer needs a
listed key or a listed address; strangers are refused before anything is counted or built, so the quota of transfers is spent by
secondaries alone. Imported by `admin.process` and the tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Protocol, cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.tsig

MAX_REQUEST = 4096
MESSAGE_BYTES = 16_000
IDLE_SECONDS = 20.0
HANDSHAKE_SECONDS = 5.0
ACCEPT_PAUSE = 0.2
TRANSFERS_AT_ONCE = 10
MOST_CONNECTIONS, MOST_OF_ONE = 200, 10
"""Connections in all, and of one address (one /64 for IPv6)."""
NOTIFY_TRIES = (0.0, 1.0, 3.0, 10.0, 30.0)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
log = logging.getLogger("lachan.xfr")


@dataclass(frozen=True, slots=True)
class Secondary:
    """A resolver that is told of every new serial: its address, port, and the name of its key or None."""

    address: str
    port: int = 53
    key: str | None = None


class Zone(Protocol):
    """What is served: a zone at its newest serial. Records are octets for a message whose question is the zone's name."""

    @property
    def origin(self) -> dns.name.Name:
        """The zone's name."""

    def soa(self) -> dns.rrset.RRset:
        """The SOA of the newest serial."""

    def whole(self) -> Iterator[bytes]:
        """The records for AXFR, from SOA to SOA."""

    def since(self, serial: int) -> Iterator[bytes] | None:
        """The records for IXFR; None where a secondary needs the whole zone."""


@dataclass(slots=True)
class Feed:
    """What one server offers: zones by name, keys by name, and networks that need no key. `scopes` are the zones of the keys that are for
    some only: such a key takes no other zone, and its secondaries are told of no other."""

    zones: dict[dns.name.Name, Zone]
    keys: Mapping[dns.name.Name, dns.tsig.Key] = field(default_factory=dict)
    open_to: Sequence[Network] = ()
    secondaries: Sequence[Secondary] = ()
    scopes: Mapping[dns.name.Name, frozenset[dns.name.Name]] = field(default_factory=dict)

    def is_for(self, key: dns.name.Name, zone: dns.name.Name) -> bool:
        """Whether whoever has the key may have the zone."""
        return key not in self.scopes or zone in self.scopes[key]


class TransferServer:
    """Serves the zones of a feed over TCP and answers SOA queries over UDP; `announce` sends NOTIFY."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self._transfers = asyncio.Semaphore(TRANSFERS_AT_ONCE)
        self._server: asyncio.Server | None = None
        self._secure: tuple[socket.socket, asyncio.Task[None]] | None = None
        self._handshakes: set[asyncio.Task[None]] = set()
        self._datagrams: asyncio.DatagramTransport | None = None
        self._notices: set[asyncio.Task[None]] = set()
        self._open: Counter[str] = Counter()

    async def start(self, host: str, port: int) -> int:
        """Listen on TCP and UDP; returns the port. Raises OSError when it is taken."""
        loop = asyncio.get_running_loop()
        for left in reversed(range(8 if port == 0 else 1)):  # a port that is free for TCP may be taken for UDP
            self._server = await asyncio.start_server(self._serve, host, port, limit=MAX_REQUEST)
            bound: int = self._server.sockets[0].getsockname()[1]
            try:
                self._datagrams, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), local_addr=(host, bound))
                break
            except OSError:
                self._server.close()
                if not left:
                    raise
        return bound

    async def start_tls(self, host: str, port: int, context: ssl.SSLContext) -> int:
        """Listen for transfers over TLS (RFC 9103) as well; returns the port. Raises OSError when it is taken."""
        context.minimum_version = ssl.TLSVersion.TLSv1_3  # §5: nothing older
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family)
        listening.setblocking(False)
        self._secure = listening, asyncio.get_running_loop().create_task(self._accept(listening, context), name="xfr tls")
        return int(listening.getsockname()[1])

    async def stop(self) -> None:
        """Stop listening and give up what is under way."""
        for task in self._notices:
            task.cancel()
        if self._datagrams is not None:
            self._datagrams.close()
        if self._secure is not None:
            listening, accepting = self._secure
            for task in (accepting, *self._handshakes):
                task.cancel()
            await asyncio.gather(accepting, *self._handshakes, return_exceptions=True)
            listening.close()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def announce(self, origin: dns.name.Name) -> None:
        """Tell every secondary of the zone's new serial (RFC 1996), with a few tries each."""
        for secondary in self.feed.secondaries:
            if secondary.key is not None and not self.feed.is_for(dns.name.from_text(secondary.key), origin):
                continue
            task = asyncio.get_running_loop().create_task(self._notify(origin, secondary), name=f"notify {secondary.address}")
            self._notices.add(task)
            task.add_done_callback(self._notices.discard)

    async def _notify(self, origin: dns.name.Name, secondary: Secondary) -> None:
        zone = self.feed.zones[origin]
        import dns.asyncquery  # loads what speaks QUIC: a tenth of a second that only the first notice takes

        for wait in NOTIFY_TRIES:
            await asyncio.sleep(wait)
            notice = dns.message.make_query(origin, dns.rdatatype.SOA)
            notice.set_opcode(dns.opcode.NOTIFY)
            notice.flags = (notice.flags | dns.flags.AA) & ~dns.flags.RD
            notice.answer = [zone.soa()]
            key = self.feed.keys.get(dns.name.from_text(secondary.key)) if secondary.key else None
            if key is not None:
                notice.use_tsig(key)
            with contextlib.suppress(dns.exception.DNSException, OSError):
                await dns.asyncquery.udp(notice, secondary.address, port=secondary.port, timeout=3.0)
                return
        log.warning("notify_unanswered")

    async def _accept(self, listening: socket.socket, context: ssl.SSLContext) -> None:
        """Take connections for TLS one by one: each is counted before its handshake begins, which costs more than anything after it."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                line, address = await loop.sock_accept(listening)
            except OSError:  # no more files for a moment, or a client that is gone already
                await asyncio.sleep(ACCEPT_PAUSE)
                continue
            house = self._enter(address[0])
            if house is None:
                line.close()
                continue
            task = loop.create_task(self._serve_secure(line, address[0], house, context), name="xfr tls connection")
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    async def _serve_secure(self, line: socket.socket, peer: str, house: str, context: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=MAX_REQUEST)
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, line, ssl=context, ssl_handshake_timeout=HANDSHAKE_SECONDS)
            writer = asyncio.StreamWriter(transport, protocol, reader, loop)
            try:
                await self._converse(reader, writer, peer)
            finally:
                writer.close()
        except (OSError, TimeoutError):
            line.close()
        finally:
            self._leave(house)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")[0]
        house = self._enter(peer)
        if house is None:
            writer.close()
            return
        try:
            await self._converse(reader, writer, peer)
        finally:
            writer.close()
            self._leave(house)

    def _enter(self, peer: str) -> str | None:
        """Count a connection; None when it is one too many."""
        house = str(ipaddress.ip_network((peer.partition("%")[0], 64), strict=False)) if ":" in peer else peer
        if self._open.total() >= MOST_CONNECTIONS or self._open[house] >= MOST_OF_ONE:
            return None
        self._open[house] += 1
        return house

    def _leave(self, house: str) -> None:
        self._open[house] -= 1
        if not self._open[house]:
            del self._open[house]

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: str) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            if (tls := writer.get_extra_info("ssl_object")) is not None and tls.selected_alpn_protocol() != "dot":
                writer.close()  # RFC 9103 §7.1: the protocol is named
                return
            while True:
                async with asyncio.timeout(IDLE_SECONDS):
                    size = int.from_bytes(await reader.readexactly(2))
                    if not 12 <= size <= MAX_REQUEST:
                        break
                    wire = await reader.readexactly(size)
                async for reply in self._replies(wire, peer, stream=True):
                    writer.write(len(reply).to_bytes(2) + reply)
                    async with asyncio.timeout(IDLE_SECONDS):
                        await writer.drain()

    async def _replies(self, wire: bytes, peer: str, *, stream: bool) -> AsyncIterator[bytes]:
        if wire[2] & 0x80:
            return  # a reply to nothing we asked
        try:
            query = dns.message.from_wire(wire, keyring=dict(self.feed.keys))
        except dns.exception.DNSException:
            yield _refuse_unread(wire)
            return
        zone = self.feed.zones.get(query.question[0].name) if len(query.question) == 1 else None
        if zone is None or query.opcode() != dns.opcode.QUERY or not self._may(query, zone.origin, peer):
            yield _plain(query, dns.rcode.REFUSED)
            return
        kind = query.question[0].rdtype
        if kind == dns.rdatatype.SOA or (kind == dns.rdatatype.IXFR and not stream):
            yield _plain(query, dns.rcode.NOERROR, [zone.soa()])
        elif kind in (dns.rdatatype.AXFR, dns.rdatatype.IXFR) and stream:
            async with self._transfers:
                for message in _stream(query, self._answer(zone, query)):
                    yield message
                    await asyncio.sleep(0)
        else:
            yield _plain(query, dns.rcode.REFUSED)

    def _may(self, query: dns.message.Message, zone: dns.name.Name, peer: str) -> bool:
        if query.had_tsig and query.keyname is not None and self.feed.is_for(query.keyname, zone):
            return True
        address = ipaddress.ip_address(peer)
        return any(address in network for network in self.feed.open_to)

    @staticmethod
    def _answer(zone: Zone, query: dns.message.Message) -> Iterable[bytes]:
        if query.question[0].rdtype == dns.rdatatype.IXFR and query.authority:
            known = query.authority[0]
            if known.rdtype == dns.rdatatype.SOA and (steps := zone.since(known[0].serial)) is not None:
                return steps
        return zone.whole()


class _Datagrams(asyncio.DatagramProtocol):
    """SOA queries over UDP: a secondary asks for the serial before it transfers."""

    def __init__(self, server: TransferServer) -> None:
        self.server = server
        self.transport: asyncio.DatagramTransport | None = None
        self.tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if len(self.tasks) < 64 and 12 <= len(data) <= MAX_REQUEST:
            task = asyncio.get_running_loop().create_task(self._answer(data, addr), name="xfr soa")
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _answer(self, data: bytes, addr: tuple[str, int]) -> None:
        async for reply in self.server._replies(data, addr[0], stream=False):
            if self.transport is not None:
                self.transport.sendto(reply, addr)


def _plain(query: dns.message.Message, rcode: dns.rcode.Rcode, answer: Iterable[dns.rrset.RRset] = ()) -> bytes:
    reply = dns.message.make_response(query)
    reply.set_rcode(rcode)
    reply.answer = list(answer)
    if reply.answer:
        reply.flags |= dns.flags.AA
    return reply.to_wire()


def _refuse_unread(wire: bytes) -> bytes:
    """A reply to a message that dnspython would not take (a bad signature, a broken body): NOTAUTH for TSIG is left to it, so REFUSED."""
    return wire[:2] + bytes([0x80 | (wire[2] & 0x79), dns.rcode.REFUSED]) + bytes(8)


def _stream(query: dns.message.Message, records: Iterable[bytes]) -> Iterable[bytes]:
    """Pack records into messages of about 16 kB, signing each after the one before it (RFC 8945 §5.3.1)."""
    reply = dns.message.make_response(query)
    reply.flags |= dns.flags.AA
    question = b"".join(one.name.to_wire() + one.rdtype.to_bytes(2) + one.rdclass.to_bytes(2) for one in reply.question)  # type: ignore[operator]
    context: Any = None  # Any: dnspython's signature under way
    batch: list[bytes] = []
    size = 0
    first = True
    for record in records:
        batch.append(record)
        size += len(record)
        if size >= MESSAGE_BYTES:
            wire, context = _message(reply, question, batch, context)
            yield wire
            batch, size, first = [], 0, False
    if batch or first:
        yield _message(reply, question, batch, context)[0]


def _message(reply: dns.message.Message, question: bytes, records: list[bytes], context: Any) -> tuple[bytes, Any]:
    """One message of a transfer, signed where the query was, and the signature under way."""
    extra = BytesIO()
    if reply.opt is not None:
        reply.opt.to_wire(extra)
    body = question + b"".join(records) + extra.getvalue()
    more = int(reply.opt is not None)
    head = b"".join(number.to_bytes(2) for number in (reply.id, int(reply.flags), len(reply.question), len(records), 0))
    if reply.tsig is None:
        return head + more.to_bytes(2) + body, None
    unsigned = head + more.to_bytes(2) + body
    signature, context = dns.tsig.sign(  # type: ignore[no-untyped-call]
        unsigned, reply.keyring, reply.tsig[0], int(time.time()), reply.request_mac, context, True
    )
    reply.tsig = dns.rrset.from_rdata(reply.tsig.name, 0, signature)
    tail = BytesIO()
    reply.tsig.to_wire(tail)
    return head + (more + 1).to_bytes(2) + body + tail.getvalue(), context
