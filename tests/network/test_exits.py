"""The exported rules on a router with the real nft: a device with a hard-coded resolver is filtered all the same.

    device 10.77.0.20 ── router ── internet: 192.0.2.8 (a stranger's resolver), 8.8.8.8 (public, and our upstream), 192.0.2.80 (a site)
                           └────── gateway 10.78.0.2 (with an IPv6 address), or at the devices' own switch as 10.77.0.2 (with none)

Each form of export is tried at each place: nft as it is; OpenWrt's sections behind what an OpenWrt router has by itself, and MikroTik's
script, both as `tests.support.fw4` and `tests.support.routeros` read them, for neither runs here.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from blocklists.exits import FORMATS
from tests.support import fw4, routeros
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
dns: {listen: {listen}, workers: 1}
upstreams: {servers: ["udp://8.8.8.8"]}
metrics: {listen: "127.0.0.1:9153"}
profiles:
  - {id: be-9-tuoi, band: TH, uncategorised: allow}
  - {id: nguoi-lon, band: NL}
clients:
  - {id: may-be, profile: be-9-tuoi, match: [10.77.0.20, "fd00:77::20"]}
  - {id: may-me, profile: nguoi-lon, match: [10.77.0.30]}
"""
ACCEPTING = """
import asyncio, sys
async def hello(reader, writer):
    writer.write(b"hello")
    await writer.drain()
    writer.close()
async def main():
    for host in sys.argv[1:]:
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
    gateway6: str
    rules: dict[str, str] = field(default_factory=dict)

    @property
    def is_same(self) -> bool:
        """Whether gateway and devices share a network."""
        return self.gateway.startswith("10.77.")

    def connect(self, host: str, port: int) -> str:
        """What a TCP connection from the device gives: `hello`, or the name of the error."""
        return self.device.run(sys.executable, "-c", CONNECTING, host, str(port)).strip()

    def close_exits(self, form: str) -> None:
        """Load the exported rules on the router, twice as somebody may: loading again replaces what is there."""
        if form not in self.rules:
            self.rules[form] = self._rules(form)
        for _ in range(2):
            self.router.run("nft", "-f", "-", text=self.rules[form])

    def _rules(self, form: str) -> str:
        gateways = [word for address in (self.gateway, self.gateway6) if address for word in ("--gateway", address)]
        interface = ("--interface", "eth0") if form == "nft" else ()
        place = "--same-network" if self.is_same else "--other-network"
        text = run_command("exits", "export", "--format", form, *gateways, *interface, place).stdout
        if form == "openwrt":
            return fw4.ruleset(fw4.DEFAULT + text)
        return routeros.ruleset(text, {"LAN": "eth0", "WAN": "eth1"}) if form == "mikrotik" else text

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
        networks.plug(router, servers, "10.78.0.1/24", "fd00:78::1/64", link="eth2")
        router.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding")
        router.ip("route", "add", f"{PUBLIC}/32", "via", "192.0.2.9")
        device = networks.machine("device", lan, f"{CHILD}/24", f"{ADULT}/24", "fd00:77::20/64", gateway="10.77.0.1")
        device.ip("-6", "route", "add", "default", "via", "fd00:77::1")
        there = servers if address.startswith("10.78") else lan
        box = networks.machine("box", there, f"{address}/24", gateway=f"{address.rpartition('.')[0]}.1")
        address6 = "fd00:78::2" if there is servers else ""
        if address6:
            box.ip("address", "add", f"{address6}/64", "dev", "eth0", "nodad")
            box.ip("-6", "route", "add", "default", "via", "fd00:78::1")
        hosts = (f"{STRANGE}/24", "192.0.2.9/24", f"{SITE}/24", f"{PUBLIC}/32", "fd00:99::8/64")
        internet = networks.machine("internet", wan, *hosts, gateway="192.0.2.1")
        internet.ip("-6", "route", "add", "default", "via", "fd00:99::1")
        folder = tmp_path_factory.mktemp("school")
        internet.start(sys.executable, "-c", ACCEPTING, STRANGE, PUBLIC, SITE, log=folder / "internet.log")
        box.start(sys.executable, "-c", ACCEPTING, address, log=folder / "box.log")
        with (
            HousedUpstream(internet, upstream=resolver_at(STRANGE)),
            HousedUpstream(internet, upstream=resolver_at(PUBLIC)),
            HousedUpstream(internet, upstream=resolver_at("fd00:99::8")),
            HousedUpstream(router, upstream=resolver_at("fd00:77::1")),
            HousedGateway(box, folder, SETTINGS, listen=json.dumps([f"{address}:53", *([f"[{address6}]:53"] if address6 else [])])),
        ):
            school = School(device, router, address, address6)
            end = time.monotonic() + 10
            while school.connect(SITE, 443) != "hello" and time.monotonic() < end:
                time.sleep(0.1)
            yield school


@pytest.fixture(params=FORMATS)
def closed(school: School, request: pytest.FixtureRequest) -> Iterator[School]:
    """The school with the rules in force, as exported for one kind of router."""
    school.close_exits(request.param)
    yield school
    school.open_exits()


def test_without_rules_a_hard_coded_resolver_goes_around_the_gateway(school: School) -> None:
    """What the rules are for: the stranger's resolver answers everything, its encrypted ports are open."""
    assert school.device.addresses("facebook.com", server=school.gateway, source=CHILD) == BLOCKED
    assert school.device.addresses("facebook.com", server=STRANGE, source=CHILD) == OPEN
    assert school.device.addresses("facebook.com", server="fd00:99::8") == OPEN
    assert school.device.addresses("facebook.com", server="fd00:77::1") == OPEN
    assert school.connect(STRANGE, 853) == school.connect(PUBLIC, 443) == "hello"


@pytest.mark.parametrize("transport", [(), ("+tcp",)])
def test_hard_coded_resolver_is_led_back_to_the_gateway(closed: School, transport: tuple[str, ...]) -> None:
    """The child is filtered whoever it asks, and does not notice; help stays open."""
    for server in (STRANGE, PUBLIC, "10.77.0.1"):
        assert closed.device.addresses("facebook.com", *transport, server=server, source=CHILD) == BLOCKED
        assert closed.device.addresses("vn-cop.vn", *transport, server=server, source=CHILD) == ["198.51.100.30"]


def test_who_asks_is_kept_where_the_gateway_has_a_network_of_its_own(closed: School) -> None:
    """There an adult with a hard-coded resolver has the adult's policy; in a shared network the router asks, and gets the strictest."""
    assert closed.device.addresses("facebook.com", server=closed.gateway, source=ADULT) == OPEN
    assert closed.device.addresses("facebook.com", server=STRANGE, source=ADULT) == (BLOCKED if closed.is_same else OPEN)


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


def test_dns_over_ipv6_is_led_back_or_turned_down(closed: School) -> None:
    """No way around by the other protocol, neither far away nor at the router, whose own DNS asks the provider: it is the gateway that
    answers, or nobody when the gateway has no IPv6."""
    for server in ("fd00:99::8", "fd00:77::1"):
        assert closed.device.addresses("facebook.com", server=server) == (BLOCKED if closed.gateway6 else []), server
        assert closed.device.addresses("facebook.com", "+tcp", server=server) == (BLOCKED if closed.gateway6 else []), server


def test_gateways_own_encrypted_dns_is_no_exit(closed: School) -> None:
    """A phone with its sheet asks the gateway itself over TLS: that stays open (a plain listener stands in for it)."""
    assert closed.connect(closed.gateway, 853) == "hello"


def test_what_rules_cannot_stop_is_as_the_guide_says(closed: School) -> None:
    """DoH at an address that nobody listed passes: the guide says so, and this keeps it honest."""
    assert closed.connect(STRANGE, 443) == "hello"
