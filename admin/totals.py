"""One number a day for each child: how many answers, how many of them blocks. No category, no hour, no name.

The gateway counts in its memory and hands over batches; each is stored once, whatever restarts in between. Days are those of the
family's own time zone. Kept for thirteen months.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.figures import store_categories
from admin.history import store_names
from admin.link import GatewayLink
from admin.tables import daily_totals, handovers, profiles
from blocklists.database import Database
from blocklists.tables import EVERY_TENANT, OrganisationId, organisations

SOURCE = "gateway"
KEEP = timedelta(days=400)

Batch = Mapping[str, Any]  # Any: JSON of the gateway's hand-over


async def collect(database: Database, link: GatewayLink, now: datetime) -> int:
    """Fetch what was counted and store it; returns how many batches. Raises GatewayAway."""
    async with database.read() as connection:
        after = await _read_serial(connection)
    batches = await link.activity(after)
    if not batches:
        return 0
    async with database.write() as connection:
        if await _read_serial(connection) != after:  # somebody else stored them meanwhile
            return 0
        await _store(connection, batches)
        await store_names(connection, batches)
        await store_categories(connection, batches, now)
        await _write_serial(connection, max(int(batch["serial"]) for batch in batches))
        oldest = (now - KEEP).date().isoformat()
        await connection.execute(delete(daily_totals).where(daily_totals.c.day < oldest).execution_options(**EVERY_TENANT))
    return len(batches)


async def read_day(connection: AsyncConnection, tenant: OrganisationId, day: str) -> Mapping[str, tuple[int, int]]:
    """(answered, blocked) of each profile of a tenant on one day."""
    statement = select(daily_totals).where(daily_totals.c.tenant_id == tenant, daily_totals.c.day == day)
    return {row.profile_id: (row.answered, row.blocked) for row in await connection.execute(statement)}


async def read_watched(connection: AsyncConnection, tenant: OrganisationId, profile: str) -> int:
    """What would have been blocked of one profile on the days on which it was only watched."""
    statement = select(func.sum(daily_totals.c.watched)).where(daily_totals.c.tenant_id == tenant, daily_totals.c.profile_id == profile)
    return int((await connection.execute(statement)).scalar_one() or 0)


async def _store(connection: AsyncConnection, batches: Sequence[Batch]) -> None:
    rows = [row for batch in batches for row in batch.get("counts", ()) if row[3]]
    tenants = sorted({str(row[1]) for row in rows})
    if not tenants:
        return
    statement = (
        select(profiles.c.id, profiles.c.tenant_id, organisations.c.time_zone)
        .join(organisations, organisations.c.id == profiles.c.tenant_id)
        .where(profiles.c.tenant_id.in_(tenants))
    )
    zones = {(row.tenant_id, row.id): row.time_zone for row in await connection.execute(statement)}
    days: dict[tuple[str, str, str], list[int]] = {}
    for minute, tenant, _site, profile, _band, outcome, _category, count in rows:
        zone = zones.get((str(tenant), str(profile)))
        if zone is None:  # a profile of the configuration file, or one that was erased
            continue
        day = datetime.fromtimestamp(int(minute), UTC).astimezone(ZoneInfo(zone)).date().isoformat()
        sums = days.setdefault((str(tenant), str(profile), day), [0, 0, 0])
        sums[0] += int(count)
        sums[1] += int(count) if outcome == "blocked" else 0
        sums[2] += int(count) if outcome == "watched" else 0
    for (tenant, profile, day), (answered, blocked, watched) in sorted(days.items()):
        own = (daily_totals.c.tenant_id == tenant, daily_totals.c.profile_id == profile, daily_totals.c.day == day)
        added = {
            "answered": daily_totals.c.answered + answered,
            "blocked": daily_totals.c.blocked + blocked,
            "watched": daily_totals.c.watched + watched,
        }
        result = await connection.execute(update(daily_totals).where(*own).values(**added))
        if result.rowcount == 0:
            values = {"tenant_id": tenant, "profile_id": profile, "day": day, "answered": answered, "blocked": blocked, "watched": watched}
            await connection.execute(insert(daily_totals).values(**values))


async def _read_serial(connection: AsyncConnection) -> int:
    return (await connection.execute(select(handovers.c.serial).where(handovers.c.source == SOURCE))).scalar_one_or_none() or 0


async def _write_serial(connection: AsyncConnection, serial: int) -> None:
    result = await connection.execute(update(handovers).where(handovers.c.source == SOURCE).values(serial=serial))
    if result.rowcount == 0:
        await connection.execute(insert(handovers).values(source=SOURCE, serial=serial))
