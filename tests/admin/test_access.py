"""Who may do what, asked at the door: every route, every role, another tenant's objects, a stranger, a key of too small a scope.

Made from the routes themselves, so a page that is added is covered when it is added. What must hold: a refusal is a refusal (401, 403, 404
or 422, never a fault and never a way on), it changes nothing anywhere, and it tells nothing of the other tenant.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx
import pytest
from fastapi.routing import APIRoute
from sqlalchemy import select
from starlette.routing import Mount
from starlette.types import ASGIApp

from admin.audit import MACHINE, Act
from admin.dependencies import Services, form_token
from admin.people import list_members
from admin.permissions import CONFIRMED, ROLES, SCOPES, Permission, Scope
from admin.sessions import create_token, load_session, open_session
from admin.tenants import create_account, create_organisation, grant_role
from blocklists.database import Database
from blocklists.tables import EVERY_TENANT, OrganisationId, OrganisationKind, Role, metadata
from tests.admin.test_app import permission_of
from tests.support.family import Family
from tests.support.visitor import ORIGIN

KINDS = {
    Role.FIRST_PARENT: OrganisationKind.FAMILY,
    Role.PARENT: OrganisationKind.FAMILY,
    Role.TEACHER: OrganisationKind.SCHOOL,
    Role.SCHOOL_ADMIN: OrganisationKind.SCHOOL,
    Role.OPERATOR: OrganisationKind.OPERATOR,
    Role.EMERGENCY: OrganisationKind.FAMILY,
}
REFUSALS = {401, 403, 404}
#: Tables that a refused request may write to: that a session is in use, nothing else.
OWN_MARKS = {"sessions", "api_tokens", "known_browsers"}


@dataclass(frozen=True, slots=True)
class Caller:
    """One person with one role: a cookie, what forms bring back, and a key of each scope."""

    role: Role
    tenant: OrganisationId
    cookie: str
    form: str
    keys: dict[Scope, str]


def all_routes(app: ASGIApp, prefix: str = "") -> list[tuple[str, APIRoute]]:
    """Every route with its whole path."""
    while not hasattr(app, "routes"):
        app = app.app  # type: ignore[attr-defined]  # the layers at the edge
    found: list[tuple[str, APIRoute]] = []
    for route in app.routes:
        if isinstance(route, APIRoute):
            found.append((prefix + route.path, route))
        elif isinstance(route, Mount):
            found += all_routes(route.app, prefix + route.path)
        elif hasattr(route, "original_router"):
            found += all_routes(route.original_router, prefix)
    return found


@pytest.fixture
async def callers(database: Database, family: Family, now: datetime) -> dict[Role, Caller]:
    """Somebody in every role there is, each at an organisation of their own, freshly confirmed and with a second factor shown."""
    made = {}
    for role in Role:
        async with database.write() as connection:
            kind = KINDS.get(role, OrganisationKind.OFFICE)
            tenant = await create_organisation(connection, kind, f"Nơi của {role}", "vi", now)
            account = await create_account(connection, f"who-{role}", f"Người {role}", "x", "vi", now)
            await grant_role(connection, Act(tenant, MACHINE, now), account, role)
            cookie = await open_session(connection, account, now, kept=True, browser="", second=True)
            keys = {}
            for scope in Scope:
                _, keys[scope] = await create_token(connection, tenant, account, "k", frozenset({scope}), now, now + timedelta(days=1))
            live = await load_session(connection, cookie, now)
        assert live is not None
        made[role] = Caller(role, tenant, cookie, form_token(live), keys)
    return made


@pytest.fixture
async def http(app: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    """A plain client; redirects are answers, and a fault of ours is an answer, too."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("192.168.1.99", 40000))
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
        yield client


async def ask(http: httpx.AsyncClient, path: str, method: str, caller: Caller | None, key: str = "") -> httpx.Response:
    """One request, as a browser on our own page or as a program makes it."""
    headers = {"Origin": ORIGIN} | ({"Authorization": f"Bearer {key}"} if key else {})
    if path.startswith("/api/"):
        body = {"json": {}} if method in ("POST", "PUT", "PATCH") else {}
        return await http.request(method, path, headers=headers, **body)  # type: ignore[arg-type]  # httpx's own keywords
    http.cookies.clear()
    if caller is not None:
        http.cookies.set("lachan", caller.cookie)
    data = {"_form": caller.form if caller else ""} if method == "POST" else None
    return await http.request(method, path, headers=headers, data=data)


def filled(path: str, value: str) -> str:
    """A path with every placeholder filled in."""
    return re.sub(r"{(\w+)(:\w+)?}", lambda found: "1" if found[1] in ("serial", "number") else value, path)


async def everything(database: Database) -> dict[str, list[str]]:
    """All that is stored, but for marks of use."""
    async with database.read() as connection:
        return {
            table.name: sorted(map(str, (await connection.execute(select(table).execution_options(**EVERY_TENANT))).all()))
            for table in metadata.tables.values()
            if table.name not in OWN_MARKS
        }


async def test_every_route_refuses_every_role_that_lacks_its_permission(
    app: ASGIApp, http: httpx.AsyncClient, callers: dict[Role, Caller], database: Database
) -> None:
    """Every permission with every role that lacks it, and every route with one of those: refused, and nothing is changed."""
    before, wrong, asked = await everything(database), [], set()
    for path, route in all_routes(app):
        permission = permission_of(route)
        method = sorted(route.methods or {"GET"})[0]
        if permission is None:
            continue
        lacking = [role for role in Role if permission not in ROLES[role]]
        for role in [role for role in lacking if (permission, role) not in asked] or lacking[:1]:
            asked.add((permission, role))
            caller = callers[role]
            key = next((caller.keys[scope] for scope in Scope if permission in SCOPES[scope]), caller.keys[Scope.READ])
            response = await ask(http, filled(path, "x" * 24), method, caller, key if path.startswith("/api/") else "")
            if response.status_code not in REFUSALS:
                wrong.append(f"{role} {method} {path}: {response.status_code}")
    assert wrong == [], "\n".join(wrong)
    assert await everything(database) == before


async def test_every_route_refuses_strangers_and_keys_of_too_small_a_scope(
    app: ASGIApp, http: httpx.AsyncClient, callers: dict[Role, Caller], database: Database
) -> None:
    """Without a session a page leads to the door; without a key the API says 401; a key that may only look changes nothing."""
    before, wrong = await everything(database), []
    for path, route in all_routes(app):
        permission = permission_of(route)
        method = sorted(route.methods or {"GET"})[0]
        if permission is None:
            continue
        response = await ask(http, filled(path, "x" * 24), method, None)
        expected = 401 if method == "GET" or path.startswith("/api/") else 403
        if response.status_code not in {401, expected}:
            wrong.append(f"stranger {method} {path}: {response.status_code}")
        if path.startswith("/api/"):
            caller = next(caller for role, caller in callers.items() if permission in ROLES[role])
            for scope in Scope:
                if permission not in SCOPES[scope]:
                    response = await ask(http, filled(path, "x" * 24), method, None, caller.keys[scope])
                    if response.status_code != 403:
                        wrong.append(f"{scope} {method} {path}: {response.status_code}")
    assert wrong == [], "\n".join(wrong)
    assert await everything(database) == before


async def test_every_route_with_an_object_refuses_another_tenants(
    app: ASGIApp,
    http: httpx.AsyncClient,
    callers: dict[Role, Caller],
    database: Database,
    services: Services,
    family: Family,
    now: datetime,
) -> None:
    """Real ids of a family, asked for by people of other places whose role includes the act: not found, told nothing, changed nothing."""
    async with database.read() as connection:
        members = await list_members(connection, family.tenant, now)
        tables = [table for table in metadata.tables.values() if "tenant_id" in table.c and "id" in table.c]
        ids = {members[0].assignment, family.account, family.tenant}
        for table in tables:
            ids |= set((await connection.execute(select(table.c.id).where(table.c.tenant_id == family.tenant))).scalars())
    assert {family.bi.id, family.bi_phone} <= ids
    before, wrong = await everything(database), []
    for path, route in all_routes(app):
        permission = permission_of(route)
        if permission is None or "{" not in path:
            continue
        method = sorted(route.methods or {"GET"})[0]
        for role, caller in callers.items():
            if permission not in ROLES[role]:
                continue
            key = next((caller.keys[scope] for scope in Scope if permission in SCOPES[scope]), "")
            fitting = [family.bi.id] if "{profile}" in path else [family.bi_phone] if "{device}" in path else sorted(ids)[:3]
            for value in fitting:
                if path.startswith("/api/") and not key:
                    continue
                response = await ask(http, filled(path, value), method, caller, key if path.startswith("/api/") else "")
                told = any(word in response.text for word in ("Máy của Bi", ">Bi<", '"Bi"', "192.168.1.31"))
                if response.status_code not in REFUSALS | {409, 422} or told:
                    wrong.append(f"{role} {method} {path}: {response.status_code}{' TELLS' if told else ''}")
    assert wrong == [], "\n".join(wrong)
    assert await everything(database) == before


def test_acts_that_loosen_export_or_hand_out_access_are_confirmed() -> None:
    """The acts for which a signed-in page left open is not enough, by their names."""
    loosen = {
        one for one in Permission if one.value.rpartition(".")[2] in ("loosen", "open", "erase", "export", "import", "backup", "manage")
    }
    assert loosen <= CONFIRMED
