"""A family as the wizard makes it, for tests that begin where it ends."""

from __future__ import annotations

from dataclasses import dataclass

from admin.dependencies import Services
from admin.devices import Match, list_devices
from admin.passwords import Passwords
from admin.profiles import Profile, list_profiles
from admin.setup import NewChild, NewDevice, Owner, Plan, Words, create_tenant
from admin.values import DeviceMatch, ProfileKind
from blocklists.tables import AccountId, OrganisationId, OrganisationKind
from gateway.policy.model import Band
from tests.support.people import PASSWORD

WORDS = Words("Nhà mình", "Nhà", "Người lớn", "Khách và thiết bị mới", "Máy của {name}", "Mạng của {name}")
_hashes: list[str] = []


@dataclass(frozen=True, slots=True)
class Family:
    """Two children (Bi, six to ten; Na, fifteen to seventeen), the adults, the guests; a phone each. Sign in as "me" with PASSWORD."""

    tenant: OrganisationId
    account: AccountId
    bi: Profile
    na: Profile
    adults: Profile
    guests: Profile
    bi_phone: str
    na_phone: str


async def make_family(services: Services, network: str = "192.168") -> Family:
    """Through the product's own set-up; the policy still waits to be applied. `network`: the first half of every address."""
    if not _hashes:
        _hashes.append(await Passwords().hash(PASSWORD))
    plan = Plan(
        kind=OrganisationKind.FAMILY,
        owner=Owner("me", _hashes[0], "vi"),
        children=(NewChild("Bi", Band.TH), NewChild("Na", Band.PT)),
        devices=(
            NewDevice(Match(DeviceMatch.ADDRESS, f"{network}.1.20"), None),
            NewDevice(Match(DeviceMatch.ADDRESS, f"{network}.1.31"), 0),
            NewDevice(Match(DeviceMatch.ADDRESS, f"{network}.1.32"), 1),
        ),
        networks=(f"{network}.0.0/16",),
        messenger=False,
        words=WORDS,
    )
    async with services.database.write() as connection:
        made = await create_tenant(connection, plan, services.shelves.current(), services.now())
    async with services.database.read() as connection:
        profiles = {profile.label: profile for profile in await list_profiles(connection, made.tenant)}
        devices = {device.profile_id: device.id for device in await list_devices(connection, made.tenant)}
    guests = next(profile for profile in profiles.values() if profile.kind is ProfileKind.GUEST)
    bi, na, adults = profiles["Bi"], profiles["Na"], profiles["Người lớn"]
    return Family(made.tenant, made.account, bi, na, adults, guests, devices[bi.id], devices[na.id])
