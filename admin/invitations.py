"""Invitations: a one-time link by which an appointed person makes their own account. Nobody else ever knows the password.

The first officers of an office are invited at its set-up; every later one is proposed by an officer and agreed to by another. Families and
schools invite their own people (`admin.people`). The link
carries 256 random bits and ends after seven days; the database holds its hash. Whoever invites names the role and the document that
appoints the person. A new link for the same place withdraws the old one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import insert, select, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import Act, Action, By, by_account, record
from admin.errors import Conflict, NotFound
from admin.officetables import invitations
from admin.recovery import uses_pin
from admin.sessions import hash_secret, new_secret, read_assignments
from admin.tenants import create_account, grant_role
from blocklists.tables import AccountId, OrganisationId, Role, new_id, organisations

HOLDS = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Invitation:
    """A place that waits for its person."""

    id: str
    tenant: OrganisationId
    tenant_name: str
    role: Role
    basis: str
    ends_at: datetime
    agency: str | None = None
    role_until: datetime | None = None


#: Roles that one person gives alone; to an officer's two agree.
ALONE = (Role.PARENT, Role.TEACHER, Role.SCHOOL_ADMIN)


async def invite(connection: AsyncConnection, act: Act, role: Role, basis: str, *, until: datetime | None = None) -> str:
    """Open a place; returns the secret of its link, which is stored nowhere. The role ends by itself at `until`."""
    invitation, secret = new_id(), new_secret()
    await connection.execute(
        insert(invitations).values(
            id=invitation, tenant_id=act.tenant, secret_hash=hash_secret(secret), role=role.value, basis=basis,
            created_by=act.by.account_id, created_at=act.now, ends_at=act.now + HOLDS, role_until=until,
        )
    )  # fmt: skip
    await record(connection, act, Action.ROLE_OFFERED, invitation, after={"role": role.value}, basis=basis)
    return secret


async def propose(
    connection: AsyncConnection, act: Act, role: Role, basis: str, *, agency: str | None = None, until: datetime | None = None
) -> str:
    """An officer proposes a further one; there is no link until another officer agrees. Returns the place's id.

    A liaison speaks for a body (`agency`), and its role ends with the assignment (`until`).
    """
    invitation = new_id()
    await connection.execute(
        insert(invitations).values(
            id=invitation, tenant_id=act.tenant, secret_hash=hash_secret(new_secret()), role=role.value, basis=basis,
            created_by=act.by.account_id, created_at=act.now, ends_at=act.now + HOLDS, agency_id=agency, role_until=until,
        )
    )  # fmt: skip
    await record(connection, act, Action.ROLE_OFFERED, invitation, after={"role": role.value, "proposed": True}, basis=basis)
    return invitation


async def second(connection: AsyncConnection, act: Act, invitation: str) -> str:
    """Another officer agrees; returns the secret of the link. Raises NotFound for a place that is not open, Conflict for one's own."""
    table = invitations
    where = (table.c.id == invitation, table.c.tenant_id == act.tenant, table.c.accepted_at.is_(None), table.c.withdrawn_at.is_(None))
    row = (await connection.execute(select(table).where(*where, table.c.created_by.isnot(None)))).mappings().first()
    if row is None:
        raise NotFound
    if row["created_by"] == act.by.account_id:
        raise Conflict("same_person")
    secret = new_secret()
    values = {"seconded_by": act.by.account_id, "secret_hash": hash_secret(secret), "ends_at": act.now + HOLDS}
    await connection.execute(update(table).where(*where).values(**values))
    await record(connection, act, Action.ROLE_OFFERED, invitation, after={"role": row["role"], "seconded": True}, basis=row["basis"])
    return secret


async def find_invitation(connection: AsyncConnection, secret: str, now: datetime) -> Invitation:
    """The open place of a link. Raises NotFound for a link that is unknown, used, withdrawn or too old."""
    found = await connection.execute(
        select(invitations, organisations.c.name.label("tenant_name"))
        .join(organisations, organisations.c.id == invitations.c.tenant_id)
        .where(
            invitations.c.secret_hash == hash_secret(secret),
            invitations.c.accepted_at.is_(None),
            invitations.c.withdrawn_at.is_(None),
            invitations.c.ends_at > now,
            invitations.c.created_by.is_(None) | invitations.c.seconded_by.isnot(None) | invitations.c.role.in_(ALONE),
        )
        .execution_options(every_tenant=True)  # the secret itself says whose it is
    )
    row = found.mappings().first()
    if row is None:
        raise NotFound
    return _of(row)


async def accept(
    connection: AsyncConnection, secret: str, sign_in: str, name: str, password_hash: str, locale: str, now: datetime
) -> AccountId:
    """The person makes their account and has the role. Raises NotFound for a dead link, Conflict and InvalidInput for the sign-in name."""
    invitation = await find_invitation(connection, secret, now)
    account = await create_account(connection, sign_in, name, password_hash, locale, now)
    act = Act(invitation.tenant, by_account(account, invitation.role), now)
    await record(connection, act, Action.ACCOUNT_CREATED, account, basis=invitation.basis)
    await _take(connection, act, invitation, account)
    return account


async def accept_as(connection: AsyncConnection, secret: str, account: AccountId, now: datetime) -> OrganisationId:
    """Somebody who has an account takes the place with it (one person, one account). Raises NotFound for a dead link, Conflict when the
    account has this role already, or signs in with a PIN: six digits that a host may renew are enough for one hosted family only."""
    invitation = await find_invitation(connection, secret, now)
    if await uses_pin(connection, account):
        raise Conflict
    assignments, _ = await read_assignments(connection, account, now)
    if any(one.organisation_id == invitation.tenant and one.role is invitation.role for one in assignments):
        raise Conflict
    await _take(connection, Act(invitation.tenant, by_account(account, invitation.role), now), invitation, account)
    return invitation.tenant


async def _take(connection: AsyncConnection, act: Act, invitation: Invitation, account: AccountId) -> None:
    ends, agency = invitation.role_until, invitation.agency
    await grant_role(connection, act, account, invitation.role, until=ends, basis=invitation.basis, agency=agency)
    await connection.execute(
        update(invitations)
        .where(invitations.c.id == invitation.id, invitations.c.tenant_id == invitation.tenant)
        .values(accepted_at=act.now, account_id=account)
    )


async def open_places(connection: AsyncConnection, tenant: OrganisationId) -> list[RowMapping]:
    """Places that nobody has taken yet, whether or not their link still holds."""
    found = await connection.execute(
        select(invitations)
        .where(invitations.c.tenant_id == tenant, invitations.c.accepted_at.is_(None), invitations.c.withdrawn_at.is_(None))
        .order_by(invitations.c.created_at, invitations.c.id)
    )
    return list(found.mappings())


async def renew(connection: AsyncConnection, tenant: OrganisationId, by: By, now: datetime) -> list[tuple[Role, str]]:
    """A new link for every place of the set-up that is still open; the old ones are worth nothing from here on. A place that an officer
    proposed waits for another officer, whoever asks here."""
    fresh: list[tuple[Role, str]] = []
    for row in [place for place in await open_places(connection, tenant) if place["created_by"] is None]:
        await connection.execute(
            update(invitations).where(invitations.c.id == row["id"], invitations.c.tenant_id == tenant).values(withdrawn_at=now)
        )
        fresh.append((Role(row["role"]), await invite(connection, Act(tenant, by, now), Role(row["role"]), row["basis"])))
    return fresh


def _of(row: RowMapping) -> Invitation:
    return Invitation(
        row["id"], OrganisationId(row["tenant_id"]), row["tenant_name"], Role(row["role"]), row["basis"], row["ends_at"],
        row["agency_id"], row["role_until"],
    )  # fmt: skip
