"""The shared register at its edges; the roads of the bodies stand in `acceptance/test_seed_003.py`."""

from __future__ import annotations

from datetime import datetime

from starlette.types import ASGIApp

from admin.audit import MACHINE, Act
from admin.dependencies import Services
from admin.office import open_office
from admin.tenants import create_account, grant_role
from blocklists.tables import Role
from blocklists.takedown.agencies import NewAgency, add_agency
from blocklists.takedown.agencytables import AgencyKind
from blocklists.takedown.model import Actor, Capacity
from tests.admin.test_officeschools import school
from tests.support.office import make_officers, officer, stored_password
from tests.support.people import PASSWORD
from tests.support.visitor import Visitor


async def test_unknown_cases_are_not_found(app: ASGIApp, services: Services, now: datetime) -> None:
    """Neither another kind nor an invented id leads anywhere; an office without cases says so."""
    await make_officers(services.database, now)
    browser = await officer(app, "verifier")
    assert "Không có vụ việc nào" in (await browser.get("/office/cases")).text
    for path in ("/office/cases/report/x", "/office/cases/entry/x", "/office/cases/other/x"):
        assert (await browser.get(path)).status_code in (404, 422)
    await browser.close()


async def test_the_education_department_sees_counts_and_nothing_else(app: ASGIApp, services: Services, now: datetime) -> None:
    """Its first page are the schools of its province; no case, no inbox, no school's pages; an officer has no such page."""
    officers = await make_officers(services.database, now)
    await school(services.database, now, "Tiểu học Kim Đồng", "12", game=40, gamb=7)
    await school(services.database, now, "Tiểu học nơi khác", "11", game=500)
    hashed = await stored_password()
    async with services.database.write() as connection:
        office, actor = await open_office(connection, officers.tenant), Actor(officers.approver, Capacity.APPROVER, officers.tenant)
        body = await add_agency(connection, office, actor, NewAgency("Sở Giáo dục và Đào tạo", AgencyKind.DEPARTMENT, "", "12", None), now)
        account = await create_account(connection, "so-gd", "Cô Hà", hashed, "vi", now)
        await grant_role(connection, Act(officers.tenant, MACHINE, now), account, Role.EDU_ADMIN, agency=body)
    browser = Visitor(app)
    await browser.sign_in("so-gd", PASSWORD)
    assert browser.response.url.path == "/office/schools"
    assert "Sở Giáo dục và Đào tạo" in browser.text and "Lai Châu" in browser.text and "47 lần chặn" in browser.text
    assert "nơi khác" not in browser.text and "500" not in browser.text
    assert (await browser.get("/office/figures")).status_code == 200
    for path in ("/office", "/office/cases", "/office/entries", "/journal", "/devices", "/requests", "/emergency", "/people"):
        assert (await browser.get(path)).status_code in (403, 404), path
    verifier = await officer(app, "verifier")
    assert (await verifier.get("/office/schools")).status_code == 403
    for one in (browser, verifier):
        await one.close()
