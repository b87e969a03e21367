"""The exported rules on a router with the real nft: a device with a hard-coded resolver is filtered all the same.

device 10.77.0.20 ── router ── internet: 192.0.2.8 (a stranger's resolver), 8.8.8.8 (public, and our upstream), 192.0.2.80 (a site)
                       └────── gateway 10.78.0.2, or at the devices' own switch as 10.77.0.2
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.gateway import run_command
from tests.support.namespaces import HousedGateway, HousedUpstream, Machine, Networks, require
from tests.support.upstream import ScriptedUpstream

pytestmark = pytest.mark.full

CHILD, ADULT = "10.77.0.20", "10.77.0.30"
STRANGE, PUBLIC, SITE = "192.0.2.8", "8.8.8.8", "192.0.2.80"
OPEN, BLOCKED = ["198.51.100.10"], ["0.0.0.0"]
RECORDS = {("facebook.com", "A"): OPEN, ("open.example", "A"): ["198.51.100.20"], ("vn-cop.vn", "A"): ["198.51.100.30"]}
SETTINGS = """
state_dir: var
dns: {listen: ["{address}:53"], workers: 1}
upstreams: {servers: ["udp://8.8.8.8"]}
metrics: {listen: "127.0.0.1:9153"}
profiles:
  - {id: be-9-tuoi, band: TH, uncategorised: allow}
  - {id: nguoi-lon, band: NL}
clients:
  - {id: may-be, profile: be-9-tuoi, match: [10.77.0.20]}
  - {id: may-me, profile: nguoi-lon, match: [10.77.0.30]}
"""
ACCEPTING = """
import asyncio
async def hello(reader, writer):
    writer.write(b"hello")
    await writer.drain()
    writer.close()
async def main():
    for host in ("192.0.2.8", "8.8.8.8", "192.0.2.80"):
        for port in (443, 853):
            await asyncio.start_server(hello, host, port)
    print("ready", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
CONNECTING = """
import socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), 3) as sock:
        print(sock.recv(5).decode())
except OSError as error:
    print(type(error).__name__)
"""


def resolver_at(host: str) -> ScriptedUpstream:
    """A resolver on port 53 that filters nothing."""
    resolver = ScriptedUpstream(RECORDS, host=host)
    resolver.port = 53
    return resolver


@dataclass
class School:
    """The machines of one test."""

    device: Machine
    router: Machine
    gateway: str
    rules: str

    def connect(self, host: str, port: int) -> str:
        """What a TCP connection from the device gives: `hello`, or the name of the error."""
        return self.device.run(sys.executable, "-c", CONNECTING, host, str(port)).strip()

    def close_exits(self) -> None:
        """Load the exported rules on the router, twice as somebody may: loading again replaces what is there."""
        for _ in range(2):
            self.router.run("nft", "-f", "-", text=self.rules)

    def open_exits(self) -> None:
        """Take the rules away."""
        self.router.run("nft", "flush", "ruleset")


@pytest.fixture(scope="module", params=["10.78.0.2", "10.77.0.2"])
def school(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[School]:
    """A router between devices, gateway and internet; the gateway in a network of its own, or at the devices' switch."""
    require("nft", "dig")
    address: str = request.param
    with Networks() as networks:
        lan, wan, servers = networks.switch("lan"), networks.switch("wan"), networks.switch("servers")
        router = networks.machine("router", lan, "10.77.0.1/24", "fd00:77::1/64")
        networks.plug(router, wan, "192.0.2.1/24", "fd00:99::1/64", link="eth1")
        networks.plug(router, servers, "10.78.0.1/24", link="eth2")
        router.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding")
        router.ip("route", "add", f"{PUBLIC}/32", "via", "192.0.2.9")
        device = networks.machine("device", lan, f"{CHILD}/24", f"{ADULT}/24", "fd00:77::20/64", gateway="10.77.0.1")
        device.ip("-6", "route", "add", "default", "via", "fd00:77::1")
        there = servers if address.startswith("10.78") else lan
        box = networks.machine("box", there, f"{address}/24", gateway=f"{address.rpartition('.')[0]}.1")
        hosts = (f"{STRANGE}/24", "192.0.2.9/24", f"{SITE}/24", f"{PUBLIC}/32", "fd00:99::8/64")
        internet = networks.machine("internet", wan, *hosts, gateway="192.0.2.1")
        internet.ip("-6", "route", "add", "default", "via", "fd00:99::1")
        folder = tmp_path_factory.mktemp("school")
        internet.start(sys.executable, "-c", ACCEPTING, log=folder / "internet.log")
        with (
            HousedUpstream(internet, upstream=resolver_at(STRANGE)),
            HousedUpstream(internet, upstream=resolver_at(PUBLIC)),
            HousedUpstream(internet, upstream=resolver_at("fd00:99::8")),
            HousedGateway(box, folder, SETTINGS, address=address),
        ):
            place = "--same-network" if there is lan else "--other-network"
            options = ("--format", "nft", "--gateway", address, "--interface", "eth0", place)
            school = School(device, router, address, run_command("exits", "export", *options).stdout)
            end = time.monotonic() + 10
            while school.connect(SITE, 443) != "hello" and time.monotonic() < end:
                time.sleep(0.1)
            yield school


@pytest.fixture
def is_same(school: School) -> bool:
    """Whether gateway and devices share a network."""
    return school.gateway.startswith("10.77.")


@pytest.fixture
def closed(school: School) -> Iterator[School]:
    """The school with the rules in force."""
    school.close_exits()
    yield school
    school.open_exits()


def test_without_rules_a_hard_coded_resolver_goes_around_the_gateway(school: School) -> None:
    """What the rules are for: the stranger's resolver answers everything, its encrypted ports are open."""
    assert school.device.addresses("facebook.com", server=school.gateway, source=CHILD) == BLOCKED
    assert school.device.addresses("facebook.com", server=STRANGE, source=CHILD) == OPEN
    assert school.device.addresses("facebook.com", server="fd00:99::8") == OPEN
    assert school.connect(STRANGE, 853) == school.connect(PUBLIC, 443) == "hello"


@pytest.mark.parametrize("transport", [(), ("+tcp",)])
def test_hard_coded_resolver_is_led_back_to_the_gateway(closed: School, transport: tuple[str, ...]) -> None:
    """The child is filtered whoever it asks, and does not notice; help stays open."""
    for server in (STRANGE, PUBLIC, "10.77.0.1"):
        assert closed.device.addresses("facebook.com", *transport, server=server, source=CHILD) == BLOCKED
        assert closed.device.addresses("vn-cop.vn", *transport, server=server, source=CHILD) == ["198.51.100.30"]


def test_who_asks_is_kept_where_the_gateway_has_a_network_of_its_own(closed: School, is_same: bool) -> None:
    """There an adult with a hard-coded resolver has the adult's policy; in a shared network the router asks, and gets the strictest."""
    assert closed.device.addresses("facebook.com", server=closed.gateway, source=ADULT) == OPEN
    assert closed.device.addresses("facebook.com", server=STRANGE, source=ADULT) == (BLOCKED if is_same else OPEN)


def test_own_upstream_survives_although_it_is_on_the_list(closed: School) -> None:
    """The gateway asks 8.8.8.8 through the same router: a name it has never seen still resolves."""
    assert closed.device.addresses("open.example", server=closed.gateway, source=ADULT) == ["198.51.100.20"]


def test_encrypted_dns_is_turned_down_at_once(closed: School) -> None:
    """DoT anywhere, DoH at the addresses of the list; refused, not dropped, so that devices fall back without waiting."""
    begin = time.monotonic()
    assert closed.connect(STRANGE, 853) == "ConnectionRefusedError"
    assert closed.connect(PUBLIC, 853) == "ConnectionRefusedError"
    assert closed.connect(PUBLIC, 443) == "ConnectionRefusedError"
    assert time.monotonic() - begin < 3


def test_web_sites_stay_open(closed: School) -> None:
    """Only the addresses of the list are closed."""
    assert closed.connect(SITE, 443) == "hello"


def test_dns_over_ipv6_is_turned_down_when_the_gateway_has_no_ipv6(closed: School) -> None:
    """No way around by the other protocol."""
    assert closed.device.addresses("facebook.com", server="fd00:99::8") == []


def test_what_rules_cannot_stop_is_as_the_guide_says(closed: School) -> None:
    """DoH at an address that nobody listed passes: the guide says so, and this keeps it honest."""
    assert closed.connect(STRANGE, 443) == "hello"
