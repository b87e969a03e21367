"""A return to an earlier version drops what came later and nothing else, revives nothing, and stands only when a second person agrees."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from blocklists.database import Database
from blocklists.tables import journal
from blocklists.takedown import publishing, returns, store, tables
from blocklists.takedown.documents import parse_symbol
from blocklists.takedown.model import Enforceability, Match
from blocklists.takedown.store import NewItem
from blocklists.takedown.workflow import TransitionRefused
from gateway import release
from gateway.policy.overlay import Overlay
from tests.blocklists.takedown.test_store import APPROVER, NOW, OFFICE, THIRD, VERIFIER, approved, database, entries, letter

__all__ = ["database"]
DAY = timedelta(days=1)


async def versions(database: Database, state_dir: Path, *names: str) -> None:
    """One version for each name."""
    for name in names:
        await approved(database, letter(NewItem(name, name, Match.BOTH, Enforceability.YES)))
        await publish(database, state_dir)


async def publish(database: Database, state_dir: Path) -> int:
    """The next version's number."""
    async with database.write() as connection:
        version = await publishing.publish(connection, OFFICE, state_dir, NOW)
    assert version is not None
    return version.serial


async def bound(database: Database, state_dir: Path) -> set[str]:
    """The names gateways block."""
    async with database.read() as connection:
        _, names = await publishing.current_segments(connection, OFFICE)
    overlay = Overlay([(name, release.read_file(state_dir, name)) for name in names])
    return {key for (key, _), (_, order) in overlay.entries().items() if order.is_active(NOW.timestamp())}


async def go_back(database: Database, serial: int) -> str:
    async with database.write() as connection:
        return await returns.go_back(connection, OFFICE, serial, "phát hành nhầm", APPROVER, NOW)


async def lift(database: Database, host: str) -> None:
    async with database.write() as connection:
        entry = await connection.execute(select(tables.entries.c.id).where(tables.entries.c.host == host))
        await store.move_entry(connection, OFFICE, str(entry.scalar()), "lift", APPROVER, NOW, "nhầm")


async def test_it_drops_what_came_later_and_revives_nothing(database: Database, tmp_path: Path) -> None:
    """Back to version two: three and four leave under a new number; what was lifted since stays out; a second person confirms."""
    await versions(database, tmp_path, "a.example", "b.example", "c.example", "d.example")
    await lift(database, "a.example")
    await publish(database, tmp_path)
    identity = await go_back(database, 2)
    assert await publish(database, tmp_path) == 6
    assert await bound(database, tmp_path) == {"example.b."}
    async with database.write() as connection:
        with pytest.raises(TransitionRefused, match="second person"):
            await returns.decide_return(connection, OFFICE, identity, "confirm", APPROVER, NOW)
        await returns.decide_return(connection, OFFICE, identity, "confirm", THIRD, NOW)
        assert await returns.lapse_returns(connection, OFFICE, NOW + 2 * DAY) == 0
        rows = await connection.execute(select(journal.c.action).where(journal.c.action == "takedown.entry.lift"))
        assert len(rows.all()) == 3
    assert await entries(database) == [
        ("a.example", "lifted"), ("b.example", "publishing"), ("c.example", "lifted"), ("d.example", "lifted"),
    ]  # fmt: skip


async def test_unconfirmed_it_undoes_itself(database: Database, tmp_path: Path) -> None:
    """Nobody agreed within a day: the entries are in force again, unless they were lifted or their end came meanwhile."""
    await versions(database, tmp_path, "a.example", "b.example", "c.example", "d.example")
    async with database.write() as connection:
        await connection.execute(update(tables.entries).where(tables.entries.c.host == "d.example").values(valid_until=NOW + DAY / 2))
    await go_back(database, 1)
    await publish(database, tmp_path)
    await lift(database, "b.example")
    async with database.write() as connection:
        assert await returns.lapse_returns(connection, OFFICE, NOW + DAY - timedelta(seconds=1)) == 0
        assert await returns.lapse_returns(connection, OFFICE, NOW + DAY) == 1
    await publish(database, tmp_path)
    assert await bound(database, tmp_path) == {"example.a.", "example.c."}


async def test_refused_it_puts_everything_back(database: Database, tmp_path: Path) -> None:
    """The second person says no; new dates published since the version do not make an entry newer than it was."""
    await versions(database, tmp_path, "a.example", "b.example")
    identity = await go_back(database, 1)
    await publish(database, tmp_path)
    assert await bound(database, tmp_path) == {"example.a."}
    async with database.write() as connection:
        await returns.decide_return(connection, OFFICE, identity, "refuse", THIRD, NOW)
    await publish(database, tmp_path)
    assert await bound(database, tmp_path) == {"example.a.", "example.b."}
    async with database.read() as connection:
        assert await returns.dropped_by(connection, OFFICE, 2) == []


@pytest.mark.parametrize("verb", ["refuse", "lapse"])
async def test_order_that_was_confirmed_meanwhile_comes_back_with_its_own_dates(database: Database, tmp_path: Path, verb: str) -> None:
    """An urgent order's entry is out when a second approver confirms the order; refused or lapsed, the return gives it back for as long as
    the order says, not for the day of the urgent road; and whoever confirmed stands beside it. It is not back before."""
    await versions(database, tmp_path, "a.example")
    urgent = letter(NewItem("b.example", "b.example", Match.BOTH, Enforceability.YES), urgent=True, symbol=parse_symbol("99/QĐ-KHAN"))
    async with database.write() as connection:
        order = await store.register(connection, OFFICE, urgent, VERIFIER, NOW)
        await store.move_order(connection, OFFICE, order, "approve_urgent", APPROVER, NOW)
    await publish(database, tmp_path)
    identity = await go_back(database, 1)
    await publish(database, tmp_path)
    async with database.write() as connection:
        await store.move_order(connection, OFFICE, order, "confirm", THIRD, NOW + DAY / 12)
    assert await entries(database) == [("a.example", "publishing"), ("b.example", "suspended")]
    async with database.write() as connection:
        if verb == "refuse":
            await returns.decide_return(connection, OFFICE, identity, "refuse", THIRD, NOW + DAY / 8)
        else:
            assert await returns.lapse_returns(connection, OFFICE, NOW + DAY) == 1
        due = await store.due_to_expire(connection, OFFICE, NOW + 2 * DAY)
        columns = (tables.entries.c.valid_until, tables.entries.c.no_end, tables.entries.c.second_by)
        row = (await connection.execute(select(*columns).where(tables.entries.c.host == "b.example"))).one()
        own = select(tables.orders.c.valid_until, tables.orders.c.no_end).where(tables.orders.c.id == order)
        wanted = (await connection.execute(own)).one()
    assert due == [], "it opens by itself, though the order stands"
    assert tuple(row) == (*wanted, THIRD.account)
    await publish(database, tmp_path)
    assert await bound(database, tmp_path) == {"example.a.", "example.b."}


async def test_what_it_refuses(database: Database, tmp_path: Path) -> None:
    """No reason, no approver, the newest version, a second return beside a waiting one; the database itself wants two persons."""
    await versions(database, tmp_path, "a.example", "b.example", "c.example")
    async with database.write() as connection:
        for serial, reason, actor in ((1, " ", APPROVER), (1, "x", VERIFIER)):
            with pytest.raises(TransitionRefused):
                await returns.go_back(connection, OFFICE, serial, reason, actor, NOW)
        with pytest.raises(store.NotFound):
            await returns.go_back(connection, OFFICE, 3, "x", APPROVER, NOW)
        identity = await returns.go_back(connection, OFFICE, 2, "x", APPROVER, NOW)
        with pytest.raises(TransitionRefused, match="waits"):
            await returns.go_back(connection, OFFICE, 1, "x", THIRD, NOW)
    with pytest.raises(IntegrityError):
        async with database.write() as connection:
            await connection.execute(update(tables.returns).where(tables.returns.c.id == identity).values(decided_by=APPROVER.account))
