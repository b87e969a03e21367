"""A home whose public address changes, for a family whose gateway is somewhere else: by its token the home says where it is now, and from
that address plain DNS has the rules that the family chose. Everything it needs to know is the present address, with an end.

The token speaks in three ways: a query over DoT, DoH or DoQ (`admin.homes`), the update address (`/home/<token>`), a parent at the page.
Addresses that more than one family may have are refused: those that providers share (RFC 6598), those inside a network, those that mean
somebody here already, and one behind which another family was seen: then neither keeps it, for one would have the other's rules. Nothing
here logs an address, and the journal has none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import Act, Action, record
from admin.devices import load_device, retire_device
from admin.errors import Conflict, NotFound
from admin.familytables import home_links
from admin.onboarding import add_phone
from admin.tables import device_matches, site_networks
from admin.tenants import mark_changed
from admin.values import DeviceId, DeviceMatch, ProfileId
from blocklists.tables import EVERY_TENANT, OrganisationId

HOLDS = timedelta(days=7)
"""How long an address is the home's unless the token speaks from it again."""
RENEWED_AFTER = timedelta(hours=6)
"""How old a link must be before the same address makes it longer: what is stored changes a few times a day."""
MOVES_AFTER = timedelta(seconds=30)
"""How soon the token may move the home again by itself; a person at the page may at once."""
SHARED_FOR = timedelta(days=7)
"""How long an address stays refused by itself after another family was seen behind it."""
_SHARED_RANGE = IPv4Network("100.64.0.0/10")

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class HomeAddress:
    """What a home has of the internet now, until when."""

    network: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Home:
    """A family's home. `shared_at`: since when an address is known to be somebody else's too."""

    tenant: OrganisationId
    device_id: DeviceId
    addresses: tuple[HomeAddress, ...]
    changed_at: datetime | None
    shared_at: datetime | None

    def live(self, now: datetime) -> tuple[HomeAddress, ...]:
        """The addresses that are linked now."""
        return tuple(one for one in self.addresses if one.until > now)

    def is_shared(self, now: datetime) -> bool:
        """Whether the address was found to be another family's too, not long ago."""
        return self.shared_at is not None and now - self.shared_at < SHARED_FOR


async def add_home(connection: AsyncConnection, act: Act, profile: ProfileId, label: str) -> DeviceId:
    """Give the family a home with a token of its own, under a profile. Raises Conflict when it has one."""
    if await load_home(connection, act.tenant) is not None:
        raise Conflict("home_there", "home")
    device = await add_phone(connection, act, profile, label)
    await connection.execute(insert(home_links).values(tenant_id=act.tenant, device_id=device))
    return device


async def load_home(connection: AsyncConnection, tenant: OrganisationId) -> Home | None:
    """The home of a family."""
    row = (await connection.execute(select(home_links).where(home_links.c.tenant_id == tenant))).first()
    return None if row is None else _of(row)


async def find_home(connection: AsyncConnection, token: str) -> Home:
    """The home that has this token. Raises NotFound."""
    joined = home_links.join(device_matches, device_matches.c.device_id == home_links.c.device_id)
    own = (device_matches.c.kind == DeviceMatch.TOKEN.value, device_matches.c.value == token, device_matches.c.retired_at.is_(None))
    row = (await connection.execute(select(home_links).select_from(joined).where(*own).execution_options(**EVERY_TENANT))).first()
    if row is None:  # the token says whose it is
        raise NotFound
    return _of(row)


async def remove_home(connection: AsyncConnection, act: Act, home: Home) -> None:
    """No home any more: its token ends, and its address is nobody's."""
    await retire_device(connection, act, await load_device(connection, act.tenant, home.device_id))


async def unlink_home(connection: AsyncConnection, act: Act, home: Home) -> None:
    """Take the addresses back; the token may link again."""
    if home.addresses:
        await _store(connection, act.tenant, ipv4=None, ipv4_until=None, ipv6=None, ipv6_until=None, changed_at=act.now)
        await record(connection, act, Action.HOME_UNLINKED, home.device_id)
        await mark_changed(connection, act)


@dataclass(frozen=True, slots=True)
class Link:
    """What linking an address comes to: where it stands and as what; `others` are families that have it already."""

    column: str
    text: str
    others: tuple[OrganisationId, ...]
    is_new: bool


async def judge_link(
    connection: AsyncConnection, home: Home, address: str, allowed: Callable[[str], bool], now: datetime, *, by_hand: bool = False
) -> Link | None:
    """What linking the present address would change, None for nothing; reads only. Raises Conflict with the reason when the address may
    not be linked. `allowed` says whether the gateway serves an address anyway."""
    network = judge_address(address, allowed)
    text = str(network.network_address) if network.version == 4 else str(network)
    if not by_hand and home.is_shared(now):
        raise Conflict("home_shared", "home")
    column = f"ipv{network.version}"
    now_linked = next((one for one in home.live(now) if one.network == text), None)
    others = await _others_at(connection, home, column, text, now)
    if not others:
        if now_linked is not None and now_linked.until - now > HOLDS - RENEWED_AFTER and home.shared_at is None:
            return None
        if await _means_somebody(connection, network):
            raise Conflict("home_taken", "home")
        if now_linked is None and not by_hand and home.changed_at is not None and now - home.changed_at < MOVES_AFTER:
            raise Conflict("home_moves", "home")
    return Link(column, text, tuple(others), is_new=now_linked is None)


async def link_home(
    connection: AsyncConnection, act: Act, home: Home, address: str, allowed: Callable[[str], bool], *, by_hand: bool = False
) -> list[OrganisationId]:
    """Link the present address; the tenants whose rules changed. Raises what `judge_link` does, and `HomeShared` (to be committed) when
    another family is behind it."""
    link = await judge_link(connection, home, address, allowed, act.now, by_hand=by_hand)
    if link is None:
        return []
    if link.others:
        for tenant in (home.tenant, *link.others):
            await _part(connection, Act(tenant, act.by, act.now))
        raise HomeShared(link.others)
    until = act.now + HOLDS
    changed = {link.column: link.text, f"{link.column}_until": until, "shared_at": None}
    await _store(connection, home.tenant, **changed, **({"changed_at": act.now} if link.is_new else {}))
    await record(connection, act, Action.HOME_LINKED, home.device_id, after={"until": until.isoformat()})
    await mark_changed(connection, act)
    return [home.tenant]


class HomeShared(Conflict):
    """Another family is behind this address: neither may have it. `others` are those who had it."""

    def __init__(self, others: tuple[OrganisationId, ...]) -> None:
        super().__init__("home_shared", "home")
        self.others = others


def judge_address(address: str, allowed: Callable[[str], bool]) -> Network:
    """What a home at this address has of the internet: the address itself, or its IPv6 network. Raises Conflict with the reason."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    if found.version == 4 and found in _SHARED_RANGE:
        raise Conflict("home_cgnat", "home")
    if allowed(str(found)) or not found.is_global:
        raise Conflict("home_inside", "home")
    return ip_network(f"{found}/32" if found.version == 4 else f"{found}/64", strict=False)


async def forget_ended(connection: AsyncConnection, now: datetime) -> None:
    """Forget addresses whose time is over: the gateway has let go of them by its own clock."""
    for column in ("ipv4", "ipv6"):
        until = home_links.c[f"{column}_until"]
        ended = update(home_links).where(until <= now).values({column: None, f"{column}_until": None})
        await connection.execute(ended.execution_options(**EVERY_TENANT))


async def _means_somebody(connection: AsyncConnection, network: Network) -> bool:
    """Whether a place or a device of anybody here has it already."""
    # A home's address is global: its first part, as it is written, is never empty, so addresses that begin otherwise are not read at all.
    begins = str(network.network_address).partition("." if network.version == 4 else ":")[0]
    near = device_matches.c.value.startswith(f"{begins}{'.' if network.version == 4 else ':'}")
    kind = device_matches.c.kind
    listed = (kind == DeviceMatch.NETWORK.value) | ((kind == DeviceMatch.ADDRESS.value) & near)
    statements = (
        select(site_networks.c.network),
        select(device_matches.c.value).where(listed, device_matches.c.retired_at.is_(None)),
    )
    for statement in statements:
        for (text,) in await connection.execute(statement.execution_options(**EVERY_TENANT)):  # only whether, never whose
            taken = ip_network(text, strict=False)
            if taken.version == network.version and taken.overlaps(network):
                return True
    return False


async def _others_at(connection: AsyncConnection, home: Home, column: str, text: str, now: datetime) -> list[OrganisationId]:
    at = (home_links.c[column] == text, home_links.c[f"{column}_until"] > now, home_links.c.tenant_id != home.tenant)
    rows = await connection.execute(select(home_links.c.tenant_id).where(*at).execution_options(**EVERY_TENANT))
    return [OrganisationId(row.tenant_id) for row in rows]


async def _part(connection: AsyncConnection, act: Act) -> None:
    """Two families behind one address: this one does not have it any more, and is told."""
    home = await load_home(connection, act.tenant)
    assert home is not None
    cleared = {"ipv4": None, "ipv4_until": None, "ipv6": None, "ipv6_until": None}
    await _store(connection, act.tenant, **cleared, shared_at=act.now, changed_at=act.now)
    await record(connection, act, Action.HOME_UNLINKED, home.device_id)
    await mark_changed(connection, act)


async def _store(connection: AsyncConnection, tenant: OrganisationId, **values: object) -> None:
    await connection.execute(update(home_links).where(home_links.c.tenant_id == tenant).values(**values))


def _of(row: object) -> Home:
    found = row._mapping  # type: ignore[attr-defined]  # a row of SQLAlchemy
    pairs = ((found["ipv4"], found["ipv4_until"]), (found["ipv6"], found["ipv6_until"]))
    addresses = tuple(HomeAddress(network, until) for network, until in pairs if network and until)
    return Home(OrganisationId(found["tenant_id"]), DeviceId(found["device_id"]), addresses, found["changed_at"], found["shared_at"])
