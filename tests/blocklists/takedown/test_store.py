"""Orders and entries in a real database: the road from a document to a published version and back, and what the database refuses."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import IntegrityError

from blocklists import journal
from blocklists.database import Database, open_database
from blocklists.tables import accounts, metadata, organisations
from blocklists.takedown import publishing, store, tables
from blocklists.takedown.documents import parse_symbol
from blocklists.takedown.model import SYSTEM, Actor, Capacity, Enforceability, Match, State
from blocklists.takedown.store import NewItem, NewOrder, NotFound, Office
from blocklists.takedown.workflow import TransitionRefused

NOW = datetime(2026, 9, 1, 3, tzinfo=UTC)
VERIFIER = Actor("one", Capacity.VERIFIER)
APPROVER = Actor("two", Capacity.APPROVER)
THIRD = Actor("three", Capacity.APPROVER)
OFFICE = Office("office", lambda content: hashlib.sha256(content.encode()).hexdigest())


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.full)])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """A new database of each kind with an office and three officers."""
    is_sqlite = request.param == "sqlite"
    address = f"sqlite+aiosqlite:///{tmp_path}/test.db" if is_sqlite else await request.getfixturevalue("postgres").fresh(NOW)
    database = await open_database(address)
    async with database.write() as connection:
        if is_sqlite:
            await connection.run_sync(metadata.create_all)
        for tenant in ("office", "other"):
            await connection.execute(insert(organisations).values(id=tenant, kind="office", name=tenant, valid_from=NOW))
        for person in ("one", "two", "three"):
            values = {"id": person, "sign_in": person, "name": person, "password_hash": "-", "password_set_at": NOW, "created_at": NOW}
            await connection.execute(insert(accounts).values(**values))
    yield database
    await database.close()


def letter(*items: NewItem, **changes: object) -> NewOrder:
    """A numbered document about these rows, in force for thirty days."""
    values: dict[str, object] = {
        "symbol": parse_symbol("12/QĐ-STTTT"),
        "issuer": "Sở Thông tin và Truyền thông",
        "valid_from": NOW,
        "valid_until": NOW + timedelta(days=30),
        "items": items or (NewItem("bad.example", "bad.example", Match.BOTH, Enforceability.YES),),
    }
    return NewOrder(**(values | changes))  # type: ignore[arg-type]


async def approved(database: Database, order: NewOrder) -> str:
    """Take an order down the ordinary road."""
    async with database.write() as connection:
        order_id = await store.register(connection, OFFICE, order, VERIFIER, NOW)
        await store.move_order(connection, OFFICE, order_id, "verify", VERIFIER, NOW)
        await store.move_order(connection, OFFICE, order_id, "approve", APPROVER, NOW)
    return order_id


async def entries(database: Database) -> list[tuple[str, str]]:
    """Host and state of every entry."""
    async with database.read() as connection:
        rows = await connection.execute(select(tables.entries.c.host, tables.entries.c.state).order_by(tables.entries.c.host))
        return [(row.host, row.state) for row in rows]


async def test_approved_order_becomes_entries_and_a_version(database: Database, tmp_path: Path) -> None:
    """An approved order is published as serial 1, and its receipt makes the entry active."""
    await approved(database, letter())
    async with database.write() as connection:
        version = await publishing.publish(connection, OFFICE, tmp_path, NOW)
    assert version is not None
    assert (version.serial, version.added, version.removed, version.entries) == (1, 1, 0, 1)
    segment = json.loads((tmp_path / "files" / version.segments[-1]).read_text())
    assert segment["entries"] == [["example.bad.", 0, 0]]
    assert segment["orders"][0]["number"] == "12/QĐ-STTTT"
    async with database.write() as connection:
        assert await publishing.acknowledge(connection, OFFICE, 1, "local", NOW, NOW) == 1
        assert await publishing.publish(connection, OFFICE, tmp_path, NOW) is None
    assert await entries(database) == [("bad.example", "active")]


async def test_lifted_entry_leaves_by_a_small_version(database: Database, tmp_path: Path) -> None:
    """Lifting is published as a difference that names the entry, not as the whole list."""
    await approved(database, letter(*(NewItem(f"n{n}.example", f"n{n}.example", Match.BOTH, Enforceability.YES) for n in range(50))))
    async with database.write() as connection:
        first = await publishing.publish(connection, OFFICE, tmp_path, NOW)
        await publishing.acknowledge(connection, OFFICE, 1, "local", NOW, NOW)
        entry = (await connection.execute(select(tables.entries.c.id).where(tables.entries.c.host == "n7.example"))).scalar_one()
        await store.move_entry(connection, OFFICE, entry, "lift", THIRD, NOW, "đổi chủ")
        second = await publishing.publish(connection, OFFICE, tmp_path, NOW)
    assert first is not None
    assert second is not None
    assert second.segments[0] == first.segments[0]
    segment = json.loads((tmp_path / "files" / second.segments[-1]).read_text())
    assert (segment["entries"], [row[0] for row in segment["lifted"]]) == ([], ["example.n7."])
    assert second.entries == 49


async def test_rows_that_need_a_decision_hold_the_order(database: Database) -> None:
    """A page of a small site is blocked as a whole only when a person says so and why."""
    order = letter(NewItem("small.example", "small.example", Match.BOTH, Enforceability.ASK, "url_path"))
    async with database.write() as connection:
        order_id = await store.register(connection, OFFICE, order, VERIFIER, NOW)
        with pytest.raises(TransitionRefused) as refused:
            await store.move_order(connection, OFFICE, order_id, "verify", VERIFIER, NOW)
        assert refused.value.code == "items_open"
        item = (await store.item_rows(connection, OFFICE, order_id))[0]["id"]
        with pytest.raises(TransitionRefused):
            await store.decide_item(connection, OFFICE, item, "block", "", VERIFIER, NOW)
        await store.decide_item(connection, OFFICE, item, "leave", "", VERIFIER, NOW)
        await store.move_order(connection, OFFICE, order_id, "verify", VERIFIER, NOW)
        await store.move_order(connection, OFFICE, order_id, "approve", APPROVER, NOW)
    assert await entries(database) == []


async def test_not_enforceable_rows_never_become_entries(database: Database) -> None:
    """Addresses and platforms are kept as rows and block nothing."""
    await approved(
        database,
        letter(
            NewItem("bad.example", "bad.example", Match.BOTH, Enforceability.YES),
            NewItem("203.0.113.9", None, Match.BOTH, Enforceability.IP_ONLY),
            NewItem("", None, Match.BOTH, Enforceability.SHARED_PLATFORM, platform="facebook.com"),
        ),
    )
    assert await entries(database) == [("bad.example", "publishing")]


async def test_urgent_order_lives_a_day_until_confirmed(database: Database) -> None:
    """The urgent road enforces at once for a day; a second approver gives it the order's own end."""
    async with database.write() as connection:
        order_id = await store.register(connection, OFFICE, letter(urgent=True), VERIFIER, NOW)
        await store.move_order(connection, OFFICE, order_id, "approve_urgent", APPROVER, NOW)
        row = (await connection.execute(select(tables.entries))).mappings().one()
        assert row["valid_until"] == NOW + timedelta(hours=24)
        with pytest.raises(TransitionRefused):
            await store.move_order(connection, OFFICE, order_id, "confirm", APPROVER, NOW)
        await store.move_order(connection, OFFICE, order_id, "confirm", THIRD, NOW)
        row = (await connection.execute(select(tables.entries))).mappings().one()
        assert row["valid_until"] == NOW + timedelta(days=30)


async def test_entries_expire_by_themselves(database: Database) -> None:
    """At its end an entry is due, and the clock may end it."""
    await approved(database, letter())
    later = NOW + timedelta(days=30)
    async with database.write() as connection:
        assert await store.due_to_expire(connection, OFFICE, later - timedelta(seconds=1)) == []
        (due,) = await store.due_to_expire(connection, OFFICE, later)
        event = await store.move_entry(connection, OFFICE, due, "expire", SYSTEM, later)
    assert event.after is State.EXPIRED


async def test_the_database_itself_refuses_one_person_in_two_roles(database: Database) -> None:
    """Even a statement that goes round the workflow cannot make one person verify and approve."""
    order_id = await approved(database, letter())
    with pytest.raises(IntegrityError):
        async with database.write() as connection:
            await connection.execute(update(tables.orders).where(tables.orders.c.id == order_id).values(approved_by="one"))
    with pytest.raises(IntegrityError):
        async with database.write() as connection:
            await connection.execute(update(tables.entries).values(verified_by="two"))


async def test_another_office_sees_nothing(database: Database) -> None:
    """An order of one office does not exist for another."""
    order_id = await approved(database, letter())
    other = Office("other", OFFICE.digest)
    async with database.write() as connection:
        with pytest.raises(NotFound):
            await store.order_row(connection, other, order_id)
        with pytest.raises(NotFound):
            await store.move_order(connection, other, order_id, "close", APPROVER, NOW)


async def test_every_step_is_in_the_journal_without_a_host(database: Database) -> None:
    """The chain holds each step, verifies, and names no host."""
    await approved(database, letter())
    async with database.read() as connection:
        finding = await journal.verify(connection)
        rows = (await connection.execute(text("SELECT action, before_digest, after_digest, object_id FROM journal ORDER BY seq"))).all()
    assert finding.first_bad is None
    assert [row.action for row in rows] == ["takedown.order.register", "takedown.order.verify", "takedown.order.approve"]
    assert "bad.example" not in repr(rows)
