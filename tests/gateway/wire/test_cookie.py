"""Server cookies: the published vectors, ages, secrets in rotation."""

from __future__ import annotations

import pytest

from gateway.wire.cookie import CookieJar, CookieState, siphash24

SECRET = bytes.fromhex("e5e973e5a6b2a43f48e7dc849e37bfcf")
CLIENT = bytes.fromhex("2464c4abcf10c957")
ADDRESS = bytes((198, 51, 100, 100))
MADE_AT = 1559731985


def test_siphash_reference_vector() -> None:
    """The vector of the SipHash paper, appendix A."""
    assert siphash24(bytes(range(16)), bytes(range(15))) == (0xA129CA6149BE45E5).to_bytes(8, "little")


def test_learning_a_new_cookie_as_in_the_rfc() -> None:
    """RFC 9018 appendix A.1: this secret, client and time make this cookie."""
    made = CookieJar((SECRET,)).make(CLIENT, ADDRESS, MADE_AT)
    assert made.hex() == "2464c4abcf10c957010000005cf79f111f8130c3eee29480"


def test_another_client_renews_as_in_the_rfc() -> None:
    """RFC 9018 appendix A.2: the same client 40 minutes later gets a renewed cookie."""
    jar = CookieJar((SECRET,))
    old = bytes.fromhex("2464c4abcf10c957010000005cf79f111f8130c3eee29480")
    state, fresh = jar.answer(old, ADDRESS, 1559734385)
    assert state is CookieState.VALID
    assert fresh.hex() == "2464c4abcf10c957010000005cf7a871d4a564a1442aca77"


def test_reserved_octets_are_hashed_as_in_the_rfc() -> None:
    """RFC 9018 appendix A.3: a cookie with reserved bits set is valid in its hour, and is replaced by one without."""
    old = bytes.fromhex("fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5")
    address = bytes((203, 0, 113, 203))
    jar = CookieJar((SECRET,))
    assert jar.check(old, address, 0x5CF78F71) is CookieState.VALID
    assert jar.answer(old, address, 1559734700)[1].hex() == "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e"


@pytest.mark.parametrize(
    ("age", "state"),
    [(0, CookieState.VALID), (3600, CookieState.VALID), (3601, CookieState.BAD), (-300, CookieState.VALID), (-301, CookieState.BAD)],
)
def test_ages(age: int, state: CookieState) -> None:
    """A cookie is good for an hour, and may come five minutes from the future."""
    jar = CookieJar((SECRET,))
    assert jar.check(jar.make(CLIENT, ADDRESS, MADE_AT), ADDRESS, MADE_AT + age) is state


def test_cookie_is_kept_while_young_and_renewed_later() -> None:
    """For half an hour the same cookie comes back, then a fresh one."""
    jar = CookieJar((SECRET,))
    made = jar.make(CLIENT, ADDRESS, MADE_AT)
    assert jar.answer(made, ADDRESS, MADE_AT + 1800) == (CookieState.VALID, made)
    assert jar.answer(made, ADDRESS, MADE_AT + 1801)[1] == jar.make(CLIENT, ADDRESS, MADE_AT + 1801)


def test_other_address_other_client_other_secret_do_not_match() -> None:
    """A cookie proves one client at one address under one secret."""
    jar = CookieJar((SECRET,))
    made = jar.make(CLIENT, ADDRESS, MADE_AT)
    assert jar.check(made, bytes(4), MADE_AT) is CookieState.BAD
    assert jar.check(bytes(8) + made[8:], ADDRESS, MADE_AT) is CookieState.BAD
    assert CookieJar((bytes(16),)).check(made, ADDRESS, MADE_AT) is CookieState.BAD


def test_two_secrets_during_rotation() -> None:
    """Cookies of the second secret are still accepted and replaced by cookies of the first."""
    old = CookieJar((SECRET,)).make(CLIENT, ADDRESS, MADE_AT)
    jar = CookieJar((bytes(range(16)), SECRET))
    state, fresh = jar.answer(old, ADDRESS, MADE_AT)
    assert state is CookieState.VALID
    assert fresh == CookieJar((bytes(range(16)),)).make(CLIENT, ADDRESS, MADE_AT)


@pytest.mark.parametrize("cookie", [CLIENT + bytes(8), CLIENT + bytes(16), CLIENT + b"\2" + bytes(15), CLIENT + bytes(32)])
def test_foreign_cookies_are_bad_not_errors(cookie: bytes) -> None:
    """Another length or version is a cookie that is not ours."""
    assert CookieJar((SECRET,)).check(cookie, ADDRESS, MADE_AT) is CookieState.BAD


def test_client_cookie_alone() -> None:
    """Eight octets ask for a server cookie."""
    assert CookieJar((SECRET,)).check(CLIENT, ADDRESS, MADE_AT) is CookieState.CLIENT_ONLY


def test_secret_length_is_checked() -> None:
    """A secret of another length is a mistake of the program."""
    with pytest.raises(ValueError, match="16 octets"):
        CookieJar((b"short",))
