"""Tokens and settings files: unguessable, readable, the same for the same phone, signed by the gateway's own certificate."""

from __future__ import annotations

import math
import plistlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import pkcs7

from admin.onboarding import GROUP, GROUPS, Reach, apple_profile, new_token, sign_profile
from blocklists.tables import ID_SIGNS
from gateway.settings import TlsSettings
from tests.support.certificates import Authority

REACH = Reach("dns.example", 853, 443, "/dns-query")


def test_token_has_at_least_sixty_random_bits_and_is_one_label() -> None:
    """A token can be read aloud, fits a domain label, and cannot be guessed."""
    assert GROUPS * GROUP * math.log2(len(ID_SIGNS)) >= 60
    tokens = {new_token() for _ in range(500)}
    assert len(tokens) == 500
    assert all(len(token) <= 63 and set(token) <= {*ID_SIGNS, "-"} and not token.startswith("-") for token in tokens)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("doh", {"DNSProtocol": "HTTPS", "ServerURL": "https://dns.example/dns-query/tok"}),
        ("dot", {"DNSProtocol": "TLS", "ServerName": "tok.dns.example"}),
    ],
)
def test_apple_file_names_the_phone(kind: str, expected: dict[str, str]) -> None:
    """The file holds the phone's own address, and is the same each time it is made."""
    made = apple_profile(REACH, "tok", kind)
    assert made is not None
    assert made == apple_profile(REACH, "tok", kind)
    document = plistlib.loads(made)
    assert document["PayloadContent"][0]["DNSSettings"] == expected
    assert document["PayloadRemovalDisallowed"] is False


def test_nothing_is_made_for_what_the_gateway_does_not_offer() -> None:
    """No file and no name for a transport that is off, or a port phones cannot use."""
    off = Reach(None, None, None, "/dns-query")
    assert (off.is_ready, off.android_name("t"), off.doh_url("t"), apple_profile(off, "t", "doh")) == (False, None, None, None)
    odd = Reach("dns.example", 8853, 8443, "/dns-query")
    assert not odd.android_works
    assert odd.doh_url("t") == "https://dns.example:8443/dns-query/t"
    assert apple_profile(odd, "t", "dot") is None
    assert apple_profile(odd, "t", "other") is None


def test_settings_file_is_signed_while_the_certificate_is_valid(tmp_path: Path) -> None:
    """With a valid certificate the file is a signed message around the same content; without one it is given as it is."""
    vouched = Authority(tmp_path).vouch("dns.example")
    made = apple_profile(REACH, "tok", "doh")
    assert made is not None
    now = datetime.now(UTC)
    signed = sign_profile(made, TlsSettings(vouched.certificate, vouched.key), now)
    assert signed != made
    assert b"https://dns.example/dns-query/tok" in signed
    assert len(pkcs7.load_der_pkcs7_certificates(signed)) == 1
    assert sign_profile(made, TlsSettings(vouched.certificate, vouched.key), now + timedelta(days=400)) == made
    assert sign_profile(made, TlsSettings(tmp_path / "gone.pem", tmp_path / "gone.key"), now) == made
    assert sign_profile(made, None, now) == made
