"""The cards: what is on, when a child was seen, one total; silence accuses nobody."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from admin.audit import Act
from admin.catalogue import read_shipped
from admin.dependencies import Services
from admin.home import read_cards
from admin.link import SeenDevice
from admin.moment import Standing
from admin.overrides import start_override
from admin.totals import collect
from admin.values import OverrideKind
from tests.support.family import Family, make_family
from tests.support.gateway import Gateway
from tests.support.livegateway import counted


def seen(now: datetime, family: Family, address: str, client: str | None = None, minutes: int = 0, mac: str | None = None) -> SeenDevice:
    moment = now - timedelta(minutes=minutes)
    return SeenDevice(address, mac, client, family.tenant, "", moment, moment)


async def test_cards_tell_standing_and_sight(services: Services, family: Family, act: Act, now: datetime) -> None:
    """Bi: offline by a press, seen three minutes ago; Na: not seen, nothing counted."""
    async with services.database.write() as connection:
        await start_override(connection, act, family.bi.id, OverrideKind.OFF, now + timedelta(hours=1), [])
    devices = [
        seen(now, family, "192.168.1.31", family.bi_phone, 3),
        seen(now, family, "192.168.1.99", mac="3c:22:fb:00:00:99"),
        SeenDevice("10.9.9.9", None, None, "another", "", now, now),
    ]
    async with services.database.read() as connection:
        cards = await read_cards(connection, family.tenant, devices, read_shipped(), now)
    bi, na = cards.people
    assert (bi.moment.standing, bi.seen_at) == (Standing.OFF, now - timedelta(minutes=3))
    assert (na.moment.standing, na.seen_at, na.blocked) == (Standing.FREE, None, None)
    assert [one.address for one in cards.unnamed] == ["192.168.1.99"]
    assert [card.profile.id for card in cards.others] == [family.adults.id, family.guests.id]


async def test_a_named_device_is_not_new_before_the_gateway_knows_it(services: Services, family: Family, now: datetime) -> None:
    """Between naming and switching, the device does not ask for a name again."""
    async with services.database.read() as connection:
        cards = await read_cards(connection, family.tenant, [seen(now, family, "192.168.1.31")], read_shipped(), now)
    assert cards.unnamed == ()


async def test_a_device_that_was_named_a_moment_ago_was_seen(services: Services, family: Family, now: datetime) -> None:
    """It asked before it had a name: it is not "not seen lately" until it asks again."""
    asked = [seen(now, family, "192.168.1.31", minutes=1), SeenDevice("192.168.1.32", None, None, "another", "", now, now)]
    async with services.database.read() as connection:
        cards = await read_cards(connection, family.tenant, asked, read_shipped(), now)
    bi, na = cards.people
    assert (bi.seen_at, na.seen_at) == (now - timedelta(minutes=1), None)


async def test_figures_of_the_cards_come_from_queries(live: Services, gateway_running: Gateway) -> None:
    """Bi's tablet asks: its card has the blocks and when it was seen; Na's asks nothing, which is not known, not zero."""
    family = await make_family(live, "127.0")
    await live.applier.settle(family.tenant)
    begun = live.now()
    for number in range(6):
        await asyncio.to_thread(gateway_running.ask, "www.facebook.com" if number < 4 else "scratch.mit.edu", source="127.0.1.31")
    await asyncio.sleep(1.5)
    devices = await live.link.devices(family.tenant)
    await counted(gateway_running, live.link)
    await collect(live.database, live.link, live.now())
    async with live.database.read() as connection:
        cards = await read_cards(connection, family.tenant, devices, live.shelves.current(), begun)
    bi, na = cards.people
    assert bi.blocked == 4
    assert bi.seen_at is not None and bi.seen_at >= begun - timedelta(seconds=1)
    assert (na.blocked, na.seen_at) == (None, None)
