"""The journal in the control plane's words: who did what to which id, and nothing that a person wrote."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from sqlalchemy import delete

from admin.audit import MACHINE, Act, Action, by_account, keep_checkpoint, keyed_digest, read_key, read_rows, record, verify_database
from admin.tables import tenant_keys
from blocklists.database import Database
from blocklists.tables import Role, new_id
from tests.support.people import make_person


async def test_record_keeps_ids_and_digests_and_no_words(database: Database, now: datetime) -> None:
    """A child's label and a host leave a digest, never themselves."""
    person = await make_person(database, now)
    profile = new_id()
    async with database.write() as connection:
        by = by_account(person.account, Role.FIRST_PARENT)
        after = {"label": "Bé Nấm", "host": "secret.example"}
        await record(connection, Act(person.tenant, by, now), Action.PROFILE_CHANGED, profile, after=after)
        key = await read_key(connection, person.tenant)
        (row, *_) = await read_rows(connection, person.tenant, 10)
    assert (row.actor_id, row.actor_role, row.action, row.object_id) == (person.account, "first_parent", "profile.changed", profile)
    assert row.after_digest == keyed_digest(key, {"host": "secret.example", "label": "Bé Nấm"})
    assert "secret.example" not in repr(row) and "Bé Nấm" not in repr(row)


async def test_read_rows_shows_a_tenant_only_its_own(database: Database, now: datetime) -> None:
    """One family never reads another's journal."""
    one, other = await make_person(database, now), await make_person(database, now, sign_in="ba")
    async with database.read() as connection:
        rows = await read_rows(connection, one.tenant, 50)
        older = await read_rows(connection, one.tenant, 50, before_seq=rows[0].seq)
    assert rows
    assert {row.tenant_id for row in rows} == {one.tenant}
    assert len(older) == len(rows) - 1
    assert other.tenant not in {row.tenant_id for row in rows}


async def test_digest_without_its_key_says_nothing(database: Database, now: datetime) -> None:
    """Once the family's key is destroyed, new digests are empty and old ones cannot be recomputed."""
    person = await make_person(database, now)
    async with database.write() as connection:
        await connection.execute(delete(tenant_keys).where(tenant_keys.c.tenant_id == person.tenant))
        await record(connection, Act(person.tenant, MACHINE, now), Action.PROFILE_CHANGED, "x", after={"label": "An"})
        (row, *_) = await read_rows(connection, person.tenant, 1)
    assert row.after_digest is None


async def test_verify_database_follows_the_checkpoint(database: Database, now: datetime, tmp_path: Path) -> None:
    """The command's function finds a whole chain whole, with and without a checkpoint."""
    await make_person(database, now)
    assert (await verify_database(database, tmp_path)).first_bad is None
    await keep_checkpoint(database, tmp_path)
    found = await verify_database(database, tmp_path)
    assert found.first_bad is None
    assert found.rows == found.head.seq > 0
