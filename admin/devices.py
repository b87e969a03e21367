"""Devices: which address, network, MAC or token belongs to which profile.

A device that asks and that nobody has named is "new": it gets the strictest band of the site until somebody says whose it is. What
the gateway has seen comes from its memory (`admin.link`); only what a person assigned is stored.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv6Address, IPv6Network, ip_address, ip_network

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import Act, Action, record
from admin.errors import Conflict, FieldMistake, InvalidInput, NotFound
from admin.familytables import home_links
from admin.link import SeenDevice
from admin.profiles import Profile
from admin.tables import device_matches, devices
from admin.tenants import is_hosted, mark_changed
from admin.values import BANDS_BY_STRICTNESS, DeviceId, DeviceMatch, ProfileId, ProfileKind
from blocklists.tables import OrganisationId, OrganisationKind, new_id
from gateway.policy.model import Band

_MAC = re.compile(r"[0-9a-f]{2}([:-]?[0-9a-f]{2}){5}")
#: Behind an address of IPv6 the link through which some machine saw it: the address of a query has none.
_LINK = re.compile(r"%[\w.-]+")


@dataclass(frozen=True, slots=True)
class Match:
    """One way by which a device is known."""

    kind: DeviceMatch
    value: str

    def text(self) -> str:
        """As a policy file writes it: with the token, which is a secret."""
        return self.value if self.kind in (DeviceMatch.ADDRESS, DeviceMatch.NETWORK) else f"{self.kind.value}:{self.value}"

    def shown(self) -> str:
        """As a list of devices shows it: whoever has a token has its rules, so that stays on the sheet."""
        return "token:…" if self.kind is DeviceMatch.TOKEN else self.text()


@dataclass(frozen=True, slots=True)
class Device:
    """A device somebody has named."""

    id: DeviceId
    profile_id: ProfileId
    label: str
    matches: tuple[Match, ...]

    @property
    def is_single(self) -> bool:
        """Whether it stands for one machine: then it may be told about itself. A network is many."""
        return all(match.kind is not DeviceMatch.NETWORK for match in self.matches)

    @property
    def has_sheet(self) -> bool:
        """Whether it is a phone with a token of its own."""
        return any(match.kind is DeviceMatch.TOKEN for match in self.matches)


async def list_devices(connection: AsyncConnection, tenant: OrganisationId) -> list[Device]:
    """Every live device of a tenant."""
    listed = select(device_matches).where(device_matches.c.tenant_id == tenant, device_matches.c.retired_at.is_(None))
    matches: dict[str, list[Match]] = {}
    for row in await connection.execute(listed.order_by(device_matches.c.kind, device_matches.c.value)):
        matches.setdefault(row.device_id, []).append(Match(DeviceMatch(row.kind), row.value))
    statement = select(devices).where(devices.c.tenant_id == tenant, devices.c.retired_at.is_(None))
    return [
        Device(DeviceId(row.id), ProfileId(row.profile_id), row.label, tuple(matches.get(row.id, ())))
        for row in await connection.execute(statement.order_by(devices.c.created_at, devices.c.id))
    ]


async def load_device(connection: AsyncConnection, tenant: OrganisationId, device: str) -> Device:
    """One live device. Raises NotFound."""
    for found in await list_devices(connection, tenant):
        if found.id == device:
            return found
    raise NotFound


async def assign_device(connection: AsyncConnection, act: Act, profile: ProfileId, label: str, matches: Sequence[Match]) -> DeviceId:
    """Give a device that nobody had to a profile. Raises Conflict when somebody has it already, InvalidInput where a family on somebody
    else's gateway names an address there."""
    if any(match.kind is not DeviceMatch.TOKEN for match in matches) and await is_hosted(connection, act.tenant):
        raise InvalidInput(FieldMistake("address", "hosted_address"))
    device = DeviceId(new_id())
    await connection.execute(insert(devices).values(id=device, tenant_id=act.tenant, profile_id=profile, label=label, created_at=act.now))
    try:
        await connection.execute(
            insert(device_matches),
            [
                {"tenant_id": act.tenant, "device_id": device, "kind": match.kind.value, "value": match.value}
                for match in dict.fromkeys(matches)
            ],
        )
    except IntegrityError as error:
        raise Conflict("device_taken", "address") from error
    after = {"profile": profile, "label": label, "matches": [match.text() for match in matches]}
    await record(connection, act, Action.DEVICE_ASSIGNED, device, after=after)
    await mark_changed(connection, act)
    return device


async def move_device(connection: AsyncConnection, act: Act, device: Device, profile: ProfileId, label: str) -> None:
    """Give a named device to another profile, or rename it."""
    if (device.profile_id, device.label) == (profile, label):
        return
    await connection.execute(
        update(devices).where(devices.c.tenant_id == act.tenant, devices.c.id == device.id).values(profile_id=profile, label=label)
    )
    before, after = {"profile": device.profile_id, "label": device.label}, {"profile": profile, "label": label}
    await record(connection, act, Action.DEVICE_ASSIGNED, device.id, before=before, after=after)
    await mark_changed(connection, act)


async def retire_device(connection: AsyncConnection, act: Act, device: Device) -> None:
    """Forget a device: from now on it is new again and gets the strictest band. If it was the home, its address is forgotten."""
    await connection.execute(delete(home_links).where(home_links.c.tenant_id == act.tenant, home_links.c.device_id == device.id))
    await connection.execute(
        update(device_matches)
        .where(device_matches.c.tenant_id == act.tenant, device_matches.c.device_id == device.id)
        .values(retired_at=act.now)
    )
    await connection.execute(update(devices).where(devices.c.tenant_id == act.tenant, devices.c.id == device.id).values(retired_at=act.now))
    await record(connection, act, Action.DEVICE_RETIRED, device.id, before={"profile": device.profile_id})
    await mark_changed(connection, act)


def group_seen(seen: Sequence[SeenDevice]) -> list[SeenDevice]:
    """One entry for each device, in the order given: by its MAC, for a phone has several addresses over IPv6 and changes them. Where no
    MAC is known (the device is behind a router), the addresses of one IPv6 network of 64 bits are one entry; but a network in which MACs
    are seen is this very link, with many devices in it: there each address stands for itself.
    """
    links = {_network(one.address) for one in seen if one.mac}
    found: dict[str, SeenDevice] = {}
    for one in seen:
        network = "" if one.mac else _network(one.address)
        network = "" if network in links else network
        key = (one.mac or network or one.address).lower()
        first = found.get(key)
        if first is None:
            found[key] = replace(one, network=network)
            continue
        addresses = list(dict.fromkeys((first.address, *first.others, one.address)))
        addresses.sort(key=lambda address: ":" in address)  # the one that people know comes first
        found[key] = replace(
            first,
            address=addresses[0],
            others=tuple(addresses[1:]),
            first_seen=min(first.first_seen, one.first_seen),
            last_seen=max(first.last_seen, one.last_seen),
            name=first.name or one.name,
        )
    return list(found.values())


def _network(address: str) -> str:
    """The IPv6 network of an address in which its device makes up further ones; empty for addresses that mean one link or machine."""
    found = ip_address(address.partition("%")[0])
    if not isinstance(found, IPv6Address) or found.is_link_local or found.is_loopback or found.ipv4_mapped is not None:
        return ""
    return str(IPv6Network((found, 64), strict=False))


def matches_of(seen: SeenDevice) -> tuple[Match, ...]:
    """How a seen device is kept: by its MAC where the gateway knows it (it follows the device), else by its IPv6 network if it stands for
    one, else by its address."""
    if seen.mac:
        return (Match(DeviceMatch.MAC, seen.mac.lower()),)
    if seen.network:
        return (Match(DeviceMatch.NETWORK, seen.network),)
    return (Match(DeviceMatch.ADDRESS, seen.address),)


def has_private_mac(mac: str | None) -> bool:
    """Whether a phone made this MAC up (the locally administered bit): it changes, and the device becomes new again."""
    return bool(mac) and bool(int(str(mac)[:2], 16) & 0b10)


def read_match(text: str) -> Match | None:
    """An address, network or MAC as a person types it; None when it is none."""
    compact = text.strip().lower()
    if _MAC.fullmatch(compact):
        digits = re.sub(r"[:-]", "", compact)
        return Match(DeviceMatch.MAC, ":".join(digits[place : place + 2] for place in range(0, 12, 2)))
    try:
        if ":" in compact:
            compact = _LINK.sub("", compact)
        if "/" in compact:
            network = ip_network(compact, strict=False)
            whole = network.prefixlen == network.max_prefixlen
            return Match(DeviceMatch.ADDRESS, str(network.network_address)) if whole else Match(DeviceMatch.NETWORK, str(network))
        return Match(DeviceMatch.ADDRESS, str(ip_address(compact)))
    except ValueError:
        return None


def judge_owner(tenant: OrganisationKind, owner: Profile, matches: Sequence[Match]) -> None:
    """Refuse to give an adult of a family a whole network: every device in it that nobody has named, or that changes its address, would be
    free. (A school's staff have a network of their own.) Raises InvalidInput."""
    many = any(match.kind is DeviceMatch.NETWORK for match in matches)
    if many and owner.kind is ProfileKind.ADULT and tenant is OrganisationKind.FAMILY:
        raise InvalidInput(FieldMistake("owner", "network_frees"))


def frees_when_forgotten(owner: Profile) -> bool:
    """Whether a device becomes freer when it is new again: a child's hours and switches end with it."""
    return owner.kind in (ProfileKind.CHILD, ProfileKind.CLASS)


def is_looser_owner(before: Profile | None, after: Profile) -> bool:
    """Whether giving a device to this profile frees it; nobody's device: whether it becomes an adult's.

    A child's device is always freed: what was turned off until tonight, the hours and the closed apps are the child's own, and stay behind
    when the device goes to a sibling of the same age, or to one that was made a moment ago.
    """
    order = {band: place for place, band in enumerate(BANDS_BY_STRICTNESS)}
    if before is not None and before.id != after.id and frees_when_forgotten(before):
        return True
    if after.kind is ProfileKind.GUEST:
        return False
    if before is None:
        return after.kind is ProfileKind.ADULT
    return order.get(after.band, 0) > order.get(before.band, 0)


def frees_new_device(strictest: Band, after: Profile) -> bool:
    """Whether giving a new device to this profile frees it: it has the strictest band (`load_strictest`). A child's phone that was made new
    must not become an elder one's by a page left open."""
    return after.kind is not ProfileKind.GUEST and BANDS_BY_STRICTNESS.index(after.band) > BANDS_BY_STRICTNESS.index(strictest)
