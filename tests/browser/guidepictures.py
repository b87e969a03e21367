"""The pictures of the guides, taken from the sample data: `make guide-pictures`. Chromium makes the WebP files itself.

Only what people see is shown; the line "sample data" stands on each page, as it does for everybody who fills a database with it.
"""

from __future__ import annotations

import base64
import tempfile
from datetime import timedelta
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from admin.demo import SignIn, fill
from admin.devices import list_devices
from admin.pages.guide import FOLDER
from admin.profiles import list_profiles
from admin.setup import ensure_token
from blocklists.tables import OrganisationId, OrganisationKind, Role
from tests.browser.conftest import CHROMIUM, Place
from tests.support.office import LETTER, make_officers
from tests.support.people import PASSWORD, make_person

WIDTH, TALLEST, SCALE, QUALITY = 390, 760, 1.5, 0.72
_AS_WEBP = """async ([png, quality]) => {
  const image = new Image(); image.src = "data:image/png;base64," + png; await image.decode();
  const canvas = document.createElement("canvas"); canvas.width = image.width; canvas.height = image.height;
  canvas.getContext("2d").drawImage(image, 0, 0); return canvas.toDataURL("image/webp", quality).split(",")[1]; }"""


def main(folder: Path = FOLDER / "pictures") -> list[str]:
    """Take every picture anew; the names of the files."""
    with tempfile.TemporaryDirectory() as kept, sync_playwright() as playwright:
        place = Place(Path(kept))
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            converter = browser.new_page()
            camera = Camera(folder, converter)
            wizard = browser.new_page(viewport={"width": WIDTH, "height": TALLEST}, locale="vi-VN", device_scale_factor=SCALE)
            wizard.goto(f"{place.address}/setup/{ensure_token(place.settings.state_dir)}")
            camera.take(wizard, "setup")
            family, school = place.run(lambda: fill(place.services))
            ids = place.run(lambda: _seen(place))
            operator = SignIn("", "van-hanh", PASSWORD)
            place.run(lambda: make_person(place.services.database, place.now, operator.name, OrganisationKind.OPERATOR, Role.OPERATOR))
            for one, shots in ((family, _family_shots(ids)), (school, _school_shots(ids)), (operator, _operator_shots())):
                context = browser.new_context(viewport={"width": WIDTH, "height": TALLEST}, locale="vi-VN", device_scale_factor=SCALE)
                page = context.new_page()
                _sign_in(page, place, one)
                for name, path in shots:
                    page.goto((place.page_address if path.startswith("/why") else place.address) + path)
                    camera.take(page, name)
                _make(page, place, one, camera, ids)
                context.close()
            office_pictures(browser, camera)
            return camera.taken
        finally:
            browser.close()
            place.stop()


def office_pictures(browser: Browser, camera: Camera) -> None:
    """A document that waits for its verifier, on a place of its own."""
    with tempfile.TemporaryDirectory() as kept:
        place = Place(Path(kept))
        try:
            place.run(lambda: make_officers(place.services.database, place.now))
            context = browser.new_context(viewport={"width": WIDTH, "height": TALLEST}, locale="vi-VN", device_scale_factor=SCALE)
            page = context.new_page()
            _sign_in(page, place, SignIn("office", "verifier", PASSWORD))
            page.goto(f"{place.address}/office/orders/new")
            page.fill("textarea[name=text]", LETTER)
            page.get_by_role("button", name="Đọc").click()
            page.fill("input[name=capacity]", "Phó Giám đốc")
            page.get_by_role("button", name="Tiếp nhận").click()
            page.locator(".verdicts").wait_for()
            camera.take(page, "order")
            context.close()
        finally:
            place.stop()


class Camera:
    """Takes pictures into a folder and knows which."""

    def __init__(self, folder: Path, converter: Page) -> None:
        self._folder = folder
        self._converter = converter
        self.taken: list[str] = []

    def take(self, page: Page, name: str) -> None:
        """The top of a page as a small WebP file."""
        page.wait_for_load_state("networkidle")
        height = min(TALLEST, int(page.evaluate("document.documentElement.scrollHeight")))
        png = page.screenshot(clip={"x": 0, "y": 0, "width": WIDTH, "height": height}, full_page=True)
        webp = self._converter.evaluate(_AS_WEBP, [base64.b64encode(png).decode("ascii"), QUALITY])
        (self._folder / f"{name}.webp").write_bytes(base64.b64decode(webp))
        self.taken.append(f"{name}.webp")


def _sign_in(page: Page, place: Place, who: SignIn) -> None:
    page.goto(f"{place.address}/sign-in")
    page.fill("#sign_in", who.name)
    page.fill("#password", who.password)
    page.click("main form button:not([name])")


async def _seen(place: Place) -> dict[str, str]:
    """Ids of the sample by label, with the family's devices seen a moment ago and one name blocked for the first child."""
    from sqlalchemy import select

    from blocklists.tables import organisations

    ids: dict[str, str] = {}
    async with place.services.database.read() as connection:
        for row in await connection.execute(select(organisations.c.id, organisations.c.kind)):
            tenant = OrganisationId(row.id)
            for profile in await list_profiles(connection, tenant):
                ids[profile.label] = profile.id
            devices = await list_devices(connection, tenant) if row.kind == "family" else []
            for number, device in enumerate(devices):
                address = "127.0.0.1" if number == 0 else f"203.0.113.{20 + number}"
                place.gateway.see(address, place.now - timedelta(minutes=3 * number), client=device.id, tenant=tenant)
    place.gateway.block("127.0.0.1", "www.roblox.com", "game", place.now)
    return ids


def _family_shots(ids: dict[str, str]) -> list[tuple[str, str]]:
    child = f"/profiles/{ids['Bi']}"
    paths = {"home": "/", "child": child, "hours": f"{child}/hours", "apps": f"{child}/apps", "requests": "/requests", "why": "/why"}
    return list(paths.items())


def _school_shots(ids: dict[str, str]) -> list[tuple[str, str]]:
    lesson = f"/profiles/{ids['7A']}"
    return [("school", "/"), ("class", lesson), ("class-hours", f"{lesson}/hours"), ("dates", "/dates")]


def _operator_shots() -> list[tuple[str, str]]:
    return [("backup", "/backup"), ("box", "/guide/box")]


def _make(page: Page, place: Place, who: SignIn, camera: Camera, ids: dict[str, str]) -> None:
    """What is not there until somebody makes it: the sheet of a phone, the sheet for families."""
    if who.name == "demo-me":
        page.goto(f"{place.address}/profiles/{ids['Bi']}/phones/new")
        page.fill("#label", "điện thoại xanh")
        page.click("main form button")
        page.locator(".qr").wait_for()
        camera.take(page, "sheet")
    elif who.name == "demo-truong":
        page.goto(f"{place.address}/families")
        page.fill("#label", "Trường mẫu")
        page.click("form[action='/families/codes'] button")
        page.locator(".qr").wait_for()
        camera.take(page, "families")


if __name__ == "__main__":
    main()
