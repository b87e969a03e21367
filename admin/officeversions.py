"""One published version as its page and the API show it: what came, what left, what a return to it would take out; counted, and the first
of each, so that a long list costs no more than a short one. Used by `admin.routes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from blocklists.takedown import returns, tables
from blocklists.takedown.publishing import newest_serial
from blocklists.takedown.store import Office

MOST_SHOWN: Final = 1000


@dataclass(frozen=True, slots=True)
class Part:
    """How many entries there are, and the first `MOST_SHOWN` by name."""

    count: int
    rows: Sequence[RowMapping]


@dataclass(frozen=True, slots=True)
class Version:
    """A version's row, what it brought, what left with it, and what came later; nothing did of the newest."""

    row: RowMapping
    came: Part
    left: Part
    drops: Part


async def read_version(connection: AsyncConnection, office: Office, serial: int) -> Version | None:
    """A version of this office; None where there is none of that number."""
    versions, entries = tables.versions, tables.entries
    own = (versions.c.tenant_id == office.tenant, versions.c.serial == serial)
    row = (await connection.execute(select(versions).where(*own))).mappings().one_or_none()
    if row is None:
        return None
    came = await _part(connection, (entries.c.tenant_id == office.tenant, entries.c.serial_in == serial))
    left = await _part(connection, (entries.c.tenant_id == office.tenant, entries.c.serial_out == serial))
    is_newest = serial >= await newest_serial(connection, office.tenant)
    drops = Part(0, ()) if is_newest else await _part(connection, returns.dropping(office, serial))
    return Version(row, came, left, drops)


async def _part(connection: AsyncConnection, which: Sequence[ColumnElement[bool]]) -> Part:
    entries = tables.entries
    statement = select(entries).where(*which).order_by(entries.c.host, entries.c.id).limit(MOST_SHOWN)
    rows = (await connection.execute(statement)).mappings().all()
    if len(rows) < MOST_SHOWN:
        return Part(len(rows), rows)
    return Part((await connection.execute(select(func.count()).select_from(entries).where(*which))).scalar_one(), rows)
