"""One trip to the database's thread for each statement, and nothing of what SQLAlchemy expects is lost by it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, Text, insert, select, update
from sqlalchemy.exc import IntegrityError, OperationalError

from blocklists.database import Database, open_database
from blocklists.sqlitelink import LinkConnection

things = Table(
    "things", MetaData(), Column("id", Integer, primary_key=True), Column("label", Text, unique=True), Column("body", LargeBinary)
)


@pytest.fixture
async def database(tmp_path: Path):  # type: ignore[no-untyped-def]  # pytest's own shape
    """A small SQLite file."""
    opened = await open_database(f"sqlite+aiosqlite:///{tmp_path}/small.db")
    async with opened.write() as connection:
        await connection.run_sync(things.metadata.create_all)
        await connection.execute(insert(things), [{"id": number, "label": f"n{number}", "body": bytes([number])} for number in range(5)])
    yield opened
    await opened.close()


async def link_of(database: Database) -> LinkConnection:
    """The connection that readers have, when no other is in use."""
    async with database.read() as connection:
        raw = await connection.get_raw_connection()
        assert isinstance(raw.driver_connection, LinkConnection)
        return raw.driver_connection


async def test_rows_counts_and_ids_come_back(database: Database) -> None:
    """Rows, types, the number of changed rows, new ids, and RETURNING."""
    async with database.write() as connection:
        assert (await connection.execute(update(things).where(things.c.id > 2).values(body=b"x"))).rowcount == 2
        assert (await connection.execute(insert(things).values(label="new"))).inserted_primary_key == (5,)
        again = await connection.execute(update(things).where(things.c.id == 5).values(body=b"y").returning(things.c.label))
        assert again.scalar_one() == "new"
    async with database.read() as connection:
        rows = (await connection.execute(select(things.c.id, things.c.body).order_by(things.c.id))).all()
    assert [tuple(row) for row in rows] == [(0, b"\0"), (1, b"\1"), (2, b"\2"), (3, b"x"), (4, b"x"), (5, b"y")]


async def test_a_statement_is_one_trip_and_begin_travels_along(database: Database) -> None:
    """Three statements of a reader and the end of its transaction are four trips; a reader who asked nothing makes none."""
    link = await link_of(database)
    trips: list[object] = []
    put = link._tx.put_nowait

    class Counted:
        def put_nowait(self, item: object) -> None:
            trips.append(item)
            put(item)  # type: ignore[arg-type]  # what aiosqlite puts

    link._tx = Counted()  # type: ignore[assignment]  # counts, and passes on
    async with database.read() as connection:
        for _ in range(3):
            await connection.execute(select(things))
    assert len(trips) == 4
    async with database.read():
        pass
    assert len(trips) == 4


async def test_a_reader_sees_one_moment(database: Database) -> None:
    """What is written between two statements of a reader is not seen by the second."""
    async with database.read() as connection:
        assert len((await connection.execute(select(things))).all()) == 5
        async with database.write() as writer:
            await writer.execute(insert(things).values(label="later"))
        assert len((await connection.execute(select(things))).all()) == 5
    async with database.read() as connection:
        assert len((await connection.execute(select(things))).all()) == 6


async def test_errors_keep_their_kind_and_roll_back(database: Database) -> None:
    """A broken rule, a reader who writes, a writer who was cancelled: nothing of it is stored, and the connection goes on."""
    with pytest.raises(IntegrityError):
        async with database.write() as connection:
            await connection.execute(insert(things).values(label="half"))
            await connection.execute(insert(things).values(label="n1"))
    with pytest.raises(OperationalError, match="readonly"):
        async with database.read() as connection:
            await connection.execute(insert(things).values(label="by a reader"))

    async def slow() -> None:
        async with database.write() as connection:
            await connection.execute(insert(things).values(label="cancelled"))
            await asyncio.sleep(30)

    task = asyncio.create_task(slow())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with database.read() as connection:
        assert sorted((await connection.execute(select(things.c.label))).scalars()) == [f"n{number}" for number in range(5)]
