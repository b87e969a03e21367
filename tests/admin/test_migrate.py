"""The program brings its database to the right schema by itself, keeps a copy, and refuses a database from the future."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError

from admin.familytables import recovery_sheets
from admin.migrate import MIGRATIONS, SCHEMA_NUMBER, migrate, upgrade
from admin.recovery import uses_pin
from blocklists.database import Database, open_database
from blocklists.journal import Entry, append
from blocklists.tables import AccountId, accounts, metadata
from gateway.errors import StartError


async def test_migrate_an_empty_file_gives_the_expected_schema(tmp_path: Path, now: datetime) -> None:
    """A first start makes the whole schema; a second start finds nothing to do."""
    database = await open_database(f"sqlite+aiosqlite:///{tmp_path / 'new.db'}")
    assert await migrate(database, tmp_path, now) == 0
    assert await migrate(database, tmp_path, now) == SCHEMA_NUMBER
    await database.close()


async def test_migrations_and_tables_describe_the_same_schema(database: Database) -> None:
    """A table changed in code without a migration is found here, not on a school's machine."""
    async with database.read() as connection:
        differences = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync, opts={"compare_type": True}), metadata)
        )
    assert differences == []


@pytest.mark.parametrize("statement", ["UPDATE journal SET action = 'x'", "DELETE FROM journal"])
async def test_journal_of_the_schema_refuses_changes(database: Database, now: datetime, statement: str) -> None:
    """The database itself keeps the journal, whatever the code tries."""
    async with database.write() as connection:
        await append(connection, Entry(now, None, None, "machine", "test", "test", "x"))
    with pytest.raises(DBAPIError, match="append-only"):
        async with database.write() as connection:
            await connection.execute(text(statement))


async def test_newest_migration_carries_the_schema_number() -> None:
    """The number in code and the newest file never drift apart."""
    newest = max(path.name for path in (MIGRATIONS / "versions").glob("*.py"))
    assert f"{SCHEMA_NUMBER:04}" == newest[:4]


def list_copies(folder: Path) -> list[Path]:
    return list(folder.glob("lachan-before-schema-*.db"))


async def test_migrate_an_older_database_leaves_a_copy_beside_it(
    database: Database, tmp_path: Path, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before an existing database is changed, the way back exists as a private file."""
    monkeypatch.setattr("admin.migrate.SCHEMA_NUMBER", SCHEMA_NUMBER + 1)
    assert await migrate(database, tmp_path, now) == SCHEMA_NUMBER
    (copy,) = list_copies(tmp_path)
    assert copy.stat().st_mode & 0o077 == 0
    opened = await open_database(f"sqlite+aiosqlite:///{copy}")
    async with opened.read() as connection:
        assert (await connection.execute(text("SELECT number FROM schema_marks"))).scalar_one() == SCHEMA_NUMBER
    await opened.close()


async def test_pins_and_sheets_of_before_stay_what_they_were(tmp_path: Path, now: datetime) -> None:
    """Schema 22 tells accounts with a PIN from accounts with a sheet: whoever had a row before signs in with a PIN, with the same sheet."""
    database = await open_database(f"sqlite+aiosqlite:///{tmp_path / 'old.db'}")
    async with database.write() as connection:
        await connection.run_sync(upgrade, "0021")
        account = AccountId("a" * 24)
        values = {
            "id": account,
            "sign_in": "me",
            "name": "me",
            "password_hash": "x",
            "locale": "vi",
            "created_at": now,
            "password_set_at": now,
        }
        await connection.execute(insert(accounts).values(values))
        await connection.execute(
            text("INSERT INTO recovery_sheets (account_id, secret_hash) VALUES (:a, :h)"), {"a": account, "h": b"h" * 32}
        )
        await connection.run_sync(upgrade)
        assert await uses_pin(connection, account)
        assert (await connection.execute(select(recovery_sheets.c.secret_hash))).scalar_one() == b"h" * 32
    await database.close()


async def test_migrate_refuses_a_database_that_is_too_new(database: Database, tmp_path: Path, now: datetime) -> None:
    """Old code does not spoil a newer database: it says so and stops."""
    async with database.write() as connection:
        await connection.execute(text("UPDATE schema_marks SET number = 900, oldest_code = 900"))
    with pytest.raises(StartError, match="newer lachan"):
        await migrate(database, tmp_path, now)


async def test_migrate_accepts_a_newer_database_that_still_knows_this_code(database: Database, tmp_path: Path, now: datetime) -> None:
    """Going back one version works where the newer schema says it may."""
    async with database.write() as connection:
        await connection.execute(text("UPDATE schema_marks SET number = 900, oldest_code = 1"))
    assert await migrate(database, tmp_path, now) == 900
