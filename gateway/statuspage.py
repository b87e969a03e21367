"""The page for operators on the metrics address: `/metrics`, `/healthz`, `/readyz`, `/api/v1/status`. Lives in the supervisor.

Four fixed documents for trusted readers need no web framework: GET and HEAD only, one request a connection, hard limits on size, time and
number. Nothing here names a client or a name that was asked (RFC 9110, RFC 9112).
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

MOST_HEADER_BYTES = 8192
MOST_CONNECTIONS = 64
REQUEST_SECONDS = 5.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Page:
    """A finished document."""

    status: int
    content_type: str
    body: bytes


Reader = Callable[[], Awaitable[Page]]

_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


def text_page(status: int, text: str) -> Page:
    """A line of plain text."""
    return Page(status, "text/plain; charset=utf-8", text.encode() + b"\n")


def json_page(status: int, document: Mapping[str, object]) -> Page:
    """A JSON document."""
    return Page(status, "application/json", json.dumps(document, default=str).encode() + b"\n")


class StatusServer:
    """Serves the pages on a listening socket that the supervisor opened."""

    def __init__(self, listener: socket.socket, pages: Mapping[str, Reader]) -> None:
        self._listener = listener
        self._pages = pages
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to answer. The socket itself stays open at `stop`: connections wait for whoever answers next."""
        self._server = await asyncio.start_server(self._accept, sock=self._listener.dup(), limit=MOST_HEADER_BYTES)

    async def stop(self) -> None:
        """Stop listening and end open connections."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                page, with_body = await self._read(reader)
                writer.write(_head(page))
                if with_body:
                    writer.write(page.body)
                await writer.drain()
                writer.write_eof()
        except (ConnectionError, TimeoutError, asyncio.CancelledError, OSError):
            pass
        finally:
            self._connections.discard(task)
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> tuple[Page, bool]:
        if len(self._connections) > MOST_CONNECTIONS:
            return text_page(503, "too many connections"), True
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return text_page(431, "header too long"), True
        except asyncio.IncompleteReadError:
            return text_page(400, "not a request"), True
        words = head.split(b"\r\n", 1)[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return text_page(400, "not a request"), True
        method, target = words[0], words[1].split(b"?", 1)[0].decode("latin-1")
        if method not in (b"GET", b"HEAD"):
            return text_page(405, "only GET"), True
        read = self._pages.get(target)
        if read is None:
            return text_page(404, "known pages: " + " ".join(sorted(self._pages))), method == b"GET"
        try:
            return await read(), method == b"GET"
        except Exception:
            log.exception("page failed", extra={"event": "status.failed", "page": target})
            return text_page(500, "failed; the log has the details"), method == b"GET"


def _head(page: Page) -> bytes:
    lines = [
        f"HTTP/1.1 {page.status} {_REASONS.get(page.status, 'Error')}",
        f"Content-Type: {page.content_type}",
        f"Content-Length: {len(page.body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    ]
    if page.status == 405:
        lines.append("Allow: GET, HEAD")
    return "\r\n".join(lines).encode() + b"\r\n\r\n"
