"""Every answer carries the headers; a page cannot run anything that is not ours."""

from __future__ import annotations

import httpx
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from admin.edge.headers import ALWAYS, CONTENT_POLICY, Headers
from tests.support.visitor import Visitor


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    scope.setdefault("state", {}).setdefault("cookies", []).append("a=b")
    await PlainTextResponse("x", headers={"Cache-Control": "public"})(scope, receive, send)


async def fetch(scheme: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(Headers(hello)), base_url=f"{scheme}://x") as client:
        return await client.get("/")


async def test_headers_are_added_and_a_route_may_set_its_own() -> None:
    """What a route says about caching stays; everything else is there, cookies too."""
    response = await fetch("http")
    assert response.headers["cache-control"] == "public"
    assert response.headers["set-cookie"] == "a=b"
    assert {name: response.headers.get(name) for name in ALWAYS if name != "Cache-Control"} == {
        name: value for name, value in ALWAYS.items() if name != "Cache-Control"
    }


async def test_strict_transport_only_over_tls() -> None:
    """A home without a certificate is not locked out of its own page."""
    assert "strict-transport-security" not in (await fetch("http")).headers
    assert "strict-transport-security" in (await fetch("https")).headers


def test_content_policy_allows_nothing_inline_and_nothing_foreign() -> None:
    """No inline script or style, no frame, no foreign source."""
    assert "unsafe" not in CONTENT_POLICY
    assert "*" not in CONTENT_POLICY
    assert "default-src 'none'" in CONTENT_POLICY
    assert "frame-ancestors 'none'" in CONTENT_POLICY


async def test_every_kind_of_answer_carries_the_headers(visitor: Visitor) -> None:
    """Pages, errors, static files, redirects, the API: none goes without."""
    for path in ("/sign-in", "/nothing/here", "/static/lachan.css", "/", "/api/v1/status", "/why"):
        response = await visitor.http.get(path)
        assert response.headers["x-content-type-options"] == "nosniff", path
        assert "default-src 'none'" in response.headers["content-security-policy"], path
        assert response.headers["x-frame-options"] == "DENY", path
