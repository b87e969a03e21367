"""From a tenant's rows to the one policy file that the gateway enforces: the same rows at the same moment give the same bytes.

`read_rows` loads everything of one tenant in a fixed number of statements; `cut` is pure and follows the policy file's format; the
gateway's own parser (`gateway.policy.tenant`) judges the result before it leaves this process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.catalogue import Shelf
from admin.dates import Dates, list_dates, with_dates
from admin.devices import Device, list_devices
from admin.errors import NotFound
from admin.history import list_keepings
from admin.homelink import Home, load_home
from admin.hours import Hours, Written, write_hours
from admin.names import NameRule
from admin.officetighten import FOR, SchoolRule, rules_in
from admin.overrides import Override, list_overrides
from admin.profiles import Profile, Site, list_other_networks, list_profiles, list_sites, strictest_band
from admin.sharing import Loan, list_loans
from admin.staff import list_ends
from admin.switches import Switches, is_open
from admin.tables import hours, name_rules, switches
from admin.unnamed import rests_of
from admin.values import (
    Days,
    DeviceMatch,
    HoursEffect,
    NameEffect,
    OverrideKind,
    ProfileId,
    ProfileKind,
    SiteId,
    SwitchKind,
    SwitchState,
    TargetKind,
)
from admin.watching import list_watches
from blocklists.tables import OrganisationId, OrganisationKind, organisations
from gateway.notebook import WATCH

Json = dict[str, Any]  # Any: JSON of the policy file format
_KINDS = {OrganisationKind.FAMILY: "family", OrganisationKind.SCHOOL: "school"}
_OWNERS = {OrganisationKind.FAMILY: "parent", OrganisationKind.SCHOOL: "school"}


@dataclass(frozen=True, slots=True)
class Around:
    """What the settings file says of networks: `served` may ask (`dns.allow_from`), `taken` are those of its own places. `words` are
    `dns.allow_from` as the file has it, `link` the networks that its word `link` stands for today."""

    served: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    link: tuple[str, ...] = ()


NOTHING_AROUND = Around()
_BY_ADDRESS = (DeviceMatch.NETWORK, DeviceMatch.ADDRESS)


@dataclass(frozen=True, slots=True)
class TenantRows:
    """Everything of one tenant that the gateway must know."""

    tenant: OrganisationId
    kind: OrganisationKind
    time_zone: str
    sites: Sequence[Site]
    profiles: Sequence[Profile]
    devices: Sequence[Device]
    switches: Mapping[str, Switches]
    names: Mapping[str, Sequence[NameRule]]
    hours: Mapping[str, Sequence[Hours]]
    overrides: Sequence[Override]
    loans: Sequence[Loan] = ()
    #: Devices that somebody has until a moment only (`admin.staff`).
    ends: Mapping[str, datetime] = field(default_factory=dict)
    #: Profiles whose history is kept by consent, and for how many days.
    kept: Mapping[str, int] = field(default_factory=dict)
    dates: Sequence[Dates] = ()
    #: Profiles that are only watched, between two moments.
    watches: Mapping[str, tuple[datetime, datetime]] = field(default_factory=dict)
    #: Where it lies, as a code; empty: nobody said.
    place: str = ""
    #: The home whose public address changes.
    home: Home | None = None
    #: What the education department closed in the schools of this place.
    above: Sequence[SchoolRule] = ()
    #: The networks of every other tenant's places on this gateway; not read where the tenant's own have none.
    others: Sequence[str] = ()
    around: Around = NOTHING_AROUND


async def read_rows(connection: AsyncConnection, tenant: OrganisationId, now: datetime) -> TenantRows:
    """Load one tenant. Raises NotFound when it has ended or never was."""
    statement = select(organisations.c.kind, organisations.c.time_zone, organisations.c.place_code).where(
        organisations.c.id == tenant, organisations.c.valid_until.is_(None) | (organisations.c.valid_until > now)
    )
    row = (await connection.execute(statement)).one_or_none()
    if row is None:
        raise NotFound
    own_sites = await list_sites(connection, tenant)
    return TenantRows(
        tenant=tenant,
        kind=OrganisationKind(row.kind),
        time_zone=row.time_zone,
        sites=own_sites,
        profiles=await list_profiles(connection, tenant),
        devices=await list_devices(connection, tenant),
        switches=await _all_switches(connection, tenant),
        names=await _all_names(connection, tenant),
        hours=await _all_hours(connection, tenant),
        overrides=await list_overrides(connection, tenant, now),
        loans=await list_loans(connection, tenant, now),
        ends=await list_ends(connection, tenant),
        dates=await list_dates(connection, tenant),
        watches=await list_watches(connection, tenant, now),
        place=row.place_code or "",
        above=await rules_in(connection, tenant, row.place_code or "") if row.kind == OrganisationKind.SCHOOL.value else (),
        home=await load_home(connection, tenant),
        others=await list_other_networks(connection, tenant, now) if any(site.networks for site in own_sites) else (),
        kept={profile: keeping.days for profile, keeping in (await list_keepings(connection, tenant)).items()},
    )


def has_policy(kind: OrganisationKind) -> bool:
    """Whether organisations of this kind have a policy of their own: families and schools do, offices and areas do not."""
    return kind in _KINDS


def cut(rows: TenantRows, shelf: Shelf, page_address: Sequence[str]) -> Json:
    """The policy file of a tenant. `page_address`: where blocked names lead to when the explaining page is served; empty: nowhere."""
    shelf = with_dates(shelf, rows.dates)
    children = [profile for profile in rows.profiles if profile.kind in (ProfileKind.CHILD, ProfileKind.CLASS)]
    bands = sorted({profile.band.value for profile in children}) or [strictest_band(list(rows.profiles)).value]
    guest = next((profile.id for profile in rows.profiles if profile.kind is ProfileKind.GUEST), None)
    lent, away = {loan.device_id: loan for loan in rows.loans}, foreign_networks(rows)
    known_by = {device.id: sorted(one.text() for one in device.matches if one.value not in away) for device in rows.devices}
    site_of = {profile.id: profile.site_id for profile in rows.profiles}
    document: Json = {
        "format": 1,
        "tenant": rows.tenant,
        "kind": _KINDS[rows.kind],
        "site_class": "school" if rows.kind is OrganisationKind.SCHOOL else "home",
        "rules": None,
        "sites": [_site(site, networks_of(site, rows), bands) for site in sorted(rows.sites, key=lambda site: site.id)],
        "default_profile": guest,
        "profiles": [_profile(profile, rows, shelf) for profile in sorted(rows.profiles, key=lambda profile: profile.id)],
        "clients": [
            {
                "id": device.id,
                "profile": device.profile_id if device.id not in rows.ends else guest,
                "group": None,
                "site": site_of[device.profile_id],
                "match": known_by[device.id],
            }
            | _home(device, rows.home)
            | (_lent(lent.get(device.id), site_of) or _ending(device, rows.ends.get(device.id)))
            for device in sorted(rows.devices, key=lambda device: device.id)
            if device.profile_id in site_of and known_by[device.id] and (device.id not in rows.ends or guest is not None)
        ],
    }
    if rows.place:
        document["place"] = rows.place
    if page_address:
        document["block"] = {"mode": "page", "ttl": 10, "page_address": sorted(page_address)}
    return document


def written_hours(profile: Profile, rows: TenantRows, shelf: Shelf) -> list[Written]:
    """The windows of a profile; `shelf` carries the tenant's dates. A family's guests rest with its children (`admin.unnamed`)."""
    own = write_hours(rows.hours.get(profile.id, ()), shelf)
    if profile.kind is not ProfileKind.GUEST or rows.kind is not OrganisationKind.FAMILY:
        return own
    children = [one.id for one in rows.profiles if one.kind is ProfileKind.CHILD]
    offs = [act for act in rows.overrides if act.kind is OverrideKind.OFF and act.profile_id in children]
    return [*own, *rests_of([rows.hours.get(child, ()) for child in children], offs, shelf, rows.time_zone)]


def _lent(loan: Loan | None, known: Mapping[ProfileId, SiteId]) -> Json:
    """A device in an adult's hands: under whose profile, until when."""
    return {"lent": {"profile": loan.profile_id, "until": _iso(loan.ends_at)}} if loan is not None and loan.profile_id in known else {}


def _ending(device: Device, ends: datetime | None) -> Json:
    """A device with an end has its owner's rules until then, and a new device's afterwards, by the gateway's own clock."""
    return {"lent": {"profile": device.profile_id, "until": _iso(ends)}} if ends is not None else {}


def _home(device: Device, home: Home | None) -> Json:
    """What a home has of the internet now; the gateway lets go of it by its own clock."""
    if home is None or home.device_id != device.id:
        return {}
    return {"linked": [{"address": one.network, "until": _iso(one.until)} for one in home.addresses]}


def networks_of(site: Site, rows: TenantRows) -> tuple[str, ...]:
    """The networks of a place as they are enforced: those stored, those of its own classes and devices, and, where nobody else has a place
    on this gateway, whatever `dns.allow_from` serves today. Nothing is taken from another place; one without networks stays so."""
    return _split(site, rows)[0]


def foreign_networks(rows: TenantRows) -> frozenset[str]:
    """Networks and addresses of classes and devices that lie in another place on this gateway: their rules cannot hold there, and no file
    has them, so that whatever else changes is enforced."""
    return frozenset(one for site in rows.sites for one in _split(site, rows)[1])


def _split(site: Site, rows: TenantRows) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The networks of a place, and what of its classes and devices lies in another one."""
    if not site.networks:
        return (), ()
    elsewhere = [*(one for other in rows.sites if other.id != site.id for one in other.networks), *rows.others]
    found = [ip_network(one) for one in (*site.networks, *(rows.around.served if not elsewhere else ()))]
    here = {profile.id for profile in rows.profiles if profile.site_id == site.id}
    own = {match.value for device in rows.devices if device.profile_id in here for match in device.matches if match.kind in _BY_ADDRESS}
    outside = {one: network for one, network in ((one, ip_network(one)) for one in sorted(own)) if not lies_in(network, found)}
    foreign: list[str] = []
    if outside:  # a province has thousands of places: what lies in one's own needs none of the others
        others = [ip_network(one) for one in (*elsewhere, *rows.around.taken)]
        foreign = [one for one, network in outside.items() if any(network.version == it.version and network.overlaps(it) for it in others)]
        found += [network for one, network in outside.items() if one not in foreign]
    four = collapse_addresses([one for one in found if isinstance(one, IPv4Network)])
    six = collapse_addresses([one for one in found if isinstance(one, IPv6Network)])
    return tuple(map(str, (*four, *six))), tuple(foreign)


def lies_in(network: IPv4Network | IPv6Network, others: Sequence[IPv4Network | IPv6Network]) -> bool:
    """Whether the whole of a network is in one of others."""
    return any(
        network.version == one.version and network.prefixlen >= one.prefixlen and network.network_address in one for one in others
    )


def _site(site: Site, networks: Sequence[str], bands: Sequence[str]) -> Json:
    return {
        "id": site.id,
        "class": site.site_class,
        "bands": list(bands),
        "time_zone": site.time_zone,
        "listen": [],
        "networks": sorted(networks),
        "rules": None,
    }


def _profile(profile: Profile, rows: TenantRows, shelf: Shelf) -> Json:
    own = rows.switches.get(profile.id, {})
    names = rows.names.get(profile.id, ())
    acts = [act for act in rows.overrides if act.profile_id == profile.id]
    return {
        "id": profile.id,
        "band": profile.band.value,
        "owner": _OWNERS[rows.kind],
        "site": profile.site_id,
        "safe_search": profile.safe_search,
        "youtube": profile.youtube,
        "uncategorised": profile.uncategorised,
        "canaries": None,
        "block": None,
        "activity": _activity(profile, rows),
        "categories": _switched(own, SwitchKind.CATEGORY, shelf.catalogue.codes),
        "services": _switched(own, SwitchKind.SERVICE, shelf.catalogue.service_ids),
        "allow": sorted(rule.pattern for rule in names if rule.effect is NameEffect.ALLOW),
        "deny": sorted(rule.pattern for rule in names if rule.effect is NameEffect.DENY),
        "schedule": [window for _, window in written_hours(profile, rows, shelf)],
        "overrides": [
            *(_override(act, shelf) for act in sorted(acts, key=lambda act: act.id) if _opens_something(act, shelf)),
            *_watching(profile, rows, shelf),
        ],
    } | _above(profile, rows, shelf)


def _above(profile: Profile, rows: TenantRows, shelf: Shelf) -> Json:
    """What is closed above the school, by document."""
    closed = [one for one in rows.above if profile.kind in FOR and one.category in shelf.catalogue.codes]
    documents = sorted({one.document for one in closed})
    listed = [{"document": one, "close": sorted({rule.category for rule in closed if rule.document == one})} for one in documents]
    return {"above": listed} if listed else {}


def _activity(profile: Profile, rows: TenantRows) -> str:
    if profile.id in rows.kept:
        return "history"
    return "aggregate" if profile.kind is ProfileKind.CHILD else "off"


def _switched(own: Switches, kind: SwitchKind, known: frozenset[str]) -> dict[str, str]:
    """Switches of one kind; one whose category or service left the catalogue is kept in the database and not sent."""
    return {code: state.value for (what, code), state in sorted(own.items()) if what is kind and code in known}


def _override(act: Override, shelf: Shelf) -> Json:
    def values(kind: TargetKind, known: frozenset[str] | None = None) -> list[str]:
        return sorted(value for what, value in act.targets if what is kind and (known is None or value in known))

    return {
        "id": act.id,
        "kind": act.kind.value,
        "from": _iso(act.starts_at),
        "until": _iso(act.ends_at),
        "names": values(TargetKind.NAME),
        "categories": values(TargetKind.CATEGORY, shelf.catalogue.codes),
        "services": values(TargetKind.SERVICE, shelf.catalogue.service_ids),
    }


def _watching(profile: Profile, rows: TenantRows, shelf: Shelf) -> list[Json]:
    """Watch first: everything that may be decided is open. What would be closed all day is opened under an id that the gateway counts
    apart; what only rests at some hours is opened under another."""
    if profile.id not in rows.watches:
        return []
    starts, ends = rows.watches[profile.id]
    own = rows.switches.get(profile.id, {})
    closed = {code for code in shelf.leisure if not is_open(shelf, own, profile, profile.band, SwitchKind.CATEGORY, code)}
    services = {
        code
        for (kind, code), state in own.items()
        if kind is SwitchKind.SERVICE and state is SwitchState.BLOCK and code in shelf.catalogue.services
    }
    parts = ((WATCH, closed, services), ("hours-", set(shelf.leisure) - closed, set[str]()))
    when = {"kind": "open", "from": _iso(starts), "until": _iso(ends), "names": []}
    return [
        {"id": f"{prefix}{profile.id}", **when, "categories": sorted(codes), "services": sorted(ids)}
        for prefix, codes, ids in parts
        if codes or ids
    ]


def _opens_something(act: Override, shelf: Shelf) -> bool:
    if act.kind is OverrideKind.OFF:
        return True
    known = shelf.catalogue.codes | shelf.catalogue.service_ids
    return any(kind is TargetKind.NAME or value in known for kind, value in act.targets)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def _all_switches(connection: AsyncConnection, tenant: OrganisationId) -> Mapping[str, Switches]:
    found: dict[str, dict[tuple[SwitchKind, str], SwitchState]] = {}
    for row in await connection.execute(select(switches).where(switches.c.tenant_id == tenant)):
        found.setdefault(row.profile_id, {})[(SwitchKind(row.kind), row.code)] = SwitchState(row.state)
    return found


async def _all_names(connection: AsyncConnection, tenant: OrganisationId) -> Mapping[str, Sequence[NameRule]]:
    found: dict[str, list[NameRule]] = {}
    for row in await connection.execute(select(name_rules).where(name_rules.c.tenant_id == tenant)):
        found.setdefault(row.profile_id, []).append(NameRule(row.id, NameEffect(row.effect), row.pattern))
    return found


async def _all_hours(connection: AsyncConnection, tenant: OrganisationId) -> Mapping[str, Sequence[Hours]]:
    found: dict[str, list[Hours]] = {}
    statement = select(hours).where(hours.c.tenant_id == tenant).order_by(hours.c.position, hours.c.id)
    for row in await connection.execute(statement):
        found.setdefault(row.profile_id, []).append(Hours(Days(row.days), row.starts, row.ends, HoursEffect(row.effect)))
    return found
