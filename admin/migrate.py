"""Bring the database to the schema this code expects. The program does it itself at start; nobody runs a command.

The schema carries two numbers (`schema_marks`): the one it has, and the oldest code that still works with it. Code that is too old for the
database refuses to start instead of spoiling it. Before an existing database is changed, a copy of it is put beside it: one for a number
of the schema, however often a change that does not go through is tried.
Alembic (11 MB of imports) is loaded only when there is something to do.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

import admin.familytables
import admin.officetables
import admin.tables  # noqa: F401  the tables of every room join the metadata
import blocklists.takedown.candidatetables
import blocklists.takedown.tables  # noqa: F401
from admin.consents import forget_histories
from admin.scratch import scratch
from blocklists.database import Database
from gateway.errors import StartError

#: The schema this code is written for; the newest file in migrations/versions carries the same number.
SCHEMA_NUMBER = 23
MIGRATIONS = Path(__file__).parent / "migrations"


async def migrate(database: Database, copies: Path) -> int:
    """Bring the schema to SCHEMA_NUMBER and return the number it had before. Raises StartError when the database is too new for
    this code, or where the disk has no room for the copy: then nothing is changed."""
    found = await refuse_newer(database)
    if found.number >= SCHEMA_NUMBER:
        return found.number
    if found.number > 0:
        await _keep_copy(database, copies / f"lachan-before-schema-{SCHEMA_NUMBER}.db")
    async with database.write() as connection:
        await connection.run_sync(upgrade)
    return found.number


async def _keep_copy(database: Database, path: Path) -> None:
    """Put a copy of the database there, without histories, in the place of the one that an earlier try left."""
    try:
        with scratch(path.parent, "backup") as place:
            copy = place / path.name
            if await database.copy_to(copy):
                await asyncio.to_thread(forget_histories, copy)
                os.replace(copy, path)
    except (OSError, sqlite3.Error, DBAPIError) as error:
        why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        raise StartError(f"cannot write {path} ({why}), so the schema was not changed: make room on the disk") from error


async def refuse_newer(database: Database) -> Numbers:
    """The numbers of the schema in use. Raises StartError when the database is too new for this code, which would misread it."""
    async with database.read() as connection:
        found = await read_number(connection)
    if found.number > SCHEMA_NUMBER and found.oldest_code > SCHEMA_NUMBER:
        raise StartError(
            f"admin.database: written by a newer lachan (schema {found.number}, this program knows {SCHEMA_NUMBER}); "
            "install the newer version again, or put back a backup made before the upgrade"
        )
    return found


class Numbers:
    """What a database says about its schema; zeros when it is empty."""

    __slots__ = ("number", "oldest_code")

    def __init__(self, number: int, oldest_code: int) -> None:
        self.number = number
        self.oldest_code = oldest_code


async def read_number(connection: AsyncConnection) -> Numbers:
    """The two numbers of the schema in use."""
    if not await connection.run_sync(lambda sync: inspect(sync).has_table("schema_marks")):
        return Numbers(0, 0)
    row = (await connection.execute(text("SELECT number, oldest_code FROM schema_marks"))).one()
    return Numbers(int(row[0]), int(row[1]))


def upgrade(connection: Connection, target: str = "head") -> None:
    """Run the migrations on an open connection, inside its transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, target)
