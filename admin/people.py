"""Who acts for a family or school: the people with a role, places that wait for theirs, and how a role ends.

A family has its first parent and further ones; a school its administrators and teachers. Whoever runs it invites by a one-time link
(`admin.invitations`), for as long as is said, and can end a role at any moment: sessions and keys for programs then open nothing here from
the next request on. Somebody who runs it always remains. Officers of a list office are another matter: two agree to each (`admin.office`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import Act, Action, record
from admin.errors import Conflict, NotFound
from admin.officetables import invitations
from admin.permissions import ROLES, Permission
from admin.sessions import end_other_sessions, hash_secret, read_assignments
from admin.values import SessionId
from blocklists.tables import AccountId, OrganisationId, OrganisationKind, Role, accounts, role_assignments

#: The roles that may be given, by what the organisation is.
GIVEN: Mapping[OrganisationKind, tuple[Role, ...]] = {
    OrganisationKind.FAMILY: (Role.PARENT,),
    OrganisationKind.SCHOOL: (Role.TEACHER, Role.SCHOOL_ADMIN),
}


@dataclass(frozen=True, slots=True)
class Member:
    """One person in one role."""

    assignment: str
    account: AccountId
    name: str
    role: Role
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A place whose link nobody has used yet."""

    id: str
    role: Role
    ends_at: datetime


async def list_members(connection: AsyncConnection, tenant: OrganisationId, now: datetime) -> list[Member]:
    """The people with a role today, the longest-standing first."""
    table = role_assignments
    rows = await connection.execute(
        select(table.c.id, table.c.account_id, table.c.role, table.c.valid_from, table.c.valid_until, accounts.c.name)
        .join(accounts, accounts.c.id == table.c.account_id)
        .where(table.c.organisation_id == tenant, table.c.valid_from <= now, table.c.valid_until.is_(None) | (table.c.valid_until > now))
        .order_by(table.c.valid_from, table.c.id)
    )
    return [Member(row.id, AccountId(row.account_id), row.name, Role(row.role), row.valid_from, row.valid_until) for row in rows]


async def list_waiting(connection: AsyncConnection, tenant: OrganisationId, now: datetime) -> list[Waiting]:
    """The links that still work, the newest last."""
    table = invitations
    rows = await connection.execute(
        select(table.c.id, table.c.role, table.c.ends_at)
        .where(table.c.tenant_id == tenant, table.c.accepted_at.is_(None), table.c.withdrawn_at.is_(None), table.c.ends_at > now)
        .order_by(table.c.created_at, table.c.id)
    )
    return [Waiting(row.id, Role(row.role), row.ends_at) for row in rows]


async def load_member(connection: AsyncConnection, tenant: OrganisationId, assignment: str, now: datetime) -> Member:
    """One person in one role. Raises NotFound."""
    for one in await list_members(connection, tenant, now):
        if one.assignment == assignment:
            return one
    raise NotFound


async def load_waiting(connection: AsyncConnection, tenant: OrganisationId, invitation: str, now: datetime) -> Waiting:
    """One place whose link still works. Raises NotFound."""
    for one in await list_waiting(connection, tenant, now):
        if one.id == invitation:
            return one
    raise NotFound


async def find_place(connection: AsyncConnection, tenant: OrganisationId, secret: str) -> str:
    """The id of the place that a link is for."""
    mine = (invitations.c.tenant_id == tenant, invitations.c.secret_hash == hash_secret(secret))
    return str((await connection.execute(select(invitations.c.id).where(*mine))).scalar_one())


async def end_role(connection: AsyncConnection, act: Act, assignment: str, *, basis: str | None = None) -> None:
    """End one role now, and withdraw what that person offered others. Raises NotFound for one that is not there, Conflict for the last
    person who runs this organisation."""
    members = await list_members(connection, act.tenant, act.now)
    member = next((one for one in members if one.assignment == assignment), None)
    if member is None:
        raise NotFound
    if runs(member.role) and not any(runs(one.role) and one.assignment != assignment and one.until is None for one in members):
        raise Conflict("last_person")
    table = role_assignments
    await connection.execute(
        update(table).where(table.c.id == assignment, table.c.organisation_id == act.tenant).values(valid_until=act.now)
    )
    if not any(runs(one.role) and one.assignment != assignment and one.account == member.account for one in members):
        await connection.execute(
            update(invitations)
            .where(
                invitations.c.tenant_id == act.tenant,
                invitations.c.created_by == member.account,
                invitations.c.accepted_at.is_(None),
                invitations.c.withdrawn_at.is_(None),
            )
            .values(withdrawn_at=act.now)
        )
    after = {"account": member.account, "role": member.role.value}
    await record(connection, act, Action.ROLE_ENDED, assignment, after=after, basis=basis)
    if Permission.GLASS_BREAK in ROLES[member.role]:
        roles, _ = await read_assignments(connection, member.account, act.now)
        if not any(Permission.GLASS_BREAK in ROLES[one.role] for one in roles):
            await end_emergencies(connection, act, member.account)


async def end_emergencies(connection: AsyncConnection, act: Act, account: AccountId) -> int:
    """End every look by a document (`admin.emergency`) of one account, each told in the journal of its place; how many there were."""
    table = role_assignments
    mine = (table.c.account_id == account, table.c.role == Role.EMERGENCY.value, table.c.valid_until > act.now)
    rows = (await connection.execute(select(table.c.id, table.c.organisation_id).where(*mine).order_by(table.c.id))).all()
    await connection.execute(update(table).where(*mine).values(valid_until=act.now))
    for row in rows:
        here = Act(OrganisationId(row.organisation_id), act.by, act.now)
        await record(connection, here, Action.ROLE_ENDED, row.id, after={"account": account, "role": Role.EMERGENCY.value})
    return len(rows)


async def sign_out_elsewhere(connection: AsyncConnection, act: Act, account: AccountId, keep: SessionId) -> None:
    """End every session of an account but one, and what was opened from any of them by a document."""
    await end_other_sessions(connection, account, keep)
    await end_emergencies(connection, act, account)


async def withdraw_invitation(connection: AsyncConnection, act: Act, invitation: str) -> None:
    """The link is worth nothing from now on. Raises NotFound."""
    table = invitations
    done = await connection.execute(
        update(table)
        .where(table.c.id == invitation, table.c.tenant_id == act.tenant, table.c.accepted_at.is_(None), table.c.withdrawn_at.is_(None))
        .values(withdrawn_at=act.now)
    )
    if done.rowcount != 1:
        raise NotFound
    await record(connection, act, Action.INVITATION_WITHDRAWN, invitation)


def runs(role: Role) -> bool:
    """Whether a role decides who else has one."""
    return Permission.PEOPLE_MANAGE in ROLES[role]
