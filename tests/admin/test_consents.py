"""No history of a child goes on in an older state of the database, whichever way it came (backups: `test_backup.py`). On both databases."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from admin.agreeing import decline_history
from admin.audit import Act, Action
from admin.consents import ended_by_restore, forget_beside
from admin.dependencies import Services
from admin.ended import FILE, check_age
from admin.familytables import history_consents, history_keys, history_rows
from admin.history import find_keeping, make_box, start_history, store_names
from admin.policyfile import read_rows
from blocklists.tables import journal
from tests.support.family import Family


async def keep_one(services: Services, family: Family, act: Act) -> bytes:
    """A history of Bi, agreed and with one seal in it; the locked half of its key."""
    box, _ = await make_box()
    minute = int(act.now.timestamp()) // 60 * 60
    async with services.database.write() as connection:
        await start_history(connection, act, family.bi, 7, True, "vi", box)
        await store_names(connection, [{"serial": 1, "names": [[minute, family.tenant, family.bi.id, "game.example", 3]]}])
    return box.locked


async def test_an_older_state_keeps_no_history(services: Services, family: Family, act: Act) -> None:
    """A copied file or pg_restore from before the child's no: nothing is kept, no key is left, the gateway is told, the journal says so,
    and the page can say why."""
    await keep_one(services, family, act)
    state, later = services.settings.state_dir, act.now + timedelta(hours=2)
    async with services.database.read() as connection:
        seq = (await connection.execute(select(func.max(journal.c.seq)))).scalar_one()
    (state / FILE).write_text(f"{seq + 9} {later.isoformat()} seen -\n")
    again = await check_age(services.database, state, later)
    assert again is not None and again.histories == 1
    async with services.database.read() as connection:
        assert await find_keeping(connection, family.tenant, family.bi.id) is None
        assert (await read_rows(connection, family.tenant, later)).kept == {}
        for table in (history_keys, history_rows):
            kept = select(func.count()).select_from(table).where(table.c.tenant_id == family.tenant)
            assert (await connection.execute(kept)).scalar_one() == 0
        consent = (await connection.execute(select(history_consents).where(history_consents.c.tenant_id == family.tenant))).one()
        told = select(journal.c.actor_role).where(journal.c.tenant_id == family.tenant, journal.c.action == Action.HISTORY_ENDED.value)
        assert consent.ended_at == later and (await connection.execute(told)).scalars().all() == ["machine"]
        assert await ended_by_restore(connection, family.tenant, family.bi.id) == later
        assert await ended_by_restore(connection, family.tenant, family.na.id) is None
    box, _ = await make_box()
    async with services.database.write() as connection:  # who wants one agrees anew, and may end it as ever
        await start_history(connection, replace(act, now=later + timedelta(minutes=1)), family.bi, 7, True, "vi", box)
        await decline_history(connection, replace(act, now=later + timedelta(minutes=2)), family.bi.id)
        assert await ended_by_restore(connection, family.tenant, family.bi.id) is None


def test_a_broken_copy_stops_no_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A full disk can have left half a copy: that is told by name, and the copies beside it are cleaned."""
    (tmp_path / "lachan-before-1.db").write_bytes(b"half a copy" * 1000)
    with contextlib.closing(sqlite3.connect(tmp_path / "lachan-before-2.db")) as copy, copy:
        copy.execute(f"CREATE TABLE {history_rows.name} (seal TEXT)")
        copy.execute(f"INSERT INTO {history_rows.name} VALUES ('x')")
    forget_beside(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "lachan-before-2.db")) as copy:
        assert copy.execute(f"SELECT count(*) FROM {history_rows.name}").fetchone() == (0,)
    assert [getattr(record, "file", "") for record in caplog.records] == ["lachan-before-1.db"]
