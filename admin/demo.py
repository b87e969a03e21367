"""Sample data: a school of twelve classes and a family of three children, marked as demo on every page. Never beside real people.

Passwords are made by chance for this one filling and told once; there is no default password. No figures are made up: what the pages count
comes from questions that the gateway was asked. Imported by `lachan demo` and the tests.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta

from admin.audit import Act, by_account
from admin.dependencies import Services
from admin.devices import Match
from admin.errors import Conflict
from admin.overrides import start_override
from admin.profiles import list_profiles
from admin.requests import Asked, ask
from admin.setup import NewChild, NewDevice, Owner, Plan, Words, band_of_class, make_tenant
from admin.tenants import is_empty
from admin.values import DeviceMatch, OverrideKind, ProfileKind, RequestReason
from blocklists.tables import OrganisationKind, Role
from gateway.policy.model import Band

CLASSES = ("1A", "2A", "3A", "4A", "5A", "6A", "7A", "8A", "9A", "10A", "11A", "12A")
CHILDREN = (("Bi", Band.TH), ("Na", Band.CS), ("Tí", Band.PT))
#: Documentation addresses (RFC 5737): nobody's device can be one of them.
_SCHOOL = "198.51.100"
_HOME = "203.0.113"
_FAMILY_WORDS = Words("Nhà mẫu", "Nhà", "Người lớn", "Khách và thiết bị mới", "Máy của {name}", "Mạng của {name}")
_SCHOOL_WORDS = Words("Trường mẫu", "Trường", "Giáo viên", "Khách và thiết bị mới", "Máy của {name}", "Phòng máy {name}")


@dataclass(frozen=True, slots=True)
class SignIn:
    """An account of the sample, told once."""

    place: str
    name: str
    password: str


async def fill(services: Services) -> list[SignIn]:
    """Fill an empty database. Raises Conflict when somebody has set it up already."""
    now = services.now()
    family, school = SignIn("Nhà mẫu", "demo-me", _password()), SignIn("Trường mẫu", "demo-truong", _password())
    hashes = [await services.door.passwords.hash(one.password) for one in (family, school)]
    shelf = services.shelves.current()
    async with services.database.write() as connection:
        if not await is_empty(connection):
            raise Conflict("set_up_already")
        home = await make_tenant(connection, _family(Owner(family.name, hashes[0], "vi")), shelf, now, demo=True)
        school_made = await make_tenant(connection, _school(Owner(school.name, hashes[1], "vi")), shelf, now, demo=True)
        act = Act(home.tenant, by_account(home.account, Role.FIRST_PARENT), now)
        children = [one for one in await list_profiles(connection, home.tenant) if one.kind is ProfileKind.CHILD]
        for child, host, reason, note in (
            (children[0], "scratch.mit.edu", RequestReason.LESSON, "bài tập lập trình"),
            (children[1], "duolingo.com", RequestReason.LESSON, ""),
        ):
            await ask(connection, home.tenant, Asked(child.id, host, reason, note, child.band), now)
        await start_override(connection, act, children[2].id, OverrideKind.OFF, now + timedelta(minutes=45), [])
    for made in (home, school_made):
        await services.applier.settle(made.tenant)
    return [family, school]


def _password() -> str:
    """Four short groups by chance: 77 bits, easy to type from the screen."""
    return "-".join(secrets.token_hex(3)[:5] for _ in range(4))


def _family(owner: Owner) -> Plan:
    children = tuple(NewChild(label, band) for label, band in CHILDREN)
    devices = [NewDevice(Match(DeviceMatch.ADDRESS, f"{_HOME}.{20 + number}"), number) for number in range(len(children))]
    devices.append(NewDevice(Match(DeviceMatch.ADDRESS, f"{_HOME}.10"), None))
    return Plan(OrganisationKind.FAMILY, owner, children, tuple(devices), (f"{_HOME}.0/24",), True, _FAMILY_WORDS)


def _school(owner: Owner) -> Plan:
    classes = tuple(NewChild(label, band) for label in CLASSES if (band := band_of_class(label)))
    devices = tuple(NewDevice(Match(DeviceMatch.NETWORK, f"{_SCHOOL}.{16 * number}/28"), number) for number in range(len(classes)))
    return Plan(OrganisationKind.SCHOOL, owner, classes, devices, (f"{_SCHOOL}.0/24",), False, _SCHOOL_WORDS)
