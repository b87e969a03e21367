"""What SQLite and PostgreSQL do differently, in one place.

The rest of the code never asks which database it has: it talks to a `Dialect`. Used by `blocklists.database` and by the migrations.

SQLite: WAL, synchronous FULL (a change that was confirmed survives a power cut), foreign keys on, untrusted schemas refused, deleted text
overwritten (`secure_delete`), readers that cannot write (`query_only`), a write transaction that takes its lock at once (BEGIN IMMEDIATE).
PostgreSQL: read-only transactions for readers, one advisory lock for writers, so that the journal's chain has one order.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Any, Protocol

import aiosqlite
from sqlalchemy import event, text
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from blocklists.sqlitelink import LinkConnection, connect_link
from gateway.errors import StartError

#: Seconds a writer waits for another process (a command beside the running program) before it gives up.
BUSY_SECONDS = 10
READERS = 3
#: Statements whose text is kept once it was made; there are some six hundred different ones.
STATEMENTS = 1500
#: The one key of the advisory lock that orders writers on PostgreSQL; any constant number serves.
WRITE_LOCK = 0x1AC4A


#: How long writing a table anew may wait for those who use it.
SCRUB_LOCK_SECONDS = 5
_OTHERS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND backend_xmin IS NOT NULL AND backend_type = 'client backend'"
)
_WORDY = (
    "SELECT quote_ident(relname) FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
    " AND relname <> 'journal' AND relname NOT LIKE 'takedown%' ORDER BY relname"
)


class Dialect(Protocol):
    """The differences between databases that this product meets."""

    def reader(self, url: URL) -> AsyncEngine:
        """An engine whose transactions can only read."""
        ...

    def writer(self, url: URL) -> AsyncEngine:
        """An engine whose transactions write one after the other."""
        ...

    async def begin_write(self, connection: AsyncConnection) -> None:
        """Called first in every write transaction: take the one write lock."""
        ...

    async def check(self, connection: AsyncConnection) -> list[str]:
        """Damage found in the stored data; empty when all is well."""
        ...

    async def copy_to(self, connection: AsyncConnection, path: Path) -> bool:
        """Write a consistent copy of the whole database to a new file; False where the database's own tools do that."""
        ...

    async def scrub(self, connection: AsyncConnection) -> bool:
        """Let deleted text leave the disk, too; False while somebody still reads an older moment."""
        ...

    async def take_over(self, connection: AsyncConnection, path: Path) -> None:
        """Put the content of a SQLite file in the place of everything, in one piece. Only where `copy_to` works."""
        ...


def dialect_of(url: URL) -> Dialect:
    """The dialect for a database address. Raises StartError for a database this product does not know."""
    if url.drivername == "sqlite+aiosqlite":
        return SqliteDialect()
    if url.drivername == "postgresql+asyncpg":
        return PostgresqlDialect()
    raise StartError(f"admin.database: {url.drivername} is not a database lachan can use (sqlite+aiosqlite or postgresql+asyncpg)")


def append_only(dialect_name: str, table: str) -> list[str]:
    """Statements after which the database itself refuses to change or remove rows of a table (used by migrations)."""
    if dialect_name == "sqlite":
        return [
            f"CREATE TRIGGER {table}_keeps_{act.lower()} BEFORE {act} ON {table} BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            for act in ("UPDATE", "DELETE")
        ]
    return [
        f"CREATE FUNCTION {table}_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{table} is append-only'; END $$",
        f"CREATE TRIGGER {table}_keeps BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} EXECUTE FUNCTION {table}_is_append_only()",
    ]


class SqliteDialect:
    """The embedded default: one file, any number of readers, one writer at a time."""

    def reader(self, url: URL) -> AsyncEngine:
        return self._engine(url, readers=READERS, query_only=True, begin="BEGIN")

    def writer(self, url: URL) -> AsyncEngine:
        return self._engine(url, readers=1, query_only=False, begin="BEGIN IMMEDIATE")

    async def begin_write(self, connection: AsyncConnection) -> None:
        """Nothing to do: BEGIN IMMEDIATE already holds the lock."""

    async def check(self, connection: AsyncConnection) -> list[str]:
        found = [str(row[0]) for row in await connection.execute(text("PRAGMA integrity_check(20)"))]
        damage = [line for line in found if line != "ok"]
        orphans = (await connection.execute(text("PRAGMA foreign_key_check"))).all()
        return damage + [f"{row[0]}: a row points to {row[2]} that is not there" for row in orphans[:20]]

    async def copy_to(self, connection: AsyncConnection, path: Path) -> bool:
        # VACUUM cannot run inside a transaction; SQLAlchemy has opened one, which holds nothing yet.
        raw = await connection.get_raw_connection()
        driver: Any = raw.driver_connection  # the aiosqlite connection; its type is not exported by SQLAlchemy
        await driver.rollback()
        # SQLite fills an empty file that is already there; so the copy is private before its first byte.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        try:
            await driver.execute("VACUUM INTO ?", (str(path),))
        except sqlite3.Error:
            os.unlink(path)  # half a copy is none
            raise
        return True

    async def scrub(self, connection: AsyncConnection) -> bool:
        # `secure_delete` has overwritten the pages; what the write-ahead log still holds goes with the log.
        raw = await connection.get_raw_connection()
        driver: Any = raw.driver_connection
        await driver.rollback()
        async with driver.execute("PRAGMA wal_checkpoint(TRUNCATE)") as cursor:
            busy, _, _ = await cursor.fetchone()
        return not busy

    async def take_over(self, connection: AsyncConnection, path: Path) -> None:
        raw = await connection.get_raw_connection()
        driver: Any = raw.driver_connection
        await driver.rollback()
        # SQLite's own online backup, the other way round: readers see the old content or the new, never a mixture.
        async with aiosqlite.connect(path) as source:
            await source.backup(driver)

    def _engine(self, url: URL, *, readers: int, query_only: bool, begin: str) -> AsyncEngine:
        if url.database:
            self._make_private(Path(url.database))
        engine = create_async_engine(
            url,
            poolclass=AsyncAdaptedQueuePool,
            pool_size=readers,
            max_overflow=0,
            pool_timeout=30,
            hide_parameters=True,  # an error in the log names no word that people wrote, no address and no hash
            # None: the driver opens no transaction by itself; the BEGIN below is the only one.
            connect_args={"isolation_level": None, "timeout": BUSY_SECONDS, "async_creator_fn": connect_link},
            query_cache_size=STATEMENTS,
        )

        def on_connect(dbapi_connection: Any, record: object) -> None:  # the driver's own connection type
            cursor = dbapi_connection.cursor()
            for pragma in (
                "journal_mode=WAL",
                "synchronous=FULL",
                "foreign_keys=ON",
                "trusted_schema=OFF",
                "cell_size_check=ON",
                "secure_delete=ON",
                f"busy_timeout={BUSY_SECONDS * 1000}",
                "cache_size=-4000",
                f"query_only={'ON' if query_only else 'OFF'}",
            ):
                cursor.execute(f"PRAGMA {pragma}")
            cursor.close()

        def on_begin(connection: Connection) -> None:
            link = connection.connection.driver_connection
            if query_only and isinstance(link, LinkConnection):
                link.begin_with = begin
            else:
                connection.exec_driver_sql(begin)

        event.listen(engine.sync_engine, "connect", on_connect)
        event.listen(engine.sync_engine, "begin", on_begin)
        return engine

    def _make_private(self, path: Path) -> None:
        """The file holds people's words and password hashes: only its owner may read it. WAL files inherit its mode."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise StartError(
                f"admin.database: {path} cannot be opened ({error.strerror}); give the program's user the right to write there"
            ) from error


class PostgresqlDialect:
    """The database for a province: many readers, writers put in one order by an advisory lock."""

    def reader(self, url: URL) -> AsyncEngine:
        options = {"postgresql_readonly": True, "isolation_level": "REPEATABLE READ"}
        return create_async_engine(url, pool_size=READERS * 2, execution_options=options, hide_parameters=True)

    def writer(self, url: URL) -> AsyncEngine:
        return create_async_engine(url, pool_size=2, max_overflow=0, hide_parameters=True)

    async def begin_write(self, connection: AsyncConnection) -> None:
        await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": WRITE_LOCK})

    async def check(self, connection: AsyncConnection) -> list[str]:
        """PostgreSQL checks its pages itself (data checksums)."""
        await connection.execute(text("SELECT 1"))
        return []

    async def copy_to(self, connection: AsyncConnection, path: Path) -> bool:
        return False

    async def scrub(self, connection: AsyncConnection) -> bool:
        """Write every table anew that holds words about people, and let the old files go. The journal and published lists hold none. While
        somebody reads an older moment its rows would be kept, so that is tried again. What the write-ahead log still holds goes when the
        server has written over it: it recycles its segments, and archives of the log are the administrator's."""
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        if (await connection.execute(text(_OTHERS))).scalar_one():
            return False
        await connection.execute(text(f"SET lock_timeout = '{SCRUB_LOCK_SECONDS}s'"))
        try:
            for table in (await connection.execute(text(_WORDY))).scalars().all():
                await connection.execute(text(f"VACUUM FULL {table}"))
        except DBAPIError:
            return False
        finally:
            await connection.execute(text("RESET lock_timeout"))
        with contextlib.suppress(DBAPIError):  # only some roles may (pg_checkpoint); the server's own comes within minutes
            await connection.execute(text("CHECKPOINT"))
        return True

    async def take_over(self, connection: AsyncConnection, path: Path) -> None:
        raise StartError("admin.database: PostgreSQL is restored by its own tools: pg_restore --clean --dbname=DATABASE lachan.dump")
