"""Families on somebody else's gateway: a school, a commune or a provider runs it and prints a sheet; a family with one phone joins by it.

The family is a tenant of its own. The host learns how many joined, and whether a sign-in name that somebody says is one of them; no
permission of the host reaches any table of the family. A hosted family has no network: its phones are known by the token of their own
sheet, wherever they are, so that it can claim no address at the host's place.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import Act, Action, record
from admin.catalogue import Shelf
from admin.errors import Conflict, NotFound
from admin.familytables import hosted_families, join_codes
from admin.recovery import begin_pin
from admin.setup import Made, Owner, Plan, Words, make_tenant
from admin.sharing import set_pin
from admin.tenants import fold_sign_in
from blocklists.tables import EVERY_TENANT, ID_SIGNS, OrganisationId, OrganisationKind, accounts, new_id, role_assignments

#: Two groups of five signs: 49 bits. A code makes an empty family and shows nothing, and guesses are counted.
GROUPS, GROUP = 2, 5
HOLDS = timedelta(days=120)
MOST_FAMILIES = 5000
#: How long after joining the first page, sent once more, is the same family's.
AGAIN = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class JoinCode:
    """A sheet that the host printed. `joined`: how many families came by it."""

    id: str
    host: OrganisationId
    code: str
    label: str
    most: int
    created_at: datetime
    ends_at: datetime
    joined: int


async def make_join_code(connection: AsyncConnection, act: Act, label: str, most: int) -> str:
    """A new sheet under the host's name; returns its id."""
    code = "-".join("".join(secrets.choice(ID_SIGNS) for _ in range(GROUP)) for _ in range(GROUPS))
    made = new_id()
    await connection.execute(
        insert(join_codes).values(
            id=made, tenant_id=act.tenant, code=code, label=label, most=most, created_by=act.by.account_id,
            created_at=act.now, ends_at=act.now + HOLDS,
        )
    )  # fmt: skip
    await record(connection, act, Action.JOIN_CODE_MADE, made, after={"label": label, "most": most})
    return made


async def withdraw_join_code(connection: AsyncConnection, act: Act, code: str) -> None:
    """Nobody joins by this sheet any more; families that did stay."""
    own = (join_codes.c.tenant_id == act.tenant, join_codes.c.id == code, join_codes.c.withdrawn_at.is_(None))
    result = await connection.execute(update(join_codes).where(*own).values(withdrawn_at=act.now))
    if not result.rowcount:
        raise NotFound
    await record(connection, act, Action.JOIN_CODE_WITHDRAWN, code)


async def list_join_codes(connection: AsyncConnection, host: OrganisationId, now: datetime) -> list[JoinCode]:
    """The sheets that work now, newest first."""
    statement = (
        select(join_codes)
        .where(join_codes.c.tenant_id == host, join_codes.c.withdrawn_at.is_(None), join_codes.c.ends_at > now)
        .order_by(join_codes.c.created_at.desc(), join_codes.c.id)
    )
    rows = (await connection.execute(statement)).all()
    counts = await _count_joined(connection, [row.id for row in rows])
    return [_of(row, counts) for row in rows]


async def load_join_code(connection: AsyncConnection, host: OrganisationId, code: str, now: datetime) -> JoinCode:
    """One sheet of the host, for printing. Raises NotFound."""
    for found in await list_join_codes(connection, host, now):
        if found.id == code:
            return found
    raise NotFound


async def find_join_code(connection: AsyncConnection, code: str, now: datetime) -> JoinCode:
    """The sheet somebody holds. Raises NotFound when it is unknown, withdrawn or too old, Conflict when it is full."""
    statement = select(join_codes).where(join_codes.c.code == code, join_codes.c.withdrawn_at.is_(None), join_codes.c.ends_at > now)
    row = (await connection.execute(statement.execution_options(**EVERY_TENANT))).first()  # the code says whose it is
    if row is None:
        raise NotFound
    found = _of(row, await _count_joined(connection, [row.id]))
    if found.joined >= found.most:
        raise Conflict("sheet_full")
    return found


async def count_families(connection: AsyncConnection, host: OrganisationId) -> int:
    """How many families live here: all that the host is told."""
    statement = select(func.count()).select_from(hosted_families).where(hosted_families.c.host_id == host)
    return int((await connection.execute(statement.execution_options(**EVERY_TENANT))).scalar_one())


async def join(connection: AsyncConnection, code: JoinCode, owner: Owner, words: Words, shelf: Shelf, now: datetime) -> Made:
    """A family of its own with nobody in it yet, its parent signing in with a PIN. Raises Conflict and InvalidInput for the name."""
    plan = Plan(OrganisationKind.FAMILY, owner, (), (), (), False, words)
    made = await make_tenant(connection, plan, shelf, now)
    await connection.execute(insert(hosted_families).values(tenant_id=made.tenant, host_id=code.host, code_id=code.id, joined_at=now))
    await begin_pin(connection, made.account)
    act = Act(made.tenant, made.by, now)
    await set_pin(connection, act, owner.password_hash)
    await record(connection, act, Action.FAMILY_JOINED, made.tenant)
    return made


async def has_families(connection: AsyncConnection) -> bool:
    """Whether any family joined this gateway by a sheet: such a family goes back to its host, who has no command line to offer."""
    statement = select(hosted_families.c.tenant_id).limit(1).execution_options(**EVERY_TENANT)  # of nobody in particular
    return (await connection.execute(statement)).first() is not None


async def joined_lately(connection: AsyncConnection, code: JoinCode, sign_in: str, now: datetime) -> bool:
    """Whether a family with this sign-in name came by this very sheet within the last hour: its first page may be sent a second time."""
    statement = (
        select(hosted_families.c.tenant_id)
        .join(role_assignments, role_assignments.c.organisation_id == hosted_families.c.tenant_id)
        .join(accounts, accounts.c.id == role_assignments.c.account_id)
        .where(accounts.c.sign_in == fold_sign_in(sign_in), hosted_families.c.code_id == code.id, hosted_families.c.joined_at > now - AGAIN)
        .execution_options(**EVERY_TENANT)  # nobody is told more than that the name is taken
    )
    return (await connection.execute(statement)).first() is not None


async def _count_joined(connection: AsyncConnection, codes: Sequence[str]) -> dict[str, int]:
    statement = (
        select(hosted_families.c.code_id, func.count().label("joined"))
        .where(hosted_families.c.code_id.in_(codes))
        .group_by(hosted_families.c.code_id)
    )
    return {row.code_id: row.joined for row in await connection.execute(statement.execution_options(**EVERY_TENANT))}


def _of(row: object, counts: dict[str, int]) -> JoinCode:
    found = row._mapping  # type: ignore[attr-defined]  # a row of SQLAlchemy
    return JoinCode(
        found["id"], OrganisationId(found["tenant_id"]), found["code"], found["label"], found["most"], found["created_at"],
        found["ends_at"], counts.get(found["id"], 0),
    )  # fmt: skip
