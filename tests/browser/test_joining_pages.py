"""Chromium at the pages by which a family joins a gateway: phone and desk, both languages, light and dark; axe finds nothing, and every
journey goes to its end with scripts off."""

from __future__ import annotations

import re
from typing import Any

import pytest
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from blocklists.tables import OrganisationKind, Role
from tests.browser.conftest import DESK, PHONE, Place, keep, sign_in
from tests.browser.looks import faint_edges, odd_sizes, small_targets
from tests.support.people import PASSWORD, make_person

pytestmark = pytest.mark.full
PIN, NEW_PIN = "407193", "718204"


class Looker:
    """Looks at whatever page is shown, in both schemes, and remembers what axe and the width say."""

    def __init__(self, page: Page, size: str, language: str) -> None:
        self.page = page
        self.mark = f"{size}-{language}"
        self.found: dict[str, str] = {}
        self._axe = Axe()

    def look(self, name: str) -> None:
        self.page.wait_for_load_state()
        if not self.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"):
            self.found[name] = "wider than the screen"
        for scheme in ("light", "dark"):
            self.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            keep(self.page, f"join-{scheme}-{name}-{self.mark}")
            for fault in (*odd_sizes(self.page), *small_targets(self.page), *faint_edges(self.page)):
                self.found[f"{name} {scheme} {fault}"] = "looks"
            result: dict[str, Any] = self._axe.run(self.page)
            for violation in result["violations"]:
                self.found[f"{name} {scheme} {violation['id']}"] = str(violation["nodes"][0]["target"][0])


@pytest.mark.parametrize(("size", "language"), [("phone", "vi"), ("desk", "en")])
def test_every_page_of_joining_is_looked_at(chromium: Browser, place: Place, size: str, language: str) -> None:
    """The host prints, a family joins, forgets its PIN, and is told of a slip it may stop."""
    place.run(lambda: make_person(place.services.database, place.now, "truong", OrganisationKind.SCHOOL, Role.SCHOOL_ADMIN))
    viewport: Any = PHONE if size == "phone" else DESK
    options: dict[str, Any] = {"viewport": viewport, "locale": "vi-VN" if language == "vi" else "en-GB", "bypass_csp": True}
    host, family = chromium.new_context(**options), chromium.new_context(**options)
    desk, phone = Looker(host.new_page(), size, language), Looker(family.new_page(), size, language)
    page = desk.page
    page.goto(f"{place.address}/sign-in")
    desk.look("sign-in")
    page.fill("#sign_in", "truong")
    page.fill("#password", PASSWORD)
    page.click("main form button")
    page.goto(f"{place.address}/families")
    desk.look("families-empty")
    page.fill("#label", "Trường tiểu học Kim Đồng")
    page.click("form[action='/families/codes'] button")
    page.locator(".qr").wait_for()
    desk.look("sheet")
    sheet = page.locator(".sheet .mono").inner_text().rpartition("/")[2]
    page.goto(f"{place.address}/families")
    desk.look("families")

    page = phone.page
    page.goto(f"{place.address}/family/{sheet}")
    phone.look("name")
    page.fill("#sign_in", "melan")
    page.fill("#pin", PIN)
    page.fill("#again", PIN)
    page.click("main form button")
    phone.look("children")
    page.fill("#label-1", "Bi")
    page.click("button[name=go]")
    phone.look("phone")
    page.click("main form button")
    phone.look("recovery")
    page.click("main form button")
    page.locator(".qr").wait_for()
    phone.look("recovery-sheet")
    page.goto(f"{place.address}/account")
    phone.look("account")

    desk.page.fill("#sign_in", "melan")
    desk.page.click("form[action='/families/pin'] button")
    desk.page.locator(".qr").wait_for()
    desk.look("slip")
    page.goto(f"{place.address}/")
    phone.look("told")
    page.goto(f"{place.address}/new-pin")
    phone.look("new-pin")
    for one in (host, family):
        one.close()
    assert {**desk.found, **phone.found} == {}


def test_family_joins_with_scripts_off(page: Page, place: Place, size: str) -> None:
    """By the school's printed sheet: name and PIN, a child, this phone, the recovery sheet; then, PIN forgotten, in again by that sheet."""
    place.run(lambda: make_person(place.services.database, place.now, "truong", OrganisationKind.SCHOOL, Role.SCHOOL_ADMIN))
    sign_in(page, place, "truong")
    page.goto(f"{place.address}/families")
    page.fill("#label", "Trường tiểu học Kim Đồng")
    page.click("form[action='/families/codes'] button")
    expect(page.locator(".qr")).to_be_visible()
    sheet = page.locator(".sheet .mono").inner_text().rpartition("/")[2]
    page.context.clear_cookies()

    page.goto(f"{place.address}/family/{sheet}")
    for field, text in (("#sign_in", "melan"), ("#pin", PIN), ("#again", PIN)):
        page.fill(field, text)
    page.click("main form button")
    page.fill("#label-1", "Bi")
    page.click("button[name=go]")
    keep(page, f"join-noscript-phone-{size}")
    page.click("main form button")
    keep(page, f"join-noscript-recovery-{size}")
    page.click("main form button")
    expect(page.locator(".qr")).to_be_visible()
    found = re.search(r"/new-pin/([a-z0-9-]{17})", page.content())
    assert found is not None
    keep(page, f"join-noscript-sheet-{size}")
    page.goto(f"{place.address}/")
    expect(page.locator("main")).to_contain_text("Bi")
    page.context.clear_cookies()

    page.goto(f"{place.address}/new-pin/{found[1]}")
    keep(page, f"join-noscript-forgotten-{size}")
    page.fill("#pin", NEW_PIN)
    page.fill("#again", NEW_PIN)
    page.click("main form button")
    page.wait_for_url(lambda url: "/new-pin" not in url)
    page.context.clear_cookies()
    page.goto(f"{place.address}/sign-in")
    page.fill("#sign_in", "melan")
    page.fill("#password", NEW_PIN)
    page.click("main form button")
    expect(page.locator("main")).to_contain_text("Bi")


def test_the_printed_sheet_is_one_page(chromium: Browser, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it says what the browser says of a certificate of the machine's own: A4, and nothing on a second page."""
    monkeypatch.setattr("admin.owncertificate.own_fingerprint", lambda settings: "AB12 " * 15 + "AB12")
    place.run(lambda: make_person(place.services.database, place.now, "truong", OrganisationKind.SCHOOL, Role.SCHOOL_ADMIN))
    page = chromium.new_context(locale="vi-VN").new_page()
    sign_in(page, place, "truong")
    page.goto(f"{place.address}/families")
    page.fill("#label", "Trường tiểu học Kim Đồng")
    page.click("form[action='/families/codes'] button")
    expect(page.locator(".note-amber")).to_contain_text("so dấu vân tay SHA-256")
    pages = re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4"))
    page.context.close()
    assert len(pages) == 1
