"""A family says where it is."""

from __future__ import annotations

from datetime import datetime

from starlette.types import ASGIApp

from admin.dependencies import Services
from admin.policyfile import cut, read_rows
from tests.support.people import PASSWORD, make_person
from tests.support.visitor import Visitor


async def test_a_family_says_where_it_is(services: Services, app: ASGIApp, now: datetime) -> None:
    """The place is chosen by name, asks for the password like everything that may loosen, and stands in the policy file."""
    person = await make_person(services.database, now)
    browser = Visitor(app)
    await browser.sign_in("me", PASSWORD)
    await browser.get("/place")
    await browser.submit("/place", {"province": "12", "commune": "03385"})
    async with services.database.read() as connection:
        rows = await read_rows(connection, person.tenant, now)
    assert rows.place == "12.03385"
    assert cut(rows, services.shelves.current(), ())["place"] == "12.03385"
    await browser.get("/place")
    await browser.submit("/place", {"province": "12", "commune": "ab"})
    assert browser.response.status_code == 422
    await browser.close()
