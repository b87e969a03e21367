"""Fixtures of the control plane's tests: a real SQLite file per test, made once and copied."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from argon2 import PasswordHasher, Type
from fastapi import FastAPI
from starlette.routing import Mount
from starlette.types import ASGIApp

from admin.app import at_the_edge, create_site, make_services, own_hosts
from admin.audit import Act, by_account
from admin.dependencies import Services
from admin.migrate import migrate
from admin.pages.assets import Assets
from admin.pages.render import Pages
from admin.settings import AdminSettings
from blocklists.database import Database, open_database
from blocklists.tables import Role
from gateway.settings import DnsSettings, Endpoint, GatewaySettings, UpstreamSettings
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family, make_family
from tests.support.gateway import Gateway
from tests.support.generation import category, make_generation, order, policy, profile, segment
from tests.support.livegateway import live_gateway
from tests.support.office import OfficeGateway, Officers, make_officers, officer
from tests.support.postgres import Server
from tests.support.shippedcatalogue import load
from tests.support.tenantwatch import tenants_watched
from tests.support.visitor import Visitor
from tests.support.writewatch import nothing_slow_inside_writes

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
        await migrate(database, path.parent)
        await database.close()

    asyncio.run(make())
    return path


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The storage suite runs on both databases: every test of a room that takes `database`, on SQLite and on PostgreSQL."""
    if metafunc.module.__name__.rpartition(".")[2] in STORAGE and "storage" in metafunc.fixturenames:
        metafunc.parametrize("storage", ["sqlite", pytest.param("postgresql", marks=pytest.mark.full)], indirect=True)


@pytest.fixture
async def storage(request: pytest.FixtureRequest, migrated_file: Path, tmp_path: Path) -> AsyncIterator[str]:
    """The address of an empty database with the current schema."""
    if getattr(request, "param", "sqlite") == "sqlite":
        shutil.copy(migrated_file, tmp_path / "lachan.db")
        yield f"sqlite+aiosqlite:///{tmp_path / 'lachan.db'}"
        return
    server: Server = request.getfixturevalue("postgres")
    yield await server.fresh(NOW)


_QUICK = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1, type=Type.ID)


@pytest.fixture(autouse=True)
def _quick_passwords(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password costs these tests a twentieth of what the product spends on one; `test_passwords` is about just that."""
    if request.path.stem != "test_passwords":
        monkeypatch.setattr("admin.passwords._hasher", _QUICK)


@pytest.fixture
async def database(storage: str) -> AsyncIterator[Database]:
    opened = await open_database(storage)
    with tenants_watched(opened) as forgotten, nothing_slow_inside_writes(opened):
        yield opened
    await opened.close()
    assert not forgotten, f"statements without their tenant: {forgotten}"


#: The modules whose tests are about what is stored.
STORAGE = frozenset(
    """
    test_agreeing test_apply test_audit test_auth test_choices test_consents
    test_dates test_devices test_digest test_emergency test_ended test_erasing
    test_factors test_figures test_history test_home test_homelink test_hosting test_hours test_importing test_invitations test_names
    test_notices test_office test_officebulletins test_officecases test_officedirectives test_officeduty test_officeintake
    test_officereads test_officeschools test_onboarding test_overrides test_passkeys test_people test_policyfile test_profiles
    test_recovery test_requests test_schoolmoves test_sessions test_setup test_sharing test_switches test_tenantfile test_tenants
    test_totals test_watching
    """.split()  # noqa: SIM905
)


class Clock:
    """A wall clock that a test moves."""

    def __init__(self, now: datetime) -> None:
        self.at = now

    def __call__(self) -> float:
        return self.at.timestamp()

    def forward(self, **amount: float) -> None:
        self.at += timedelta(**amount)


@pytest.fixture
def clock(now: datetime) -> Clock:
    return Clock(now)


@pytest.fixture
def settings(tmp_path: Path) -> AdminSettings:
    """Settings of a home whose database and state lie in the test's own folder."""
    dns = DnsSettings(
        listen=(Endpoint("192.168.1.2", 53),), workers=1, allow_from=(ip_network("192.168.0.0/16"),), user=None, name="lachan.internal"
    )
    upstreams = UpstreamSettings(servers=(), strategy="fastest", routes={}, timeout=2.0)
    return AdminSettings(
        listen=Endpoint("127.0.0.1", 8080),
        database=f"sqlite+aiosqlite:///{tmp_path / 'lachan.db'}",
        state_dir=tmp_path,
        gateway=GatewaySettings(state_dir=tmp_path, dns=dns, upstreams=upstreams, policy={}),
    )


@pytest.fixture
async def services(database: Database, settings: AdminSettings, clock: Clock, pages: Pages) -> Services:
    """The services of one process, on the test's own database and clock."""
    return make_services(settings, database, clock, pages)


@pytest.fixture(scope="session")
def pages() -> Pages:
    return Pages(Assets())


@pytest.fixture(scope="session")
def site_for() -> Callable[[Services], FastAPI]:
    """The pages and the API at these services. Made once: four hundred routes are a third of what a test of one page takes."""
    made: list[FastAPI] = []

    def site(services: Services) -> FastAPI:
        if not made:
            made.append(create_site(services))
        mounted = [route.app for route in made[0].routes if isinstance(route, Mount) and isinstance(route.app, FastAPI)]
        for each in (*made, *mounted):
            each.state.services = services
        return made[0]

    return site


@pytest.fixture
def app(services: Services, site_for: Callable[[Services], FastAPI]) -> ASGIApp:
    return at_the_edge(site_for(services), services, own_hosts(services.settings))


@pytest.fixture
async def visitor(app: ASGIApp) -> AsyncIterator[Visitor]:
    """A browser on a phone at home."""
    browser = Visitor(app)
    yield browser
    await browser.close()


@pytest.fixture
async def gateway(settings: AdminSettings) -> AsyncIterator[ScriptedGateway]:
    """A gateway that says what the test tells it to."""
    scripted = ScriptedGateway(settings.state_dir)
    await scripted.start()
    yield scripted
    await scripted.stop()


@pytest.fixture
async def family(services: Services) -> Family:
    """A family as the wizard makes it."""
    return await make_family(services)


@pytest.fixture
def act(family: Family, now: datetime) -> Act:
    """The parent, acting now."""
    return Act(family.tenant, by_account(family.account, Role.FIRST_PARENT), now)


@pytest.fixture
def gateway_running(tmp_path: Path) -> Iterator[Gateway]:
    """The real gateway."""
    with live_gateway(tmp_path / "gateway") as running:
        yield running


@pytest.fixture
def live(database: Database, settings: AdminSettings, pages: Pages, gateway_running: Gateway) -> Services:
    """Services that speak to the real gateway, on the real clock."""
    beside = replace(settings, state_dir=gateway_running.folder / "var")
    return make_services(beside, database, lambda: datetime.now(UTC).timestamp(), pages)


@pytest.fixture
def lists(settings: AdminSettings) -> Path:
    """A real generation with the shipped catalogue and a few made-up names, for pages that judge names."""
    return make_generation(
        settings.state_dir,
        lists={
            "bet": category("gamb", "bet.example"),
            "scam": category("scam", "bank-login.example"),
            "adult": category("porn", "adult.example"),
            "hurt": category("self", "hurt.example"),
            "games": category("game", "play.example"),
        },
        policy=policy(profiles=[profile("KH")], default_profile="p"),
        orders=[segment(order("o1", "ordered.example", basis=[]), order("o2", "appealed.example", appeal="Thanh tra tỉnh <b>"))],
        catalogue=load(),
    )


@pytest.fixture
async def officers(database: Database, now: datetime) -> Officers:
    """A list office with one verifier and two approvers."""
    return await make_officers(database, now)


@pytest.fixture
async def office_gateway(settings: AdminSettings) -> AsyncIterator[OfficeGateway]:
    """A gateway that keeps the orders it is given."""
    running = OfficeGateway(settings.state_dir)
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def one(app: ASGIApp, officers: Officers) -> AsyncIterator[Visitor]:
    """The office's verifier at a browser."""
    browser = await officer(app, "verifier")
    yield browser
    await browser.close()


@pytest.fixture
async def two(app: ASGIApp, officers: Officers) -> AsyncIterator[Visitor]:
    """An approver of the office at another browser."""
    browser = await officer(app, "approver", "192.168.1.31")
    yield browser
    await browser.close()
