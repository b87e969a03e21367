"""A home by its public address: only what is its own, only as long as the token speaks, never two families behind one address."""

from __future__ import annotations

from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from admin.audit import Act
from admin.dependencies import Services
from admin.devices import Match, assign_device, load_device, retire_device
from admin.errors import Conflict, NotFound
from admin.homelink import (
    HOLDS,
    MOVES_AFTER,
    SHARED_FOR,
    Home,
    HomeShared,
    add_home,
    find_home,
    forget_ended,
    judge_address,
    link_home,
    load_home,
    unlink_home,
)
from admin.onboarding import load_phone
from admin.policyfile import cut, read_rows
from admin.profiles import list_profiles
from admin.setup import NewChild, Owner, Plan, make_tenant
from admin.values import DeviceMatch
from blocklists.database import Database
from blocklists.tables import OrganisationKind
from gateway.policy.model import Band
from tests.support.family import WORDS, Family

HERE, MOVED, SIX = "171.224.0.20", "171.224.0.21", "2402:800:1:2::9"


def allowed(address: str) -> bool:
    """Served without any link."""
    return ip_address(address) in ip_network("10.0.0.0/8")


@pytest.fixture
async def home(services: Services, family: Family, act: Act) -> Home:
    """The home of the family, under Bi's rules."""
    async with services.database.write() as connection:
        await add_home(connection, act, family.bi.id, "Nhà mình")
    return await again(services.database, act)


async def again(database: Database, act: Act) -> Home:
    """The home as it is stored now."""
    async with database.read() as connection:
        found = await load_home(connection, act.tenant)
    assert found is not None
    return found


async def link(services: Services, act: Act, address: str, **options: Any) -> list[str]:
    """Link; the addresses that the home has then."""
    async with services.database.write() as connection:
        await link_home(connection, act, await again(services.database, act), address, allowed, **options)
    return [one.network for one in (await again(services.database, act)).live(act.now)]


def later(act: Act, gap: timedelta) -> Act:
    return Act(act.tenant, act.by, act.now + gap)


@pytest.mark.parametrize(
    ("address", "code"),
    [("100.64.0.9", "home_cgnat"), ("100.127.255.1", "home_cgnat"), ("192.168.1.9", "home_inside"), ("10.1.1.1", "home_inside"),
     ("127.0.0.1", "home_inside"), ("fe80::1", "home_inside"), ("fd00::1", "home_inside"), ("::ffff:100.64.0.9", "home_cgnat")],
)  # fmt: skip
def test_address_that_is_nobodys_own_is_refused(address: str, code: str) -> None:
    """Shared by providers, or inside a network."""
    with pytest.raises(Conflict) as caught:
        judge_address(address, allowed)
    assert caught.value.code == code


async def test_home_moves_and_only_the_present_address_is_kept(services: Services, home: Home, act: Act) -> None:
    """One address of each family of protocols; the older one is gone, also from the policy; the token cannot move it every second."""
    assert await link(services, act, HERE) == [HERE]
    assert await link(services, act, SIX, by_hand=True) == [HERE, "2402:800:1:2::/64"]
    with pytest.raises(Conflict) as caught:
        await link(services, later(act, timedelta(seconds=5)), MOVED)
    assert caught.value.code == "home_moves"
    moved = later(act, MOVES_AFTER)
    assert await link(services, moved, MOVED) == [MOVED, "2402:800:1:2::/64"]
    async with services.database.read() as connection:
        document = cut(await read_rows(connection, act.tenant, moved.now), services.shelves.current(), ())
    linked = [row["linked"] for row in document["clients"] if "linked" in row]
    assert [[one["address"] for one in rows] for rows in linked] == [[MOVED, "2402:800:1:2::/64"]]
    assert HERE not in str(document)


async def test_link_ends_unless_the_token_speaks_again(services: Services, home: Home, act: Act) -> None:
    """Seven days from the last time; then nothing is kept."""
    await link(services, act, HERE)
    assert await link(services, later(act, timedelta(days=5)), HERE) == [HERE]
    assert await link(services, later(act, timedelta(days=5, hours=1)), HERE) == [HERE]
    found = await again(services.database, act)
    assert found.addresses[0].until == act.now + timedelta(days=5) + HOLDS, "an hour later nothing is written"
    async with services.database.write() as connection:
        await forget_ended(connection, act.now + timedelta(days=12))
    assert (await again(services.database, act)).addresses == ()


async def test_taking_it_back_and_forgetting_the_home(services: Services, home: Home, act: Act) -> None:
    """The address at once; with the device also the token, and a new home may be made."""
    async with services.database.read() as connection:
        token = (await load_phone(connection, act.tenant, home.device_id)).token
        assert (await find_home(connection, token)).tenant == act.tenant
    await link(services, act, HERE)
    async with services.database.write() as connection:
        await unlink_home(connection, act, await again(services.database, act))
    assert (await again(services.database, act)).addresses == ()
    with pytest.raises(Conflict):
        async with services.database.write() as connection:
            await add_home(connection, act, (await list_profiles(connection, act.tenant))[0].id, "Hai")
    async with services.database.write() as connection:
        await retire_device(connection, act, await load_device(connection, act.tenant, home.device_id))
        assert await load_home(connection, act.tenant) is None
        with pytest.raises(NotFound):
            await find_home(connection, token)


async def test_two_families_behind_one_address_have_it_neither(services: Services, home: Home, act: Act, now: datetime) -> None:
    """The provider shares it: both are told, the token may not link by itself for a week, a person may try again."""
    await link(services, act, HERE)
    plan = Plan(OrganisationKind.FAMILY, Owner("hangxom", "stored", "vi"), (NewChild("Tí", Band.TH),), (), (), False, WORDS)
    async with services.database.write() as connection:
        made = await make_tenant(connection, plan, services.shelves.current(), now)
        other = Act(made.tenant, made.by, now)
        await add_home(connection, other, (await list_profiles(connection, other.tenant))[0].id, "Nhà bên")
    shared: HomeShared | None = None
    async with services.database.write() as connection:
        theirs = await load_home(connection, other.tenant)
        assert theirs is not None
        try:
            await link_home(connection, other, theirs, HERE, allowed)
        except HomeShared as error:
            shared = error
    assert shared is not None and shared.others == (act.tenant,)
    for one in (act, other):
        found = await again(services.database, one)
        assert found.addresses == () and found.is_shared(now)
        with pytest.raises(Conflict) as caught:
            await link(services, later(one, timedelta(days=1)), MOVED)
        assert caught.value.code == "home_shared"
    assert await link(services, act, MOVED, by_hand=True) == [MOVED]
    assert await link(services, later(other, SHARED_FOR), HERE) == [HERE]


async def test_address_of_somebody_here_is_refused(services: Services, family: Family, home: Home, act: Act) -> None:
    """A device or a place that is known by it: a family cannot claim it."""
    async with services.database.write() as connection:
        await assign_device(connection, act, family.na.id, "Máy chủ", [Match(DeviceMatch.NETWORK, "171.224.0.0/28")])
    with pytest.raises(Conflict) as caught:
        await link(services, act, "171.224.0.9")
    assert caught.value.code == "home_taken"
    assert await link(services, act, HERE) == [HERE]
