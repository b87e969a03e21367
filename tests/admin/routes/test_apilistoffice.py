"""Following a list office, for programs: the fingerprint is sent back before anything changes."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import httpx
from starlette.types import ASGIApp

from admin.audit import MACHINE, Act
from admin.permissions import Scope
from admin.sessions import create_token
from admin.settings import AdminSettings
from admin.tenants import create_account, create_organisation, grant_role
from blocklists.database import Database
from blocklists.joined import read_joined
from blocklists.pairing import JoinCode, fingerprint_of, words_of
from blocklists.tables import AccountId, OrganisationId, OrganisationKind, Role
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family
from tests.support.office import stored_password
from tests.support.publisher import Publisher, serve
from tests.support.visitor import ORIGIN


async def keyed(
    app: ASGIApp, database: Database, tenant: OrganisationId, account: AccountId, now: datetime, *scopes: Scope
) -> httpx.AsyncClient:
    """A program with a key of these scopes."""
    async with database.write() as connection:
        _, token = await create_token(connection, tenant, account, "máy", frozenset(scopes), now, now + timedelta(days=1))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=f"{ORIGIN}/api/v1", headers={"Authorization": f"Bearer {token}"})


async def test_a_code_is_confirmed_by_its_fingerprint(
    app: ASGIApp, database: Database, family: Family, settings: AdminSettings, gateway: ScriptedGateway, now: datetime, tmp_path: Path
) -> None:
    """Without it nothing changes and the code is explained; a wrong one, a code that does not fit, a stale tag: nothing changes; then it
    is followed, and left."""
    office = Publisher(tmp_path / "office")
    own = fingerprint_of(office.root)
    async with await keyed(app, database, family.tenant, family.account, now, Scope.READ, Scope.MACHINES) as http:
        with serve(office.folder) as url:
            code = str(JoinCode(url, own))
            asked = (await http.put("/list-office", json={"code": code})).json()
            assert (asked["office"], asked["to_confirm"]) == (None, {"url": url, "fingerprint": own, "words": words_of(own)})
            foreign = JoinCode(url, fingerprint_of(b"x"))
            refused = [
                await http.put("/list-office", json={"code": "abc"}),
                await http.put("/list-office", json={"code": code, "fingerprint": "b" * 26}),
                await http.put("/list-office", json={"code": str(foreign), "fingerprint": foreign.fingerprint}),
                await http.put("/list-office", json={"code": code, "fingerprint": own}, headers={"If-Match": '"old"'}),
                await http.put("/list-office", json={"code": "x" * 601}),
            ]
            assert [(one.status_code, one.json()["error"]["code"]) for one in refused] == [
                (422, "invalid_input"), (422, "invalid_input"), (409, "not_joined"), (412, "changed"), (422, "invalid_input"),
            ]  # fmt: skip
            assert read_joined(settings.state_dir) is None
            joined = await http.put("/list-office", json={"code": code, "fingerprint": own.upper()})
        assert joined.json()["office"] == {"url": url, "fingerprint": own, "words": words_of(own)}
        assert read_joined(settings.state_dir) is not None
        assert (await http.delete("/list-office")).status_code == 204
        assert read_joined(settings.state_dir) is None and (await http.get("/list-office")).json()["office"] is None


async def test_only_who_keeps_the_machine_says_whose_list_it_follows(
    app: ASGIApp, database: Database, family: Family, gateway: ScriptedGateway, now: datetime
) -> None:
    """A key for reading changes nothing; where several share the machine, it is the operator's."""
    code = {"code": "https://danhsach.example/release#" + "a" * 26}
    async with await keyed(app, database, family.tenant, family.account, now, Scope.READ, Scope.POLICY) as http:
        refused = [await http.put("/list-office", json=code), await http.delete("/list-office")]
        assert [(one.status_code, one.json()["error"]["code"]) for one in refused] == [(403, "scope")] * 2
    stored = await stored_password()
    async with database.write() as connection:
        machine = await create_organisation(connection, OrganisationKind.OPERATOR, "Trung tâm", "vi", now)
        keeper = await create_account(connection, "keeper", "Người vận hành", stored, "vi", now)
        await grant_role(connection, Act(machine, MACHINE, now), keeper, Role.OPERATOR)
    async with await keyed(app, database, family.tenant, family.account, now, Scope.READ, Scope.MACHINES) as http:
        refused = [await http.get("/list-office"), await http.put("/list-office", json=code), await http.delete("/list-office")]
        assert [one.status_code for one in refused] == [404] * 3
    async with await keyed(app, database, machine, keeper, now, Scope.READ, Scope.MACHINES) as http:
        assert (await http.put("/list-office", json=code)).json()["to_confirm"]["fingerprint"] == "a" * 26
