"""One number a day: stored once, on the family's own days, for profiles that exist."""

from __future__ import annotations

from datetime import UTC, datetime

from admin.dependencies import Services
from admin.totals import collect, read_day
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family


def row(moment: datetime, tenant: str, profile: str, outcome: str, count: int) -> list[object]:
    return [int(moment.timestamp()), tenant, "", profile, "TH", outcome, "game", count]


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
