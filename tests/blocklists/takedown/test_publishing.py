"""Versions: serials grow by one, bases come round, digests chain."""

from __future__ import annotations

from pathlib import Path

import pytest

from blocklists.database import Database
from blocklists.takedown import publishing
from blocklists.takedown.model import Enforceability, Match
from blocklists.takedown.store import NewItem
from tests.blocklists.takedown.test_store import NOW, OFFICE, approved, database, letter

__all__ = ["database"]


async def test_serials_grow_and_a_base_comes_round(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each change is one serial; after enough of them the list is written whole again, and readers need only what follows."""
    monkeypatch.setattr(publishing, "REBASE_AFTER", 3)
    seen = []
    for number in range(5):
        await approved(database, letter(NewItem(f"n{number}.example", f"n{number}.example", Match.BOTH, Enforceability.YES)))
        async with database.write() as connection:
            version = await publishing.publish(connection, OFFICE, tmp_path, NOW)
            assert version is not None
            assert await publishing.current_segments(connection, OFFICE) == (version.serial, version.segments)
            seen.append((version.serial, len(version.segments), version.entries))
    assert seen == [(1, 1, 1), (2, 2, 2), (3, 3, 3), (4, 1, 4), (5, 2, 5)]
