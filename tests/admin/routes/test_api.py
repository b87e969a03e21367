"""The API: tokens only, stable errors, pages, idempotent creates, ETags, and a published schema."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import httpx
import pytest
from starlette.types import ASGIApp

from admin.dependencies import Services
from admin.permissions import Scope
from admin.sessions import create_token
from tests.admin.conftest import Clock
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family
from tests.support.people import PASSWORD, make_person
from tests.support.visitor import ORIGIN, Visitor


async def client_for(app: ASGIApp, services: Services, family: Family, *scopes: Scope) -> httpx.AsyncClient:
    now = services.now()
    async with services.database.write() as connection:
        _, secret = await create_token(connection, family.tenant, family.account, "test", frozenset(scopes), now, now + timedelta(days=30))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=f"{ORIGIN}/api/v1", headers={"Authorization": f"Bearer {secret}"})


@pytest.fixture
async def api(app: ASGIApp, services: Services, family: Family, gateway: ScriptedGateway) -> AsyncIterator[httpx.AsyncClient]:
    """A program that may look and change."""
    await services.applier.settle(family.tenant)
    async with await client_for(app, services, family, Scope.READ, Scope.POLICY) as client:
        yield client


async def test_status_tells_the_gateway_and_what_is_in_force(api: httpx.AsyncClient, gateway: ScriptedGateway, family: Family) -> None:
    """Ready, in force; away when it is."""
    status = (await api.get("/status")).json()
    assert (status["tenant"], status["gateway"], status["enforcement"]["pending"]) == (family.tenant, "ready", False)
    await gateway.stop()
    assert (await api.get("/status")).json()["gateway"] == "away"


@pytest.mark.parametrize("authorization", ["", "Bearer ", "Bearer lachan_wrong", "Bearer something", "Basic bWU6eA=="])
async def test_without_a_token_nothing_opens(app: ASGIApp, family: Family, authorization: str) -> None:
    """No token, a wrong one, another scheme: 401 with a code, also for changes."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url=ORIGIN) as client:
        for method, path in (("GET", "/api/v1/profiles"), ("POST", "/api/v1/profiles"), ("DELETE", f"/api/v1/profiles/{family.bi.id}")):
            headers = {"Authorization": authorization, "Origin": ORIGIN} if authorization else {"Origin": ORIGIN}
            response = await client.request(method, path, headers=headers, json={"label": "x", "band": "TH"} if method == "POST" else None)
            assert response.status_code == 401, (method, path)
            assert response.json()["error"]["code"] == "not_signed_in"


async def test_session_cookie_opens_no_api(visitor: Visitor, family: Family, gateway: ScriptedGateway) -> None:
    """A browser cannot be made to use the API with a parent's session."""
    await visitor.sign_in("me", PASSWORD)
    response = await visitor.http.get("/api/v1/profiles")
    assert response.status_code == 401


async def test_token_for_looking_changes_nothing(app: ASGIApp, services: Services, family: Family, gateway: ScriptedGateway) -> None:
    """Scope read: every change is forbidden."""
    async with await client_for(app, services, family, Scope.READ) as client:
        assert (await client.get("/profiles")).status_code == 200
        for method, path, body in (
            ("POST", "/profiles", {"label": "x", "band": "TH"}),
            ("PATCH", f"/profiles/{family.bi.id}", {"label": "x"}),
            ("PUT", f"/profiles/{family.bi.id}/category/game", {"state": "block"}),
            ("DELETE", f"/devices/{family.bi_phone}", None),
        ):
            response = await client.request(method, path, json=body)
            assert (response.status_code, response.json()["error"]["code"]) == (403, "scope"), path


async def test_unknown_things_and_fields_have_codes(api: httpx.AsyncClient, family: Family) -> None:
    """404 and 405 and 422 are JSON with a stable code and the field."""
    assert (await api.get("/profiles/nobody")).json() == {"error": {"code": "not_found", "field": None}}
    assert (await api.get("/nothing")).json()["error"]["code"] == "not_found"
    wrong = await api.post("/profiles", json={"label": "", "band": "XX", "colour": "red"})
    assert wrong.status_code == 422
    assert {row["field"] for row in wrong.json()["error"]["fields"]} == {"label", "band", "colour"}
    assert (await api.post("/profiles", content=b"{", headers={"Content-Type": "application/json"})).status_code == 422
    assert (await api.post("/profiles", content=b"x" * 70_000)).status_code == 413

    async def drip() -> AsyncIterator[bytes]:
        for _ in range(80):
            yield b"x" * 1000

    chunked = await api.post("/profiles", content=drip(), headers={"Content-Type": "application/json"})
    assert (chunked.status_code, chunked.json()["error"]["code"]) == (413, "too_large")


async def test_create_with_a_key_happens_once(api: httpx.AsyncClient, clock: Clock) -> None:
    """Repeated after a lost answer, it gives what the first one made; the key cannot make something else."""
    headers = {"Idempotency-Key": "k-1"}
    first = await api.post("/profiles", json={"label": "Tí", "band": "TH"}, headers=headers)
    again = await api.post("/profiles", json={"label": "Tí", "band": "TH"}, headers=headers)
    assert (first.status_code, first.json()["id"]) == (201, again.json()["id"])
    assert first.headers["location"] == f"/api/v1/profiles/{first.json()['id']}"
    device = {"profile": first.json()["id"], "label": "x", "match": "192.168.1.60"}
    other = await api.post("/devices", json=device, headers=headers)
    assert (other.status_code, other.json()["error"]["code"]) == (409, "key_used")
    clock.forward(days=1, minutes=1)
    later = await api.post("/profiles", json={"label": "Tí", "band": "TH"}, headers=headers)
    assert later.json()["id"] != first.json()["id"]


async def test_lists_are_pages(api: httpx.AsyncClient, family: Family) -> None:
    """Walking the cursor meets every profile once; a cursor that is none says so."""
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = (await api.get("/profiles", params={"limit": 3, **({"after": cursor} if cursor else {})})).json()
        seen += [row["id"] for row in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert sorted(seen) == sorted([family.bi.id, family.na.id, family.adults.id, family.guests.id])
    assert (await api.get("/profiles", params={"after": "nobody"})).json()["error"] == {"code": "cursor_unknown", "field": "after"}
    assert (await api.get("/profiles", params={"limit": 0})).status_code == 422


async def test_if_match_protects_from_lost_changes(api: httpx.AsyncClient, family: Family) -> None:
    """Two programs that change the same child: the second learns that it is late."""
    tag = (await api.get(f"/profiles/{family.bi.id}")).headers["etag"]
    first = await api.patch(f"/profiles/{family.bi.id}", json={"label": "Bi 2"}, headers={"If-Match": tag})
    assert first.status_code == 200
    late = await api.patch(f"/profiles/{family.bi.id}", json={"label": "Bi 3"}, headers={"If-Match": tag})
    assert (late.status_code, late.json()["error"]["code"]) == (412, "changed")


async def test_another_familys_things_do_not_exist(
    app: ASGIApp, services: Services, family: Family, api: httpx.AsyncClient, now: datetime
) -> None:
    """A token opens its own family only."""
    other = await make_person(services.database, now, sign_in="other")
    async with services.database.write() as connection:
        scopes = frozenset({Scope.READ, Scope.POLICY})
        _, secret = await create_token(connection, other.tenant, other.account, "x", scopes, now, now + timedelta(days=1))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {secret}"}
    async with httpx.AsyncClient(transport=transport, base_url=f"{ORIGIN}/api/v1", headers=headers) as client:
        assert (await client.get("/profiles")).json()["items"] == []
        for method, path, body in (
            ("GET", f"/profiles/{family.bi.id}", None),
            ("PATCH", f"/profiles/{family.bi.id}", {"label": "x"}),
            ("DELETE", f"/profiles/{family.bi.id}", None),
            ("PUT", f"/profiles/{family.bi.id}/category/game", {"state": "block"}),
            ("GET", f"/devices/{family.bi_phone}", None),
            ("PATCH", f"/devices/{family.bi_phone}", {"label": "x"}),
            ("POST", "/requests/nobody/answer", {"decision": "no"}),
        ):
            assert (await client.request(method, path, json=body)).status_code == 404, path


async def test_schema_is_published_and_complete(app: ASGIApp, services: Services) -> None:
    """OpenAPI without a token; every path says its errors, its security and its answer."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ORIGIN) as client:
        schema = (await client.get("/api/v1/openapi.json")).json()
    assert schema["openapi"].startswith("3.")
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            assert operation.get("security"), (method, path)
            assert {"401", "403", "422"} <= set(operation["responses"]), (method, path)
            assert operation.get("description") or operation.get("summary"), (method, path)
    assert "/profiles/{profile}" in schema["paths"]
