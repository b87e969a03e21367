"""The list an office signs is what its segments say, laid over each other."""

from __future__ import annotations

import json
from pathlib import Path

from blocklists.database import Database
from blocklists.takedown import publishing
from blocklists.takedown.model import Enforceability, Match
from blocklists.takedown.releasing import read_listing, segments_of
from blocklists.takedown.store import NewItem
from gateway.policy.overlay import Overlay
from tests.blocklists.takedown.test_store import NOW, OFFICE, approved, database, letter

__all__ = ["database"]


async def test_newest_version_is_listed_with_the_journal(database: Database, tmp_path: Path) -> None:
    """None before the first version; then every segment that is in force, with the head of the journal."""
    async with database.read() as connection:
        assert await read_listing(connection, OFFICE) is None
    for name in ("b.example", "a.example"):
        await approved(database, letter(NewItem(name, name, Match.BOTH, Enforceability.YES)))
        async with database.write() as connection:
            await publishing.publish(connection, OFFICE, tmp_path, NOW)
    async with database.read() as connection:
        listing = await read_listing(connection, OFFICE)
    assert listing is not None and listing.serial == 2
    read = segments_of(tmp_path)
    overlay = Overlay([(name, json.loads(read(name))) for name in listing.segments])
    assert set(overlay.at(NOW.timestamp()).names) == {"example.a.", "example.b."}
    assert listing.journal is not None
    assert listing.journal["seq"] > 0 and bytes.fromhex(listing.journal["digest"])
