"""The other database: the same seam, the same schema, the same promises, on a real PostgreSQL server started for the test."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
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
from tests.support.echogateway import free_port
from tests.support.family import make_family

pytestmark = pytest.mark.full

BIN = Path("/usr/lib/postgresql/15/bin")


def _become_postgres() -> Callable[[], None] | None:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    user = pwd.getpwnam("postgres")

    def drop() -> None:
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)

    return drop


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server of one's own on this machine; its address."""
    if not (BIN / "initdb").exists():
        pytest.skip("no PostgreSQL here")
    folder, drop, port = tempfile.mkdtemp(prefix="lachan-pg-"), _become_postgres(), free_port()
    os.chmod(folder, 0o777)  # the server's own user writes there
    cluster = f"{folder}/cluster"
    subprocess.run([BIN / "initdb", "-D", cluster, "-A", "trust", "-U", "lachan"], check=True, capture_output=True, preexec_fn=drop)
    options = ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={folder}", "-c", "fsync=off"]
    running = subprocess.Popen(
        [BIN / "postgres", "-D", cluster, "-p", str(port), *options], preexec_fn=drop, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    ready = [BIN / "pg_isready", "-h", "127.0.0.1", "-p", str(port), "-t", "20"]
    for _ in range(200):
        if subprocess.run(ready, check=False, capture_output=True).returncode == 0:
            break
    yield f"postgresql+asyncpg://lachan@127.0.0.1:{port}/postgres"
    running.terminate()
    running.wait(20)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def database(server: str, tmp_path: Path, now: datetime) -> AsyncIterator[Database]:
    """An empty schema, migrated by the program."""
    opened = await open_database(server)
    async with opened.write() as connection:
        await connection.execute(text("DROP SCHEMA public CASCADE"))
        await connection.execute(text("CREATE SCHEMA public"))
    await migrate(opened, tmp_path, now)
    yield opened
    await opened.close()


@pytest.fixture
async def services(database: Database, settings: AdminSettings, clock: Clock, pages: Pages, server: str) -> Services:
    return make_services(replace(settings, database=server), database, clock, pages)


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
