"""Staff enrol until the term ends: the gateway ends it by its own clock, and nobody else's picture works."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from admin.audit import Act, by_account
from admin.catalogue import read_shipped
from admin.dependencies import Services
from admin.devices import Match, list_devices
from admin.errors import Conflict, NotFound
from admin.policyfile import cut, read_rows
from admin.profiles import list_profiles
from admin.setup import NewChild, Owner, Plan, make_tenant
from admin.sharing import adults_of
from admin.staff import (
    StaffInvitation,
    count_enrolled,
    current_invitation,
    end_enrolments,
    enrol,
    find_staff_invitation,
    invite_staff,
    list_ends,
    term_end,
    withdraw_staff_invitation,
)
from admin.values import DeviceMatch
from blocklists.tables import OrganisationKind, Role
from gateway.policy.model import Band
from gateway.policy.tenant import parse_policy_file
from tests.support.family import WORDS

LAPTOP = Match(DeviceMatch.MAC, "3c:22:fb:00:00:31")


@pytest.fixture
async def school(services: Services, now: datetime) -> Act:
    """A school with one class, and its administrator."""
    plan = Plan(OrganisationKind.SCHOOL, Owner("truong", "x", "vi"), (NewChild("3A", Band.TH),), (), ("192.168.0.0/16",), False, WORDS)
    async with services.database.write() as connection:
        made = await make_tenant(connection, plan, services.shelves.current(), now)
    return Act(made.tenant, by_account(made.account, Role.SCHOOL_ADMIN), now)


async def make_picture(services: Services, school: Act, last: date = date(2027, 1, 17)) -> StaffInvitation:
    async with services.database.write() as connection:
        adults = adults_of(await list_profiles(connection, school.tenant))
        assert adults is not None
        await invite_staff(connection, school, adults.id, last, "Asia/Ho_Chi_Minh")
        found = await current_invitation(connection, school.tenant, school.now)
    assert found is not None
    return found


async def test_enrolled_device_has_staffs_rules_until_the_gateway_ends_them(services: Services, school: Act) -> None:
    """In the policy file it is a guest that is lent to the adults until the day after the last one begins; the parser takes it."""
    picture = await make_picture(services, school)
    async with services.database.write() as connection:
        device = await enrol(connection, picture, "Máy cô Lan", [LAPTOP], school.now)
        assert await count_enrolled(connection, school.tenant, school.now) == 1
        assert dict(await list_ends(connection, school.tenant)) == {device: picture.ends_at}
        with pytest.raises(Conflict):
            await enrol(connection, picture, "Máy khác", [LAPTOP], school.now)
    async with services.database.read() as connection:
        document = cut(await read_rows(connection, school.tenant, school.now), services.shelves.current(), ())
    parse_policy_file(document, services.shelves.current().catalogue)
    (client,) = document["clients"]
    assert client["profile"] == document["default_profile"]
    assert client["lent"] == {"profile": picture.profile, "until": "2027-01-17T17:00:00Z"}


async def test_enrolments_are_forgotten_after_their_day(services: Services, school: Act) -> None:
    """The device is new again; what belongs to others stays."""
    picture = await make_picture(services, school)
    async with services.database.write() as connection:
        await enrol(connection, picture, "Máy cô Lan", [LAPTOP], school.now)
        assert await end_enrolments(connection, picture.ends_at - timedelta(seconds=1)) == []
        assert await end_enrolments(connection, picture.ends_at) == [school.tenant]
        assert await list_devices(connection, school.tenant) == []
        assert await end_enrolments(connection, picture.ends_at) == []
        with pytest.raises(NotFound):
            await find_staff_invitation(connection, picture.code, picture.ends_at)


async def test_a_new_picture_and_withdrawing_close_the_old_one(services: Services, school: Act) -> None:
    """A picture that was photographed last week opens nothing any more."""
    old = await make_picture(services, school)
    new = await make_picture(services, school, date(2026, 11, 1))
    async with services.database.write() as connection:
        with pytest.raises(NotFound):
            await find_staff_invitation(connection, old.code, school.now)
        assert await find_staff_invitation(connection, new.code, school.now) == new
        await withdraw_staff_invitation(connection, school)
        with pytest.raises(NotFound):
            await find_staff_invitation(connection, new.code, school.now)


@pytest.mark.parametrize(
    ("today", "last"),
    [(date(2026, 10, 12), date(2027, 1, 17)), (date(2027, 2, 1), date(2027, 5, 30)), (date(2040, 1, 1), date(2040, 4, 30))],
)
def test_term_end_comes_from_the_calendar(today: date, last: date) -> None:
    """The term that runs now; four months where nobody knows."""
    assert term_end(read_shipped().terms, today) == last
