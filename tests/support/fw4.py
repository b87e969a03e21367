"""OpenWrt's firewall (fw4) as far as our sections need it: /etc/config/firewall in, an nft ruleset out. Neither fw4 nor its language is
packaged for Debian or PyPI, so this is our reading of it, kept strict: a section or option that is not named here fails.

What it follows, from fw4's own documentation and published test expectations: the options of `ipset`, `rule`, `redirect` and `nat`; where
each lands (`forward_<zone>` and `input_<zone>` before forwardings, `dstnat_<zone>` by the incoming zone, `srcnat_<zone>` by the outgoing
one, before masquerading); one nft rule for each protocol; forwarding of redirected connections allowed by `ct status dnat`; rejecting by
reset or unreachable port.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

#: A router as it comes, with a zone more for a gateway that has a network of its own. The zones' devices are the test's.
DEFAULT = """
config zone
	option name 'lan'
	option device 'eth0'
	option input 'ACCEPT'
	option forward 'ACCEPT'

config zone
	option name 'wan'
	option device 'eth1'
	option input 'REJECT'
	option forward 'DROP'
	option masq '1'

config zone
	option name 'servers'
	option device 'eth2'
	option input 'ACCEPT'
	option forward 'REJECT'

config forwarding
	option src 'lan'
	option dest 'wan'

config forwarding
	option src 'lan'
	option dest 'servers'

config forwarding
	option src 'servers'
	option dest 'wan'
"""
_LINE = re.compile(r"config (?P<section>\w+)|\t(?P<kind>option|list) (?P<key>\w+) '(?P<value>[^']*)'")
_OPTIONS = {
    "zone": {"name", "device", "input", "forward", "masq"},
    "forwarding": {"src", "dest"},
    "ipset": {"name", "family", "match", "entry"},
    "rule": {"name", "family", "src", "dest", "proto", "src_ip", "dest_ip", "dest_port", "ipset", "target"},
    "redirect": {
        "name", "family", "src", "dest", "proto", "src_ip", "src_dip", "src_dport", "dest_ip", "dest_port", "reflection", "target",
    },
    "nat": {"name", "family", "src", "proto", "src_ip", "dest_ip", "dest_port", "target"},
}  # fmt: skip


@dataclass
class _Section:
    kind: str
    options: dict[str, str] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)

    def __getitem__(self, key: str) -> str:
        return self.options[key]


def read_sections(text: str) -> list[_Section]:
    """The sections of a UCI file. Raises AssertionError with the line that fw4 would not take."""
    found: list[_Section] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        assert match, f"line {number}: {line!r} is no UCI"
        if match["section"]:
            assert match["section"] in _OPTIONS, f"line {number}: section {match['section']} is not known"
            found.append(_Section(match["section"]))
            continue
        assert found, f"line {number}: an option outside a section"
        assert match["key"] in _OPTIONS[found[-1].kind], f"line {number}: {found[-1].kind} has no option {match['key']}"
        if match["kind"] == "list":
            found[-1].lists.setdefault(match["key"], []).append(match["value"])
        else:
            assert match["key"] not in found[-1].options, f"line {number}: {match['key']} twice"
            found[-1].options[match["key"]] = match["value"]
    return found


def ruleset(text: str) -> str:
    """What fw4 loads for a configuration."""
    sections = read_sections(text)
    zones = {one["name"]: one["device"] for one in sections if one.kind == "zone"}
    chains: dict[str, list[str]] = {}
    lines = ["table inet fw4", "flush table inet fw4", "table inet fw4 {"]
    for one in sections:
        if one.kind == "ipset":
            assert one.lists["match"] == ["dest_ip"]
            kind = {"ipv4": "ipv4_addr", "ipv6": "ipv6_addr"}[one["family"]]
            lines += [f"set {one['name']} {{", f"type {kind}", f"elements = {{ {', '.join(one.lists['entry'])} }}", "}"]
    sets = {one["name"]: one["family"] for one in sections if one.kind == "ipset"}
    for one in sections:
        if one.kind == "rule":
            chain, verdict = _place(one, zones)
            chains.setdefault(chain, []).extend(f"{match} counter jump {verdict}" for match in _matches(one, one["dest_port"], sets))
        elif one.kind == "redirect":
            assert one["src"] in zones and one["target"] == "DNAT" and one["reflection"] == "0" and one.options.get("dest", "lan") in zones
            there = f"[{one['dest_ip']}]" if one["family"] == "ipv6" else one["dest_ip"]
            verdict = f"dnat {'ip6' if one['family'] == 'ipv6' else 'ip'} to {there}:{one['dest_port']}"
            chains.setdefault(f"dstnat_{one['src']}", []).extend(
                f"{match} counter {verdict}" for match in _matches(one, one["src_dport"], {})
            )
        elif one.kind == "nat":
            assert one["src"] in zones and one["target"] == "MASQUERADE"
            chains.setdefault(f"srcnat_{one['src']}", []).extend(
                f"{match} counter masquerade" for match in _matches(one, one["dest_port"], {})
            )
    for one in sections:
        if one.kind == "forwarding":
            chains.setdefault(f"forward_{one['src']}", []).append(f"jump accept_to_{one['dest']}")
    for one in sections:
        if one.kind == "zone":
            name, device = one["name"], one["device"]
            chains.setdefault(f"forward_{name}", []).extend(["ct status dnat accept", f"jump {one['forward'].lower()}_to_{name}"])
            chains.setdefault(f"input_{name}", []).extend(["ct status dnat accept", f"jump {one['input'].lower()}_from_{name}"])
            for verdict, does in (("accept", "accept"), ("drop", "drop"), ("reject", "jump handle_reject")):
                chains[f"{verdict}_to_{name}"] = [f'oifname "{device}" counter {does}']
                chains[f"{verdict}_from_{name}"] = [f'iifname "{device}" counter {does}']
            if one.options.get("masq") == "1":
                chains.setdefault(f"srcnat_{name}", []).append("meta nfproto ipv4 masquerade")
            chains.setdefault(f"srcnat_{name}", [])
            chains.setdefault(f"dstnat_{name}", [])
    reject = ["meta l4proto tcp reject with tcp reset", "reject with icmpx type port-unreachable"]
    lines += ["chain handle_reject {", *reject, "}"]
    for chain in sorted(chains, key=lambda name: not name.startswith(("accept_", "drop_", "reject_"))):
        lines += [f"chain {chain} {{", *chains[chain], "}"]
    for hook in ("input", "forward"):
        lines += [f"chain {hook} {{", f"type filter hook {hook} priority filter; policy drop;"]
        lines += ['iifname "lo" accept', "ct state established,related accept", "meta l4proto ipv6-icmp accept"]
        lines += [*(f'iifname "{device}" jump {hook}_{name}' for name, device in zones.items()), "jump handle_reject", "}"]
    lines += ["chain dstnat {", "type nat hook prerouting priority dstnat; policy accept;"]
    lines += [*(f'iifname "{device}" jump dstnat_{name}' for name, device in zones.items()), "}"]
    lines += ["chain srcnat {", "type nat hook postrouting priority srcnat; policy accept;"]
    lines += [*(f'oifname "{device}" jump srcnat_{name}' for name, device in zones.items()), "}", "}"]
    return "\n".join([*lines, ""])


def _place(rule: _Section, zones: dict[str, str]) -> tuple[str, str]:
    """The chain of a rule, and where it jumps."""
    assert rule["src"] in zones and rule["target"] == "REJECT"
    dest = rule.options.get("dest")
    if dest is None:
        return f"input_{rule['src']}", "handle_reject"
    if dest == "*":
        return f"forward_{rule['src']}", "handle_reject"
    assert dest in zones, f"{dest} is no zone"
    return f"forward_{rule['src']}", f"reject_to_{dest}"


def _matches(section: _Section, port: str, sets: dict[str, str]) -> Iterator[str]:
    """What each nft rule of a section matches: one for each protocol, in the order written."""
    family = {"ipv4": "ip", "ipv6": "ip6"}[section["family"]]
    where: list[str] = []
    addresses = {"src_ip": "saddr", "src_dip": "daddr"} | ({} if section.kind == "redirect" else {"dest_ip": "daddr"})
    for option, side in addresses.items():
        if option in section.options:
            value = section[option]
            where.append(f"{family} {side} {'!= ' if value.startswith('!') else ''}{value.lstrip('!')}")
    if not where:
        where.append(f"meta nfproto {section['family']}")
    listed = ""
    if "ipset" in section.options:
        name, direction = section["ipset"].split()
        assert direction in ("dest", "dst") and sets[name] == section["family"], f"{name} is no set of this family"
        listed = f" {family} daddr @{name}"
    for protocol in section["proto"].split():
        assert protocol in ("tcp", "udp")
        yield f"{' '.join(where)} {protocol} dport {port}{listed}"
