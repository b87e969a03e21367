"""Column types of the shared schema: times keep their zone, ids say nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import Column, MetaData, Table, insert, select
from sqlalchemy.exc import StatementError

from blocklists.database import open_database
from blocklists.tables import ID_LENGTH, ID_SIGNS, Instant, new_id

times = Table("times", MetaData(), Column("at", Instant))


async def test_instant_comes_back_as_the_same_moment_in_utc(tmp_path: Path) -> None:
    """A time written in Viet Nam is read as the same moment, with its zone."""
    database = await open_database(f"sqlite+aiosqlite:///{tmp_path / 'x.db'}")
    local = datetime(2026, 10, 12, 19, 30, 0, 123456, tzinfo=timezone(timedelta(hours=7)))
    async with database.write() as writer:
        await writer.run_sync(times.create)
        await writer.execute(insert(times).values(at=local))
    async with database.read() as reader:
        stored = (await reader.execute(select(times.c.at))).scalar_one()
    await database.close()
    assert local == stored
    assert stored.tzinfo is UTC


async def test_instant_without_a_zone_is_refused(tmp_path: Path) -> None:
    """A time that could mean two moments never enters the database."""
    database = await open_database(f"sqlite+aiosqlite:///{tmp_path / 'x.db'}")
    with pytest.raises(StatementError, match="time zone"):
        async with database.write() as writer:
            await writer.run_sync(times.create)
            await writer.execute(insert(times).values(at=datetime(2026, 1, 1)))
    await database.close()


def test_new_id_is_random_and_plain() -> None:
    """Ids fit in a URL and a policy file, and no two are alike."""
    ids = {new_id() for _ in range(500)}
    assert len(ids) == 500
    assert all(len(one) == ID_LENGTH and set(one) <= set(ID_SIGNS) for one in ids)
