"""Large letters and files while they are read: in this process's memory, one after the other, found again after a closed tab.

A reading belongs to the officer who began it and ends with the registration, or after half an hour. The full addresses of places on
platforms are given away with the first page that shows the result, and are then gone here too. Nothing is written.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from admin.officeintake import Intake
from blocklists.tables import new_id
from blocklists.takedown.filetext import UnreadableFile

LARGE: Final = 100_000
"""Octets from which on a letter or a file is read behind a page that shows how far it has come."""
KEPT: Final = timedelta(minutes=30)
MOST: Final = 20
MOST_OF_ONE: Final = 3

log = logging.getLogger(__name__)
Progress = Callable[[int, int], None]
Work = Callable[[Progress], Intake]


@dataclass(eq=False)
class Reading:
    """One letter. `done` of `total` addresses are judged; `total` is 0 while the file is being opened. At the end stands `intake`, or
    the sentence why not (Vietnamese, English)."""

    id: str
    account: str
    category: str
    begun_at: datetime
    done: int = 0
    total: int = 0
    intake: Intake | None = None
    fault: tuple[str, str] | None = None
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def percent(self) -> int:
        """How far it has come."""
        return min(99, 100 * self.done // self.total) if self.total else 0

    @property
    def is_over(self) -> bool:
        """Whether there is something to look at."""
        return self.intake is not None or self.fault is not None


class ReadingRoom:
    """The readings of one process."""

    def __init__(self) -> None:
        self._readings: dict[str, Reading] = {}
        self._turn = asyncio.Semaphore(1)

    def begin(self, account: str, category: str, work: Work, now: datetime) -> Reading | None:
        """Start to read; None when this officer, or everybody together, has too many letters open."""
        self._forget(now)
        if len(self.of(account, now)) >= MOST_OF_ONE or len(self._readings) >= MOST:
            return None
        reading = Reading(new_id(), account, category, now)
        self._readings[reading.id] = reading
        reading.task = asyncio.create_task(self._read(reading, work), name="reading")
        return reading

    def find(self, account: str, identity: str, now: datetime) -> Reading | None:
        """One's own reading; None when it is not there (any more)."""
        self._forget(now)
        found = self._readings.get(identity)
        return found if found is not None and found.account == account else None

    def of(self, account: str, now: datetime) -> list[Reading]:
        """An officer's readings, the oldest first."""
        self._forget(now)
        return [one for one in self._readings.values() if one.account == account]

    def drop(self, account: str, identity: str) -> None:
        """It was registered, or is not wanted."""
        found = self._readings.get(identity)
        if found is not None and found.account == account:
            del self._readings[identity]

    def show(self, reading: Reading) -> Intake:
        """The result; full addresses are in the first answer only."""
        intake = reading.intake
        assert intake is not None
        rows = tuple(replace(row, address="") for row in intake.found.rows)
        reading.intake = replace(intake, found=replace(intake.found, rows=rows))
        return intake

    async def _read(self, reading: Reading, work: Work) -> None:
        def tell(done: int, total: int) -> None:
            reading.done, reading.total = done, total

        try:
            async with self._turn:
                reading.intake = await asyncio.to_thread(work, tell)
        except UnreadableFile as error:
            reading.fault = (error.vi, error.en)
        except Exception:  # the page must say something, whatever it was
            log.exception("reading failed", extra={"event": "office.reading"})
            reading.fault = ("Không đọc được tệp này.", "This file cannot be read.")

    def _forget(self, now: datetime) -> None:
        for identity in [one.id for one in self._readings.values() if one.begun_at < now - KEPT]:
            del self._readings[identity]
