"""What one officer wants ended and a second one has not confirmed yet, a signing key or a role: a small file for each kind.

Used by `admin.officesigning` and `admin.officeendings`; what nobody shares is forgotten after a week.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from blocklists.tables import AccountId
from gateway.release import canonical_bytes, replace_file

FILE: Final = "signing/withdrawals.json"
ROLES: Final = "signing/endings.json"
_LOOK_SECONDS: Final = 0.02
HOLDS: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Doubt:
    """Who wants it ended, since when, by which document."""

    account: AccountId
    at: datetime
    basis: str = ""


def read_doubts(state_dir: Path, now: datetime, file: str = FILE) -> dict[str, Doubt]:
    """The doubts that still hold, by the id of the key or of the role in the database. A file that cannot be read holds none: a person asks
    again."""
    try:
        document = json.loads((state_dir / file).read_bytes())
        found = {
            str(key): Doubt(AccountId(str(row["account"])), datetime.fromisoformat(row["at"]), str(row.get("basis", "")))
            for key, row in document.items()
        }
        return {key: doubt for key, doubt in found.items() if now - doubt.at < HOLDS}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def write_doubts(state_dir: Path, doubts: dict[str, Doubt], file: str = FILE) -> None:
    """Keep the doubts. Raises OSError."""
    target = state_dir / file
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    rows = {key: {"account": doubt.account, "at": doubt.at.isoformat(), "basis": doubt.basis} for key, doubt in doubts.items()}
    replace_file(target, canonical_bytes(rows))


@asynccontextmanager
async def changing_doubts(state_dir: Path, now: datetime, file: str = FILE) -> AsyncIterator[dict[str, Doubt]]:
    """The doubts, to be changed; they are written when the block ends well. Nobody else, in no other process, changes them meanwhile.
    Raises OSError."""
    target = state_dir / file
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with await asyncio.to_thread(target.with_suffix(".lock").open, "w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(_LOOK_SECONDS)
        doubts = await asyncio.to_thread(read_doubts, state_dir, now, file)
        yield doubts
        await asyncio.to_thread(write_doubts, state_dir, doubts, file)
