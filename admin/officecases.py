"""Read models of reviews and reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.office import masked
from admin.officereads import Step, read_history
from blocklists.takedown import store, tables
from blocklists.takedown.cases import open_reports
from blocklists.takedown.clocks import read_levels
from blocklists.takedown.deadlines import Countdown, countdown
from blocklists.takedown.model import Actor, Case, Kind, State
from blocklists.takedown.store import Office
from blocklists.takedown.workflow import PROVISIONAL_DEFAULT, possible


@dataclass(frozen=True, slots=True)
class ReviewPage:
    """A request to look again, with the entry and the document it asks about."""

    row: RowMapping
    entry: RowMapping
    shown: str
    order: RowMapping | None
    clock: Countdown
    verbs: frozenset[str]
    history: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class ReportPage:
    """What somebody told, and what can be done with it."""

    row: RowMapping
    directive: RowMapping | None
    clock: Countdown
    verbs: frozenset[str]
    history: tuple[Step, ...]
    #: Open reports of the same site, into which this one may be merged.
    same: tuple[RowMapping, ...]
    #: Once referred, a case shows only its code, the time and the office: it is not ours any more.
    referred: bool


async def read_review(
    connection: AsyncConnection, office: Office, review_id: str, actors: Sequence[Actor], now: datetime
) -> ReviewPage | None:
    """A review with everything its page shows; None where there is none."""
    table = tables.reviews
    found = await connection.execute(select(table).where(table.c.id == review_id, table.c.tenant_id == office.tenant))
    row = found.mappings().first()
    if row is None:
        return None
    entry = await store.entry_row(connection, office, row["entry_id"])
    case = Case(
        Kind.REVIEW, State(row["state"]), verified_by=row["entry_verified_by"], approved_by=row["entry_approved_by"],
        second_by=row["entry_second_by"],
    )  # fmt: skip
    return ReviewPage(
        row=row,
        entry=entry,
        shown=masked(entry["host"], entry["category"], entry["id"]),
        order=await store.order_row(connection, office, entry["order_id"]) if entry["order_id"] else None,
        clock=countdown("review", row["received_at"], now, await read_levels(connection, office)),
        verbs=frozenset(verb for actor in actors for verb in possible(case, actor, now)),
        history=tuple(await read_history(connection, office, review_id)),
    )


async def read_report(
    connection: AsyncConnection, office: Office, report_id: str, actors: Sequence[Actor], now: datetime
) -> ReportPage | None:
    """A report with everything its page shows; None where there is none."""
    table, directives = tables.reports, tables.directives
    found = await connection.execute(select(table).where(table.c.id == report_id, table.c.tenant_id == office.tenant))
    row = found.mappings().first()
    if row is None:
        return None
    directive = None
    if row["directive_id"]:
        by = select(directives).where(directives.c.id == row["directive_id"], directives.c.tenant_id == office.tenant)
        directive = (await connection.execute(by)).mappings().first()
    ends = now + PROVISIONAL_DEFAULT
    case = Case(Kind.REPORT, State(row["state"]), verified_by=row["verified_by"], approved_by=row["approved_by"], valid_until=ends)
    return ReportPage(
        row=row,
        same=tuple(one for one in await open_reports(connection, office) if one["host"] == row["host"] and one["id"] != report_id),
        directive=directive,
        clock=countdown("report_acknowledge", row["received_at"], now, await read_levels(connection, office)),
        verbs=frozenset(verb for actor in actors for verb in possible(case, actor, now)),
        history=tuple(await read_history(connection, office, report_id)),
        referred=row["referral_code"] is not None,
    )
