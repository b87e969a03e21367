"""An upstream over TCP or TLS: a small pool of kept connections, questions pipelined, answers in any order.

Questions of one turn of the loop leave in one write (over TLS: one record). A connection that says nothing while questions wait is given
up, and the
next question opens a fresh one. Matching is as strict as over UDP. Imported by `selector` only. RFC 1035 §4.2.2, 7766, 7858, 8310.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from typing import Final

from gateway.errors import UpstreamError
from gateway.settings import UpstreamAddress
from gateway.upstreams import Fault, Health, Observer, Tally
from gateway.upstreams.exchange import Exchange
from gateway.wire.message import parse_answer

CONNECTIONS: Final = 4
PIPELINE: Final = 200
"""Questions under way on one connection before another one is opened."""
IDLE: Final = 10.0
CONNECT_PATIENCE: Final = 1.5
LATE: Final = 6.0
MAX_STRANGERS: Final = 64
"""Messages nobody asked for that one connection may send before it is closed."""
RTO_MIN: Final = 0.5
RTO_MAX: Final = 0.9

_Pending = tuple[float, Exchange, bytes]


class _Connection(asyncio.Protocol):
    """One connection, from the wish to connect until it is lost."""

    def __init__(self, upstream: StreamUpstream, opened: float) -> None:
        self.upstream: StreamUpstream | None = upstream
        self.opened = opened
        self.heard = opened
        self.used = opened
        self.transport: asyncio.Transport | None = None
        self.waiting: list[Exchange] = []
        self.pending: dict[bytes, _Pending] = {}
        self.overdue: dict[bytes, _Pending] = {}
        self.is_retired = False
        self.strangers = 0
        self._buffer = bytearray()

    @property
    def load(self) -> int:
        return len(self.waiting) + len(self.pending) + len(self.overdue)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if self.upstream is None:
            transport.abort()
            return
        self.transport = transport
        refusal = self.upstream.inspect(transport)
        if refusal:
            self.upstream.lost(self, Fault.TLS, refusal)
            transport.abort()
            return
        self.heard = self.upstream.now()
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.upstream is not None:
            fault = Fault.TLS if isinstance(exc, ssl.SSLError) else Fault.NETWORK
            self.upstream.lost(self, fault, describe(exc) if exc is not None else "closed by the server")
        self.let_go()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        start = 0
        messages = []
        while len(buffer) - start >= 2:
            end = start + 2 + (buffer[start] << 8 | buffer[start + 1])
            if end > len(buffer):
                break
            messages.append(bytes(buffer[start + 2 : end]))
            start = end
        if start:
            del buffer[:start]
        if messages and self.upstream is not None:
            self.upstream.received(self, messages)

    def eof_received(self) -> bool:
        return False

    def flush(self) -> None:
        """Send what waits, in one write."""
        if self.transport is None or self.upstream is None or not self.waiting:
            return
        waiting, self.waiting = self.waiting, []
        self.transport.write(self.upstream.frame(self, waiting))

    def let_go(self) -> None:
        """Drop references, so that nothing waits for the garbage collector."""
        self.upstream = None
        self.transport = None
        self.waiting = []
        self.pending = {}
        self.overdue = {}

    def abort(self) -> None:
        """Close without ceremony; nothing is reported."""
        transport = self.transport
        self.let_go()
        if transport is not None:
            transport.abort()


class StreamUpstream:
    """One server over TCP, or over TLS when a context is given."""

    is_stream = True

    def __init__(
        self, address: UpstreamAddress, observer: Observer, loop: asyncio.AbstractEventLoop, tls: ssl.SSLContext | None = None
    ) -> None:
        self.address = address
        self.label = str(address)
        self.is_encrypted = tls is not None
        self.health = Health(RTO_MIN, RTO_MAX)
        self.tally = Tally()
        self._observer = observer
        self._loop = loop
        self._tls = tls
        self._connections: list[_Connection] = []
        self._opening: dict[_Connection, asyncio.Task[None]] = {}
        self._batch: list[Exchange] = []
        self._is_closed = False

    def now(self) -> float:
        """The loop's clock."""
        return self._loop.time()

    # Sending

    def send(self, exchange: Exchange) -> None:
        """Ask; leaves with the other questions of this turn of the loop."""
        self._batch.append(exchange)
        if len(self._batch) == 1:
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        batch, self._batch = self._batch, []
        if self._is_closed:
            return
        now = self._loop.time()
        touched: dict[_Connection, None] = {}
        for exchange in batch:
            if exchange.is_finished:
                continue
            connection = self._pick(now)
            connection.waiting.append(exchange)
            connection.used = now
            touched[connection] = None
        for connection in touched:
            connection.flush()

    def _pick(self, now: float) -> _Connection:
        usable = [connection for connection in self._connections if not connection.is_retired]
        for connection in usable:
            if connection.load < PIPELINE:
                return connection
        if len(usable) >= CONNECTIONS:
            return min(usable, key=lambda connection: connection.load)
        connection = _Connection(self, now)
        self._connections.append(connection)
        task = self._loop.create_task(self._connect(connection))
        self._opening[connection] = task
        return connection

    async def _connect(self, connection: _Connection) -> None:
        """Open one connection: the only task of this upstream, one per connection, never one per question."""
        fault, detail = Fault.NETWORK, ""
        try:
            async with asyncio.timeout(CONNECT_PATIENCE):
                await self._loop.create_connection(
                    lambda: connection,
                    self.address.address,
                    self.address.port,
                    ssl=self._tls,
                    server_hostname=self.address.name if self._tls is not None else None,
                )
        except TimeoutError:
            fault, detail = Fault.TIMEOUT, "no connection"
        except ssl.SSLError as error:
            fault, detail = Fault.TLS, describe(error)
        except OSError as error:
            detail = describe(error)
        finally:
            self._opening.pop(connection, None)
        if detail and connection.upstream is not None:
            self.lost(connection, fault, detail)
            connection.let_go()

    def inspect(self, transport: asyncio.Transport) -> str:
        """Judge a fresh connection; a reason not to use it, or an empty text."""
        return ""

    def frame(self, connection: _Connection, exchanges: list[Exchange]) -> bytes:
        """Register questions and return them with ids and length prefixes."""
        now = self._loop.time()
        noise = os.urandom(2 * len(exchanges))
        pending = connection.pending
        parts = []
        at = 0
        for exchange in exchanges:
            if exchange.is_finished:
                continue
            number = noise[at : at + 2]
            at += 2
            while number in pending or number in connection.overdue:
                number = os.urandom(2)
            pending[number] = (now, exchange, exchange.question)
            tail = exchange.padded() if self.is_encrypted else exchange.tail
            parts.append((len(tail) + 2).to_bytes(2, "big") + number + tail)
        self.tally.sent += len(parts)
        return b"".join(parts)

    # Receiving

    def received(self, connection: _Connection, messages: list[bytes]) -> None:
        """Match messages to questions, as strictly as over UDP."""
        now = self._loop.time()
        connection.heard = connection.used = now
        failures = self.tally.failures
        for data in messages:
            number = data[:2]
            entry = connection.pending.get(number) or connection.overdue.get(number)
            if entry is None or data[4:6] != b"\0\1" or data[2] & 0xF8 != 0x80 or not data.startswith(entry[2], 12):
                failures[Fault.MISMATCH] += 1
                connection.strangers += 1
                continue
            sent_at, exchange, question = entry
            if connection.pending.pop(number, None) is None:
                del connection.overdue[number]
            try:
                if data[2] & 0x02:
                    raise UpstreamError("truncated on a stream")
                answer = parse_answer(data, question, exchange.do)
            except UpstreamError as error:
                self.health.replied(now - sent_at, now)
                failures[Fault.MALFORMED] += 1
                if not exchange.is_finished:
                    self._observer.missed(exchange, self, Fault.MALFORMED, str(error), now, False)
                continue
            self._observer.answered(exchange, self, answer, now)
            self.health.replied(now - sent_at, now)
            self.tally.took(now - sent_at)
        if connection.strangers > MAX_STRANGERS:
            self.lost(connection, Fault.NETWORK, "answers that nobody asked for")
            connection.abort()

    # Losing and waiting

    def lost(self, connection: _Connection, fault: Fault, detail: str) -> None:
        """The connection is gone: what waited on it goes on elsewhere."""
        if connection not in self._connections:
            return
        self._connections.remove(connection)
        now = self._loop.time()
        waiting, connection.waiting = connection.waiting, []
        pending, connection.pending = connection.pending, {}
        if not waiting and not pending:
            return
        # An idle connection may be closed at any time; only questions that suffer from it count.
        for exchange in waiting:
            self._miss(exchange, connection.opened, now, fault, detail, True)
        for sent_at, exchange, _ in pending.values():
            self._miss(exchange, sent_at, now, fault, detail, True)

    def _miss(self, exchange: Exchange, sent_at: float, now: float, fault: Fault, detail: str, may_repeat: bool) -> None:
        if self.health.missed(sent_at, now, fault):
            self._observer.went_down(self, now)
        if not exchange.is_finished:
            self.tally.failures[fault] += 1
            self._observer.missed(exchange, self, fault, detail, now, may_repeat)

    def expire(self, now: float) -> None:
        """Report attempts that waited too long, give silent connections up, close idle ones."""
        limit = now - self.health.rto
        for connection in list(self._connections):
            pending = connection.pending
            overdue = connection.overdue
            while pending:
                number = next(iter(pending))
                sent_at, exchange, _ = entry = pending[number]
                if sent_at > limit:
                    break
                del pending[number]
                overdue[number] = entry
                is_silent = connection.heard < sent_at
                if is_silent:
                    connection.is_retired = True
                self._miss(exchange, sent_at, now, Fault.TIMEOUT, "", is_silent)
            while overdue:
                number = next(iter(overdue))
                if overdue[number][0] > now - LATE:
                    break
                del overdue[number]
            if connection.load:
                continue
            if connection.is_retired or (connection.transport is not None and now - connection.used > IDLE):
                self._connections.remove(connection)
                connection.abort()

    @property
    def is_idle(self) -> bool:
        """Whether no connection is open."""
        return not self._connections and not self._batch

    def close(self) -> None:
        """Close every connection."""
        self._is_closed = True
        for task in self._opening.values():
            task.cancel()
        for connection in self._connections:
            connection.abort()
        self._connections = []
        self._batch = []


def describe(error: BaseException) -> str:
    """The reason of an error, without addresses."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return error.reason or "TLS error"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return type(error).__name__
