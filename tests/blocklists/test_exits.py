"""The address set of public resolvers and the rules for routers: complete, sourced, and in the form each router reads."""

from __future__ import annotations

import re
import shutil
import subprocess
from ipaddress import ip_address

import pytest

from blocklists import catalogue
from blocklists.exits import FORMATS, Format, Network, Resolver, export, read_resolvers
from gateway.errors import SettingsError
from tests.support import fw4, routeros

V4, V6 = ip_address("192.168.1.2"), ip_address("fd00::2")
BOTH = Network((V4, V6), "br-lan", True)
NETWORKS = [
    pytest.param(Network(gateways, "br-lan", is_same), id=f"{'same' if is_same else 'other'}-{len(gateways)}")
    for is_same in (True, False)
    for gateways in ((V4,), (V4, V6))
]
SMALL = [Resolver("One", (ip_address("9.9.9.9"), ip_address("2620:fe::fe")), "somewhere", "2026-01-01")]


def shipped() -> list[Resolver]:
    """The resolvers of the catalogue that comes with the product."""
    return read_resolvers(catalogue.load())


def test_every_resolver_has_a_source_a_date_and_public_addresses() -> None:
    """Nothing made up, nothing twice, nothing private: an address here is taken away from children."""
    addresses = [address for resolver in shipped() for address in resolver.addresses]
    assert len(addresses) == len(set(addresses)) >= 100
    assert [address for address in addresses if not address.is_global] == []
    assert all(resolver.source and re.fullmatch(r"\d{4}-\d\d-\d\d", resolver.as_of) for resolver in shipped())


@pytest.mark.parametrize("form", FORMATS)
def test_every_address_is_exported(form: Format) -> None:
    """Whatever the form, IPv4 and IPv6."""
    text = export(form, shipped(), BOTH)
    assert [str(address) for resolver in shipped() for address in resolver.addresses if str(address) not in text] == []
    assert "AdguardTeam/KnowledgeBaseDNS" in text


@pytest.mark.parametrize("form", FORMATS)
def test_without_an_ipv6_gateway_dns_over_ipv6_is_turned_down(form: Format) -> None:
    """A way that leads to nobody must not stay open; it is told at once, so that devices fall back to IPv4."""
    text = export(form, SMALL, Network((V4,), "br-lan", True))
    wanted = {
        "nft": "meta nfproto ipv6 udp dport 53 reject",
        "mikrotik": "protocol=udp dst-port=53 action=reject",
        "openwrt": "option name 'lachan-dns-6'\n\toption src 'br-lan'\n\toption dest '*'\n\toption family 'ipv6'",
    }
    assert wanted[form] in text


@pytest.mark.parametrize("form", FORMATS)
def test_return_path_is_there_in_a_shared_network_only(form: Format) -> None:
    """Elsewhere the device's own address is kept, so that the gateway knows the child."""
    same, other = export(form, SMALL, BOTH), export(form, SMALL, Network((V4, V6), "br-lan", False))
    assert "masquerade" in same.lower() and "masquerade" not in other.lower()


@pytest.mark.parametrize("form", FORMATS)
def test_gateway_itself_is_never_led_back(form: Format) -> None:
    """Its own upstreams may be on the list; a gateway that asks itself answers nobody."""
    text = export(form, SMALL, BOTH)
    wanted = {"nft": "ip saddr 192.168.1.2 return", "mikrotik": "src-address=!192.168.1.2", "openwrt": "option src_ip '!192.168.1.2'"}
    assert wanted[form] in text


@pytest.mark.parametrize(
    "network",
    [
        Network((V6,), "br-lan", True),
        Network((), "br-lan", True),
        Network((V4, ip_address("10.0.0.1")), "br-lan", True),
        Network((V4,), 'br"; flush ruleset', True),
        Network((V4,), "br lan", True),
    ],
)
def test_what_could_not_stand_in_a_rule_is_refused(network: Network) -> None:
    """No IPv4 gateway, two of them, or a name that is more than a name."""
    with pytest.raises(SettingsError):
        export("nft", SMALL, network)


def test_mistakes_of_the_catalogue_are_told_all_at_once() -> None:
    """Each with its place."""
    document = {
        "services": [{"id": "a"}],
        "extras": {"exits": [{"service": "b", "name": "x", "addresses": ["nowhere"], "source": "s", "as_of": "d"}, {"name": "y"}]},
    }
    with pytest.raises(SettingsError) as caught:
        read_resolvers(document)
    assert len(caught.value.mistakes) == 5


def test_sections_of_openwrt_are_well_formed() -> None:
    """Every section has only options that fw4 knows for it, and every set that is used exists."""
    text = export("openwrt", shipped(), BOTH)
    assert {one.kind for one in fw4.read_sections(text)} == {"ipset", "redirect", "nat", "rule"}
    used = set(re.findall(r"option ipset '(\S+) dest'", text))
    assert used == set(re.findall(r"config ipset\n\toption name '(\S+)'", text)) == {"lachan_resolvers4", "lachan_resolvers6"}
    for wrong in (text.replace("src_dport", "dport", 1), text.replace("config nat", "config snat", 1), text + "\toption x y\n"):
        with pytest.raises(AssertionError, match=r"^line \d+: "):
            fw4.read_sections(wrong)


@pytest.mark.parametrize("network", NETWORKS)
def test_each_command_of_mikrotik_is_one_that_its_menu_takes(network: Network) -> None:
    """One property of another menu would end the import of the whole script, with half of it in force."""
    commands = routeros.read_script(export("mikrotik", shipped(), network))
    menus = {one.menu for one in commands}
    families = ("/ip", "/ipv6") if network.gateway(6) else ("/ip",)
    assert menus == {f"{family} firewall nat" for family in families} | {
        f"{family} firewall {menu}" for family in ("/ip", "/ipv6") for menu in ("address-list", "filter")
    }


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("action=masquerade", "connection-nat-state=dstnat action=masquerade"),
        ("to-address=", "to-addresses="),
        ("reject-with=tcp-reset", "reject-with=icmp-net-unreachable"),
        ("protocol=udp dst-port=53", "dst-port=53"),
        ("/ip firewall nat", "/ip firewall snat"),
        ('comment="lachan"', "comment=la chan"),
    ],
)
def test_command_that_mikrotik_would_not_take_is_found(right: str, wrong: str) -> None:
    """The reading is strict: a property of another menu, a value that is none, a port without a protocol."""
    text = export("mikrotik", SMALL, BOTH)
    assert right in text
    with pytest.raises(AssertionError, match=r"^line \d+: "):
        routeros.read_script(text.replace(right, wrong, 1))


def test_script_of_mikrotik_adds_only_after_choosing_a_menu() -> None:
    """RouterOS adds to the menu named last; what an earlier export added is removed first, so that it can be run again."""
    text = export("mikrotik", shipped(), BOTH)
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines[0] == "/ip firewall address-list"
    assert all(line.startswith(("/ip ", "/ipv6 ", "add ", "remove ")) for line in lines)
    menus = [index for index, line in enumerate(lines) if line.startswith("/")]
    assert all(lines[index + 1].startswith("remove [find where ") for index in menus)


@pytest.mark.full
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("network", NETWORKS)
def test_table_is_one_that_nft_accepts(network: Network, form: Format) -> None:
    """Checked by the real nft, without loading it; OpenWrt's sections as fw4 writes them, MikroTik's rules as netfilter sees them."""
    if shutil.which("nft") is None:
        pytest.skip("nft is not installed")
    text = export(form, shipped(), Network(network.gateways, "lan" if form == "openwrt" else network.interface, network.is_same))
    if form == "openwrt":
        text = fw4.ruleset(fw4.DEFAULT + text)
    elif form == "mikrotik":
        text = routeros.ruleset(text, {network.interface: "eth0", "LAN": "eth0", "WAN": "eth1"})
    done = subprocess.run(["nft", "-c", "-f", "-"], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
