"""A consented history: only as agreed, at most seven days, sealed; ended at once. The figures come from queries that were sent."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import select

from admin.audit import Act
from admin.dependencies import Services
from admin.devices import Match, assign_device
from admin.errors import Conflict, InvalidInput
from admin.familytables import history_consents, history_rows
from admin.history import count_seals, days_of, find_keeping, forget_history, make_box, read_day, start_history, stop_history, store_names
from admin.policyfile import cut, read_rows
from admin.tables import site_networks, sites
from admin.values import DeviceMatch
from blocklists.tables import new_id
from gateway.policy.model import Band
from tests.support.family import Family
from tests.support.gateway import Gateway
from tests.support.livegateway import counted

ZONE = "Asia/Ho_Chi_Minh"


def batch(moment: datetime, family: Family, name: str, profile: str = "") -> dict[str, object]:
    minute = int(moment.timestamp()) // 60 * 60
    return {"serial": 1, "names": [[minute, family.tenant, profile or family.bi.id, name, 3]]}


async def agree(services: Services, act: Act, family: Family, days: int = 7) -> str:
    box, code = await make_box()
    async with services.database.write() as connection:
        await start_history(connection, act, family.bi, days, True, "vi", box)
    return code


async def test_nothing_without_the_childs_word(services: Services, family: Family, act: Act) -> None:
    """From seven the child agrees, too; nobody younger is asked; more than seven days cannot be agreed; adults and guests have none."""
    box, _ = await make_box()
    for profile, days, agreed in (
        (family.bi, 7, False),
        (family.na, 3, False),
        (family.bi, 8, True),
        (family.bi, 0, True),
        (family.guests, 1, True),
        (family.adults, 1, True),
    ):
        with pytest.raises(InvalidInput):
            async with services.database.write() as connection:
                await start_history(connection, act, profile, days, agreed, "vi", box)
    async with services.database.write() as connection:
        await start_history(connection, act, replace(family.bi, band=Band.MN), 1, False, "vi", box)


async def test_consent_is_written_down_and_the_policy_says_history(services: Services, family: Family, act: Act) -> None:
    """Who agreed to what, in which words, when; only this child's policy changes, and back again at once."""
    await agree(services, act, family)
    with pytest.raises(Conflict):
        await agree(services, act, family)
    async with services.database.read() as connection:
        consent = (await connection.execute(select(history_consents).where(history_consents.c.tenant_id == family.tenant))).one()
        rows = await read_rows(connection, family.tenant, act.now)
    assert (consent.kinds, consent.band, consent.days, consent.child_agreed, consent.given_by) == ("names", "TH", 7, 1, family.account)
    written = cut(rows, services.shelves.current(), ())["profiles"]
    assert {row["id"]: row["activity"] for row in written if row["activity"] != "off"} == {
        family.bi.id: "history",
        family.na.id: "aggregate",
    }
    async with services.database.write() as connection:
        assert await stop_history(connection, act, family.bi.id)
        assert not await stop_history(connection, act, family.bi.id)
    async with services.database.read() as connection:
        assert (await read_rows(connection, family.tenant, act.now)).kept == {}
        ended = (await connection.execute(select(history_consents).where(history_consents.c.tenant_id == family.tenant))).one()
    assert ended.ended_at == act.now


async def test_only_the_code_reads_it(services: Services, family: Family, act: Act, now: datetime) -> None:
    """The database holds no name; the code shows the minutes; names of children without an agreement are dropped."""
    code = await agree(services, act, family)
    async with services.database.write() as connection:
        await store_names(connection, [batch(now, family, "scratch.mit.edu"), batch(now + timedelta(minutes=5), family, "scratch.mit.edu")])
        await store_names(connection, [batch(now, family, "vnexpress.net"), batch(now, family, "secret.example", family.na.id)])
        await store_names(connection, [batch(now - timedelta(minutes=2), family, "before.example")])
        assert await count_seals(connection, family.tenant, family.na.id) == 0
        sealed = (await connection.execute(select(history_rows.c.sealed).where(history_rows.c.tenant_id == family.tenant))).scalars().all()
        assert not any(b"scratch" in one or b"vnexpress" in one for one in sealed)
        keeping = await find_keeping(connection, family.tenant, family.bi.id)
        assert keeping is not None
        assert days_of(keeping, now + timedelta(days=2), ZONE) == [date(2026, 10, 14), date(2026, 10, 13), date(2026, 10, 12)]
    seen = await read_day(services.database, act, keeping, code, date(2026, 10, 12), ZONE)
    assert seen is not None
    assert [(one.name, one.minutes) for one in seen] == [("scratch.mit.edu", 2), ("vnexpress.net", 1)]
    assert await read_day(services.database, act, keeping, "AAAA-BBBB-CCCC-DDDD", date(2026, 10, 12), ZONE) is None
    assert await read_day(services.database, act, keeping, code, date(2026, 10, 11), ZONE) == ()


async def test_forgotten_after_the_days_agreed(services: Services, family: Family, act: Act, now: datetime) -> None:
    """One day agreed is one day kept, to the hour."""
    await agree(services, act, family, days=1)
    async with services.database.write() as connection:
        await store_names(connection, [batch(now, family, "scratch.mit.edu")])
        assert await forget_history(connection, now + timedelta(hours=23)) == 0
        assert await forget_history(connection, now + timedelta(hours=24)) == 1
        assert await count_seals(connection, family.tenant, family.bi.id) == 0


async def test_names_of_queries_below_fifteen_and_categories_from_fifteen(
    live: Services, gateway_running: Gateway, family: Family, act: Act
) -> None:
    """Queries really sent: the younger child's names, the older one's categories, nobody's call for help, nothing of the adult."""
    now = live.now()
    act = Act(act.tenant, act.by, now)
    made = {one.id: await make_box() for one in (family.bi, family.na)}
    async with live.database.write() as connection:
        site = (await connection.execute(select(sites.c.id).where(sites.c.tenant_id == family.tenant))).scalar_one()
        here = {"id": new_id(), "tenant_id": family.tenant, "site_id": site, "network": "127.0.0.0/8"}
        await connection.execute(site_networks.insert().values(**here))
        for profile, address in ((family.bi, "127.0.0.31"), (family.na, "127.0.0.32"), (family.adults, "127.0.0.33")):
            await assign_device(connection, act, profile.id, "máy", [Match(DeviceMatch.ADDRESS, address)])
        for one in (family.bi, family.na):
            await start_history(connection, act, one, 7, True, "vi", made[one.id][0])
    await live.applier.settle(family.tenant)
    for source in ("127.0.0.31", "127.0.0.32", "127.0.0.33"):
        for name in ("scratch.mit.edu", "www.tongdai111.vn", "www.vnexpress.net", "quiet.example"):
            await asyncio.to_thread(gateway_running.ask, name, source=source)
    await asyncio.sleep(1.5)
    batches = await counted(gateway_running, live.link)
    async with live.database.write() as connection:
        assert await store_names(connection, batches)
    shown = {}
    for one in (family.bi, family.na):
        async with live.database.read() as connection:
            keeping = await find_keeping(connection, family.tenant, one.id)
        assert keeping is not None
        today = days_of(keeping, live.now(), ZONE)
        seen = [await read_day(live.database, act, keeping, made[one.id][1], day, ZONE) for day in today]
        shown[one.id] = {(row.name, row.category) for rows in seen for row in rows or ()}
    assert {name for name, _ in shown[family.bi.id]} == {"mit.edu", "vnexpress.net", "quiet.example"}
    assert shown[family.na.id]
    assert {name for name, _ in shown[family.na.id]} == {""}
    assert not {"help", "health"} & {category for _, category in shown[family.na.id]}
