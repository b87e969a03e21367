"""Backups that a program asked for: kept beside the database until somebody takes them away, at most five.

A full shelf is said (nothing is thrown away to make room: the oldest may be the only one from before a mistake). What is erased is erased
in them, too: each is written anew. Making one and reading one are two rights: the file holds everybody's data.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from admin.backup import KeptElsewhere, NotNow, back_up, pack, read_info, unpack
from admin.erasing import erase_in_copy, erase_in_each
from admin.errors import Conflict, NoRoom, NotFound
from admin.scratch import clear, scratch
from admin.values import ProfileId
from blocklists.database import Database
from blocklists.tables import OrganisationId
from gateway.errors import StartError

FOLDER = "backups"
MOST = 5
_NAME = re.compile(r"[0-9]{8}t[0-9]{6}x[0-9a-f]{6}")


@dataclass(frozen=True, slots=True)
class KeptBackup:
    """One file: its name without the ending, when it was made, its size in octets."""

    id: str
    made_at: datetime
    octets: int


async def keep_backup(database: Database, state_dir: Path, now: datetime) -> KeptBackup:
    """Make one. Raises Conflict where there are five already, or where the database keeps its own (PostgreSQL); NoRoom where it cannot be
    written."""
    folder = state_dir / FOLDER
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise NoRoom from error
    if len(list_backups(state_dir)) >= MOST:
        raise Conflict("backups_full")
    identity = f"{now.astimezone(UTC):%Y%m%dt%H%M%S}x{secrets.token_hex(3)}"
    try:
        with scratch(folder, "backup") as place:  # nothing half stands on the shelf, even where the program is killed
            await back_up(database, state_dir, place / "whole", now)
            (place / "whole").rename(folder / f"{identity}.backup")
    except KeptElsewhere:
        raise Conflict("backup_elsewhere") from None
    except (StartError, OSError) as error:
        raise NoRoom from error
    return find_backup(state_dir, identity)


def list_backups(state_dir: Path) -> Sequence[KeptBackup]:
    """Those that are whole, the newest first."""
    found = []
    for path in sorted((state_dir / FOLDER).glob("*.backup"), reverse=True):
        if _NAME.fullmatch(path.stem):
            with contextlib.suppress(StartError, OSError):
                found.append(KeptBackup(path.stem, read_info(path).made_at, path.stat().st_size))
    return found


def find_backup(state_dir: Path, identity: str) -> KeptBackup:
    """One of them. Raises NotFound."""
    found = next((one for one in list_backups(state_dir) if one.id == identity), None)
    if found is None:
        raise NotFound
    return found


def path_of(state_dir: Path, kept: KeptBackup) -> Path:
    """Where its file is."""
    return state_dir / FOLDER / f"{kept.id}.backup"


def drop_backup(state_dir: Path, identity: str) -> None:
    """Take one away. Raises NotFound."""
    path_of(state_dir, find_backup(state_dir, identity)).unlink()


def erase_in_kept(state_dir: Path, tenant: OrganisationId, profile: ProfileId) -> int:
    """Erase in every one of them, writing it anew, as `erase_in_each`: what cannot be written anew now stays as it was, and is erased when
    it is put back."""
    return erase_in_each((state_dir / FOLDER).glob("*.backup"), lambda path: _erase_in(state_dir, path, tenant, profile))


def clear_leftovers(state_dir: Path) -> None:
    """Take away what was left where the program was killed in the middle of a copy: at the start, and with each erasing."""
    for folder in (state_dir, state_dir / FOLDER):
        clear(folder)
    for path in state_dir.glob(f".{'[0-9a-f]' * 16}.backup"):  # of the page of an earlier version
        path.unlink(missing_ok=True)


def _erase_in(state_dir: Path, path: Path, tenant: OrganisationId, profile: ProfileId) -> None:
    with scratch(state_dir, "erase") as place:
        copy, fresh = place / "lachan.db", place / path.name
        try:
            info = unpack(path, copy)
        except NotNow as error:
            raise NoRoom from error
        erase_in_copy(copy, tenant, profile)
        pack(copy, fresh, info)
        os.replace(fresh, path)
