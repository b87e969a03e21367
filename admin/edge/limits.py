"""Bodies are bounded in size and in time, whatever the headers claim, and requests under way by the address they come from."""

from __future__ import annotations

import asyncio
from collections import Counter

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from admin.edge.connections import home_of
from admin.errors import Busy, TooLarge

MOST_BYTES = 64 * 1024
BODY_SECONDS = 15.0
#: Pages that take office files: their own size, and time for a slow line.
LARGER = {
    "/office/orders/read": 40 * 1024 * 1024,
    "/office/orders": 24 * 1024 * 1024,
    "/api/v1/office/orders": 24 * 1024 * 1024,
    "/office/finding/list": 4 * 1024 * 1024,
    "/api/v1/office/lists": 4 * 1024 * 1024,
    "/backup/restore": 256 * 1024 * 1024,
    "/transfer/read": 600 * 1024,
    "/transfer/apply": 2 * 1024 * 1024,
    "/api/v1/tenant": 600 * 1024,
}
LARGER_SECONDS = 120.0
LARGE_AT_ONCE = 4
"""Bodies over the ordinary limit that may be under way at once: they are read before anybody is asked who sends them."""
LARGE_EACH = 2
"""Of these, so many of one address (or home): one that sends slowly for ever keeps nobody else's out."""
MOST_EACH = 80
"""Requests of one address (or home) that may be under way at once. A page takes hundredths of a second, so that this is a school of many
hundreds behind one address; without it, a few slow ones would take every place there is."""


class Crowd:
    """Refuses what comes from an address that has very many requests under way, so that there is room for the others."""

    def __init__(self, app: ASGIApp, most: int = MOST_EACH) -> None:
        self.app = app
        self.most = most
        self._under_way: Counter[object] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        home = home_of(scope.get("client")) if scope["type"] == "http" else None
        if home is None:
            await self.app(scope, receive, send)
            return
        if self._under_way[home] >= self.most:
            raise Busy
        self._under_way[home] += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._under_way[home] -= 1
            if not self._under_way[home]:
                del self._under_way[home]


class BodyLimit:
    """Refuses bodies over the limit, and ends those that trickle in."""

    def __init__(self, app: ASGIApp, most: int = MOST_BYTES, seconds: float = BODY_SECONDS) -> None:
        self.app = app
        self.most = most
        self.seconds = seconds
        self._large: Counter[object] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        most = LARGER.get(scope["path"], self.most)
        headers = Headers(scope=scope)
        claimed = headers.get("content-length", "0")
        if not claimed.isdigit() or int(claimed) > most:
            raise TooLarge
        if most > self.most and (int(claimed) > self.most or "transfer-encoding" in headers):
            home = home_of(scope.get("client"))
            if self._large[home] >= LARGE_EACH or self._large.total() >= LARGE_AT_ONCE:
                raise Busy
            self._large[home] += 1
            try:
                await self._bounded(scope, receive, send, most)
            finally:
                self._large[home] -= 1
                self._large += Counter()  # forgets those that have none any more
        else:
            await self._bounded(scope, receive, send, most)

    async def _bounded(self, scope: Scope, receive: Receive, send: Send, most: int) -> None:
        seen = 0
        complete = False
        ends = asyncio.get_running_loop().time() + (LARGER_SECONDS if most > self.most else self.seconds)

        async def bounded() -> Message:
            nonlocal seen, complete
            if complete:  # waiting for the client to leave is not a body
                return await receive()
            try:
                async with asyncio.timeout_at(ends):
                    message = await receive()
            except TimeoutError:
                raise TooLarge("too_slow") from None
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                complete = not message.get("more_body", False)
                if seen > most:
                    raise TooLarge
            return message

        await self.app(scope, bounded, send)
