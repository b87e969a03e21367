"""What a designer measures really finds faults; and what pages do beside being looked at: stand still while they load, print on one sheet.

`test_every_page.py` measures every page with the same instruments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from admin.audit import Act, by_account
from admin.requests import Asked, ask
from admin.sharing import set_pin
from admin.values import RequestReason
from blocklists.tables import OrganisationKind, Role
from tests.browser.conftest import DESK, PHONE, Place, sign_in
from tests.browser.looks import faint_edges, odd_sizes, small_targets
from tests.support.family import Family, make_family
from tests.support.people import make_person

pytestmark = pytest.mark.full

#: How far parts may move under the eyes, all in all (Chromium's measure; 0.1 is called good).
MOVES = 0.01
_MOVED = """() => new Promise(done => {
  let sum = 0;
  const watch = new PerformanceObserver(list => { for (const one of list.getEntries()) sum += one.value; });
  watch.observe({ type: "layout-shift", buffered: true });
  scrollTo(0, document.documentElement.scrollHeight);
  requestAnimationFrame(() => setTimeout(() => done(sum), 300));
})"""


@pytest.fixture
def family(place: Place) -> Family:
    """A family whose child holds this very device, with something blocked."""
    made: Family = place.run(lambda: make_family(place.services))
    place.run(lambda: place.services.applier.settle(made.tenant))
    place.gateway.see("127.0.0.1", place.now, client=made.bi_phone, tenant=made.tenant)
    place.gateway.see("192.168.1.77", place.now - timedelta(minutes=1), mac="da:22:fb:00:00:77", tenant=made.tenant)
    place.gateway.block("127.0.0.1", "www.roblox.com", "game", place.now)
    return made


@pytest.fixture
def sheet(chromium: Browser) -> Iterator[Page]:
    """A tab at a desk."""
    context = chromium.new_context(viewport=DESK, locale="vi-VN", bypass_csp=True)  # type: ignore[arg-type]
    yield context.new_page()
    context.close()


def test_the_instruments_find_faults(sheet: Page) -> None:
    """A letter of 14 pixels, a button of 30, a field nobody sees; and nothing where nothing is wrong."""
    sheet.set_content(
        "<p style='font-size:14px'>vừa vừa</p><button style='height:30px;font-size:17px'>nhỏ</button>"
        "<input style='border:1px solid #eee;height:48px'>"
    )
    assert odd_sizes(sheet) == ["14.00px: vừa vừa"]
    assert len(small_targets(sheet)) == 1
    assert len(faint_edges(sheet)) == 1
    sheet.set_content("<p style='font-size:15px'>tốt</p><button style='height:48px;width:90px;font-size:17px'>tốt</button>")
    assert odd_sizes(sheet) + small_targets(sheet) + faint_edges(sheet) == []


def test_nothing_moves_while_a_page_loads(chromium: Browser, place: Place, family: Family) -> None:
    """No part moves under the eyes."""
    context = chromium.new_context(viewport=PHONE, locale="vi-VN", bypass_csp=True)  # type: ignore[arg-type]
    page = context.new_page()
    sign_in(page, place)
    moved = {}
    paths = ("/", f"/profiles/{family.bi.id}", f"/profiles/{family.bi.id}/hours", "/requests", "/devices", "/why")
    for path in paths:
        page.goto((place.page_address if path == "/why" else place.address) + path)
        moved[path] = page.evaluate(_MOVED)
    context.close()
    assert {path: much for path, much in moved.items() if much > MOVES} == {}


def test_guide_keeps_the_place_of_its_pictures(sheet: Page, place: Place) -> None:
    """It is as long before its pictures have come as afterwards: who pressed a line of the contents stays there."""
    sheet.goto(f"{place.address}/guide/phu-huynh")
    before = sheet.evaluate("document.documentElement.scrollHeight")
    sheet.evaluate("document.querySelectorAll('img').forEach(one => { one.loading = 'eager' })")
    sheet.wait_for_function("[...document.images].length > 3 && [...document.images].every(one => one.complete && one.naturalWidth)")
    assert sheet.evaluate("document.documentElement.scrollHeight") == before


def test_cards_print_on_one_sheet(chromium: Browser, sheet: Page, place: Place, family: Family) -> None:
    """The way-in card, the go-back card and a phone's sheet: one page of A4 each, light even where the screen is dark."""
    sign_in(sheet, place)
    sheet.goto(f"{place.address}/profiles/{family.bi.id}/phones/new")
    sheet.fill("#label", "máy xanh")
    sheet.click("main form button")
    sheet.locator(".qr").wait_for()
    for path in ("/cards/way-in", "/cards/go-back", sheet.url.removeprefix(place.address)):
        assert printed(sheet, place.address + path) == 1, path


def test_sheets_of_a_school_print_on_one_sheet(sheet: Page, place: Place) -> None:
    """The sheet for families, and the picture for staff."""
    place.run(lambda: make_person(place.services.database, place.now, "truong", OrganisationKind.SCHOOL, Role.SCHOOL_ADMIN))
    sign_in(sheet, place, "truong")
    sheet.goto(f"{place.address}/families")
    sheet.fill("#label", "Trường tiểu học Kim Đồng")
    sheet.click("form[action='/families/codes'] button")
    sheet.locator(".qr").wait_for()
    assert printed(sheet, sheet.url) == 1


def printed(sheet: Page, address: str) -> int:
    """How many pages of A4 a page takes; on paper it is dark letters on white."""
    sheet.emulate_media(media="print", color_scheme="dark")
    sheet.goto(address)
    ink: Any = sheet.evaluate("getComputedStyle(document.body).color")
    assert ink == "rgb(29, 42, 45)"
    pages = len(re.findall(rb"/Type\s*/Page\b", sheet.pdf(format="A4")))
    sheet.emulate_media(media="screen", color_scheme="light")
    return pages


def test_the_field_of_the_pin_is_for_fingers(place: Place, family: Family, chromium: Browser) -> None:
    """Where an adult borrows the child's phone, and where one answers on the same screen."""

    async def fill() -> str:
        services, now = place.services, place.now
        act = Act(family.tenant, by_account(family.account, Role.PARENT), now)
        async with services.database.write() as connection:
            await set_pin(connection, act, "no form of a password")
            wish = Asked(family.bi.id, "scratch.mit.edu", RequestReason.LESSON, "", family.bi.band)
            return (await ask(connection, family.tenant, wish, now)).code

    code = place.run(fill)
    context = chromium.new_context(viewport=PHONE, locale="vi-VN")  # type: ignore[arg-type]
    page = context.new_page()
    for path in ("/adult", f"/answer/{code}/here"):
        page.goto(f"{place.address}{path}")
        assert page.locator("#pin").count() == 1, path
        assert (small_targets(page), faint_edges(page)) == ([], []), path
    context.close()
