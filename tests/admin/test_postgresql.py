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
from admin.errors import Conflict
from admin.migrate import SCHEMA_NUMBER, migrate
from admin.overrides import list_overrides
from admin.pages.render import Pages
from admin.requests import Asked, answer, ask, list_requests
from admin.settings import AdminSettings
from admin.tenants import create_account
from admin.values import Decision, RequestReason
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
    assert await migrate(database, tmp_path, now) == SCHEMA_NUMBER


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
        await answer(connection, act, asked, Decision.HOUR, family.bi, "Asia/Ho_Chi_Minh")
        assert len(await list_overrides(connection, family.tenant, now + timedelta(minutes=59))) == 1
        assert (await list_requests(connection, family.tenant, now))[0] == []
    assert not (await services.applier.settle(family.tenant)).is_pending
    assert gateway.policies[family.tenant]
