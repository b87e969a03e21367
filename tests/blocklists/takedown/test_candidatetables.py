"""What the database itself refuses about candidates and clocks."""

from __future__ import annotations

from datetime import datetime

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from blocklists.database import Database
from blocklists.takedown.candidatetables import candidates, service_levels
from tests.admin.conftest import database, migrated_file, now, storage
from tests.support.office import Officers, make_officers

__all__ = ["database", "migrated_file", "now", "storage"]


@pytest.fixture
async def officers(database: Database, now: datetime) -> Officers:
    return await make_officers(database, now)


async def test_nobody_decides_without_a_name_and_nothing_waits_decided(database: Database, officers: Officers, now: datetime) -> None:
    """A candidate that was taken or refused has somebody who did it."""
    row = {"tenant_id": officers.tenant, "host": "a.example", "category": "gamb", "origin": "list", "found_at": now}
    for values in ({"state": "taken", "decided_by": None}, {"state": "waiting", "decided_by": officers.verifier}, {"state": "blocked"}):
        with pytest.raises(IntegrityError):
            async with database.write() as connection:
                await connection.execute(insert(candidates).values(**row, **values))


async def test_a_clock_has_hours(database: Database, officers: Officers, now: datetime) -> None:
    """Neither nought nor for ever."""
    row = {"tenant_id": officers.tenant, "clock": "order", "basis": "x", "valid_from": "2026-01-01", "set_by": officers.verifier}
    for hours in (0, -1, 9000):
        with pytest.raises(IntegrityError):
            async with database.write() as connection:
                await connection.execute(insert(service_levels).values(**row, hours=hours, set_at=now))
