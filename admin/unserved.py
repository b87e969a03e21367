"""Networks that people wrote and that `dns.allow_from` refuses: devices there get no answer at all, so every page that takes or shows a
network says so, with the line that mends it; and those in another place on this gateway, whose rules hold there. Pure. Only the pages
import this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_network

from admin.devices import Device, Match
from admin.errors import FieldMistake, InvalidInput
from admin.policyfile import Around, TenantRows, foreign_networks, lies_in
from admin.values import DeviceMatch
from gateway.settings import allow_line


@dataclass(frozen=True, slots=True)
class Unserved:
    """The networks, and the line of the section `dns` that lets them ask, too; and those that are in another place on this gateway."""

    networks: tuple[str, ...]
    line: str
    foreign: tuple[str, ...] = ()


def look_at(rows: TenantRows, around: Around, devices: Sequence[Device] | None = None, more: Iterable[str] = ()) -> Unserved | None:
    """What a page says of the networks of a tenant's devices, or of these devices, and of `more`; None where all is well."""
    written = written_networks(rows.devices if devices is None else devices)
    found = find_unserved([*more, *written], around)
    foreign = _in_order(foreign_networks(replace(rows, around=around)).intersection(written))
    return replace(found or Unserved((), ""), foreign=foreign) if foreign else found


def find_unserved(networks: Iterable[str], around: Around) -> Unserved | None:
    """Those of some networks and addresses that may not wholly ask; None where all may, or nobody knows who may."""
    allowed = [ip_network(one) for one in (*around.served, *around.link)]
    found = _in_order({one for one in networks if not lies_in(ip_network(one), allowed)})
    return Unserved(found, allow_line([*around.words, *found])) if found and allowed else None


def is_inside(network: str, others: Iterable[str]) -> bool:
    """Whether a network lies in one of others."""
    return lies_in(ip_network(network), [ip_network(other) for other in others])


def refuse_elsewhere(matches: Iterable[Match], field: str, rows: TenantRows) -> None:
    """Refuse a network or address that is, or has a part, in somebody else's place on this gateway and not in one's own: it would never
    hold. Raises InvalidInput."""
    if lies_elsewhere(matches, rows):
        raise InvalidInput(FieldMistake(field, "network_elsewhere"))


def lies_elsewhere(matches: Iterable[Match], rows: TenantRows) -> bool:
    """Whether one of these networks and addresses is, or has a part, in somebody else's place and is not in one of this tenant's own."""
    elsewhere = [ip_network(one) for one in (*rows.others, *rows.around.taken)]
    own = [ip_network(network) for site in rows.sites for network in site.networks]
    written = [ip_network(match.value) for match in matches if match.kind in (DeviceMatch.NETWORK, DeviceMatch.ADDRESS)]
    outside = [one for one in written if not lies_in(one, own)]
    return any(one.version == other.version and one.overlaps(other) for one in outside for other in elsewhere)


def written_networks(devices: Iterable[Device]) -> list[str]:
    """The networks and addresses by which devices are known."""
    kinds = (DeviceMatch.NETWORK, DeviceMatch.ADDRESS)
    return [match.value for device in devices for match in device.matches if match.kind in kinds]


def _in_order(networks: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(networks, key=lambda one: (":" in one, int(ip_network(one).network_address), one)))
