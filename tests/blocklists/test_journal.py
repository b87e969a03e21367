"""The journal: whatever is changed, removed, swapped or cut off is found, and the first bad row is named."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, select, update

from blocklists.database import Database, open_database
from blocklists.journal import Entry, Head, append, read_checkpoint, read_head, row_digest, verify, write_checkpoint
from blocklists.tables import journal, new_id

START = datetime(2026, 10, 12, 12, 30, tzinfo=UTC)


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Database]:
    """Twelve rows, in a table without the trigger, so that a test can play the forger."""
    database = await open_database(f"sqlite+aiosqlite:///{tmp_path / 'x.db'}")
    async with database.write() as writer:
        await writer.run_sync(journal.create)
        for number in range(12):
            await append(writer, entry(number))
    yield database
    await database.close()


def entry(number: int) -> Entry:
    return Entry(
        at=START + timedelta(minutes=number),
        tenant_id=new_id(),
        actor_id=new_id(),
        actor_role="first_parent",
        action="profile.switch",
        object_kind="profile",
        object_id=new_id(),
        before_digest=None,
        after_digest=f"{number:064x}",
        basis=None,
    )


async def test_verify_accepts_an_untouched_chain(chain: Database) -> None:
    """A whole chain is found whole, and its end is known."""
    async with chain.read() as reader:
        found = await verify(reader)
        assert await read_head(reader) == found.head
    assert (found.rows, found.head.seq, found.first_bad) == (12, 12, None)


@pytest.mark.parametrize("column", ["actor_id", "action", "object_id", "after_digest", "basis", "tenant_id", "actor_role"])
async def test_verify_names_the_first_changed_row(chain: Database, column: str) -> None:
    """Any changed field breaks the chain at its row."""
    async with chain.write() as writer:
        await writer.execute(update(journal).where(journal.c.seq == 5).values({column: "other"}))
    async with chain.read() as reader:
        assert (await verify(reader)).first_bad == 5


async def test_verify_finds_a_row_that_was_resealed_after_a_change(chain: Database) -> None:
    """A forger who recomputes the digest of one row breaks the next."""
    async with chain.write() as writer:
        row = (await writer.execute(select(journal).where(journal.c.seq == 5))).one()
        forged = replace(entry(4), tenant_id=row.tenant_id, actor_id=row.actor_id, object_id="elsewhere")
        await writer.execute(
            update(journal)
            .where(journal.c.seq == 5)
            .values(object_id="elsewhere", after_digest=forged.after_digest, digest=row_digest(row.previous, 5, forged))
        )
    async with chain.read() as reader:
        assert (await verify(reader)).first_bad == 6


async def test_verify_finds_a_removed_row(chain: Database) -> None:
    """A gap is damage."""
    async with chain.write() as writer:
        await writer.execute(delete(journal).where(journal.c.seq == 7))
    async with chain.read() as reader:
        found = await verify(reader)
    assert found.first_bad == 7
    assert "missing" in found.reason


async def test_verify_finds_swapped_rows(chain: Database) -> None:
    """Two rows that changed places no longer follow one another."""
    async with chain.write() as writer:
        await writer.execute(update(journal).where(journal.c.seq == 3).values(seq=99))
        await writer.execute(update(journal).where(journal.c.seq == 4).values(seq=3))
        await writer.execute(update(journal).where(journal.c.seq == 99).values(seq=4))
    async with chain.read() as reader:
        assert (await verify(reader)).first_bad == 3


async def test_verify_with_a_checkpoint_finds_a_cut_end(chain: Database, tmp_path: Path) -> None:
    """A chain whose end was removed is whole by itself; the checkpoint outside knows better."""
    async with chain.read() as reader:
        write_checkpoint(tmp_path / "journal.head", await read_head(reader))
    async with chain.write() as writer:
        await writer.execute(delete(journal).where(journal.c.seq > 9))
    async with chain.read() as reader:
        assert (await verify(reader)).first_bad is None
        found = await verify(reader, read_checkpoint(tmp_path / "journal.head"))
    assert found.first_bad == 10


async def test_verify_with_a_checkpoint_finds_a_rewritten_chain(chain: Database, tmp_path: Path) -> None:
    """A chain made anew from the start cannot carry the digest the checkpoint saw."""
    async with chain.read() as reader:
        write_checkpoint(tmp_path / "journal.head", await read_head(reader))
    async with chain.write() as writer:
        await writer.execute(delete(journal))
        for number in range(20):
            await append(writer, entry(number))
    async with chain.read() as reader:
        assert (await verify(reader, read_checkpoint(tmp_path / "journal.head"))).first_bad == 12


async def test_verify_finds_random_damage(chain: Database) -> None:
    """A thousand random edits, deletions, repeats and swaps: every one is found."""
    dice = random.Random(7)
    async with chain.read() as reader:
        rows: Sequence[dict[str, object]] = [dict(row) for row in (await reader.execute(select(journal))).mappings()]
        head = await read_head(reader)
    for _ in range(1000):
        damaged = [dict(row) for row in rows]
        at = dice.randrange(len(damaged))
        match dice.choice(["edit", "drop", "repeat", "swap"]):
            case "edit":
                column = dice.choice(["actor_id", "object_id", "action", "after_digest", "at"])
                old = damaged[at][column]
                damaged[at][column] = old + timedelta(seconds=1) if isinstance(old, datetime) else f"{old}x"
            case "drop":
                del damaged[at]
            case "repeat":
                damaged.append({**damaged[at], "seq": len(damaged) + 1, "digest": new_id().encode()})
            case _:
                other = (at + 1) % len(damaged)
                damaged[at]["object_id"], damaged[other]["object_id"] = damaged[other]["object_id"], damaged[at]["object_id"]
        async with chain.write() as writer:
            await writer.execute(delete(journal))
            await writer.execute(insert(journal), damaged)
        async with chain.read() as reader:
            assert (await verify(reader, head)).first_bad is not None


async def test_append_is_undone_with_its_transaction(chain: Database) -> None:
    """A change that was rolled back leaves no row that says it happened."""
    with pytest.raises(ZeroDivisionError):
        async with chain.write() as writer:
            await append(writer, entry(50))
            raise ZeroDivisionError
    async with chain.read() as reader:
        assert (await read_head(reader)).seq == 12


def test_checkpoint_that_is_missing_or_spoiled_is_none(tmp_path: Path) -> None:
    """A checkpoint that cannot be read is not a finding by itself."""
    assert read_checkpoint(tmp_path / "none") is None
    (tmp_path / "bad").write_text("hello")
    assert read_checkpoint(tmp_path / "bad") is None
    write_checkpoint(tmp_path / "good", Head(3, bytes(range(32))))
    assert read_checkpoint(tmp_path / "good") == Head(3, bytes(range(32)))
    assert (tmp_path / "good").stat().st_mode & 0o077 == 0
