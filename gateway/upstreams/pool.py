"""Upstreams over kept connections: what TCP, TLS and HTTPS have in common. Imported by `stream` and `doh` only.

A small pool of connections per upstream, questions pipelined on each. Questions of one turn of the loop leave in one write (over TLS: one
record). A connection that says nothing while questions wait is given up, and the next question opens a fresh one. A server that closes a
connection after it answered some of what was open there (old routers), or reads one question and forgets the others, gets one question on
each for a while, a few side by side. One task per connection that is being opened, none per question.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Final

from gateway.errors import UpstreamError
from gateway.settings import UpstreamAddress
from gateway.upstreams import Fault, Health, Observer, Tally
from gateway.upstreams.exchange import NO_EDNS, Exchange, Plain, is_plain_decline
from gateway.upstreams.tls import CERTIFICATE
from gateway.wire.message import parse_answer

CONNECTIONS: Final = 4
PIPELINE: Final = 200
"""Questions under way on one connection before another one is opened."""
IDLE: Final = 10.0
IDLE_ENCRYPTED: Final = 30.0
"""TLS connections cost more to open, so they are kept longer; servers close them when they please."""
CONNECT_PATIENCE: Final = 1.5
FORGOTTEN: Final = 5.0
SILENCE: Final = 1.2
"""A connection on which nothing came for so long, in seconds, while a question waited gets no new ones, and the question goes out again."""
LATE: Final = 6.0
ONE_EACH_FOR: Final = 600.0
"""A server that closed a connection with questions open, though it had answered one meanwhile, gets one on each for so long, in seconds."""
MUTE_FOR: Final = 60.0
"""One that answered a single question on a connection and let the others lie gets one on each for so long."""
CLOSES_WITHIN: Final = 0.5
"""Such a server closes each connection so soon after its answer, in seconds. One that does not had merely started over."""
MAX_STRANGERS: Final = 64
"""Messages nobody asked for that one connection may send before it is closed."""
RTO_MIN: Final = 0.5
RTO_MAX: Final = 0.9

Locate = Callable[[], Awaitable[str]]
"""Finds the address of a server that is configured by name only; raises OSError when it cannot."""

_Pending = tuple[float, Exchange, bytes]


class Connection(asyncio.Protocol, ABC):
    """One connection, from the wish to connect until it is lost."""

    def __init__(self, upstream: PooledUpstream, opened: float) -> None:
        self.upstream: PooledUpstream | None = upstream
        self.transport: asyncio.Transport | None = None
        self.opened = opened
        self.heard = opened
        self.used = opened
        self.answered = float("-inf")
        """When the last answer came."""
        self.answers = 0
        self.waiting: list[Exchange] = []
        """Not yet written, the first since `waiting_since`."""
        self.waiting_since = opened
        self.delayed: list[Exchange] = []
        """Not yet written, and already reported as late."""
        self.pending: dict[Hashable, _Pending] = {}
        """Written, in that order, by what identifies the answer."""
        self.overdue: dict[Hashable, _Pending] = {}
        self.is_retired = False
        self.strangers = 0

    @property
    def load(self) -> int:
        """Questions that hang on this connection."""
        return len(self.waiting) + len(self.delayed) + len(self.pending) + len(self.overdue)

    @property
    def capacity(self) -> int:
        """Questions it should carry at once."""
        return PIPELINE

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected, with TLS agreed on: send what waits, unless the server is not who it should be."""
        upstream = self.upstream
        if upstream is None or not isinstance(transport, asyncio.Transport):
            transport.close()
            return
        self.transport = transport
        refusal = upstream.judge(transport)
        if refusal:
            upstream.lost(self, Fault.TLS, refusal)
            self.abort()
            return
        self.heard = upstream.now()
        self.greet()
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection ended: what hangs on it goes on elsewhere."""
        if self.upstream is not None:
            fault = Fault.TLS if isinstance(exc, ssl.SSLError) else Fault.NETWORK
            self.upstream.lost(self, fault, describe(exc) if exc is not None else "closed by the server")
        self.let_go()

    def eof_received(self) -> bool:
        """A server that stops sending will answer nothing more."""
        return False

    def greet(self) -> None:
        """Whatever the protocol says first."""

    @abstractmethod
    def write(self, exchanges: list[Exchange], now: float) -> None:
        """Register questions as pending and send them in one write."""

    def drop(self, key: Hashable) -> None:
        """Nobody waits for this answer any more."""

    def flush(self) -> None:
        """Send what waits, in one write."""
        if self.transport is None or self.upstream is None or not (self.waiting or self.delayed):
            return
        exchanges = [exchange for exchange in (*self.delayed, *self.waiting) if not exchange.is_finished]
        self.delayed = []
        self.waiting = []
        if exchanges:
            self.write(exchanges, self.upstream.now())

    def let_go(self) -> None:
        """Drop references, so that nothing waits for the garbage collector."""
        self.upstream = None
        self.transport = None
        self.waiting = []
        self.delayed = []
        self.pending = {}
        self.overdue = {}

    def abort(self) -> None:
        """Close without ceremony; nothing is reported."""
        transport = self.transport
        self.let_go()
        if transport is not None:
            transport.abort()


class PooledUpstream(ABC):
    """One server over kept connections. Reports to its observer; retries are the resolver's business."""

    is_stream = True
    takes_plain = False

    def __init__(
        self,
        address: UpstreamAddress,
        observer: Observer,
        loop: asyncio.AbstractEventLoop,
        tls: ssl.SSLContext | None = None,
        locate: Locate | None = None,
    ) -> None:
        self.address = address
        self.label = address.label
        self.is_encrypted = tls is not None
        self.health = Health(RTO_MIN, RTO_MAX)
        self.tally = Tally()
        self._observer = observer
        self._loop = loop
        self._tls = tls
        self._locate = locate
        self._connections: list[Connection] = []
        self._opening: dict[Connection, asyncio.Task[None]] = {}
        self._batch: list[Exchange] = []
        self._queue: deque[tuple[float, Exchange]] = deque()
        """Waits for a connection, where each gets one of its own, since when; for ever once it was reported as late."""
        self._one_each_until = float("-inf")
        self._should_close = True
        self._leaving: dict[Connection, float] = {}
        """Answered its one question, at that time; the server should close it."""
        self._is_closed = False

    def now(self) -> float:
        """The loop's clock."""
        return self._loop.time()

    @abstractmethod
    def make_connection(self, opened: float) -> Connection:
        """A connection of this upstream's protocol, not yet connected."""

    def judge(self, transport: asyncio.Transport) -> str:
        """Look at a fresh connection: a reason not to use it, or an empty text."""
        return ""

    # Sending

    def send(self, exchange: Exchange | Plain) -> None:
        """Ask; leaves with the other questions of this turn of the loop."""
        self._batch.append(exchange.whole())
        if len(self._batch) == 1:
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        batch, self._batch = self._batch, []
        if self._is_closed:
            return
        now = self._loop.time()
        self._queue.extend((now, exchange) for exchange in batch if not exchange.is_finished)
        self._send_queued(now)

    def _send_queued(self, now: float) -> None:
        """Hang what waits on connections: on a few new ones, one on each, where the server wants that, else on those that have room."""
        touched: dict[Connection, None] = {}
        while self._queue and (now >= self._one_each_until or len(self._connections) < CONNECTIONS):
            since, exchange = self._queue.popleft()
            if not exchange.is_finished:
                connection = self._pick(now) if now >= self._one_each_until else self._open(now)
                if not connection.waiting:
                    connection.waiting_since = now
                (connection.waiting if since <= now else connection.delayed).append(exchange)
                connection.used = now
                touched[connection] = None
        for connection in touched:
            connection.flush()

    def _pick(self, now: float) -> Connection:
        usable = [connection for connection in self._connections if not connection.is_retired]
        for connection in usable:
            if connection.load < connection.capacity:
                return connection
        if len(usable) >= CONNECTIONS:
            return min(usable, key=lambda connection: connection.load)
        return self._open(now)

    def _open(self, now: float) -> Connection:
        connection = self.make_connection(now)
        self._connections.append(connection)
        self._opening[connection] = self._loop.create_task(self._connect(connection))
        return connection

    async def _connect(self, connection: Connection) -> None:
        fault, detail = Fault.NETWORK, ""
        try:
            async with asyncio.timeout(CONNECT_PATIENCE):
                await self._loop.create_connection(
                    lambda: connection,
                    self.address.address or (await self._locate() if self._locate is not None else ""),
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

    # Receiving

    def received(self, connection: Connection, key: Hashable, data: bytes, now: float) -> None:
        """Match a message to the question behind `key`, as strictly as over UDP."""
        connection.heard = connection.used = now
        entry = connection.pending.get(key) or connection.overdue.get(key)
        if entry is not None and is_plain_decline(data) and not entry[1].is_bare and connection.pending.get(key) is entry:
            self._forget(connection, key)
            self._observer.answered(entry[1], self, NO_EDNS, now)
            return
        if entry is None or data[4:6] != b"\0\1" or data[2] & 0xF8 != 0x80 or not data.startswith(entry[2], 12):
            self.tally.failures[Fault.MISMATCH] += 1
            connection.strangers += 1
            if connection.strangers > MAX_STRANGERS:
                self.lost(connection, Fault.NETWORK, "answers that nobody asked for")
                connection.abort()
            return
        sent_at, exchange, question = entry
        self._forget(connection, key)
        connection.answered = now
        connection.answers += 1
        if now < self._one_each_until and not connection.load and connection in self._connections:
            self._connections.remove(connection)
            self._leaving[connection] = now
            self._send_queued(now)
        try:
            if data[2] & 0x02:
                raise UpstreamError("truncated on a stream")
            answer = parse_answer(data, question, exchange.do)
        except UpstreamError as error:
            self.health.replied(now - sent_at, now)
            self.tally.failures[Fault.MALFORMED] += 1
            if not exchange.is_finished:
                self._observer.missed(exchange, self, Fault.MALFORMED, str(error), now, False)
            return
        self._observer.answered(exchange, self, answer, now)
        self.health.replied(now - sent_at, now)
        self.tally.took(now - sent_at)

    def failed(self, connection: Connection, key: Hashable, detail: str, may_repeat: bool) -> None:
        """The server said that there will be no answer to one question."""
        entry = connection.pending.get(key) or connection.overdue.get(key)
        if entry is not None:
            self._forget(connection, key)
            self._miss(entry[1], entry[0], self._loop.time(), Fault.NETWORK, detail, may_repeat)

    def _forget(self, connection: Connection, key: Hashable) -> None:
        if connection.pending.pop(key, None) is None:
            connection.overdue.pop(key, None)

    # Losing and waiting

    def lost(self, connection: Connection, fault: Fault, detail: str) -> None:
        """The connection is gone: what hangs on it goes on elsewhere. An idle one may be closed at any time without harm."""
        if connection not in self._connections:
            self._leaving.pop(connection, None)
            return
        self._connections.remove(connection)
        now = self._loop.time()
        lost = [(connection.opened, exchange) for exchange in (*connection.delayed, *connection.waiting)]
        lost += [(sent_at, exchange) for sent_at, exchange, _ in connection.pending.values()]
        if any(sent_at <= connection.answered for sent_at, _, _ in connection.pending.values()):
            self._give_one_each(now, ONE_EACH_FOR, True)
        connection.delayed, connection.waiting, connection.pending = [], [], {}
        for sent_at, exchange in lost:
            self._miss(exchange, sent_at, now, fault, detail, True)
        self._send_queued(now)

    def _give_one_each(self, now: float, seconds: float, should_close: bool) -> None:
        self._one_each_until, self._should_close = now + seconds, should_close
        for connection in self._connections:
            connection.is_retired = True

    def _miss(self, exchange: Exchange, sent_at: float, now: float, fault: Fault, detail: str, may_repeat: bool) -> None:
        if self.health.missed(sent_at, now, fault, detail):
            for connection in self._connections:  # this machine's address may have changed under them
                connection.is_retired = True
            self._observer.went_down(self, now)
        if not exchange.is_finished:
            self.tally.failures[fault] += 1
            self._observer.missed(exchange, self, fault, detail, now, may_repeat)

    def expire(self, now: float) -> None:
        """Report attempts that waited too long, give silent connections up, close idle ones."""
        limit = now - self.health.rto
        idle = IDLE_ENCRYPTED if self.is_encrypted else IDLE
        for connection in list(self._connections):
            if connection.waiting and connection.waiting_since <= limit:
                waiting, connection.waiting = connection.waiting, []
                connection.delayed += waiting
                for exchange in waiting:
                    self._miss(exchange, connection.waiting_since, now, Fault.TIMEOUT, "still connecting", False)
            self._expire_pending(connection, limit, now)
            if not connection.load and (connection.is_retired or (connection.transport is not None and now - connection.used > idle)):
                self._connections.remove(connection)
                connection.abort()
        self._expire_queue(limit, now)

    def _expire_queue(self, limit: float, now: float) -> None:
        while self._leaving:
            connection, since = next(iter(self._leaving.items()))
            if now - since < CLOSES_WITHIN:
                break
            if self._should_close:
                self._one_each_until = now
            del self._leaving[connection]
            connection.abort()
        for _ in range(len(self._queue)):
            since, exchange = self._queue.popleft()
            if not exchange.is_finished:
                self._queue.append((float("inf") if since <= limit else since, exchange))
                if since <= limit:
                    self._miss(exchange, since, now, Fault.TIMEOUT, "still waiting for a connection", False)
        self._send_queued(now)

    def _expire_pending(self, connection: Connection, limit: float, now: float) -> None:
        pending = connection.pending
        overdue = connection.overdue
        while pending:
            key = next(iter(pending))
            sent_at, exchange, _ = entry = pending[key]
            if sent_at > limit:
                break
            del pending[key]
            overdue[key] = entry
            # On a connection that was idle for long and says nothing now, something between has forgotten it: ask again on another one.
            is_forgotten = connection.heard < sent_at - FORGOTTEN
            connection.is_retired = connection.is_retired or is_forgotten
            self._miss(exchange, sent_at, now, Fault.TIMEOUT, "", is_forgotten)
        if overdue and not connection.is_retired:
            self._ask_singly(connection, now)
        if overdue and not connection.is_retired:
            oldest = next(iter(overdue.values()))[0]
            if connection.heard < oldest < now - SILENCE:
                connection.is_retired = True
                for sent_at, exchange, _ in list(overdue.values()):
                    self._miss(exchange, sent_at, now, Fault.TIMEOUT, "connection silent", True)
        while overdue:
            key = next(iter(overdue))
            if overdue[key][0] > now - LATE:
                break
            del overdue[key]
            connection.drop(key)

    def _ask_singly(self, connection: Connection, now: float) -> None:
        """Ask what was left lying on a connection again, where its server answered the first question and then nothing more."""
        left = [(sent_at, exchange) for sent_at, exchange, _ in connection.overdue.values() if sent_at <= connection.answered]
        if self.is_encrypted or connection.answers != 1 or len(left) < 2 or now - connection.answered <= RTO_MIN:
            return
        self._give_one_each(now, MUTE_FOR, False)
        for sent_at, exchange in left:
            self._miss(exchange, sent_at, now, Fault.TIMEOUT, "one answer on a connection", True)

    @property
    def is_idle(self) -> bool:
        """Whether no connection is open."""
        return not (self._connections or self._batch or self._queue or self._leaving)

    def close(self) -> None:
        """Close every connection."""
        self._is_closed = True
        for task in self._opening.values():
            task.cancel()
        for connection in (*self._connections, *self._leaving):
            connection.abort()
        self._connections = []
        self._leaving.clear()
        self._batch = []
        self._queue.clear()


def describe(error: BaseException) -> str:
    """The reason of an error, without addresses."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{CERTIFICATE}{error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return getattr(error, "reason", None) or "TLS error"
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno) if error.errno else str(error.strerror)
    return type(error).__name__
