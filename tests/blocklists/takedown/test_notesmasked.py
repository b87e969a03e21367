"""Notes where the names of sites are masked: none may hold one."""

from __future__ import annotations

from functools import partial

import pytest
from sqlalchemy import select

from blocklists.database import Database
from blocklists.takedown import notes, tables
from blocklists.takedown.masking import hide
from blocklists.takedown.model import Enforceability, Kind, Match, TransitionRefused
from blocklists.takedown.store import NewItem
from tests.blocklists.takedown.test_store import NOW, OFFICE, VERIFIER, approved, database, letter

__all__ = ["database"]


async def test_no_note_names_a_site_whose_names_are_masked(database: Database) -> None:
    """On the document and on the entry: refused, with the field; words without a name are taken. Elsewhere a note may name a site."""
    hidden = hide(NewItem("child-site.example", "child-site.example", Match.BOTH, Enforceability.YES), b"k" * 32)
    masked = await approved(database, letter(hidden, category="csam"))
    plain = await approved(database, letter(NewItem("bet.example", "bet.example", Match.BOTH, Enforceability.YES)))
    async with database.write() as connection:
        entry = (await connection.execute(select(tables.entries.c.id).where(tables.entries.c.order_id == masked))).scalar_one()
        for kind, one in ((Kind.ORDER, masked), (Kind.ENTRY, entry)):
            write = partial(notes.add_note, connection, OFFICE, VERIFIER, None, kind, one)
            with pytest.raises(TransitionRefused) as refused:
                await write("trang child-site.example đã đổi tên", NOW)
            assert refused.value.code == "masked_name"
            assert await write("đã gọi đơn vị chủ quản", NOW)
        assert await notes.add_note(connection, OFFICE, VERIFIER, None, Kind.ORDER, plain, "trang bet.example đã đổi tên", NOW)
