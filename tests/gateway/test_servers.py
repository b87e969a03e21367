"""Upstream servers: the text of a person, the resolvers of the system."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from gateway.servers import FALLBACK, as_the_system_asks, parse_server, system_servers
from gateway.settings import Endpoint, UpstreamAddress
from tests.support.certificates import Authority
from tests.support.echogateway import settings_from

PIN = "/pin-sha256=" + "A" * 43 + "="


def unknown(name: str) -> str:
    """A look-up that finds nothing."""
    raise OSError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("udp://9.9.9.9", UpstreamAddress("udp", "9.9.9.9", 53, "", "9.9.9.9")),
        ("udp://127.0.0.1:5301", UpstreamAddress("udp", "127.0.0.1", 5301, "", "127.0.0.1")),
        ("tcp://[2001:db8::1]:5301", UpstreamAddress("tcp", "2001:db8::1", 5301, "", "2001:db8::1")),
        ("tcp://dns.example@192.0.2.1", UpstreamAddress("tcp", "dns.example", 53, "", "192.0.2.1")),
        ("udp://dns.example:54@[2001:db8::1]", UpstreamAddress("udp", "dns.example", 54, "", "2001:db8::1")),
        ("tls://dns.example@192.0.2.1", UpstreamAddress("tls", "dns.example", 853, "", "192.0.2.1")),
        ("tls://192.0.2.1", UpstreamAddress("tls", "192.0.2.1", 853, "", "192.0.2.1")),
        ("tls://dns.example", UpstreamAddress("tls", "dns.example", 853, "", "")),
        (f"tls://dns.example{PIN}@192.0.2.1", UpstreamAddress("tls", "dns.example", 853, PIN, "192.0.2.1")),
        ("https://dns.example@192.0.2.1", UpstreamAddress("https", "dns.example", 443, "/dns-query", "192.0.2.1")),
        ("https://dns.example:8443/family@192.0.2.1", UpstreamAddress("https", "dns.example", 8443, "/family", "192.0.2.1")),
        ("https://dns.example/dns-query", UpstreamAddress("https", "dns.example", 443, "/dns-query", "")),
    ],
)
def test_server_is_read_as_written(text: str, expected: UpstreamAddress) -> None:
    """Scheme, name, port and address each have their place."""
    assert expected == parse_server(text, unknown)


def test_server_text_reads_back_as_the_same_server() -> None:
    """What is shown can be written into a file again."""
    texts = ["udp://9.9.9.9", "tcp://[2001:db8::1]:5301", "tcp://dns.example@192.0.2.1", "https://dns.example/family", "tls://dns.example"]
    for text in [*texts, f"tls://dns.example{PIN}@[2001:db8::1]"]:
        server = parse_server(text, unknown)
        assert server == parse_server(str(server), unknown)


def test_name_without_an_address_is_looked_up_once() -> None:
    """A name is turned into an address when the file is read."""
    assert parse_server("udp://dns.example", lambda name: "192.0.2.7").address == "192.0.2.7"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9.9.9.9", "is not a server"),
        ("sdns://abc", "not a way to reach a server"),
        ("udp://9.9.9.9:0", "port 0"),
        ("udp://9.9.9.9:70000", "port 70000"),
        ("udp://300.1.1.1", "not an IP address"),
        ("udp://9.9.9.9/path", "belongs to https"),
        ("udp://dns.example@nowhere", "behind the @"),
        ("udp://dns.example", "write it behind an @"),
        ("tls://dns.example/dns-query@192.0.2.1", "SHA-256"),
        ("tls://dns.example/pin-sha256=short@192.0.2.1", "SHA-256"),
        ("tls://dns_..example", "not a domain name"),
        ("https://300.1.1.1", "not an IP address"),
    ],
)
def test_wrong_server_is_refused_with_the_remedy(text: str, expected: str) -> None:
    """Each mistake says what to write."""
    with pytest.raises(ValueError, match=expected):
        parse_server(text, unknown)


def test_system_servers_come_from_the_first_file_that_names_any(tmp_path: Path) -> None:
    """Comments, link-local addresses that do not say their link, and junk are passed over."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("# nothing here\nnameserver fe80::1\nnameserver junk\nsearch example\n")
    second.write_text("nameserver 192.0.2.1\nnameserver 2001:db8::1\nnameserver fe80::1%eth0\n")
    assert [server.address for server in system_servers((), [tmp_path / "none", first, second])] == [
        *("192.0.2.1", "2001:db8::1", "fe80::1%eth0")
    ]


def test_system_servers_leave_out_the_gateway_itself(tmp_path: Path) -> None:
    """A machine that uses this gateway as its resolver must not make it ask itself."""
    file = tmp_path / "resolv.conf"
    file.write_text("nameserver 127.0.0.1\nnameserver 192.0.2.1\n")
    for own in (Endpoint("127.0.0.1", 53), Endpoint("0.0.0.0", 53)):
        assert [server.address for server in system_servers((own,), [file])] == ["192.0.2.1"]
    assert [server.address for server in system_servers((Endpoint("127.0.0.1", 5300),), [file])] == ["127.0.0.1", "192.0.2.1"]


def test_fallback_servers_are_sound() -> None:
    """The last resort can be read."""
    assert all(parse_server(text, unknown) for text in FALLBACK)


def test_pin_is_made_as_the_documents_say(tmp_path: Path) -> None:
    """Whoever follows deploy/README.md with a certificate of their own gets a server that is read, and the pin of that key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    text = (Path(__file__).resolve().parents[2] / "deploy" / "README.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^openssl x509 -in cert\.pem .*$", text, re.MULTILINE)
    (server,) = re.findall(r'"(tls://\S+pin-sha256=BASE64@\S+)"', text)
    certificate = Authority(tmp_path).vouch("dot.example")
    (tmp_path / "cert.pem").write_bytes(certificate.certificate.read_bytes())
    made = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=True).stdout.strip()
    assert made == certificate.pin
    assert parse_server(server.replace("BASE64", made)).path == f"/pin-sha256={made}"


def test_system_is_followed_and_we_never_ask_ourselves(tmp_path: Path) -> None:
    """Other resolvers are taken over, none changes nothing; one that becomes ourselves when the address is back is left out, and the last
    resort stands in where nobody is left. What a person wrote stays."""
    file = tmp_path / "resolv.conf"
    base = settings_from({"state_dir": str(tmp_path)})
    listening = replace(base, dns=replace(base.dns, listen=(Endpoint("127.0.0.1", 53),)))

    def now(origin: Literal["file", "system", "fallback"], *servers: str) -> tuple[str, list[str]]:
        asked = replace(listening.upstreams, servers=tuple(map(parse_server, servers)), origin=origin)
        found = as_the_system_asks(replace(listening, upstreams=asked), [file]).upstreams
        return found.origin, [server.address for server in found.servers]

    assert now("system", "udp://192.0.2.1") == ("system", ["192.0.2.1"])
    assert now("system", "udp://127.0.0.1") == ("fallback", [server.removeprefix("udp://") for server in FALLBACK])
    assert now("system", "udp://127.0.0.1", "udp://192.0.2.1") == ("system", ["192.0.2.1"])
    assert now("fallback", *FALLBACK)[0] == "fallback"
    file.write_text("nameserver 127.0.0.1\nnameserver 192.0.2.2\n")
    assert now("fallback", *FALLBACK) == now("system", "udp://192.0.2.1") == ("system", ["192.0.2.2"])
    assert now("file", "udp://192.0.2.1") == ("file", ["192.0.2.1"])
