"""A school that says it is somewhere else: what its old place's department closed holds on for a day.

A school says itself where it is, so a press could open what a department closed by document. What is closed in the new place holds at
once; what was closed in the old one holds on for 24 hours, in which the department reads it, and the school may go back. The end comes
with the minute's round of `admin.process`, whatever was restarted meanwhile, and not by a clock that nobody keeps: like an office's ends
(`admin.officeduty`). One such day at a time: until it is over, no further place may be left. Used by the page, the API and the process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import MACHINE, Act, Action, record
from admin.errors import Conflict
from admin.officeduty import believes_clock
from admin.officetables import school_moves, school_rules
from admin.officetighten import MOST_RULES, SchoolRule, rules_at
from admin.tenants import mark_changed, read_place, set_place
from blocklists.tables import EVERY_TENANT, OrganisationId, OrganisationKind, journal, organisations
from blocklists.takedown.model import Office

HOLD = timedelta(hours=24)
#: How long a department reads that a school left its place.
TOLD = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Move:
    """A school that is about to leave a place: which, since when, until when what is closed there holds on, and what that is."""

    place: str
    at: datetime
    until: datetime
    rules: tuple[SchoolRule, ...]


@dataclass(frozen=True, slots=True)
class Left:
    """A school that is no longer in the place of a rule: its name, the rule's document, since when; `until`: that long the rule holds on
    there, None when it does not any more."""

    school: str
    document: str
    at: datetime
    until: datetime | None = None


async def move(connection: AsyncConnection, act: Act, kind: OrganisationKind, code: str) -> None:
    """Say where a family or school is. Where a school leaves a place, and with it what is closed there, that holds on for a day: the
    office's journal says so for each rule, and the department reads it on its page. Raises Conflict (`move_waits`) for a second place left
    within that day."""
    before = await read_place(connection, act.tenant) or ""
    if kind is OrganisationKind.SCHOOL:
        await _hold(connection, act, before, code)
    await set_place(connection, act, code)


async def find_move(connection: AsyncConnection, school: OrganisationId) -> Move | None:
    """What holds on in a school because it was elsewhere; None: nothing."""
    row = (await connection.execute(select(school_moves).where(school_moves.c.tenant_id == school))).one_or_none()
    if row is None:
        return None
    return Move(row.place_code, row.moved_at, row.holds_until, tuple(await rules_at(connection, row.place_code)))


async def end_moves(connection: AsyncConnection, now: datetime, is_clock_kept: bool | None) -> list[OrganisationId]:
    """Let go what has held on for its day; the schools whose policy changed. Nothing ends by a clock that is not believed."""
    due = select(school_moves.c.tenant_id).where(school_moves.c.holds_until <= now).execution_options(**EVERY_TENANT)
    over = []
    for school in [OrganisationId(one) for one in (await connection.execute(due)).scalars()]:
        if await believes_clock(connection, school, is_clock_kept, now):
            act = Act(school, MACHINE, now)
            move = await find_move(connection, school)
            await connection.execute(delete(school_moves).where(school_moves.c.tenant_id == school))
            await record(connection, act, Action.PLACE_LEFT, school, before={"place": move.place if move else None})
            await mark_changed(connection, act)
            over.append(school)
    return over


async def list_left(connection: AsyncConnection, office: Office, rules: Sequence[SchoolRule], now: datetime) -> Sequence[Left]:
    """The schools that left what these rules close, in the last thirty days, the newest first; not those that went back."""
    table, documents = journal.c, {rule.document for rule in rules}
    held = select(school_moves.c.tenant_id, school_moves.c.holds_until).execution_options(**EVERY_TENANT)
    until = {row.tenant_id: row.holds_until for row in await connection.execute(held)}
    statement = (
        select(table.at, table.basis, table.object_id, organisations.c.name, organisations.c.place_code)
        .join(organisations, organisations.c.id == table.object_id)
        .where(
            table.tenant_id == office.tenant,
            table.action == Action.SCHOOLS_LEFT.value,
            table.at > now - TOLD,
            table.basis.in_(documents),
        )
        .order_by(table.seq.desc())
        .limit(MOST_RULES)
    )
    found: dict[tuple[str, str], Left] = {}
    for row in (await connection.execute(statement)).all():
        is_back = any(rule.document == row.basis for rule in await rules_at(connection, row.place_code or ""))
        if not is_back:
            found.setdefault((row.object_id, row.basis), Left(row.name, row.basis, row.at, until.get(row.object_id)))
    return list(found.values())


async def _hold(connection: AsyncConnection, act: Act, before: str, code: str) -> None:
    """Keep what is closed in the place that is left, or let go of it where the school goes back."""
    stays = {rule.id for rule in await rules_at(connection, code)}
    lost = [rule for rule in await rules_at(connection, before) if rule.id not in stays]
    held = await find_move(connection, act.tenant)
    place = before
    if held is not None:
        if all(rule.id in stays for rule in held.rules):  # it is back
            await connection.execute(delete(school_moves).where(school_moves.c.tenant_id == act.tenant))
        elif lost and not {rule.id for rule in lost} <= {rule.id for rule in held.rules}:
            raise Conflict("move_waits", "province")
        elif lost:  # left in two steps: the day of what is left now begins now
            place = held.place
            await connection.execute(delete(school_moves).where(school_moves.c.tenant_id == act.tenant))
        else:
            return
    if not lost:
        return
    values = {"tenant_id": act.tenant, "place_code": place, "moved_at": act.now, "holds_until": act.now + HOLD}
    await connection.execute(insert(school_moves).values(**values))
    offices = select(school_rules.c.id, school_rules.c.tenant_id).where(school_rules.c.id.in_([rule.id for rule in lost]))
    of = {row.id: row.tenant_id for row in await connection.execute(offices.execution_options(**EVERY_TENANT))}
    for rule in lost:
        there = Act(OrganisationId(of[rule.id]), act.by, act.now)
        await record(connection, there, Action.SCHOOLS_LEFT, act.tenant, basis=rule.document)
