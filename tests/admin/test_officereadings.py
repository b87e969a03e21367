"""Large letters while they are read: one's own, found again, bounded, and without full addresses after the first look."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

from admin.office import keyed
from admin.officeguard import GuardShelf
from admin.officeintake import Intake, read_intake
from admin.officereadings import KEPT, MOST_OF_ONE, Progress, ReadingRoom
from blocklists.takedown.filetext import UnreadableFile
from blocklists.takedown.store import Office

NOW = datetime(2026, 10, 12, 5, tzinfo=UTC)
LETTER = "Số: 5/QĐ-UBND\nbad.example\nhttps://www.facebook.com/groups/nhom-xau\n"


def read(tell: Progress) -> Intake:
    """The real reader on a small letter."""
    guard = GuardShelf(Path("/nonexistent"), ()).current()
    return read_intake(LETTER, None, guard, Office("office", keyed(b"k" * 32)), frozenset(), tell)


def fail(tell: Progress) -> Intake:
    """A scan."""
    raise UnreadableFile("scan", "ảnh quét, chưa có chữ", "a scan without text")


async def over(room: ReadingRoom, identity: str) -> None:
    """Wait until a reading has come to its end."""
    for _ in range(1000):
        found = room.find("a", identity, NOW)
        if found is None or found.is_over:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the reading does not end")


async def test_a_reading_is_found_again_and_gives_full_addresses_once() -> None:
    """The tab was closed: the same result, but the addresses on platforms were in the first answer only."""
    room = ReadingRoom()
    reading = room.begin("a", "order", read, NOW)
    assert reading is not None
    assert room.find("b", reading.id, NOW) is None, "another officer's reading"
    await over(room, reading.id)
    assert reading.total == 2
    assert "nhom-xau" in room.show(reading).export()
    again = room.show(reading)
    assert [row.item.host for row in again.found.rows] == ["bad.example", None]
    assert "nhom-xau" not in again.export() and "nhom-xau" not in repr(reading)
    room.drop("b", reading.id)
    assert room.of("a", NOW) == [reading]
    room.drop("a", reading.id)
    assert room.of("a", NOW) == []


async def test_readings_are_few_and_forgotten() -> None:
    """Three for one officer; half an hour; a fault is a sentence."""
    room, gate = ReadingRoom(), threading.Event()

    def wait(tell: Progress) -> Intake:
        gate.wait(10)
        return fail(tell)

    begun = [room.begin("a", "order", wait, NOW) for _ in range(MOST_OF_ONE + 1)]
    assert [one is not None for one in begun] == [True] * MOST_OF_ONE + [False]
    gate.set()
    first = begun[0]
    assert first is not None
    await over(room, first.id)
    assert first.fault == ("ảnh quét, chưa có chữ", "a scan without text")
    for one in begun[1:MOST_OF_ONE]:
        assert one is not None
        await over(room, one.id)
    assert room.of("a", NOW + KEPT + timedelta(seconds=1)) == []
