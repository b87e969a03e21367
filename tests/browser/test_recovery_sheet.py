"""Chromium at the recovery sheet: kept with one press at the end of the set-up, used at the door, on a phone of 360 pixels and at a desk.
With scripts off the whole way works; with scripts on axe finds nothing on any of its pages, in both languages and both schemes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from admin.setup import ensure_token
from tests.browser.conftest import DESK, PHONE, Place, keep, sign_in
from tests.browser.test_joining_pages import Looker
from tests.support.family import make_family
from tests.support.people import PASSWORD

pytestmark = pytest.mark.full
FRESH = "tháng tám trời xanh"


def code_on(page: Page) -> str:
    expect(page.locator(".qr")).to_be_visible()
    found = re.search(r"/new-password/([a-z0-9-]{17})", page.content())
    assert found is not None
    return found[1]


def set_password(page: Page) -> None:
    page.fill("#password", FRESH)
    page.fill("#again", FRESH)
    page.click("main form button")


def test_a_mother_sets_up_keeps_the_sheet_and_comes_back_by_it(page: Page, place: Place, size: str) -> None:
    """Four questions, one press for the sheet, all with scripts off; later the password is forgotten, on another phone."""
    page.goto(f"{place.address}/setup/{ensure_token(place.settings.state_dir)}")
    page.click("button[name=go]")
    page.fill("#label-1", "Bi")
    page.click("button[name=go]")
    page.click("button[name=go]")
    page.fill("#password", PASSWORD)
    page.fill("#again", PASSWORD)
    page.click("button[name=go]")
    page.wait_for_url("**/check/*")
    page.goto(f"{page.url.partition('?')[0]}?n=5")
    keep(page, f"sheet-offered-{size}")
    page.click("form[action='/recovery'] button")
    code = code_on(page)
    keep(page, f"sheet-noscript-{size}")
    page.goto(f"{place.address}/check")
    expect(page.locator("form[action='/recovery']")).to_have_count(0)
    page.context.clear_cookies()

    page.goto(f"{place.address}/sign-in")
    page.click("main form button")
    page.click("a[href='/new-password']")
    page.fill("#code", code.upper())
    page.click("main form button")
    set_password(page)
    expect(page.locator("form[action='/recovery'] button")).to_be_visible()
    page.context.clear_cookies()
    page.goto(f"{place.address}/new-password/{code}")
    set_password(page)
    expect(page.locator(".mistake").first).to_be_visible()
    page.goto(f"{place.address}/sign-in")
    page.fill("#sign_in", "bame")
    page.fill("#password", FRESH)
    page.click("main form button")
    expect(page.locator("main")).to_contain_text("Bi")
    expect(page.locator("main")).to_contain_text("đã được đặt lại bằng phiếu khôi phục")


@pytest.mark.parametrize(("width", "language"), [("phone", "vi"), ("phone", "en"), ("desk", "vi"), ("desk", "en")])
def test_every_page_of_the_sheet_is_looked_at(chromium: Browser, place: Place, width: str, language: str) -> None:
    """The account page without and with a sheet, the sheet, the door, a new password and its mistakes, what others read."""
    place.run(lambda: make_family(place.services))
    viewport: Any = PHONE if width == "phone" else DESK
    context = chromium.new_context(viewport=viewport, locale="vi-VN" if language == "vi" else "en-GB", bypass_csp=True)
    look = Looker(context.new_page(), width, language)
    page = look.page
    sign_in(page, place)
    page.goto(f"{place.address}/account")
    look.look("sheet-account")
    page.goto(f"{place.address}/recovery")
    look.look("sheet-none")
    page.click("form[action='/recovery'] button")
    code = code_on(page)
    look.look("sheet")
    page.goto(f"{place.address}/account")
    look.look("sheet-account-made")
    context.clear_cookies()
    page.goto(f"{place.address}/sign-in")
    page.click("summary")
    look.look("sheet-door")
    page.goto(f"{place.address}/new-password/{code}")
    look.look("sheet-new-password")
    page.fill("#password", "12345678")
    page.fill("#again", "12345678")
    page.click("main form button")
    expect(page.locator(".mistake").first).to_be_visible()
    look.look("sheet-mistakes")
    set_password(page)
    expect(page.locator("form[action='/recovery']")).to_be_visible()
    page.goto(f"{place.address}/")
    look.look("sheet-told")
    context.close()
    assert look.found == {}
