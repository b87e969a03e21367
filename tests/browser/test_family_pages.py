"""Chromium at the family's pages: set up, go offline, open, ask and answer, at 360 and 1280 pixels, without a script; axe finds nothing."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from admin.requests import Asked, ask
from admin.setup import ensure_token
from admin.values import RequestReason
from tests.browser.conftest import DESK, PHONE, Place, keep
from tests.support.family import Family, make_family
from tests.support.people import PASSWORD

pytestmark = pytest.mark.full


def sign_in(page: Page, place: Place, *, kept: bool = False) -> None:
    page.goto(f"{place.address}/sign-in")
    if kept:
        page.check("input[name=kept]")
    page.fill("#sign_in", "me")
    page.fill("#password", PASSWORD)
    page.click("main form button")


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
    page.clock.run_for(20 * 60_000)
    expect(page.get_by_text("Đang mở").first).to_be_visible()
    context.close()


PAGES = ("/", "/profiles/{bi}", "/profiles/{bi}/hours", "/profiles/{bi}/apps", "/profiles/{bi}/groups", "/profiles/{bi}/names",
         "/profiles/{bi}/settings", "/profiles/{bi}/history", "/profiles/{bi}/timetable", "/dates", "/choices", "/digest",
         "/account", "/account/factor", "/pin", "/adult", "/backup",
         "/profiles/new", "/devices", "/requests", "/more", "/journal", "/tokens", "/sign-in",
         "/cards/way-in", "/cards/go-back", "/guide", "/guide/phu-huynh", "/new-pin", "/transfer", "/place", "/list-office")  # fmt: skip
CHILD_PAGES = ("/why", "/add", "/ask?host=scratch.mit.edu", "/answer", "/help", "/history", "/lesson/scam", "/lesson/grooming")


@pytest.fixture
def watched(chromium: Browser, size: str) -> Iterator[tuple[Page, list[str]]]:
    """A tab that may run scripts, and everything the browser complains about."""
    viewport = PHONE if size == "phone" else DESK
    context = chromium.new_context(viewport=viewport, locale="vi-VN", bypass_csp=False)  # type: ignore[arg-type]
    tab = context.new_page()
    complaints: list[str] = []
    tab.on("console", lambda one: complaints.append(f"{one.text} {one.location['url']}") if one.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    yield tab, complaints
    context.close()


def look(page: Page, address: str, path: str, name: str, size: str) -> None:
    """Open a page, see that nothing is wider than the screen, keep a picture of it."""
    page.goto(address + path)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
    keep(page, f"{name.replace('/', '-').rstrip('-')}-{size}")


def test_no_page_overflows_or_breaks_the_content_policy(watched: tuple[Page, list[str]], place: Place, family: Family, size: str) -> None:
    """Every page in both schemes and both languages: no sideways scrolling, no complaint of the browser."""
    page, complaints = watched
    sign_in(page, place)
    for path in PAGES:
        look(page, place.address, path.format(bi=family.bi.id), f"light{path.format(bi='bi')}", size)
    for path in CHILD_PAGES:
        look(page, place.page_address, path, f"light-child{path.partition('?')[0]}", size)
    page.emulate_media(color_scheme="dark")
    for path in PAGES:
        look(page, place.address, path.format(bi=family.bi.id), f"dark{path.format(bi='bi')}", size)
    for path in CHILD_PAGES:
        look(page, place.page_address, path, f"dark-child{path.partition('?')[0]}", size)
    page.emulate_media(color_scheme="light")
    page.goto(f"{place.address}/more")
    page.click("footer button[value=en]")
    for path in PAGES:
        look(page, place.address, path.format(bi=family.bi.id), f"english{path.format(bi='bi')}", size)
    assert complaints == []


def test_axe_finds_nothing(chromium: Browser, place: Place, family: Family, size: str) -> None:
    """Names, roles, contrast, order: nothing serious and nothing small, in light and dark."""
    viewport = PHONE if size == "phone" else DESK
    context = chromium.new_context(viewport=viewport, locale="vi-VN", bypass_csp=True)  # type: ignore[arg-type]
    page = context.new_page()
    sign_in(page, place)
    found: dict[str, list[str]] = {}
    axe = Axe()
    addresses = [place.address + path for path in PAGES] + [place.page_address + path for path in CHILD_PAGES]
    for scheme, address in itertools.product(("light", "dark"), addresses):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.goto(address.format(bi=family.bi.id))
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        result: dict[str, Any] = axe.run(page)
        for violation in result["violations"]:
            targets = [str(node["target"][0]) for node in violation["nodes"]][:3]
            found.setdefault(f"{violation['impact']} {violation['id']}", []).append(f"{address} {scheme} {targets}")
    context.close()
    assert found == {}
