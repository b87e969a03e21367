"""The part of RouterOS 7 that our exported script uses: a strict reading of each command, and the same rules for nft, so that they can be
tried with packets. No RouterOS runs in tests, so this is our reading of what MikroTik documents for the menus `/ip firewall` and
`/ipv6 firewall` (address-list, nat, filter): each menu has properties of its own, and a property that belongs to another menu ends the
import of a whole script. RouterOS is Linux and its firewall netfilter: the chains have the same hooks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

_TOKEN = re.compile(r'([a-z-]+)=("(?:[^"\\$]|\\["\\$])*"|[^\s"\\$;#\[\]{}()]+)(?: |$)')
_MENU = re.compile(r"/(ip|ipv6) firewall (address-list|nat|filter)")
_REMOVE = re.compile(r'remove \[find where (list=[a-z-]+|comment="[^"\\$]*")\]')
_NAME = re.compile(r"[A-Za-z][\w.@-]*")

Check = Callable[[str], bool]


def _one_of(*values: str) -> Check:
    return lambda value: value in values


def _is_port(value: str) -> bool:
    return value.isdigit() and 0 < int(value) < 65536


def _is_text(value: str) -> bool:
    return value.startswith('"') and value.endswith('"')


def _is_ipv4(value: str) -> bool:
    return _holds(lambda: IPv4Address(value))


def _is_ipv6_host(value: str) -> bool:
    return value.endswith("/128") and _holds(lambda: IPv6Address(value.removesuffix("/128")))


def _is_matched_ipv4(value: str) -> bool:
    return _holds(lambda: IPv4Network(value.removeprefix("!")))


def _is_matched_ipv6(value: str) -> bool:
    return _holds(lambda: IPv6Network(value.removeprefix("!")))


def _holds(make: Callable[[], object]) -> bool:
    try:
        make()
    except ValueError:
        return False
    return True


def _is_name(value: str) -> bool:
    return bool(_NAME.fullmatch(value))


_MATCHERS: Mapping[str, Check] = {
    "in-interface-list": _is_name,
    "out-interface-list": _is_name,
    "protocol": _one_of("tcp", "udp"),
    "dst-port": _is_port,
    "dst-address-list": _is_name,
    "comment": _is_text,
}
_REJECTS4 = _one_of(
    "icmp-network-unreachable", "icmp-host-unreachable", "icmp-port-unreachable", "icmp-protocol-unreachable", "icmp-net-prohibited",
    "icmp-host-prohibited", "icmp-admin-prohibited", "tcp-reset",
)  # fmt: skip
_REJECTS6 = _one_of(
    "icmp-no-route", "icmp-admin-prohibited", "icmp-not-neighbour", "icmp-address-unreachable", "icmp-port-unreachable", "tcp-reset",
)  # fmt: skip
_ADDRESSES4: Mapping[str, Check] = {"src-address": _is_matched_ipv4, "dst-address": _is_matched_ipv4}
_ADDRESSES6: Mapping[str, Check] = {"src-address": _is_matched_ipv6, "dst-address": _is_matched_ipv6}
_CHAIN_NAT, _CHAIN_FILTER = _one_of("srcnat", "dstnat"), _one_of("input", "forward", "output")
_ACTION_NAT = _one_of("dst-nat", "src-nat", "masquerade", "redirect", "accept")
_ACTION_FILTER = _one_of("accept", "drop", "reject")
#: What `add` takes in each menu. `connection-nat-state` is a filter's, not a NAT rule's; IPv4 says `to-addresses`, IPv6 `to-address`.
PROPERTIES: Mapping[str, Mapping[str, Check]] = {
    "/ip firewall address-list": {"list": _is_name, "address": _is_ipv4, "comment": _is_text},
    "/ipv6 firewall address-list": {"list": _is_name, "address": _is_ipv6_host, "comment": _is_text},
    "/ip firewall nat": {
        **_MATCHERS, **_ADDRESSES4, "chain": _CHAIN_NAT, "action": _ACTION_NAT, "to-addresses": _is_ipv4, "to-ports": _is_port,
    },
    "/ipv6 firewall nat": {
        **_MATCHERS, **_ADDRESSES6, "chain": _CHAIN_NAT, "action": _ACTION_NAT, "to-address": _is_ipv6_host, "to-ports": _is_port,
    },
    "/ip firewall filter": {
        **_MATCHERS, **_ADDRESSES4, "chain": _CHAIN_FILTER, "action": _ACTION_FILTER, "reject-with": _REJECTS4,
        "connection-nat-state": _one_of("srcnat", "dstnat"),
    },
    "/ipv6 firewall filter": {
        **_MATCHERS, **_ADDRESSES6, "chain": _CHAIN_FILTER, "action": _ACTION_FILTER, "reject-with": _REJECTS6,
        "connection-nat-state": _one_of("srcnat", "dstnat"),
    },
}  # fmt: skip


@dataclass(frozen=True)
class Command:
    """One `add`: its menu and properties. `number` is the line."""

    number: int
    menu: str
    properties: Mapping[str, str]


def read_script(text: str) -> list[Command]:
    """Every `add` of a script. Raises AssertionError with the line at which RouterOS would stop."""
    menu = ""
    found: list[Command] = []
    for number, line in enumerate(text.splitlines(), 1):
        where = f"line {number}: {line}"
        if not line or line.startswith("#"):
            continue
        if line.startswith("/"):
            assert _MENU.fullmatch(line), f"{where}: no such menu"
            menu = line
        elif line.startswith("remove "):
            assert menu and _REMOVE.fullmatch(line), where
        else:
            assert menu and line.startswith("add "), f"{where}: no command of this menu"
            found.append(Command(number, menu, _properties(menu, line.removeprefix("add "), where)))
    return found


def _properties(menu: str, words: str, where: str) -> dict[str, str]:
    known = PROPERTIES[menu]
    found: dict[str, str] = {}
    place = 0
    while place < len(words):
        match = _TOKEN.match(words, place)
        assert match, f"{where}: expected a property at {words[place:]!r}"
        key, value = match[1], match[2]
        assert key in known, f"{where}: {menu} has no property {key}"
        assert key not in found, f"{where}: {key} twice"
        assert known[key](value), f"{where}: {value} is no value of {key}"
        found[key] = value
        place = match.end()
    if menu.endswith("address-list"):
        assert {"list", "address"} <= set(found), where
        return found
    assert {"chain", "action"} <= set(found), where
    assert "dst-port" not in found or "protocol" in found, f"{where}: a port needs a protocol"
    action, chain = found["action"], found["chain"]
    assert (action == "reject") == ("reject-with" in found), where
    assert found.get("reject-with") != "tcp-reset" or found["protocol"] == "tcp", f"{where}: a reset is TCP's"
    assert action != "dst-nat" or (chain == "dstnat" and ("to-addresses" in found or "to-address" in found)), where
    assert action != "masquerade" or chain == "srcnat", where
    assert "in-interface-list" not in found or chain != "srcnat", f"{where}: srcnat knows the outgoing interface"
    assert "out-interface-list" not in found or chain not in ("dstnat", "input"), f"{where}: {chain} does not know the outgoing interface"
    return found


def ruleset(text: str, lists: Mapping[str, str]) -> str:
    """The rules of a script for nft, behind what a router of MikroTik has by itself: established connections pass, addresses of the
    local network are masqueraded towards the provider. `lists` gives the interface of each interface list; WAN and LAN are needed."""
    commands = read_script(text)
    lines = ["table inet routeros", "flush table inet routeros", "table inet routeros {"]
    for menu, kind in (("/ip", "ipv4_addr"), ("/ipv6", "ipv6_addr")):
        rows = [one.properties for one in commands if one.menu == f"{menu} firewall address-list"]
        for name in sorted({row["list"] for row in rows}):
            members = ", ".join(row["address"].removesuffix("/128") for row in rows if row["list"] == name)
            lines += [f"set {name}-{menu[1:]} {{", f"type {kind}", f"elements = {{ {members} }}", "}"]
    hooks = {
        "dstnat": ("nat hook prerouting priority dstnat", []),
        "srcnat": ("nat hook postrouting priority srcnat", [f'oifname "{lists["WAN"]}" meta nfproto ipv4 masquerade']),
        "forward": ("filter hook forward priority filter", ["ct state established,related accept"]),
        "input": ("filter hook input priority filter", ["ct state established,related accept"]),
    }
    for chain, (hook, own) in hooks.items():
        rules = [_rule(one, lists) for one in commands if one.properties.get("chain") == chain]
        lines += [f"chain {chain} {{", f"type {hook}; policy accept;", *own, *rules, "}"]
    return "\n".join([*lines, "}", ""])


def _rule(command: Command, lists: Mapping[str, str]) -> str:
    return " ".join(_words(command, lists))


def _words(command: Command, lists: Mapping[str, str]) -> Iterator[str]:
    given = command.properties
    family, menu = ("ip", "ip") if command.menu.startswith("/ip ") else ("ip6", "ipv6")
    yield f"meta nfproto {'ipv4' if family == 'ip' else 'ipv6'}"
    for key, side in (("in-interface-list", "iifname"), ("out-interface-list", "oifname")):
        if key in given:
            yield f'{side} "{lists[given[key]]}"'
    for key, side in (("src-address", "saddr"), ("dst-address", "daddr")):
        if key in given:
            yield f"{family} {side} {'!= ' if given[key].startswith('!') else ''}{given[key].lstrip('!')}"
    if "dst-address-list" in given:
        yield f"{family} daddr @{given['dst-address-list']}-{menu}"
    yield f"{given['protocol']} dport {given['dst-port']}"
    match given["action"]:
        case "dst-nat":
            there = given.get("to-addresses") or f"[{given['to-address'].removesuffix('/128')}]"
            yield f"dnat {family} to {there}:{given['to-ports']}"
        case "reject":
            yield "reject with tcp reset" if given["reject-with"] == "tcp-reset" else "reject with icmpx type port-unreachable"
        case action:
            yield action
