"""Every page of families, schools and children there is, opened in Chromium: nothing is wider than the screen, the browser complains of
nothing, axe finds nothing, in light and dark, at 360 and 1280 pixels, in both languages.

The list is made from the routes themselves: a page that nobody lists here fails the first test.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

import admin.routes
from admin.demo import _school
from admin.passwords import Passwords
from admin.profiles import list_profiles
from admin.requests import Asked, ask
from admin.setup import Owner, ensure_token, make_tenant
from admin.values import RequestReason
from tests.browser.conftest import DESK, PHONE, Place, keep, sign_in
from tests.browser.looks import faint_edges, odd_sizes, small_targets, squeezed
from tests.support.family import make_family
from tests.support.people import PASSWORD

pytestmark = pytest.mark.full

#: Who opens a page: a parent where nothing is said. `{bi}` and the like are filled in from `Town.ids`.
SCHOOL = ("/families", "/families/codes/{code}", "/staff")
OPEN = ("/sign-in", "/family/{code}", "/staff-join/{code}", "/phone/{token}", "/phone/{token}/check", "/phone/{token}/computer/{box}",
        "/new-pin", "/new-password")  # fmt: skip
#: Pages behind every blocked name, on their own port.
CHILD = ("/why", "/ask", "/answer", "/answer/{code}", "/lesson/{topic}", "/add", "/help", "/history", "/own/look")
#: What other tests of this folder (and the last one here) open and read with axe.
ELSEWHERE = {
    "test_joining_pages.py": ("/welcome", "/welcome/phone", "/new-pin/{code}"),
    "test_recovery_sheet.py": ("/recovery", "/new-password/{code}"),
    "test_every_page.py": ("/setup/{token}", "/setup"),
    "test_further_roles.py": ("/emergency",),
    "test_office_pages.py": ("/office", "/transparency", "/report", "/setup-office", "/join"),
}
#: Not pages: pictures, files, what is only passed through, and what routers ask.
NO_PAGES = re.compile(r"\.svg$|\.mobileconfig$|manifest|/guide/pictures/|/guide/rules/|/release/|/check/\{nonce\}$|^/home/\{token\}$")
#: The same routes as somebody else sees them, and pages that only look different with something typed.
MORE_FOR_PARENT = ("/profiles/{adults}", "/profiles/{guests}", "/profiles/{bi}/apps?q=lien+quan", "/profiles/{bi}/names?name=game.example",
                   "/profiles/{bi}/apps?group=chat",
                   "/guide/box/vnpt", "/guide/box/fpt", "/guide/box/other", "/guide/box/mikrotik", "/guide/box/openwrt",
                   "/guide/box/chrome", "/no-such-page")  # fmt: skip
MORE_FOR_SCHOOL = ("/", "/profiles/{seven}", "/profiles/{seven}/hours", "/profiles/{teachers}", "/requests", "/devices", "/more",
                   "/choices", "/cards/way-in", "/profiles/new")  # fmt: skip
MORE_FOR_CHILD = ("/ask?host=scratch.mit.edu", "/lesson/grooming", "/lesson/betting", "/lesson/help", "/answer/zzzzzzzz")
LANDMARKS = ("/", "/profiles/{profile}", "/requests", "/more", "/sign-in", "/why")

_LOST_TABS = """() => [...document.querySelectorAll(".tabs a")].filter(one => one.getBoundingClientRect().right > innerWidth + 1)
  .map(one => `${location.pathname}: the tab ${one.innerText} is outside the screen`)"""


def page_routes() -> list[str]:
    """The path of every route that answers GET with a page, from the routers themselves."""
    found = []
    for module in pkgutil.iter_modules(admin.routes.__path__):
        router = getattr(importlib.import_module(f"admin.routes.{module.name}"), "router", None)
        if router is not None and not module.name.startswith("api"):
            found += [route.path for route in router.routes if "GET" in route.methods and not NO_PAGES.search(route.path)]
    return sorted(set(found))


def looked_at_elsewhere(path: str) -> bool:
    """Whether another file of this folder opens it."""
    exact = [path for name in ELSEWHERE if name != "test_office_pages.py" for path in ELSEWHERE[name]]
    return path in exact or any(path == start or path.startswith(f"{start}/") for start in ELSEWHERE["test_office_pages.py"])


def parents_routes() -> list[str]:
    """What is left for a parent's browser."""
    return [path for path in page_routes() if not looked_at_elsewhere(path) and path not in (*SCHOOL, *OPEN, *CHILD)]


@dataclass(frozen=True, slots=True)
class Town:
    """One control plane with a family and a school on it."""

    place: Place
    ids: dict[str, str]

    def address(self, path: str, *, child: bool = False) -> str:
        """Where a page is."""
        filled = re.sub(r"\{(\w+)\}", lambda found: self.ids[found[1]], path)
        return (self.place.page_address if child else self.place.address) + filled


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory, chromium: Browser) -> Iterator[Town]:
    """Started once for all pages; nothing on it is changed by looking."""
    place = Place(tmp_path_factory.mktemp("town"))
    family = place.run(lambda: make_family(place.services))
    now = place.now
    ids = {"bi": family.bi.id, "profile": family.bi.id, "adults": family.adults.id, "guests": family.guests.id}
    ids |= {"topic": "scam", "name": "phu-huynh", "box": "viettel", "computer": "windows"}

    async def fill() -> None:
        services = place.services
        owner = Owner("truong", await Passwords().hash(PASSWORD), "vi")
        async with services.database.write() as connection:
            made = await make_tenant(connection, _school(owner), services.shelves.current(), now)
            wish = Asked(family.bi.id, "scratch.mit.edu", RequestReason.LESSON, "Cô dặn làm bài trên trang này ạ", family.bi.band)
            ids["code"] = (await ask(connection, family.tenant, wish, now - timedelta(minutes=12))).code
        async with services.database.read() as connection:
            labels = {one.label: one.id for one in await list_profiles(connection, made.tenant)}
        ids["seven"], ids["teachers"] = labels["7A"], labels["Giáo viên"]
        for tenant in (family.tenant, made.tenant):
            await services.applier.settle(tenant)

    place.run(fill)
    place.gateway.see("127.0.0.1", now, client=family.bi_phone, tenant=family.tenant)
    place.gateway.see("192.168.1.32", now - timedelta(minutes=47), client=family.na_phone, tenant=family.tenant)
    place.gateway.see("192.168.1.77", now - timedelta(minutes=1), mac="da:22:fb:00:00:77", tenant=family.tenant)
    place.gateway.block("127.0.0.1", "www.roblox.com", "game", now)
    yield Town(place, ids)
    place.stop()


class Reader:
    """Reads whatever page is shown, and remembers what is wrong with it."""

    def __init__(self, page: Page, size: str) -> None:
        self.page = page
        self.size = size
        self.wrong: list[str] = []
        self._axe = Axe()
        page.on("console", lambda one: self._complain(f"{one.text} {one.location['url']}") if one.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self._complain(str(error)))

    def read(self, address: str, path: str, *, deep: bool) -> None:
        """Open a page and look at it; `deep`: with axe, and its contrasts in the dark as well."""
        self.page.goto(address)
        if deep:
            self.here(path)
        else:
            self.width(path)
            self.looks(path)

    def here(self, path: str) -> None:
        """Look in depth at the page that is shown."""
        self.width(path)
        self.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        self.looks(path)
        self._ask_axe(path, None)
        self.page.emulate_media(color_scheme="dark")
        self.wrong += [f"{path} in the dark: edge {one}" for one in faint_edges(self.page)]
        self._ask_axe(f"{path} in the dark", {"runOnly": ["color-contrast"]})
        keep(self.page, f"page{path.partition('?')[0].replace('/', '-')}-{self.size}-dark")
        self.page.emulate_media(color_scheme="light")

    def press(self, selector: str) -> None:
        """Press, and wait until the next page is there."""
        with self.page.expect_navigation():
            self.page.click(selector)

    def width(self, path: str) -> None:
        """Nothing is wider than the screen."""
        keep(self.page, f"page{path.partition('?')[0].replace('/', '-')}-{self.size}")
        if not self.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"):
            self.wrong.append(f"{path} is wider than the screen")
        # a bar that is fixed widens no page: it only loses its end
        self.wrong += self.page.evaluate(_LOST_TABS)

    def looks(self, path: str) -> None:
        """Letters are on the scale, controls are as large as a thumb, fields have an edge."""
        self.wrong += [f"{path}: letters {one}" for one in odd_sizes(self.page)]
        self.wrong += [f"{path}: target {one}" for one in small_targets(self.page)]
        self.wrong += [f"{path}: edge {one}" for one in faint_edges(self.page)]
        self.wrong += [f"{path}: letter under letter {one}" for one in squeezed(self.page)]

    def _ask_axe(self, path: str, options: dict[str, Any] | None) -> None:
        for violation in self._axe.run(self.page, options=options)["violations"]:
            targets = [str(node["target"][0]) for node in violation["nodes"]][:3]
            self.wrong.append(f"{path}: {violation['impact']} {violation['id']} {targets}")

    def _complain(self, text: str) -> None:
        # the page that is not there is looked at, too; and a check asks for a name that only a gateway answers
        if "status of 404" not in text and "ERR_NAME_NOT_RESOLVED" not in text:
            self.wrong.append(f"{self.page.url}: {text}")


def test_every_page_is_on_a_list() -> None:
    """A new route is a page for a parent and has every name in its path filled in, or stands on one of the lists above."""
    unknown = {name for path in parents_routes() for name in re.findall(r"\{(\w+)\}", path)} - {"profile", "name", "device", "code", "box"}
    assert unknown == set()
    assert set(SCHOOL + OPEN + CHILD) <= set(page_routes())


@pytest.mark.parametrize("size", ["phone", "desk"])
def test_every_page_is_read(chromium: Browser, town: Town, size: str) -> None:
    """On the phone every page in depth, and once more in English for its width; at the desk the width of all and a few in depth."""
    viewport: Any = PHONE if size == "phone" else DESK
    deep = size == "phone"
    wrong: list[str] = []
    for who in ("parent", "school"):
        context = chromium.new_context(viewport=viewport, locale="vi-VN")
        reader = Reader(context.new_page(), size)
        reader.read(town.address("/sign-in"), "/sign-in", deep=True)
        sign_in(reader.page, town.place, "me" if who == "parent" else "truong")
        paths = _made_by_parent(town, reader) if who == "parent" else _made_by_school(town, reader)
        for language in ("vi", "en"):
            if language == "en":
                reader.page.goto(town.address("/more"))
                reader.press("footer button[value=en]")
            for path in paths:
                reader.read(town.address(path), path, deep=language == "vi" and (deep or path in LANDMARKS))
            for path in (*CHILD, *MORE_FOR_CHILD) if who == "parent" else ():
                reader.read(town.address(path, child=True), f"/child{path}", deep=language == "vi" and (deep or path in LANDMARKS))
        context.close()
        wrong += reader.wrong
    assert wrong == []


def _made_by_parent(town: Town, reader: Reader) -> list[str]:
    """A phone's sheet is made by hand, then all of a parent's pages and what the sheet leads to."""
    page = reader.page
    page.goto(town.address("/profiles/{profile}/phones/new"))
    page.fill("#label", f"máy xanh {reader.size}")
    page.click("main form button")
    page.locator(".qr").wait_for()
    town.ids["device"] = page.url.rpartition("/")[2]
    found = re.search(r"/phone/([a-z0-9-]+)", page.inner_text("main"))
    assert found
    town.ids["token"] = found[1]
    sheet = ("/phone/{token}", "/phone/{token}/computer/{computer}", "/phone/{token}/computer/chrome")
    return [*parents_routes(), *MORE_FOR_PARENT, *sheet, "/new-pin"]


def _made_by_school(town: Town, reader: Reader) -> list[str]:
    """The pictures for staff and for families are made by hand, then a school's pages and what the pictures lead to."""
    page = reader.page
    page.goto(town.address("/staff"))
    if page.locator("#last").count():
        page.click("main form button")
    found = re.search(r"/staff-join/([a-z0-9-]+)", page.inner_text("main"))
    assert found
    page.goto(town.address("/families"))
    page.fill("#label", "Trường mẫu")
    page.click("form[action='/families/codes'] button")
    page.locator(".qr").wait_for()
    printed = re.search(r"/family/([a-z0-9-]+)", page.inner_text("main"))
    assert printed
    codes = [page.url.partition(town.place.address)[2], f"/staff-join/{found[1]}", f"/family/{printed[1]}"]
    return ["/families", "/staff", *codes, *MORE_FOR_SCHOOL]


@pytest.mark.parametrize("large", [False, True], ids=["narrow", "large-letters"])
def test_every_page_reflows(chromium: Browser, town: Town, large: bool) -> None:
    """A screen of 320 pixels (1280 at 400 %, WCAG 1.4.10), and letters of twice their size (1.4.4): nothing is wider than the screen."""
    viewport: Any = {"width": 400 if large else 320, "height": 640}
    context = chromium.new_context(viewport=viewport, locale="vi-VN", bypass_csp=True)
    reader = Reader(context.new_page(), "reflow-large" if large else "reflow")
    sign_in(reader.page, town.place)
    paths = [(path, False) for path in _made_by_parent(town, reader)] + [(path, True) for path in (*CHILD, *MORE_FOR_CHILD)]
    for path, child in paths:
        reader.page.goto(town.address(path, child=child))
        reader.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        if large:
            reader.page.evaluate("document.documentElement.style.fontSize = '200%'")
        reader.width(path)
    context.close()
    assert reader.wrong == []


#: What a page may cost on its first visit: (path, a child's own page, requests, kilobytes of HTML, styles, scripts and pictures).
BUDGETS = (
    ("/sign-in", False, 5, 20),
    ("/", False, 5, 30),
    ("/profiles/{bi}", False, 5, 36),
    ("/profiles/{bi}/hours", False, 5, 30),
    ("/profiles/{bi}/apps", False, 5, 30),
    ("/profiles/{bi}/apps?group=social", False, 5, 40),
    ("/profiles/{bi}/apps?group=games", False, 5, 45),
    ("/requests", False, 5, 26),
    ("/devices", False, 5, 36),
    ("/why", True, 3, 10),
    ("/ask?host=www.roblox.com", True, 3, 10),
    ("/help", True, 3, 10),
    ("/lesson/scam", True, 3, 10),
)


def test_pages_are_light_on_an_old_phone(chromium: Browser, town: Town) -> None:
    """Few requests and few bytes the first time; the second time only the page itself travels. Bytes and requests, not times."""
    over = []
    for path, child, requests, kilobytes in BUDGETS:
        context = chromium.new_context(viewport=PHONE, locale="vi-VN")  # type: ignore[arg-type]
        page = context.new_page()
        if not child and path != "/sign-in":
            sign_in(page, town.place)
            page.wait_for_load_state("networkidle")  # what the first page still asks for is not this one's
            context.new_cdp_session(page).send("Network.clearBrowserCache")
        network = context.new_cdp_session(page)
        network.send("Network.enable")
        sizes: list[float] = []
        network.on("Network.loadingFinished", lambda event, sizes=sizes: sizes.append(event["encodedDataLength"]))
        page.goto(town.address(path, child=child), wait_until="networkidle")
        first, count = sum(sizes), len(sizes)
        sizes.clear()
        page.goto(town.address(path, child=child), wait_until="networkidle")
        travelled = [size for size in sizes if size]
        if not 2 <= count <= requests or first > kilobytes * 1000 or len(travelled) > 1:
            over.append((path, count, first, travelled))
        context.close()
    assert over == []


def test_wizard_is_read(chromium: Browser, place: Place) -> None:
    """The pages of the first run, each with axe, and the one that says that it is over."""
    place.gateway.see("127.0.0.1", place.now)
    context = chromium.new_context(viewport=PHONE, locale="vi-VN")  # type: ignore[arg-type]
    reader = Reader(context.new_page(), "phone")
    page = reader.page
    address = f"{place.address}/setup/{ensure_token(place.settings.state_dir)}"
    reader.read(address, "/setup", deep=True)
    page.goto(address)
    reader.press("button[name=go]")
    reader.here("/setup: who")
    page.fill("#label-1", "Bi")
    reader.press("button[name=go]")
    reader.here("/setup: devices")
    reader.press("button[name=go]")
    reader.here("/setup: password")
    page.fill("#password", PASSWORD)
    page.fill("#again", PASSWORD)
    reader.press("button[name=go]")
    page.wait_for_url("**/check/*")
    reader.read(address, "/setup is over", deep=True)
    context.close()
    assert [one for one in reader.wrong if "status of 403" not in one] == []
