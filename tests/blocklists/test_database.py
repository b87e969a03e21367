"""The one door to the database: consistent readers, one writer, all or nothing, damage noticed at the door."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from blocklists.database import Database, open_database
from gateway.errors import StartError


@pytest.fixture
async def counters(tmp_path: Path) -> AsyncIterator[Database]:
    """A database with one table and one row."""
    database = await open_database(f"sqlite+aiosqlite:///{tmp_path / 'counters.db'}")
    async with database.write() as connection:
        await connection.execute(text("CREATE TABLE counters (n INTEGER NOT NULL)"))
        await connection.execute(text("INSERT INTO counters VALUES (0)"))
    yield database
    await database.close()


async def read_n(database: Database) -> int:
    async with database.read() as connection:
        return int((await connection.execute(text("SELECT n FROM counters"))).scalar_one())


async def test_write_commits_when_the_block_ends(counters: Database) -> None:
    """A finished write is seen by the next reader."""
    async with counters.write() as connection:
        await connection.execute(text("UPDATE counters SET n = 7"))
    assert await read_n(counters) == 7


async def test_write_rolls_everything_back_when_the_block_raises(counters: Database) -> None:
    """A change is whole or it never happened."""
    with pytest.raises(ZeroDivisionError):
        async with counters.write() as connection:
            await connection.execute(text("UPDATE counters SET n = 7"))
            raise ZeroDivisionError
    assert await read_n(counters) == 0


async def test_read_cannot_write(counters: Database) -> None:
    """A page that only shows cannot change anything, even by mistake."""
    with pytest.raises(OperationalError, match="readonly"):
        async with counters.read() as connection:
            await connection.execute(text("UPDATE counters SET n = 1"))


async def test_read_sees_one_moment_while_a_writer_works(counters: Database) -> None:
    """A page that reads twice never shows half of somebody else's change."""
    async with counters.read() as reader:
        before = (await reader.execute(text("SELECT n FROM counters"))).scalar_one()
        async with counters.write() as writer:
            await writer.execute(text("UPDATE counters SET n = 5"))
        after = (await reader.execute(text("SELECT n FROM counters"))).scalar_one()
    assert (before, after) == (0, 0)
    assert await read_n(counters) == 5


async def test_write_transactions_run_one_after_the_other(counters: Database) -> None:
    """Twenty people who press at once lose no change."""

    async def add_one() -> None:
        async with counters.write() as connection:
            n = (await connection.execute(text("SELECT n FROM counters"))).scalar_one()
            await asyncio.sleep(0)
            await connection.execute(text("UPDATE counters SET n = :n"), {"n": n + 1})

    await asyncio.gather(*(add_one() for _ in range(20)))
    assert await read_n(counters) == 20


async def test_write_from_two_processes_waits_for_the_lock(counters: Database, tmp_path: Path) -> None:
    """A command beside the running program waits its turn instead of failing."""
    other = await open_database(f"sqlite+aiosqlite:///{tmp_path / 'counters.db'}")

    async def add_one(database: Database) -> None:
        async with database.write() as connection:
            n = (await connection.execute(text("SELECT n FROM counters"))).scalar_one()
            await connection.execute(text("UPDATE counters SET n = :n"), {"n": n + 1})

    await asyncio.gather(*(add_one(database) for _ in range(5) for database in (counters, other)))
    await other.close()
    assert await read_n(counters) == 10


async def test_open_refuses_a_damaged_file_and_leaves_it_as_it_is(counters: Database, tmp_path: Path) -> None:
    """Damage is named with the remedy, and nothing writes over what may still be saved."""
    async with counters.write() as connection:
        for number in range(2000):
            await connection.execute(text("INSERT INTO counters VALUES (:n)"), {"n": number})
    await counters.close()
    path = tmp_path / "counters.db"
    content = bytearray(path.read_bytes())
    content[4096 * 2 : 4096 * 2 + 4096] = b"\x5a" * 4096
    path.write_bytes(content)
    with pytest.raises(StartError, match=r"backup|cannot be used"):
        await open_database(f"sqlite+aiosqlite:///{path}")
    assert path.read_bytes() == bytes(content)


async def test_open_refuses_a_file_that_is_no_database(tmp_path: Path) -> None:
    """A wrong path in the settings is one sentence, not a traceback."""
    path = tmp_path / "notes.txt"
    path.write_text("hello " * 1000)
    with pytest.raises(StartError, match=r"not a database.*put the newest backup back"):
        await open_database(f"sqlite+aiosqlite:///{path}")


@pytest.mark.parametrize("address", ["mysql://x/y", "not an address", "sqlite:///x.db"])
async def test_open_refuses_unknown_kinds_of_database(address: str) -> None:
    """Only the two databases the product is tested with are accepted."""
    with pytest.raises(StartError, match=r"admin\.database"):
        await open_database(address)


async def test_copy_holds_what_was_committed(counters: Database, tmp_path: Path) -> None:
    """A copy taken while the program runs opens as a whole database."""
    async with counters.write() as connection:
        await connection.execute(text("UPDATE counters SET n = 42"))
    assert await counters.copy_to(tmp_path / "copy.db")
    copy = await open_database(f"sqlite+aiosqlite:///{tmp_path / 'copy.db'}")
    assert await read_n(copy) == 42
    await copy.close()
