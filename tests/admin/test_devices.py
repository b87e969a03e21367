"""Devices: one owner each, known by MAC where there is one, new until named."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from admin.audit import Act
from admin.dependencies import Services
from admin.devices import (
    Match,
    assign_device,
    frees_new_device,
    group_seen,
    has_private_mac,
    is_looser_owner,
    list_devices,
    load_device,
    matches_of,
    move_device,
    read_match,
    retire_device,
)
from admin.errors import Conflict, NotFound
from admin.link import SeenDevice
from admin.values import DeviceMatch, ProfileId
from gateway.policy.model import Band
from tests.support.family import Family

PHONE = Match(DeviceMatch.ADDRESS, "192.168.1.50")


async def test_device_has_one_owner_at_a_time(services: Services, family: Family, act: Act) -> None:
    """A second claim is refused; after it is forgotten it can be given again."""
    async with services.database.write() as connection:
        device = await assign_device(connection, act, family.bi.id, "Máy bảng", [PHONE])
    with pytest.raises(Conflict) as caught:
        async with services.database.write() as connection:
            await assign_device(connection, act, family.na.id, "Của Na", [PHONE])
    assert caught.value.code == "device_taken"
    async with services.database.write() as connection:
        await retire_device(connection, act, await load_device(connection, act.tenant, device))
        await assign_device(connection, act, family.na.id, "Của Na", [PHONE])
        with pytest.raises(NotFound):
            await load_device(connection, act.tenant, device)


async def test_move_device_changes_owner_and_name(services: Services, family: Family, act: Act) -> None:
    """A phone that is handed down keeps its id and gets a new owner."""
    async with services.database.write() as connection:
        device = await load_device(connection, act.tenant, family.bi_phone)
        await move_device(connection, act, device, family.na.id, "Máy cũ")
        moved = await load_device(connection, act.tenant, family.bi_phone)
    assert (moved.profile_id, moved.label, moved.matches) == (family.na.id, "Máy cũ", device.matches)


async def test_a_network_is_not_a_single_device(services: Services, family: Family, act: Act) -> None:
    """Where one entry stands for many machines, nobody is told about "its own" blocks."""
    async with services.database.write() as connection:
        await assign_device(connection, act, family.bi.id, "Cả tầng", [Match(DeviceMatch.NETWORK, "192.168.7.0/24")])
        singles = {device.label: device.is_single for device in await list_devices(connection, act.tenant)}
    assert singles == {"Máy của Người lớn": True, "Máy của Bi": True, "Máy của Na": True, "Cả tầng": False}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.168.1.20", Match(DeviceMatch.ADDRESS, "192.168.1.20")),
        (" 10.1.2.3/16 ", Match(DeviceMatch.NETWORK, "10.1.0.0/16")),
        ("10.1.2.3/32", Match(DeviceMatch.ADDRESS, "10.1.2.3")),
        ("2001:DB8::0:1", Match(DeviceMatch.ADDRESS, "2001:db8::1")),
        ("fe80::1%eth0", Match(DeviceMatch.ADDRESS, "fe80::1")),
        ("fe80::1%3/64", Match(DeviceMatch.NETWORK, "fe80::/64")),
        ("10.1.2.3%eth0", None),
        ("3C-22-FB-00-00-31", Match(DeviceMatch.MAC, "3c:22:fb:00:00:31")),
        ("3c22fb000031", Match(DeviceMatch.MAC, "3c:22:fb:00:00:31")),
        ("điện thoại", None),
        ("192.168.1.300", None),
        ("10.0.0.0/40", None),
        ("", None),
    ],
)
def test_read_match_understands_what_people_type(text: str, expected: Match | None) -> None:
    """Addresses, networks and MACs in their usual spellings; nothing else."""
    assert read_match(text) == expected


def test_matches_of_prefers_what_stays_with_the_device() -> None:
    """A MAC follows the phone when its address changes."""
    now = datetime(2026, 10, 12, tzinfo=UTC)
    seen = SeenDevice("192.168.1.9", "3C:22:FB:00:00:31", None, None, "", now, now)
    assert matches_of(seen)[0].text() == "mac:3c:22:fb:00:00:31"
    assert matches_of(replace(seen, mac=None))[0].text() == "192.168.1.9"


def seen_at(address: str, mac: str | None = None, minute: int = 0) -> SeenDevice:
    """Something that asked at a minute of one hour."""
    moment = datetime(2026, 10, 12, 8, minute, tzinfo=UTC)
    return SeenDevice(address, mac, None, None, "", moment, moment)


def test_phone_with_several_addresses_is_one_device() -> None:
    """By its MAC on this link, the IPv4 address first, as people know it; by the IPv6 network where a router hides the MAC. A network in
    which MACs are seen is this link: what has none there yet stands for itself, and so do addresses that mean one link or machine."""
    mac = "3c:22:fb:00:00:31"
    seen = [
        seen_at("2001:db8:1::a", mac, 9),
        seen_at("fe80::1", mac, 3),
        seen_at("192.168.1.9", mac, 5),
        seen_at("2001:db8:1::b", None, 4),
        seen_at("2001:db8:2::a", None, 4),
        seen_at("2001:db8:2::b", None, 2),
        seen_at("fe80::2"),
        seen_at("::1"),
        seen_at("10.0.0.1"),
        seen_at("10.0.0.2"),
    ]
    grouped = [(one.address, one.others, one.network) for one in group_seen(seen)]
    assert grouped == [
        ("192.168.1.9", ("2001:db8:1::a", "fe80::1"), ""),
        ("2001:db8:1::b", (), ""),
        ("2001:db8:2::a", ("2001:db8:2::b",), "2001:db8:2::/64"),
        ("fe80::2", (), ""),
        ("::1", (), ""),
        ("10.0.0.1", (), ""),
        ("10.0.0.2", (), ""),
    ]
    phone, _, routed, *_ = group_seen(seen)
    assert (phone.first_seen.minute, phone.last_seen.minute) == (3, 9)
    assert [matches_of(one)[0].text() for one in (phone, routed)] == [f"mac:{mac}", "2001:db8:2::/64"]


@pytest.mark.parametrize(("mac", "private"), [("da:22:fb:00:00:32", True), ("3c:22:fb:00:00:31", False), (None, False), ("", False)])
def test_has_private_mac_sees_the_local_bit(mac: str | None, private: bool) -> None:
    """A phone that makes its MAC up is told so, before it becomes new again."""
    assert has_private_mac(mac) is private


def test_is_looser_owner_knows_what_stays_behind(family: Family) -> None:
    """A child's device leaves the child's hours behind, whoever gets it, also a sibling that was made a moment ago; so does a new device
    that is given to somebody elder, because it has the strictest band."""
    sibling = replace(family.bi, id=ProfileId("another"))
    for other in (family.na, family.adults, family.guests, sibling):
        assert is_looser_owner(family.bi, other)
    assert is_looser_owner(family.na, family.bi)
    assert not is_looser_owner(family.bi, family.bi)
    assert is_looser_owner(None, family.adults)
    assert not is_looser_owner(None, family.bi)
    assert not is_looser_owner(family.adults, family.bi)
    assert [frees_new_device(Band.TH, one) for one in (family.bi, family.na, family.adults, family.guests)] == [False, True, True, False]
    assert not frees_new_device(Band.PT, family.na)
