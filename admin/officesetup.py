"""The first run of a list office: the organisation and its first two officers, appointed by a document number.

Each officer gets a link of their own and chooses their own password; whoever sets up the machine can verify or approve nothing. The
set-up link stays open until both have come, so that a lost link can be replaced.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import MACHINE, Act
from admin.errors import Conflict
from admin.invitations import invite, open_places, renew
from admin.office import find_office
from admin.tenants import create_organisation, is_empty
from blocklists.tables import OrganisationId, OrganisationKind, Role

FIRST_OFFICERS = (Role.VERIFIER, Role.APPROVER)


@dataclass(frozen=True, slots=True)
class Link:
    """The secret of one officer's link."""

    role: Role
    secret: str


async def create_office(connection: AsyncConnection, name: str, basis: str, locale: str, now: datetime) -> list[Link]:
    """Make the office and the two links. Raises Conflict when this installation is set up already."""
    if not await is_empty(connection) or await find_office(connection, now) is not None:
        raise Conflict("set_up_already")
    tenant = await create_organisation(connection, OrganisationKind.OFFICE, name, locale, now)
    act = Act(tenant, MACHINE, now)
    return [Link(role, await invite(connection, act, role, basis)) for role in FIRST_OFFICERS]


async def renew_links(connection: AsyncConnection, tenant: OrganisationId, now: datetime) -> list[Link]:
    """New links for the officers who have not come yet."""
    return [Link(role, secret) for role, secret in await renew(connection, tenant, MACHINE, now)]


async def is_staffed(connection: AsyncConnection, now: datetime) -> bool:
    """Whether every appointed officer has come: the set-up link can be closed."""
    tenant = await find_office(connection, now)
    return tenant is not None and not await open_places(connection, tenant)
