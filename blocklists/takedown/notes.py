"""Notes of the bodies that work on one case as equals: each reads its own, nobody another's, and no body administers another.

A note is a few words about the work (who was called, what is waited for); the content of an investigation has no place here, and a text
with data of a person is refused. Used by `admin`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from blocklists.tables import accounts, new_id
from blocklists.takedown import tables
from blocklists.takedown.agencytables import notes
from blocklists.takedown.freetext import require_clean, require_unnamed
from blocklists.takedown.model import Actor, Kind, NotFound, Office, State, TransitionRefused
from blocklists.takedown.store import record

LONGEST = 500
_TABLES: dict[Kind, Any] = {  # Any: tables
    Kind.REPORT: tables.reports,
    Kind.ORDER: tables.orders,
    Kind.ENTRY: tables.entries,
    Kind.REVIEW: tables.reviews,
}


async def add_note(
    connection: AsyncConnection, office: Office, actor: Actor, agency: str | None, kind: Kind, object_id: str, text: str, now: datetime
) -> str:
    """Write a note for one's own body (None: the office itself). A referred case takes none: it is not ours any more.

    Where the names of a case are masked, none may hold one: the words would stand in the database and its backups. Raises NotFound,
    TransitionRefused.
    """
    table, entries = _TABLES[kind], tables.entries
    wanted = select(table.c.state, (entries if kind is Kind.REVIEW else table).c.category)
    if kind is Kind.REVIEW:
        wanted = wanted.join(entries, entries.c.id == table.c.entry_id)
    row = (await connection.execute(wanted.where(table.c.id == object_id, table.c.tenant_id == office.tenant))).one_or_none()
    if row is None:
        raise NotFound("no such case")
    if kind is Kind.REPORT and row.state == State.REFERRED:
        raise TransitionRefused(
            "referred", "Vụ việc đã chuyển cơ quan khác: không ghi thêm ở đây.", "The case was referred: nothing is added here."
        )
    clean = require_clean(text, "Ghi chú", "Note")
    if not clean:
        raise TransitionRefused("note_missing", "Hãy ghi nội dung.", "Write something.")
    if len(clean) > LONGEST:
        raise TransitionRefused("note_long", "Ghi chú tối đa {n} chữ.", "A note has at most {n} letters.", n=LONGEST)
    require_unnamed(clean, row.category or "", "Ghi chú", "Note")
    note = new_id()
    await connection.execute(
        insert(notes).values(
            id=note, tenant_id=office.tenant, agency_id=agency, object_kind=kind.value, object_id=object_id, text=clean, created_at=now,
            created_by=actor.account,
        )
    )  # fmt: skip
    await record(connection, office, actor, "note", kind, object_id, now, after=note)
    return note


async def notes_of(connection: AsyncConnection, office: Office, agency: str | None, object_id: str) -> list[RowMapping]:
    """The notes of one body on one case, the newest first; those of another body are never in the answer."""
    own = notes.c.agency_id.is_(None) if agency is None else notes.c.agency_id == agency
    statement = (
        select(notes.c.id, notes.c.text, notes.c.created_at, accounts.c.name)
        .outerjoin(accounts, accounts.c.id == notes.c.created_by)
        .where(notes.c.tenant_id == office.tenant, notes.c.object_id == object_id, own)
        .order_by(notes.c.created_at.desc(), notes.c.id)
    )
    return list((await connection.execute(statement)).mappings())
