"""The one door to the database: readers, and one write transaction at a time.

`async with database.read() as rows:` gives a connection that sees one consistent moment and cannot write. `async with
database.write() as rows:` gives the write transaction: it commits when the block ends, and rolls everything back when the block
raises. There is no other way to write. Statements are SQLAlchemy Core, written where they are used; differences between databases
live in `blocklists.dialects`; tables in `blocklists.tables` (shared) and `admin.tables`.

May be imported by `blocklists`, `admin` and `lachan`. The gateway has no database.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from blocklists.dialects import Dialect, dialect_of
from gateway.errors import StartError


class Database:
    """Readers and the writer of one database. Make it with `open_database`."""

    def __init__(self, dialect: Dialect, reader: AsyncEngine, writer: AsyncEngine) -> None:
        self.dialect = dialect
        self.reader = reader
        self.writer = writer
        #: What is done when a transaction that asked for it by this name (`call_after`) has committed, before its writer goes on.
        self.after_commit: dict[str, Callable[[], Awaitable[None]]] = {}

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """One consistent moment; a statement that writes raises."""
        async with self.reader.connect() as connection:
            yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """The write transaction; the next writer waits until this one has ended."""
        async with self.writer.begin() as connection:
            await self.dialect.begin_write(connection)
            connection.info.pop(_AFTER, None)  # of a transaction that was rolled back
            yield connection
            asked = connection.info.pop(_AFTER, ())
        for name in asked:
            if name in self.after_commit:
                await self.after_commit[name]()

    async def check(self) -> list[str]:
        """Damage found in the stored data, one line each; empty when all is well."""
        async with self.reader.connect() as connection:
            return await self.dialect.check(connection)

    async def copy_to(self, path: Path) -> bool:
        """A consistent copy of the whole database in a new file, while others read and write."""
        async with self.writer.connect() as connection:
            return await self.dialect.copy_to(connection, path)

    async def scrub(self) -> bool:
        """Let deleted text leave the disk now; False when a reader was in the way (try again later)."""
        async with self.writer.connect() as connection:
            return await self.dialect.scrub(connection)

    async def take_over(self, path: Path) -> None:
        """Put the content of a SQLite file in the place of this database's, at once, while others read."""
        async with self.writer.connect() as connection:
            await self.dialect.take_over(connection, path)

    async def close(self) -> None:
        """Let go of every connection."""
        await self.reader.dispose()
        await self.writer.dispose()


#: Under this name of a connection stands what is to be done after its transaction.
_AFTER = "lachan.after"


def call_after(connection: AsyncConnection, name: str) -> None:
    """Ask, inside a write transaction, that `Database.after_commit` does something once it has committed."""
    connection.info.setdefault(_AFTER, set()).add(name)


#: How SQLite says that a file is damaged so far that not even the check can read it.
_DAMAGED = ("malformed", "not a database")


def _damaged(url: URL, what: str) -> StartError:
    return StartError(
        f"admin.database: {url.render_as_string()} is damaged ({what}); names keep resolving by the last good policy; move the file away, "
        "then put the newest backup back (lachan restore FILE) or start anew"
    )


async def open_database(address: str) -> Database:
    """Open the database and look for damage first. Raises StartError with the remedy; a damaged file is never written to."""
    try:
        url = make_url(address)
    except ArgumentError as error:
        raise StartError("admin.database: not a database address (for example sqlite+aiosqlite:///var/lachan.db)") from error
    dialect = dialect_of(url)
    database = Database(dialect, dialect.reader(url), dialect.writer(url))
    try:
        # The writer connects first: a new SQLite file is put into WAL mode, which a reader may not do.
        async with database.writer.connect():
            pass
        damage = await database.check()
    except SQLAlchemyError as error:
        await database.close()
        reason = str(error.__cause__ or error).splitlines()[0]
        if any(words in reason for words in _DAMAGED):
            raise _damaged(url, reason) from error
        raise StartError(f"admin.database: {url.render_as_string()} cannot be used: {reason}") from error
    except OSError as error:  # the server of a PostgreSQL is not there, or has no such name
        await database.close()
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise StartError(f"admin.database: {url.render_as_string()} cannot be reached ({reason}): start it, or mend its address") from error
    if damage:
        await database.close()
        raise _damaged(url, damage[0])
    return database
