"""The home page's cards: what is on for each child now and until when, when it was seen, one total. Pure but for `read_cards`.

Silence is "not known", never "protected" and never an accusation; without a consented history there are no categories and no hours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from admin.catalogue import Shelf
from admin.devices import Device, group_seen
from admin.link import SeenDevice
from admin.moment import Moment, moment_in
from admin.policyfile import NOTHING_AROUND, Around, TenantRows, networks_of, read_rows
from admin.profiles import Profile
from admin.sharing import Loan
from admin.totals import read_day
from admin.unserved import Unserved, look_at
from admin.values import DeviceId, ProfileKind
from blocklists.tables import OrganisationId


@dataclass(frozen=True, slots=True)
class Card:
    """One child, class or group of adults. `seen_at` None: not known. `blocked` None: nothing counted today. `lent`: devices of theirs
    that an adult uses now; what those ask is not the child's."""

    profile: Profile
    moment: Moment
    devices: tuple[Device, ...]
    seen_at: datetime | None
    blocked: int | None
    lent: tuple[tuple[Device, Loan], ...] = ()


@dataclass(frozen=True, slots=True)
class Cards:
    """The home page."""

    people: tuple[Card, ...]
    others: tuple[Card, ...]
    unnamed: tuple[SeenDevice, ...]
    #: The networks that belong to it, of all its places.
    networks: tuple[str, ...] = ()
    #: Those that somebody wrote and that get no answer.
    unserved: Unserved | None = None


async def read_cards(
    connection: AsyncConnection,
    tenant: OrganisationId,
    seen: Sequence[SeenDevice],
    shelf: Shelf,
    now: datetime,
    around: Around = NOTHING_AROUND,
) -> Cards:
    """Everything the home page shows of one tenant."""
    rows = replace(await read_rows(connection, tenant, now), around=around)
    today = now.astimezone(ZoneInfo(rows.time_zone)).date().isoformat()
    totals = await read_day(connection, tenant, today)
    cards = [make_card(profile, rows, seen, totals.get(profile.id), shelf, now) for profile in rows.profiles]
    people = (ProfileKind.CHILD, ProfileKind.CLASS)
    return Cards(
        people=tuple(card for card in cards if card.profile.kind in people),
        others=tuple(card for card in cards if card.profile.kind not in people),
        unnamed=unnamed_devices(rows, seen),
        networks=tuple(network for site in rows.sites for network in networks_of(site, rows)),
        unserved=look_at(rows, around),
    )


def make_card(
    profile: Profile, rows: TenantRows, seen: Sequence[SeenDevice], total: tuple[int, int] | None, shelf: Shelf, now: datetime
) -> Card:
    """The card of one profile."""
    own = tuple(device for device in rows.devices if device.profile_id == profile.id)
    last = last_seen(rows, seen)
    loans = {loan.device_id: loan for loan in rows.loans}
    times = [last[device.id] for device in own if device.id in last and device.id not in loans]
    return Card(
        profile=profile,
        moment=moment_in(profile, rows, shelf, now),
        devices=own,
        seen_at=max(times, default=None),
        blocked=total[1] if total else None,
        lent=tuple((device, loans[device.id]) for device in own if device.id in loans),
    )


def last_seen(rows: TenantRows, seen: Sequence[SeenDevice]) -> dict[DeviceId, datetime]:
    """When each named device of a tenant asked last; also one that was named after it asked, which the gateway knows by its address."""
    known = {device.id for device in rows.devices}
    owners = {match.value: device.id for device in rows.devices for match in device.matches if device.is_single}
    found: dict[DeviceId, datetime] = {}
    for one in seen:
        device = DeviceId(one.client) if one.client in known and one.client else None
        if device is None and one.client is None and one.tenant == rows.tenant and not one.is_shared:
            values = (one.address, *one.others, (one.mac or "").lower(), one.network)
            device = next((owners[value] for value in values if value in owners), None)
        if device is not None:
            found[device] = max(one.last_seen, found.get(device, one.last_seen))
    return found


def unnamed_devices(rows: TenantRows, seen: Sequence[SeenDevice]) -> tuple[SeenDevice, ...]:
    """Devices that asked at this tenant's place and that nobody has named, last seen first; one entry for each, whatever its addresses."""
    known = {device.id for device in rows.devices}
    values = {match.value for device in rows.devices for match in device.matches}
    return tuple(
        one
        for one in group_seen(seen)
        if one.tenant == rows.tenant
        and one.client not in known
        and not values.intersection((one.address, *one.others, (one.mac or "").lower(), one.network))
    )
