"""The control socket: `state_dir/control.sock`, mode 0600, newline JSON. The server belongs to the supervisor; `ask` and `ask_now` are for
anyone who wants something of a running gateway (the command, the pages), so any package may import this module.

    {"do": "status"}                                    → {"ok": true, …}
    {"do": "reload"}                                    the configuration file again, as SIGHUP does
    {"do": "flush", "name": "www.example.com" | null}   forget upstream answers on every worker
    {"do": "apply", "changes": {index?, catalogue?, orders?, policies?: {tenant: file | null}}}
                                                        → {"ok": true, "generation": n} after every worker switched
    {"do": "forget", "tenant": "k3…"}   → {"ok": true, "files": n} older policy files of a tenant that are gone from the disk
    {"do": "devices", "tenant"?: "k3…", "address"?: "10.0.0.7"}      those of one tenant, or one address; without, every one
                                        → {"ok": true, "devices": [{address, mac, name, client, tenant, profile, first_seen, last_seen}]}
    {"do": "recent_blocks", "address": "10.0.0.7"}      → {"ok": true, "blocks": [{at, name, category, rule}]}
    {"do": "probe", "nonce": "k3…"}     → {"ok": true, "seen": bool, address, profile, client, transport, generation, kinds}
    {"do": "asked", "names": ["www.example.com"]}       → {"ok": true, "names": {name: {registered, asked: {at_least, since} | null}}}
    {"do": "hand_over"}                 a new gateway of this state directory asks for our sockets and our place (`succession`)
    {"do": "counts"}                    → {"ok": true, "answers": n, "blocked": n, "failed": n} since the start (`weights`)
    {"do": "activity", "after": n}      → {"ok": true, "batches": [{"serial", "counts", "names", "dropped"}]}

A refusal is `{"ok": false, "error": {"code", "message", "where"}}`. Several requests may follow each other on one connection. Requests,
connections and waiting are bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.errors import ControlError, LachanError, MistakesError, StartError

SOCKET_NAME = "control.sock"
MOST_REQUEST_BYTES = 1024 * 1024
MOST_REPLY_BYTES = 64 * 1024 * 1024
MOST_CONNECTIONS = 32
IDLE_SECONDS = 60.0

Fields = dict[str, Any]  # Any: JSON values, checked by the handler of each request

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """One kind of request: who answers it and how long that may take (seconds)."""

    answer: Callable[[Fields], Awaitable[Fields]]
    seconds: float


class ControlServer:
    """Listens on the control socket and hands requests to their handlers."""

    def __init__(self, state_dir: Path, requests: Mapping[str, Request]) -> None:
        self._state_dir = state_dir
        self._requests = requests
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def is_open(self) -> bool:
        """Whether it is listened on."""
        return self._server is not None

    async def start(self) -> None:
        """Open the socket; a leftover of a dead gateway is replaced (the caller holds the lock of the state directory)."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            with contextlib.suppress(FileNotFoundError):
                if stat.S_ISSOCK((self._state_dir / SOCKET_NAME).lstat().st_mode):
                    (self._state_dir / SOCKET_NAME).unlink()
            old = os.umask(0o177)
            try:
                with short_path(self._state_dir) as path:
                    listener.bind(path)
            finally:
                os.umask(old)
        except OSError as error:
            listener.close()
            raise StartError(
                f"state_dir: cannot open {self._state_dir / SOCKET_NAME}: {error.strerror}: choose another state_dir"
            ) from None
        listener.setblocking(False)
        self._server = await asyncio.start_unix_server(self._accept, sock=listener, limit=MOST_REQUEST_BYTES)

    async def stop(self) -> None:
        """Close the socket, take its name away, end what is under way; nothing when it is not open."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        with contextlib.suppress(OSError):
            (self._state_dir / SOCKET_NAME).unlink()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            if len(self._connections) > MOST_CONNECTIONS:
                await _reply(writer, _refusal(ControlError("busy", "too many connections on the control socket: try again")))
            else:
                await self._converse(reader, writer)
        except (ConnectionError, TimeoutError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                line = await asyncio.wait_for(reader.readline(), IDLE_SECONDS)
            except ValueError:
                await _reply(writer, _refusal(ControlError("too_long", f"a request has at most {MOST_REQUEST_BYTES} bytes")))
                return
            if not line:
                return
            await _reply(writer, await self._answer(line))

    async def _answer(self, line: bytes) -> Fields:
        try:
            message = json.loads(line)
            if not isinstance(message, dict):
                raise ValueError
        except (ValueError, RecursionError):
            return _refusal(ControlError("not_json", "a request is one JSON object on one line"))
        do = message.get("do")
        request = self._requests.get(do) if isinstance(do, str) else None
        if request is None:
            return _refusal(ControlError("unknown_request", f"no such request; known: {', '.join(sorted(self._requests))}", "do"))
        try:
            async with asyncio.timeout(request.seconds):
                return {"ok": True, **await request.answer(message)}
        except TimeoutError:
            return _refusal(ControlError("timeout", f"no answer within {request.seconds:g} s; it may still be carried out"))
        except (LachanError, OSError) as error:
            return _refusal(error)
        except Exception as error:
            log.exception("control request failed", extra={"event": "control.failed", "request": do})
            return _refusal(ControlError("internal", f"{type(error).__name__}: the log has the details"))


async def ask(state_dir: Path, request: Mapping[str, object], seconds: float = 30.0) -> Fields:
    """Ask the running gateway; its answer. Raises ControlError: the gateway's own, `not_running` or `timeout`."""
    try:
        async with asyncio.timeout(seconds):
            with short_path(state_dir) as path:
                reader, writer = await asyncio.open_unix_connection(path, limit=MOST_REPLY_BYTES)
            try:
                writer.write(json.dumps(dict(request), separators=(",", ":")).encode() + b"\n")
                await writer.drain()
                line = await reader.readline()
            finally:
                writer.close()
    except TimeoutError:
        raise ControlError("timeout", f"the gateway did not answer within {seconds:g} s") from None
    except (OSError, ValueError) as error:
        raise _not_running(state_dir, error) from None
    return _reading(state_dir, line)


def ask_now(state_dir: Path, request: Mapping[str, object], seconds: float = 30.0) -> Fields:
    """`ask` for code without an event loop."""
    line = bytearray()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(seconds)
            with short_path(state_dir) as path:
                client.connect(path)
            client.sendall(json.dumps(dict(request), separators=(",", ":")).encode() + b"\n")
            while not line.endswith(b"\n") and len(line) <= MOST_REPLY_BYTES:
                data = client.recv(65536)
                if not data:
                    break
                line += data
    except TimeoutError:
        raise ControlError("timeout", f"the gateway did not answer within {seconds:g} s") from None
    except OSError as error:
        raise _not_running(state_dir, error) from None
    return _reading(state_dir, bytes(line))


def _reading(state_dir: Path, line: bytes) -> Fields:
    try:
        reply = json.loads(line)
    except ValueError:
        raise _not_running(state_dir, OSError("the connection was closed")) from None
    if not isinstance(reply, dict) or not reply.get("ok"):
        error = reply.get("error", {}) if isinstance(reply, dict) else {}
        raise ControlError(str(error.get("code", "failed")), str(error.get("message", "refused")), str(error.get("where", "")))
    return reply


def _not_running(state_dir: Path, error: Exception) -> ControlError:
    if isinstance(error, PermissionError):
        return ControlError("not_allowed", f"only the gateway's user and root may use {state_dir / SOCKET_NAME}")
    return ControlError("not_running", f"no gateway runs with the state directory {state_dir}")


def _refusal(error: Exception) -> Fields:
    if isinstance(error, ControlError):
        code, where = error.code, error.where
    elif isinstance(error, MistakesError):
        code, where = "mistakes", error.mistakes[0].path if error.mistakes else ""
    elif isinstance(error, OSError):
        code, where = "disk", str(error.filename or "")
    else:
        code, where = "refused", str(getattr(error, "where", ""))
    refusal: Fields = {"code": code, "message": str(error), "where": where}
    if isinstance(error, MistakesError):
        refusal["mistakes"] = [{"path": each.path, "message": each.message, "remedy": each.remedy} for each in error.mistakes]
    return {"ok": False, "error": refusal}


async def _reply(writer: asyncio.StreamWriter, fields: Fields) -> None:
    writer.write(json.dumps(fields, separators=(",", ":"), default=str).encode() + b"\n")
    async with asyncio.timeout(IDLE_SECONDS):
        await writer.drain()


@contextlib.contextmanager
def short_path(state_dir: Path, name: str = SOCKET_NAME) -> Iterator[str]:
    """A name of a socket there that fits into the 108 bytes of a socket address, however deep the state directory lies."""
    path = str(state_dir / name)
    if len(os.fsencode(path)) < 104 or not os.path.isdir("/proc/self/fd"):
        yield path
        return
    folder = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{name}"
    finally:
        os.close(folder)
