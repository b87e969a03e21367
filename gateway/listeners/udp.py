"""Datagrams one by one: the face of `batch` on systems without recvmmsg. The worker opens it; nothing else imports it.

On a wildcard address the system chooses the address a reply leaves from; bind to single addresses where that matters.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any, Final

from gateway.listeners import PENDING, Front
from gateway.metrics import RECEIVE_ERRORS, SEND_ERRORS, Counters
from gateway.query import Origin, Transport

if TYPE_CHECKING:
    from gateway.clients import Scope

ROUND: Final = 64
"""Datagrams read in one turn of the loop."""
_MOST: Final = 65535


class DatagramListener:
    """One UDP socket. `scope` holds its clients; the socket is non-blocking and belongs to the caller, who closes it after `close`."""

    def __init__(self, sock: socket.socket, scope: Scope, front: Front, counters: Counters, loop: asyncio.AbstractEventLoop) -> None:
        self._sock = sock
        self._scope = scope
        self._front = front
        self._loop = loop
        self._waiting = 0
        self._receive_errors = counters.cell(RECEIVE_ERRORS)
        self._unreachable = counters.cell(SEND_ERRORS, "unreachable")
        self._full = counters.cell(SEND_ERRORS, "full")
        self._is_closed = False

    def open(self) -> None:
        """Begin to read."""
        self._loop.add_reader(self._sock.fileno(), self._on_readable)

    def stop(self) -> None:
        """Read nothing more; replies under way still go out."""
        self._loop.remove_reader(self._sock.fileno())

    @property
    def is_idle(self) -> bool:
        """Whether every query that was read has had its reply."""
        return not self._waiting

    def close(self) -> None:
        """Stop reading and sending."""
        self.stop()
        self._is_closed = True

    def _on_readable(self) -> None:
        for _ in range(ROUND):
            try:
                data, address = self._sock.recvfrom(_MOST)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._receive_errors.n += 1
                return
            if len(data) >= 12 and address[1]:
                self._serve(data, address)

    def _serve(self, data: bytes, address: Any) -> None:  # Any: an address as the socket module has it
        second = self._front.begin()
        peer = socket.inet_pton(self._sock.family, address[0].partition("%")[0])
        source = peer + bytes((address[3] & 0xFF,)) if len(address) > 3 else peer
        record = self._scope.records.get(source)
        if record is not None:
            if record.left > 0:
                record.left -= 1
                raw = data[2:]
                entry = record.view.answers.get(raw)
                if entry is not None:
                    reply = entry.reply if entry.second == second else self._front.touch(record, entry, raw, second)
                    if reply is not None:
                        entry.tally.n += 1
                        self._send(data[:2] + reply, address)
                        return
            else:
                record = None
        origin = Origin(Transport.UDP, peer, address[1], self._scope, source, None, None, self._send_late, address, record)
        answer = self._front.answer_now(data, origin)
        if answer is PENDING:
            self._waiting += 1
        elif answer is not None:
            self._send(answer, address)

    def _send_late(self, origin: Origin, reply: bytes | None) -> None:
        self._waiting -= 1
        if reply is not None and not self._is_closed:
            self._send(reply, origin.handle)

    def _send(self, reply: bytes, address: Any) -> None:  # Any: an address as the socket module has it
        try:
            self._sock.sendto(reply, address)
        except BlockingIOError:
            self._full.n += 1
        except OSError:
            self._unreachable.n += 1
