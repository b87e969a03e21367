"""The journal: every change a person or the machine made, append-only, each row sealed to the one before it.

A row holds random ids and keyed digests, never a label, a host or a note, so it can outlive the data it speaks of. The chain: digest
= SHA-256(previous digest || canonical JSON of the row). A changed, removed, swapped or repeated row breaks it at that row. A removed
tail is found by the checkpoint: the last sequence number and digest, kept in a file beside the database (`write_checkpoint`).

`append` is called inside the write transaction that makes the change, so that neither exists without the other.
Used by the takedown rooms and, with the words of the control plane, by `admin.audit`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import insert, select
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from blocklists.tables import journal

GENESIS = bytes(32)
ENDED: Final = "ended"
"""The name by which a transaction asks that what it ended is kept outside the database, too (`blocklists.database.call_after`)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One change, as it enters the journal. All ids are random; digests come from `keyed_digest` of the tenant's key."""

    at: datetime
    tenant_id: str | None
    actor_id: str | None
    actor_role: str
    action: str
    object_kind: str
    object_id: str
    before_digest: str | None = None
    after_digest: str | None = None
    basis: str | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """The last row of the chain."""

    seq: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Finding:
    """What a walk over the whole chain found; `first_bad` is the sequence number of the first row that does not fit."""

    rows: int
    head: Head
    first_bad: int | None = None
    reason: str = ""


async def append(connection: AsyncConnection, entry: Entry) -> Head:
    """Add one row at the end of the chain, inside the caller's write transaction."""
    head = await read_head(connection)
    seq = head.seq + 1
    digest = row_digest(head.digest, seq, entry)
    await connection.execute(
        insert(journal).values(
            seq=seq,
            at=entry.at,
            tenant_id=entry.tenant_id,
            actor_id=entry.actor_id,
            actor_role=entry.actor_role,
            action=entry.action,
            object_kind=entry.object_kind,
            object_id=entry.object_id,
            before_digest=entry.before_digest,
            after_digest=entry.after_digest,
            basis=entry.basis,
            previous=head.digest,
            digest=digest,
        )
    )
    return Head(seq, digest)


async def read_head(connection: AsyncConnection) -> Head:
    """The end of the chain; sequence 0 and the genesis digest while it is empty."""
    row = (await connection.execute(select(journal.c.seq, journal.c.digest).order_by(journal.c.seq.desc()).limit(1))).first()
    return Head(row.seq, row.digest) if row else Head(0, GENESIS)


async def verify(connection: AsyncConnection, checkpoint: Head | None = None, seen: Collection[Head] = ()) -> Finding:
    """Walk the whole chain; with heads that others have seen (the checkpoint, those in signed releases, those in receipts), also see
    whether the end was cut off or everything written anew."""
    heads: dict[int, set[bytes]] = {}
    for head in [*seen, *([checkpoint] if checkpoint is not None else [])]:
        if head.seq:
            heads.setdefault(head.seq, set()).add(head.digest)
    previous, expected, count = GENESIS, 1, 0
    async for row in _rows(connection):
        seq = int(row["seq"])
        count += 1
        if seq != expected:
            return Finding(count, Head(expected - 1, previous), expected, f"row {expected} is missing")
        if bytes(row["previous"]) != previous:
            return Finding(count, Head(expected - 1, previous), seq, f"row {seq} does not follow the row before it")
        digest = row_digest(previous, seq, _entry_of(row))
        if bytes(row["digest"]) != digest:
            return Finding(count, Head(expected - 1, previous), seq, f"row {seq} was changed")
        if heads.pop(seq, {digest}) != {digest}:
            return Finding(count, Head(seq, digest), seq, f"row {seq} is not what a checkpoint, release or receipt saw")
        previous, expected = digest, seq + 1
    head = Head(expected - 1, previous)
    if heads:
        return Finding(count, head, head.seq + 1, f"the end is missing: row {max(heads)} was seen")
    return Finding(count, head)


def row_digest(previous: bytes, seq: int, entry: Entry) -> bytes:
    """The seal of one row: SHA-256 over the digest before it and the row as canonical JSON."""
    content = json.dumps(
        {
            "seq": seq,
            "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
            "tenant": entry.tenant_id,
            "actor": entry.actor_id,
            "role": entry.actor_role,
            "action": entry.action,
            "kind": entry.object_kind,
            "object": entry.object_id,
            "before": entry.before_digest,
            "after": entry.after_digest,
            "basis": entry.basis,
        },
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
    )
    return hashlib.sha256(previous + content.encode()).digest()


def write_checkpoint(path: Path, head: Head) -> None:
    """Keep the end of the chain outside the database (mode 0600, written whole or not at all)."""
    fresh = path.with_suffix(".new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(f"{head.seq} {head.digest.hex()}\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def read_checkpoint(path: Path) -> Head | None:
    """The end of the chain as last kept; None when none was written yet or the file is not one."""
    try:
        seq, digest = path.read_text(encoding="ascii").split()
        return Head(int(seq), bytes.fromhex(digest))
    except (OSError, ValueError):
        return None


async def _rows(connection: AsyncConnection) -> AsyncIterator[RowMapping]:
    """The journal in order, a thousand rows at a time, so that its length never becomes memory."""
    last = -1
    while True:
        page = (await connection.execute(select(journal).where(journal.c.seq > last).order_by(journal.c.seq).limit(1000))).mappings().all()
        for row in page:
            yield row
        if not page:
            return
        last = int(page[-1]["seq"])


def _entry_of(row: RowMapping) -> Entry:
    return Entry(
        at=row["at"],
        tenant_id=row["tenant_id"],
        actor_id=row["actor_id"],
        actor_role=row["actor_role"],
        action=row["action"],
        object_kind=row["object_kind"],
        object_id=row["object_id"],
        before_digest=row["before_digest"],
        after_digest=row["after_digest"],
        basis=row["basis"],
    )
