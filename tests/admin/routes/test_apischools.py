"""Rules for the schools of a place, by a program of the education department."""

from __future__ import annotations

from datetime import datetime, timedelta

import httpx
from starlette.types import ASGIApp

from admin.audit import MACHINE, Act, read_rows
from admin.dependencies import Services
from admin.permissions import Scope
from admin.sessions import create_token
from admin.tenants import grant_role
from blocklists.tables import AccountId, Role
from tests.admin.test_officeschools import body
from tests.support.office import Officers
from tests.support.people import make_school as school
from tests.support.visitor import ORIGIN


async def test_a_rule_is_made_read_and_lifted(app: ASGIApp, services: Services, officers: Officers, now: datetime) -> None:
    """By number of document; the school has it in its journal; a key of the same office without the role is refused, and nobody closes what
    is no matter of schools."""
    one = await school(services.database, now, "A", "12")
    agency = await body(services.database, officers, now, "12")
    keys = []
    async with services.database.write() as connection:
        await grant_role(connection, Act(officers.tenant, MACHINE, now), officers.second, Role.EDU_ADMIN, agency=agency)
        scopes, ends = frozenset({Scope.READ, Scope.LIST}), now + timedelta(days=1)
        for account in (officers.second, officers.verifier):
            keys.append((await create_token(connection, officers.tenant, AccountId(account), "x", scopes, now, ends))[1])
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=f"{ORIGIN}/api/v1/office/schools") as api:
        api.headers["Authorization"] = f"Bearer {keys[1]}"
        refused = await api.post("/rules", json={"category": "game", "document": "12/QĐ-SGDĐT"})
        assert refused.status_code == 403
        api.headers["Authorization"] = f"Bearer {keys[0]}"
        made = await api.post("/rules", json={"category": "game", "document": "12/QĐ-SGDĐT"})
        assert (made.status_code, made.json()["category"]) == (201, "game")
        assert [rule["document"] for rule in (await api.get("/rules")).json()["items"]] == ["12/QĐ-SGDĐT"]
        for wrong in ({"category": "porn", "document": "12/QĐ-SGDĐT"}, {"category": "social", "document": "không số"}):
            assert (await api.post("/rules", json=wrong)).status_code == 422
        assert (await api.post("/rules", json={"category": "game", "document": "13/QĐ-SGDĐT"})).status_code == 409
        lifted = await api.post(f"/rules/{made.json()['id']}/lift", json={"document": "15/QĐ-SGDĐT"})
        assert (lifted.status_code, (await api.get("/rules")).json()["items"]) == (204, [])
    async with services.database.read() as connection:
        assert [row.action for row in await read_rows(connection, one.tenant, 2)] == ["schools.released", "schools.tightened"]
