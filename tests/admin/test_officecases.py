"""What the pages of a review and a report show."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from admin.dependencies import Services
from admin.office import open_office
from admin.officecases import read_report, read_review
from admin.officereads import find_entries
from blocklists.takedown import cases, tables
from blocklists.takedown.model import Actor, Capacity
from tests.admin.test_officeduty import approve
from tests.support.office import make_officers


async def test_only_who_took_no_part_may_take_a_review(services: Services, now: datetime) -> None:
    """The verifier and the approver of the entry see no button."""
    people = await make_officers(services.database, now)
    await approve(services, people, "bad.example")
    async with services.database.write() as connection:
        office = await open_office(connection, people.tenant)
        (entry,) = await find_entries(connection, office, "bad.example", "")
        code = await cases.ask_review(connection, office, entry["id"], "mistake", "", now)
        wanted = select(tables.reviews.c.id).where(tables.reviews.c.tenant_id == people.tenant, tables.reviews.c.code == code)
        review = (await connection.execute(wanted)).scalar_one()
        verbs = {}
        for who, capacity in (
            (people.verifier, Capacity.VERIFIER),
            (people.approver, Capacity.APPROVER),
            (people.second, Capacity.APPROVER),
        ):
            page = await read_review(connection, office, review, [Actor(who, capacity)], now)
            assert page is not None
            verbs[who] = page.verbs
        assert await read_review(connection, office, "unknown", [], now) is None
    assert verbs == {people.verifier: frozenset(), people.approver: frozenset(), people.second: frozenset({"take"})}


async def test_a_referred_report_is_only_a_pointer(services: Services, now: datetime) -> None:
    """After the referral the page knows that nothing more is to be shown."""
    people = await make_officers(services.database, now)
    actor = Actor(people.verifier, Capacity.VERIFIER)
    async with services.database.write() as connection:
        office = await open_office(connection, people.tenant)
        await cases.receive_report(connection, office, cases.NewReport("web", "harmful", "parent", "bet.example"), now)
        report = (await connection.execute(select(tables.reports.c.id).where(tables.reports.c.tenant_id == people.tenant))).scalar_one()
        await cases.move_report(connection, office, report, "triage", actor, now)
        await cases.move_report(connection, office, report, "refer", actor, now, reason="tội phạm", referred_to="Công an tỉnh")
        page = await read_report(connection, office, report, [actor], now)
    assert page is not None
    assert page.referred
    assert page.verbs == frozenset()
    assert (page.row["host"], page.row["note"], page.row["category"], page.row["reason"]) == (None, "", "", "")
