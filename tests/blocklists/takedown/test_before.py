"""What stands about a document and its names when it comes again."""

from __future__ import annotations

from datetime import datetime

import pytest

from admin.office import open_office
from blocklists.database import Database
from blocklists.takedown import store
from blocklists.takedown.before import find_others, find_same, read_before
from blocklists.takedown.documents import parse_symbol
from blocklists.takedown.model import Actor, Capacity
from blocklists.takedown.store import NewOrder
from tests.admin.conftest import database, migrated_file, now, storage
from tests.support.office import Officers, make_officers

__all__ = ["database", "migrated_file", "now", "storage"]

SYMBOL, DRAFT = "12/QĐ-SVHTTDL", "/KH-UBND"


@pytest.fixture
async def officers(database: Database, now: datetime) -> Officers:
    return await make_officers(database, now)


async def test_a_document_is_the_same_by_number_and_issuer(database: Database, officers: Officers, now: datetime) -> None:
    """Capitals of a letterhead do not make it another one; drafts without a number, another issuer and a refused one are others."""
    async with database.write() as connection:
        office = await open_office(connection, officers.tenant)
        verifier, approver = Actor(officers.verifier, Capacity.VERIFIER), Actor(officers.approver, Capacity.APPROVER)
        assert await find_same(connection, office, SYMBOL, "Sở Văn hóa") is None
        first = await store.register(connection, office, NewOrder(parse_symbol(SYMBOL), "Sở Văn hóa", now, None), verifier, now)
        await store.register(connection, office, NewOrder(parse_symbol(DRAFT), "Sở Văn hóa", now, None), verifier, now)
        found = await find_same(connection, office, SYMBOL, "SỞ VĂN HÓA")
        assert found is not None and found["id"] == first
        assert await find_same(connection, office, SYMBOL, "Ủy ban nhân dân tỉnh") is None
        assert await find_same(connection, office, DRAFT, "Sở Văn hóa") is None
        await store.move_order(connection, office, first, "verify", verifier, now)
        await store.move_order(connection, office, first, "reject", approver, now, "ghi nhầm")
        assert await find_same(connection, office, SYMBOL, "Sở Văn hóa") is None
        assert await read_before(connection, office, ["a.example"], first) == []
        assert await find_others(connection, office, "x", "a.example") == []
