"""What gateways are told of ended entries without an order number: nothing that would open a site which another entry closes."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from admin.officerollout import read_statement
from blocklists.database import Database
from blocklists.takedown import publishing, store
from blocklists.takedown.documents import parse_symbol
from blocklists.takedown.model import SYSTEM, Enforceability, Match
from blocklists.takedown.store import NewItem
from tests.blocklists.takedown.test_returns import publish
from tests.blocklists.takedown.test_store import NOW, OFFICE, approved, database, letter

__all__ = ["database"]


@pytest.mark.parametrize("other", [30, 0], ids=["another stands", "the only one"])
async def test_an_end_is_told_only_where_nothing_else_closes_the_site(database: Database, tmp_path: Path, other: int) -> None:
    """Two letters without a number name one site; the shorter one ends. Gateways would let go of both."""
    site = NewItem("bad.example", "bad.example", Match.BOTH, Enforceability.YES)
    for symbol, days in (("/UBND-VX", 7), ("/SVHTTDL-TTr", other)):
        if days:
            await approved(database, letter(site, symbol=parse_symbol(symbol), valid_until=NOW + timedelta(days=days)))
    serial = await publish(database, tmp_path)
    later = NOW + timedelta(days=8)
    async with database.write() as connection:
        for entry in await store.due_to_expire(connection, OFFICE, later):
            await store.move_entry(connection, OFFICE, entry, "expire", SYSTEM, later)
        await publishing.publish(connection, OFFICE, tmp_path, later)
        told = (await read_statement(connection, OFFICE.tenant, serial)).out_of(serial)
    assert told == (() if other else ("example.bad.",))
