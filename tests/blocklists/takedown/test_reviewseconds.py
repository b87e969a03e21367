"""Who confirmed an urgent order decides no review of it, whenever the review was asked for."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from blocklists.database import Database
from blocklists.takedown import cases, store, tables
from blocklists.takedown.documents import parse_symbol
from blocklists.takedown.model import Actor, Capacity, TransitionRefused
from tests.blocklists.takedown.test_returns import publish
from tests.blocklists.takedown.test_store import APPROVER, NOW, OFFICE, THIRD, VERIFIER, database, letter

__all__ = ["database"]


async def test_a_second_approver_of_later_does_not_decide_the_review(database: Database, tmp_path: Path) -> None:
    """Asked while the order waits for its second approver; confirmed; then nobody of the three takes it or decides it."""
    async with database.write() as connection:
        order = await store.register(connection, OFFICE, letter(urgent=True, symbol=parse_symbol("99/QĐ-KHAN")), VERIFIER, NOW)
        await store.move_order(connection, OFFICE, order, "verify", VERIFIER, NOW)
        await store.move_order(connection, OFFICE, order, "approve_urgent", APPROVER, NOW)
    await publish(database, tmp_path)
    async with database.write() as connection:
        entry = (await connection.execute(select(tables.entries.c.id).where(tables.entries.c.tenant_id == OFFICE.tenant))).scalar_one()
        code = await cases.ask_review(connection, OFFICE, entry, "mistake", "", NOW)
        await store.move_order(connection, OFFICE, order, "confirm", THIRD, NOW + timedelta(hours=1))
        review = (await connection.execute(select(tables.reviews.c.id).where(tables.reviews.c.code == code))).scalar_one()
        for verb in ("take", "uphold", "overturn"):
            for capacity in (Capacity.APPROVER, Capacity.VERIFIER):
                with pytest.raises(TransitionRefused):
                    who = Actor(THIRD.account, capacity)
                    await cases.move_review(connection, OFFICE, review, verb, who, NOW + timedelta(hours=2), "xem lại")
