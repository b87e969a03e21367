"""One trip to the database's thread for each statement: connections of aiosqlite whose cursors run a statement and read its rows at once.

aiosqlite keeps a thread for each connection, and as it comes makes four trips there for every statement (open a cursor, execute, fetch,
close); a page of twenty statements then changes threads some hundred times, which costs more than the statements and far more on a busy
machine. The rows are wanted anyway, so they come back with the first trip. A reader's BEGIN, which in SQLite only takes effect with the
first statement, travels with that statement.

Used by `blocklists.dialects` only.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Self

import aiosqlite

Row = Any  # a row of any shape
Parameters = Any  # what sqlite3 binds: a tuple or a mapping


def connect_link(database: str, **options: Any) -> aiosqlite.Connection:  # Any: options of sqlite3.connect
    """What SQLAlchemy awaits for a new connection (`async_creator_fn`)."""

    def connector() -> sqlite3.Connection:
        opened: sqlite3.Connection = sqlite3.connect(database, **options)
        return opened

    link = LinkConnection(connector, 64)
    link._thread.daemon = True  # as SQLAlchemy sets it for the connections it makes itself
    return link


class LinkConnection(aiosqlite.Connection):
    """A connection with such cursors. `begin_with`: a statement that goes before the next one, in the same trip. `is_used`: a statement
    was sent since the last rollback, so there may be a transaction to end."""

    begin_with = ""
    is_used = True

    def cursor(self) -> LinkCursor:  # type: ignore[override]  # SQLAlchemy enters what it gets; nobody awaits it
        """A cursor that has not gone anywhere yet."""
        return LinkCursor(self)

    async def rollback(self) -> None:
        """End the transaction; one that never began costs nothing."""
        self.begin_with = ""
        if self.is_used:
            self.is_used = False
            await super().rollback()


class LinkCursor(aiosqlite.Cursor):
    """A cursor in SQLAlchemy's sense: execute, then take all rows."""

    def __init__(self, link: LinkConnection) -> None:
        self._link = link
        self._rows: Sequence[Row] = ()
        self._about: tuple[Any, int, int | None] = (None, -1, None)
        self._size = 1

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, sql: str, parameters: Parameters | None = None) -> Self:
        """Run one statement and read what it gives."""
        await self._go(sql, parameters or (), False)
        return self

    async def executemany(self, sql: str, parameters: Iterable[Parameters]) -> Self:
        """Run one statement for each row of parameters."""
        await self._go(sql, parameters, True)
        return self

    async def _go(self, sql: str, parameters: Parameters, many: bool) -> None:
        begin, self._link.begin_with = self._link.begin_with, ""
        self._link.is_used = True
        there = self._link._execute(_run, self._link._conn, begin, sql, parameters, many)  # type: ignore[no-untyped-call]  # aiosqlite's own
        self._rows, self._about = await there

    async def fetchall(self) -> Sequence[Row]:
        """The rows, once."""
        rows, self._rows = self._rows, ()
        return rows

    async def close(self) -> None:
        """Nothing is open: the statement was read to its end."""

    @property
    def description(self) -> Any:  # Any: sqlite3's own description
        return self._about[0]

    @property
    def rowcount(self) -> int:
        return self._about[1]

    @property
    def lastrowid(self) -> int | None:
        return self._about[2]

    @property
    def arraysize(self) -> int:
        return self._size

    @arraysize.setter
    def arraysize(self, value: int) -> None:
        self._size = value


def _run(
    connection: sqlite3.Connection, begin: str, sql: str, parameters: Any, many: bool
) -> tuple[Sequence[Row], tuple[Any, int, int | None]]:
    """In the connection's thread."""
    if begin:
        connection.execute(begin)
    cursor = connection.executemany(sql, parameters) if many else connection.execute(sql, parameters)
    rows = cursor.fetchall() if cursor.description is not None else ()
    about = (cursor.description, cursor.rowcount, cursor.lastrowid)
    cursor.close()
    return rows, about
