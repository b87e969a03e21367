"""Bodies are bounded in size and time, whatever the headers claim."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from admin.edge.limits import BodyLimit, Crowd
from admin.errors import Busy, TooLarge


async def count(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    await PlainTextResponse(str(len(body)))(scope, receive, send)


async def send_body(content: bytes | AsyncIterator[bytes], headers: dict[str, str] | None = None, seconds: float = 5.0) -> str:
    app = BodyLimit(count, 1000, seconds)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        return (await client.post("/", content=content, headers=headers)).text


async def drip(pieces: int, size: int, wait: float = 0.0) -> AsyncIterator[bytes]:
    for _ in range(pieces):
        await asyncio.sleep(wait)
        yield b"x" * size


async def test_body_within_the_limit_passes() -> None:
    """An ordinary form is not disturbed."""
    assert await send_body(b"x" * 1000) == "1000"
    assert await send_body(drip(10, 100)) == "1000"


@pytest.mark.parametrize("length", ["1001", "99999999999", "-5", "many"])
async def test_claimed_length_over_the_limit_is_refused_at_once(length: str) -> None:
    """Nothing is read of a body that says it is too large, or says nonsense."""
    with pytest.raises(TooLarge):
        await send_body(b"", {"Content-Length": length})


async def test_body_without_a_length_is_counted() -> None:
    """A chunked body cannot grow past the limit."""
    with pytest.raises(TooLarge):
        await send_body(drip(20, 100))


async def test_trickling_body_is_ended() -> None:
    """A client that sends a byte now and then does not hold a place for ever."""
    with pytest.raises(TooLarge) as caught:
        await send_body(drip(100, 1, 0.05), seconds=0.2)
    assert caught.value.code == "too_slow"


async def test_one_address_leaves_room_for_the_others() -> None:
    """Slow requests of one address, or of one IPv6 network, take no more than its share; another is served meanwhile."""
    going, release = 0, asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal going
        going += 1
        await release.wait()

    app = Crowd(slow, 3)

    def come(address: str) -> asyncio.Task[None]:
        return asyncio.ensure_future(app({"type": "http", "client": (address, 1)}, None, None))  # type: ignore[arg-type]

    first = [come("203.0.113.7") for _ in range(3)] + [come(f"2001:db8::{number}") for number in (1, 2, 3)]
    await asyncio.sleep(0)
    assert going == 6
    for address in ("203.0.113.7", "2001:db8::9"):
        with pytest.raises(Busy):
            await come(address)
    other = come("203.0.113.8")
    await asyncio.sleep(0)
    assert going == 7
    release.set()
    await asyncio.gather(*first, other)
    await come("203.0.113.7")
    assert going == 8


async def test_large_bodies_are_few_and_one_address_keeps_nobody_out() -> None:
    """Whoever sends them is asked only afterwards, so that a few strangers could fill the memory: the next one is told to wait. Two slow
    ones of one address leave room for another's letter."""
    path, large = "/api/v1/office/orders", b"x" * 200_000
    release, inside = asyncio.Event(), 0

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal inside
        inside += 1
        await release.wait()
        await count(scope, receive, send)

    limit = BodyLimit(slow)

    def come(address: str, content: bytes = large) -> asyncio.Task[httpx.Response]:
        client = httpx.AsyncClient(transport=httpx.ASGITransport(limit, client=(address, 1)), base_url="http://x")
        return asyncio.create_task(client.post(path, content=content))

    async def refused(address: str) -> None:
        with pytest.raises(Busy):
            await come(address)

    under_way = [come("203.0.113.7") for _ in range(2)]
    while inside < 2:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await refused("203.0.113.7")
    under_way += [come("203.0.113.8"), come("203.0.113.9")]
    while inside < 4:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await refused("203.0.113.10")
    release.set()
    assert (await come("203.0.113.7", b"x")).text == "1", "an ordinary body is not held up"
    assert [one.text for one in await asyncio.gather(*under_way)] == ["200000"] * 4
    assert (await come("203.0.113.7")).text == "200000"
