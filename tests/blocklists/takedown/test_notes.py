"""Notes on cases: bounded, for one body, none on a referred case."""

from __future__ import annotations

from datetime import datetime

import pytest

from admin.office import open_office
from blocklists.database import Database
from blocklists.takedown import cases, notes
from blocklists.takedown.model import Actor, Capacity, Kind, NotFound, TransitionRefused
from tests.admin.conftest import database, migrated_file, now, storage
from tests.support.office import Officers, make_officers

__all__ = ["database", "migrated_file", "now", "storage"]


@pytest.fixture
async def officers(database: Database, now: datetime) -> Officers:
    return await make_officers(database, now)


async def test_notes_are_bounded_and_end_with_the_referral(database: Database, officers: Officers, now: datetime) -> None:
    """Too long, empty, unknown and referred are refused each in words; a note of a body is not the office's."""
    actor = Actor(officers.approver, Capacity.APPROVER)
    async with database.write() as connection:
        office = await open_office(connection, officers.tenant)
        await cases.receive_report(connection, office, cases.NewReport("web", "harmful", "public", "a.example", "gamb"), now)
        (case,) = [row["id"] for row in await cases.open_reports(connection, office)]
        for words, code in (("", "note_missing"), ("x " * 300, "note_long"), ("gọi 0912345678", "personal_data")):
            with pytest.raises(TransitionRefused) as refused:
                await notes.add_note(connection, office, actor, None, Kind.REPORT, case, words, now)
            assert refused.value.code == code
        await notes.add_note(connection, office, actor, None, Kind.REPORT, case, "đã gọi", now)
        assert [row["text"] for row in await notes.notes_of(connection, office, None, case)] == ["đã gọi"]
        assert await notes.notes_of(connection, office, "another", case) == []
        with pytest.raises(NotFound):
            await notes.add_note(connection, office, actor, None, Kind.ENTRY, case, "đã gọi", now)
        await cases.move_report(connection, office, case, "triage", actor, now)
        await cases.move_report(connection, office, case, "refer", actor, now, reason="tội phạm", referred_to="Công an tỉnh")
        with pytest.raises(TransitionRefused, match="referred"):
            await notes.add_note(connection, office, actor, None, Kind.REPORT, case, "đã gọi", now)
