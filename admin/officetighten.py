"""What the education department of a province closes in its schools: by a document, and never the other way.

A rule closes one group that schools may otherwise decide about, for the classes and unknown devices of every school of the place; staff are
left alone. It stands at the level of the province (`gateway.policy`), so that a school, a teacher's window and a bonus may only add to it;
a school sees it locked, with the document's number. Lifting takes away what the department itself had closed, and opens nothing that a
school or the age keeps closed. Every school of the place has both in its own journal. Which schools those are is decided by the body that
the role speaks for (`admin.officeschools`). A school says itself where it is; one that leaves the place of a rule is held to it for a day
(`admin.schoolmoves`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import Act, Action, record
from admin.catalogue import Shelf
from admin.errors import Conflict, FieldMistake, InvalidInput, NotFound
from admin.officeschools import body_of, schools_at
from admin.officetables import school_moves, school_rules
from admin.profiles import Profile
from admin.sessions import Tenant
from admin.tenants import mark_changed, read_place
from admin.values import ProfileKind
from blocklists.tables import EVERY_TENANT, OrganisationId, OrganisationKind, new_id
from blocklists.takedown.documents import SymbolError, parse_symbol
from blocklists.takedown.model import Office

#: Whom a rule is about: pupils, and devices that nobody has named.
FOR = (ProfileKind.CLASS, ProfileKind.GUEST)
MOST_RULES = 40


@dataclass(frozen=True, slots=True)
class SchoolRule:
    """One group that is closed in the schools of a place: by which document of which body, since when."""

    id: str
    category: str
    document: str
    body: str
    since: datetime


async def tighten_schools(
    connection: AsyncConnection, act: Act, office: Office, agency: str | None, category: str, document: str, shelf: Shelf
) -> tuple[str, Sequence[OrganisationId]]:
    """Close a group in every school of the body's place; the rule's id, and the schools. Raises NotFound for somebody who speaks for no
    place, InvalidInput for a group that is no matter of schools or a document without a number, Conflict for a group that is closed
    already."""
    body = await body_of(connection, office, agency)
    mistakes = [FieldMistake("category", "unknown")] if category not in shelf.leisure else []
    try:
        parse_symbol(document)
    except SymbolError:
        mistakes.append(FieldMistake("document", "symbol"))
    if mistakes:
        raise InvalidInput(*mistakes)
    there = await list_rules(connection, office, agency)
    if any(one.category == category for one in there):
        raise Conflict("closed_already", "category")
    if len(there) >= MOST_RULES:
        raise Conflict("too_many", "category")
    rule = new_id()
    await connection.execute(
        insert(school_rules).values(
            id=rule, tenant_id=act.tenant, place_code=body.place, agency_id=body.id, body=body.name, category=category, document=document,
            created_at=act.now,
        )
    )  # fmt: skip
    await record(connection, act, Action.SCHOOLS_TIGHTENED, rule, after={"category": category, "place": body.place}, basis=document)
    return rule, await _tell(connection, act, body.place, Action.SCHOOLS_TIGHTENED, rule, category, document)


async def release_schools(
    connection: AsyncConnection, act: Act, office: Office, agency: str | None, rule: str, document: str
) -> Sequence[OrganisationId]:
    """Lift one rule of the same place; the schools. Raises NotFound, InvalidInput for a document without a number."""
    body = await body_of(connection, office, agency)
    try:
        parse_symbol(document)
    except SymbolError as error:
        raise InvalidInput(FieldMistake("document", "symbol")) from error
    table = school_rules
    own = (table.c.id == rule, table.c.tenant_id == act.tenant, table.c.place_code == body.place, table.c.lifted_at.is_(None))
    category = (await connection.execute(select(table.c.category).where(*own))).scalar_one_or_none()
    if category is None:
        raise NotFound
    await connection.execute(update(table).where(*own).values(lifted_at=act.now, lifted_by=document))
    await record(connection, act, Action.SCHOOLS_RELEASED, rule, before={"category": category}, basis=document)
    return await _tell(connection, act, body.place, Action.SCHOOLS_RELEASED, rule, category, document)


async def list_rules(connection: AsyncConnection, office: Office, agency: str | None) -> Sequence[SchoolRule]:
    """What the body of a role has closed in its place, the oldest first. Raises NotFound."""
    body = await body_of(connection, office, agency)
    return await _rules(connection, (school_rules.c.place_code == body.place, school_rules.c.tenant_id == office.tenant))


async def rules_at(connection: AsyncConnection, place: str) -> Sequence[SchoolRule]:
    """What is closed in the schools of a place: for its province, and for itself."""
    if not place:
        return ()
    return await _rules(connection, (school_rules.c.place_code.in_({place, place.partition(".")[0]}),))


async def rules_for(connection: AsyncConnection, tenant: Tenant) -> Sequence[SchoolRule]:
    """What is closed above a tenant: nothing but for schools."""
    if tenant.kind is not OrganisationKind.SCHOOL:
        return ()
    return await rules_in(connection, tenant.id, await read_place(connection, tenant.id) or "")


async def rules_in(connection: AsyncConnection, school: OrganisationId, place: str) -> Sequence[SchoolRule]:
    """What is closed in a school: where it is, and where it was as long as that holds on, the oldest first."""
    was = select(school_moves.c.place_code).where(school_moves.c.tenant_id == school)
    left = (await connection.execute(was)).scalar_one_or_none()
    found = {rule.id: rule for where in (place, left or "") for rule in await rules_at(connection, where)}
    return sorted(found.values(), key=lambda rule: (rule.since, rule.id))


def with_rules(shelf: Shelf, rules: Sequence[SchoolRule], profile: Profile) -> Shelf:
    """The shelf as this profile of a school meets it: what is closed above is locked."""
    return replace(shelf, above={one.category: one.document for one in rules}) if rules and profile.kind in FOR else shelf


async def _rules(connection: AsyncConnection, where: tuple[object, ...]) -> Sequence[SchoolRule]:
    table = school_rules
    statement = select(table).where(*where, table.c.lifted_at.is_(None)).order_by(table.c.created_at, table.c.id)  # type: ignore[arg-type]
    rows = await connection.execute(statement.execution_options(**EVERY_TENANT))  # the office's rows are read for its schools
    return [SchoolRule(row.id, row.category, row.document, row.body, row.created_at) for row in rows]


async def _tell(
    connection: AsyncConnection, act: Act, place: str, action: Action, rule: str, category: str, document: str
) -> Sequence[OrganisationId]:
    """The journal of every school of the place, of those that are about to leave it, too, and its new policy."""
    table = school_moves.c
    leaving = select(table.tenant_id).where(or_(table.place_code == place, table.place_code.startswith(f"{place}.")))
    held = (await connection.execute(leaving.execution_options(**EVERY_TENANT))).scalars()
    schools = sorted({*(one.id for one in await schools_at(connection, place, act.now)), *held})
    for school in schools:
        here = Act(OrganisationId(school), act.by, act.now)
        await record(connection, here, action, rule, after={"category": category}, basis=document)
        await mark_changed(connection, here)
    return schools
