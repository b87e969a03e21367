"""Our cookies: strict, out of reach of scripts, bound to the host where TLS allows it."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from admin.edge.cookies import SESSION, drop_cookie, give_cookie, read_cookie


def request(scheme: str, cookie: str = "") -> Request:
    headers = [(b"cookie", cookie.encode())] if cookie else []
    return Request({"type": "http", "scheme": scheme, "headers": headers, "method": "GET", "path": "/"})


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        ("http", "lachan=s; Path=/; HttpOnly; SameSite=Strict"),
        ("https", "__Host-lachan=s; Path=/; HttpOnly; SameSite=Strict; Secure"),
    ],
)
def test_give_cookie_sets_every_flag(scheme: str, expected: str) -> None:
    """Plain name at home without TLS, host-bound name with it."""
    one = request(scheme)
    give_cookie(one, SESSION, "s")
    assert one.scope["state"]["cookies"] == [expected]


def test_drop_cookie_ends_it() -> None:
    """Signing out leaves nothing in the browser."""
    one = request("http")
    drop_cookie(one, SESSION)
    assert one.scope["state"]["cookies"][0].endswith("Max-Age=0")


def test_read_cookie_over_tls_ignores_the_plain_name() -> None:
    """A cookie that a neighbour host could have set is not ours."""
    assert read_cookie(request("https", "lachan=evil"), SESSION) is None
    assert read_cookie(request("https", "__Host-lachan=s"), SESSION) == "s"
    assert read_cookie(request("http", "lachan=s"), SESSION) == "s"
