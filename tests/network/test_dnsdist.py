"""The shipped dnsdist configuration with a real dnsdist: the policy of the real client behind it, over plain DNS, TCP, DoT and DoH."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.certificates import Authority
from tests.support.echogateway import free_port
from tests.support.gateway import ROOT, Gateway, RunningUpstream
from tests.support.namespaces import records

pytestmark = pytest.mark.full

CONFIGURATION = ROOT / "deploy" / "dnsdist" / "dnsdist.conf"
CHILD, ADULT, UNKNOWN = "127.0.0.3", "127.0.0.2", "127.0.0.4"
OPEN, BLOCKED = ["198.51.100.1"], ["0.0.0.0"]
RECORDS = {
    ("chess.example", "A"): OPEN,
    ("facebook.com", "A"): OPEN,
    ("open.example", "A"): ["198.51.100.2"],
    ("spread.example", "A"): ["198.51.100.9"],
}
SETTINGS = """
state_dir: var
dns: {listen: ["127.0.0.1:0"], workers: 2, allow_from: ["127.0.0.1/32", "127.0.0.2/32", "127.0.0.4/32"]}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"]}
metrics: {listen: "127.0.0.1:{metrics}"}
tls: {certificate: {certificate}, key: {key}, name: dns.example.net}
proxy_protocol: {from: [127.0.0.1/32]}
profiles:
  - {id: be-9-tuoi, band: TH, deny: [chess.example], uncategorised: allow}
  - {id: nguoi-lon, band: NL}
clients:
  - {id: may-be, profile: be-9-tuoi, match: [127.0.0.3, "token:k3j9abcdefgh"]}
  - {id: may-me, profile: nguoi-lon, match: [127.0.0.1, 127.0.0.2, "token:m2p8abcdefgh"]}
"""


@dataclass
class Fleet:
    """A running dnsdist with one gateway behind it."""

    plain: int
    dot: int
    doh: int
    authority: Path
    upstream: RunningUpstream

    def ask(self, *arguments: str, source: str = ADULT) -> str:
        """What kdig prints; a client is its source address."""
        command = ["kdig", "@127.0.0.1", "-b", source, "+timeout=4", "+retry=0", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout

    def plainly(self, name: str, *arguments: str, source: str) -> list[str]:
        """The addresses a client gets over plain DNS."""
        return records(self.ask("-p", str(self.plain), name, *arguments, source=source), "A")

    def over_tls(self, name: str, server_name: str) -> list[str]:
        """The addresses a phone gets over DoT."""
        tls = (f"+tls-ca={self.authority}", f"+tls-hostname={server_name}", f"+tls-sni={server_name}")
        return records(self.ask("-p", str(self.dot), *tls, name, source=UNKNOWN), "A")

    def over_https(self, name: str, path: str, server_name: str = "dns.example.net") -> list[str]:
        """The addresses a browser gets over DoH."""
        tls = (f"+tls-ca={self.authority}", f"+tls-hostname={server_name}", f"+tls-sni={server_name}", f"+https={server_name}{path}")
        return records(self.ask("-p", str(self.doh), *tls, name, source=UNKNOWN), "A")


def configured(text: str, **values: str) -> str:
    """The shipped file with the values of its first part replaced; every name must be there."""
    for name, value in values.items():
        text, count = re.subn(rf"(?m)^{name} = .*$", f"{name} = {value}", text)
        assert count == 1, name
    return text


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """The shipped configuration on free ports."""
    for program in ("dnsdist", "kdig"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    folder = tmp_path_factory.mktemp("dnsdist")
    authority = Authority(folder)
    made = authority.vouch("dns.example.net", "*.dns.example.net", "127.0.0.1")
    fields = {"certificate": made.certificate, "key": made.key}
    with RunningUpstream(RECORDS) as upstream, Gateway(folder, SETTINGS, upstream=upstream.port, **fields) as gateway:
        plain, dot, doh = free_port(), free_port(), free_port()
        text = configured(
            CONFIGURATION.read_text(encoding="utf-8"),
            plain_listen=f"{{'127.0.0.1:{plain}'}}",
            dot_listen=f"{{'127.0.0.1:{dot}'}}",
            doh_listen=f"{{'127.0.0.1:{doh}'}}",
            certificate=f"'{made.certificate}'",
            key=f"'{made.key}'",
            gateways=f"{{'127.0.0.1:{gateway.port}'}}",
        )
        path, log = folder / "dnsdist.conf", folder / "dnsdist.log"
        path.write_text(text, encoding="utf-8")
        with log.open("wb") as out:
            process = subprocess.Popen(["dnsdist", "--supervised", "-C", str(path)], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        running = Fleet(plain, dot, doh, authority.file, upstream)
        try:
            end = time.monotonic() + 20
            while running.plainly("open.example", source=ADULT) != ["198.51.100.2"]:
                assert process.poll() is None and time.monotonic() < end, log.read_text(errors="replace")
                time.sleep(0.2)
            yield running
        finally:
            process.terminate()
            process.wait(10)


@pytest.mark.parametrize("transport", [(), ("+tcp",)])
def test_plain_clients_keep_their_policies(fleet: Fleet, transport: tuple[str, ...]) -> None:
    """The gateway sees the real addresses, not that of dnsdist (which is the adult's): child, adult, and a device nobody knows."""
    for _ in range(3):
        assert fleet.plainly("chess.example", *transport, source=CHILD) == []  # outside allow_from: only the token lets it in
        assert fleet.plainly("chess.example", *transport, source=ADULT) == OPEN
        assert fleet.plainly("facebook.com", *transport, source=UNKNOWN) == BLOCKED
    assert "REFUSED" in fleet.ask("-p", str(fleet.plain), "chess.example", *transport, source=CHILD)


def test_token_in_the_server_name_of_dot_is_passed_on(fleet: Fleet) -> None:
    """dnsdist ends TLS; the child is known all the same, and so is the adult."""
    assert fleet.over_tls("chess.example", "k3j9abcdefgh.dns.example.net") == BLOCKED
    assert fleet.over_tls("open.example", "k3j9abcdefgh.dns.example.net") == ["198.51.100.2"]
    assert fleet.over_tls("chess.example", "m2p8abcdefgh.dns.example.net") == OPEN
    assert fleet.over_tls("facebook.com", "dns.example.net") == BLOCKED
    assert fleet.over_tls("facebook.com", "m2p8abcdefgh.dns.example.net") == OPEN


def test_token_in_the_path_of_doh_is_passed_on(fleet: Fleet) -> None:
    """The last part of the path, or the server name."""
    assert fleet.over_https("chess.example", "/dns-query/k3j9abcdefgh") == BLOCKED
    assert fleet.over_https("chess.example", "/dns-query/m2p8abcdefgh") == OPEN
    assert fleet.over_https("chess.example", "/dns-query", "m2p8abcdefgh.dns.example.net") == OPEN
    assert fleet.over_https("facebook.com", "/dns-query") == BLOCKED


def test_reason_of_a_block_reaches_the_client(fleet: Fleet) -> None:
    """The extended error passes dnsdist."""
    printed = subprocess.run(
        ["dig", "@127.0.0.1", "-p", str(fleet.plain), "-b", UNKNOWN, "facebook.com", "+tries=1"],
        capture_output=True, text=True, timeout=20, check=False,
    ).stdout  # fmt: skip
    assert "EDE: 17" in printed


def test_queries_are_spread_over_the_workers(fleet: Fleet) -> None:
    """Several sockets of dnsdist reach several workers: each has a cache of its own, so each asks the upstream once."""
    for _ in range(40):
        assert fleet.plainly("spread.example", source=ADULT) == ["198.51.100.9"]
    asked = [each for each in fleet.upstream.script.asked if each.qname == "spread.example" and each.qtype == "A"]
    assert len(asked) == 2
