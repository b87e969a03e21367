"""What a browser shows of its phone: the cookie, the name, and from where."""

from __future__ import annotations

import pytest

from admin.ownphone import is_one_place, new_cookie, nonce_of


def test_nonce_is_for_the_cookie_and_tells_nothing_of_it() -> None:
    """The same cookie, the same name; another secret, another name; the secret is not in it."""
    cookie = new_cookie()
    secret, fresh = cookie.split(".")
    nonce = nonce_of(cookie)
    assert nonce is not None and nonce == nonce_of(cookie) and nonce.startswith(fresh) and len(nonce) == 24
    assert secret not in nonce
    assert nonce_of(f"{'0' * 32}.{fresh}") != nonce


@pytest.mark.parametrize("cookie", [None, "", "x", "a.b", f"{'g' * 32}.{'0' * 12}", f"{'0' * 32}.{'0' * 12}\n"])
def test_what_is_no_cookie_of_ours_has_no_name(cookie: str | None) -> None:
    """Whatever a browser sends."""
    assert nonce_of(cookie) is None


@pytest.mark.parametrize(
    ("one", "other", "is_one"),
    [
        ("203.0.113.7", "203.0.113.7", True),
        ("203.0.113.7", "203.0.113.8", False),
        ("2001:db8:1:2::a", "2001:db8:1:2:ffff::b", True),
        ("2001:db8:1:2::a", "2001:db8:1:3::a", False),
        ("2001:db8::7", "203.0.113.7", False),
    ],
)
def test_one_place_is_one_address_or_one_network_of_ipv6(one: str, other: str, is_one: bool) -> None:
    """A phone has several IPv6 addresses of one network, and one IPv4 address."""
    assert is_one_place(one, other) is is_one
