"""Changes come from our own pages only."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from admin.edge.origin import has_token, is_own_origin

HOST = "192.168.1.2:8080"


@pytest.mark.parametrize(
    ("headers", "own"),
    [
        ({"origin": f"http://{HOST}"}, True),
        ({"origin": f"http://{HOST}", "sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"origin": "http://192.168.1.2"}, False),
        ({"origin": f"https://{HOST}"}, False),
        ({"origin": "null"}, False),
        ({"origin": "null", "sec-fetch-site": "same-origin"}, False),
        ({"origin": f"http://{HOST}", "sec-fetch-site": "cross-site"}, False),
        ({"origin": f"http://{HOST}", "sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({}, False),
    ],
)
def test_is_own_origin_believes_the_browser_only(headers: dict[str, str], own: bool) -> None:
    """Same scheme, host and port, and nothing that says otherwise."""
    assert is_own_origin(Headers({"host": HOST, **headers}), "http") is own


@pytest.mark.parametrize(("value", "token"), [("Bearer x", True), ("bearer x", True), ("Basic x", False), ("", False)])
def test_has_token_needs_the_bearer_scheme(value: str, token: bool) -> None:
    """No browser sends a bearer token by itself, so such a request needs no origin."""
    assert has_token(Headers({"authorization": value})) is token
