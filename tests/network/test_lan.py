"""The real program on port 53 of a local network: a child known by the hardware address, an adult by the address, and strangers.

Everything runs in network namespaces; who a client is comes from the real neighbour table of the gateway's machine.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from admin.devices import group_seen
from admin.link import device_from
from gateway.control import ask_now
from tests.support.namespaces import HousedGateway, HousedUpstream, Machine, Networks, require

pytestmark = pytest.mark.full

GATEWAY, CHILD, ADULT, GUEST, MOVED = "10.77.0.1", "10.77.0.20", "10.77.0.30", "10.77.0.40", "10.77.0.21"
CHILD_MAC, GUEST_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
SEEN_SECONDS = 8.0
"""A change of the neighbour table is told at once; one missed is found by the next dump, within four seconds."""
RECORDS = {
    ("facebook.com", "A"): ["198.51.100.10"],
    ("open.example", "A"): ["198.51.100.20"],
    ("chess.example", "A"): ["198.51.100.30"],
    ("vn-cop.vn", "A"): ["198.51.100.40"],
}
SETTINGS = """
state_dir: var
dns: {listen: ["10.77.0.1:53", "[fd00:77::1]:53"], workers: 2}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"]}
metrics: {listen: "127.0.0.1:9153"}
sites:
  - {id: nha, class: home, bands: [MN, NL], networks: [10.77.0.0/24, "fd00:77::/64", "fd00:78::/64"]}
profiles:
  - {id: be-9-tuoi, band: TH, deny: [chess.example], uncategorised: allow}
  - {id: nguoi-lon, band: NL}
clients:
  - {id: may-be, profile: be-9-tuoi, site: nha, match: ["mac:02:00:00:00:00:01"]}
  - {id: may-xa, profile: be-9-tuoi, site: nha, match: ["fd00:78::/64"]}
  - {id: may-me, profile: nguoi-lon, site: nha, match: [10.77.0.30, "fd00:77::30"]}
"""


@dataclass
class Home:
    """One home: the machine of the gateway, the child's tablet, a computer with two addresses, and a tablet behind a router."""

    gateway: HousedGateway
    tablet: Machine
    computer: Machine
    routed: Machine


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A gateway on port 53 and two machines at the same switch."""
    require("dig")
    with Networks() as networks:
        lan = networks.switch("lan")
        box = networks.machine("box", lan, f"{GATEWAY}/24", "fd00:77::1/64")
        tablet = networks.machine("tablet", lan, f"{CHILD}/24", "fd00:77::20/64", mac=CHILD_MAC)
        computer = networks.machine("computer", lan, f"{ADULT}/24", f"{GUEST}/24", "fd00:77::30/64", "fd00:77::40/64", mac=GUEST_MAC)
        router = networks.machine("router", lan, "fd00:77::99/64")
        rooms = networks.switch("rooms")
        networks.plug(router, rooms, "fd00:78::1/64", link="eth1")
        router.run("sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding")
        routed = networks.machine("routed", rooms, "fd00:78::20/64")
        routed.ip("-6", "route", "add", "default", "via", "fd00:78::1")
        box.ip("-6", "route", "add", "fd00:78::/64", "via", "fd00:77::99")
        folder = tmp_path_factory.mktemp("home")
        with HousedUpstream(box, RECORDS) as upstream, HousedGateway(box, folder, SETTINGS, upstream=upstream.port) as gateway:
            yield Home(gateway, tablet, computer, routed)


def eventually(wanted: list[str], look: Callable[[], list[str]]) -> None:
    """Look again until it is as wanted; a new device is nobody until its neighbour entry has been seen."""
    end = time.monotonic() + SEEN_SECONDS
    while (found := look()) != wanted and time.monotonic() < end:
        time.sleep(0.2)
    assert found == wanted


def test_child_is_known_by_the_hardware_address(home: Home) -> None:
    """The tablet is in no list of addresses; its MAC blocks what its profile and its band block, and nothing else."""
    eventually(["198.51.100.20"], lambda: home.tablet.addresses("open.example"))
    assert home.tablet.addresses("facebook.com") == ["0.0.0.0"]
    assert home.tablet.addresses("chess.example") == ["0.0.0.0"]
    assert home.tablet.addresses("facebook.com", "+tcp") == ["0.0.0.0"]


def test_explain_asks_the_running_gateway_who_is_at_an_address(home: Home) -> None:
    """A tablet known by its MAC is explained with its own rules, a guest with a guest's; who never asked is said to be unknown first."""
    eventually(["198.51.100.20"], lambda: home.tablet.addresses("open.example"))
    said = home.gateway.command("explain", "chess.example", "--client", CHILD).stdout
    assert "may-be → be-9-tuoi" in said and "BLOCKED" in said and "it is not known" not in said
    assert home.computer.addresses("open.example", source=GUEST) == ["198.51.100.20"]
    said = home.gateway.command("explain", "chess.example", "--client", GUEST).stdout
    assert "guest (KH)" in said and "it is not known" not in said
    said = home.gateway.command("explain", "chess.example", "--client", "10.77.0.99").stdout
    assert said.startswith("! không biết máy nào ở 10.77.0.99")


def test_adult_is_known_by_the_address(home: Home) -> None:
    """The same network and the same second: open for the adult, over UDP and TCP."""
    for transport in ((), ("+tcp",)):
        assert home.computer.addresses("facebook.com", *transport, source=ADULT) == ["198.51.100.10"]
        assert home.computer.addresses("chess.example", *transport, source=ADULT) == ["198.51.100.30"]


def test_unknown_device_gets_the_strictest_band_of_the_site(home: Home) -> None:
    """A guest asks from the adult's own machine by another address: what any band closes is closed, the rest and help are open."""
    assert home.computer.addresses("open.example", source=GUEST) == ["198.51.100.20"]
    assert home.computer.addresses("facebook.com", source=GUEST) == ["0.0.0.0"]
    assert home.computer.addresses("vn-cop.vn", source=GUEST) == ["198.51.100.40"]


def test_devices_are_told_apart_over_ipv6_too(home: Home) -> None:
    """The neighbour table of IPv6 names the tablet; the adult is listed by address; the guest is nobody."""
    server = "fd00:77::1"
    eventually(["198.51.100.20"], lambda: home.tablet.addresses("open.example", server=server))
    assert home.tablet.addresses("chess.example", server=server) == ["0.0.0.0"]
    assert home.computer.addresses("chess.example", server=server, source="fd00:77::30") == ["198.51.100.30"]
    assert home.computer.addresses("facebook.com", server=server, source="fd00:77::30") == ["198.51.100.10"]
    assert home.computer.addresses("facebook.com", server=server, source="fd00:77::40") == ["0.0.0.0"]
    assert home.computer.addresses("chess.example", server=server, source="fd00:77::40") == ["198.51.100.30"]


def give_temporary(machine: Machine, prefix: str) -> list[str]:
    """Two temporary addresses, made up by the kernel's privacy extensions (RFC 8981) in one network."""
    machine.run("sh", "-c", "echo 2 > /proc/sys/net/ipv6/conf/eth0/use_tempaddr")
    for number in (1, 2):
        machine.ip("address", "add", f"{prefix}:200:ff:fe00:{number}/64", "dev", "eth0", "mngtmpaddr", "nodad")
    found: list[str] = []
    for _ in range(50):
        found = re.findall(r"inet6 (\S+)/64 scope global temporary(?! tentative)", machine.ip("-6", "address", "show", "dev", "eth0"))
        if len(found) == 2:
            break
        time.sleep(0.1)
    assert len(found) == 2, found
    return found


def test_phone_with_changing_ipv6_addresses_is_one_device(home: Home) -> None:
    """The tablet asks from two temporary addresses and from IPv4: one device by its MAC, with one policy; behind a router the tablet of
    another room is known by its network, whatever address it has today."""
    server = "fd00:77::1"
    eventually(["198.51.100.20"], lambda: home.tablet.addresses("open.example"))
    for address in give_temporary(home.tablet, "fd00:77:0:0"):
        eventually(["198.51.100.20"], lambda: home.tablet.addresses("open.example", server=server, source=address))  # noqa: B023
        assert home.tablet.addresses("chess.example", server=server, source=address) == ["0.0.0.0"]
    for address in give_temporary(home.routed, "fd00:78:0:0"):
        assert home.routed.addresses("open.example", server=server, source=address) == ["198.51.100.20"]
        assert home.routed.addresses("chess.example", server=server, source=address) == ["0.0.0.0"]
    rows = ask_now(home.gateway.folder / "var", {"do": "devices"}, 10.0)["devices"]
    tablets = [one for one in group_seen([device_from(row) for row in rows]) if one.profile == "be-9-tuoi"]
    assert {(one.mac or one.network): len(one.others) >= 1 for one in tablets} == {CHILD_MAC: True, "fd00:78::/64": True}
    here = ask_now(home.gateway.folder / "var", {"do": "devices", "address": "fd00:77::20"}, 10.0)["devices"]
    assert {row["mac"] for row in here} == {CHILD_MAC}, "an address that never asked is known as the same device"


def test_profile_follows_the_device_to_another_address(home: Home) -> None:
    """The router gives the tablet a new address; it is the same child, and whoever gets the old address is not."""
    eventually(["198.51.100.20"], lambda: home.tablet.addresses("open.example"))
    home.tablet.ip("address", "add", f"{MOVED}/24", "dev", "eth0")
    home.tablet.ip("address", "del", f"{CHILD}/24", "dev", "eth0")
    try:
        eventually(["198.51.100.20"], lambda: home.tablet.addresses("open.example"))
        assert home.tablet.addresses("chess.example") == ["0.0.0.0"]
        home.computer.ip("address", "add", f"{CHILD}/24", "dev", "eth0")
        home.computer.ip("neigh", "flush", "dev", "eth0")  # the next packet announces the new owner, as a device that joins does
        eventually(["198.51.100.30"], lambda: home.computer.addresses("chess.example", source=CHILD))  # not the child's own exception
        assert home.computer.addresses("facebook.com", source=CHILD) == ["0.0.0.0"]
        assert home.computer.addresses("vn-cop.vn", source=CHILD) == ["198.51.100.40"]
    finally:
        home.computer.run("ip", "address", "del", f"{CHILD}/24", "dev", "eth0", check=False)
        home.tablet.ip("address", "add", f"{CHILD}/24", "dev", "eth0")
        home.tablet.ip("address", "del", f"{MOVED}/24", "dev", "eth0")
        home.tablet.ip("neigh", "flush", "dev", "eth0")


def test_everybody_is_counted(home: Home) -> None:
    """The devices the program tells of are those of this network, with hardware address and profile."""
    eventually(["198.51.100.20"], lambda: home.tablet.addresses("open.example"))
    devices = {row["address"]: row for row in ask_now(home.gateway.folder / "var", {"do": "devices"}, 10.0)["devices"]}
    assert devices[CHILD]["mac"] == CHILD_MAC
    assert (devices[CHILD]["client"], devices[CHILD]["profile"]) == ("may-be", "be-9-tuoi")
    assert devices[ADULT]["client"] == "may-me"
