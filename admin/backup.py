"""Backups: one file with a consistent copy of the database and what tells that it is whole, made and put back while the program runs.

A backup holds people's words and password hashes: only its owner can read it, and the keys that lie beside the database are not in it, nor
is any history of a child.
Putting one back first keeps a copy of what was there, checks the file's digest and its tables, brings an older schema up to date, ends
every session, erases again what was erased since, leaves ended what ended since (`admin.ended`), keeps what a department closed since and
says what else was stricter (`admin.stricter`), and tells the gateway; a file that is not whole changes nothing. PostgreSQL has its own
tools, which are named instead.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import sqlite3
import zipfile
import zlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from admin.audit import keep_checkpoint
from admin.consents import forget_histories
from admin.ended import EndedAgain, Ending, note_ended, note_restored, read_end, settle
from admin.migrate import migrate, refuse_newer
from admin.scratch import scratch
from admin.stricter import Gone, find_gone
from blocklists.database import Database, open_database
from blocklists.joined import note_missing, read_joined
from gateway.errors import StartError

log = logging.getLogger(__name__)

FORMAT = 1
_DATA, _MANIFEST = "lachan.db", "manifest.json"
MOST_OCTETS = 8 * 1024**3
"""Of the unpacked database; a file that claims more is refused."""
_WAIT = ("wait for the program that holds the database", "chờ chương trình đang giữ cơ sở dữ liệu")
_MAKE_ROOM = ("make room on the disk", "dọn chỗ trên đĩa")
_PIECE = 1024 * 1024
_MOST_MANIFEST = 4096
#: What a disk says that has no room, or refuses otherwise.
_REFUSED = (OSError, sqlite3.Error, DBAPIError)


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup says about itself. `schema` is the number of its schema, `octets` those of the unpacked database."""

    made_at: datetime
    schema: int
    octets: int
    office: str = ""
    """The list office that was followed then, by its code: its address."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put back, what of it ended again, and what was stricter before and is so no longer; None: nobody can know, because the
    database of that time is lost. `office`: the list office that was followed then and is not followed here."""

    backup: Backup
    again: EndedAgain
    gone: tuple[Gone, ...] | None = ()
    office: str = ""


class NotNow(StartError):
    """The machine cannot read or write now (a full disk, no files left to open): nothing is said about the backup itself."""


class KeptElsewhere(StartError):
    """The database is a server's, which has its own tools."""


async def back_up(database: Database, state_dir: Path, path: Path, now: datetime) -> Backup:
    """Write a backup to a new file, with the address of the list office that the state directory follows. Raises StartError with the
    remedy; an existing file is never overwritten. A database of a newer program is not copied: what must not be in a backup may have other
    places there; nor is one without tables, which is only the file that looking for it has made."""
    number = (await refuse_newer(database)).number
    if not number:
        raise StartError(
            f"there is nothing to back up yet in {state_dir}: lachan run makes it; is this the settings file you mean (-c FILE)?",
            f"chưa có gì để sao lưu trong {state_dir}: lachan run tạo ra; có đúng tệp cấu hình không (-c TỆP)?",
        )
    if await asyncio.to_thread(path.exists):
        raise StartError(
            f"cannot write {path}: it is there already: choose another name", f"không ghi được {path}: đã có ở đó rồi: chọn tên khác"
        )
    try:
        with scratch(path.parent, "backup") as place:
            copy = place / _DATA
            if not await database.copy_to(copy):
                raise KeptElsewhere(
                    "admin.database: PostgreSQL keeps its own backups: pg_dump --format=custom --file=lachan.dump DATABASE",
                    "admin.database: PostgreSQL có cách sao lưu riêng: pg_dump --format=custom --file=lachan.dump DATABASE",
                )
            await asyncio.to_thread(forget_histories, copy)
            office = read_joined(state_dir)
            info = Backup(now.astimezone(UTC), number, copy.stat().st_size, office.url if office is not None else "")
            return pack(copy, path, info)
    except (FileNotFoundError, NotADirectoryError):
        folder = path.parent
        raise StartError(
            f"cannot write {path}: there is no folder {folder}: make it, or choose another place",
            f"không ghi được {path}: không có thư mục {folder}: tạo nó, hoặc chọn chỗ khác",
        ) from None
    except _REFUSED as error:
        why = _why(error)
        raise StartError(
            f"cannot write {path}: {why}: make room there, or choose another place or name",
            f"không ghi được {path} ({why}): dọn chỗ ở đó, hoặc chọn chỗ hay tên khác",
        ) from None


def pack(copy: Path, path: Path, info: Backup) -> Backup:
    """Write a copy of the database into a new file (0600), with what tells that it is whole; what the file says about itself."""
    info = replace(info, octets=copy.stat().st_size)
    manifest = {"format": FORMAT, "made_at": info.made_at.isoformat(), "schema": info.schema}
    manifest |= {"octets": info.octets, "sha256": _digest(copy)} | ({"office": info.office} if info.office else {})
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b") as file:
        try:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr(_MANIFEST, json.dumps(manifest, indent=1))
                archive.write(copy, _DATA)
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            path.unlink()  # half a backup is none
            raise
    return info


async def restore(database: Database, state_dir: Path, path: Path, now: datetime) -> Restored:
    """Put a backup in the place of what is there. Raises StartError and changes nothing when it is not whole or not ours, or where the disk
    has no room for it and for the copy of what was there."""
    read_info(path)
    try:
        done, head = await _replace(database, state_dir, path, now)
    except _REFUSED as error:
        why = str(_why(error))
        remedy, vi = _WAIT if "locked" in why else _MAKE_ROOM
        raise NotNow(
            f"cannot put {path} back ({why}); nothing was changed: {remedy}, then try again",
            f"không đặt lại được {path} ({why}); chưa có gì thay đổi: {vi}, rồi thử lại",
        ) from None
    try:
        if head is not None:
            note_restored(state_dir, head)  # after whatever a running program noted of the old one meanwhile
        await keep_checkpoint(database, state_dir)
        if done.office:
            note_missing(state_dir, done.office)
        await database.scrub()
    except _REFUSED as error:  # it is in its place all the same
        reason = str(_why(error))
        log.error("a backup is back; not everything about it could be noted", extra={"event": "restore.unnoted", "reason": reason})
    return done


async def _replace(database: Database, state_dir: Path, path: Path, now: datetime) -> tuple[Restored, Ending | None]:
    """All of it up to the moment from which the backup is the database, and the end of the journal that it came with. The note about it
    comes just before: where nothing is replaced after all, the present database is not older than what the note says."""
    await migrate(database, state_dir)  # a new, empty one where the old one was lost
    await note_ended(database, state_dir)
    with scratch(state_dir, "restore") as place:
        fresh = place / _DATA
        info = unpack(path, fresh)
        staged = await open_database(f"sqlite+aiosqlite:///{fresh}")
        try:
            await migrate(staged, place)
            head = await read_end(staged)
            async with staged.write() as connection:
                again = await settle(connection, state_dir, now, database)
            gone = await _compare(staged, database, head, now)
        finally:
            await staged.close()
        office = info.office if info.office and read_joined(state_dir) is None else ""
        copy, kept = place / "before.db", state_dir / f"lachan-before-restore-{now:%Y%m%dT%H%M%S}.db"
        if not await database.copy_to(copy):
            raise StartError(
                "admin.database: PostgreSQL is restored by its own tools: pg_restore --clean --dbname=DATABASE lachan.dump",
                "admin.database: PostgreSQL được đặt lại bằng công cụ riêng: pg_restore --clean --dbname=DATABASE lachan.dump",
            )
        await asyncio.to_thread(forget_histories, copy)
        copy.rename(kept)
        try:
            if head is not None:
                note_restored(state_dir, head)
            await database.take_over(fresh)
        except _REFUSED:
            kept.unlink()  # nothing was replaced
            raise
    return Restored(info, again, gone, office), head


async def _compare(staged: Database, database: Database, head: Ending | None, now: datetime) -> tuple[Gone, ...] | None:
    last = await read_end(database)
    if head is not None and (last is None or last.seq < head.seq):
        return None
    async with staged.read() as older, database.read() as present:
        return await find_gone(older, present, now)


def read_info(path: Path) -> Backup:
    """What a file says about itself. Raises StartError when it is no backup."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(_MANIFEST).file_size > _MOST_MANIFEST:
                raise ValueError("a manifest of that size is none")
            manifest = json.loads(archive.read(_MANIFEST))
            data = archive.getinfo(_DATA)
        office = str(manifest.get("office", ""))[:600]
        info = Backup(datetime.fromisoformat(manifest["made_at"]), int(manifest["schema"]), int(manifest["octets"]), office)
    except OSError as error:
        raise NotNow(f"cannot read {path}: {_why(error)}", f"không đọc được {path} ({_why(error)})") from None
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError):
        raise StartError(
            f"{path} is not a backup of lachan, or it is cut short: take another copy of it",
            f"{path} không phải bản sao lưu của lachan, hoặc bị cắt ngắn: lấy lại bản khác",
        ) from None
    if manifest.get("format") != FORMAT:
        raise StartError(
            f"{path} was made by another version of lachan: put it back with that version",
            f"{path} do phiên bản lachan khác tạo ra: đặt lại bằng phiên bản đó",
        )
    if data.file_size != info.octets or info.octets > MOST_OCTETS:
        raise _damaged(path)
    if not info.schema:
        raise StartError(
            f"{path} holds nothing: it was made before there was anything: take another one",
            f"{path} không chứa gì: nó được tạo khi chưa có dữ liệu nào: lấy bản khác",
        )
    return info


def _damaged(path: Path) -> StartError:
    return StartError(
        f"{path} is damaged: its content is not what was written: take another copy of it",
        f"{path} bị hỏng: nội dung không còn như lúc ghi: lấy lại bản khác",
    )


def unpack(path: Path, fresh: Path) -> Backup:
    """Take the database out of a file. Raises StartError when it is not whole."""
    info = read_info(path)
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = json.loads(archive.read(_MANIFEST))
            with archive.open(_DATA) as packed, os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                left = info.octets
                while piece := packed.read(min(_PIECE, left + 1)):
                    left -= len(piece)
                    if left < 0:
                        break
                    out.write(piece)
    except (zipfile.BadZipFile, EOFError, zlib.error):
        raise _damaged(path) from None
    except OSError as error:
        why = _why(error)
        raise NotNow(
            f"{path} cannot be unpacked ({why}): make room on the disk, or take another copy of it",
            f"không mở được {path} ({why}): dọn chỗ trên đĩa, hoặc lấy lại bản khác",
        ) from None
    if left or _digest(fresh) != manifest.get("sha256"):
        raise _damaged(path)
    return info


def _why(error: Exception) -> object:
    return error.orig if isinstance(error, DBAPIError) else (error.strerror or error) if isinstance(error, OSError) else error


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
