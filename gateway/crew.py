"""The workers as the supervisor sees them: started, watched, staged together, replaced when they fail.

A worker that ends or stops talking is started again on the same sockets: at once when it had lived, with a growing pause (never more than
one second) when it keeps failing. Only the supervisor imports this module.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from gateway.channel import Channel, Fields
from gateway.children import Child, ForkingLoop, describe_exit
from gateway.clock import WallClock
from gateway.errors import ControlError, GenerationError, LachanError, StartError
from gateway.metrics import WORKER_RESTARTS
from gateway.release import Manifest
from gateway.settings import GatewaySettings
from gateway.sharedword import SharedWord
from gateway.sockets import Listening, ListeningSockets
from gateway.totals import Totals

log = logging.getLogger(__name__)

READY_SECONDS = 30.0
START_TRIES = 3
STAGE_SECONDS = 60.0
SWITCH_SECONDS = 5.0
RENEW_SECONDS = 2.0
LAST_WORDS_SECONDS = 1.0
SILENT_SECONDS = 15.0
LIVED_SECONDS = 5.0
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0


class Loaded(Protocol):
    """A generation in memory (`gateway.policy.snapshot.Snapshot`), as far as the supervisor looks at it."""

    @property
    def number(self) -> int: ...
    @property
    def manifest(self) -> Manifest | None: ...
    @property
    def order_serial(self) -> int: ...
    @property
    def sources(self) -> Any: ...  # Any: rows of metadata, read by `standing` only
    @property
    def disputes(self) -> Any: ...  # Any: claims that cannot hold, read by `standing` only


@dataclass(frozen=True, slots=True)
class Target:
    """What a worker is to enforce: a generation under these settings. `epoch` is the value of the shared word that puts it in force."""

    epoch: int
    snapshot: Loaded
    settings: GatewaySettings

    @property
    def number(self) -> int:
        """The generation's number."""
        return self.snapshot.number

    @property
    def created_at(self) -> float:
        """When the generation was made (unix seconds), 0.0 when it does not say."""
        written = getattr(getattr(self.snapshot, "manifest", None), "created_at", "")
        try:
            return datetime.fromisoformat(written).timestamp()
        except (TypeError, ValueError):
            return 0.0


@dataclass(frozen=True, slots=True)
class WorkerStart:
    """Everything a new worker is given. It serves once the shared word reaches its target's epoch."""

    index: int
    target: Target
    word: SharedWord
    listening: list[Listening]
    line: socket.socket
    clock: WallClock
    secret: bytes


WorkerBody = Callable[[WorkerStart], int]


@dataclass(slots=True)
class Worker:
    """One place in the crew and whoever fills it."""

    index: int
    child: Child | None = None
    channel: Channel | None = None
    is_ready: asyncio.Event = field(default_factory=asyncio.Event)
    epoch: int = 0
    number: int = 0
    restarts: int = 0
    started: float = 0.0
    heard: float = 0.0
    patience: float = SILENT_SECONDS
    is_leaving: bool = False
    report: Fields = field(default_factory=dict)

    @property
    def pid(self) -> int | None:
        """Process id, None between two lives."""
        return self.child.pid if self.child is not None and not self.child.ended.done() else None


class Crew:
    """All workers. `target` is what is in force; `candidate` what is being staged."""

    def __init__(
        self,
        forking: ForkingLoop,
        body: WorkerBody,
        sockets: ListeningSockets,
        word: SharedWord,
        clock: WallClock,
        totals: Totals,
        secret: bytes,
        listen: Callable[[int, str, Fields], None],
    ) -> None:
        self.workers = [Worker(index) for index in range(len(sockets.workers))]
        self.target: Target | None = None
        self._candidate: dict[int, Target] = {}
        self._forking = forking
        self._body = body
        self._sockets = sockets
        self._word = word
        self._clock = clock
        self._totals = totals
        self._secret = secret
        self._listen = listen
        self._keepers: list[asyncio.Task[None]] = []
        self._is_stopping = False
        for worker in self.workers:
            totals.add(WORKER_RESTARTS, (str(worker.index),), 0)

    async def start(self, target: Target) -> None:
        """Start every worker and wait until all serve; raises StartError."""
        self.target = target
        self._keepers = [asyncio.create_task(self._keep(worker)) for worker in self.workers]
        deadline = time.monotonic() + READY_SECONDS
        while not all(worker.is_ready.is_set() for worker in self.workers):
            if time.monotonic() > deadline or any(worker.restarts >= START_TRIES for worker in self.workers):
                await self.stop(0.0)
                raise StartError("the workers do not start: the log above says why")
            await asyncio.sleep(0.01)

    async def stage(self, target: Target, settings: str | None) -> None:
        """Have every worker load `target`, without switching. A worker that cannot is replaced by one that starts with it.

        `settings` is the packed form of the target's settings, None when they did not change. Raises GenerationError or ControlError and
        leaves everybody as before when even a new worker fails.
        """
        outcomes = await asyncio.gather(*(self._stage_one(worker, target, settings) for worker in self.workers))
        failed = [(worker, error) for worker, error in zip(self.workers, outcomes, strict=True) if error is not None]
        if failed and len(failed) == len(self.workers) and all(isinstance(error, GenerationError) for _, error in failed):
            await self.unstage(target)
            raise failed[0][1]
        for worker, error in failed:
            log.warning("worker replaced", extra={"event": "worker.replaced", "worker": worker.index, "reason": str(error)})
            self._candidate[worker.index] = target
            await self._replace(worker)
            if worker.epoch != target.epoch:
                await self.unstage(target)
                raise error
        self._candidate = {worker.index: target for worker in self.workers}  # who dies before the switch comes back with it

    async def unstage(self, target: Target) -> None:
        """Give up a staged target: those that hold it beside the old one drop it, those that started with it are replaced."""
        self._candidate.clear()
        for worker in self.workers:
            if worker.epoch == target.epoch:
                await self._replace(worker)
            elif worker.channel is not None:
                worker.channel.tell("unstage", epoch=target.epoch)

    async def confirm(self, target: Target) -> None:
        """After the word was written: every worker serves the new target, or is killed and comes back with it."""
        self.target = target
        self._candidate.clear()
        await asyncio.gather(*(self._confirm_one(worker, target) for worker in self.workers))

    async def renew(self) -> None:
        """Replace the workers one after the other, each after it finished what it holds: for settings that a running one cannot take over.
        Their sockets stay, so no query is lost."""
        for worker in self.workers:
            child, channel = worker.child, worker.channel
            if child is None or channel is None or child.ended.done():
                continue
            worker.is_leaving = True
            worker.is_ready.clear()
            channel.tell("stop", seconds=RENEW_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RENEW_SECONDS + 1.0):
                    await asyncio.shield(child.ended)
            child.signal(signal.SIGKILL)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(READY_SECONDS):
                    await worker.is_ready.wait()

    async def ask(self, do: str, seconds: float, **fields: object) -> list[Fields]:
        """The answers of all workers that gave one in time."""
        replies = await asyncio.gather(*(self._ask_one(worker, do, seconds, fields) for worker in self.workers))
        return [reply for reply in replies if reply is not None]

    async def stop(self, patience: float) -> None:
        """Let every worker finish what it holds, at most `patience` seconds."""
        self._is_stopping = True
        for worker in self.workers:
            if worker.channel is not None:
                worker.channel.tell("stop", seconds=patience)
        running = [worker.child for worker in self.workers if worker.child is not None]
        if running and patience:
            await asyncio.wait([child.ended for child in running], timeout=patience + 0.5)
        await asyncio.gather(*(child.stop(0.5) for child in running))
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)

    def check_silence(self, now: float) -> None:
        """Kill a worker that said nothing for too long (monotonic seconds): it hangs, and its socket with it."""
        for worker in self.workers:
            if worker.pid is not None and worker.child is not None and now - worker.heard > worker.patience:
                log.error(
                    "worker silent", extra={"event": "worker.silent", "worker": worker.index, "seconds": round(now - worker.heard, 1)}
                )
                worker.child.signal(signal.SIGKILL)
                worker.heard = now

    async def _keep(self, worker: Worker) -> None:
        """Fill one place for as long as the gateway runs."""
        pause = 0.0
        while not self._is_stopping:
            if pause:
                await asyncio.sleep(pause)
            try:
                child = await self._live(worker)
            except Exception:  # whatever it is, the place must be filled again
                log.exception("worker not started", extra={"event": "worker.fork", "worker": worker.index})
                pause = LONGEST_PAUSE
                continue
            lived = time.monotonic() - worker.started
            if self._is_stopping:
                return
            if worker.is_leaving:
                worker.is_leaving, pause = False, 0.0
                continue
            pause = 0.0 if lived >= LIVED_SECONDS else min(max(pause * 2, FIRST_PAUSE), LONGEST_PAUSE)
            worker.restarts += 1
            self._totals.add(WORKER_RESTARTS, (str(worker.index),))
            how = describe_exit(child.ended.result())
            log.error("worker ended", extra={"event": "worker.ended", "worker": worker.index, "how": how, "lived": round(lived, 1)})

    async def _live(self, worker: Worker) -> Child:
        """One life of a worker, from fork to end."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        target = self._candidate.get(worker.index) or self.target
        assert target is not None
        listening = self._sockets.of(worker.index)
        start = WorkerStart(worker.index, target, self._word, listening, theirs, self._clock, self._secret)
        keep = {theirs.fileno(), *(each.socket.fileno() for each in listening)}
        with theirs:
            try:
                child = await self._forking.fork(f"worker {worker.index}", lambda: self._body(start), keep)
            except BaseException:
                ours.close()
                raise
        worker.child = child
        worker.started = worker.heard = time.monotonic()
        worker.patience = READY_SECONDS
        worker.channel = await Channel.open(ours, _no_requests, lambda event, fields: self._heard(worker, event, fields))
        try:
            await asyncio.shield(child.ended)
            # What it counted last still lies in the line; its end of the line is closed, so this is short.
            await asyncio.wait((worker.channel.closed,), timeout=LAST_WORDS_SECONDS)
        finally:
            worker.is_ready.clear()
            worker.epoch = worker.number = 0
            worker.report = {}
            worker.channel.close()
            worker.channel = None
            self._totals.forget_worker(worker.index)
        return child

    def _heard(self, worker: Worker, event: str, fields: Fields) -> None:
        worker.heard = time.monotonic()
        if event == "ready":
            worker.patience = SILENT_SECONDS
            worker.epoch, worker.number = int(fields["epoch"]), int(fields["number"])
            worker.is_ready.set()
        elif event == "counters":
            self._totals.take(worker.index, fields.get("rows", ()))
            worker.report = fields.get("report", {})
        elif event == "switched":
            worker.epoch, worker.number = int(fields["epoch"]), int(fields["number"])
        else:
            self._listen(worker.index, event, fields)

    async def _stage_one(self, worker: Worker, target: Target, settings: str | None) -> LachanError | None:
        try:
            async with asyncio.timeout(LONGEST_PAUSE * 2):
                await worker.is_ready.wait()
        except TimeoutError:
            return ControlError("worker_down", f"worker {worker.index} does not start")
        channel = worker.channel
        if channel is None:
            return ControlError("gone", "the worker has ended")
        worker.patience = STAGE_SECONDS + SILENT_SECONDS
        try:
            await channel.call("stage", STAGE_SECONDS, epoch=target.epoch, number=target.number, settings=settings)
        except ControlError as error:
            if error.code == "failed":
                return GenerationError(error.where or f"generations/{target.number}.json", str(error))
            return error
        finally:
            worker.heard, worker.patience = time.monotonic(), SILENT_SECONDS
        return None

    async def _replace(self, worker: Worker) -> None:
        """End this worker; its keeper starts the next. Returns when one is ready, or when several in a row could not start."""
        worker.is_ready.clear()
        most_restarts = worker.restarts + START_TRIES
        deadline = time.monotonic() + READY_SECONDS
        if worker.child is not None:
            worker.child.signal(signal.SIGKILL)
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(worker.child.ended)
        while not worker.is_ready.is_set() and worker.restarts < most_restarts and time.monotonic() < deadline:  # noqa: ASYNC110 - three ends
            await asyncio.sleep(0.01)

    async def _confirm_one(self, worker: Worker, target: Target) -> None:
        channel = worker.channel
        if channel is None:
            return  # on its way up, with the new target
        try:
            reply = await channel.call("switch", SWITCH_SECONDS, epoch=target.epoch)
            worker.epoch, worker.number = int(reply["epoch"]), int(reply["number"])
        except ControlError as error:
            log.error("worker not switched", extra={"event": "worker.not_switched", "worker": worker.index, "reason": str(error)})
            await self._replace(worker)

    async def _ask_one(self, worker: Worker, do: str, seconds: float, fields: Fields) -> Fields | None:
        if worker.channel is None:
            return None
        try:
            return await worker.channel.call(do, seconds, **fields)
        except ControlError as error:
            if error.code not in ("gone", "timeout"):
                raise
            return None


async def _no_requests(do: str, _fields: Fields) -> Fields:
    raise ControlError("unknown", f"workers do not ask for {do!r}")
