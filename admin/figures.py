"""What a school sees of blocks: counts by category for the whole school, never by class, device or pupil; small numbers are not shown.

A cell under five says just that. Where one hidden cell could be worked out from the sum, the next smallest is hidden with it. The
categories `self`, `csam` and `groom` never reach this module: the gateway counts them for nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.familytables import category_totals
from blocklists.tables import EVERY_TENANT, OrganisationId, OrganisationKind, organisations

SMALL = 5
KEEP = timedelta(days=400)
WEEK = 7


@dataclass(frozen=True, slots=True)
class Cell:
    """One category. `count` None: hidden; `small` says that it is hidden because it is under five."""

    category: str
    count: int | None
    small: bool = False


@dataclass(frozen=True, slots=True)
class Figures:
    """The counts of some days, and their sum; both None-safe to show."""

    cells: tuple[Cell, ...]
    total: int

    @property
    def most(self) -> int:
        """The largest cell that is shown, for the lengths of bars."""
        return max((cell.count for cell in self.cells if cell.count is not None), default=1)


async def store_categories(connection: AsyncConnection, batches: Sequence[Mapping[str, Any]], now: datetime) -> None:
    """Add the blocks of schools, by day of the school's own clock."""
    rows = [row for batch in batches for row in batch.get("counts", ()) if row[5] == "blocked"]
    if not rows:
        return
    schools = select(organisations.c.id, organisations.c.time_zone).where(
        organisations.c.kind == OrganisationKind.SCHOOL.value, organisations.c.id.in_(sorted({str(row[1]) for row in rows}))
    )
    zones = {row.id: row.time_zone for row in await connection.execute(schools)}
    sums: dict[tuple[str, str, str, str], int] = {}
    for minute, tenant, site, _profile, _band, _outcome, category, count in rows:
        if str(tenant) in zones:
            day = datetime.fromtimestamp(int(minute), UTC).astimezone(ZoneInfo(zones[str(tenant)])).date().isoformat()
            key = (str(tenant), str(site), day, str(category))
            sums[key] = sums.get(key, 0) + int(count)
    for (tenant, site, day, category), count in sorted(sums.items()):
        table = category_totals.c
        own = (table.tenant_id == tenant, table.site_id == site, table.day == day, table.category == category)
        added = await connection.execute(update(category_totals).where(*own).values(blocked=table.blocked + count))
        if added.rowcount == 0:
            values = {"tenant_id": tenant, "site_id": site, "day": day, "category": category, "blocked": count}
            await connection.execute(insert(category_totals).values(**values))
    oldest = (now - KEEP).date().isoformat()
    await connection.execute(delete(category_totals).where(category_totals.c.day < oldest).execution_options(**EVERY_TENANT))


async def read_figures(connection: AsyncConnection, tenant: OrganisationId, now: datetime, zone: str, days: int = WEEK) -> Figures:
    """The blocks of a school in the last days."""
    first = (now.astimezone(ZoneInfo(zone)).date() - timedelta(days=days - 1)).isoformat()
    table = category_totals.c
    statement = (
        select(table.category, func.sum(table.blocked).label("blocked"))
        .where(table.tenant_id == tenant, table.day >= first)
        .group_by(table.category)
    )
    counts = {row.category: int(row.blocked) for row in await connection.execute(statement)}
    return suppress(counts)


def suppress(counts: Mapping[str, int]) -> Figures:
    """Hide what is small, and what would give it away."""
    ordered = sorted(((code, count) for code, count in counts.items() if count > 0), key=lambda one: (-one[1], one[0]))
    small = {code for code, count in ordered if count < SMALL}
    complement = {ordered[-2][0]} if len(small) == 1 and len(ordered) > 1 else set()
    cells = tuple(Cell(code, None if code in small | complement else count, code in small) for code, count in ordered)
    total = sum(count for _, count in ordered)
    return Figures(cells, total if len(ordered) > 1 or total >= SMALL else 0)
