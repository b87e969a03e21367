"""People and organisations for tests of the control plane: made through the product's own functions, on a real database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, update

from admin.audit import MACHINE, Act
from admin.familytables import category_totals
from admin.passwords import Passwords
from admin.tenants import create_account, create_organisation, grant_role
from blocklists.database import Database
from blocklists.tables import AccountId, OrganisationId, OrganisationKind, Role, organisations

PASSWORD = "mùa thu lá bay"
_hashes: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Person:
    """An account with one role on one organisation; the password is PASSWORD."""

    account: AccountId
    tenant: OrganisationId
    sign_in: str


async def make_person(
    database: Database,
    now: datetime,
    sign_in: str = "me",
    kind: OrganisationKind = OrganisationKind.FAMILY,
    role: Role = Role.FIRST_PARENT,
) -> Person:
    """A new organisation with one person in it."""
    if PASSWORD not in _hashes:  # argon2 is slow on purpose; one hash serves all tests
        _hashes[PASSWORD] = await Passwords().hash(PASSWORD)
    async with database.write() as connection:
        tenant = await create_organisation(connection, kind, f"Nhà {sign_in}", "vi", now)
        account = await create_account(connection, sign_in, f"Người {sign_in}", _hashes[PASSWORD], "vi", now)
        await grant_role(connection, Act(tenant, MACHINE, now), account, role)
    return Person(account, tenant, sign_in)


async def make_school(database: Database, now: datetime, name: str, place: str | None, **blocked: int) -> Person:
    """A school somewhere, with its administrator, and what was blocked there on 12 October 2026."""
    made = await make_person(database, now, f"truong-{name.split()[-1]}", OrganisationKind.SCHOOL, Role.SCHOOL_ADMIN)
    async with database.write() as connection:
        await connection.execute(update(organisations).where(organisations.c.id == made.tenant).values(name=name, place_code=place))
        for category, count in blocked.items():
            row = {"tenant_id": made.tenant, "site_id": name, "day": "2026-10-12", "category": category, "blocked": count}
            await connection.execute(insert(category_totals).values(**row))
    return made
