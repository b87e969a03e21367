"""Who stands before a page without an account: known alone, one of many, or nobody."""

from __future__ import annotations

from datetime import datetime, timedelta

from admin.audit import Act
from admin.bystander import find_bystander
from admin.catalogue import read_shipped
from admin.dependencies import Services
from admin.devices import Match, assign_device
from admin.link import SeenDevice
from admin.moment import Standing
from admin.overrides import start_override
from admin.values import DeviceMatch, OverrideKind
from blocklists.tables import OrganisationKind
from gateway.policy.model import Band
from tests.support.family import Family
from tests.support.people import make_person

SHELF = read_shipped()


def seen(now: datetime, tenant: str | None, client: str | None = None, profile: str = "") -> SeenDevice:
    return SeenDevice("192.168.1.31", None, client, tenant, profile, now, now)


async def test_named_device_is_known_alone_with_its_moment(services: Services, family: Family, act: Act, now: datetime) -> None:
    """Bi's own phone: Bi's band, and what holds for Bi now."""
    async with services.database.write() as connection:
        await start_override(connection, act, family.bi.id, OverrideKind.OFF, now + timedelta(hours=1), [])
        found = await find_bystander(connection, seen(now, family.tenant, family.bi_phone), "192.168.1.31", SHELF, now)
    assert found.profile == family.bi
    assert (found.band, found.is_alone, found.moment.standing) == (Band.TH, True, Standing.OFF)
    assert found.is_small


async def test_shared_network_is_not_alone(services: Services, family: Family, act: Act, now: datetime) -> None:
    """A whole floor behind one entry is told nothing about anybody."""
    async with services.database.write() as connection:
        device = await assign_device(connection, act, family.na.id, "Tầng 2", [Match(DeviceMatch.NETWORK, "192.168.1.0/24")])
        found = await find_bystander(connection, seen(now, family.tenant, device), "192.168.1.31", SHELF, now)
    assert (found.profile, found.is_alone) == (family.na, False)


async def test_unnamed_device_has_the_strictest_band(services: Services, family: Family, now: datetime) -> None:
    """Until somebody names it, a device is spoken to as the youngest child."""
    async with services.database.read() as connection:
        guest = seen(now, family.tenant, None, family.guests.id)
        found = await find_bystander(connection, guest, "192.168.1.31", SHELF, now)
    assert (found.profile, found.band, found.is_alone) == (None, Band.TH, False)


async def test_unknown_and_foreign_devices_are_nobodys(services: Services, family: Family, now: datetime) -> None:
    """No gateway, no tenant, or an office: nobody is known, and nothing is asked."""
    office = await make_person(services.database, now, sign_in="office", kind=OrganisationKind.OFFICE)
    async with services.database.read() as connection:
        for one in (None, seen(now, None), seen(now, "local"), seen(now, office.tenant)):
            found = await find_bystander(connection, one, "192.168.1.31", SHELF, now)
            assert (found.tenant, found.profile, found.band) == (None, None, Band.TH)
