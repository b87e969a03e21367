"""The other database: the same seam, the same schema, the same promises, on a real PostgreSQL server started for the test.

The tests of the rooms run on both databases (`STORAGE` in conftest.py); here stands what only this one can get wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from admin.app import make_services
from admin.audit import Act, by_account, verify_database
from admin.dependencies import Services
from admin.erasing import erase_profile
from admin.errors import Conflict
from admin.migrate import SCHEMA_NUMBER, migrate
from admin.names import add_name
from admin.overrides import list_overrides
from admin.pages.render import Pages
from admin.profiles import change_profile
from admin.requests import Asked, answer, ask, list_requests
from admin.settings import AdminSettings
from admin.tenants import create_account
from admin.values import Decision, NameEffect, RequestReason
from blocklists.database import Database, open_database
from blocklists.tables import Role, metadata
from tests.admin.conftest import Clock
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import make_family
from tests.support.postgres import Server

pytestmark = pytest.mark.full


@pytest.fixture
async def database(postgres: Server, now: datetime) -> AsyncIterator[Database]:
    """An empty database, migrated by the program."""
    opened = await open_database(await postgres.fresh(now))
    yield opened
    await opened.close()


@pytest.fixture
async def services(database: Database, settings: AdminSettings, clock: Clock, pages: Pages, postgres: Server) -> Services:
    return make_services(replace(settings, database=postgres.address()), database, clock, pages)


async def test_migrations_make_the_same_schema(database: Database, tmp_path: Path, now: datetime) -> None:
    """What the code expects is what the migrations made; a second start has nothing to do."""
    async with database.read() as connection:
        differences = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync, opts={"compare_type": True}), metadata)
        )
    assert differences == []
    assert await migrate(database, tmp_path) == SCHEMA_NUMBER


@pytest.mark.parametrize("statement", ["UPDATE journal SET action = 'x'", "DELETE FROM journal", "TRUNCATE journal"])
async def test_journal_refuses_changes(services: Services, statement: str) -> None:
    """The database itself keeps the journal."""
    await make_family(services)
    with pytest.raises(DBAPIError, match="append-only"):
        async with services.database.write() as connection:
            await connection.execute(text(statement))
    assert (await verify_database(services.database, services.settings.state_dir)).first_bad is None


async def test_readers_cannot_write_and_times_keep_their_zone(services: Services, now: datetime) -> None:
    """A page that shows changes nothing; a moment is read as it was written."""
    family = await make_family(services)
    with pytest.raises(DBAPIError, match="read-only"):
        async with services.database.read() as connection:
            await connection.execute(text("UPDATE accounts SET name = 'x'"))
    assert (await services.applier.enforcement(family.tenant)).changed_at == now


async def test_conflicts_are_told_as_on_sqlite(services: Services, now: datetime) -> None:
    """A taken name is a conflict, not a broken transaction."""
    await make_family(services)
    with pytest.raises(Conflict):
        async with services.database.write() as connection:
            await create_account(connection, "ME", "x", "x", "vi", now)


async def test_request_is_asked_answered_and_applied(services: Services, gateway: ScriptedGateway, now: datetime) -> None:
    """The whole road on the other database."""
    family = await make_family(services)
    assert not (await services.applier.settle(family.tenant)).is_pending
    act = Act(family.tenant, by_account(family.account, Role.FIRST_PARENT), now)
    async with services.database.write() as connection:
        asked = await ask(connection, family.tenant, Asked(family.bi.id, "a.example", RequestReason.LESSON, "x", family.bi.band), now)
        await answer(connection, act, asked, Decision.HOUR, family.bi, "Asia/Ho_Chi_Minh", None)
        assert len(await list_overrides(connection, family.tenant, now + timedelta(minutes=59))) == 1
        assert (await list_requests(connection, family.tenant, now))[0] == []
    assert not (await services.applier.settle(family.tenant)).is_pending
    assert gateway.policies[family.tenant]


async def test_erased_words_leave_the_data_files(services: Services, postgres: Server) -> None:
    """A child's label, site and note, erased: no file of the cluster holds them but the write-ahead log, which is written over. While
    another connection reads an older moment it is not done, and said so."""
    family = await make_family(services)
    marks = [b"ZiZiRieng", b"zizi-rieng.example", b"ghi-chu-rieng"]
    act = Act(family.tenant, by_account(family.account, Role.FIRST_PARENT), services.now())
    database = services.database
    async with database.write() as connection:
        await change_profile(connection, act, family.bi, replace(family.bi, label="ZiZiRieng"))
        await add_name(connection, act, family.bi.id, NameEffect.DENY, "zizi-rieng.example")
        asked = Asked(family.bi.id, "zizi-rieng.example", RequestReason.OTHER, "ghi-chu-rieng", family.bi.band)
        await ask(connection, family.tenant, asked, services.now())
    await postgres.execute("CHECKPOINT", "lachan")
    assert all(holding(postgres.folder, mark) for mark in marks), "the test looks where something is"
    async with database.write() as connection:
        await erase_profile(connection, act, family.bi.id)
    async with database.read() as reading:
        await reading.execute(text("SELECT 1 FROM profiles"))
        assert not await database.scrub()
    assert await database.scrub()
    assert [name for mark in marks for name in holding(postgres.folder, mark)] == []
    async with database.read() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM profiles"))).scalar_one() > 0


def holding(folder: Path, mark: bytes) -> list[str]:
    """The files of a cluster that hold a text, without the write-ahead log."""
    files = [path for path in folder.rglob("*") if path.is_file() and "pg_wal" not in path.parts]
    return [str(path) for path in files if mark in path.read_bytes()]
