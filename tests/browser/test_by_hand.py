"""The main journeys with a keyboard alone and without a script: every stop can be seen, a mistake has the cursor.

Also what people set in their system: less motion, colours of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import PHONE, Place, keep
from tests.support.family import Family, make_family
from tests.support.people import PASSWORD

pytestmark = pytest.mark.full

#: What stands under the cursor, and why a person could not see that it does. The skip link is above the page until it is reached.
_STOP = """() => {
  const one = document.activeElement, style = getComputedStyle(one), box = one.getBoundingClientRect();
  if (one === document.body) return { words: "", fault: "" };
  const words = (one.innerText || one.getAttribute("aria-label") || one.labels?.[0]?.innerText || one.name || "").trim();
  const shown = [4, box.height / 2, box.height - 4].some(down => {  // some of it: a tall field may reach beyond the screen
    const there = document.elementFromPoint(box.x + box.width / 2, box.y + down);
    if (!there || !there.closest("main, header, footer, .skip")) return false;
    return one.contains(there) || there.contains(one) || one.labels?.[0]?.contains(there);
  });
  const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  return { words, fault: !ring ? "no ring" : !shown ? "hidden behind something" : "" };
}"""


class Hands:
    """A person without a mouse: Tab, Enter, Space and letters."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.faults: list[str] = []
        self.stops: list[str] = []

    def stop(self) -> str:
        """Where the cursor is now, in words."""
        found: dict[str, str] = self.page.evaluate(_STOP)
        if found["fault"]:
            self.faults.append(f"{self.page.url}: {found['words']!r} {found['fault']}")
        return found["words"]

    def tab_to(self, words: str, most: int = 60) -> None:
        """Press Tab until the cursor stands on what begins with `words`; every stop on the way is looked at."""
        for _ in range(most):
            self.page.keyboard.press("Tab")
            self.stops.append(self.stop())
            if self.stops[-1].startswith(words):
                return
        raise AssertionError(f"{words!r} is not reached by Tab: {self.stops[-most:]}")

    def press(self, key: str = "Enter") -> None:
        """Press what is under the cursor, and wait for the page it leads to."""
        with self.page.expect_navigation():
            self.page.keyboard.press(key)


@pytest.fixture
def family(place: Place) -> Family:
    """A family whose child holds this very device."""
    made: Family = place.run(lambda: make_family(place.services))
    place.run(lambda: place.services.applier.settle(made.tenant))
    place.gateway.see("127.0.0.1", place.now, client=made.bi_phone, tenant=made.tenant)
    place.gateway.see("192.168.1.32", place.now - timedelta(minutes=47), client=made.na_phone, tenant=made.tenant)
    place.gateway.block("127.0.0.1", "www.roblox.com", "game", place.now)
    return made


@pytest.fixture
def hands(chromium: Browser, size: str) -> Iterator[Hands]:
    """A tab without scripts."""
    viewport: Any = PHONE if size == "phone" else {"width": 1280, "height": 700}
    context = chromium.new_context(viewport=viewport, locale="vi-VN", java_script_enabled=False)
    yield Hands(context.new_page())
    context.close()


def test_parent_signs_in_and_switches_off_by_keyboard(hands: Hands, place: Place, family: Family, size: str) -> None:
    """From the door to "no internet" and back; the first stop of a page skips its head."""
    page = hands.page
    page.goto(f"{place.address}/sign-in")
    page.keyboard.press("Tab")
    assert hands.stop() == "Đến phần nội dung"
    page.keyboard.press("Enter")
    hands.tab_to("Tên đăng nhập", 1)  # the skip link leads past the head
    page.keyboard.type("me")
    hands.tab_to("Mật khẩu", 1)
    page.keyboard.type(PASSWORD)
    hands.press()
    hands.tab_to("Tắt mạng…")
    hands.press()
    hands.tab_to("1 giờ")
    hands.press()
    expect(page.get_by_text("Đã tắt mạng đến 20:30")).to_be_visible()
    hands.tab_to("Mở mạng lại")
    hands.press()
    expect(page.get_by_text("Đang mở").first).to_be_visible()
    for tab in ("Trang chủ", "Xin phép", "Thiết bị", "Thêm"):
        assert any(stop.startswith(tab) for stop in hands.stops), tab
    hands.tab_to("English")  # to the very end of the page, past everything
    assert hands.faults == []


def test_child_asks_by_keyboard_and_mends_a_mistake(hands: Hands, place: Place, family: Family, size: str) -> None:
    """The first stop of a child's page leads away quickly; a mistake has the cursor, with its sentence read beside it."""
    page = hands.page
    page.goto(f"{place.page_address}/why")
    page.keyboard.press("Tab")
    assert hands.stop() == "Thoát nhanh"
    hands.tab_to("Xin mở")
    hands.press()
    hands.tab_to("Gửi")
    hands.press()
    assert "Xem lại" in page.title()
    assert page.evaluate("document.activeElement.name") == "reason"
    page.keyboard.press("Space")
    hands.tab_to("Gửi")
    hands.press()
    expect(page.get_by_role("heading", level=1)).to_have_text("Đã gửi rồi")
    assert hands.faults == []


def test_two_mistakes_are_listed_with_a_way_to_each(hands: Hands, place: Place, family: Family, size: str) -> None:
    """The cursor begins at the list; its first line leads to the sentence before the field, and the next stop is the field."""
    page = hands.page
    page.goto(f"{place.address}/sign-in")
    page.fill("#sign_in", "me")
    page.fill("#password", PASSWORD)
    with page.expect_navigation():
        page.click("main form button")
    page.goto(f"{place.address}/profiles/{family.bi.id}/history")
    with page.expect_navigation():
        page.click("form[action$='/history'] button")
    keep(page, f"two-mistakes-{size}")
    assert page.evaluate("document.activeElement.getAttribute('aria-labelledby')") == "mistakes-title"
    page.keyboard.press("Tab")
    target = page.evaluate("document.activeElement.getAttribute('href')")
    page.keyboard.press("Enter")
    assert page.evaluate("'#' + document.activeElement.id") == target
    page.keyboard.press("Tab")
    assert page.evaluate("`#${document.activeElement.name}-mistake`") == target
    assert hands.faults == []


def test_less_motion_and_own_colours(chromium: Browser, place: Place, family: Family) -> None:
    """With less motion nothing moves; in the system's own colours axe finds nothing and the week keeps its colours."""
    context = chromium.new_context(viewport=PHONE, locale="vi-VN", reduced_motion="reduce", forced_colors="active")  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{place.address}/sign-in")
    page.fill("#sign_in", "me")
    page.fill("#password", PASSWORD)
    with page.expect_navigation():
        page.click("main form button")
    for path in ("/", f"/profiles/{family.bi.id}", f"/profiles/{family.bi.id}/hours", f"/profiles/{family.bi.id}/apps", "/check"):
        page.goto(place.address + path)
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        assert page.evaluate("document.getAnimations().length") == 0, path
        assert Axe().run(page)["violations"] == [], path
        keep(page, f"own-colours{path.replace('/', '-')}")
    page.goto(f"{place.address}/profiles/{family.bi.id}/hours")
    assert page.evaluate("getComputedStyle(document.querySelector('.legend .rest')).backgroundColor") == "rgb(240, 183, 94)"
    context.close()
