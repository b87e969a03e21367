"""Consents to a child's history, where an older state of the database takes the place of the present one: none goes on.

A child, or a guardian, may have said no since that state; a history that began again by itself would be kept against their word. So every
history and every open question ends with the older state, and whoever wants one agrees anew. Copies and backups hold none from the start:
what was kept for seven days at most is not worth lying about with a locked key beside it. Used by `admin.ended`,
`admin.backup`, `admin.migrate` and the page of histories.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from datetime import datetime
from pathlib import Path

from sqlalchemy import delete, exists, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import MACHINE, Act, Action, record
from admin.familytables import history_consents, history_keys, history_rows
from blocklists.tables import EVERY_TENANT, OrganisationId, journal

log = logging.getLogger(__name__)


async def end_histories(connection: AsyncConnection, now: datetime) -> int:
    """End every history and question in the caller's transaction; the journal of each family says so. For how many children."""
    for table in (history_keys, history_rows):
        await connection.execute(delete(table).execution_options(**EVERY_TENANT))
    running = history_consents.c.ended_at.is_(None)
    listed = select(history_consents.c.tenant_id, history_consents.c.profile_id).where(running).distinct()
    found = (await connection.execute(listed.execution_options(**EVERY_TENANT))).all()
    await connection.execute(update(history_consents).where(running).values(ended_at=now).execution_options(**EVERY_TENANT))
    for row in sorted(tuple(row) for row in found):
        await record(connection, Act(OrganisationId(row[0]), MACHINE, now), Action.HISTORY_ENDED, row[1])
    return len(found)


async def ended_by_restore(connection: AsyncConnection, tenant: OrganisationId, profile: str) -> datetime | None:
    """When a history of this child ended because an older state came back; None when that is not how the last one ended."""
    table = history_consents
    newest = select(table.c.ended_at).where(table.c.tenant_id == tenant, table.c.profile_id == profile).order_by(table.c.given_at.desc())
    ended: datetime | None = (await connection.execute(newest.limit(1))).scalar_one_or_none()
    restored = exists().where(
        journal.c.tenant_id == tenant, journal.c.action == Action.DATABASE_RESTORED.value, journal.c.at == ended, journal.c.at.isnot(None)
    )
    return ended if ended is not None and (await connection.execute(select(restored))).scalar_one() else None


def forget_beside(state_dir: Path) -> None:
    """Take histories out of the copies that an earlier version left beside the database. One that is broken is told and stops nothing."""
    for path in sorted(state_dir.glob("lachan-before-*.db")):
        try:
            forget_histories(path)
        except sqlite3.Error as error:
            reason = f"{error}: it may hold a history of a child; take it away if nobody needs it"
            log.error("a copy of the database cannot be cleaned", extra={"event": "copy.unclean", "file": path.name, "reason": reason})


def forget_histories(path: Path) -> None:
    """Take every history out of a copy of the database (SQLite, whatever its schema), from the disk, too."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as copy:
        copy.execute("PRAGMA secure_delete=ON")
        there = {name for (name,) in copy.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for table in (history_keys, history_rows):
            if table.name in there:
                copy.execute(f'DELETE FROM "{table.name}"')
        copy.execute("PRAGMA wal_checkpoint(TRUNCATE)")
