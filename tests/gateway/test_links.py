"""Which networks of this machine's links count as its own."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from gateway.links import may_ask, own_networks, read_table
from gateway.settings import DnsSettings

TABLE = """\
20010ee0000100020000000000000002 02 40 00 00 eth0
fe800000000000000000000000000001 02 40 20 80 eth0
24020800000000000000000000000001 02 20 00 00 eth0
00000000000000000000000000000001 02 00 00 00 eth0
24020800000900000000000000000001 03 30 00 00 eth1
damaged line
zz 02 40 00 00 eth0
"""


def test_global_networks_of_48_and_narrower_count() -> None:
    """Neither a link-local address nor /32 nor everything; a damaged line costs only itself."""
    found = [("2001:ee0:1:2::/64", "eth0"), ("2402:800:9::/48", "eth1")]
    assert [(str(network), link) for network, link in read_table(TABLE)] == found


def test_this_machine_has_no_loopback_among_them() -> None:
    """Whatever machine this is: its own loopback is no link, and a stranger may not ask."""
    assert all(ip_address("::1") not in network for network in own_networks())
    dns = DnsSettings((), 1, (ip_network("10.0.0.0/8"),), None, "lachan.internal", True)
    assert may_ask(dns, "10.1.2.3") and not may_ask(dns, "2001:db8::1")
    assert dns.line_with("fd00::/8") == 'allow_from: [10.0.0.0/8, link, "fd00::/8"]'
