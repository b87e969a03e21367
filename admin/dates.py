"""Days that are not like others: holidays and the lunar new year from the catalogue, and the dates a family or school adds itself.

A shelf carries the spans; `with_dates` puts a tenant's own ones on it. Days are written days, first and last included, on the clock of
the place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import Act, Action, record
from admin.catalogue import DaysOff, Shelf
from admin.errors import FieldMistake, InvalidInput, NotFound
from admin.familytables import own_dates
from admin.tenants import mark_changed
from admin.values import DatesKind
from blocklists.tables import OrganisationId, new_id

MOST_DATES = 40
LONGEST = timedelta(days=150)


@dataclass(frozen=True, slots=True)
class Dates:
    """One span of days of one's own."""

    id: str
    kind: DatesKind
    label: str
    first: date
    last: date


async def list_dates(connection: AsyncConnection, tenant: OrganisationId) -> list[Dates]:
    """A tenant's own dates, earliest first."""
    statement = select(own_dates).where(own_dates.c.tenant_id == tenant).order_by(own_dates.c.first, own_dates.c.id)
    return [
        Dates(row.id, DatesKind(row.kind), row.label, date.fromisoformat(row.first), date.fromisoformat(row.last))
        for row in await connection.execute(statement)
    ]


async def add_dates(connection: AsyncConnection, act: Act, kind: DatesKind, label: str, first: date, last: date) -> None:
    """Add a span. Raises InvalidInput when it runs backwards, is very long, or there are too many."""
    if last < first:
        raise InvalidInput(FieldMistake("last", "dates_backwards"))
    if last - first > LONGEST:
        raise InvalidInput(FieldMistake("last", "dates_long"))
    if len(await list_dates(connection, act.tenant)) >= MOST_DATES:
        raise InvalidInput(FieldMistake("first", "too_many"))
    row = {"kind": kind.value, "first": first.isoformat(), "last": last.isoformat()}
    await connection.execute(insert(own_dates).values(id=new_id(), tenant_id=act.tenant, label=label, **row))
    await record(connection, act, Action.DATES_CHANGED, act.tenant, after=row)
    await mark_changed(connection, act)


async def remove_dates(connection: AsyncConnection, act: Act, dates: str) -> None:
    """Take a span away. Raises NotFound."""
    removed = await connection.execute(delete(own_dates).where(own_dates.c.tenant_id == act.tenant, own_dates.c.id == dates))
    if removed.rowcount != 1:
        raise NotFound
    await record(connection, act, Action.DATES_CHANGED, act.tenant, before={"id": dates})
    await mark_changed(connection, act)


def with_dates(shelf: Shelf, own: Sequence[Dates]) -> Shelf:
    """The shelf with a tenant's own dates: its summers replace the proposed ones of their year, holidays and exams are added."""
    if not own:
        return shelf

    def spans(kind: DatesKind) -> list[tuple[date, date]]:
        return [(one.first, one.last) for one in own if one.kind is kind]

    summers = spans(DatesKind.SUMMER)
    years = {first.year for first, _ in summers}
    kept = [span for span in shelf.summers if span[0].year not in years]
    days_off = [*shelf.days_off, *(DaysOff(one.first, one.last, one.label, one.label) for one in own if one.kind is DatesKind.HOLIDAY)]
    return replace(
        shelf,
        days_off=tuple(sorted(days_off, key=lambda one: (one.first, one.last))),
        summers=tuple(sorted([*kept, *summers])),
        holidays=tuple(sorted([*shelf.holidays, *spans(DatesKind.HOLIDAY)])),
        exams=tuple(sorted(spans(DatesKind.EXAM))),
    )
