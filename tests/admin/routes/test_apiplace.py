"""The API of a place as a whole: organisation, looks by a document, the home, histories, erasing, signing out, backups."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import httpx
import pytest
from starlette.types import ASGIApp

from admin.agreeing import propose_history
from admin.audit import MACHINE, Act, by_account
from admin.backup import restore
from admin.dependencies import Services
from admin.emergency import break_glass
from admin.history import find_keeping, make_box, start_history
from admin.keptbackups import list_backups, path_of
from admin.permissions import Scope
from admin.profiles import list_profiles
from admin.tenants import create_account, grant_role
from blocklists.database import Database
from blocklists.tables import OrganisationKind, Role
from tests.admin.routes.test_api import client_for
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family
from tests.support.people import PASSWORD, make_person
from tests.support.visitor import ORIGIN, Visitor

EVERY = (Scope.READ, Scope.POLICY, Scope.ERASE, Scope.BACKUP, Scope.BACKUP_READ)


@pytest.fixture
async def api(app: ASGIApp, services: Services, family: Family, gateway: ScriptedGateway) -> AsyncIterator[httpx.AsyncClient]:
    """A program of a family with every right that this room asks for."""
    async with await client_for(app, services, family, *EVERY) as client:
        yield client


async def test_a_key_knows_what_it_speaks_for(api: httpx.AsyncClient, family: Family) -> None:
    """One organisation, the role behind the key, and its scopes."""
    told = (await api.get("/organisation")).json()
    assert (told["id"], told["kind"], told["role"], told["demo"]) == (family.tenant, "family", "first_parent", False)
    assert told["scopes"] == sorted(scope.value for scope in EVERY)


async def test_a_key_that_changes_settings_changes_the_name(
    api: httpx.AsyncClient, app: ASGIApp, services: Services, family: Family
) -> None:
    """As on the page, within the same bounds; a key that only looks changes nothing."""
    assert (await api.patch("/organisation", json={"name": "Nhà  Bi"})).json()["name"] == "Nhà Bi"
    assert (await api.get("/organisation")).json()["name"] == "Nhà Bi"
    for wrong in ("", " ", "x" * 81):
        assert (await api.patch("/organisation", json={"name": wrong})).status_code == 422
    async with await client_for(app, services, family, Scope.READ) as looker:
        assert (await looker.patch("/organisation", json={"name": "Nhà khác"})).status_code == 403


async def test_the_person_is_signed_out_everywhere(api: httpx.AsyncClient, visitor: Visitor, family: Family) -> None:
    """A lost phone: one call; the key goes on."""
    await visitor.sign_in("me", PASSWORD)
    assert (await api.post("/sessions/end")).status_code == 204
    await visitor.get("/devices")
    assert "Đăng nhập" in visitor.text
    assert (await api.get("/organisation")).status_code == 200


async def test_a_look_by_a_document_is_told(api: httpx.AsyncClient, services: Services, family: Family, now: datetime) -> None:
    """Who, by which document, until when, and whether it is open."""
    host = await make_person(services.database, now, "vanhanh", OrganisationKind.OPERATOR, Role.OPERATOR)
    async with services.database.write() as connection:
        await break_glass(connection, Act(host.tenant, by_account(host.account, Role.OPERATOR), now), "me", "12/QĐ-UBND", 4)
    (look,) = (await api.get("/emergencies")).json()["items"]
    assert (look["document"], look["open"], look["until"]) == (
        "12/QĐ-UBND",
        True,
        (now + timedelta(hours=4)).isoformat().replace("+00:00", "Z"),
    )


async def test_a_history_is_told_and_ended_never_begun(
    api: httpx.AsyncClient, app: ASGIApp, services: Services, family: Family, now: datetime
) -> None:
    """Off, waiting for the child, kept; a program ends it and cannot begin one; a key that only looks ends nothing."""
    where = f"/profiles/{family.bi.id}/history"
    assert (await api.get(where)).json() == {"state": "off", "days": None, "kinds": None, "since": None, "waits_until": None}
    act = Act(family.tenant, by_account(family.account, Role.FIRST_PARENT), now)
    async with services.database.write() as connection:
        await propose_history(connection, act, family.bi, 3, "vi")
    assert (await api.get(where)).json()["state"] == "waiting"
    assert (await api.delete(where)).status_code == 204
    assert (await api.get(where)).json()["state"] == "off"
    box, _ = await make_box()
    async with services.database.write() as connection:
        await start_history(connection, act, family.bi, 3, True, "vi", box)
    told = (await api.get(where)).json()
    assert (told["state"], told["days"], told["kinds"]) == ("kept", 3, "names")
    async with await client_for(app, services, family, Scope.READ) as looker:
        assert (await looker.get(where)).status_code == 200 and (await looker.delete(where)).status_code == 403
    for method in ("POST", "PUT"):
        assert (await api.request(method, where, json={})).status_code == 405
    assert (await api.delete(where)).status_code == 204
    async with services.database.read() as connection:
        assert await find_keeping(connection, family.tenant, family.bi.id) is None
    assert (await api.get(f"/profiles/{family.adults.id}/history")).status_code == 404


async def test_the_other_parent_learns_nothing_of_histories(
    app: ASGIApp, services: Services, family: Family, gateway: ScriptedGateway, now: datetime
) -> None:
    """As on the page: a history is the first parent's matter, whatever the key's scope."""
    async with services.database.write() as connection:
        father = await create_account(connection, "bo", "Bố", "x", "vi", now)
        await grant_role(connection, Act(family.tenant, MACHINE, now), father, Role.PARENT)
    his = Family(family.tenant, father, family.bi, family.na, family.adults, family.guests, family.bi_phone, family.na_phone)
    async with await client_for(app, services, his, *EVERY) as client:
        for method, path in (
            ("GET", f"/profiles/{family.bi.id}/history"),
            ("DELETE", f"/profiles/{family.bi.id}/history"),
            ("POST", f"/profiles/{family.bi.id}/erase"),
            ("GET", "/backups"),
        ):
            body = {"confirm": family.bi.id} if method == "POST" else None
            assert (await client.request(method, path, json=body)).status_code == 403, path


async def test_erasing_wants_the_id_once_more_and_a_right_of_its_own(
    api: httpx.AsyncClient, app: ASGIApp, services: Services, family: Family
) -> None:
    """A slip erases nothing; done, the child is gone here and in the backups that are kept."""
    await api.post("/backups")
    where = f"/profiles/{family.bi.id}/erase"
    async with await client_for(app, services, family, Scope.READ, Scope.POLICY, Scope.BACKUP) as weaker:
        assert (await weaker.post(where, json={"confirm": family.bi.id})).status_code == 403
    slip = await api.post(where, json={"confirm": family.na.id})
    assert (slip.status_code, slip.json()["error"]["fields"]) == (422, [{"field": "confirm", "code": "confirm_profile"}])
    assert (await api.post(f"/profiles/{family.adults.id}/erase", json={"confirm": family.adults.id})).status_code == 404
    assert (await api.post(where, json={"confirm": family.bi.id})).status_code == 204
    assert (await api.get(f"/profiles/{family.bi.id}")).status_code == 404
    state = services.settings.state_dir
    await restore(services.database, state, path_of(state, list_backups(state)[0]), services.now())
    async with services.database.read() as connection:
        assert "Bi" not in {one.label for one in await list_profiles(connection, family.tenant)}


async def test_the_home_is_only_where_the_program_asks_from(
    app: ASGIApp, services: Services, family: Family, gateway: ScriptedGateway
) -> None:
    """Made, linked at its own address, taken back; nobody else's address is claimed."""
    async with await client_for(app, services, family, Scope.READ, Scope.POLICY) as client:
        made = [await client.post("/home", json={"profile": family.bi.id}, headers={"Idempotency-Key": "h"}) for _ in range(2)]
        assert [one.status_code for one in made] == [201, 201] and made[0].json() == made[1].json()
        assert (await client.post("/home", json={"profile": family.bi.id})).json()["error"]["code"] == "home_there"
        refused = await client.put("/home/address", json={"address": "203.0.113.7"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "address_not_yours")
        assert (await client.put("/home/address", json={"address": "here"})).json()["error"]["fields"][0]["code"] == "network_form"
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("118.69.0.10", 40000))
    async with httpx.AsyncClient(transport=transport, base_url=f"{ORIGIN}/api/v1", headers=client.headers) as outside:
        linked = await outside.put("/home/address", json={"address": "118.69.0.10"})
        assert [one["network"] for one in linked.json()["addresses"]] == ["118.69.0.10"], linked.text
        assert (await outside.get("/home")).json() == linked.json()
        assert (await outside.delete("/home/address")).status_code == 204
        assert (await outside.get("/home")).json()["addresses"] == []
        assert (await outside.delete("/home")).status_code == 204
        assert (await outside.get("/home")).status_code == 404


async def test_the_same_backup_asked_for_at_once_is_one(api: httpx.AsyncClient, services: Services) -> None:
    """Three requests with one key make one backup; and of many at once no more are kept than there are places."""
    told = await asyncio.gather(*(api.post("/backups", headers={"Idempotency-Key": "n"}) for _ in range(3)))
    assert [one.status_code for one in told] == [201, 201, 201]
    assert len({one.json()["id"] for one in told}) == len(list_backups(services.settings.state_dir)) == 1
    many = await asyncio.gather(*(api.post("/backups") for _ in range(7)))
    assert sorted(one.status_code for one in many) == [201] * 4 + [409] * 3
    assert len(list_backups(services.settings.state_dir)) == 5


async def test_backups_are_made_kept_and_taken_by_rights_of_their_own(
    api: httpx.AsyncClient, app: ASGIApp, services: Services, family: Family, now: datetime, database: Database
) -> None:
    """Made once with one key; the file is whole; who makes them reads none; with a second organisation they are the operator's alone."""
    made = [await api.post("/backups", headers={"Idempotency-Key": "nightly"}) for _ in range(2)]
    assert [one.status_code for one in made] == [201, 201] and made[0].json() == made[1].json()
    (kept,) = (await api.get("/backups")).json()["items"]
    file = await api.get(f"/backups/{kept['id']}/file")
    assert (file.status_code, len(file.content), file.headers["content-type"]) == (200, kept["octets"], "application/octet-stream")
    assert zipfile.ZipFile(io.BytesIO(file.content)).testzip() is None
    async with await client_for(app, services, family, Scope.READ, Scope.BACKUP) as maker:
        assert (await maker.get(f"/backups/{kept['id']}/file")).json()["error"]["code"] == "scope"
        for _ in range(4):
            assert (await maker.post("/backups")).status_code == 201
        full = await maker.post("/backups")
        assert (full.status_code, full.json()["error"]["code"]) == (409, "backups_full")
        assert (await maker.delete(f"/backups/{kept['id']}")).status_code == 204
        assert (await maker.delete(f"/backups/{kept['id']}")).status_code == 404
    await make_person(database, now, "khac")
    for method, path in (("GET", "/backups"), ("POST", "/backups"), ("GET", f"/backups/{kept['id']}/file")):
        assert (await api.request(method, path)).status_code == 404, path
