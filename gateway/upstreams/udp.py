"""An upstream over UDP: many short-lived connected sockets, ids from a cryptographic source, strict matching.

Questions of one turn of the loop leave together through one socket, chosen at random among `LANES`; a socket serves at most `LANE_QUERIES`
questions and `LANE_SECONDS` seconds, then a fresh one with a fresh port takes its place. A reply counts only on the socket, with the id
and with the exact question that was sent, letter case included; anything else is looked at and forgotten, and the wait for the good one
goes on (RFC 5452, and the lesson of TuDoor). Nothing but silence is held against an upstream. Imported by `selector` only.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from struct import Struct
from typing import Final

from gateway.errors import UpstreamError
from gateway.ownaddress import socket_address
from gateway.settings import UpstreamAddress
from gateway.upstreams import Fault, Health, Observer, Tally
from gateway.upstreams.datagrams import SLOTS, Ring
from gateway.upstreams.exchange import NO_EDNS, Exchange, Plain, is_plain_decline
from gateway.wire.message import parse_answer

LANES: Final = 64
LANE_QUERIES: Final = 500
LANE_SECONDS: Final = 30.0
MAX_SPENT: Final = 256
"""Sockets past their use that are kept open for late answers; beyond it the oldest are closed."""
RECEIVE_BUFFER: Final = 1 << 20
"""Bytes asked for per socket, so that a burst of forgeries does not push the good answer out; the system may grant less."""
LATE: Final = 6.0
"""How long after its sending a question may still be answered, in seconds."""

_IDS: Final = [Struct("2s" * (count + 1)) for count in range(SLOTS + 1)]
"""Ids for a batch of so many questions, and what chooses its socket."""

_Pending = tuple[float, "Exchange | Plain", bytes]


class _Lane:
    """One connected socket: what is under way on it, in the order of sending, and what is overdue but may still be answered."""

    __slots__ = ("born", "fd", "overdue", "pending", "sent", "sock")

    def __init__(self, sock: socket.socket, born: float) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.born = born
        self.sent = 0
        self.pending: dict[bytes, _Pending] = {}
        self.overdue: dict[bytes, _Pending] = {}

    def is_spent(self, now: float) -> bool:
        return self.sent >= LANE_QUERIES or now - self.born >= LANE_SECONDS


class UdpUpstream:
    """One server over UDP. Reports to its observer; retries and TCP are the resolver's business."""

    is_encrypted = False
    is_stream = False
    takes_plain = True

    def __init__(self, address: UpstreamAddress, observer: Observer, loop: asyncio.AbstractEventLoop, ring: Ring) -> None:
        self.address = address
        self.label = address.label
        self.health = Health()
        self.tally = Tally()
        self._observer = observer
        self._loop = loop
        self._ring = ring
        self._family = socket.AF_INET6 if ":" in address.address else socket.AF_INET
        self._lanes: list[_Lane | None] = [None] * LANES
        self._spent: list[_Lane] = []
        self._batch: list[Exchange | Plain] = []
        self._is_closed = False

    # Sending

    def send(self, exchange: Exchange | Plain) -> None:
        """Ask; leaves with the other questions of this turn of the loop."""
        batch = self._batch
        batch.append(exchange)
        if len(batch) == 1:
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        batch = self._batch
        if self._is_closed or not batch:
            return
        if len(batch) > SLOTS:
            self._batch = batch[SLOTS:]
            del batch[SLOTS:]
            self._loop.call_soon(self._flush)
        else:
            self._batch = []
        now = self._loop.time()
        ids = _IDS[len(batch)]
        *numbers, choice = ids.unpack(os.urandom(ids.size))
        lane = self._pick(choice[0] % LANES, now)
        if isinstance(lane, OSError):
            for exchange in batch:
                self._miss(exchange, now, now, Fault.NETWORK, _describe(lane))
            return
        pending = lane.pending
        overdue = lane.overdue
        messages = []
        for exchange, number in zip(batch, numbers, strict=False):
            if exchange.is_finished:
                continue
            while number in pending or number in overdue:
                number = os.urandom(2)
            pending[number] = (now, exchange, exchange.question)
            messages.append(number + exchange.tail)
        messages.sort(key=len)
        lane.sent += len(messages)
        self.tally.sent += len(messages)
        self._transmit(lane, messages, now)

    def _transmit(self, lane: _Lane, messages: list[bytes], now: float) -> None:
        # An ICMP error of an earlier question is reported by the next call on the socket: that call is repeated once per message.
        start = 0
        repeated = False
        while start < len(messages):
            try:
                start += self._ring.send(lane.sock, messages[start:] if start else messages)
                repeated = False
            except OSError as error:
                if not repeated and error.errno in (errno.ECONNREFUSED, errno.EINTR):
                    repeated = True
                    continue
                repeated = False
                _, exchange, _ = lane.pending.pop(messages[start][:2])
                start += 1
                self._miss(exchange, now, now, Fault.NETWORK, _describe(error))

    def _pick(self, index: int, now: float) -> _Lane | OSError:
        lane = self._lanes[index]
        if lane is not None:
            if not lane.is_spent(now):
                return lane
            self._spent.append(lane)
            self._lanes[index] = None
        sock = None
        try:
            sock = socket.socket(self._family, socket.SOCK_DGRAM)
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            sock.connect(socket_address(self.address.address, self.address.port))
            self._loop.add_reader(sock.fileno(), self._read, lane := _Lane(sock, now))
        except OSError as error:
            if sock is not None:
                sock.close()
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                # Out of descriptors: an old port is better than no answer.
                for other in (*self._lanes, *self._spent):
                    if other is not None:
                        return other
            return OSError(error.errno, os.strerror(error.errno or 0))
        self._lanes[index] = lane
        return lane

    # Receiving

    def _read(self, lane: _Lane) -> None:
        try:
            messages = self._ring.receive(lane.sock)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._refused(lane, _describe(error))
            return
        now = self._loop.time()
        pending = lane.pending
        observer = self._observer
        health = self.health
        failures = self.tally.failures
        batch_sent = 0.0
        count = plain = 0
        for data in messages:
            number = data[:2]
            entry = pending.get(number)
            is_overdue = entry is None
            if entry is None:
                entry = lane.overdue.get(number)
                if entry is None:
                    failures[Fault.MISMATCH] += 1
                    continue
            sent_at, asked, question = entry
            if not is_overdue and (path := asked.path) is not None and not health.is_down and path.take(asked, data, now):
                del pending[number]
                if sent_at != batch_sent:
                    if count:
                        self._took(now - batch_sent, count, now)
                    batch_sent = sent_at
                    count = 0
                count += 1
                plain += 1
                continue
            if data[4:6] != b"\0\1" or data[2] & 0xF8 != 0x80 or not data.startswith(question, 12):
                if not is_overdue and is_plain_decline(data) and not asked.whole().is_bare:
                    # From a server of before EDNS, or forged: the place stays open for the good answer.
                    del pending[number]
                    lane.overdue[number] = entry
                    if not asked.whole().is_finished:
                        observer.answered(asked.whole(), self, NO_EDNS, now)
                    continue
                failures[Fault.MISMATCH] += 1
                continue
            exchange = asked.whole()
            if data[2] & 0x02:
                del (lane.overdue if is_overdue else pending)[number]
                health.replied(now - sent_at, now)
                observer.was_truncated(exchange, self, now)
                continue
            try:
                answer = parse_answer(data, question, exchange.do)
            except UpstreamError as error:
                # It may be forged: the place stays open for the good one, while the question goes on elsewhere.
                failures[Fault.MALFORMED] += 1
                if not is_overdue:
                    del pending[number]
                    lane.overdue[number] = entry
                    if not exchange.is_finished:
                        observer.missed(exchange, self, Fault.MALFORMED, str(error), now)
                continue
            del (lane.overdue if is_overdue else pending)[number]
            if sent_at != batch_sent:
                if count:
                    self._took(now - batch_sent, count, now)
                batch_sent = sent_at
                count = 0
            count += 1
            observer.answered(exchange, self, answer, now)
        if count:
            self._took(now - batch_sent, count, now)
        if plain and health.last_good != now:
            health.was_good(now)

    def _took(self, rtt: float, count: int, now: float) -> None:
        self.health.replied(rtt, now)
        self.tally.took(rtt, count)

    def _refused(self, lane: _Lane, detail: str) -> None:
        """An ICMP error: what is under way on this socket goes on elsewhere, and is still taken if it comes (the error may be forged)."""
        now = self._loop.time()
        waiting = list(lane.pending.items())
        lane.pending.clear()
        for number, entry in waiting:
            lane.overdue[number] = entry
            self._miss(entry[1], entry[0], now, Fault.NETWORK, detail)

    # Waiting

    def expire(self, now: float) -> None:
        """Report attempts that waited longer than the upstream's time-out; close sockets that are spent and empty."""
        limit = now - self.health.rto
        late = now - LATE
        for index, lane in enumerate(self._lanes):
            if lane is None:
                continue
            if lane.pending or lane.overdue:
                self._expire_lane(lane, limit, late, now)
            elif lane.is_spent(now):
                self._lanes[index] = None
                self._close(lane)
        if self._spent:
            for lane in self._spent:
                self._expire_lane(lane, limit, late, now)
            while len(self._spent) > MAX_SPENT:
                self._give_up(self._spent.pop(0), now)
            self._spent = [lane for lane in self._spent if lane.pending or lane.overdue or self._close(lane)]

    def _expire_lane(self, lane: _Lane, limit: float, late: float, now: float) -> None:
        pending = lane.pending
        while pending:
            number = next(iter(pending))
            entry = pending[number]
            if entry[0] > limit:
                break
            del pending[number]
            lane.overdue[number] = entry
            self._miss(entry[1], entry[0], now, Fault.TIMEOUT, "")
        overdue = lane.overdue
        while overdue:
            number = next(iter(overdue))
            if overdue[number][0] > late:
                break
            del overdue[number]

    def _give_up(self, lane: _Lane, now: float) -> None:
        for sent_at, exchange, _ in lane.pending.values():
            self._miss(exchange, sent_at, now, Fault.TIMEOUT, "")
        self._close(lane)

    def _miss(self, asked: Exchange | Plain, sent_at: float, now: float, fault: Fault, detail: str) -> None:
        exchange = asked.whole()
        if self.health.missed(sent_at, now, fault, detail):
            self._renew()
            self._observer.went_down(self, now)
        if not exchange.is_finished:
            self.tally.failures[fault] += 1
            self._observer.missed(exchange, self, fault, detail, now)

    def _renew(self) -> None:
        """Go on with fresh sockets: connected ones keep the address that this machine had when they were made."""
        self._spent += [lane for lane in self._lanes if lane is not None]
        self._lanes[:] = [None] * LANES

    @property
    def is_idle(self) -> bool:
        """Whether no socket is open."""
        return not self._batch and not self._spent and not any(self._lanes)

    def _close(self, lane: _Lane) -> bool:
        self._loop.remove_reader(lane.fd)
        lane.sock.close()
        return False

    def close(self) -> None:
        """Close every socket."""
        self._is_closed = True
        for lane in (*self._lanes, *self._spent):
            if lane is not None:
                self._close(lane)
        self._lanes = [None] * LANES
        self._spent = []
        self._batch = []


def _describe(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else "network error"
