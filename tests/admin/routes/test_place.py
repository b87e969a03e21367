"""A family says where it is."""

from __future__ import annotations

from datetime import datetime

from starlette.types import ASGIApp

from admin.audit import Act, by_account
from admin.dependencies import Services
from admin.office import open_office
from admin.officetighten import tighten_schools
from admin.policyfile import cut, read_rows
from admin.schoolmoves import find_move
from blocklists.tables import Role
from tests.admin.test_officeschools import body
from tests.support.office import Officers
from tests.support.people import PASSWORD, make_person, make_school
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


async def test_a_school_changes_its_name(services: Services, app: ASGIApp, now: datetime) -> None:
    """Every page is headed with it from then on; an empty or endless one is a mistake beside the field; the journal says that, not what."""
    await make_school(services.database, now, "A", None)
    browser = Visitor(app)
    await browser.sign_in("truong-A", PASSWORD)
    await browser.get("/place")
    assert "Tên trường" in browser.text
    for wrong in (" ", "x" * 81):
        await browser.submit("/place/name", {"name": wrong})
        assert browser.response.status_code == 422
    await browser.submit("/place/name", {"name": " Trường THCS  Lê Lợi "})
    assert "Đã lưu." in browser.text and '<span class="where">Trường THCS Lê Lợi</span>' in browser.response.text
    await browser.get("/journal")
    assert "Đổi tên" in browser.text
    await browser.close()


async def test_a_school_reads_what_holds_on_and_goes_back(services: Services, app: ASGIApp, officers: Officers, now: datetime) -> None:
    """Its page names the end, the group, the document; one press goes back; a second place cannot be left meanwhile; its home page and the
    department's say so, too."""
    person = await make_school(services.database, now, "A", "12")
    agency = await body(services.database, officers, now, "12")
    far = await body(services.database, officers, now, "11")
    act, shelf = Act(officers.tenant, by_account(officers.approver, Role.EDU_ADMIN), now), services.shelves.current()
    async with services.database.write() as connection:
        office = await open_office(connection, officers.tenant)
        await tighten_schools(connection, act, office, agency, "game", "12/QĐ-SGDĐT", shelf)
        await tighten_schools(connection, act, office, far, "social", "7/QĐ-SGDĐT", shelf)
    browser = Visitor(app)
    await browser.sign_in("truong-A", PASSWORD)
    await browser.get("/place")
    assert "giữ đến" not in browser.text
    await browser.submit("/place", {"province": "11", "commune": ""})
    assert "Điều đã đóng ở Lai Châu còn giữ đến 19:30 ngày mai (còn 1 ngày)" in browser.text, browser.text
    assert "12/QĐ-SGDĐT" in browser.text and "7/QĐ-SGDĐT" not in browser.text
    await browser.get("/")
    assert "còn giữ đến" in browser.text
    await browser.get("/place")
    await browser.submit("/place", {"province": "08", "commune": ""})
    assert browser.response.status_code == 422
    assert "còn giữ một ngày" in browser.text
    await browser.get("/place")
    await browser.submit("/place", {"province": "12", "commune": ""})
    assert "12/QĐ-SGDĐT" not in browser.text
    assert "Điều đã đóng ở Điện Biên còn giữ đến" in browser.text and "7/QĐ-SGDĐT" in browser.text
    async with services.database.read() as connection:
        held = await find_move(connection, person.tenant)
        assert held is not None and held.place == "11"
    await browser.close()
