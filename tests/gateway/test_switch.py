"""Putting generations in force."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from gateway import release
from gateway.clock import WallClock
from gateway.crew import Target
from gateway.errors import ControlError, GenerationError
from gateway.metrics import RELOAD_OK, RELOADS
from gateway.settings import CacheSettings, UpstreamAddress, UpstreamSettings
from gateway.sharedword import SharedWord
from gateway.switch import Generations, pack_settings, unpack_settings, workers_part
from gateway.totals import Totals
from tests.support.echogateway import load, put_index, settings_from


class Crew:
    """Workers that do as they are told, or fail to stage."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fails = False
        self.target: Target | None = None
        self.word: SharedWord | None = None

    async def stage(self, target: Target, settings: str | None) -> None:
        self.calls.append(f"stage {target.number}{' settings' if settings else ''} at {self.word.value if self.word else 0}")
        if self.fails:
            raise ControlError("gone", "the worker has ended")

    async def unstage(self, target: Target) -> None:
        self.calls.append(f"unstage {target.number}")

    async def confirm(self, target: Target) -> None:
        self.calls.append(f"confirm {target.number} at {self.word.value if self.word else 0}")


class Room:
    """A state directory with generation 1 in force."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "var"
        self.settings = settings_from({"state_dir": str(self.folder)})
        self.totals, self.word, self.crew = Totals(), SharedWord(1), Crew()
        self.crew.word = self.word
        self.generations = Generations(self.folder, load, self.word, WallClock(), self.totals)  # type: ignore[arg-type]
        self.generations.load_first(self.changes("first"), self.settings)

    def changes(self, text: str, **more: object) -> dict[str, object]:
        name = release.write_file(self.folder, {"text": text, **more})
        return {"index": put_index(self.folder), "catalogue": release.write_file(self.folder, {"format": 1}), "policies": {"local": name}}

    async def apply(self, text: str, **more: object) -> int:
        return await self.generations.apply(self.crew, self.changes(text, **more))  # type: ignore[arg-type]


@pytest.fixture
def room(tmp_path: Path) -> Room:
    """A fresh one."""
    return Room(tmp_path)


async def test_word_moves_between_staging_and_confirming(room: Room) -> None:
    """Every worker has staged before the word says so, and confirms after."""
    assert await room.apply("second") == 2
    assert room.crew.calls == ["stage 2 at 1", "confirm 2 at 2"]
    assert release.current_number(room.folder) == 2
    assert room.totals.value(RELOADS, ("applied",)) == 2


async def test_failed_staging_leaves_everything_as_it_was(room: Room) -> None:
    """Word, `current` and target stay; the failure is noted and counted."""
    room.crew.fails = True
    with pytest.raises(ControlError):
        await room.apply("second")
    assert (room.word.value, release.current_number(room.folder)) == (1, 1)
    assert room.generations.target is not None
    assert room.generations.target.number == 1
    assert room.generations.last is not None
    assert room.generations.last.outcome == "refused"
    assert room.totals.value(RELOAD_OK) == 0
    room.crew.fails = False
    assert await room.apply("second") == 3
    assert room.totals.value(RELOAD_OK) == 1


async def test_full_disk_keeps_the_old_generation(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the number cannot be written, workers give the staged one up and nobody switches."""

    def full(state_dir: Path, number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(release, "put_in_force", full)
    with pytest.raises(OSError, match="No space left"):
        await room.apply("second")
    assert room.crew.calls == ["stage 2 at 1", "unstage 2"]
    assert room.word.value == 1


async def test_generation_that_does_not_load_is_not_even_staged(room: Room) -> None:
    """The supervisor loads it first."""
    with pytest.raises(GenerationError, match="made to fail"):
        await room.apply("broken", bad=True)
    assert room.crew.calls == []


async def test_same_content_makes_no_generation(room: Room) -> None:
    """Nothing changes, nothing is staged; the number stays."""
    assert await room.apply("first") == 1
    assert room.crew.calls == []
    assert room.totals.value(RELOADS, ("unchanged",)) == 1


async def test_settings_alone_are_switched_like_a_generation(room: Room) -> None:
    """New settings go through stage, word and confirm with the same number; the file's own path does not count."""
    new = replace(room.settings, cache=CacheSettings(entries=5))
    assert await room.generations.apply(room.crew, None, new) == 1  # type: ignore[arg-type]
    assert room.crew.calls == ["stage 1 settings at 1", "confirm 1 at 2"]
    await room.generations.apply(room.crew, None, replace(new, source=Path("/etc/lachan/lachan.yaml")))  # type: ignore[arg-type]
    assert len(room.crew.calls) == 2


@pytest.mark.parametrize("changes", [{"nonsense": 1}, {"policies": 5}, {"orders": {"serial": "x"}}, {"index": "../../etc"}])
async def test_changes_in_another_form_are_refused(room: Room, changes: dict[str, object]) -> None:
    """Whatever comes over the socket is checked before anything is written."""
    with pytest.raises(GenerationError):
        await room.generations.apply(room.crew, changes)  # type: ignore[arg-type]
    assert release.current_number(room.folder) == 1


async def test_old_generations_are_removed(room: Room) -> None:
    """A handful stays, the rest goes."""
    for number in range(10):
        await room.apply(f"text {number}")
    assert len(list((room.folder / "generations").iterdir())) == release.KEEP


def test_start_with_a_broken_new_generation_serves_the_old_one(room: Room) -> None:
    """Last good: the failure is noted, the number in force stays."""
    again = Generations(room.folder, load, SharedWord(1), WallClock(), Totals())  # type: ignore[arg-type]
    target = again.load_first(room.changes("broken", bad=True), room.settings)
    assert target.number == 1
    assert again.last is not None
    assert again.last.outcome == "refused"


def test_start_without_anything_is_an_error(tmp_path: Path) -> None:
    """No generation, nothing prepared: nothing is answered."""
    empty = Generations(tmp_path, load, SharedWord(1), WallClock(), Totals())  # type: ignore[arg-type]
    with pytest.raises(GenerationError, match="no generation yet"):
        empty.load_first(None, settings_from({"state_dir": str(tmp_path)}))


def test_settings_travel_whole(tmp_path: Path) -> None:
    """A worker gets the same values, without the parts it never looks at."""
    server = UpstreamAddress("udp", "192.0.2.1", 53, "", "192.0.2.1")
    routes = MappingProxyType({"com.example.": (server,)})
    settings = replace(
        settings_from({"state_dir": str(tmp_path)}),
        upstreams=UpstreamSettings((server,), "ordered", routes, 2.0),
        policy=MappingProxyType({"secret": "x"}),
    )
    travelled = unpack_settings(pack_settings(settings))
    assert travelled == workers_part(settings)
    assert travelled.policy == {}
