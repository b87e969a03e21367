"""The operators' page server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from gateway import statuspage
from gateway.statuspage import Page, StatusServer, json_page, text_page


async def ready() -> Page:
    return json_page(200, {"ready": True})


async def crash() -> Page:
    raise RuntimeError("on purpose")


@pytest.fixture
async def address() -> AsyncIterator[tuple[str, int]]:
    """A running server."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    listener.setblocking(False)
    server = StatusServer(listener, {"/readyz": ready, "/crash": crash})
    await server.start()
    yield listener.getsockname()
    await server.stop()
    listener.close()


async def talk(address: tuple[str, int], data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(data)
        return await asyncio.wait_for(reader.read(), 8)
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("request_line", "status", "body"),
    [
        (b"GET /readyz HTTP/1.1", b"200", b'{"ready": true}\n'),
        (b"GET /readyz?x=1 HTTP/1.0", b"200", b'{"ready": true}\n'),
        (b"HEAD /readyz HTTP/1.1", b"200", b""),
        (b"GET /crash HTTP/1.1", b"500", b"failed; the log has the details\n"),
        (b"GET /../etc/passwd HTTP/1.1", b"404", b"known pages: /crash /readyz\n"),
        (b"POST /readyz HTTP/1.1", b"405", b"only GET\n"),
        (b"GET /readyz", b"400", b"not a request\n"),
        (b"\x16\x03\x01 nonsense SSH-2.0", b"400", b"not a request\n"),
    ],
)
async def test_requests_get_their_answer(address: tuple[str, int], request_line: bytes, status: bytes, body: bytes) -> None:
    """Known pages are served, everything else gets the right status, every answer closes the connection."""
    reply = await talk(address, request_line + b"\r\nHost: x\r\n\r\n")
    head, _, found = reply.partition(b"\r\n\r\n")
    assert head.split(b" ")[1] == status
    assert found == body
    assert b"Connection: close" in head
    assert b"X-Content-Type-Options: nosniff" in head


async def test_long_header_is_refused(address: tuple[str, int]) -> None:
    """A header without end gets 431 or a closed connection, never memory."""
    reply = await talk(address, b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 100_000)
    assert reply.split(b" ")[1:2] in ([b"431"], [])


async def test_slow_client_is_cut_and_holds_up_nobody(address: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sends nothing is dropped; others are served meanwhile."""
    monkeypatch.setattr(statuspage, "REQUEST_SECONDS", 0.2)
    slow = asyncio.ensure_future(talk(address, b"GET /rea"))
    assert b"200 OK" in await talk(address, b"GET /readyz HTTP/1.1\r\n\r\n")
    assert await slow == b""


def test_text_page_is_plain_text() -> None:
    """Nothing on these pages is ever interpreted by a browser."""
    assert text_page(200, "<b>").content_type.startswith("text/plain")
