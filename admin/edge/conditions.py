"""Conditions of the API (RFC 9110 §8.8.3, §13): every answer carries an ETag; a read with `If-None-Match` answers 304 when nothing changed,
a change with `If-Match` is refused (412) when somebody changed the object meanwhile.

The object of a change is the nearest address, from the change's own upwards, that can be read: that of `PUT /profiles/{profile}/category/x`
is `/profiles/{profile}`. A tag says nothing of what changes by the clock alone. Changes with `If-Match` are taken one after the other.
Used by `admin.routes.api` only.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from admin.edge.origin import SAFE

#: What is the present moment, or was seen just now: an object with another of these is the same object.
PASSING = frozenset({"now", "last_seen", "first_seen"})
#: Addresses whose route judges `If-Match` itself.
OWN = ("/tenant",)


class Conditions:
    """Around the API application; `paths` gives the paths of its published schema."""

    def __init__(self, app: ASGIApp, paths: Callable[[], Mapping[str, Any]]) -> None:
        self.app = app
        self._paths = paths
        self._readable: re.Pattern[str] | None = None
        self._turn = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        wanted = headers.get("if-match")
        if wanted is None or wanted.strip() == "*" or scope["method"] in SAFE or _path(scope) in OWN:
            await self._answer(scope, receive, send, headers.get("if-none-match") if scope["method"] == "GET" else None)
            return
        async with self._turn:
            if not await self._holds(scope, wanted):
                await JSONResponse({"error": {"code": "changed", "field": "If-Match"}}, 412)(scope, receive, send)
                return
            await self._answer(scope, receive, send, None)

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

    async def _holds(self, scope: Scope, wanted: str) -> bool:
        """Whether the object of a change is still what the caller read. What is not there, or not the caller's, is for the route to say."""
        path = self._object_of(_path(scope))
        if path is None:  # nothing of it can be read, so no tag is its
            return False
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

    def _object_of(self, path: str) -> str | None:
        if self._readable is None:
            forms = [re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(form)) for form, acts in self._paths().items() if "get" in acts]
            self._readable = re.compile("|".join(forms))
        while path:
            if self._readable.fullmatch(path):
                return path
            path = path.rpartition("/")[0]
        return None


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
