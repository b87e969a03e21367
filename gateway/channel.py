"""The line between the supervisor and one worker: newline JSON over a socket pair.

Either side may ask (`call`) and tell (`tell`). A request is `{"id", "do", …}`, its answer `{"id", "ok", …}`, a message nobody answers
`{"tell", …}`. Both ends are this program, so a broken line closes the channel. Only the gateway imports this module.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.errors import ControlError, LachanError

log = logging.getLogger(__name__)

MOST_BYTES = 64 * 1024 * 1024
Fields = dict[str, Any]  # Any: JSON values, read by whoever knows the message
Answerer = Callable[[str, Fields], Awaitable[Fields]]
Listener = Callable[[str, Fields], None]


class Channel(asyncio.Protocol):
    """One end. `answer(do, fields)` serves the other side's requests; `listen(event, fields)` takes what it tells."""

    def __init__(self, answer: Answerer, listen: Listener) -> None:
        loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[None] = loop.create_future()
        self._answer = answer
        self._listen = listen
        self._waiting: dict[int, asyncio.Future[Fields]] = {}
        self._serving: set[asyncio.Task[None]] = set()
        self._next = 0
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(cls, end: socket.socket, answer: Answerer, listen: Listener) -> Channel:
        """Take over one end of a socket pair."""
        loop = asyncio.get_running_loop()
        end.setblocking(False)
        _, channel = await loop.create_connection(lambda: cls(answer, listen), sock=end)
        return channel

    def tell(self, event: str, **fields: object) -> None:
        """Send a message that has no answer; ignored when the channel is closed."""
        self._send({"tell": event, **fields})

    async def call(self, do: str, seconds: float, **fields: object) -> Fields:
        """Ask and wait; raises ControlError (the other side's, or `gone` and `timeout`)."""
        if self.closed.done():
            raise ControlError("gone", "the worker has ended")
        self._next += 1
        number = self._next
        future: asyncio.Future[Fields] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        self._send({"id": number, "do": do, **fields})
        try:
            reply = await asyncio.wait_for(future, seconds)
        except TimeoutError:
            raise ControlError("timeout", f"the worker did not answer {do!r} within {seconds:g} s") from None
        finally:
            self._waiting.pop(number, None)
        if not reply.get("ok"):
            error = reply.get("error") or {}
            raise ControlError(str(error.get("code", "failed")), str(error.get("message", "")), str(error.get("where", "")))
        return reply

    def close(self) -> None:
        """Close this end after what was sent has left."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's callback."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's callback."""
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ControlError("gone", "the worker has ended"))
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        """asyncio's callback."""
        self._buffer += data
        if b"\n" not in data:
            if len(self._buffer) > MOST_BYTES:
                self._abort("line too long")
            return
        *lines, rest = bytes(self._buffer).split(b"\n")
        self._buffer = bytearray(rest)
        for line in lines:
            try:
                self._take(json.loads(line))
            except (ValueError, TypeError, KeyError):
                self._abort("broken line")
                return

    def _take(self, message: Fields) -> None:
        if "tell" in message:
            self._listen(str(message.pop("tell")), message)
        elif "do" in message:
            task = asyncio.get_running_loop().create_task(self._serve(message))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)
        else:
            future = self._waiting.get(int(message["id"]))
            if future is not None and not future.done():
                future.set_result(message)

    async def _serve(self, message: Fields) -> None:
        number, do = message.pop("id"), str(message.pop("do"))
        try:
            reply = {"id": number, "ok": True, **await self._answer(do, message)}
        except ControlError as error:
            reply = {"id": number, "ok": False, "error": {"code": error.code, "message": str(error), "where": error.where}}
        except LachanError as error:
            where = str(getattr(error, "where", ""))
            reply = {"id": number, "ok": False, "error": {"code": "failed", "message": str(error), "where": where}}
        except Exception as error:
            log.exception("request failed", extra={"event": "channel.failed", "request": do})
            reply = {"id": number, "ok": False, "error": {"code": "internal", "message": f"{type(error).__name__}: {error}", "where": ""}}
        self._send(reply)

    def _send(self, message: Fields) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    def _abort(self, reason: str) -> None:
        log.error("channel broken", extra={"event": "channel.broken", "reason": reason})
        if self._transport is not None:
            self._transport.abort()
