"""Child processes of the supervisor: forked cleanly, watched, asked to stop.

A fork in the middle of a running event loop would leave the child inside it, so `ForkingLoop` leaves its loop, forks, and goes back in.
In the child every inherited descriptor but the wanted ones is replaced by /dev/null (not closed: Python objects of the parent may still
hold the numbers, and an epoll set must not be touched, because parent and child share it). Only the supervisor imports this module.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import logging
import os
import selectors
import signal
import sys
import warnings
from collections import deque
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from pathlib import Path

from gateway.privileges import give_up_rights

log = logging.getLogger(__name__)

CRASHED = 70  # EX_SOFTWARE
FIRST_TO_GO = 100
"""By how much the kernel is to end a child rather than the supervisor, of 1000 (proc(5), oom_score_adj)."""
_PR_SET_PDEATHSIG = 1
_RESET = (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1, signal.SIGUSR2)
_IGNORED = (
    signal.SIGINT,  # Ctrl-C reaches the whole group; the supervisor decides
    signal.SIGPIPE,  # a client that breaks off is an error of one write, never the end of a process
)


@dataclass(frozen=True, slots=True, eq=False)
class Child:
    """A running child. `ended` resolves to the wait status (os.WIFSIGNALED and friends)."""

    name: str
    pid: int
    ended: asyncio.Future[int]

    def signal(self, number: int) -> None:
        """Send a signal unless the child is known to be gone."""
        if not self.ended.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def stop(self, patience: float) -> int:
        """SIGTERM, `patience` seconds, SIGKILL; the wait status."""
        self.signal(signal.SIGTERM)
        try:
            return await asyncio.wait_for(asyncio.shield(self.ended), patience)
        except TimeoutError:
            log.warning("child did not stop in time", extra={"event": "child.killed", "child": self.name})
            self.signal(signal.SIGKILL)
            return await self.ended


@dataclass(frozen=True, slots=True)
class _Request:
    name: str
    body: Callable[[], int | None]
    keep: frozenset[int]
    child: asyncio.Future[Child]


class ForkingLoop:
    """An event loop that can fork. The process must have no thread that holds a lock."""

    def __init__(self) -> None:
        self.loop = asyncio.SelectorEventLoop(selectors.DefaultSelector())
        self._requests: deque[_Request] = deque()
        self._children: dict[int, Child] = {}

    def run(self, main: Coroutine[None, None, int]) -> int:
        """Run `main` to its end, forking when asked; its result."""
        asyncio.set_event_loop(self.loop)
        if sys.platform == "linux" and sys.version_info < (3, 12):
            watcher = asyncio.PidfdChildWatcher()  # the default one starts a thread for each subprocess
            watcher.attach_loop(self.loop)
            asyncio.set_child_watcher(watcher)
        self.loop.add_signal_handler(signal.SIGCHLD, self._reap)
        task = self.loop.create_task(main)
        task.add_done_callback(lambda _: self.loop.stop())
        try:
            while not task.done():
                self.loop.run_forever()
                while self._requests:
                    self._fork(self._requests.popleft())
            return task.result()
        finally:
            self.loop.remove_signal_handler(signal.SIGCHLD)
            self._cancel_leftovers()
            _forget_watcher()
            asyncio.set_event_loop(None)
            self.loop.close()

    async def fork(self, name: str, body: Callable[[], int | None], keep: Collection[int] = ()) -> Child:
        """Run `body` in a forked child that holds no descriptor but 0-2 and `keep`; its return value is the exit status."""
        request = _Request(name, body, frozenset(keep), self.loop.create_future())
        self._requests.append(request)
        self.loop.stop()
        return await request.child

    def _fork(self, request: _Request) -> None:
        every = signal.valid_signals()
        old = signal.pthread_sigmask(signal.SIG_BLOCK, every)  # a signal before the child is itself would wake the parent's loop
        gc.freeze()  # pages stay shared when a later collection would have written to them
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            signal.pthread_sigmask(signal.SIG_SETMASK, old)
            request.child.set_exception(error)
            return
        if pid == 0:
            _become_child(request, parent)  # never returns
        signal.pthread_sigmask(signal.SIG_SETMASK, old)
        gc.unfreeze()
        child = Child(request.name, pid, self.loop.create_future())
        self._children[pid] = child
        if request.child.cancelled():
            child.signal(signal.SIGKILL)
        else:
            request.child.set_result(child)

    def _reap(self) -> None:
        """Only children started here are waited for; subprocesses of others are theirs."""
        for pid, child in list(self._children.items()):
            try:
                ended, status = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                ended, status = pid, CRASHED << 8
            if ended:
                del self._children[pid]
                child.ended.set_result(status)

    def _cancel_leftovers(self) -> None:
        leftovers = asyncio.all_tasks(self.loop)
        for task in leftovers:
            task.cancel()
        if leftovers:
            self.loop.run_until_complete(asyncio.gather(*leftovers, return_exceptions=True))
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())


def describe_exit(status: int) -> str:
    """How a child ended, in words."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(number).name}"
        return f"killed by signal {number}"
    return f"exit status {os.waitstatus_to_exitcode(status)}"


def _become_child(request: _Request, parent: int) -> None:
    code = CRASHED
    try:
        signal.set_wakeup_fd(-1)
        for number in _RESET:
            signal.signal(number, signal.SIG_DFL)
        for number in _IGNORED:
            signal.signal(number, signal.SIG_IGN)
        give_up_rights()  # the supervisor may hold one for a low port that is late
        _follow_parent(parent)
        _go_before(parent)
        silence_descriptors(request.keep)
        _forget_watcher()
        asyncio.set_event_loop(None)
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        code = request.body() or 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    except BaseException:
        log.exception("child crashed", extra={"event": "child.crashed", "child": request.name})
    finally:
        with contextlib.suppress(Exception):
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _forget_watcher() -> None:
    """Back to the default. Subprocesses that still run (a list that is compiled) are nobody's concern any more, which it would warn of."""
    if sys.version_info < (3, 12):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            asyncio.set_child_watcher(None)  # type: ignore[arg-type]


def silence_descriptors(keep: Collection[int]) -> None:
    """Point every open descriptor but 0-2 and `keep` to /dev/null."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for text in os.listdir("/dev/fd"):
        number = int(text)
        if number > 2 and number != null and number not in keep:
            try:
                os.fstat(number)
            except OSError:  # the descriptor that listed the folder
                continue
            os.dup2(null, number, inheritable=False)
    os.close(null)


def _go_before(parent: int) -> None:
    """Where memory ends, let the kernel choose a child rather than the supervisor: that one starts another child, and nobody the other way
    round."""
    with contextlib.suppress(OSError, ValueError):
        above = int(Path(f"/proc/{parent}/oom_score_adj").read_text())
        Path("/proc/self/oom_score_adj").write_text(str(min(above + FIRST_TO_GO, 1000)))


def _follow_parent(parent: int) -> None:
    """Ask the kernel for SIGTERM when the supervisor dies, however it dies."""
    if sys.platform == "linux":
        zero = ctypes.c_ulong(0)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGTERM), zero, zero, zero)
        if os.getppid() != parent:
            os._exit(0)
