"""Organisations, the people who act for them, and their roles, all with dates.

A tenant is an organisation with its own policy: a family, a school, an operator; nothing here knows a ministry or a district. Ending
a role is a date, not a deletion, so that a question about last year still has an answer.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import MACHINE, Act, Action, create_key, record
from admin.errors import Conflict, FieldMistake, InvalidInput
from admin.familytables import hosted_families
from admin.tables import policies
from blocklists.tables import (
    EVERY_TENANT,
    AccountId,
    OrganisationId,
    OrganisationKind,
    Role,
    accounts,
    new_id,
    organisations,
    role_assignments,
)

#: Characters of the name of a family or school, as pages and papers can hold it.
NAME_LENGTH = 80
SIGN_IN = re.compile(r"[^\s\x00-\x1f\x7f]{2,64}")


async def is_empty(connection: AsyncConnection) -> bool:
    """Whether nobody has an account yet: the one-time set-up is open."""
    return (await connection.execute(select(func.count()).select_from(accounts))).scalar_one() == 0


async def create_organisation(
    connection: AsyncConnection, kind: OrganisationKind, name: str, locale: str, now: datetime, *, demo: bool = False
) -> OrganisationId:
    """A new tenant with its digest key and an empty policy that is still to be applied."""
    tenant = OrganisationId(new_id())
    await connection.execute(
        insert(organisations).values(id=tenant, kind=kind.value, name=name, locale=locale, valid_from=now, demo=int(demo))
    )
    await create_key(connection, tenant)
    await connection.execute(insert(policies).values(tenant_id=tenant, revision=1, changed_at=now))
    await record(connection, Act(tenant, MACHINE, now), Action.TENANT_CREATED, tenant, after={"kind": kind.value, "name": name})
    return tenant


async def create_account(connection: AsyncConnection, sign_in: str, name: str, password_hash: str, locale: str, now: datetime) -> AccountId:
    """A person who may sign in. Raises Conflict when the sign-in name is taken, InvalidInput when it is none."""
    folded = fold_sign_in(sign_in)
    if not SIGN_IN.fullmatch(folded):
        raise InvalidInput(FieldMistake("sign_in", "sign_in_form"))
    account = AccountId(new_id())
    try:
        await connection.execute(
            insert(accounts).values(
                id=account, sign_in=folded, name=name, password_hash=password_hash, password_set_at=now, locale=locale, created_at=now
            )
        )
    except IntegrityError as error:
        raise Conflict("sign_in_taken", "sign_in") from error
    return account


async def grant_role(
    connection: AsyncConnection, act: Act, account: AccountId, role: Role, *, until: datetime | None = None, basis: str = "",
    agency: str | None = None,
) -> None:  # fmt: skip
    """Give an account a role on the act's organisation from now on; `agency` is the body that a liaison speaks for."""
    assignment = new_id()
    await connection.execute(
        insert(role_assignments).values(
            id=assignment,
            account_id=account,
            organisation_id=act.tenant,
            role=role.value,
            valid_from=act.now,
            valid_until=until,
            basis=basis,
            granted_by=act.by.account_id,
            created_at=act.now,
            agency_id=agency,
        )
    )
    after = {"account": account, "role": role.value, "until": until.isoformat() if until else None}
    await record(connection, act, Action.ROLE_GRANTED, assignment, after=after)


async def read_place(connection: AsyncConnection, tenant: OrganisationId) -> str | None:
    """Where a family or school says it is, as a code; None: nobody said."""
    statement = select(organisations.c.place_code).where(organisations.c.id == tenant)
    return (await connection.execute(statement)).scalar_one_or_none() or None


async def set_place(connection: AsyncConnection, act: Act, code: str) -> None:
    """Say where a family or school is (a code of `blocklists.places`; empty: not told). It may end an order that is for another place, and
    what is closed in the schools of one."""
    where = organisations.c.id == act.tenant
    before = (await connection.execute(select(organisations.c.place_code).where(where))).scalar_one_or_none()
    await connection.execute(update(organisations).where(where).values(place_code=code or None))
    await record(connection, act, Action.PLACE_SET, act.tenant, before={"place": before}, after={"place": code})
    await mark_changed(connection, act)


async def read_name(connection: AsyncConnection, tenant: OrganisationId) -> str:
    """What a family or school is called."""
    return str((await connection.execute(select(organisations.c.name).where(organisations.c.id == tenant))).scalar_one())


async def rename_tenant(connection: AsyncConnection, act: Act, name: str) -> None:
    """Another name for a family or school: what its pages, invitations and papers are headed with. Raises InvalidInput for one that is
    empty or longer than NAME_LENGTH."""
    name = " ".join(name.split())
    if not 0 < len(name) <= NAME_LENGTH:
        raise InvalidInput(FieldMistake("name", "too_long" if name else "required"))
    before = await read_name(connection, act.tenant)
    if before != name:
        await connection.execute(update(organisations).where(organisations.c.id == act.tenant).values(name=name))
        await record(connection, act, Action.TENANT_RENAMED, act.tenant, before={"name": before}, after={"name": name})


async def is_alone(connection: AsyncConnection) -> bool:
    """Whether one organisation has this machine for itself."""
    return (await connection.execute(select(func.count()).select_from(organisations))).scalar_one() <= 1


async def is_hosted(connection: AsyncConnection, tenant: OrganisationId) -> bool:
    """Whether this tenant is a family on somebody else's gateway (`admin.hosting`)."""
    statement = select(hosted_families.c.tenant_id).where(hosted_families.c.tenant_id == tenant)
    return (await connection.execute(statement)).first() is not None


@dataclass(frozen=True, slots=True)
class Listed:
    """A family or school that is there now."""

    id: OrganisationId
    kind: OrganisationKind
    name: str


async def list_tenants(connection: AsyncConnection, now: datetime) -> list[Listed]:
    """Every family and school, oldest first, for the commands of the machine's owner; a hosted family's settings are not the host's."""
    kinds = (OrganisationKind.FAMILY.value, OrganisationKind.SCHOOL.value)
    alive = organisations.c.valid_until.is_(None) | (organisations.c.valid_until > now)
    guests = select(hosted_families.c.tenant_id)
    statement = select(organisations).where(organisations.c.kind.in_(kinds), alive, organisations.c.id.not_in(guests))
    ordered = statement.order_by(organisations.c.valid_from, organisations.c.id)
    rows = await connection.execute(ordered.execution_options(**EVERY_TENANT))
    return [Listed(OrganisationId(row.id), OrganisationKind(row.kind), row.name) for row in rows]


async def mark_changed(connection: AsyncConnection, act: Act) -> None:
    """Raise the tenant's policy revision: called in the same transaction as every change that the gateway must enforce."""
    await connection.execute(
        update(policies).where(policies.c.tenant_id == act.tenant).values(revision=policies.c.revision + 1, changed_at=act.now)
    )


def fold_sign_in(text: str) -> str:
    """Sign-in names are the same whatever the case and however the letters were composed (NFKC, case-folded)."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).strip()
