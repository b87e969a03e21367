"""The first run: the one-time link, and what the wizard makes of four answers.

The link's secret lies in `state_dir/setup.token` (mode 0600) from the first start until the first account exists; the program prints
the link and `lachan setup-link` shows it again. There is no default password anywhere. `create_tenant` makes
everything in one transaction: organisation, site, profiles, devices, account, role.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import re
import secrets
import socket
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import Act, Action, By, by_account, record
from admin.catalogue import Shelf
from admin.devices import Match, assign_device
from admin.errors import Conflict
from admin.profiles import NewProfile, create_profile, create_site
from admin.settings import AdminSettings
from admin.switches import set_switch
from admin.tenants import create_account, create_organisation, grant_role, is_empty
from admin.values import DeviceMatch, ProfileId, ProfileKind, SwitchKind, SwitchState
from blocklists.tables import AccountId, OrganisationId, OrganisationKind, Role
from gateway.policy.model import Band
from gateway.settings import Endpoint

TOKEN_FILE = "setup.token"
MESSENGER = "zalo"
_OWNERS = {
    OrganisationKind.FAMILY: Role.FIRST_PARENT,
    OrganisationKind.SCHOOL: Role.SCHOOL_ADMIN,
    OrganisationKind.OPERATOR: Role.OPERATOR,
}
#: Bands in which messaging waits for the parent's yes: only there is the question about Zalo worth asking.
ASKS_MESSENGER = (Band.TH, Band.CS)

_GRADE = re.compile(r"\D*?(\d{1,2})(?!\d)")
_PRESCHOOL = re.compile(r"m[aầâ]m|ch[oồô]i|l[aá]\b|m[aẫ]u gi[aá]o|nh[aà] tr[eẻ]|preschool|kinder", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class NewChild:
    """A child as the wizard heard of it."""

    label: str
    band: Band


@dataclass(frozen=True, slots=True)
class NewDevice:
    """A device and whose it is: the number of a child, or None for the adults."""

    match: Match
    child: int | None


@dataclass(frozen=True, slots=True)
class Owner:
    """The person who sets up, with the password already hashed."""

    sign_in: str
    password_hash: str
    locale: str


@dataclass(frozen=True, slots=True)
class Words:
    """The labels that the wizard gives in the reader's language."""

    tenant: str
    site: str
    adults: str
    guests: str
    device_of: str
    network_of: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything the wizard was told. `children` are a family's children or a school's classes; `devices` point to them by number."""

    kind: OrganisationKind
    owner: Owner
    children: tuple[NewChild, ...]
    devices: tuple[NewDevice, ...]
    networks: tuple[str, ...]
    messenger: bool
    words: Words


@dataclass(frozen=True, slots=True)
class Made:
    """What the wizard made."""

    tenant: OrganisationId
    account: AccountId
    by: By


def ensure_token(state_dir: Path) -> str:
    """The secret of the one-time link; made at the first call."""
    existing = read_token(state_dir)
    if existing:
        return existing
    token = secrets.token_urlsafe(24)
    with contextlib.suppress(FileNotFoundError):
        (state_dir / TOKEN_FILE).unlink()
    handle = os.open(state_dir / TOKEN_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(f"{token}\n")
    return token


def read_token(state_dir: Path) -> str | None:
    """The secret of the link that is still open; None when the set-up is done."""
    try:
        return (state_dir / TOKEN_FILE).read_text(encoding="ascii").strip() or None
    except (OSError, ValueError):
        return None


def drop_token(state_dir: Path) -> None:
    """The set-up is done: the link is worth nothing from here on."""
    with contextlib.suppress(FileNotFoundError):
        (state_dir / TOKEN_FILE).unlink()


def is_token(state_dir: Path, shown: str | None) -> bool:
    """Whether somebody holds the secret of the open link."""
    token = read_token(state_dir)
    return token is not None and shown is not None and hmac.compare_digest(token.encode(), shown.encode())


def setup_link(settings: AdminSettings, token: str) -> str:
    """The address to open once."""
    return f"{public_url(settings)}/setup/{token}"


def public_url(settings: AdminSettings) -> str:
    """Where people find the pages: as configured, else the listen address."""
    if settings.url:
        return settings.url
    listen = settings.listen
    if ip_address(listen.host).is_unspecified:  # every address of this machine: name the one that others reach
        listen = Endpoint(_own_address(listen.host), listen.port)
    return f"{'https' if settings.tls else 'http'}://{listen}"


def children_at(settings: AdminSettings, *, is_hosted: bool = False) -> str:
    """Where a child's device opens the pages for children, without a path; empty where it opens none. At home the explaining page's
    short name comes first; a family on somebody else's gateway uses the address under which its phones were set up. What answers on
    this machine alone is nothing for a device."""
    page, own, public = settings.block_page, settings.gateway.dns.name, public_url(settings)
    named = f"http://{own}" + ("" if page.port == 80 else f":{page.port}") if page is not None else ""
    if page is not None and ip_address(page.host).is_loopback and not settings.trusted_proxies:
        named = ""
    host = urlsplit(public).hostname or ""
    reachable = "" if host == "localhost" or host.startswith("127.") or host == "::1" else public
    return (reachable or named) if is_hosted else (named or reachable)


async def create_tenant(connection: AsyncConnection, plan: Plan, shelf: Shelf, now: datetime) -> Made:
    """The organisation with its people and devices, and the strictest rules for whatever nobody has named. Raises Conflict when somebody
    was quicker."""
    if not await is_empty(connection):
        raise Conflict("set_up_already")
    return await make_tenant(connection, plan, shelf, now)


async def make_tenant(connection: AsyncConnection, plan: Plan, shelf: Shelf, now: datetime, *, demo: bool = False) -> Made:
    """One organisation with its people, profiles and devices. `demo` marks it as sample data on every page."""
    is_school = plan.kind is OrganisationKind.SCHOOL
    owner, words = plan.owner, plan.words
    tenant = await create_organisation(connection, plan.kind, words.tenant, owner.locale, now, demo=demo)
    account = await create_account(connection, owner.sign_in, owner.sign_in, owner.password_hash, owner.locale, now)
    role = _OWNERS[plan.kind]
    act = Act(tenant, by_account(account, role), now)
    await record(connection, act, Action.ACCOUNT_CREATED, account)
    await grant_role(connection, act, account, role)
    if plan.kind is OrganisationKind.OPERATOR:  # it runs the gateway for others and protects nobody itself
        return Made(tenant, account, act.by)
    site = await create_site(connection, act, words.site, "school" if is_school else "home", plan.networks)
    own: list[ProfileId] = []
    for child in plan.children:
        kind = ProfileKind.CLASS if is_school else ProfileKind.CHILD
        profile = await create_profile(connection, act, site, NewProfile(kind, child.label, child.band), shelf)
        own.append(profile)
        if plan.messenger and child.band in ASKS_MESSENGER and MESSENGER in shelf.catalogue.service_ids:
            await set_switch(connection, act, profile, SwitchKind.SERVICE, MESSENGER, SwitchState.ALLOW)
    adults = await create_profile(connection, act, site, NewProfile(ProfileKind.ADULT, words.adults, Band.NL), shelf)
    await create_profile(connection, act, site, NewProfile(ProfileKind.GUEST, words.guests, Band.KH), shelf)
    for device in plan.devices:
        profile = adults if device.child is None else own[device.child]
        name = words.adults if device.child is None else plan.children[device.child].label
        label = words.network_of if device.match.kind is DeviceMatch.NETWORK else words.device_of
        await assign_device(connection, act, profile, label.format(name=name), [device.match])
    return Made(tenant, account, act.by)


def band_of_class(label: str) -> Band | None:
    """The band of a class by its grade: 1-5, 6-9, 10-12; a preschool class by its name. None when neither is there."""
    if _PRESCHOOL.search(label):
        return Band.MN
    grade = _GRADE.match(label)
    number = int(grade[1]) if grade else 0
    if 1 <= number <= 5:
        return Band.TH
    if 6 <= number <= 9:
        return Band.CS
    return Band.PT if 10 <= number <= 12 else None


def _own_address(unspecified: str) -> str:
    """The address this machine has towards the outside; connecting a datagram socket sends nothing (RFC 5737, RFC 3849 addresses)."""
    family, outside = (socket.AF_INET6, "2001:db8::1") if ":" in unspecified else (socket.AF_INET, "192.0.2.1")
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((outside, 9))
        except OSError:  # no network: only this machine itself
            return "::1" if family == socket.AF_INET6 else "127.0.0.1"
        return str(probe.getsockname()[0])
