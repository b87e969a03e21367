"""Who and what a page of the journal is about, in the words of today. The journal itself holds random ids, never a label or a name; what
was erased stays an id. Used by the page of the journal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.tables import devices, profiles
from blocklists.tables import OrganisationId, accounts, role_assignments


@dataclass(frozen=True, slots=True)
class Names:
    """By id: the people who have, or had, a role at this place, and its children, classes and devices."""

    people: Mapping[str, str]
    things: Mapping[str, str]


async def read_names(connection: AsyncConnection, tenant: OrganisationId, rows: Sequence[Any]) -> Names:  # Any: rows of the journal
    """The names that these rows need, in three statements."""
    actors = {row.actor_id for row in rows if row.actor_id}
    objects = {row.object_id for row in rows}
    here = select(role_assignments.c.account_id).where(role_assignments.c.organisation_id == tenant)
    known = select(accounts.c.id, accounts.c.name).where(accounts.c.id.in_(actors | objects), accounts.c.id.in_(here))
    people = {row.id: row.name for row in await connection.execute(known)}
    things: dict[str, str] = {}
    for table in (profiles, devices):
        own = select(table.c.id, table.c.label).where(table.c.tenant_id == tenant, table.c.id.in_(objects))
        things |= {row.id: row.label for row in await connection.execute(own)}
    return Names(people, things)
