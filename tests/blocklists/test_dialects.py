"""What each database is told, so that nothing is lost in a power cut and nothing private stays readable."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from blocklists.database import open_database
from blocklists.dialects import PostgresqlDialect, SqliteDialect, append_only, dialect_of
from gateway.errors import StartError


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        ("journal_mode", "wal"),
        ("synchronous", 2),
        ("foreign_keys", 1),
        ("trusted_schema", 0),
        ("secure_delete", 1),
        ("busy_timeout", 10000),
    ],
)
async def test_sqlite_connections_are_set_for_safety(tmp_path: Path, pragma: str, value: object) -> None:
    """Readers and the writer alike: WAL, full sync, foreign keys, no trusted schema, deleted text overwritten."""
    database = await open_database(f"sqlite+aiosqlite:///{tmp_path / 'x.db'}")
    async with database.read() as reader:
        assert (await reader.execute(text(f"PRAGMA {pragma}"))).scalar_one() == value
    async with database.write() as writer:
        assert (await writer.execute(text(f"PRAGMA {pragma}"))).scalar_one() == value
    await database.close()


async def test_sqlite_files_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    """Another user of the machine cannot read the family's words, not even in the write-ahead log."""
    database = await open_database(f"sqlite+aiosqlite:///{tmp_path / 'deep' / 'x.db'}")
    async with database.write() as writer:
        await writer.execute(text("CREATE TABLE t (n INTEGER)"))
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "deep").iterdir()}
    await database.close()
    assert {"x.db", "x.db-wal", "x.db-shm"} == set(modes)
    assert {0o600} == set(modes.values())


async def test_errors_do_not_repeat_what_was_to_be_stored(tmp_path: Path) -> None:
    """A statement that fails lands in the log: without the words, hosts and hashes that came with it."""
    database = await open_database(f"sqlite+aiosqlite:///{tmp_path / 'x.db'}")
    for open_connection in (database.read, database.write):
        with pytest.raises(DBAPIError) as caught:
            async with open_connection() as connection:
                await connection.execute(text("INSERT INTO nowhere VALUES (:word)"), {"word": "what a child wrote"})
        assert "what a child wrote" not in str(caught.value)
    await database.close()
    postgresql = PostgresqlDialect()
    url = make_url("postgresql+asyncpg://localhost/none")
    assert postgresql.reader(url).sync_engine.hide_parameters and postgresql.writer(url).sync_engine.hide_parameters


async def test_append_only_table_refuses_changes(tmp_path: Path) -> None:
    """The database itself keeps rows of an append-only table, whatever the code tries."""
    database = await open_database(f"sqlite+aiosqlite:///{tmp_path / 'x.db'}")
    async with database.write() as writer:
        await writer.execute(text("CREATE TABLE kept (n INTEGER)"))
        for statement in append_only("sqlite", "kept"):
            await writer.execute(text(statement))
        await writer.execute(text("INSERT INTO kept VALUES (1)"))
    for statement in ("UPDATE kept SET n = 2", "DELETE FROM kept"):
        with pytest.raises(DBAPIError, match="append-only"):
            async with database.write() as writer:
                await writer.execute(text(statement))
    await database.close()


async def test_sqlite_path_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    """A state directory that is a file: the remedy, not a traceback."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match="cannot be opened"):
        await open_database(f"sqlite+aiosqlite:///{tmp_path / 'file' / 'x.db'}")


def test_dialect_of_knows_two_databases() -> None:
    """The driver in the address chooses the dialect; anything else is refused."""
    assert isinstance(dialect_of(make_url("sqlite+aiosqlite:///x.db")), SqliteDialect)
    assert isinstance(dialect_of(make_url("postgresql+asyncpg://localhost/lachan")), PostgresqlDialect)
    with pytest.raises(StartError):
        dialect_of(make_url("mysql+aiomysql://localhost/lachan"))
