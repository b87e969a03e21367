"""Chromium at the family's pages: set up, go offline, open, ask and answer, at 360 and 1280 pixels, without a script.

`test_every_page.py` opens every page there is."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from admin.requests import Asked, ask
from admin.setup import ensure_token
from admin.values import RequestReason
from tests.browser.conftest import DESK, Place, keep, sign_in
from tests.support.family import Family, make_family
from tests.support.people import PASSWORD

pytestmark = pytest.mark.full


@pytest.fixture
def family(place: Place) -> Family:
    """A family with its phones seen, one new device, and a request."""
    made: Family = place.run(lambda: make_family(place.services))
    place.run(lambda: place.services.applier.settle(made.tenant))
    now = place.now
    place.gateway.see("127.0.0.1", now, client=made.bi_phone, tenant=made.tenant)
    place.gateway.see("192.168.1.32", now - timedelta(minutes=47), client=made.na_phone, tenant=made.tenant)
    place.gateway.see("192.168.1.77", now - timedelta(minutes=1), mac="da:22:fb:00:00:77", tenant=made.tenant)
    place.gateway.block("127.0.0.1", "www.roblox.com", "game", now)

    async def wish() -> None:
        async with place.services.database.write() as connection:
            asked = Asked(made.bi.id, "scratch.mit.edu", RequestReason.LESSON, "Cô dặn làm bài trên trang này ạ", made.bi.band)
            await ask(connection, made.tenant, asked, now - timedelta(minutes=12))

    place.run(wish)
    return made


def test_wizard_in_four_pages_then_protected(page: Page, place: Place, size: str) -> None:
    """A parent walks from the printed link to "protected" with eleven presses, and sees no mistake of ours on the way."""
    place.gateway.see("127.0.0.1", place.now)
    place.gateway.see("192.168.1.31", place.now - timedelta(minutes=3), mac="3c:22:fb:00:00:31")
    page.goto(f"{place.address}/setup/{ensure_token(place.settings.state_dir)}")
    keep(page, f"wizard-1-{size}")
    page.click("button[name=go]")
    page.fill("#label-1", "Bi")
    page.click("button[name=add]")
    page.fill("#label-2", "Na")
    page.select_option("#band-2", "PT")
    keep(page, f"wizard-2-{size}")
    page.click("button[name=go]")
    page.select_option("#owner-2", "0")
    keep(page, f"wizard-3-{size}")
    page.click("button[name=go]")
    page.fill("#password", PASSWORD)
    page.fill("#again", PASSWORD)
    keep(page, f"wizard-4-{size}")
    page.click("button[name=go]")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Đang kiểm tra máy này")
    keep(page, f"wizard-5-{size}")
    found = re.search(r"/check/(\w+)", page.url)
    assert found
    place.gateway.probes[found[1]] = {"address": "127.0.0.1", "profile": "", "client": None, "transport": "udp", "generation": 12}
    # the page reloads by itself, without a script
    expect(page.get_by_role("heading", level=1)).to_have_text("Máy này được bảo vệ", timeout=40_000)
    keep(page, f"wizard-6-{size}")


def test_childs_page_offline_and_on_again(page: Page, place: Place, family: Family, size: str) -> None:
    """Home, the child, no internet for an hour, and on again: what each press does is said at once."""
    sign_in(page, place)
    expect(page.get_by_role("heading", name="Bi")).to_be_visible()
    keep(page, f"home-{size}")
    page.click("text=Tắt mạng… >> nth=0")
    page.click("form[action$='/off'] button[value='1h']")
    expect(page.get_by_text("Đã tắt mạng đến 20:30")).to_be_visible()
    expect(page.get_by_text("Đã có hiệu lực trên cổng lọc")).to_be_visible()
    keep(page, f"profile-off-{size}")
    page.click("text=Mở mạng lại")
    expect(page.get_by_text("Đang mở").first).to_be_visible()


def test_opening_asks_for_the_password_and_goes_on(page: Page, place: Place, family: Family, size: str) -> None:
    """After a while the same press meets one field, and then does what was pressed."""
    sign_in(page, place)
    place.now += timedelta(minutes=11)
    page.goto(f"{place.address}/profiles/{family.bi.id}")
    page.check("input[value=games]")
    page.click("form[action$='/open'] button[value='30m']")
    expect(page.get_by_role("heading", level=1)).to_have_text("Xin nhập mật khẩu")
    keep(page, f"confirm-{size}")
    page.fill("#_password", PASSWORD)
    page.click("main form button")
    expect(page.get_by_text("Mở thêm đến 20:11")).to_be_visible()


def test_child_asks_and_parent_answers(page: Page, place: Place, family: Family, size: str, chromium: Browser) -> None:
    """A child completes the form, the parent answers on another screen, the child sees it by the code."""
    page.goto(f"{place.page_address}/why")
    keep(page, f"why-{size}")
    page.click("text=Xin mở >> nth=0")
    page.check("input[value=lesson]")
    page.fill("#note", "Em cần làm bài nhóm")
    keep(page, f"ask-{size}")
    page.click("button:has-text('Gửi')")
    expect(page.get_by_role("heading", level=1)).to_have_text("Đã gửi rồi")
    keep(page, f"asked-{size}")
    parent = chromium.new_context(viewport=DESK, locale="vi-VN", java_script_enabled=False)  # type: ignore[arg-type]
    desk = parent.new_page()
    sign_in(desk, place)
    desk.goto(f"{place.address}/requests")
    if size == "desk":
        keep(desk, "requests-desk")
    card = desk.locator("article", has=desk.get_by_role("heading", name="www.roblox.com"))
    card.locator("button[value='1h']").click()
    expect(desk.get_by_text("Đã trả lời gần đây")).to_be_visible()
    parent.close()
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("Được, mở đến 20:30")
    keep(page, f"answered-{size}")


def test_distress_meets_help_first(page: Page, place: Place, family: Family, size: str) -> None:
    """Before anything is sent, 111 stands there as the largest thing."""
    page.goto(f"{place.page_address}/ask?host=www.roblox.com")
    page.check("input[value=other]")
    page.fill("#note", "em bị đánh")
    page.click("button:has-text('Gửi')")
    expect(page.get_by_role("link", name="Gọi 111")).to_be_visible()
    keep(page, f"help-first-{size}")


def test_countdown_stays_true_while_the_page_is_open(chromium: Browser, place: Place, family: Family) -> None:
    """With scripts, the minutes go down by themselves, and at the end the page shows what holds then."""
    context = chromium.new_context(viewport=DESK, locale="vi-VN")  # type: ignore[arg-type]
    page = context.new_page()
    page.clock.install(time=place.now)
    sign_in(page, place, kept=True)
    page.goto(f"{place.address}/profiles/{family.bi.id}")
    page.click("form[action$='/off'] button[value='30m']")
    expect(page.locator("[data-until]").first).to_have_text("30 phút")
    page.clock.run_for(11 * 60_000)
    expect(page.locator("[data-until]").first).to_have_text("19 phút")
    place.now += timedelta(minutes=31)
    page.fill("input[name=clock] >> nth=0", "21")  # somebody is typing: nothing is taken from under the hands
    page.clock.run_for(20 * 60_000)
    expect(page.locator("input[name=clock]").first).to_have_value("21")
    page.evaluate("document.activeElement.blur()")
    page.clock.run_for(20_000)
    expect(page.get_by_text("Đang mở").first).to_be_visible()
    context.close()
