"""Closing the exits on a router: public resolvers as an address set, with the rules that lead hard-coded DNS back to the gateway.

    nft        one table of its own, for any Linux router
    openwrt    sections for /etc/config/firewall (OpenWrt 22.03 and later)
    mikrotik   a RouterOS 7 script

The rules do three things for what comes from the local network: DNS to anywhere else goes to the gateway instead (or is turned down, over
IPv6 when the gateway has no IPv6 address, also at the router itself, whose own DNS asks the provider); DoT and DoQ, which have ports of
their own, are turned down; DoH to the addresses of the catalogue is turned down. "Turned down" is always told, so that devices fall back at
once instead of waiting. The gateway's own questions pass: its upstreams may be among those addresses.

`lachan` and `admin` may import this module. What no router can stop is written in deploy/routers/README.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final, Literal

from gateway.errors import Mistake, SettingsError

Address = IPv4Address | IPv6Address
Format = Literal["nft", "mikrotik", "openwrt"]
FORMATS: Final[tuple[Format, ...]] = ("nft", "mikrotik", "openwrt")
INTERFACES: Final = {"nft": "br-lan", "openwrt": "lan", "mikrotik": "LAN"}
"""What the local network is usually called there: an interface, a zone, an interface list."""
FILE_NAMES: Final[dict[Format, str]] = {"nft": "la-chan.nft", "openwrt": "la-chan.firewall", "mikrotik": "la-chan.rsc"}
"""How the text is called where a router's guide speaks of it."""

_DOT = 853
_DOH = 443


@dataclass(frozen=True, slots=True)
class Resolver:
    """A public resolver of the catalogue: its addresses, where they are from and when somebody looked."""

    name: str
    addresses: tuple[Address, ...]
    source: str
    as_of: str


@dataclass(frozen=True, slots=True)
class Network:
    """The network the rules are for.

    `is_same` says that gateway and devices share one network: redirected questions then reach the gateway from the router's address, for
    the reply could not find its way back otherwise, and are judged as those of an unknown device.
    """

    gateways: tuple[Address, ...]
    interface: str
    is_same: bool

    def gateway(self, version: int) -> Address | None:
        """The gateway's address of an IP version."""
        return next((address for address in self.gateways if address.version == version), None)


def read_resolvers(catalogue: dict[str, Any]) -> list[Resolver]:
    """The resolvers of a catalogue document. Raises SettingsError with every mistake."""
    found: list[Resolver] = []
    mistakes: list[Mistake] = []
    services = {row["id"] for row in catalogue["services"]}
    for index, row in enumerate(catalogue["extras"].get("exits", ())):
        where = f"extras.exits[{index}]"
        if row.get("service") is not None and row["service"] not in services:
            mistakes.append(Mistake(f"{where}.service", f"{row['service']} is no service"))
        missing = [key for key in ("name", "addresses", "source", "as_of") if not row.get(key)]
        mistakes += [Mistake(f"{where}.{key}", "is needed here") for key in missing]
        addresses: list[Address] = []
        for text in row.get("addresses") or ():
            try:
                addresses.append(ip_address(text))
            except ValueError:
                mistakes.append(Mistake(f"{where}.addresses", f"{text} is not an IP address"))
        if not missing:
            found.append(Resolver(str(row["name"]), tuple(addresses), str(row["source"]), str(row["as_of"])))
    if mistakes:
        raise SettingsError(mistakes)
    return found


def export(form: Format, resolvers: Sequence[Resolver], network: Network) -> str:
    """The text for one kind of router. Raises SettingsError when the gateway has no IPv4 address or a name could not stand in a rule."""
    if network.gateway(4) is None:
        raise SettingsError([Mistake("--gateway", "needs the gateway's IPv4 address", "for example --gateway 192.168.1.2")])
    if len({address.version for address in network.gateways}) != len(network.gateways):
        raise SettingsError([Mistake("--gateway", "takes one IPv4 and one IPv6 address")])
    if not network.interface.isascii() or not all(letter.isalnum() or letter in "-_.@" for letter in network.interface):
        raise SettingsError([Mistake("--interface", "is a name of letters, digits, - _ . @")])
    writers = {"nft": _nft, "mikrotik": _mikrotik, "openwrt": _openwrt}
    return writers[form](resolvers, network)


def _of(resolvers: Iterable[Resolver], version: int) -> list[Address]:
    """Every address of an IP version once, in order."""
    found = {address for resolver in resolvers for address in resolver.addresses if address.version == version}
    return sorted(found, key=int)


def _credits(resolvers: Iterable[Resolver]) -> list[str]:
    """Where the addresses are from."""
    sources = sorted({f"{resolver.source} ({resolver.as_of})" for resolver in resolvers})
    return [
        "Lá Chắn DNS: đóng lối vòng qua DNS khác / closing the ways around: lachan exits export",
        "Không chặn được hết; đọc / it cannot stop everything; read: deploy/routers/README.md",
        *(f"Địa chỉ theo / addresses from: {source}" for source in sources),
    ]


def _nft(resolvers: Sequence[Resolver], network: Network) -> str:
    lines = ["#!/usr/sbin/nft -f", *(f"# {line}" for line in _credits(resolvers))]
    lines += ["table inet lachan_exits", "delete table inet lachan_exits", "table inet lachan_exits {"]
    for version, kind in ((4, "ipv4_addr"), (6, "ipv6_addr")):
        lines += [f"\tset resolvers{version} {{", f"\t\ttype {kind}", "\t\telements = {"]
        lines += [f"\t\t\t{address}," for address in _of(resolvers, version)]
        lines += ["\t\t}", "\t}"]
    lines += ["\tchain lead_back {", "\t\ttype nat hook prerouting priority dstnat; policy accept;"]
    lines.append(f'\t\tiifname != "{network.interface}" return')
    for version, family in ((4, "ip"), (6, "ip6")):
        gateway = network.gateway(version)
        if gateway is not None:
            lines.append(f"\t\t{family} saddr {gateway} return")
            lines += [
                f"\t\tmeta nfproto ipv{version} {family} daddr != {gateway} {protocol} dport 53 dnat {family} to {gateway}"
                for protocol in ("udp", "tcp")
            ]
    lines.append("\t}")
    if network.is_same:
        lines += ["\tchain lead_home {", "\t\ttype nat hook postrouting priority srcnat; policy accept;"]
        for version, family in ((4, "ip"), (6, "ip6")):
            gateway = network.gateway(version)
            if gateway is not None:
                lines += [f"\t\tct status dnat {family} daddr {gateway} {protocol} dport 53 masquerade" for protocol in ("udp", "tcp")]
        lines.append("\t}")
    lines += ["\tchain turn_down {", "\t\ttype filter hook forward priority filter - 5; policy accept;"]
    lines.append(f'\t\tiifname != "{network.interface}" return')
    for version, family in ((4, "ip"), (6, "ip6")):
        gateway = network.gateway(version)
        if gateway is not None:
            lines += [f"\t\t{family} saddr {gateway} return", f"\t\t{family} daddr {gateway} return"]
        else:
            lines += [
                f"\t\tmeta nfproto ipv{version} udp dport 53 reject",
                f"\t\tmeta nfproto ipv{version} tcp dport 53 reject with tcp reset",
            ]
    lines += [f"\t\ttcp dport {_DOT} reject with tcp reset", f"\t\tudp dport {_DOT} reject"]
    for version, family in ((4, "ip"), (6, "ip6")):
        lines += [
            f"\t\t{family} daddr @resolvers{version} tcp dport {_DOH} reject with tcp reset",
            f"\t\t{family} daddr @resolvers{version} udp dport {_DOH} reject",
        ]
    if network.gateway(6) is None:
        lines += ["\t}", "\tchain turn_down_here {", "\t\ttype filter hook input priority filter - 5; policy accept;"]
        lines += [f'\t\tiifname != "{network.interface}" return', "\t\tmeta nfproto ipv6 udp dport 53 reject"]
        lines.append("\t\tmeta nfproto ipv6 tcp dport 53 reject with tcp reset")
    return "\n".join([*lines, "\t}", "}", ""])


def _mikrotik(resolvers: Sequence[Resolver], network: Network) -> str:
    lines = [f"# {line}" for line in _credits(resolvers)]
    lines.append(f"# Vùng mạng trong / local interface list: {network.interface}")
    for version, menu in ((4, "/ip"), (6, "/ipv6")):
        gateway = network.gateway(version)
        lines.append(f"{menu} firewall address-list")
        lines.append("remove [find where list=lachan-resolvers]")
        for resolver in resolvers:
            for address in sorted((each for each in resolver.addresses if each.version == version), key=int):
                suffix = "" if version == 4 else "/128"
                lines.append(f'add list=lachan-resolvers address={address}{suffix} comment="{resolver.name}"')
        lan = f"in-interface-list={network.interface}"
        not_gateway = to_others = ""
        if gateway is not None:
            width = "" if version == 4 else "/128"
            not_gateway, to_others = f" src-address=!{gateway}{width}", f" dst-address=!{gateway}{width}"
            lines += [f"{menu} firewall nat", 'remove [find where comment="lachan"]']
            to = f"to-addresses={gateway} to-ports=53" if version == 4 else f"to-address={gateway}/128 to-ports=53"
            for protocol in ("udp", "tcp"):
                lines.append(
                    f'add chain=dstnat {lan}{not_gateway}{to_others} protocol={protocol} dst-port=53 action=dst-nat {to} comment="lachan"'
                )
            if network.is_same:
                for protocol in ("udp", "tcp"):
                    lines.append(
                        f"add chain=srcnat out-interface-list={network.interface} dst-address={gateway}{width} protocol={protocol}"
                        ' dst-port=53 action=masquerade comment="lachan"'
                    )
        lines += [f"{menu} firewall filter", 'remove [find where comment="lachan"]']
        unreachable = "icmp-port-unreachable"
        closed = [("forward", f"dst-port={_DOT}", to_others)]
        if gateway is None:
            closed += [("forward", "dst-port=53", ""), ("input", "dst-port=53", "")]
        closed.append(("forward", f"dst-port={_DOH}", " dst-address-list=lachan-resolvers"))
        for chain, ports, whither in closed:
            for protocol, with_ in (("tcp", "tcp-reset"), ("udp", unreachable)):
                lines.append(
                    f"add chain={chain} {lan}{not_gateway}{whither} protocol={protocol} {ports}"
                    f' action=reject reject-with={with_} comment="lachan"'
                )
    return "\n".join([*lines, ""])


def _openwrt(resolvers: Sequence[Resolver], network: Network) -> str:
    lines = [f"# {line}" for line in _credits(resolvers)]
    lines.append("# Thêm vào / add to: /etc/config/firewall, rồi / then: fw4 check && service firewall restart")

    def section(kind: str, name: str, **options: str) -> None:
        lines.extend(["", f"config {kind}", f"\toption name '{name}'"])
        lines.extend(f"\toption {key} '{value}'" for key, value in options.items())

    zone = network.interface
    for version in (4, 6):
        family = f"ipv{version}"
        gateway = network.gateway(version)
        section("ipset", f"lachan_resolvers{version}", family=family)
        lines.append("\tlist match 'dest_ip'")
        lines += [f"\tlist entry '{address}'" for address in _of(resolvers, version)]
        others = {"src_ip": f"!{gateway}"} if gateway is not None else {}
        if gateway is not None:
            options = {"src": zone, "family": family, "proto": "tcp udp", "src_dport": "53", "dest_port": "53", "target": "DNAT"}
            whither = {"dest": zone} if network.is_same else {}  # elsewhere the firewall finds the zone of `dest_ip` itself
            section(
                "redirect", f"lachan-dns-{version}", **options, **others, src_dip=f"!{gateway}", **whither, dest_ip=str(gateway),
                reflection="0",
            )  # fmt: skip
            if network.is_same:
                section(
                    "nat", f"lachan-return-{version}", src=zone, family=family, proto="tcp udp", dest_ip=str(gateway), dest_port="53",
                    target="MASQUERADE",
                )  # fmt: skip
        else:
            turned_down = {"family": family, "proto": "tcp udp", "dest_port": "53", "target": "REJECT"}
            section("rule", f"lachan-dns-{version}", src=zone, dest="*", **turned_down)
            section("rule", f"lachan-dns-here-{version}", src=zone, **turned_down)
        section(
            "rule", f"lachan-dot-{version}", src=zone, dest="wan", family=family, proto="tcp udp", dest_port=str(_DOT), **others,
            target="REJECT",
        )  # fmt: skip
        section(
            "rule", f"lachan-doh-{version}", src=zone, dest="wan", family=family, proto="tcp udp", dest_port=str(_DOH), **others,
            ipset=f"lachan_resolvers{version} dest", target="REJECT",
        )  # fmt: skip
    return "\n".join([*lines, ""])
