"""Versions: serials grow by one, bases come round, digests chain."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from blocklists.database import Database
from blocklists.takedown import publishing, store, tables
from blocklists.takedown.model import Enforceability, Match
from blocklists.takedown.store import NewItem
from gateway import release
from gateway.policy.overlay import Overlay
from tests.blocklists.takedown.test_store import APPROVER, NOW, OFFICE, THIRD, VERIFIER, approved, database, letter

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


async def test_dates_of_one_document_stay_apart(database: Database, tmp_path: Path) -> None:
    """Two sets of dates, and two reaches of one name, of one document: each holds as it was written, and lifting one leaves the other."""
    items = [NewItem("x.example", "x.example", match, Enforceability.YES) for match in (Match.BOTH, Match.BELOW)]
    await approved(database, letter(*items, NewItem("y.example", "y.example", Match.BOTH, Enforceability.YES)))
    table = tables.entries
    async with database.write() as connection:
        sooner = {"valid_until": NOW + timedelta(days=2)}
        await connection.execute(update(table).where(table.c.host == "y.example").values(**sooner))
        await publishing.publish(connection, OFFICE, tmp_path, NOW)
    assert await _bound(database, tmp_path, timedelta(days=1)) == {("example.x.", 0), ("example.x.", 2), ("example.y.", 0)}
    assert await _bound(database, tmp_path, timedelta(days=3)) == {("example.x.", 0), ("example.x.", 2)}
    async with database.write() as connection:
        below = await connection.execute(select(table.c.id).where(table.c.match == "below"))
        await store.move_entry(connection, OFFICE, str(below.scalar()), "lift", APPROVER, NOW, "mistake")
        await publishing.publish(connection, OFFICE, tmp_path, NOW)
    assert await _bound(database, tmp_path, timedelta(days=1)) == {("example.x.", 0), ("example.y.", 0)}


async def test_new_dates_take_the_place_of_the_old(database: Database, tmp_path: Path) -> None:
    """A confirmed urgent order holds to its own end, and once lifted nothing of its first day is left."""
    urgent = letter(urgent=True)
    async with database.write() as connection:
        order = await store.register(connection, OFFICE, urgent, VERIFIER, NOW)
        await store.move_order(connection, OFFICE, order, "approve_urgent", APPROVER, NOW)
        await publishing.publish(connection, OFFICE, tmp_path, NOW)
        await store.move_order(connection, OFFICE, order, "confirm", THIRD, NOW)
        await publishing.publish(connection, OFFICE, tmp_path, NOW)
    assert await _bound(database, tmp_path, timedelta(days=20)) == {("example.bad.", 0)}
    async with database.write() as connection:
        entry = str((await connection.execute(select(tables.entries.c.id))).scalar())
        await store.move_entry(connection, OFFICE, entry, "lift", APPROVER, NOW, "mistake")
        await publishing.publish(connection, OFFICE, tmp_path, NOW)
    assert await _bound(database, tmp_path, timedelta(hours=1)) == set()


async def _bound(database: Database, state_dir: Path, after: timedelta) -> set[tuple[str, int]]:
    """What gateways enforce some time after NOW, as key and reach."""
    async with database.read() as connection:
        _, names = await publishing.current_segments(connection, OFFICE)
    view = Overlay([(name, release.read_file(state_dir, name)) for name in names]).at((NOW + after).timestamp())
    return {(key, coverage.value) for key, rows in view.entries.items() for coverage, order in rows if order.id in view.active}
