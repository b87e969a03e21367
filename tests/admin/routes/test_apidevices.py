"""The API's devices and requests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime

import httpx
import pytest
from starlette.types import ASGIApp

from admin.audit import Act, by_account
from admin.dependencies import Services
from admin.hours import Hours, set_hours
from admin.permissions import Scope
from admin.requests import Asked, ask
from admin.values import Days, HoursEffect, RequestReason
from blocklists.tables import Role
from tests.admin.routes.test_api import client_for
from tests.admin.routes.test_profiles import in_force
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family


@pytest.fixture
async def api(app: ASGIApp, services: Services, family: Family, gateway: ScriptedGateway) -> AsyncIterator[httpx.AsyncClient]:
    """A program that may look and change."""
    await services.applier.settle(family.tenant)
    async with await client_for(app, services, family, Scope.READ, Scope.POLICY) as client:
        yield client


async def test_devices_named_and_new(api: httpx.AsyncClient, family: Family, gateway: ScriptedGateway, now: datetime) -> None:
    """What is named with when it was seen, and what waits for a name."""
    gateway.see("192.168.1.31", now, client=family.bi_phone, tenant=family.tenant)
    gateway.see("192.168.1.77", now, tenant=family.tenant)
    page = (await api.get("/devices")).json()
    seen = {row["id"]: row["last_seen"] for row in page["items"]}
    assert seen[family.bi_phone] is not None
    assert seen[family.na_phone] is None
    assert [row["address"] for row in page["new"]] == ["192.168.1.77"]
    await gateway.stop()
    assert (await api.get("/devices")).json()["new"] == []


async def test_device_is_given_moved_and_forgotten(api: httpx.AsyncClient, family: Family) -> None:
    """A life of a tablet; guests own nothing, and nonsense is no device."""
    made = await api.post("/devices", json={"profile": family.bi.id, "label": "Máy bảng", "match": "3C-22-FB-00-00-77"})
    assert (made.status_code, made.json()["matches"]) == (201, ["mac:3c:22:fb:00:00:77"])
    device = made.json()["id"]
    moved = await api.patch(f"/devices/{device}", json={"profile": family.na.id}, headers={"If-Match": made.headers["etag"]})
    assert moved.json()["profile"] == family.na.id
    late = await api.patch(f"/devices/{device}", json={"label": "x"}, headers={"If-Match": made.headers["etag"]})
    assert late.status_code == 412
    assert (await api.get(f"/devices/{device}")).headers["etag"] == moved.headers["etag"]
    assert (await api.delete(f"/devices/{device}")).status_code == 204
    assert (await api.get(f"/devices/{device}")).status_code == 404
    for body in (
        {"profile": family.guests.id, "label": "x", "match": "192.168.1.60"},
        {"profile": family.bi.id, "label": "x", "match": "bếp"},
    ):
        assert (await api.post("/devices", json=body)).status_code == 422
    taken = await api.post("/devices", json={"profile": family.bi.id, "label": "x", "match": "192.168.1.32"})
    assert taken.json()["error"]["code"] == "device_taken"


async def test_whole_network_is_no_adults(api: httpx.AsyncClient, family: Family) -> None:
    """An adult's phone behind a router is known by its IPv6 network, and so is the child's beside it: neither is made free by the other."""
    given = {"label": "x", "match": "2001:db8:9::/64"}
    refused = await api.post("/devices", json={**given, "profile": family.adults.id})
    assert (refused.status_code, refused.json()["error"]["fields"]) == (422, [{"field": "owner", "code": "network_frees"}])
    device = (await api.post("/devices", json={**given, "profile": family.na.id})).json()["id"]
    assert (await api.patch(f"/devices/{device}", json={"profile": family.adults.id})).status_code == 422
    assert (await api.patch(f"/devices/{device}", json={"profile": family.bi.id})).status_code == 200
    assert (await api.post("/devices", json={**given, "match": "2001:db8:7::1", "profile": family.adults.id})).status_code == 201


async def test_requests_are_read_and_answered(
    api: httpx.AsyncClient, services: Services, family: Family, gateway: ScriptedGateway, now: datetime
) -> None:
    """A waiting request, answered once, is in force."""
    async with services.database.write() as connection:
        asked = await ask(connection, family.tenant, Asked(None, "play.example", RequestReason.LESSON, "", family.bi.band), now)
    page = (await api.get("/requests")).json()
    assert [(row["host"], row["state"], row["profile"]) for row in page["items"]] == [("play.example", "waiting", None)]
    path = f"/requests/{asked.id}/answer"
    assert (await api.post(path, json={"decision": "1h"})).status_code == 422
    done = await api.post(path, json={"decision": "1h", "profile": family.bi.id})
    assert (done.status_code, done.json()["decision"]) == (200, "1h")
    assert in_force(services, gateway, family, family.bi.id)["overrides"][0]["names"] == ["play.example"]
    assert (await api.post(path, json={"decision": "no"})).status_code == 409


async def test_an_answer_ends_where_the_rest_time_begins(
    api: httpx.AsyncClient, services: Services, family: Family, gateway: ScriptedGateway, now: datetime
) -> None:
    """As on the page: bedtime closes what was opened, unless `through_rest` says that it is meant."""
    rows = (Hours(Days.EVERY, "20:00", "06:00", HoursEffect.OFFLINE),)
    async with services.database.write() as connection:
        await set_hours(connection, Act(family.tenant, by_account(family.account, Role.PARENT), now), family.bi.id, rows)
        asked = [
            await ask(connection, family.tenant, Asked(family.bi.id, host, RequestReason.LESSON, "", family.bi.band), now)
            for host in ("a.example", "b.example")
        ]
    for one, more in zip(asked, ({}, {"through_rest": True}), strict=True):
        assert (await api.post(f"/requests/{one.id}/answer", json={"decision": "1h", **more})).status_code == 200
    ends = {act["names"][0]: act["until"] for act in in_force(services, gateway, family, family.bi.id)["overrides"]}
    assert ends == {"a.example": "2026-10-12T13:00:00Z", "b.example": "2026-10-12T13:30:00Z"}
