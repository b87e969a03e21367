"""Networks that people wrote and that `dns.allow_from` refuses: devices there get no answer at all, so every page that takes or shows a
network says so, with the line that mends it. Pure. Only the pages import this module.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from admin.devices import Device
from admin.policyfile import Around
from admin.values import DeviceMatch
from gateway.settings import allow_line


@dataclass(frozen=True, slots=True)
class Unserved:
    """The networks, and the line of the section `dns` that lets them ask, too."""

    networks: tuple[str, ...]
    line: str


def find_unserved(networks: Iterable[str], around: Around) -> Unserved | None:
    """Those of some networks and addresses that may not wholly ask; None where all may, or nobody knows who may."""
    allowed = [ip_network(one) for one in (*around.served, *around.link)]
    refused = {one for one in networks if not any(_is_inside(one, other) for other in allowed)}
    found = tuple(sorted(refused, key=lambda one: (":" in one, int(ip_network(one).network_address), one)))
    return Unserved(found, allow_line([*around.words, *found])) if found and allowed else None


def is_inside(network: str, others: Iterable[str]) -> bool:
    """Whether a network lies in one of others."""
    return any(_is_inside(network, ip_network(other)) for other in others)


def written_networks(devices: Iterable[Device]) -> list[str]:
    """The networks and addresses by which devices are known."""
    kinds = (DeviceMatch.NETWORK, DeviceMatch.ADDRESS)
    return [match.value for device in devices for match in device.matches if match.kind in kinds]


def _is_inside(text: str, other: IPv4Network | IPv6Network) -> bool:
    network = ip_network(text)
    return network.version == other.version and network.network_address in other and network.prefixlen >= other.prefixlen
