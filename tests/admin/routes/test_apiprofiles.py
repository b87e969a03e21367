"""The API's profiles do what the pages do, and are enforced as quickly."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import httpx
import pytest
from starlette.types import ASGIApp

from admin.dependencies import Services
from admin.permissions import Scope
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


async def test_profile_is_read_changed_and_enforced(
    api: httpx.AsyncClient, services: Services, family: Family, gateway: ScriptedGateway
) -> None:
    """Band, settings and hours: what the answer says is what the gateway holds."""
    hours = [{"days": "school", "starts": "20:30", "ends": "06:00", "effect": "offline"}]
    body = {"band": "CS", "safe_search": "on", "youtube": "moderate", "hours": hours}
    out = (await api.patch(f"/profiles/{family.bi.id}", json=body)).json()
    assert (out["band"], out["safe_search"], out["youtube"], out["hours"]) == ("CS", True, "moderate", hours)
    held = in_force(services, gateway, family, family.bi.id)
    assert (held["band"], held["youtube"], held["schedule"][0]["effect"]) == ("CS", "moderate", "offline")
    back = (await api.patch(f"/profiles/{family.bi.id}", json={"youtube": "default", "safe_search": "default"})).json()
    assert (back["youtube"], back["safe_search"]) == (None, None)


async def test_switches_and_names(api: httpx.AsyncClient, services: Services, family: Family, gateway: ScriptedGateway) -> None:
    """Open, close, leave to the band; list and take off; what is locked is refused."""
    path = f"/profiles/{family.bi.id}"
    assert (await api.put(f"{path}/category/game", json={"state": "allow"})).json()["categories"] == {"game": "allow"}
    assert (await api.put(f"{path}/service/zalo", json={"state": "allow"})).json()["services"] == {"zalo": "allow"}
    assert (await api.put(f"{path}/category/game", json={"state": None})).json()["categories"] == {}
    locked = await api.put(f"{path}/category/gamb", json={"state": "allow"})
    assert (locked.status_code, locked.json()["error"]["code"], locked.json()["error"]["field"]) == (409, "locked", "code")
    name = (await api.post(f"{path}/names", json={"name": "https://Bad.example/x", "effect": "deny"})).json()
    assert name["name"] == "bad.example"
    assert in_force(services, gateway, family, family.bi.id)["deny"] == ["bad.example"]
    assert (await api.post(f"{path}/names", json={"name": "bad.example", "effect": "deny"})).status_code == 409
    assert (await api.delete(f"{path}/names/{name['id']}")).status_code == 204
    assert (await api.delete(f"{path}/names/{name['id']}")).status_code == 404


async def test_timed_acts(api: httpx.AsyncClient, services: Services, family: Family, gateway: ScriptedGateway, now: datetime) -> None:
    """Off and open with an absolute end; no end in the past, none beyond a day; ended by hand."""
    path = f"/profiles/{family.bi.id}/overrides"
    until = (now + timedelta(hours=1)).isoformat()
    made = await api.post(path, json={"kind": "off", "until": until}, headers={"Idempotency-Key": "a"})
    again = await api.post(path, json={"kind": "off", "until": until}, headers={"Idempotency-Key": "a"})
    assert (made.status_code, made.json()["id"]) == (201, again.json()["id"])
    later = (now + timedelta(hours=2)).isoformat()
    for address, said in ((path, later), (path.replace(family.bi.id, family.na.id), until)):  # another body, another child
        other = await api.post(address, json={"kind": "off", "until": said}, headers={"Idempotency-Key": "a"})
        assert (other.status_code, other.json()["error"]) == (409, {"code": "key_used", "field": "Idempotency-Key"})
    assert [one["kind"] for one in in_force(services, gateway, family, family.bi.id)["overrides"]] == ["off"]
    assert (await api.get(f"/profiles/{family.bi.id}")).json()["now"]["standing"] == "off"
    targets = [{"kind": "category", "value": "game"}, {"kind": "service", "value": "zalo"}]
    assert (await api.post(path, json={"kind": "open", "until": until, "targets": targets})).status_code == 201
    listed = (await api.get(path)).json()
    assert [(one["kind"], len(one["targets"])) for one in listed["items"]] == [("open", 2)]
    assert (await api.delete(f"{path}/{listed['items'][0]['id']}")).status_code == 204
    assert (await api.get(path)).json() == {"items": [], "next": None}


async def test_an_opening_through_the_rest_time_says_that_it_is_meant(api: httpx.AsyncClient, services: Services, family: Family) -> None:
    """Refused beyond the beginning of the next hours, unless the call names it."""
    path = f"/profiles/{family.bi.id}/overrides"
    until = "2026-10-13T12:00:00Z"
    body = {"kind": "open", "until": until, "targets": [{"kind": "category", "value": "game"}]}
    refused = await api.post(path, json=body)
    assert (refused.status_code, refused.json()["error"]["fields"][0]) == (422, {"field": "until", "code": "time_rest"})
    made = await api.post(path, json={**body, "through_rest": True})
    assert (made.status_code, made.json()["until"]) == (201, until)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "off", "until": "2026-10-12T12:00:00Z"}, "until"),
        ({"kind": "off", "until": "2026-10-14T12:00:00Z"}, "until"),
        ({"kind": "off", "until": "2026-10-12T20:00:00"}, "until"),
        ({"kind": "open", "until": "2026-10-12T14:00:00Z"}, "targets"),
        ({"kind": "open", "until": "2026-10-12T14:00:00Z", "targets": [{"kind": "category", "value": "x"}]}, "targets"),
        ({"kind": "open", "until": "2026-10-12T14:00:00Z", "targets": [{"kind": "name", "value": "a.example"}]}, "targets"),
    ],
)
async def test_acts_that_make_no_sense_are_refused(api: httpx.AsyncClient, family: Family, body: dict[str, object], field: str) -> None:
    """Each with the field that is wrong."""
    response = await api.post(f"/profiles/{family.bi.id}/overrides", json=body)
    assert response.status_code == 422
    assert response.json()["error"]["fields"][0]["field"] == field


async def test_children_come_and_go_but_adults_stay(api: httpx.AsyncClient, family: Family) -> None:
    """A child can be taken away; the adults and the guests cannot."""
    made = (await api.post("/profiles", json={"label": "Tí", "band": "MN"})).json()
    assert (await api.delete(f"/profiles/{made['id']}")).status_code == 204
    assert (await api.get(f"/profiles/{made['id']}")).status_code == 404
    for profile in (family.adults.id, family.guests.id):
        stays = await api.delete(f"/profiles/{profile}")
        assert (stays.status_code, stays.json()["error"]["code"]) == (409, "profile_stays")
    assert (await api.patch(f"/profiles/{family.adults.id}", json={"band": "PT"})).status_code == 422


async def test_hours_without_length_are_refused(api: httpx.AsyncClient, family: Family) -> None:
    """From nine to nine is no window."""
    hours = [{"days": "every", "starts": "21:00", "ends": "21:00", "effect": "rest"}]
    assert (await api.patch(f"/profiles/{family.bi.id}", json={"hours": hours})).status_code == 422
    hours = [{"days": "every", "starts": "9pm", "ends": "21:00", "effect": "rest"}]
    assert (await api.patch(f"/profiles/{family.bi.id}", json={"hours": hours})).status_code == 422
