"""The case register that several bodies share, and the numbers for observers: read models without notes and without names in `csam`.

Everybody who works on cases sees states, deadlines and decisions; observers see counts, and a count below five is never told.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Column, ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.errors import NotFound
from admin.office import masked
from admin.officereads import OPEN_ORDERS, OPEN_REPORTS, OPEN_REVIEWS, order_clock
from blocklists.tables import Role, role_assignments
from blocklists.takedown import tables
from blocklists.takedown.clocks import read_levels
from blocklists.takedown.deadlines import Countdown, countdown
from blocklists.takedown.model import IN_FORCE, Actor, Kind, Office
from blocklists.takedown.notes import add_note

SHOWN = timedelta(days=90)
MOST = 300
LEAST = 5
"""Counts below this are told as "fewer than five"."""
_OFFICERS = (Role.VERIFIER.value, Role.APPROVER.value)


@dataclass(frozen=True, slots=True)
class SharedCase:
    """One case as every body sees it."""

    kind: Kind
    id: str
    title: str
    category: str
    state: str
    received_at: datetime
    clock: Countdown | None
    goes_to: str = ""
    decision: str = ""


@dataclass(frozen=True, slots=True)
class Voice:
    """For whom somebody speaks on a case: the office itself, a body, or nobody (who then reads and writes no note)."""

    agency: str | None
    is_office: bool

    @property
    def may_note(self) -> bool:
        return self.is_office or self.agency is not None


async def voice_of(connection: AsyncConnection, office: Office, account: str, now: datetime, role: Role | None = None) -> Voice:
    """For whom an account speaks in this office today; with `role`, in that one."""
    table = role_assignments
    rows = await connection.execute(
        select(table.c.role, table.c.agency_id)
        .where(
            table.c.account_id == account, table.c.organisation_id == office.tenant, table.c.valid_from <= now,
            table.c.valid_until.is_(None) | (table.c.valid_until > now),
        )
        .order_by(table.c.valid_from)
    )  # fmt: skip
    found = [row for row in rows if role is None or row.role == role.value]
    if any(row.role in _OFFICERS for row in found):
        return Voice(None, is_office=True)
    return Voice(next((row.agency_id for row in found if row.agency_id), None), is_office=False)


async def write_note(
    connection: AsyncConnection, office: Office, actor: Actor, kind: Kind, case_id: str, text: str, now: datetime
) -> str:
    """Write a note for the body that the actor speaks for; its id. Raises NotFound for one who speaks for none, TransitionRefused."""
    voice = await voice_of(connection, office, actor.account, now)
    if not voice.may_note:
        raise NotFound
    return await add_note(connection, office, actor, voice.agency, kind, case_id, text, now)


async def read_cases(connection: AsyncConnection, office: Office, now: datetime) -> list[SharedCase]:
    """Open cases and those of the last three months, those with the nearest deadline first."""
    since = now - SHOWN
    levels = await read_levels(connection, office)
    found: list[SharedCase] = []
    orders, reports, reviews, entries = tables.orders, tables.reports, tables.reviews, tables.entries
    statement = select(orders).where(orders.c.tenant_id == office.tenant, orders.c.received_at > since)
    for row in (await connection.execute(statement.order_by(orders.c.received_at.desc()).limit(MOST))).mappings():
        clock = order_clock(row, now, levels) if row["state"] in _values(OPEN_ORDERS) else None
        found.append(
            SharedCase(Kind.ORDER, row["id"], row["symbol"], row["category"], row["state"], row["received_at"], clock, row["issuer"])
        )
    statement = select(reports).where(reports.c.tenant_id == office.tenant, reports.c.received_at > since)
    for row in (await connection.execute(statement.order_by(reports.c.received_at.desc()).limit(MOST))).mappings():
        clock = countdown("report_acknowledge", row["received_at"], now, levels) if row["state"] in _values(OPEN_REPORTS) else None
        goes_to = row["referred_to"] or row["routed_to"]
        found.append(
            SharedCase(
                Kind.REPORT, row["id"], row["code"], row["category"], row["state"], row["received_at"], clock, goes_to, row["reason"]
            )
        )
    statement = (
        select(reviews, entries.c.host, entries.c.category)
        .join(entries, entries.c.id == reviews.c.entry_id)
        .where(reviews.c.tenant_id == office.tenant, entries.c.tenant_id == office.tenant, reviews.c.received_at > since)
    )
    for row in (await connection.execute(statement.order_by(reviews.c.received_at.desc()).limit(MOST))).mappings():
        clock = countdown("review", row["received_at"], now, levels) if row["state"] in _values(OPEN_REVIEWS) else None
        title = masked(row["host"], row["category"], row["entry_id"])
        found.append(
            SharedCase(Kind.REVIEW, row["id"], title, row["category"], row["state"], row["received_at"], clock, "", row["decision_reason"])
        )
    return sorted(found, key=lambda one: (one.clock is None, one.clock.due if one.clock else one.received_at))


async def read_case(connection: AsyncConnection, office: Office, kind: Kind, object_id: str, now: datetime) -> SharedCase:
    """One case of the register. Raises NotFound."""
    for case in await read_cases(connection, office, now):
        if (case.kind, case.id) == (kind, object_id):
            return case
    raise NotFound


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts for people who see no case; None stands for "fewer than five"."""

    in_force: tuple[tuple[str, int | None], ...]
    reports: tuple[tuple[str, int | None], ...]
    reviews: tuple[tuple[str, int | None], ...]
    lifted: int | None
    expired: int | None


async def read_figures(connection: AsyncConnection, office: Office) -> Figures:
    """The office in numbers."""
    entries, reports, reviews = tables.entries, tables.reports, tables.reviews
    live = entries.c.state.in_([state.value for state in IN_FORCE])
    ended = dict(await _counts(connection, entries.c.state, entries.c.tenant_id == office.tenant))
    return Figures(
        in_force=_told(await _counts(connection, entries.c.category, (entries.c.tenant_id == office.tenant) & live)),
        reports=_told(await _counts(connection, reports.c.state, reports.c.tenant_id == office.tenant)),
        reviews=_told(await _counts(connection, reviews.c.state, reviews.c.tenant_id == office.tenant)),
        lifted=told(ended.get("lifted", 0)),
        expired=told(ended.get("expired", 0)),
    )


def told(count: int) -> int | None:
    """A count as it may be told: nought and five or more as they are."""
    return count if count == 0 or count >= LEAST else None


def _told(pairs: Iterable[tuple[str, int]]) -> tuple[tuple[str, int | None], ...]:
    return tuple((code, told(count)) for code, count in sorted(pairs, key=lambda pair: -pair[1]))


async def _counts(connection: AsyncConnection, by: Column[str], where: ColumnElement[bool]) -> list[tuple[str, int]]:
    rows = await connection.execute(select(by, func.count()).where(where).group_by(by))
    return [(str(row[0]), int(row[1])) for row in rows]


def _values(states: Iterable[object]) -> set[str]:
    return {str(state) for state in states}
