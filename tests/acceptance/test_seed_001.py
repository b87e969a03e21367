"""Seed 001, a city's letter on the programme: a deadline worded "before", and crimes that go to the police, never into the queue."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import func, select

from admin.dependencies import Services
from blocklists.takedown import tables
from blocklists.takedown.deadlines import DueRule, due_at, is_on_time
from tests.support.office import Officers
from tests.support.visitor import Visitor


def test_before_the_fifth_ends_with_the_fourth() -> None:
    """23:59:59 on 4 November is on time, 00:00 on the 5th is late; "by the fifth" would end a day later."""
    start = datetime.fromisoformat("2021-09-27T08:00:00+07:00")
    before, by = (due_at(rule, date(2021, 11, 5), start) for rule in (DueRule.BEFORE, DueRule.BY))
    assert is_on_time(before, datetime.fromisoformat("2021-11-04T23:59:59+07:00"))
    assert not is_on_time(before, datetime.fromisoformat("2021-11-05T00:00:00+07:00"))
    assert is_on_time(by, datetime.fromisoformat("2021-11-05T23:59:59+07:00"))
    assert not is_on_time(by, datetime.fromisoformat("2021-11-06T00:00:00+07:00"))


async def test_a_crime_or_a_child_in_danger_shows_whom_to_call_before_any_field(
    visitor: Visitor, services: Services, officers: Officers
) -> None:
    """The first question comes before anything can be typed; the choice shows 111 and 113, and nothing is stored."""
    await visitor.get("/report")
    assert all(not form.fields or set(form.fields) <= {"form_token"} for form in visitor.forms if form.action == "/report")
    await visitor.submit("/report", button=("kind", "danger"))
    assert "111" in visitor.text
    assert "113" in visitor.text
    assert "<textarea" not in visitor.response.text
    assert 'type="text"' not in visitor.response.text
    async with services.database.read() as connection:
        counted = select(func.count()).select_from(tables.reports).where(tables.reports.c.tenant_id == officers.tenant)
        assert (await connection.execute(counted)).scalar_one() == 0
