"""Tags and preconditions around any application: what is compared, what is passed on, and that one change waits for another."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from admin.edge.conditions import Conditions, describe, hold_to, tag_of
from admin.errors import Changed


class Thing:
    """One object that counts how often it was changed. What is under /gone is not there."""

    def __init__(self) -> None:
        self.count = self.asked = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if request.headers.get("authorization") == "nobody":
            await JSONResponse({"error": {}}, 401)(scope, receive, send)
            return
        await request.body()
        try:
            await hold_to(scope, request.headers.get("x-tenant", "one"))
        except Changed as error:
            await JSONResponse({"error": {"code": error.code, "field": error.field}}, error.status)(scope, receive, send)
            return
        self.asked += 1
        response: Response = JSONResponse({"count": self.count, "now": self.asked})
        if request.url.path.startswith("/things/gone"):
            response = JSONResponse({"error": {}}, 404)
        elif request.url.path == "/text":
            response = PlainTextResponse("words")
        elif request.method == "PUT":
            before = self.count
            await asyncio.sleep(0.01)
            self.count = before + 1
            response = JSONResponse({"count": self.count, "now": 1})
        await response(scope, receive, send)


@pytest.fixture
def http() -> httpx.AsyncClient:
    paths: dict[str, Any] = {"/things/{thing}": {"get": {}, "put": {}}, "/text": {"get": {}}}
    return httpx.AsyncClient(transport=httpx.ASGITransport(Conditions(Thing(), lambda: paths)), base_url="http://x")


async def test_moments_are_no_change(http: httpx.AsyncClient) -> None:
    """The tag stays while only the clock goes on; 304 has the tag and no body; text has no tag."""
    first, second = [await http.get("/things/a") for _ in range(2)]
    assert first.headers["etag"] == second.headers["etag"] == tag_of({"count": 0})
    for said in (first.headers["etag"], f'"x", W/{first.headers["etag"]}', "*"):
        known = await http.get("/things/a", headers={"If-None-Match": said})
        assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", first.headers["etag"]), said
        assert "content-length" not in known.headers
    assert (await http.get("/things/a", headers={"If-None-Match": '"x"'})).status_code == 200
    assert "etag" not in (await http.get("/text", headers={"If-None-Match": "*"})).headers
    assert (await http.get("/things/gone", headers={"If-None-Match": "*"})).status_code == 404


async def test_of_two_changes_with_one_tag_one_is_late(http: httpx.AsyncClient) -> None:
    """Sent side by side, below the object's own address as well; a weak tag is none for a change; `*` and no tag change anyway."""
    tag = (await http.get("/things/a")).headers["etag"]
    said = await asyncio.gather(*(http.put(path, headers={"If-Match": tag}) for path in ("/things/a", "/things/a/part")))
    assert sorted(one.status_code for one in said) == [200, 412]
    fresh = (await http.get("/things/a")).headers["etag"]
    late = await http.put("/things/a", headers={"If-Match": f"W/{fresh}"})
    assert (late.status_code, late.json()) == (412, {"error": {"code": "changed", "field": "If-Match"}})
    for headers in ({}, {"If-Match": "*"}, {"If-Match": f'"x", {fresh}'}):
        done = await http.put("/things/a", headers=headers)
        assert done.status_code == (200 if len(headers.get("If-Match", "")) < 5 else 412)
    assert (await http.put("/things/gone", headers={"If-Match": '"x"'})).status_code == 404, "the route says what is not there"
    assert (await http.put("/elsewhere", headers={"If-Match": '"x"'})).status_code == 412, "nothing of it can be read"


async def test_a_turn_is_of_one_object_and_one_tenant(http: httpx.AsyncClient) -> None:
    """A stranger is refused whatever the tag says; two tenants, and two objects, do not wait for each other; no lock stays."""
    tag = (await http.get("/things/a")).headers["etag"]
    refused = await http.put("/things/a", headers={"If-Match": '"x"', "Authorization": "nobody"})
    assert refused.status_code == 401
    calls = [("/things/a", "one"), ("/things/b", "one"), ("/things/a", "two")]
    said = await asyncio.gather(*(http.put(path, headers={"If-Match": tag, "X-Tenant": tenant}) for path, tenant in calls))
    assert [one.status_code for one in said] == [200, 200, 200], "each read the tag before any of them had changed the thing"
    around = http._transport.app  # type: ignore[attr-defined]
    assert len(around._turns) == 0


def test_the_schema_says_so() -> None:
    """Each operation names its header; a read names 304."""
    schema = describe({"paths": {"/a": {"get": {"responses": {"200": {}}}, "put": {"responses": {"200": {}, "204": {}}}}}})
    read, change = schema["paths"]["/a"]["get"], schema["paths"]["/a"]["put"]
    assert [one["name"] for one in (*read["parameters"], *change["parameters"])] == ["If-None-Match", "If-Match"]
    assert set(read["responses"]) == {"200", "304"} and "ETag" in change["responses"]["200"]["headers"]
    assert "headers" not in change["responses"]["204"]
