"""Profiles: whom the rules are for. A child, a class, the adults, and the guests nobody has named yet.

A profile is a random id, a label an adult chose, a band and its settings: no birth date, no full name. Every function takes the open
connection and the tenant first; writers raise the tenant's policy revision and add a journal row in the same transaction.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import Act, Action, record
from admin.catalogue import Shelf
from admin.errors import NotFound
from admin.pages.sorting import Key, vietnamese_order
from admin.tables import device_matches, devices, hours, profiles, site_networks, sites
from admin.tenants import mark_changed
from admin.values import BANDS_BY_STRICTNESS, Days, HoursEffect, ProfileId, ProfileKind, SiteId
from blocklists.tables import EVERY_TENANT, OrganisationId, new_id, organisations
from gateway.policy.model import Band

LABEL_LENGTH = 40
#: "Nguyễn Văn A 7B": two or more capitalised words and a class. A nickname is enough.
_FULL_NAME = re.compile(r"(?:[^\W\d_][^\W\d_]*\s+){2,}.*\d{1,2}\s?[A-Za-z]\d?$")

# From the strictest to the freest setting; None is what the band has.
_SAFE = {True: 0, None: 1, False: 2}
_YOUTUBE = {"strict": 0, None: 1, "moderate": 2, "off": 3}
_UNCATEGORISED = {"block": 0, None: 1, "allow": 2}


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile. None leaves a setting to the band."""

    id: ProfileId
    site_id: SiteId
    kind: ProfileKind
    label: str
    band: Band
    safe_search: bool | None
    youtube: str | None
    uncategorised: str | None
    position: int


@dataclass(frozen=True, slots=True)
class NewProfile:
    """A profile that is to be made."""

    kind: ProfileKind
    label: str
    band: Band


@dataclass(frozen=True, slots=True)
class Site:
    """One place of a tenant and the networks that are in it."""

    id: SiteId
    name: str
    site_class: str
    time_zone: str
    networks: tuple[str, ...]


async def list_profiles(connection: AsyncConnection, tenant: OrganisationId) -> list[Profile]:
    """Every live profile of a tenant: children as they were written and classes by their names, then adults, then guests."""
    statement = (
        select(profiles)
        .where(profiles.c.tenant_id == tenant, profiles.c.retired_at.is_(None))
        .order_by(profiles.c.position, profiles.c.created_at, profiles.c.id)
    )
    order = {ProfileKind.CHILD: 0, ProfileKind.CLASS: 0, ProfileKind.ADULT: 1, ProfileKind.GUEST: 2}
    found = [_profile(row) for row in await connection.execute(statement)]

    def place(profile: Profile) -> tuple[int, Key, int]:
        return order[profile.kind], vietnamese_order(profile.label if profile.kind is ProfileKind.CLASS else ""), profile.position

    return sorted(found, key=place)


async def load_profile(connection: AsyncConnection, tenant: OrganisationId, profile: str) -> Profile:
    """One live profile. Raises NotFound, also for another tenant's."""
    statement = select(profiles).where(profiles.c.tenant_id == tenant, profiles.c.id == profile, profiles.c.retired_at.is_(None))
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        raise NotFound
    return _profile(row)


async def list_sites(connection: AsyncConnection, tenant: OrganisationId) -> list[Site]:
    """Every live site of a tenant with its networks."""
    found = (
        await connection.execute(
            select(sites).where(sites.c.tenant_id == tenant, sites.c.retired_at.is_(None)).order_by(sites.c.created_at, sites.c.id)
        )
    ).all()
    networks: dict[str, list[str]] = {}
    listed = select(site_networks.c.site_id, site_networks.c.network).where(site_networks.c.tenant_id == tenant)
    for row in await connection.execute(listed.order_by(site_networks.c.network)):
        networks.setdefault(row.site_id, []).append(row.network)
    return [Site(SiteId(row.id), row.name, row.site_class, row.time_zone, tuple(networks.get(row.id, ()))) for row in found]


async def list_other_networks(connection: AsyncConnection, tenant: OrganisationId, now: datetime) -> list[str]:
    """The networks of every place on this gateway that another live tenant has."""
    statement = (
        select(site_networks.c.network)
        .join(sites, (sites.c.tenant_id == site_networks.c.tenant_id) & (sites.c.id == site_networks.c.site_id))
        .join(organisations, organisations.c.id == site_networks.c.tenant_id)
        .where(
            site_networks.c.tenant_id != tenant,
            sites.c.retired_at.is_(None),
            organisations.c.valid_until.is_(None) | (organisations.c.valid_until > now),
        )
        .order_by(site_networks.c.network)
        .execution_options(**EVERY_TENANT)
    )
    return [str(row.network) for row in await connection.execute(statement)]


async def change_site(connection: AsyncConnection, act: Act, site: Site, name: str, networks: Sequence[str]) -> None:
    """Another name, other networks."""
    await connection.execute(update(sites).where(sites.c.tenant_id == act.tenant, sites.c.id == site.id).values(name=name))
    listed = (site_networks.c.tenant_id == act.tenant, site_networks.c.site_id == site.id)
    await connection.execute(delete(site_networks).where(*listed))
    if networks:
        values = [{"tenant_id": act.tenant, "site_id": site.id, "network": one} for one in dict.fromkeys(networks)]
        await connection.execute(insert(site_networks), values)
    contents = [{"name": one, "networks": list(nets)} for one, nets in ((site.name, site.networks), (name, networks))]
    await record(connection, act, Action.SITE_CHANGED, site.id, before=contents[0], after=contents[1])


async def create_site(connection: AsyncConnection, act: Act, name: str, site_class: str, networks: tuple[str, ...]) -> SiteId:
    """A new place."""
    site = SiteId(new_id())
    await connection.execute(insert(sites).values(id=site, tenant_id=act.tenant, name=name, site_class=site_class, created_at=act.now))
    if networks:
        await connection.execute(
            insert(site_networks), [{"tenant_id": act.tenant, "site_id": site, "network": network} for network in dict.fromkeys(networks)]
        )
    await record(connection, act, Action.SITE_CREATED, site, after={"name": name, "networks": list(networks)})
    await mark_changed(connection, act)
    return site


async def create_profile(connection: AsyncConnection, act: Act, site: SiteId, new: NewProfile, shelf: Shelf) -> ProfileId:
    """A new profile with the hours its band starts with."""
    profile = ProfileId(new_id())
    count = select(func.count()).select_from(profiles).where(profiles.c.tenant_id == act.tenant)
    position = (await connection.execute(count)).scalar_one()
    await connection.execute(
        insert(profiles).values(
            id=profile,
            tenant_id=act.tenant,
            site_id=site,
            kind=new.kind.value,
            label=new.label,
            band=new.band.value,
            position=position,
            created_at=act.now,
        )
    )
    starting = shelf.starting.get(new.band, ()) if new.kind in (ProfileKind.CHILD, ProfileKind.CLASS) else ()
    if starting:
        await connection.execute(
            insert(hours),
            [
                {
                    "tenant_id": act.tenant,
                    "profile_id": profile,
                    "days": Days.EVERY.value,
                    "starts": row.starts,
                    "ends": row.ends,
                    "effect": HoursEffect.REST.value,
                    "position": position,
                }
                for position, row in enumerate(starting)
            ],
        )
    after = {"kind": new.kind.value, "label": new.label, "band": new.band.value}
    await record(connection, act, Action.PROFILE_CREATED, profile, after=after)
    await mark_changed(connection, act)
    return profile


async def change_profile(connection: AsyncConnection, act: Act, before: Profile, after: Profile) -> None:
    """Replace label, band and settings of a profile. Whether that loosens is for the caller to ask (`is_looser`)."""
    if before == after:
        return
    safe = None if after.safe_search is None else int(after.safe_search)
    await connection.execute(
        update(profiles)
        .where(profiles.c.tenant_id == act.tenant, profiles.c.id == before.id)
        .values(label=after.label, band=after.band.value, safe_search=safe, youtube=after.youtube, uncategorised=after.uncategorised)
    )
    await record(connection, act, Action.PROFILE_CHANGED, before.id, before=_content(before), after=_content(after))
    await mark_changed(connection, act)


async def retire_profile(connection: AsyncConnection, act: Act, profile: Profile) -> None:
    """Take a profile away. Its devices become unnamed again and get the strictest band."""
    own = select(devices.c.id).where(devices.c.tenant_id == act.tenant, devices.c.profile_id == profile.id)
    await connection.execute(
        update(device_matches)
        .where(device_matches.c.tenant_id == act.tenant, device_matches.c.device_id.in_(own))
        .values(retired_at=act.now)
    )
    await connection.execute(
        update(devices).where(devices.c.tenant_id == act.tenant, devices.c.profile_id == profile.id).values(retired_at=act.now)
    )
    await connection.execute(
        update(profiles).where(profiles.c.tenant_id == act.tenant, profiles.c.id == profile.id).values(retired_at=act.now)
    )
    await record(connection, act, Action.PROFILE_RETIRED, profile.id, before=_content(profile))
    await mark_changed(connection, act)


def is_looser(before: Profile, after: Profile) -> bool:
    """Whether a change of settings opens anything that was closed."""
    bands = {band: place for place, band in enumerate(BANDS_BY_STRICTNESS)}
    return (
        bands.get(after.band, 0) > bands.get(before.band, 0)
        or _SAFE[after.safe_search] > _SAFE[before.safe_search]
        or _YOUTUBE[after.youtube] > _YOUTUBE[before.youtube]
        or _UNCATEGORISED[after.uncategorised] > _UNCATEGORISED[before.uncategorised]
    )


def strictest_band(found: list[Profile]) -> Band:
    """The strictest band that a tenant serves; guests get it. A place without children: primary school, the middle of caution."""
    served = {profile.band for profile in found if profile.kind in (ProfileKind.CHILD, ProfileKind.CLASS)}
    return next((band for band in BANDS_BY_STRICTNESS if band in served and band is not Band.NL), Band.TH)


async def load_strictest(connection: AsyncConnection, tenant: OrganisationId) -> Band:
    """The strictest band that a tenant serves now: what a device without a name has."""
    return strictest_band(await list_profiles(connection, tenant))


def looks_like_full_name(label: str) -> bool:
    """Whether a label gives away more than a nickname."""
    return bool(_FULL_NAME.search(label))


def _content(profile: Profile) -> dict[str, object]:
    return {
        "label": profile.label,
        "band": profile.band.value,
        "safe_search": profile.safe_search,
        "youtube": profile.youtube,
        "uncategorised": profile.uncategorised,
    }


def _profile(row: Row[Any]) -> Profile:
    return Profile(
        id=ProfileId(row.id),
        site_id=SiteId(row.site_id),
        kind=ProfileKind(row.kind),
        label=row.label,
        band=Band(row.band),
        safe_search=None if row.safe_search is None else bool(row.safe_search),
        youtube=row.youtube,
        uncategorised=row.uncategorised,
        position=row.position,
    )
