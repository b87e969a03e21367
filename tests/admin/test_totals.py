"""One number a day: stored once, on the family's own days, for profiles that exist."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from admin.app import make_services
from admin.dependencies import Services
from admin.pages.render import Pages
from admin.settings import AdminSettings
from admin.totals import collect, read_day
from blocklists.database import Database
from blocklists.tables import EVERY_TENANT, metadata
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family, make_family
from tests.support.gateway import ROOT, Gateway, RunningUpstream
from tests.support.livegateway import SETTINGS, clear_of_midnight, counted

HURTFUL = ("self", "csam", "groom")
SCAM = next(line for line in (ROOT / "blocklists/seed/scam.txt").read_text(encoding="utf-8").splitlines() if line[:1].isalnum())


def row(moment: datetime, tenant: str, profile: str, outcome: str, count: int) -> list[object]:
    return [int(moment.timestamp()), tenant, "", profile, "TH", outcome, "game", count]


async def test_totals_of_a_day_come_from_queries(live: Services, gateway_running: Gateway) -> None:
    """Bi's tablet is blocked four times, Na's phone twice, the mother's asks and is not a child's. Fetched twice, stored once."""
    family = await make_family(live, "127.0")
    await live.applier.settle(family.tenant)
    asked = {"127.0.1.31": {"www.facebook.com": 4, "scratch.mit.edu": 5}, "127.0.1.32": {SCAM: 2}, "127.0.1.20": {"www.vnexpress.net": 3}}
    for source, names in asked.items():
        for name in (name for name, times in names.items() for _ in range(times)):
            await asyncio.to_thread(gateway_running.ask, name, source=source)
    await asyncio.sleep(1.5)
    await counted(gateway_running, live.link)
    assert await collect(live.database, live.link, live.now()) > 0
    assert await collect(live.database, live.link, live.now()) == 0
    today = live.now().astimezone(ZoneInfo("Asia/Ho_Chi_Minh")).date().isoformat()
    async with live.database.read() as connection:
        totals = await read_day(connection, family.tenant, today)
    assert {profile: blocked for profile, (_, blocked) in totals.items() if blocked} == {family.bi.id: 4, family.na.id: 2}


async def test_what_hurts_a_child_is_counted_for_no_child(
    database: Database, settings: AdminSettings, pages: Pages, tmp_path: Path
) -> None:
    """Bi's tablet asks for self-harm, abuse and grooming, all blocked, and twice for a betting site: two is all that anybody can read, on
    no row of any table, nor in what left the workers."""
    folder = tmp_path / "gateway"
    folder.mkdir()
    rows = []
    for code in (*HURTFUL, "gamb"):
        (folder / f"{code}.txt").write_text(f"{code}.example\n", encoding="ascii")
        rows.append(f"{{id: {code}, category: {code}, path: {code}.txt}}")
    with RunningUpstream({}) as upstream, Gateway(folder, f"{SETTINGS}lists: [{', '.join(rows)}]\n", upstream=upstream.port) as running:
        clear_of_midnight()
        beside = replace(settings, state_dir=folder / "var")
        live = make_services(beside, database, lambda: datetime.now(UTC).timestamp(), pages)
        family = await make_family(live, "127.0")
        await live.applier.settle(family.tenant)
        for code, times in (*((code, 3) for code in HURTFUL), ("gamb", 2)):
            for _ in range(times):
                assert await asyncio.to_thread(running.addresses, f"{code}.example", source="127.0.1.31") == ["0.0.0.0"]
        await asyncio.sleep(1.5)
        batches = await counted(running, live.link)
        await collect(live.database, live.link, live.now())
        today = live.now().astimezone(ZoneInfo("Asia/Ho_Chi_Minh")).date().isoformat()
        async with live.database.read() as connection:
            totals = await read_day(connection, family.tenant, today)
            stored = [
                str(row)
                for table in metadata.tables.values()
                for row in await connection.execute(table.select().execution_options(**EVERY_TENANT))
            ]
    assert {profile: blocked for profile, (_, blocked) in totals.items()} == {family.bi.id: 2}
    told = [row for batch in batches for row in batch["counts"] if row[3]]  # type: ignore[attr-defined]
    assert {row[6] for row in told if row[5] == "blocked"} == {"gamb"}
    for code in HURTFUL:
        assert not [row for row in stored if f"'{code}'" in row or f"{code}.example" in row]


async def test_collect_stores_each_batch_once(services: Services, family: Family, gateway: ScriptedGateway, now: datetime) -> None:
    """Asked again, nothing is counted twice; new batches add up."""
    gateway.batches.append({"serial": 10, "counts": [row(now, family.tenant, family.bi.id, "blocked", 5)], "names": [], "dropped": 0})
    assert await collect(services.database, services.link, now) == 1
    assert await collect(services.database, services.link, now) == 0
    more = [row(now, family.tenant, family.bi.id, "allowed", 100), row(now, family.tenant, family.bi.id, "blocked", 2)]
    gateway.batches.append({"serial": 11, "counts": more, "names": [], "dropped": 0})
    assert await collect(services.database, services.link, now) == 1
    async with services.database.read() as connection:
        assert await read_day(connection, family.tenant, "2026-10-12") == {family.bi.id: (107, 7)}
    assert gateway.asked[-1]["after"] == 10


async def test_days_are_the_familys_own(services: Services, family: Family, gateway: ScriptedGateway, now: datetime) -> None:
    """Five minutes past midnight at home is tomorrow, also when UTC is still today."""
    late = datetime(2026, 10, 12, 17, 5, tzinfo=UTC)
    gateway.batches.append({"serial": 1, "counts": [row(late, family.tenant, family.bi.id, "blocked", 3)], "names": [], "dropped": 0})
    await collect(services.database, services.link, now)
    async with services.database.read() as connection:
        assert await read_day(connection, family.tenant, "2026-10-13") == {family.bi.id: (3, 3)}


async def test_counts_of_nobody_are_dropped(services: Services, family: Family, gateway: ScriptedGateway, now: datetime) -> None:
    """Profiles of the configuration file, of another tenant, or erased ones leave no row."""
    counts = [
        row(now, "local", "khach", "blocked", 9),
        row(now, family.tenant, "gone", "blocked", 9),
        row(now, "other", family.bi.id, "blocked", 9),
        row(now, family.tenant, "", "blocked", 9),
    ]
    gateway.batches.append({"serial": 1, "counts": counts, "names": [], "dropped": 0})
    assert await collect(services.database, services.link, now) == 1
    async with services.database.read() as connection:
        assert await read_day(connection, family.tenant, "2026-10-12") == {}


async def test_old_days_go(services: Services, family: Family, gateway: ScriptedGateway, now: datetime) -> None:
    """Thirteen months later nothing of that day is left."""
    gateway.batches.append({"serial": 1, "counts": [row(now, family.tenant, family.bi.id, "blocked", 3)], "names": [], "dropped": 0})
    await collect(services.database, services.link, now)
    later = now.replace(year=2028)
    gateway.batches.append({"serial": 2, "counts": [], "names": [], "dropped": 1})
    await collect(services.database, services.link, later)
    async with services.database.read() as connection:
        assert await read_day(connection, family.tenant, "2026-10-12") == {}
