"""The list office of this installation: which organisation it is, and who acts in it as what.

There is at most one: versions are numbered by one counter. Everything the office does goes through `blocklists.takedown`; here the visit of
a person becomes an office and an actor.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import By, read_key
from admin.errors import AdminError, NotFound
from blocklists.tables import OrganisationId, OrganisationKind, organisations
from blocklists.takedown.model import MASKED as MASKED
from blocklists.takedown.model import Actor, Capacity
from blocklists.takedown.store import Office


class NoOffice(AdminError):
    """This installation has no list office."""

    status = 404
    code = "not_found"


async def find_office(connection: AsyncConnection, now: datetime) -> OrganisationId | None:
    """The list office of this installation; None where there is none."""
    found = await connection.execute(
        select(organisations.c.id)
        .where(
            organisations.c.kind == OrganisationKind.OFFICE.value,
            organisations.c.valid_until.is_(None) | (organisations.c.valid_until > now),
        )
        .order_by(organisations.c.valid_from)
        .limit(1)
    )
    value = found.scalar_one_or_none()
    return None if value is None else OrganisationId(value)


async def open_office(connection: AsyncConnection, tenant: OrganisationId) -> Office:
    """The office with the key of its digests. Raises NotFound for an organisation that is none."""
    found = await connection.execute(
        select(organisations.c.id).where(organisations.c.id == tenant, organisations.c.kind == OrganisationKind.OFFICE.value)
    )
    if found.scalar_one_or_none() is None:
        raise NotFound
    return Office(tenant, keyed(await read_key(connection, tenant)))


async def public_office(connection: AsyncConnection, now: datetime) -> Office:
    """The office as people without an account meet it. Raises NoOffice."""
    tenant = await find_office(connection, now)
    if tenant is None:
        raise NoOffice
    return await open_office(connection, tenant)


def keyed(key: bytes | None) -> Callable[[str], str]:
    """The digest of the office's journal and of addresses on platforms; empty once the key was destroyed."""
    return lambda content: "" if key is None else hmac.new(key, content.encode(), sha256).hexdigest()


def actor_of(by: By, organisation: str) -> Actor:
    """The person behind a permission, in the capacity of the role that gave it."""
    return Actor(by.account_id or "", Capacity(by.role), organisation)


def masked(host: str, category: str, object_id: str) -> str:
    """A name as pages and answers show it: as it is, or an id that says nothing."""
    return f"#{object_id[:8]}" if category == MASKED else host
