"""Workers as the supervisor sees them; what needs whole gateways is in test_supervisor."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from gateway import crew as module
from gateway.children import ForkingLoop
from gateway.clock import WallClock
from gateway.crew import Crew, Target, WorkerStart
from gateway.errors import StartError
from gateway.sharedword import SharedWord
from gateway.sockets import ListeningSockets
from gateway.totals import Totals
from gateway.workerloop import WorkerLoop
from tests.support.echogateway import EchoPlane, EchoSnapshot, settings_from


def make(body: module.WorkerBody, folder: Path, workers: int = 1) -> tuple[ForkingLoop, Crew, Target]:
    forking, word = ForkingLoop(), SharedWord(1)
    sockets = ListeningSockets([[] for _ in range(workers)])
    crew = Crew(forking, body, sockets, word, WallClock(), Totals(), bytes(32), lambda index, event, told: None)
    target = Target(1, EchoSnapshot(1, {"text": "x"}), settings_from({"state_dir": str(folder)}))
    return forking, crew, target


def serve(start: WorkerStart) -> int:
    return asyncio.run(WorkerLoop(start, EchoPlane).main())  # type: ignore[arg-type]


def test_workers_that_cannot_start_are_a_start_error(tmp_path: Path) -> None:
    """A worker that ends again and again at the start: an error within seconds, not a loop."""
    forking, crew, target = make(lambda start: 1, tmp_path)

    async def main() -> int:
        with pytest.raises(StartError, match="the workers do not start"):
            await crew.start(target)
        return 0

    started = time.monotonic()
    forking.run(main())
    assert time.monotonic() - started < 5


def test_crash_loop_never_pauses_longer_than_a_second(tmp_path: Path) -> None:
    """A place is never empty for long, however often its worker dies."""
    forking, crew, target = make(serve, tmp_path, 2)
    gaps: list[float] = []

    async def main() -> int:
        await crew.start(target)
        for _ in range(5):
            pid = crew.workers[0].pid
            assert pid is not None
            os.kill(pid, 9)
            died = time.monotonic()
            while crew.workers[0].pid in (pid, None) or not crew.workers[0].is_ready.is_set():  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.005)
            gaps.append(time.monotonic() - died)
        await crew.stop(1.0)
        return 0

    forking.run(main())
    assert max(gaps) < module.LONGEST_PAUSE + 4.0  # starting a process takes what a busy machine takes
    assert gaps[0] < 1.0


def test_ask_leaves_out_workers_that_are_gone(tmp_path: Path) -> None:
    """An answer of the living is better than none."""
    forking, crew, target = make(serve, tmp_path, 2)

    async def main() -> int:
        await crew.start(target)
        pid = crew.workers[0].pid
        assert pid is not None
        os.kill(pid, 19)  # stopped: it will not answer
        replies = await crew.ask("flush", 0.3, key=None)
        os.kill(pid, 18)
        await crew.stop(1.0)
        return len(replies)

    assert forking.run(main()) == 1
