"""Versions: serials grow by one, bases come round, digests chain."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.event import listen

from blocklists.database import Database
from blocklists.takedown import publishing, renewing, store, tables
from blocklists.takedown.model import Enforceability, Match
from blocklists.takedown.releasing import read_listing
from blocklists.takedown.segments import merge_apart
from blocklists.takedown.store import NewItem
from gateway import release
from gateway.errors import GenerationError
from gateway.policy.overlay import Overlay
from tests.blocklists.takedown.test_store import APPROVER, NOW, OFFICE, THIRD, VERIFIER, approved, database, letter

__all__ = ["database"]


async def test_serials_grow_and_small_segments_are_merged(database: Database, tmp_path: Path) -> None:
    """Each change is one serial and one segment more, until those on top outweigh what lies below; nothing is lost, everything counted."""
    lengths = []
    for number in range(30):
        await approved(database, letter(NewItem(f"n{number}.example", f"n{number}.example", Match.BOTH, Enforceability.YES)))
        async with database.write() as connection:
            version = await publishing.publish(connection, OFFICE, tmp_path, NOW)
            assert version is not None and (version.serial, version.entries) == (number + 1, number + 1)
            assert await publishing.current_segments(connection, OFFICE) == (version.serial, version.segments)
            lengths.append(len(version.segments))
    assert lengths[:9] == [1, 2, 3, 4, 5, 6, 7, 8, 1] and max(lengths) == 8
    assert await _bound(database, tmp_path, timedelta()) == {(f"example.n{number}.", 0) for number in range(30)}
    async with database.write() as connection:
        entry = str((await connection.execute(select(tables.entries.c.id).where(tables.entries.c.host == "n7.example"))).scalar())
        await store.move_entry(connection, OFFICE, entry, "lift", APPROVER, NOW, "mistake")
        lifted = await publishing.publish(connection, OFFICE, tmp_path, NOW)
    assert lifted is not None and (lifted.entries, lifted.removed) == (29, 1)
    assert ("example.n7.", 0) not in await _bound(database, tmp_path, timedelta())


async def test_large_segments_are_merged_beside_the_publish(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is too large to merge while somebody waits is merged by a process of its own; the same version then stands on the result."""
    monkeypatch.setattr(publishing, "INLINE_ROWS", 3)
    for number in range(10):
        await approved(database, letter(NewItem(f"n{number}.example", f"n{number}.example", Match.BOTH, Enforceability.YES)))
        async with database.write() as connection:
            await publishing.publish(connection, OFFICE, tmp_path, NOW)
    async with database.read() as connection:
        parts = await publishing.wants_merge(connection, OFFICE)
        serial, names = await publishing.current_segments(connection, OFFICE)
    assert (serial, len(names)) == (10, 10) and parts == names
    piece = merge_apart(tmp_path, parts, is_base=True)
    async with database.write() as connection:
        assert await publishing.put_merged(connection, OFFICE, parts, piece)
        assert not await publishing.put_merged(connection, OFFICE, parts, piece)
        assert await publishing.current_segments(connection, OFFICE) == (10, (piece.name,))
        listing = await read_listing(connection, OFFICE)
    assert listing is not None and listing.extra == {"made_of": {piece.name: list(parts)}}
    assert await _bound(database, tmp_path, timedelta()) == {(f"example.n{number}.", 0) for number in range(10)}
    with pytest.raises(GenerationError):
        merge_apart(tmp_path, ["0" * 64 + ".json"], is_base=True)


async def test_entry_lifted_before_its_new_dates_went_out_leaves(database: Database, tmp_path: Path) -> None:
    """Renewed, and lifted while nothing could be published: gateways have the old dates, so they are told to drop them."""
    await approved(database, letter())
    async with database.write() as connection:
        await publishing.publish(connection, OFFICE, tmp_path, NOW)
        await publishing.acknowledge(connection, OFFICE, 1, "local", NOW, NOW)
        entry = str((await connection.execute(select(tables.entries.c.id))).scalar())
        await renewing.renew_entry(connection, OFFICE, entry, NOW + timedelta(days=40), "still there", APPROVER, NOW)
        await store.move_entry(connection, OFFICE, entry, "lift", APPROVER, NOW, "mistake")
        version = await publishing.publish(connection, OFFICE, tmp_path, NOW)
    assert version is not None and (version.added, version.removed, version.entries) == (0, 1, 0)
    assert await _bound(database, tmp_path, timedelta()) == set()


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
    overlay, at = Overlay([(name, release.read_file(state_dir, name)) for name in names]), (NOW + after).timestamp()
    return {(key, coverage.value) for (key, _), (coverage, order) in overlay.entries().items() if order.is_active(at)}


async def test_publishing_never_reads_the_whole_list(database: Database, tmp_path: Path) -> None:
    """Every statement of a publish, of its receipt and of what is due finds its rows by an index on more than the tenant."""
    seen: list[tuple[str, Any]] = []
    await approved(database, letter())
    async with database.write() as connection:
        if connection.dialect.name != "sqlite":
            return  # the plan of PostgreSQL depends on its statistics
        listen(connection.sync_connection, "before_cursor_execute", lambda *event: seen.append((event[2], event[3])))
        await publishing.publish(connection, OFFICE, tmp_path, NOW)
        await publishing.acknowledge(connection, OFFICE, 1, "local", NOW, NOW)
        await store.due_to_expire(connection, OFFICE, NOW)
        asked = [one for one in seen if "takedown_entries" in one[0] and "count(" not in one[0]]
        plans = [
            str(row[3])
            for text, values in asked
            for row in (await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", tuple(values))).all()
            if "takedown_entries" in str(row[3])
        ]
    assert len(plans) >= 6
    assert [plan for plan in plans if "SCAN" in plan or plan.endswith("(tenant_id=?)")] == []
