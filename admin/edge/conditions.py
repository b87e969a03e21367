"""Conditions of the API (RFC 9110 §8.8.3, §13): every answer carries an ETag; a read with `If-None-Match` answers 304 when nothing changed,
a change with `If-Match` is refused (412) when somebody changed the object meanwhile.

The object of a change is the nearest address, from the change's own upwards, that can be read: that of `PUT /profiles/{profile}/category/x`
is `/profiles/{profile}`. A tag says nothing of what changes by the clock alone. Changes with `If-Match` of one object of one tenant are
taken one after the other. The turn begins when the body is read and the caller may do what it asks for (the dependency of the route calls
`hold_to`), and ends before the answer is sent: neither a stranger nor a slow line makes anybody wait. Used by `admin.routes.api` only.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any
from weakref import WeakValueDictionary

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from admin.edge.origin import SAFE
from admin.errors import Changed

#: What is the present moment, or was seen just now: an object with another of these is the same object.
PASSING = frozenset({"now", "last_seen", "first_seen"})
#: Addresses whose route judges `If-Match` itself.
OWN = ("/tenant",)
#: Under this name of the scope a route finds its condition.
_CONDITION = "lachan.condition"


async def hold_to(scope: Scope, tenant: str) -> None:
    """Called once a caller of this tenant may make its change: wait for the object's turn, and keep it until the change is done. Raises
    Changed when the object is no longer what the caller read."""
    condition: _Condition | None = scope.get(_CONDITION)
    if condition is not None and not condition.is_own:
        await condition.judge(tenant)


async def take_turn(scope: Scope, tenant: str) -> None:
    """The same for a route that judges the tag itself: only the turn."""
    condition: _Condition | None = scope.get(_CONDITION)
    if condition is not None:
        await condition.wait(tenant)


class Conditions:
    """Around the API application; `paths` gives the paths of its published schema."""

    def __init__(self, app: ASGIApp, paths: Callable[[], Mapping[str, Any]]) -> None:
        self.app = app
        self._paths = paths
        self._readable: re.Pattern[str] | None = None
        #: By tenant and object; a lock that nobody has or waits for goes by itself.
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        wanted = headers.get("if-match")
        if wanted is None or wanted.strip() == "*" or scope["method"] in SAFE:
            await self._answer(scope, receive, send, headers.get("if-none-match") if scope["method"] == "GET" else None)
            return
        said: list[Message] = []

        async def keep(message: Message) -> None:
            said.append(message)

        async with AsyncExitStack() as turn:
            await self._answer({**scope, _CONDITION: _Condition(self, scope, wanted, turn)}, receive, keep, None)
        for message in said:
            await send(message)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, known: str | None) -> None:
        """The answer of the application with its tag, or 304 without a body."""
        start: Message = {}
        body = bytearray()

        async def keep(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            body.extend(message.get("body", b""))
            if message.get("more_body", False):
                return
            headers = MutableHeaders(raw=start["headers"])
            if start["status"] in (200, 201) and "etag" not in headers and headers.get("content-type", "").startswith("application/json"):
                headers["ETag"] = tag_of(json.loads(bytes(body)))
            if start["status"] == 200 and known is not None and _names(known, headers.get("etag", "")):
                for name in ("content-length", "content-type"):
                    del headers[name]
                await send({"type": "http.response.start", "status": 304, "headers": headers.raw})
                await send({"type": "http.response.body", "body": b""})
                return
            await send(start)
            await send({"type": "http.response.body", "body": bytes(body)})

        await self.app(scope, receive, keep)

    def turn_of(self, tenant: str, path: str) -> asyncio.Lock:
        """The turns of one object of one tenant."""
        return self._turns.setdefault((tenant, path), asyncio.Lock())

    async def holds(self, scope: Scope, path: str, wanted: str) -> bool:
        """Whether the object of a change is still what the caller read. What is not there, or not the caller's, is for the route to say."""
        root = scope.get("root_path", "")
        dropped = {b"if-match", b"if-none-match", b"content-length", b"content-type", b"transfer-encoding", b"idempotency-key"}
        reading: Scope = {
            **scope,
            "method": "GET",
            "path": root + path,
            "raw_path": (root + path).encode(),
            "query_string": b"",
            "headers": [(name, value) for name, value in scope["headers"] if name not in dropped],
            "state": dict(scope.get("state", {})),
        }
        found: dict[str, Any] = {}

        async def nothing() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def note(message: Message) -> None:
            if message["type"] == "http.response.start":
                found.update(status=message["status"], tag=Headers(raw=message["headers"]).get("etag", ""))

        await self._answer(reading, nothing, note, None)
        if found["status"] == 403:  # who may not read it has no tag of it
            return False
        return bool(found["status"] != 200 or _names(wanted, found["tag"], strong=True))

    def object_of(self, path: str) -> str | None:
        if self._readable is None:
            forms = [re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(form)) for form, acts in self._paths().items() if "get" in acts]
            self._readable = re.compile("|".join(forms))
        while path:
            if self._readable.fullmatch(path):
                return path
            path = path.rpartition("/")[0]
        return None


class _Condition:
    """That of one change: its turn goes on until the change has answered."""

    def __init__(self, around: Conditions, scope: Scope, wanted: str, turn: AsyncExitStack) -> None:
        self._around = around
        self._scope = scope
        self._wanted = wanted
        self._turn = turn
        self.is_own = _path(scope) in OWN

    async def wait(self, tenant: str) -> None:
        """Wait for the turn of the change's own address."""
        await self._turn.enter_async_context(self._around.turn_of(tenant, _path(self._scope)))

    async def judge(self, tenant: str) -> None:
        """Wait for the object's turn, and see whether it still is what was read. Raises Changed."""
        path = self._around.object_of(_path(self._scope))
        if path is None:  # nothing of it can be read, so no tag is its
            raise Changed("changed", "If-Match")
        await self._turn.enter_async_context(self._around.turn_of(tenant, path))
        if not await self._around.holds(self._scope, path, self._wanted):
            raise Changed("changed", "If-Match")


def tag_of(content: object) -> str:
    """The ETag of what the API says about an object."""
    text = json.dumps(_lasting(content), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:20]}"'


def describe(schema: dict[str, Any]) -> dict[str, Any]:
    """Say in the published schema what holds for every operation."""
    texts = {
        "If-None-Match": "The ETag of an earlier answer: 304 when nothing changed since.",
        "If-Match": "The ETag of the nearest address above that can be read: 412 when it changed since.",
    }
    for acts in schema["paths"].values():
        for method, operation in acts.items():
            name = "If-None-Match" if method == "get" else "If-Match"
            header = {"name": name, "in": "header", "required": False, "description": texts[name], "schema": {"type": "string"}}
            operation.setdefault("parameters", []).append(header)
            if method == "get":
                operation["responses"]["304"] = {"description": "Nothing changed since."}
            for status, reply in operation["responses"].items():
                if status in ("200", "201", "304"):
                    reply.setdefault("headers", {})["ETag"] = {"description": "Names this state.", "schema": {"type": "string"}}
    return schema


def _lasting(content: object) -> object:
    if isinstance(content, dict):
        return {name: _lasting(value) for name, value in content.items() if name not in PASSING}
    return [_lasting(one) for one in content] if isinstance(content, list) else content


def _names(listed: str, tag: str, *, strong: bool = False) -> bool:
    """Whether a list of tags names this one; `*` names everything that is there."""
    tags = [one.strip() for one in listed.split(",")]
    return tag != "" and ("*" in tags or tag in (tags if strong else [one.removeprefix("W/") for one in tags]))


def _path(scope: Scope) -> str:
    """The path within the API."""
    return str(scope["path"]).removeprefix(scope.get("root_path", ""))
