"""The life of one worker process; what needs a supervisor is in test_supervisor."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import release
from gateway.channel import Channel, Fields
from gateway.clock import WallClock
from gateway.crew import Target, WorkerStart
from gateway.errors import ControlError
from gateway.sharedword import SharedWord
from gateway.switch import pack_settings
from gateway.workerloop import EX_TEMPFAIL, WorkerLoop
from tests.support.echogateway import EchoPlane, EchoSnapshot, put_index, settings_from


@pytest.fixture(autouse=True)
def restore_collection() -> Iterator[None]:
    """The interpreter as it was."""
    yield
    gc.unfreeze()
    gc.enable()


class Room:
    """A worker loop on this very process, and the supervisor's end of its line."""

    def __init__(self, folder: Path, epoch: int = 1) -> None:
        self.folder = folder / "var"
        self.settings = settings_from({"state_dir": str(self.folder)})
        self.word = SharedWord(1)
        self.ours, theirs = socket.socketpair()
        snapshot = EchoSnapshot(1, {"text": "first"})
        self.start = WorkerStart(0, Target(epoch, snapshot, self.settings), self.word, [], theirs, WallClock(), bytes(32))
        self.told: list[tuple[str, Fields]] = []
        self.loop = WorkerLoop(self.start, EchoPlane)  # type: ignore[arg-type]
        self.channel: Channel

    async def __aenter__(self) -> Room:
        async def never(do: str, fields: Fields) -> Fields:
            raise AssertionError(do)

        self.channel = await Channel.open(self.ours, never, lambda event, fields: self.told.append((event, fields)))
        self.running = asyncio.ensure_future(self.loop.main())
        await self.hear("ready")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.channel.tell("stop", seconds=0.0)
        assert await asyncio.wait_for(self.running, 5) == 0
        self.channel.close()
        await self.channel.closed

    async def hear(self, event: str) -> Fields:
        for _ in range(500):
            for told, fields in self.told:
                if told == event:
                    return fields
            await asyncio.sleep(0.01)
        raise AssertionError(f"never told {event}: {self.told}")

    def generation(self, **document: object) -> int:
        name = release.write_file(self.folder, document)
        catalogue = release.write_file(self.folder, {"format": 1})
        changes: release.Changes = {"index": put_index(self.folder), "catalogue": catalogue, "policies": {"local": name}}
        return release.write_generation(self.folder, changes, 0.0)


async def test_staged_generation_waits_for_the_word(tmp_path: Path) -> None:
    """Staging alone changes nothing; the word does, and the worker says so."""
    async with Room(tmp_path) as room:
        number = room.generation(text="next")
        await room.channel.call("stage", 5, epoch=2, number=number, settings=pack_settings(room.settings))
        with pytest.raises(ControlError, match="nothing staged"):
            await room.channel.call("switch", 5, epoch=2)
        room.word.set(2)
        reply = await room.channel.call("switch", 5, epoch=2)
        assert (reply["epoch"], reply["number"]) == (2, number)


async def test_generation_that_cannot_be_loaded_is_refused_with_the_place(tmp_path: Path) -> None:
    """The supervisor learns which file is at fault."""
    async with Room(tmp_path) as room:
        with pytest.raises(ControlError, match="made to fail") as caught:
            await room.channel.call("stage", 5, epoch=2, number=room.generation(bad=True), settings=None)
        assert caught.value.code == "failed"
        assert caught.value.where.startswith("generations/")


async def test_worker_started_for_a_staged_generation_serves_only_after_the_word(tmp_path: Path) -> None:
    """It is ready, but opens nothing before."""
    room = Room(tmp_path, epoch=2)
    opened: list[object] = []

    class Plane(EchoPlane):
        def open(self, listening: list[object]) -> None:  # type: ignore[override]
            opened.append(listening)

    room.loop = WorkerLoop(room.start, Plane)  # type: ignore[arg-type]
    async with room:
        await asyncio.sleep(0.05)
        assert opened == []
        room.word.set(2)
        await asyncio.sleep(0.05)
        assert opened == [[]]


async def test_counters_and_report_are_told_every_second(tmp_path: Path) -> None:
    """The supervisor hears rows and upstream health without asking."""
    async with Room(tmp_path) as room:
        fields = await room.hear("counters")
        assert any(row[0] == "lachan_loop_delay_seconds" for row in fields["rows"])
        assert fields["report"]["upstreams"][0]["up"] is True


def test_worker_that_missed_a_generation_ends_itself(tmp_path: Path) -> None:
    """A word nobody staged here: it must not go on answering by the old generation."""
    room = Room(tmp_path)
    pid = os.fork()
    if pid == 0:

        async def main() -> None:
            asyncio.get_running_loop().call_later(0.1, room.word.set, 9)
            await room.loop.main()

        asyncio.run(main())
        os._exit(0)
    room.start.line.close()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == EX_TEMPFAIL
    room.ours.close()
