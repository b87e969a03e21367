"""Erasing everything that was written about one child, class or person: in one step, and again in every backup that is put back.

What stays is a row with a random id, so that the journal (which holds ids and digests only) still makes sense. The ids of what was erased
are kept in a file beside the database; whoever puts an older backup back erases them there once more (domain rules on retention: a restore
re-applies deletions).
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import Act, Action, record
from admin.errors import NoRoom
from admin.familytables import history_keys, history_rows, home_links, watches
from admin.history import stop_history
from admin.tables import (
    daily_totals,
    device_matches,
    devices,
    hours,
    loans,
    name_rules,
    override_targets,
    overrides,
    profiles,
    requests,
    switches,
)
from admin.tenants import mark_changed
from admin.values import ProfileId
from blocklists.tables import AccountId, OrganisationId, journal
from gateway.errors import StartError

log = logging.getLogger(__name__)

ERASED = "erased.ids"
JUST_NOW = timedelta(minutes=5)


async def erase_profile(connection: AsyncConnection, act: Act, profile: ProfileId) -> None:
    """Erase in the caller's transaction; the caller then notes the id with `note_erased`."""
    await stop_history(connection, act, profile)
    await wipe(connection, act.tenant, profile)
    own = (profiles.c.tenant_id == act.tenant, profiles.c.id == profile)
    await connection.execute(update(profiles).where(*own).values(retired_at=act.now))
    await record(connection, act, Action.PROFILE_ERASED, profile)
    await mark_changed(connection, act)


async def erased_lately(connection: AsyncConnection, tenant: OrganisationId, account: AccountId, now: datetime) -> bool:
    """Whether this account erased a profile in the last minutes: what its page may say is done."""
    own = (journal.c.tenant_id == tenant, journal.c.actor_id == account, journal.c.action == Action.PROFILE_ERASED.value)
    statement = select(journal.c.seq).where(*own, journal.c.at > now - JUST_NOW).limit(1)
    return (await connection.execute(statement)).first() is not None


async def wipe(connection: AsyncConnection, tenant: OrganisationId, profile: ProfileId) -> None:
    """Take out every word, address, choice and figure of a profile."""
    theirs = select(devices.c.id).where(devices.c.tenant_id == tenant, devices.c.profile_id == profile)
    acts = select(overrides.c.id).where(overrides.c.tenant_id == tenant, overrides.c.profile_id == profile)
    await connection.execute(delete(loans).where(loans.c.tenant_id == tenant, loans.c.device_id.in_(theirs)))
    await connection.execute(delete(home_links).where(home_links.c.tenant_id == tenant, home_links.c.device_id.in_(theirs)))
    await connection.execute(delete(device_matches).where(device_matches.c.tenant_id == tenant, device_matches.c.device_id.in_(theirs)))
    blank = update(devices).where(devices.c.tenant_id == tenant, devices.c.profile_id == profile)
    await connection.execute(blank.values(label="", retired_at=devices.c.created_at))
    targets = (override_targets.c.tenant_id == tenant, override_targets.c.override_id.in_(acts))
    await connection.execute(delete(override_targets).where(*targets))
    # With the key of a history, its seals open for nobody any more, in no copy; who agreed to what stays, as a proof.
    for table in (overrides, hours, name_rules, switches, daily_totals, history_rows, history_keys, watches):
        await connection.execute(delete(table).where(table.c.tenant_id == tenant, table.c.profile_id == profile))
    asked = update(requests).where(requests.c.tenant_id == tenant, requests.c.profile_id == profile)
    await connection.execute(asked.values(host="", note="", profile_id=None))
    own = (profiles.c.tenant_id == tenant, profiles.c.id == profile)
    await connection.execute(
        update(profiles).where(*own).values(label="", safe_search=None, youtube=None, uncategorised=None, retired_at=profiles.c.created_at)
    )


def note_erased(state_dir: Path, tenant: OrganisationId, profile: ProfileId) -> None:
    """Remember that this must be erased again in older backups: random ids, nothing else (0600)."""
    number = os.open(state_dir / ERASED, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(number, "a", encoding="ascii") as file:
        file.write(f"{tenant} {profile}\n")
        file.flush()
        os.fsync(file.fileno())


def erase_in_copies(state_dir: Path, tenant: OrganisationId, profile: ProfileId) -> int:
    """Erase in the copies of the database that an upgrade or a restore left beside it, whatever their schema; as `erase_in_each`."""
    return erase_in_each(state_dir.glob("lachan-before-*.db"), lambda path: erase_in_copy(path, tenant, profile))


def erase_in_each(files: Iterable[Path], erase: Callable[[Path], None]) -> int:
    """Erase in each of these files; how many there were. One that is broken (`erase` raises StartError) is taken away: nobody could put it
    back. One that cannot be written now holds none of the others up: when all were tried, NoRoom is raised."""
    paths, refused = sorted(files), None
    for path in paths:
        try:
            erase(path)
        except StartError as error:
            path.unlink()
            told = {"event": "copy.broken", "file": path.name, "reason": str(error)}
            log.warning("a broken copy of the database was taken away", extra=told)
        except (NoRoom, OSError, sqlite3.Error) as error:
            refused = error
    if refused is not None:
        raise NoRoom from refused
    return len(paths)


def erase_in_copy(path: Path, tenant: OrganisationId, profile: ProfileId) -> None:
    """Erase in one copy of the database, whatever its schema, and from its pages on the disk. Raises StartError when it is broken."""
    try:
        _erase_rows(path, tenant, profile)
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise StartError(f"{path} is no whole database: {error}") from error
        raise


def _erase_rows(path: Path, tenant: OrganisationId, profile: ProfileId) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as copy:
        copy.execute("PRAGMA secure_delete=ON")
        columns = {
            name: {row[1] for row in copy.execute(f'PRAGMA table_info("{name}")')}
            for (name,) in copy.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").fetchall()
        }
        if not columns:
            raise StartError(f"{path} is no whole database: nothing is in it")
        own, theirs = (tenant, profile), "tenant_id = ? AND profile_id = ?"
        copy.execute("BEGIN IMMEDIATE")
        for parent, key in (("devices", "device_id"), ("overrides", "override_id")):
            for name in (name for name, found in columns.items() if key in found and "tenant_id" in found):
                of_profile = f"SELECT id FROM {parent} WHERE {theirs}"
                copy.execute(f'DELETE FROM "{name}" WHERE tenant_id = ? AND {key} IN ({of_profile})', (tenant, *own))
        for name in (name for name, found in columns.items() if {"tenant_id", "profile_id"} <= found and name != "history_consents"):
            copy.execute(f'DELETE FROM "{name}" WHERE {theirs}', own)
        if "profiles" in columns:
            copy.execute("UPDATE profiles SET label = '', retired_at = created_at WHERE tenant_id = ? AND id = ?", own)
        copy.execute("COMMIT")
        copy.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def read_erased(state_dir: Path) -> Sequence[tuple[OrganisationId, ProfileId]]:
    """What has to be erased in a backup that is put back."""
    try:
        lines = (state_dir / ERASED).read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return ()
    pairs = [line.split() for line in lines]
    return [(OrganisationId(pair[0]), ProfileId(pair[1])) for pair in pairs if len(pair) == 2]
