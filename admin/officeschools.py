"""What the education department of a province sees of its schools on this machine: counts, and nothing else.

The role stands on the list office and names the body it speaks for; the body's place says which schools are its own. Of a school it sees
the name, whether its rules are in force, and how much was blocked in seven days; of all together the groups. A count under five is never
told, nor one that could be worked out from the others (`admin.figures`). No class, no device, no pupil, no request, no setting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.errors import NotFound
from admin.familytables import category_totals
from admin.figures import WEEK, Figures, suppress
from admin.tables import policies
from blocklists.tables import EVERY_TENANT, OrganisationKind, organisations
from blocklists.takedown.agencies import agency_row
from blocklists.takedown.deadlines import VIET_NAM
from blocklists.takedown.model import NotFound as NoBody
from blocklists.takedown.model import Office


@dataclass(frozen=True, slots=True)
class SchoolCount:
    """One school. `blocked` None: not told; `small`: because it is under five."""

    name: str
    in_force: bool
    blocked: int | None
    small: bool


@dataclass(frozen=True, slots=True)
class Schools:
    """The schools of a province: each, and the groups of all together."""

    body: str
    place: str
    schools: tuple[SchoolCount, ...]
    figures: Figures


@dataclass(frozen=True, slots=True)
class Body:
    """For whom somebody speaks, and which place is its own."""

    id: str
    name: str
    place: str


async def body_of(connection: AsyncConnection, office: Office, agency: str | None) -> Body:
    """The body that a role speaks for. Raises NotFound for one without a place."""
    try:
        body = await agency_row(connection, office, agency or "")
    except NoBody as error:
        raise NotFound from error
    if not body["place_code"]:
        raise NotFound
    return Body(body["id"], body["name"], body["place_code"])


async def schools_at(connection: AsyncConnection, place: str, now: datetime) -> Sequence[Any]:  # Any: rows of SQLAlchemy
    """The schools of a province, or of a commune: id, name, and whether the last change is in force (`revision`, `applied_revision`)."""
    table, rules = organisations, policies
    statement = (
        select(table.c.id, table.c.name, rules.c.revision, rules.c.applied_revision)
        .join(rules, rules.c.tenant_id == table.c.id)
        .where(
            table.c.kind == OrganisationKind.SCHOOL.value,
            table.c.valid_until.is_(None) | (table.c.valid_until > now),
            or_(table.c.place_code == place, table.c.place_code.startswith(f"{place}.")),
        )
        .order_by(table.c.name, table.c.id)
        .execution_options(**EVERY_TENANT)  # counts of every school of the place
    )
    return (await connection.execute(statement)).all()


async def read_schools(connection: AsyncConnection, office: Office, agency: str | None, now: datetime) -> Schools:
    """The counts for whoever speaks for a body. Raises NotFound for one without a place."""
    body = await body_of(connection, office, agency)
    rows = await schools_at(connection, body.place, now)
    first = (now.astimezone(VIET_NAM).date() - timedelta(days=WEEK - 1)).isoformat()
    totals = category_totals.c
    sums = (
        select(totals.tenant_id, totals.category, func.sum(totals.blocked).label("blocked"))
        .where(totals.tenant_id.in_([row.id for row in rows]), totals.day >= first)
        .group_by(totals.tenant_id, totals.category)
    )
    by_school: dict[str, int] = {}
    by_group: dict[str, int] = {}
    for one in await connection.execute(sums):
        by_school[one.tenant_id] = by_school.get(one.tenant_id, 0) + int(one.blocked)
        by_group[one.category] = by_group.get(one.category, 0) + int(one.blocked)
    told = {cell.category: cell for cell in suppress(by_school).cells}
    listed = []
    for row in rows:
        cell = told.get(row.id)
        blocked, small = (cell.count, cell.small) if cell is not None else (0, False)
        listed.append(SchoolCount(row.name, row.revision == row.applied_revision, blocked, small))
    return Schools(body.name, body.place, tuple(listed), suppress(by_group))
