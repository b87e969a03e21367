"""What the database itself refuses about bodies of the state."""

from __future__ import annotations

from datetime import datetime

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from blocklists.database import Database
from blocklists.takedown.agencytables import agencies, notes
from tests.admin.conftest import database, migrated_file, now, storage
from tests.support.office import Officers, make_officers

__all__ = ["database", "migrated_file", "now", "storage"]


@pytest.fixture
async def officers(database: Database, now: datetime) -> Officers:
    return await make_officers(database, now)


@pytest.mark.parametrize(
    "row",
    [
        {"kind": "bureau", "valid_from": None, "valid_until": None},
        {"kind": "police", "valid_from": "2025-07-01", "valid_until": "2025-07-01"},
        {"kind": "police", "valid_from": "2025-07-01", "valid_until": "2024-07-01"},
    ],
)
async def test_days_stand_in_order_and_kinds_are_known(database: Database, officers: Officers, row: dict[str, str | None]) -> None:
    """A body ends after it began."""
    with pytest.raises(IntegrityError):
        async with database.write() as connection:
            await connection.execute(insert(agencies).values(tenant_id=officers.tenant, name="x", short="", basis="", **row))


async def test_a_note_is_short(database: Database, officers: Officers, now: datetime) -> None:
    """No column can hold the content of an investigation."""
    with pytest.raises(IntegrityError):
        async with database.write() as connection:
            values = {"object_kind": "report", "object_id": "x", "text": "x" * 501, "created_at": now, "created_by": officers.verifier}
            await connection.execute(insert(notes).values(tenant_id=officers.tenant, **values))
