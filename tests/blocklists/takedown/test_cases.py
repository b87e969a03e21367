"""Reports and reviews: no personal data, no lost answer, no judge of one's own decision."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from blocklists.database import Database
from blocklists.tables import accounts
from blocklists.takedown import cases, publishing, tables
from blocklists.takedown.cases import NewReport, new_code, personal_marks
from blocklists.takedown.documents import parse_symbol
from blocklists.takedown.model import Actor, Capacity, State
from blocklists.takedown.workflow import TransitionRefused
from tests.blocklists.takedown.test_store import APPROVER, NOW, OFFICE, THIRD, VERIFIER, approved, database, letter

__all__ = ["database"]


async def entry_of(database: Database) -> str:
    """The id of the one entry."""
    async with database.read() as connection:
        return str((await connection.execute(select(tables.entries.c.id))).scalar_one())


async def test_overturned_review_lifts_the_entry_and_the_next_version_carries_it(database: Database, tmp_path: Path) -> None:
    """From the question to the lifted entry in one step, published like any approval."""
    await approved(database, letter())
    entry = await entry_of(database)
    async with database.write() as connection:
        await publishing.publish(connection, OFFICE, tmp_path, NOW)
        code = await cases.ask_review(connection, OFFICE, entry, "new_owner", "trang đã đổi chủ", NOW)
        review = await cases.find_review(connection, code.lower())
        assert review is not None
        await cases.move_review(connection, OFFICE, review["id"], "take", THIRD, NOW)
        await cases.move_review(connection, OFFICE, review["id"], "overturn", THIRD, NOW, "đổi chủ từ tháng 8")
        version = await publishing.publish(connection, OFFICE, tmp_path, NOW)
        answer = await cases.find_review(connection, code)
    assert version is not None
    assert version.removed == 1
    assert answer is not None
    assert (answer["state"], answer["decision_reason"]) == ("overturned", "đổi chủ từ tháng 8")


@pytest.mark.parametrize("person", [VERIFIER, APPROVER])
async def test_whoever_took_part_is_refused_the_review_by_code_and_by_the_database(database: Database, person: Actor) -> None:
    """Neither the workflow nor a statement round it lets a person judge their own decision."""
    await approved(database, letter())
    entry = await entry_of(database)
    async with database.write() as connection:
        code = await cases.ask_review(connection, OFFICE, entry, "mistake", "", NOW)
        review = await cases.find_review(connection, code)
        assert review is not None
        with pytest.raises(TransitionRefused):
            await cases.move_review(connection, OFFICE, review["id"], "take", Actor(person.account, Capacity.APPROVER), NOW)
    with pytest.raises(IntegrityError):
        async with database.write() as connection:
            await connection.execute(update(tables.reviews).values(decided_by=person.account))


@pytest.mark.parametrize(("symbol", "outcome", "state"), [("12/QĐ-STTTT", "escalated", "publishing"), ("/STTTT", "suspended", "suspended")])
async def test_late_review_suspends_without_a_number_and_escalates_with_one(
    database: Database, symbol: str, outcome: str, state: str
) -> None:
    """After 48 hours an entry without a document number is suspended; one with a number is escalated; each once."""
    await approved(database, letter(symbol=parse_symbol(symbol)))
    entry = await entry_of(database)
    async with database.write() as connection:
        await cases.ask_review(connection, OFFICE, entry, "mistake", "", NOW)
        assert await cases.late_reviews(connection, OFFICE, NOW + timedelta(hours=47, minutes=59)) == []
        done = await cases.late_reviews(connection, OFFICE, NOW + timedelta(hours=48))
        assert [what for _, what in done] == [outcome]
        assert await cases.late_reviews(connection, OFFICE, NOW + timedelta(hours=49)) == []
        assert (await connection.execute(select(tables.entries.c.state))).scalar_one() == state


@pytest.mark.parametrize(
    ("note", "marks"),
    [
        ("trang này cần cho bài sử", []),
        ("gọi em 0912 345 678", ["phone"]),
        ("em học lớp 7A", ["class"]),
        ("cccd 012345678901", ["id_number"]),
        ("viết cho em@example.com", ["mail"]),
    ],
)
async def test_notes_with_personal_data_are_not_saved(database: Database, note: str, marks: list[str]) -> None:
    """A note that looks like a person's data is refused until it is edited."""
    assert personal_marks(note) == marks
    report = NewReport("web", "harmful", "child", "bad.example", note=note)
    async with database.write() as connection:
        if marks:
            with pytest.raises(TransitionRefused):
                await cases.receive_report(connection, OFFICE, report, NOW)
        else:
            assert len(await cases.receive_report(connection, OFFICE, report, NOW)) == 8


async def test_one_site_counts_once(database: Database) -> None:
    """However many pupils of one site write about one host, it is one report."""
    report = NewReport("web", "harmful", "child", "bad.example", site_digest="site-a")
    async with database.write() as connection:
        codes = {await cases.receive_report(connection, OFFICE, report, NOW) for _ in range(5)}
    assert len(codes) == 1


async def test_referred_report_keeps_only_a_pointer(database: Database) -> None:
    """A referral stores where it went and a code, and cannot be edited any more."""
    async with database.write() as connection:
        await cases.receive_report(connection, OFFICE, NewReport("web", "harmful", "parent", "bad.example"), NOW)
        report = (await connection.execute(select(tables.reports.c.id))).scalar_one()
        await cases.move_report(connection, OFFICE, report, "triage", VERIFIER, NOW)
        await cases.move_report(connection, OFFICE, report, "refer", VERIFIER, NOW, reason="crime", referred_to="police")
        row = (await connection.execute(select(tables.reports))).mappings().one()
        assert (row["state"], row["referred_to"], len(row["referral_code"])) == (State.REFERRED, "police", 8)
        for verb in ("triage", "start", "propose", "approve", "reject"):
            with pytest.raises(TransitionRefused):
                await cases.move_report(connection, OFFICE, report, verb, APPROVER, NOW, reason="x")


def test_codes_have_no_signs_that_look_alike() -> None:
    """A code read over the telephone has no 0, O, 1 or I."""
    assert not set("".join(new_code() for _ in range(500))) & set("0O1I")


async def test_two_persons_are_needed_for_a_report_too(database: Database) -> None:
    """The database refuses one person on both sides of a report."""
    async with database.write() as connection:
        await connection.execute(
            insert(accounts).values(id="four", sign_in="four", name="x", password_hash="-", password_set_at=NOW, created_at=NOW)
        )
        await cases.receive_report(connection, OFFICE, NewReport("web", "harmful", "parent", "bad.example"), NOW)
    with pytest.raises(IntegrityError):
        async with database.write() as connection:
            await connection.execute(update(tables.reports).values(verified_by="four", approved_by="four"))
