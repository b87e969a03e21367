"""A scripted upstream resolver on real sockets: UDP and TCP on one port, DoT and DoH when a certificate is given.

Tests subclass `ScriptedUpstream` and override `handle`, or give it records. It notes everything it was asked, with the transport,
the source port and the raw bytes, and can delay, drop, forge, truncate, close, reset and dribble. Messages are composed and read
with dnspython, so that the product never judges its own bytes. For tests only.
"""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
import struct
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset, WindowUpdated

from tests.support.scripts import Address, Asked, Close, Dribble, Http, Raw, Reset, Say, Script, Step, negative, reply_to, wire


class ScriptedUpstream:
    """An upstream on real sockets. Use as `async with ScriptedUpstream() as upstream:`; `upstream.port` serves UDP and TCP.

    `records` maps (name, type) to zone-file rdata texts; unknown names get NXDOMAIN and unknown types NODATA. `silent = True` swallows
    everything, `stop()` closes the sockets (so that the kernel refuses), `start()` opens them again on the same port.
    """

    def __init__(self, records: Mapping[tuple[str, str], Sequence[str]] | None = None, *, host: str = "127.0.0.1", ttl: int = 300,
                 tls: ssl.SSLContext | None = None) -> None:  # fmt: skip
        self.host = host
        self.port = 0
        self.tls_port = 0
        self.https_port = 0
        self.records = {(name.lower().rstrip(".") or ".", rdtype): list(rdata) for (name, rdtype), rdata in (records or {}).items()}
        self.ttl = ttl
        self.silent = False
        self.asked: list[Asked] = []
        self.connections = 0
        self.open_connections: set[asyncio.BaseTransport] = set()
        self._tls = tls
        self._udp: socket.socket | None = None
        self._servers: list[asyncio.Server] = []
        self._timers: set[asyncio.TimerHandle] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    # The script

    def handle(self, asked: Asked) -> Script:
        """Decide the reply: bytes, a list of steps, or None for silence. Override me."""
        name, qtype = asked.qname.lower(), asked.qtype
        rdata = self.records.get((name, qtype))
        owner = name if name == "." else name + "."
        if rdata is not None:
            return wire(reply_to(asked, *(f"{owner} {self.ttl} IN {qtype} {text}" for text in rdata)))
        alias = self.records.get((name, "CNAME"))
        if alias is not None:
            lines = [f"{owner} {self.ttl} IN CNAME {alias[0]}"]
            target = alias[0].lower().rstrip(".")
            lines += [f"{target}. {self.ttl} IN {qtype} {text}" for text in self.records.get((target, qtype), ())]
            return wire(reply_to(asked, *lines))
        known = any(known_name == name for known_name, _ in self.records)
        return negative(asked, zone=name.rpartition(".")[2] + ".", rcode="NOERROR" if known or asked.is_probe else "NXDOMAIN")

    # What a test reads

    @property
    def questions(self) -> list[Asked]:
        """What clients made the gateway ask: everything but its health questions."""
        return [asked for asked in self.asked if not asked.is_probe]

    def count(self, name: str = "", transport: str = "") -> int:
        """Return how many questions came for this name, over this transport; empty means any."""
        return sum(
            1
            for asked in self.questions
            if (not transport or asked.transport == transport) and (not name or asked.qname.lower() == name.lower().rstrip("."))
        )

    # Life

    async def start(self) -> Self:
        """Open the sockets; the first time on ports the kernel chooses, afterwards on the same ones."""
        self._loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        for _ in range(50):
            udp = socket.socket(family, socket.SOCK_DGRAM)
            udp.setblocking(False)
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
            try:
                udp.bind((self.host, self.port))
                tcp = await asyncio.start_server(self._serve_tcp, self.host, udp.getsockname()[1])
                break
            except OSError:
                udp.close()
                if self.port:
                    await asyncio.sleep(0.02)
        else:
            raise OSError("no free port for UDP and TCP together")
        self._udp = udp
        self.port = udp.getsockname()[1]
        self._loop.add_reader(udp.fileno(), self._read_udp)
        self._servers = [tcp]
        if self._tls is not None:
            self._servers.append(await asyncio.start_server(self._serve_dot, self.host, self.tls_port, ssl=self._tls))
            self.tls_port = self._servers[-1].sockets[0].getsockname()[1]
            self._servers.append(await self._loop.create_server(lambda: _DohConnection(self), self.host, self.https_port, ssl=self._tls))
            self.https_port = self._servers[-1].sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Close every socket and connection; later questions are refused by the kernel."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        if self._udp is not None and self._loop is not None:
            self._loop.remove_reader(self._udp.fileno())
            self._udp.close()
            self._udp = None
        for server in self._servers:
            server.close()
        for transport in list(self.open_connections):
            transport.abort() if isinstance(transport, asyncio.WriteTransport) else transport.close()
        for _ in range(100):
            if not self.open_connections:
                break
            await asyncio.sleep(0.01)
        self._servers = []

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    def send_udp(self, data: bytes, peer: Address) -> None:
        """Send a datagram from the upstream's own address, asked for or not."""
        if self._udp is not None:
            try:
                self._udp.sendto(data, peer)
            except OSError:  # the gateway's socket is gone: what a real upstream would not notice either
                return

    # Sockets

    def _read_udp(self) -> None:
        for _ in range(64):
            if self._udp is None:
                return
            try:
                data, peer = self._udp.recvfrom(65535)
            except BlockingIOError:
                return
            except OSError:  # an ICMP error for something sent before
                continue
            asked = Asked("udp", data, (peer[0], peer[1]), time.monotonic())
            delay = 0.0
            for step in self._steps(asked):
                if isinstance(step, Say | Raw):
                    delay += step.after
                    sender = step.source if isinstance(step, Say) else None
                    if delay:
                        self._later(delay, self._send_datagram, step.data, asked.peer, sender)
                    else:
                        self._send_datagram(step.data, asked.peer, sender)

    def _send_datagram(self, data: bytes, peer: Address, sender: socket.socket | None) -> None:
        if sender is None:
            self.send_udp(data, peer)
        else:
            sender.sendto(data, peer)

    def _steps(self, asked: Asked) -> Sequence[Step]:
        self.asked.append(asked)
        if self.silent:
            return ()
        script = self.handle(asked)
        if script is None:
            return ()
        return (Say(script),) if isinstance(script, bytes) else script

    def _later(self, delay: float, function: Any, *arguments: Any) -> None:
        assert self._loop is not None
        if len(self._timers) > 1000:
            now = self._loop.time()
            self._timers = {timer for timer in self._timers if timer.when() > now}
        self._timers.add(self._loop.call_later(delay, function, *arguments))

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._serve_stream("tcp", reader, writer)

    async def _serve_dot(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._serve_stream("dot", reader, writer)

    async def _serve_stream(self, transport: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        self.open_connections.add(writer.transport)
        answering: set[asyncio.Task[None]] = set()
        try:
            while True:
                length = int.from_bytes(await reader.readexactly(2), "big")
                data = await reader.readexactly(length)
                peer = writer.get_extra_info("peername")
                asked = Asked(transport, data, (peer[0], peer[1]), time.monotonic(), number)
                task = asyncio.ensure_future(self._perform(self._steps(asked), writer))
                answering.add(task)
                task.add_done_callback(answering.discard)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            for task in list(answering):
                task.cancel()
            self.open_connections.discard(writer.transport)
            writer.close()

    async def _perform(self, steps: Sequence[Step], writer: asyncio.StreamWriter) -> None:
        try:
            for step in steps:
                if not isinstance(step, Dribble) and step.after:
                    await asyncio.sleep(step.after)
                match step:
                    case Say(data=data):
                        writer.write(struct.pack("!H", len(data)) + data)
                    case Raw(data=data):
                        writer.write(data)
                    case Dribble(data=data, size=size, pause=pause):
                        framed = struct.pack("!H", len(data)) + data
                        for start in range(0, len(framed), size):
                            writer.write(framed[start : start + size])
                            await asyncio.sleep(pause)
                    case Close():
                        writer.close()
                    case Reset():
                        break_connection(writer.transport)
                    case Http():
                        pass
        except (ConnectionError, ssl.SSLError):
            pass


def break_connection(transport: asyncio.WriteTransport) -> None:
    """Abort a connection with a TCP reset instead of an orderly end."""
    raw = transport.get_extra_info("socket")
    if raw is not None and raw.fileno() >= 0:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class _DohConnection(asyncio.Protocol):
    """One HTTP/2 connection of the scripted upstream: POST and GET of application/dns-message."""

    def __init__(self, upstream: ScriptedUpstream) -> None:
        self._upstream = upstream
        self._http = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._bodies: dict[int, bytearray] = {}
        self._headers: dict[int, dict[str, str]] = {}
        self._outbox: dict[int, bytes] = {}
        self._transport: asyncio.Transport | None = None
        self._number = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._upstream.connections += 1
        self._number = self._upstream.connections
        self._upstream.open_connections.add(transport)
        self._http.initiate_connection()
        transport.write(self._http.data_to_send())

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._upstream.open_connections.discard(self._transport)
        self._transport = None

    def data_received(self, data: bytes) -> None:
        for event in self._http.receive_data(data):
            match event:
                case RequestReceived(stream_id=int(stream), headers=headers):
                    self._headers[stream] = {str(name): str(value) for name, value in headers or ()}
                    self._bodies[stream] = bytearray()
                case DataReceived(stream_id=int(stream), data=bytes(chunk), flow_controlled_length=length):
                    self._bodies[stream] += chunk
                    self._http.acknowledge_received_data(length or 0, stream)
                case StreamEnded(stream_id=int(stream)):
                    self._answer(stream)
                case StreamReset(stream_id=int(stream)):
                    self._headers.pop(stream, None)
                    self._outbox.pop(stream, None)
                case WindowUpdated():
                    self._pump()
                case _:
                    pass
        self.flush()

    def flush(self) -> None:
        """Send what HTTP/2 has ready."""
        if self._transport is not None:
            self._transport.write(self._http.data_to_send())

    def _answer(self, stream: int) -> None:
        assert self._transport is not None
        headers, body = self._headers.pop(stream), bytes(self._bodies.pop(stream))
        if headers.get(":method") == "GET":
            text = headers.get(":path", "").partition("dns=")[2]
            body = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        peer = self._transport.get_extra_info("peername")
        asked = Asked("doh", body, (peer[0], peer[1]), time.monotonic(), self._number, headers)
        delay = 0.0
        for step in self._upstream._steps(asked):
            delay += 0.0 if isinstance(step, Dribble) else step.after
            self._upstream._later(delay, self._perform, stream, step)

    def _perform(self, stream: int, step: Step) -> None:
        if self._transport is None:
            return
        match step:
            case Close():
                self._http.close_connection()
                self.flush()
                self._transport.close()
                return
            case Reset():
                break_connection(self._transport)
                return
            case Http(status=status, body=body, content_type=content_type):
                pass
            case Say(data=body) | Raw(data=body) | Dribble(data=body):
                status, content_type = 200, "application/dns-message"
        self._http.send_headers(stream, [(":status", str(status)), ("content-type", content_type), ("content-length", str(len(body)))])
        self._outbox[stream] = body
        self._pump()
        self.flush()

    def _pump(self) -> None:
        """Send as much of each body as flow control allows."""
        for stream, body in list(self._outbox.items()):
            while body and (room := min(self._http.local_flow_control_window(stream), self._http.max_outbound_frame_size)) > 0:
                self._http.send_data(stream, body[:room])
                body = body[room:]
            self._outbox[stream] = body
            if not body:
                del self._outbox[stream]
                self._http.end_stream(stream)
