"""HTTP/1.1 on one DoH connection (RFC 9112) by `h11`: one request after the other. While one is being answered nothing more is read, so
that nobody fills memory with what comes behind. `doh` opens it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import h11

from gateway.listeners.http import MEDIA_TYPE, MOST_BODY, Request

if TYPE_CHECKING:
    from gateway.listeners.doh import DohConnection

MOST_HEADERS: Final = 16_384


class Http1:
    """HTTP/1.1 on one connection."""

    def __init__(self, connection: DohConnection) -> None:
        self._owner = connection
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=MOST_HEADERS)
        self._request: Request | None = None
        self._is_ending = False
        self.is_full = False
        self.begun: float | None = None
        """Since when the request that is not whole yet has been arriving."""

    @property
    def has_more(self) -> bool:
        """Whether a request is being answered, or one behind it has not been looked at yet."""
        return self.is_full

    def receive(self, data: bytes) -> bool:
        """Take octets in; False when the connection must end."""
        if self.begun is None:
            self.begun = self._owner.now()
        try:
            self._h11.receive_data(data)
        except h11.RemoteProtocolError as error:
            return self._refuse(error)
        return self._read()

    def _read(self) -> bool:
        """Take what has come; False when the connection must end."""
        try:
            return self._take()
        except h11.RemoteProtocolError as error:
            return self._refuse(error)

    def _refuse(self, error: h11.RemoteProtocolError) -> bool:
        """Say what is wrong with a request, if it is the one to be answered now."""
        error.__traceback__ = None  # the library raises it out of its own frame: a circle that holds all of this connection
        if self._h11.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._write(error.error_status_hint, [], b"")
        return False

    def _take(self) -> bool:
        while not self.is_full:
            event = self._h11.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED:
                if self._request is None and not self._h11.trailing_data[0]:
                    self.begun = None
                if self._h11.they_are_waiting_for_100_continue:
                    self._owner.send(self._h11.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
                return True
            if isinstance(event, h11.Request):
                fields = dict(event.headers)
                if b"transfer-encoding" in fields and b"content-length" in fields:
                    # A front end may have read the other length: what is behind it would be nobody's request (RFC 9112 §6.1).
                    self._write(400, [], b"")
                    return False
                target = self._owner.read_target(bytes(event.target))
                self._request = Request(bytes(event.method), target, bytes(fields.get(b"content-type", b"")))
            elif isinstance(event, h11.Data) and self._request is not None:
                self._request.body += event.data
                if len(self._request.body) > MOST_BODY:
                    self._is_ending = True
                    self._write(413, [], b"")
                    return False
            elif isinstance(event, h11.EndOfMessage) and self._request is not None:
                request, self._request = self._request, None
                self.is_full, self.begun = True, None
                self._owner.ask(0, request.read())
            elif isinstance(event, h11.ConnectionClosed):
                return False
        return True

    def answer(self, stream: int, age: int, body: bytes) -> None:
        """Send a DNS answer, which may be kept for `age` seconds, and go on with the next request."""
        self.respond(stream, 200, [(b"content-type", MEDIA_TYPE), (b"cache-control", b"max-age=%d" % age)], body)

    def respond(self, stream: int, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Send one response and go on with the next request."""
        self._write(status, headers, body)
        if self._h11.our_state is h11.MUST_CLOSE or self._is_ending:
            self._owner.close()
        elif self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()
            self._owner.later(self._go_on)

    def _go_on(self) -> None:
        self.is_full = False
        if self._h11.trailing_data[0]:
            self.begun = self._owner.now()
        if self._read():
            self._owner.go_on()
        else:
            self._owner.close()

    def _write(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        fields = [*headers, (b"content-length", str(len(body)).encode())]
        parts = (h11.Response(status_code=status, headers=fields), h11.Data(data=body), h11.EndOfMessage())
        self._owner.send(b"".join(self._h11.send(part) or b"" for part in parts))

    def let_go(self) -> None:
        """The connection is gone; the library's object holds no circle."""

    def end(self) -> None:
        """Take no further request."""
        self._is_ending = True
