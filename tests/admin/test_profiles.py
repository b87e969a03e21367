"""Profiles: made with the hours of their band, changed, taken away, and never another family's."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from admin.audit import Act
from admin.catalogue import read_shipped
from admin.dependencies import Services
from admin.devices import list_devices
from admin.errors import NotFound
from admin.hours import list_hours
from admin.profiles import (
    NewProfile,
    Profile,
    change_profile,
    create_profile,
    is_looser,
    list_profiles,
    list_sites,
    load_profile,
    looks_like_full_name,
    retire_profile,
    strictest_band,
)
from admin.values import Days, HoursEffect, ProfileId, ProfileKind, SiteId
from gateway.policy.model import Band
from tests.support.family import Family
from tests.support.people import make_person

BASE = Profile(ProfileId("p"), SiteId("s"), ProfileKind.CHILD, "Bi", Band.CS, None, None, None, 0)


async def test_new_child_has_the_hours_of_its_band(services: Services, family: Family, act: Act) -> None:
    """A primary-school child rests from nine in the evening to six in the morning, from the first minute on."""
    async with services.database.write() as connection:
        new = NewProfile(ProfileKind.CHILD, "Tí", Band.TH)
        made = await create_profile(connection, act, family.bi.site_id, new, read_shipped())
        rows = await list_hours(connection, act.tenant, made)
    assert [(row.days, row.starts, row.ends, row.effect) for row in rows] == [(Days.EVERY, "21:00", "06:00", HoursEffect.REST)]


async def test_profiles_are_listed_children_first_and_once(services: Services, family: Family, act: Act) -> None:
    """Children, then adults, then guests; a profile that was taken away is gone with its devices."""
    async with services.database.write() as connection:
        kinds = [profile.kind for profile in await list_profiles(connection, act.tenant)]
        assert kinds == [ProfileKind.CHILD, ProfileKind.CHILD, ProfileKind.ADULT, ProfileKind.GUEST]
        await retire_profile(connection, act, family.bi)
        assert family.bi.id not in [profile.id for profile in await list_profiles(connection, act.tenant)]
        assert family.bi_phone not in [device.id for device in await list_devices(connection, act.tenant)]
        with pytest.raises(NotFound):
            await load_profile(connection, act.tenant, family.bi.id)


async def test_classes_stand_by_their_names_whenever_they_came(services: Services, family: Family, act: Act) -> None:
    """A class that is added in October stands where people look for it, and the second grade before the tenth."""
    shelf = services.shelves.current()
    async with services.database.write() as connection:
        (site, *_) = await list_sites(connection, family.tenant)
        for label in ("10A", "2B", "Lá 1", "2A"):
            await create_profile(connection, act, site.id, NewProfile(ProfileKind.CLASS, label, Band.TH), shelf)
        listed = await list_profiles(connection, family.tenant)
    assert [one.label for one in listed if one.kind is ProfileKind.CLASS] == ["2A", "2B", "10A", "Lá 1"]


async def test_another_familys_profile_does_not_exist(services: Services, family: Family, now: datetime) -> None:
    """Knowing an id is worth nothing in another family."""
    other = await make_person(services.database, now, sign_in="other")
    async with services.database.read() as connection:
        with pytest.raises(NotFound):
            await load_profile(connection, other.tenant, family.bi.id)
        assert await list_profiles(connection, other.tenant) == []
        assert await list_sites(connection, other.tenant) == []
        (site,) = await list_sites(connection, family.tenant)
    assert site.networks == ("192.168.0.0/16",)


async def test_change_is_stored_and_unchanged_writes_nothing(services: Services, family: Family, act: Act) -> None:
    """A change holds; saving the same form twice raises no revision."""
    async with services.database.write() as connection:
        after = replace(family.bi, label="Bi Bi", band=Band.CS, safe_search=False, youtube="moderate", uncategorised="block")
        await change_profile(connection, act, family.bi, after)
        assert await load_profile(connection, act.tenant, family.bi.id) == after
    before = await services.applier.enforcement(act.tenant)
    async with services.database.write() as connection:
        await change_profile(connection, act, after, after)
    assert (await services.applier.enforcement(act.tenant)).revision == before.revision


@pytest.mark.parametrize(
    ("before", "after", "looser"),
    [
        ({}, {}, False),
        ({}, {"label": "x"}, False),
        ({}, {"band": Band.PT}, True),
        ({}, {"band": Band.TH}, False),
        ({}, {"safe_search": False}, True),
        ({"safe_search": False}, {"safe_search": None}, False),
        ({"safe_search": True}, {"safe_search": False}, True),
        ({}, {"youtube": "moderate"}, True),
        ({}, {"youtube": "strict"}, False),
        ({"youtube": "strict"}, {"youtube": "off"}, True),
        ({"uncategorised": "block"}, {"uncategorised": None}, True),
        ({}, {"uncategorised": "block"}, False),
        ({}, {"uncategorised": "allow"}, True),
    ],
)
def test_is_looser_tells_opening_from_closing(before: dict[str, object], after: dict[str, object], looser: bool) -> None:
    """Whatever opens something asks for the password; whatever closes does not."""
    one: Profile = replace(BASE, **before)  # type: ignore[arg-type]
    two: Profile = replace(BASE, **after)  # type: ignore[arg-type]
    assert is_looser(one, two) is looser


def test_strictest_band_is_that_of_the_youngest() -> None:
    """Guests get what the youngest child gets; a place without children is careful."""
    assert strictest_band([BASE, replace(BASE, band=Band.MN), replace(BASE, band=Band.PT)]) is Band.MN
    assert strictest_band([replace(BASE, kind=ProfileKind.ADULT, band=Band.NL)]) is Band.TH


@pytest.mark.parametrize(
    ("label", "full"),
    [("Bi", False), ("Bé Na", False), ("Lớp 3A", False), ("10 Toán", False), ("Nguyễn Văn An 7B", True), ("Trần Thị Bình lớp 9A", True)],
)
def test_looks_like_full_name_warns_of_too_much(label: str, full: bool) -> None:
    """A nickname passes; a full name with its class does not."""
    assert looks_like_full_name(label) is full
