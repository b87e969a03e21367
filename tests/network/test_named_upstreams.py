"""A gateway that asks a public resolver by its name, in a school that closes exactly that resolver to its children.

    child 10.77.0.20 ── router with the exported rules ── internet: Unbound at 8.8.8.8 (plain, TLS and HTTPS as `dns.google`)
                           └── gateway 10.77.0.2

The name is on the list of names that children do not get, the address on the list that the router refuses. The gateway finds the one and
reaches the other all the same, also after everything it knew is forgotten.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from blocklists.exits import FORMATS
from tests.support import fw4, routeros
from tests.support.certificates import Authority
from tests.support.gateway import run_command
from tests.support.namespaces import HousedGateway, Machine, Networks, require

pytestmark = pytest.mark.full

CHILD, ADULT, BOX, PUBLIC = "10.77.0.20", "10.77.0.30", "10.77.0.2", "8.8.8.8"
UNBOUND = """
server:
  interface: 8.8.8.8@53
  interface: 8.8.8.8@853
  interface: 8.8.8.8@443
  tls-port: 853
  https-port: 443
  http-endpoint: /dns-query
  tls-service-key: {key}
  tls-service-pem: {certificate}
  access-control: 0.0.0.0/0 allow
  do-daemonize: no
  do-ip6: no
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  logfile: ""
  num-threads: 1
  module-config: "iterator"
  local-zone: google. static
  local-data: "dns.google. 300 IN A 8.8.8.8"
  local-zone: example. redirect
  local-data: "example. 300 IN A 198.51.100.20"
"""
SETTINGS = """
state_dir: var
dns: {listen: ["10.77.0.2:53"], workers: 1}
upstreams:
  servers: ["udp://8.8.8.8"]
  routes: {"example": ["{upstream}"]}
metrics: {listen: "127.0.0.1:9153"}
profiles:
  - {id: be-9-tuoi, band: TH, uncategorised: allow}
  - {id: nguoi-lon, band: NL}
clients:
  - {id: may-be, profile: be-9-tuoi, match: [10.77.0.20]}
  - {id: may-me, profile: nguoi-lon, match: [10.77.0.30]}
"""
CONNECTING = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 3).close()
    print("open")
except OSError as error:
    print(type(error).__name__)
"""


@dataclass
class School:
    """The machines of one test."""

    device: Machine
    router: Machine
    box: Machine
    folder: Path
    authority: Path

    def connect(self, port: int) -> str:
        """What a TCP connection from the child's device to the public resolver gives."""
        return self.device.run(sys.executable, "-c", CONNECTING, PUBLIC, str(port)).strip()

    def close(self, form: str) -> None:
        """Load the exported rules on the router."""
        interface = ("--interface", "eth0") if form == "nft" else ()
        text = run_command("exits", "export", "--format", form, "--gateway", BOX, *interface, "--same-network").stdout
        if form == "openwrt":
            text = fw4.ruleset(fw4.DEFAULT + text)
        elif form == "mikrotik":
            text = routeros.ruleset(text, {"LAN": "eth0", "WAN": "eth1"})
        self.router.run("nft", "-f", "-", text=text)

    def open(self) -> None:
        """Take the rules away."""
        self.router.run("nft", "flush", "ruleset")


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> Iterator[School]:
    """Child, router, gateway and the public resolver."""
    require("nft", "dig")
    if shutil.which("unbound") is None:
        pytest.skip("Unbound is not installed")
    folder = tmp_path_factory.mktemp("named")
    authority = Authority(folder)
    vouched = authority.vouch("dns.google")
    with Networks() as networks:
        lan, wan = networks.switch("lan"), networks.switch("wan")
        router = networks.machine("router", lan, "10.77.0.1/24")
        networks.plug(router, wan, "192.0.2.1/24", link="eth1")
        router.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        router.ip("route", "add", f"{PUBLIC}/32", "via", "192.0.2.9")
        device = networks.machine("device", lan, f"{CHILD}/24", f"{ADULT}/24", gateway="10.77.0.1")
        box = networks.machine("box", lan, f"{BOX}/24", gateway="10.77.0.1")
        internet = networks.machine("internet", wan, "192.0.2.9/24", f"{PUBLIC}/32", gateway="192.0.2.1")
        file = folder / "unbound.conf"
        file.write_text(UNBOUND.format(key=vouched.key, certificate=vouched.certificate))
        internet.start("unbound", "-d", "-c", str(file), log=folder / "unbound.log")
        school = School(device, router, box, folder, authority.file)
        end = time.monotonic() + 10
        while school.connect(853) != "open":
            assert time.monotonic() < end, (folder / "unbound.log").read_text()
            time.sleep(0.1)
        yield school


@pytest.mark.parametrize("upstream", ["tls://dns.google", "https://dns.google/dns-query"])
def test_own_upstream_by_name_survives_what_closes_it_to_children(school: School, upstream: str) -> None:
    """The child gets neither the name nor the address; the gateway gets both, whatever router closes them, finds the server anew after a
    restart, and the child's good names resolve through it, and through nothing else."""
    kind = upstream.partition(":")[0]
    folder, other = school.folder / kind, school.folder / f"{kind}-unvouched"
    folder.mkdir()
    other.mkdir()

    def find(name: str, source: str = CHILD) -> list[str]:
        return school.device.addresses(name, server=BOX, source=source)

    try:
        vouched = {"SSL_CERT_FILE": str(school.authority)}
        with HousedGateway(school.box, folder, SETTINGS, environment=vouched, upstream=upstream) as gateway:
            for form in FORMATS:
                school.open()
                school.close(form)
                assert find("dns.google") == ["0.0.0.0"] and find("dns.google", ADULT) == [PUBLIC]
                assert find(f"{form}.example") == ["198.51.100.20"]
                for port in (443, 853):
                    assert school.connect(port) == "ConnectionRefusedError", (form, port)
            gateway.stop()
            gateway.start()
            assert find("later.example") == ["198.51.100.20"] and find("dns.google") == ["0.0.0.0"]
        with HousedGateway(school.box, other, SETTINGS, upstream=upstream):  # nobody vouches for the server's certificate
            assert find("unvouched.example") == [] and find("dns.google", ADULT) == [PUBLIC]
    finally:
        school.open()
