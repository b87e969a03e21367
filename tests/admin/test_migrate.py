"""The program brings its database to the right schema by itself, keeps a copy, and refuses a database from the future."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
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
    assert await migrate(database, tmp_path) == 0
    assert await migrate(database, tmp_path) == SCHEMA_NUMBER
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
    assert await migrate(database, tmp_path) == SCHEMA_NUMBER
    (copy,) = list_copies(tmp_path)
    assert copy.stat().st_mode & 0o077 == 0
    opened = await open_database(f"sqlite+aiosqlite:///{copy}")
    async with opened.read() as connection:
        assert (await connection.execute(text("SELECT number FROM schema_marks"))).scalar_one() == SCHEMA_NUMBER
    await opened.close()


async def test_a_change_that_never_goes_through_leaves_one_copy(tmp_path: Path) -> None:
    """It is tried again for ever, and the disk does not fill: the one copy is of the newest state, and the database is as it was."""
    database = await open_database(f"sqlite+aiosqlite:///{tmp_path / 'old.db'}")
    async with database.write() as connection:
        await connection.run_sync(upgrade, "0022")
        await connection.execute(text("CREATE TABLE school_moves (x)"))  # as after a half-restored file: schema 23 makes it
        await connection.execute(text("CREATE TABLE tries (x)"))
    for count in (1, 2, 3):
        async with database.write() as connection:
            await connection.execute(text("INSERT INTO tries VALUES (1)"))
        with pytest.raises(DBAPIError):
            await migrate(database, tmp_path)
        (name,) = [name for name in os.listdir(tmp_path) if "old.db" not in name]
        assert name == f"lachan-before-schema-{SCHEMA_NUMBER}.db"
        with contextlib.closing(sqlite3.connect(tmp_path / name)) as opened:
            assert opened.execute("SELECT number, (SELECT count(*) FROM tries) FROM schema_marks").fetchall() == [(22, count)]
    async with database.read() as connection:
        assert (await connection.execute(text("SELECT number FROM schema_marks"))).scalar_one() == 22
    await database.close()


SMALL_DISK = """
import asyncio, contextlib, os, sqlite3, sys
from pathlib import Path
from admin.migrate import migrate, upgrade
from blocklists.database import open_database
from gateway.errors import StartError

async def main(disk):
    database = await open_database(f"sqlite+aiosqlite:///{disk / 'old.db'}")
    async with database.write() as connection:
        await connection.run_sync(upgrade, "0022")
    free = os.statvfs(disk)
    (disk / "filler").write_bytes(b"x" * (free.f_bavail * free.f_frsize - 200_000))
    for _ in range(3):
        try:
            await migrate(database, disk)
        except StartError as error:
            print(error)
    await database.close()
    print(*sorted(path.name for path in disk.iterdir()))

asyncio.run(main(Path(sys.argv[1])))
"""


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="needs root and unshare")
def test_without_room_for_the_copy_nothing_is_changed_and_nothing_left(tmp_path: Path) -> None:
    """The way back comes first: the remedy is said, and no empty file stays where a copy was meant to be."""
    words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", 'mount -t tmpfs -o size=8m tmpfs "$0" && exec "$@"']
    words += [str(tmp_path), sys.executable, "-c", SMALL_DISK, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    *said, left = done.stdout.splitlines()
    assert len(said) == 3 and all("make room" in line and f"schema-{SCHEMA_NUMBER}.db" in line for line in said), done.stdout
    assert left in ("filler old.db", "filler old.db old.db-shm old.db-wal")


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
        await migrate(database, tmp_path)


async def test_migrate_accepts_a_newer_database_that_still_knows_this_code(database: Database, tmp_path: Path, now: datetime) -> None:
    """Going back one version works where the newer schema says it may."""
    async with database.write() as connection:
        await connection.execute(text("UPDATE schema_marks SET number = 900, oldest_code = 1"))
    assert await migrate(database, tmp_path) == 900
