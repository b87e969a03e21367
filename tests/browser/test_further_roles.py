"""Chromium at the pages of the roles that few people have: an operator who looks in by a document, what the family and the auditor read of
it, the education department of a province, and what a backup that was put back says. At 360 and 1280 pixels; axe finds nothing serious."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pyotp
import pytest
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from admin.audit import MACHINE, Act, by_account
from admin.office import open_office
from admin.officetighten import tighten_schools
from admin.tenants import create_account, grant_role
from blocklists.tables import OrganisationKind, Role
from blocklists.takedown.agencies import NewAgency, add_agency
from blocklists.takedown.agencytables import AgencyKind
from blocklists.takedown.model import Actor, Capacity
from tests.browser.conftest import DESK, PHONE, Place, keep, sign_in
from tests.support.family import Family, make_family
from tests.support.office import Officers, make_officers, stored_password, typed_key
from tests.support.people import make_person
from tests.support.people import make_school as school

pytestmark = pytest.mark.full


@pytest.fixture
def tab(chromium: Browser, size: str) -> Iterator[Page]:
    """A tab without scripts."""
    viewport = PHONE if size == "phone" else DESK
    context = chromium.new_context(viewport=viewport, locale="vi-VN", accept_downloads=True)  # type: ignore[arg-type]
    yield context.new_page()
    context.close()


def look(tab: Page, name: str) -> None:
    """A picture for somebody to look at; nothing is wider than the screen, axe finds nothing serious, also in the dark."""
    keep(tab, name)
    tab.wait_for_load_state()
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
    for scheme in ("dark", "light"):
        tab.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        assert [one["id"] for one in Axe().run(tab)["violations"] if one["impact"] in ("serious", "critical")] == [], (name, scheme)


def test_looking_in_by_a_document(place: Place, tab: Page, size: str) -> None:
    """The operator's form, the place that is open, what its people read and press, the auditor's first page."""
    family: Family = place.run(lambda: make_family(place.services))
    officers: Officers = place.run(lambda: make_officers(place.services.database, place.now))
    hashed = place.run(stored_password)

    async def appoint() -> None:
        await make_person(place.services.database, place.now - timedelta(days=1), "van-hanh", OrganisationKind.OPERATOR, Role.OPERATOR)
        async with place.services.database.write() as connection:
            account = await create_account(connection, "kiem-toan", "Bà Thanh tra", hashed, "vi", place.now)
            await grant_role(connection, Act(officers.tenant, MACHINE, place.now), account, Role.AUDITOR)

    place.run(appoint)
    sign_in(tab, place, "van-hanh")
    tab.goto(f"{place.address}/emergency")
    tab.fill("#sign_in", "me")
    tab.fill("#document", "12/QĐ-STTTT")
    tab.select_option("#hours", "2")
    look(tab, f"emergency-form-{size}")
    tab.click("text=Xem, và báo cho người ở đó")
    tab.wait_for_selector("form[action='/account/factor/begin']")
    look(tab, f"second-step-{size}")
    tab.click("form[action='/account/factor/begin'] button")
    tab.wait_for_selector("#code")
    key = typed_key(tab.content())
    tab.fill("#code", pyotp.TOTP(key).now())
    tab.click("form[action='/account/factor'] button")
    tab.wait_for_selector(".codes")
    look(tab, f"second-step-codes-{size}")
    tab.click("text=Mình đã cất, làm tiếp")
    tab.wait_for_selector("text=Mở xem")
    look(tab, f"emergency-open-{size}")
    tab.click("text=Mở xem")
    expect(tab.locator("main")).to_contain_text("Bi")
    look(tab, f"emergency-inside-{size}")
    tab.goto(f"{place.address}/profiles/{family.bi.id}")
    look(tab, f"emergency-child-{size}")

    tab.context.clear_cookies()
    sign_in(tab, place, "kiem-toan")
    expect(tab.locator("main")).to_contain_text("12/QĐ-STTTT")
    look(tab, f"emergency-auditor-{size}")

    tab.context.clear_cookies()
    sign_in(tab, place)
    look(tab, f"emergency-family-{size}")
    tab.click("text=Dừng ngay")
    expect(tab.locator("main")).to_contain_text("Người vận hành đã xem")
    look(tab, f"emergency-ended-{size}")


def test_the_education_department(place: Place, tab: Page, size: str) -> None:
    """Three schools, one with hardly anything."""
    officers: Officers = place.run(lambda: make_officers(place.services.database, place.now))
    hashed = place.run(stored_password)

    async def fill() -> None:
        database = place.services.database
        for name, counts in (("Tiểu học Kim Đồng", {"game": 40, "gamb": 7}), ("THCS Lê Lợi", {"game": 1200, "porn": 31}),
                             ("THPT Than Uyên", {"game": 2})):  # fmt: skip
            await school(database, place.now, name, "12", **counts)
        async with database.write() as connection:
            office, actor = await open_office(connection, officers.tenant), Actor(officers.approver, Capacity.APPROVER, officers.tenant)
            fresh = NewAgency("Sở Giáo dục và Đào tạo", AgencyKind.DEPARTMENT, "", "12", None)
            body = await add_agency(connection, office, actor, fresh, place.now)
            account = await create_account(connection, "so-gd", "Cô Hà", hashed, "vi", place.now)
            await grant_role(connection, Act(officers.tenant, MACHINE, place.now), account, Role.EDU_ADMIN, agency=body)
            act = Act(officers.tenant, by_account(account, Role.EDU_ADMIN), place.now)
            await tighten_schools(connection, act, office, body, "social", "12/QĐ-SGDĐT", place.services.shelves.current())

    place.run(fill)
    sign_in(tab, place, "so-gd")
    assert tab.url.endswith("/office/schools") and "Lai Châu" in tab.inner_text("main")
    look(tab, f"schools-{size}")


def test_a_backup_put_back_says_what_did_not_come_back(place: Place, tab: Page, size: str) -> None:
    """Made, taken home, put back."""
    place.run(lambda: make_family(place.services))
    sign_in(tab, place)
    tab.goto(f"{place.address}/backup")
    with tab.expect_download() as taken:
        tab.click("form[action='/backup'] button")
    tab.set_input_files("#file", taken.value.path())
    tab.click("text=Đưa trở lại >> nth=-1")
    tab.wait_for_selector("text=Bản sao lưu đã được đưa trở lại")
    look(tab, f"restored-{size}")
