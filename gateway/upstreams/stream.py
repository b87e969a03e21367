"""An upstream over TCP, or over TLS (DoT) when a context is given. Imported by `selector` only.

RFC 1035 §4.2.2 (length prefix), 7766 (pipelining, answers in any order), 7858 and 8310 (TLS, strict profile), 8467 (padding).
"""

from __future__ import annotations

import asyncio
import os
import ssl

from gateway.settings import UpstreamAddress
from gateway.upstreams import Observer
from gateway.upstreams.exchange import Exchange
from gateway.upstreams.pool import Connection, Locate, PooledUpstream
from gateway.upstreams.tls import PIN, is_pinned


class StreamConnection(Connection):
    """Messages with a length prefix; answers are known by their id."""

    def __init__(self, upstream: PooledUpstream, opened: float) -> None:
        super().__init__(upstream, opened)
        self._buffer = bytearray()

    def data_received(self, data: bytes) -> None:
        """Cut the stream into messages, however it arrives."""
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
        del buffer[:start]
        if messages and self.upstream is not None:
            now = self.upstream.now()
            for message in messages:
                if self.upstream is not None:
                    self.upstream.received(self, message[:2], message, now)

    def write(self, exchanges: list[Exchange], now: float) -> None:
        """Register questions under fresh ids and send them in one write."""
        if self.transport is None or self.upstream is None:
            return
        noise = os.urandom(2 * len(exchanges))
        is_padded = self.upstream.is_encrypted
        pending = self.pending
        parts = []
        at = 0
        for exchange in exchanges:
            number = noise[at : at + 2]
            at += 2
            while number in pending or number in self.overdue:
                number = os.urandom(2)
            pending[number] = (now, exchange, exchange.question)
            tail = exchange.padded() if is_padded else exchange.tail
            parts.append((len(tail) + 2).to_bytes(2, "big") + number + tail)
        self.upstream.tally.sent += len(parts)
        self.transport.write(b"".join(parts))


class StreamUpstream(PooledUpstream):
    """One server over TCP or TLS. With `pin`, its public key is checked instead of its name."""

    def __init__(
        self,
        address: UpstreamAddress,
        observer: Observer,
        loop: asyncio.AbstractEventLoop,
        tls: ssl.SSLContext | None = None,
        locate: Locate | None = None,
        pin: bytes = b"",
    ) -> None:
        super().__init__(address, observer, loop, tls, locate)
        self._pin = pin

    def make_connection(self, opened: float) -> Connection:
        """A connection that is not yet connected."""
        return StreamConnection(self, opened)

    def judge(self, transport: asyncio.Transport) -> str:
        """Refuse a server whose public key is not the pinned one."""
        if self._pin and not is_pinned(transport.get_extra_info("ssl_object"), self._pin):
            return PIN
        return ""
