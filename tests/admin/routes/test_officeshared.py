"""The shared register at its edges; the roads of the bodies stand in `acceptance/test_seed_003.py`."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime

from sqlalchemy import update
from starlette.types import ASGIApp

from admin.audit import MACHINE, Act
from admin.dependencies import Services
from admin.office import open_office
from admin.profiles import list_profiles
from admin.setup import Owner, make_tenant
from admin.tenants import create_account, grant_role
from admin.values import ProfileKind
from blocklists.tables import Role, organisations
from blocklists.takedown.agencies import NewAgency, add_agency
from blocklists.takedown.agencytables import AgencyKind
from blocklists.takedown.model import Actor, Capacity
from tests.admin.test_officeschools import PLAN
from tests.support.controlsocket import ScriptedGateway
from tests.support.office import enrol, make_officers, officer, stored_password
from tests.support.people import PASSWORD, make_school
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
    await make_school(services.database, now, "Tiểu học Kim Đồng", "12", game=40, gamb=7)
    await make_school(services.database, now, "Tiểu học Lê Lợi", "12", game=20)
    await make_school(services.database, now, "Mầm non Hoa Mai", "12", live=3)
    await make_school(services.database, now, "Tiểu học nơi khác", "11", game=500)
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
    assert "Mầm non Hoa Mai" in browser.text and browser.text.count("dưới 5") == 2 and "<5" not in browser.text
    assert "nơi khác" not in browser.text and "500" not in browser.text
    assert (await browser.get("/office/figures")).status_code == 200
    for path in ("/office", "/office/cases", "/office/entries", "/journal", "/devices", "/requests", "/emergency", "/people"):
        assert (await browser.get(path)).status_code in (403, 404), path
    verifier = await officer(app, "verifier")
    assert (await verifier.get("/office/schools")).status_code == 403
    assert (await verifier.post("/office/schools/rules", {"_form": "x"})).status_code == 403
    for one in (browser, verifier):
        await one.close()


async def test_the_education_department_closes_a_group_in_its_schools(
    app: ASGIApp, services: Services, gateway: ScriptedGateway, now: datetime
) -> None:
    """Only with a second factor and a confirmed password; a mistake of the form keeps what was typed. The school reads it on its first
    page, in its journal and on the page of groups, where it is locked with the document's number, and no switch and no window opens it;
    lifted by a document, it is the school's again."""
    officers = await make_officers(services.database, now)
    hashed = await stored_password()
    async with services.database.write() as connection:
        plan = replace(PLAN, owner=Owner("truong", hashed, "vi"))
        made = await make_tenant(connection, plan, services.shelves.current(), now)
        await connection.execute(update(organisations).where(organisations.c.id == made.tenant).values(place_code="12"))
        office, actor = await open_office(connection, officers.tenant), Actor(officers.approver, Capacity.APPROVER, officers.tenant)
        body = await add_agency(connection, office, actor, NewAgency("Sở Giáo dục và Đào tạo", AgencyKind.DEPARTMENT, "", "12", None), now)
        account = await create_account(connection, "so-gd", "Cô Hà", hashed, "vi", now)
        await grant_role(connection, Act(officers.tenant, MACHINE, now), account, Role.EDU_ADMIN, agency=body)
        (pupils,) = [one for one in await list_profiles(connection, made.tenant) if one.kind is ProfileKind.CLASS]
    await services.applier.settle(made.tenant)
    department, school_page = Visitor(app), Visitor(app, "192.168.1.44")
    await department.sign_in("so-gd", PASSWORD)
    await department.submit("/office/schools/rules", {"category": "social", "document": "12/QĐ-SGDĐT"})
    assert department.has_form("/account/factor/begin")
    await enrol(department)
    await department.get("/office/schools")
    await department.submit("/office/schools/rules", {"category": "social", "document": "không số"})
    assert department.response.status_code == 422 and 'value="không số"' in department.response.text
    await department.submit("/office/schools/rules", {"category": "social", "document": "12/QĐ-SGDĐT"})
    assert "số 12/QĐ-SGDĐT" in department.text

    await school_page.sign_in("truong", PASSWORD)
    assert "Sở Giáo dục và Đào tạo đã đóng “mạng xã hội”" in school_page.text and "12/QĐ-SGDĐT" in school_page.text
    await school_page.get("/journal")
    assert "Đóng một nhóm ở các trường trong địa bàn" in school_page.text
    await school_page.get(f"/profiles/{pupils.id}/groups")
    assert "Do cơ quan giáo dục đóng" in school_page.text and "số 12/QĐ-SGDĐT" in school_page.text
    token = re.findall(r'name="_form" value="(\w+)"', school_page.response.text)[0]
    sent = {"_form": token, "_password": PASSWORD}
    for path, form in (("groups", {"set": "social allow"}), ("lesson", {"category": "social", "minutes": "45"})):
        refused = await school_page.post(f"/profiles/{pupils.id}/{path}", {**sent, **form})
        assert refused.status_code == 422, path
    await department.submit(next(one.action for one in department.forms if one.action.endswith("/lift")), {"lifted_by": "15/QĐ-SGDĐT"})
    assert "Sở chưa đóng nhóm nào" in department.text
    await school_page.get(f"/profiles/{pupils.id}/groups")
    assert "Do cơ quan giáo dục đóng" not in school_page.text
    for one in (department, school_page):
        await one.close()
