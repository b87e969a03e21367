"""What is told to everybody, below the pages."""

from __future__ import annotations

from datetime import datetime

import pytest

from admin.dependencies import Services
from admin.errors import InvalidInput, NotFound
from admin.office import open_office
from admin.officepublic import ask_again, look_up, read_answer, read_overview, report
from tests.admin.test_officeduty import approve
from tests.support.office import make_officers


async def test_look_up_finds_what_covers_a_name(services: Services, now: datetime) -> None:
    """The entry of the name itself or of a name above it; nothing for a neighbour."""
    people = await make_officers(services.database, now)
    await approve(services, people, "bad.example")
    async with services.database.read() as connection:
        office = await open_office(connection, people.tenant)
        for text, found in (("bad.example", True), ("a.b.bad.example", True), ("notbad.example", False), ("example", False)):
            _, entry, _ = await look_up(connection, office, text)
            assert (entry is not None) is found, text
        with pytest.raises(InvalidInput):
            await look_up(connection, office, "không phải tên")


async def test_overview_counts_and_names_no_site(services: Services, now: datetime) -> None:
    """Numbers by content and by document."""
    people = await make_officers(services.database, now)
    await approve(services, people, "bad.example")
    async with services.database.read() as connection:
        found = await read_overview(connection, await open_office(connection, people.tenant))
    assert found.categories == (("order", 1),)
    assert [row["symbol"] for row in found.documents] == ["12/QĐ-UBND"]
    assert "bad.example" not in repr(found)


async def test_codes_lead_to_their_answers(services: Services, now: datetime) -> None:
    """A code is found however it was typed; a made-up one is not."""
    people = await make_officers(services.database, now)
    await approve(services, people, "bad.example")
    async with services.database.write() as connection:
        office = await open_office(connection, people.tenant)
        review = await ask_again(connection, office, "bad.example", "lesson", "", now)
        told = await report(connection, office, "bet.example", "gamb", "parent", "", now)
        with pytest.raises(NotFound):
            await ask_again(connection, office, "good.example", "lesson", "", now)
        for code, kind in ((review.lower(), "review"), (f"{told[:4]}-{told[4:]}", "report")):
            answer = await read_answer(connection, office, code, now)
            assert answer is not None
            assert answer.kind == kind
        assert await read_answer(connection, office, "AAAAAAAA", now) is None


@pytest.mark.parametrize(
    ("values", "field"),
    [
        (("không tên", "gamb", "parent", ""), "name"),
        (("bet.example", "csam", "parent", ""), "category"),
        (("bet.example", "gamb", "ai đó", ""), "reporter"),
        (("bet.example", "gamb", "child", "em học lớp 7A"), "note"),
        (("bet.example", "gamb", "child", "a" * 201), "note"),
    ],
)
async def test_reports_take_nothing_personal(services: Services, now: datetime, values: tuple[str, str, str, str], field: str) -> None:
    """A crime has no form, a note no names; each mistake is told beside its field."""
    people = await make_officers(services.database, now)
    with pytest.raises(InvalidInput) as refused:
        async with services.database.write() as connection:
            await report(connection, await open_office(connection, people.tenant), *values, now)
    assert refused.value.mistakes[0].field == field
