"""Breaking the glass: the operator of a gateway looks into one family or school, by a document, for some hours.

An operator sees the machine and nobody's settings. Where a document asks for more (a fault nobody else can find, an order), one operator
may look at the settings of one place that is named by somebody who runs it (and chosen, where that person runs several): nothing can be
changed, and no history, no request, no journal and no private name of a phone is to be seen. It ends by itself after hours, with the
operator's role or sessions, or by one press of the people concerned or of the operator. It is a role with dates like any other
(`Role.EMERGENCY`), so the one function that decides about access decides here, too. The people concerned read it on their home page and in
their journal, and get a message where they want one; the auditor of the list office reads it on the first page; the operator's own journal
has it as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import Act, Action, record
from admin.errors import Conflict, FieldMistake, InvalidInput, NotFound
from admin.office import find_office
from admin.people import end_role
from admin.tenants import fold_sign_in, grant_role
from blocklists.tables import AccountId, OrganisationId, OrganisationKind, Role, accounts, organisations, role_assignments

#: For how many hours it may be.
HOURS = (1, 2, 4, 8)
SHOWN = timedelta(days=30)
"""How long an ended one is still told."""
_RUNNING = (Role.FIRST_PARENT.value, Role.SCHOOL_ADMIN.value)


@dataclass(frozen=True, slots=True)
class Glass:
    """One look into one place: whose, by whom, by which document, from when until when."""

    id: str
    tenant: OrganisationId
    kind: OrganisationKind
    account: AccountId
    name: str
    document: str
    since: datetime
    until: datetime

    def is_open(self, now: datetime) -> bool:
        """Whether it holds now."""
        return self.since <= now < self.until


@dataclass(frozen=True, slots=True)
class Place:
    """One place that somebody runs, since when."""

    id: OrganisationId
    kind: OrganisationKind
    name: str
    since: datetime


async def list_places(connection: AsyncConnection, sign_in: str, now: datetime) -> Sequence[Place]:
    """The families and schools that the person of this sign-in name runs, the oldest role first."""
    statement = (
        select(organisations.c.id, organisations.c.kind, organisations.c.name, role_assignments.c.valid_from)
        .join(role_assignments, role_assignments.c.organisation_id == organisations.c.id)
        .join(accounts, accounts.c.id == role_assignments.c.account_id)
        .where(
            accounts.c.sign_in == fold_sign_in(sign_in)[:200],
            role_assignments.c.role.in_(_RUNNING),
            role_assignments.c.valid_from <= now,
            role_assignments.c.valid_until.is_(None) | (role_assignments.c.valid_until > now),
            organisations.c.valid_until.is_(None) | (organisations.c.valid_until > now),
        )
        .order_by(role_assignments.c.valid_from, role_assignments.c.id)
    )
    found: dict[str, Place] = {}
    for row in await connection.execute(statement):
        found.setdefault(row.id, Place(OrganisationId(row.id), OrganisationKind(row.kind), row.name, row.valid_from))
    return list(found.values())


async def break_glass(connection: AsyncConnection, act: Act, sign_in: str, document: str, hours: int, place: str = "") -> Place:
    """Let the operator of the act look into the place of somebody who runs it; which place. `place`: its id, where that person runs
    several. Raises InvalidInput for a name that nobody running a family or school here has, or (field `place`) where it must be chosen, and
    Conflict while the operator looks into that place already."""
    assert hours in HOURS and act.by.account_id is not None
    places = await list_places(connection, sign_in, act.now)
    if not places:
        raise InvalidInput(FieldMistake("sign_in", "unknown"))
    chosen = next((one for one in places if one.id == place), None)
    if chosen is None and (place or len(places) > 1):
        raise InvalidInput(FieldMistake("place", "required"))
    chosen = chosen or places[0]
    tenant = chosen.id
    running = await list_glasses(connection, act.now, tenant)
    if any(one.account == act.by.account_id and one.is_open(act.now) for one in running):
        raise Conflict("glass_broken", "sign_in")
    until = act.now + timedelta(hours=hours)
    await grant_role(connection, Act(tenant, act.by, act.now), act.by.account_id, Role.EMERGENCY, until=until, basis=document)
    office = await find_office(connection, act.now)
    for told in dict.fromkeys((tenant, act.tenant, office)):
        if told is not None:
            here = Act(told, act.by, act.now)
            await record(connection, here, Action.GLASS_BROKEN, tenant, after={"until": until.isoformat()}, basis=document)
    return chosen


async def list_glasses(connection: AsyncConnection, now: datetime, tenant: OrganisationId | None = None) -> Sequence[Glass]:
    """Those of the last thirty days, the newest first: of one place, or of all."""
    table = role_assignments
    statement = (
        select(table, accounts.c.name, organisations.c.kind)
        .join(accounts, accounts.c.id == table.c.account_id)
        .join(organisations, organisations.c.id == table.c.organisation_id)
        .where(table.c.role == Role.EMERGENCY.value, table.c.valid_from > now - SHOWN)
        .order_by(table.c.valid_from.desc(), table.c.id)
    )
    if tenant is not None:
        statement = statement.where(table.c.organisation_id == tenant)
    return [
        Glass(
            row.id, OrganisationId(row.organisation_id), OrganisationKind(row.kind), AccountId(row.account_id), row.name, row.basis,
            row.valid_from, row.valid_until,
        )
        for row in await connection.execute(statement)
    ]  # fmt: skip


async def end_glass(connection: AsyncConnection, act: Act, glass: str, *, of: AccountId | None = None) -> None:
    """End one now: by the people of the place (the act's tenant), or by the operator `of` whom it is. Raises NotFound."""
    listed = await list_glasses(connection, act.now, None if of is not None else act.tenant)
    found = next((one for one in listed if one.id == glass and one.is_open(act.now) and of in (None, one.account)), None)
    if found is None:
        raise NotFound
    await end_role(connection, Act(found.tenant, act.by, act.now), glass)
