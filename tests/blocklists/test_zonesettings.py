"""A zone from a primary as the file says it: address, key, TLS; what is missing or too much is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from blocklists.settings import check_lists
from blocklists.zonesettings import Primary, TlsPrimary, copy_of_zone, read_address
from gateway.settings import Endpoint
from gateway.yamlfile import parse

PIN = "A" * 43 + "="


def read(primary: str, folder: Path) -> tuple[Primary | None, list[str]]:
    """The primary of one zone, and what is wrong without file and line."""
    found, mistakes = check_lists(parse(f"rpz: [{{name: rpz.example, primary: {primary}}}]", folder / "lachan.yaml"), folder / "var")
    return (found.rpz[0].primary if found else None), [f"{one.path.partition(': ')[2]}: {one.message}" for one in mistakes]


def test_whole_primary_is_read(tmp_path: Path) -> None:
    """Its copy lies below the state directory; the usual port is that of its transport."""
    (tmp_path / "k").write_text("MDEyMzQ1Njc4OWFiY2RlZg==")
    (tmp_path / "ca.pem").touch()
    primary, mistakes = read('{address: "127.0.0.1:5399", tsig: {name: k, algorithm: hmac-sha512, secret_file: k}}', tmp_path)
    assert primary is not None and mistakes == []
    assert primary.key is not None and (primary.address, primary.key.algorithm) == (Endpoint("127.0.0.1", 5399), "hmac-sha512")
    assert read("{address: 192.0.2.53}", tmp_path)[0] == Primary(Endpoint("192.0.2.53", 53))
    named = read('{address: "[2001:db8::53]", tls: {name: NS1.example, authorities: ca.pem}}', tmp_path)[0]
    assert named == Primary(Endpoint("2001:db8::53", 853), tls=TlsPrimary("ns1.example", b"", tmp_path / "ca.pem"))
    assert str(named) == "[2001:db8::53]:853 (TLS)"
    assert read(f'{{address: 192.0.2.53, tls: {{pin: "{PIN}"}}}}', tmp_path)[0] == Primary(
        Endpoint("192.0.2.53", 853), tls=TlsPrimary(pin=bytes(32))
    )


@pytest.mark.parametrize(
    ("primary", "expected"),
    [
        ("{}", "rpz[0].primary.address: this key is needed here"),
        ("{address: ns1.example}", "rpz[0].primary.address: 'ns1.example' is not an address such as"),
        ("{address: 192.0.2.53, tsig: {name: k, secret_file: k}}", "rpz[0].primary.tsig.secret_file: cannot be read"),
        ("{address: 192.0.2.53, tls: {}}", "rpz[0].primary.tls: a primary is known by a name or by a pin"),
        (
            f'{{address: 192.0.2.53, tls: {{name: a.example, pin: "{PIN}"}}}}',
            "rpz[0].primary.tls: a primary is known by a name or by a pin",
        ),
        ('{address: 192.0.2.53, tls: {pin: "short"}}', "rpz[0].primary.tls.pin: the pin is not a SHA-256 digest"),
        (f'{{address: 192.0.2.53, tls: {{pin: "{PIN}", authorities: a}}}}', "rpz[0].primary.tls: authorities belong to a name"),
        ("{address: 192.0.2.53, tls: {name: a.example, authorities: a}}", "rpz[0].primary.tls.authorities: there is no file"),
        ("{address: 192.0.2.53, port: 53}", "rpz[0].primary.port: unknown key 'port'"),
    ],
)
def test_wrong_primary_is_refused_at_its_place(primary: str, expected: str, tmp_path: Path) -> None:
    """Before anything is asked for."""
    found, mistakes = read(primary, tmp_path)
    assert found is None
    assert any(line.startswith(expected) for line in mistakes), mistakes


def test_file_and_primary_exclude_each_other(tmp_path: Path) -> None:
    """A zone has one origin."""
    text = "rpz: [{name: a.rpz, file: a, primary: {address: 192.0.2.53}}, {name: b.rpz}]"
    _, mistakes = check_lists(parse(text, tmp_path / "lachan.yaml"), tmp_path / "var")
    assert [one.message for one in mistakes] == ["a zone has either its file or a primary"] * 2


def test_copy_has_a_place_for_every_name(tmp_path: Path) -> None:
    """Whatever is in a name, and however long it is."""
    assert copy_of_zone(tmp_path, "RPZ.Example") == tmp_path / "zones" / "rpz.example.zone"
    assert copy_of_zone(tmp_path, "../x").parent == tmp_path / "zones"
    assert len(copy_of_zone(tmp_path, ".".join(["ờ" * 20] * 9)).name) < 255


@pytest.mark.parametrize("text", ["", "192.0.2.53:", "192.0.2.53:+1", "[192.0.2.53]:53", "2001:db8::53", "192.0.2.53:65536"])
def test_odd_addresses_are_refused(text: str) -> None:
    """An IPv6 address stands in brackets, a port is a number."""
    with pytest.raises(ValueError, match=r"\S*"):
        read_address(text, 53)
