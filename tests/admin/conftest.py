"""Fixtures of the control plane's tests: a real SQLite file per test, made once and copied."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from admin.migrate import migrate
from blocklists.database import Database, open_database

#: A fixed moment: Monday 12 October 2026, 19:30 in Viet Nam.
NOW = datetime(2026, 10, 12, 12, 30, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database with the current schema; tests copy it instead of migrating again."""
    path = tmp_path_factory.mktemp("schema") / "empty.db"

    async def make() -> None:
        database = await open_database(f"sqlite+aiosqlite:///{path}")
        await migrate(database, path.parent, NOW)
        await database.close()

    asyncio.run(make())
    return path


@pytest.fixture
async def database(migrated_file: Path, tmp_path: Path) -> AsyncIterator[Database]:
    path = tmp_path / "lachan.db"
    shutil.copy(migrated_file, path)
    opened = await open_database(f"sqlite+aiosqlite:///{path}")
    yield opened
    await opened.close()
