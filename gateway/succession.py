"""A new gateway takes the place of a running one on the very same open sockets, so that an upgrade costs no query.

    successor                                         the one that runs
    listens at state_dir/successor.sock
    {"do": "hand_over"} on the control socket   →     connects there
    "go"                                        →     stops its pages and jobs, lets the state directory go; its workers go on answering
                                                ←     every listening socket (SCM_RIGHTS)
    prepares, starts its workers on them, puts
    its generation in force on disk
    "done"                                      →     its pages of numbers end
                                                ←     closes the line; its workers finish what they hold, and it ends

When the successor ends before "done", the one that runs takes everything up again (`leaving`); when it says nothing, the one that runs goes
on answering for as long as that takes. Both must be the same user, share the state directory and (for sockets that are opened newly) the
network. Only the supervisor and `leaving` import this module.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import struct
import time
from collections.abc import Sequence
from pathlib import Path

from gateway.control import ask_now, short_path
from gateway.errors import ControlError, StartError
from gateway.statelock import StateLock

PATH_NAME = "successor.sock"
REPLY_SECONDS = 30.0
PUT_DOWN_SECONDS = 60.0
"""How long the one that runs may take to stop its pages and jobs."""
FAREWELL_SECONDS = 2.0
"""How long a successor that answers waits for the one before to end its pages of numbers."""

GONE_SECONDS = 5.0
"""How long the one that runs may take to end, where it closed the line: killed, it closes that before it lets the state directory go."""

_GO = b"go"
_DONE = b"done"
_COUNT = struct.Struct("!H")
_CREDENTIALS = struct.Struct("3i")
_CHUNK = 64
_MOST_SOCKETS = 4096


class Succession:
    """What the gateway before handed over: its listening sockets, and the line on which it waits to hear that they are served."""

    def __init__(self, line: socket.socket, sockets: list[socket.socket]) -> None:
        self.sockets = sockets
        self._line = line

    async def done(self) -> None:
        """We answer: the one before may end. Returns when it has heard that, or is gone."""
        with self._line, contextlib.suppress(OSError, TimeoutError):
            self._line.setblocking(False)
            async with asyncio.timeout(FAREWELL_SECONDS):
                loop = asyncio.get_running_loop()
                await loop.sock_sendall(self._line, _DONE)
                await loop.sock_recv(self._line, 1)


def take_over(state_dir: Path) -> Succession | None:
    """Ask the gateway of this state directory for its place; None when none runs. Raises StartError when it does not give it."""
    path = state_dir / PATH_NAME
    giver = 0
    try:
        listener = _listen(state_dir)
    except OSError as error:
        raise StartError(f"state_dir: cannot open {path}: {error.strerror or error}: choose a folder that can be written") from None
    try:
        with listener:
            try:
                ask_now(state_dir, {"do": "hand_over"}, REPLY_SECONDS)
            except ControlError as error:
                if error.code == "not_running":
                    return None
                if error.code == "unknown_request":
                    raise StartError("the gateway that runs is of a version that cannot hand over: stop it first") from None
                raise StartError(f"the gateway that runs does not hand over: {error}") from None
            listener.settimeout(REPLY_SECONDS)
            line, _ = listener.accept()
        giver = _process_behind(line)
        try:
            line.settimeout(PUT_DOWN_SECONDS)
            line.sendall(_GO)
            return Succession(line, _receive(line))
        except BaseException:
            line.close()
            raise
    except OSError as error:
        if _is_nobody_there(state_dir) or (_ends(giver) and _is_nobody_there(state_dir)):
            return None  # it was ended in between: an ordinary start, so that names are answered again
        raise StartError(f"the gateway that runs did not hand over its sockets ({error}): it goes on, its log says why") from None
    finally:
        path.unlink(missing_ok=True)


def meet(state_dir: Path) -> socket.socket:
    """The line to the successor that asked. Raises ControlError."""
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        line.settimeout(1.0)
        with short_path(state_dir, PATH_NAME) as path:
            line.connect(path)
    except OSError as error:
        line.close()
        raise ControlError("no_successor", f"nobody waits at {PATH_NAME}: {error.strerror or error}") from None
    line.setblocking(False)
    return line


async def hear_go(line: socket.socket) -> bool:
    """Whether the successor got its reply and wants us to begin."""
    return await _hear(line, _GO, REPLY_SECONDS)


def has_given_up(line: socket.socket) -> bool:
    """Whether the successor is gone already, because we took too long to begin."""
    try:
        return line.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


async def hear_done(line: socket.socket) -> bool:
    """Whether the successor came to answer; False when it ended before. Returns only then: its lists may take any time."""
    return await _hear(line, _DONE, None)


async def give(line: socket.socket, sockets: Sequence[socket.socket]) -> None:
    """Send these sockets. Raises OSError, also when nobody takes them."""
    async with asyncio.timeout(REPLY_SECONDS):
        await asyncio.get_running_loop().sock_sendall(line, _COUNT.pack(len(sockets)))
        for start in range(0, len(sockets), _CHUNK):
            numbers = [each.fileno() for each in sockets[start : start + _CHUNK]]
            while True:
                try:
                    socket.send_fds(line, [b"."], numbers)
                    break
                except BlockingIOError:
                    await asyncio.sleep(0.01)


def _receive(line: socket.socket) -> list[socket.socket]:
    count = b""
    while len(count) < _COUNT.size:
        data = line.recv(_COUNT.size - len(count))
        if not data:
            raise ConnectionError("the line was closed")
        count += data
    wanted = min(int(_COUNT.unpack(count)[0]), _MOST_SOCKETS)
    sockets: list[socket.socket] = []
    deadline = time.monotonic() + REPLY_SECONDS
    while len(sockets) < wanted and time.monotonic() < deadline:
        data, numbers, _, _ = socket.recv_fds(line, 1, _CHUNK)
        for number in numbers:
            os.set_inheritable(number, False)
            sockets.append(socket.socket(fileno=number))
        if not data:
            raise ConnectionError("the line was closed")
    return sockets


def _is_nobody_there(state_dir: Path) -> bool:
    """Whether no gateway holds the state directory (any more)."""
    try:
        StateLock(state_dir).close()
    except StartError:
        return False
    return True


def _process_behind(line: socket.socket) -> int:
    """The process at the other end of a line; 0 where it cannot be seen from here."""
    if not hasattr(socket, "SO_PEERCRED"):
        return 0
    pid, _, _ = _CREDENTIALS.unpack(line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return int(pid)


def _ends(pid: int) -> bool:
    """Whether this process has ended, or does within a moment; its files are then closed."""
    if not pid or not hasattr(os, "pidfd_open"):
        return False
    try:
        handle = os.pidfd_open(pid)
    except OSError as error:
        return isinstance(error, ProcessLookupError)
    try:
        return bool(select.select([handle], [], [], GONE_SECONDS)[0])
    finally:
        os.close(handle)


async def _hear(line: socket.socket, word: bytes, seconds: float | None) -> bool:
    loop = asyncio.get_running_loop()
    heard = b""
    try:
        async with asyncio.timeout(seconds):
            while len(heard) < len(word):
                data = await loop.sock_recv(line, len(word) - len(heard))
                if not data:
                    return False
                heard += data
    except (OSError, TimeoutError):
        return False
    return heard == word


def _listen(state_dir: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        (state_dir / PATH_NAME).unlink(missing_ok=True)
        mask = os.umask(0o177)
        try:
            with short_path(state_dir, PATH_NAME) as path:
                listener.bind(path)
        finally:
            os.umask(mask)
        listener.listen(1)
    except OSError:
        listener.close()
        raise
    return listener
