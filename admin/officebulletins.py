"""Bulletins and advisories of the list office: a title, a few sentences, the document behind them, whom they are for, until when.

A bulletin tells; an advisory warns about a site. Neither blocks anything, nothing can be attached, and after their end nobody sees them.
Schools and families of the place read them on their home page. A place is written as `12` (a province) or `12.03385` (a commune in it);
what is for a province is for its communes too, what is for nobody in particular is for all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import insert, or_, select, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.errors import FieldMistake, InvalidInput, NotFound
from admin.office import find_office
from blocklists import journal
from blocklists.normalize import Host, normalize_host
from blocklists.tables import OrganisationId, new_id, organisations
from blocklists.takedown import cases, tables
from blocklists.takedown.documents import SymbolError, parse_symbol
from blocklists.takedown.model import Actor
from blocklists.takedown.store import Office

MOST_SHOWN = 5
LONGEST_TEXT = 2000
_PLACE = re.compile(r"\d{2}(\.\d{3,5})?")


@dataclass(frozen=True, slots=True)
class NewBulletin:
    """What an officer writes. `place` empty: everybody; `host` only for an advisory."""

    kind: Literal["bulletin", "advisory"]
    title: str
    text: str
    symbol: str
    ends_at: datetime
    place: str = ""
    host: str = ""


async def add_bulletin(connection: AsyncConnection, office: Office, actor: Actor, fresh: NewBulletin, now: datetime) -> str:
    """Publish one; its id. Raises InvalidInput with every mistake: also for a person's data and for an address with a path."""
    mistakes = []
    try:
        parse_symbol(fresh.symbol)
    except SymbolError:
        mistakes.append(FieldMistake("symbol", "symbol_form"))
    if fresh.ends_at <= now:
        mistakes.append(FieldMistake("ends_on", "end_passed"))
    if fresh.place and not _PLACE.fullmatch(fresh.place):
        mistakes.append(FieldMistake("place", "unknown"))
    for name, text in (("title", fresh.title), ("text", fresh.text)):
        if cases.personal_marks(text):
            mistakes.append(FieldMistake(name, "personal_data"))
    host = normalize_host(fresh.host) if fresh.kind == "advisory" else None
    if fresh.kind == "advisory" and not isinstance(host, Host):
        mistakes.append(FieldMistake("host", "not_a_name"))
    if mistakes:
        raise InvalidInput(*mistakes)
    bulletin = new_id()
    await connection.execute(
        insert(tables.bulletins).values(
            id=bulletin, tenant_id=office.tenant, kind=fresh.kind, title=fresh.title[:200], text=fresh.text[:LONGEST_TEXT],
            symbol=fresh.symbol, place_code=fresh.place or None, host=host.name if isinstance(host, Host) else None, created_at=now,
            created_by=actor.account, ends_at=fresh.ends_at,
        )
    )  # fmt: skip
    await _record(connection, office, actor, "add", bulletin, now, fresh.symbol)
    return bulletin


async def end_bulletin(connection: AsyncConnection, office: Office, actor: Actor, bulletin: str, now: datetime) -> None:
    """Take one down before its end. Raises NotFound."""
    table = tables.bulletins
    where = (table.c.id == bulletin, table.c.tenant_id == office.tenant, table.c.ends_at > now)
    if not (await connection.execute(update(table).where(*where).values(ends_at=now))).rowcount:
        raise NotFound
    await _record(connection, office, actor, "end", bulletin, now)


async def bulletins_of(connection: AsyncConnection, office: Office, now: datetime) -> list[RowMapping]:
    """Everything the office shows now, the newest first."""
    table = tables.bulletins
    statement = select(table).where(table.c.tenant_id == office.tenant, table.c.ends_at > now)
    return list((await connection.execute(statement.order_by(table.c.created_at.desc(), table.c.id))).mappings())


async def bulletins_for(connection: AsyncConnection, reader: OrganisationId, now: datetime) -> list[RowMapping]:
    """What a school or family reads on its home page."""
    office = await find_office(connection, now)
    if office is None:
        return []
    place = (await connection.execute(select(organisations.c.place_code).where(organisations.c.id == reader))).scalar_one_or_none() or ""
    table = tables.bulletins
    around = [place, place.partition(".")[0]] if place else []
    statement = select(table).where(
        table.c.tenant_id == office, table.c.ends_at > now, or_(table.c.place_code.is_(None), table.c.place_code.in_(around))
    )
    return list((await connection.execute(statement.order_by(table.c.created_at.desc(), table.c.id).limit(MOST_SHOWN))).mappings())


async def _record(
    connection: AsyncConnection, office: Office, actor: Actor, verb: str, bulletin: str, now: datetime, basis: str | None = None
) -> None:
    await journal.append(
        connection,
        journal.Entry(
            at=now, tenant_id=office.tenant, actor_id=actor.account, actor_role=actor.capacity.value, action=f"takedown.bulletin.{verb}",
            object_kind="takedown_bulletin", object_id=bulletin, basis=basis,
        ),
    )  # fmt: skip
