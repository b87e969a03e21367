"""TLS on an accepted socket as an asyncio transport: what `stream` and `doh` speak through.

asyncio's own takes as long over a query that comes by itself as all the rest together (tests/bench/README.md), and keeps 256 KiB for each
connection. This one reads with one call, hands on what it decrypted at once, writes with one call, and keeps nothing but what a client
leaves unread. The rules are OpenSSL's, through `ssl.MemoryBIO`. Nobody but `stream` opens one.

A client that goes on sending after we have ended gets a moment to read our last words (RFC 9112 §9.6 has the reason), not more.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final

RECEIVE: Final = 65_536
"""Octets taken from the socket at once."""
RECORD: Final = 16_384
"""Octets of one TLS record (RFC 8446 §5.1): decrypting gives no more at once."""
LINGER_SECONDS: Final = 3.0
"""How long a connection that we have ended waits for the client to take what is left and to end it, too; counted from what it took last."""
REST_SECONDS: Final = 30.0
"""And how long in all, whether a client takes what is left in drips or not."""


class SecureTransport(asyncio.Transport):
    """The server's side of TLS for one connection. The socket is non-blocking and belongs to the transport from now on.

    `protocol` hears of the connection once the handshake is done; one that fails, or takes longer than `seconds`, it never hears of. `met`
    hears of both, with the transport, the protocol, and whether it succeeded.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        context: ssl.SSLContext,
        protocol: asyncio.Protocol,
        seconds: float,
        met: Callable[[SecureTransport, asyncio.Protocol, bool], None],
    ) -> None:
        super().__init__()
        self._loop = loop
        self._sock = sock
        self._fd = sock.fileno()
        self._protocol: asyncio.Protocol = protocol
        self._met: Callable[[SecureTransport, asyncio.Protocol, bool], None] | None = met
        """None once the handshake is done."""
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._hello = b""
        self._backlog = bytearray()
        """Encrypted octets that the client does not take yet."""
        self._high, self._low = 65_536, 16_384
        self._is_stalled = False
        self._is_paused = False
        self._is_closing = False
        self._is_over = False
        """Whether the client has ended its side."""
        self._is_gone = False
        self._rest_by = 0.0
        self._timer = loop.call_later(seconds, self.abort)
        loop.add_reader(self._fd, self._on_readable)

    # What a protocol calls

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # Any: as asyncio has it
        """`ssl_object`; `socket`; and `hello`, the first octets of the client, while the protocol hears of the connection."""
        return {"ssl_object": self._tls, "socket": self._sock, "hello": self._hello}.get(name, default)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """How many octets may wait for the client before the protocol is told, and below how many it may go on."""
        self._high = 65_536 if high is None else high
        self._low = self._high // 4 if low is None else low

    def get_write_buffer_size(self) -> int:
        """Encrypted octets that wait for the client."""
        return len(self._backlog)

    def is_closing(self) -> bool:
        """Whether nothing more is read or written."""
        return self._is_closing

    def is_reading(self) -> bool:
        """Whether octets of the client are taken."""
        return not (self._is_paused or self._is_closing)

    def pause_reading(self) -> None:
        """Leave what the client sends in the system."""
        if not self._is_paused and not self._is_closing:
            self._is_paused = True
            self._loop.remove_reader(self._fd)

    def resume_reading(self) -> None:
        """Take what the client sends again."""
        if self._is_paused and not self._is_closing:
            self._is_paused = False
            if not self._is_over:
                self._loop.add_reader(self._fd, self._on_readable)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send octets; what the client does not take waits."""
        if self._is_closing or not data:
            return
        try:
            self._tls.write(data)
        except ssl.SSLError:
            self.abort()
        else:
            self._flush()

    def close(self) -> None:
        """End our side once everything written has left."""
        if self._is_closing:
            return
        if self._met is not None:
            self.abort()
            return
        self._is_closing = True
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()  # says goodbye and then wants to hear the client's
        self._rest_by = self._loop.time() + REST_SECONDS
        self._timer = self._loop.call_later(LINGER_SECONDS, self.abort)
        self._flush()
        if not self._backlog:
            self._end()

    def abort(self) -> None:
        """End at once."""
        if self._is_gone:
            return
        self._is_gone = self._is_closing = True
        self._timer.cancel()
        self._loop.remove_reader(self._fd)
        if self._backlog:
            self._loop.remove_writer(self._fd)
        self._sock.close()
        self._loop.call_soon(self._tell)

    # What the system calls

    def _on_readable(self) -> None:
        try:
            data = self._sock.recv(RECEIVE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.abort()
            return
        if not data:
            self._is_over = True
            if self._met is not None or (self._is_closing and not self._backlog):
                self.abort()
            else:
                self._loop.remove_reader(self._fd)
                self._hear_end()
        elif self._is_closing:
            return  # it goes on sending though we have ended: not read any more
        else:
            self._incoming.write(data)
            if self._met is None:
                self._read()
            else:
                if len(self._hello) < RECORD:
                    self._hello += data
                self._shake()

    def _shake(self) -> None:
        """Go on with the handshake."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError as error:
            error.__traceback__ = None
            self._flush()  # says why
            self.abort()
        else:
            self._timer.cancel()
            self._say_met(True)
            self._flush()
            if not self._is_closing:
                try:
                    self._protocol.connection_made(self)
                except Exception:  # a fault of ours: the loop tells it, and the client is not left waiting
                    self.abort()
                    raise
                self._hello = b""
                self._read()

    def _say_met(self, is_done: bool) -> None:
        met, self._met = self._met, None
        if met is not None:
            met(self, self._protocol, is_done)

    def _read(self) -> None:
        """Decrypt everything that has come and hand it on."""
        tls, incoming = self._tls, self._incoming
        parts = []
        try:
            while incoming.pending or tls.pending():
                part = tls.read(RECORD)
                if not part:
                    self._is_over = True
                    break
                parts.append(part)
        except ssl.SSLWantReadError:
            pass  # the rest of a record is on its way
        except ssl.SSLError as error:
            error.__traceback__ = None
            self._flush()
            self.abort()
            return
        if self._outgoing.pending:
            self._flush()
        if parts and not self._is_closing:
            try:
                self._protocol.data_received(parts[0] if len(parts) == 1 else b"".join(parts))
            except Exception:  # a fault of ours: the loop tells it, and the client is not left waiting
                self.abort()
                raise
        if self._is_over and not self._is_gone:
            self._loop.remove_reader(self._fd)
            self._hear_end()

    def _hear_end(self) -> None:
        """The client has said everything, and may still read (RFC 8446 §6.1): the protocol ends our side, now or when it has answered."""
        if not self._is_closing and not self._protocol.eof_received():
            self.close()

    def _flush(self) -> None:
        """Send what was encrypted."""
        data = self._outgoing.read()
        if self._is_gone or not data:
            return
        if self._backlog:
            self._backlog += data
        else:
            try:
                sent = self._sock.send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                self.abort()
                return
            if sent == len(data):
                return
            self._backlog += data[sent:]
            self._loop.add_writer(self._fd, self._on_writable)
        if len(self._backlog) > self._high and not self._is_stalled and not self._is_closing:
            self._is_stalled = True
            self._protocol.pause_writing()

    def _on_writable(self) -> None:
        try:
            sent = self._sock.send(self._backlog)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.abort()
            return
        del self._backlog[:sent]
        if self._is_closing:
            self._timer.cancel()
            self._timer = self._loop.call_at(min(self._loop.time() + LINGER_SECONDS, self._rest_by), self.abort)
        if not self._backlog:
            self._loop.remove_writer(self._fd)
            if self._is_closing:
                self._end()
                return
        if self._is_stalled and len(self._backlog) <= self._low and not self._is_closing:
            self._is_stalled = False
            self._protocol.resume_writing()

    def _end(self) -> None:
        """Everything has left: wait for the client to end its side, or do not."""
        if self._is_gone:
            return  # sending has found out that nobody is there
        if self._is_over:
            self.abort()
            return
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
        if self._is_paused:
            self._is_paused = False
            self._loop.add_reader(self._fd, self._on_readable)

    def _tell(self) -> None:
        """The connection is gone."""
        if self._met is not None:
            self._say_met(False)
        else:
            self._protocol.connection_lost(None)
        del self._protocol  # which holds this transport: nothing is left in a circle
