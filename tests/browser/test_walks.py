"""The scripts of the first run, walked in Chromium on a machine of its own: a family in two minutes, a school in five, a family that
joins a school's gateway in three. What each cost is written to `screenshots/walks.txt`; the README holds the table, and the presses and
letters in it are compared.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import segno
from playwright.sync_api import Error, Page

from gateway.control import ask_now
from tests.browser.conftest import SCREENSHOTS
from tests.support.certificates import Authority
from tests.support.gateway import ROOT
from tests.support.namespaces import HousedGateway, HousedUpstream, Machine, Networks, records, require
from tests.support.walks import Cost, Walk, browser_on, set_up_home

pytestmark = pytest.mark.full

BOX, PHONE, TABLET, OUTSIDE = "10.77.0.1", "10.77.0.20", "10.77.0.30", "10.78.0.20"
PASSWORD, PIN = "mùa thu lá bay", "407193"
NAME = "dns.truong.example"
CLASSES = ("1A", "1B", "2A", "2B", "3A", "3B", "4A", "4B", "5A", "5B", "Lá 1", "Lá 2")
RECORDS = {(name, "A"): ["198.51.100.20"] for name in ("open.example", "facebook.com")}
SCHOOL = """
state_dir: var
dns: {listen: ["10.77.0.1:53", "10.78.0.1:53"], workers: 1, name: lachan.internal, allow_from: [10.77.0.0/16]}
tls: {certificate: {certificate}, key: {key}, name: dns.truong.example}
dot: {listen: ["10.77.0.1:853", "10.78.0.1:853"]}
doh: {listen: ["10.77.0.1:443", "10.78.0.1:443"]}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"]}
metrics: {listen: "127.0.0.1:9153"}
admin: {listen: "0.0.0.0:8080", url: "http://10.78.0.1:8080"}
"""


@pytest.fixture
def networks() -> Iterator[Networks]:
    require("dig", "kdig", "unshare")
    with Networks() as made:
        yield made


def wait_for(log: Path, pattern: str) -> str:
    """What the program printed that fits."""
    for _ in range(1200):
        found = re.search(pattern, log.read_text(encoding="utf-8", errors="replace")) if log.exists() else None
        if found:
            return found[0]
        time.sleep(0.05)
    raise AssertionError(log.read_text(encoding="utf-8", errors="replace"))


def keep(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"walk-{name}.png", full_page=True)


def note(name: str, cost: Cost, most: int) -> None:
    """Keep what a script cost; it holds its promise, and the README tells the same presses."""
    SCREENSHOTS.mkdir(exist_ok=True)
    with (SCREENSHOTS / "walks.txt").open("a", encoding="utf-8") as file:
        file.write(f"{name}: {cost} (machine {cost.machine:.1f} s)\n")
    waiting = cost.machine  # a loaded machine is not the script's fault
    assert cost.person - waiting <= most, str(cost)
    row = next(line for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines() if f"| {name} " in line)
    told = [int(number) for number in re.findall(r"\d+", row.partition(f"| {name} ")[2])]
    assert [cost.presses, cost.letters] == told[:2], f"{row}\n{cost}"


def test_family_is_set_up_in_two_minutes(networks: Networks, tmp_path: Path) -> None:
    """`make run LAN=1` on one machine; a parent's phone on the same Wi-Fi, from the printed picture to "protected"."""
    lan = networks.switch("lan")
    box = networks.machine("box", lan, f"{BOX}/24", gateway="10.77.0.254")
    phone = networks.machine("phone", lan, f"{PHONE}/24")
    tablet = networks.machine("tablet", lan, f"{TABLET}/24", mac="3c:22:fb:00:00:31")
    log = tmp_path / "output"
    process = box.start(sys.executable, "-m", "lachan", "run", "--lan", log=log, folder=tmp_path, environment={"PYTHONPATH": str(ROOT)})
    link = wait_for(log, r"https://10\.77\.0\.1:8443/setup/\S+")
    ask_until(phone, "lachan.internal")
    wait_for(log, r"scan with a phone to set up:(?:\n[█▀▄ ]+){10,}\n\n")
    assert drawn(log) == [[not one for one in row] for row in segno.make(link, error="l").matrix], "the picture is that of the link"
    with browser_on(phone, tmp_path, BOX) as chromium:
        page = chromium.new_page(viewport={"width": 360, "height": 740}, locale="vi-VN", ignore_https_errors=True, device_scale_factor=2)
        walk = Walk(page)
        walk.open(link, presses=3)  # the picture, and twice the browser's question about a certificate of the house
        walk.press("button[name=go]")
        walk.fill("#label-1", "Bi")
        walk.press("button[name=add]")
        walk.fill("#label-2", "Na")
        walk.choose("#band-2", "PT")
        walk.press("button[name=go]")
        walk.press("button[name=go]")
        walk.fill("#password", PASSWORD)
        walk.fill("#again", PASSWORD)
        walk.press("button[name=go]")
        walk.wait("Máy này được bảo vệ")
        keep(page, "family")
        note("gia đình / family", walk.cost(), 120)
        walk.press("form[action='/recovery'] button")  # offered, not asked: one press more, half a minute to read the sheet
        page.locator(".qr").wait_for()
        keep(page, "family-sheet")
        assert (walk.presses, walk.cost().person - walk.cost().machine <= 155) == (15, True)
        tablet.dig("lachan.internal")
        page.goto("https://10.77.0.1:8443/devices")
        card = page.locator("form.card", has_text=TABLET)
        card.locator("select").select_option(label="Bi")
        card.get_by_role("button", name="Giao", exact=True).click()
    with browser_on(tablet, tmp_path, BOX) as chromium:
        page = chromium.new_page(viewport={"width": 360, "height": 740}, locale="vi-VN", device_scale_factor=2)
        blocked_https(page)
    assert records(phone.dig("facebook.com"), "A") == []  # an adult's phone: not blocked, and there is no network behind the box
    assert process.poll() is None, log.read_text(encoding="utf-8")


def drawn(log: Path) -> list[list[bool]]:
    """The light squares of the picture in the terminal, without its margin: half a letter is one square."""
    lines = [line for line in log.read_text(encoding="utf-8").splitlines() if line and set(line) <= set("█▀▄ ") and "█" in line]
    rows = [[one in half for one in line] for line in lines for half in ("█▀", "█▄")]
    margin = 4
    return [row[margin:-margin] for row in rows[margin : margin + len(rows[0]) - 2 * margin]]


def test_nobody_is_protected_by_somebody_elses_question(networks: Networks, tmp_path: Path) -> None:
    """A phone that asks another resolver: a tablet asks for the very names that only the phone's browser knew, and the page names the
    tablet instead of calling the phone protected; with nobody's help it says what to do. Asked by the phone itself, it is protected."""
    lan = networks.switch("lan")
    box = networks.machine("box", lan, f"{BOX}/24", gateway="10.77.0.254")
    phone = networks.machine("phone", lan, f"{PHONE}/24")
    tablet = networks.machine("tablet", lan, f"{TABLET}/24", mac="3c:22:fb:00:00:31")
    log = tmp_path / "output"
    box.start(sys.executable, "-m", "lachan", "run", "--lan", log=log, folder=tmp_path, environment={"PYTHONPATH": str(ROOT)})
    link = wait_for(log, r"https://10\.77\.0\.1:8443/setup/\S+")
    ask_until(tablet, "lachan.internal")
    options: Any = {"viewport": {"width": 360, "height": 740}, "locale": "vi-VN", "ignore_https_errors": True}
    with browser_on(phone, tmp_path, "10.77.0.9") as chromium:
        page = chromium.new_page(**options)
        set_up_home(page, link, PASSWORD)
        names = [f"check-{page.url.rpartition('/')[2].partition('?')[0]}{number}.lachan.internal" for number in ("", 1, 2, 3)]
        for name in names:
            assert records(tablet.dig(name), "A") == [BOX]
        page.get_by_role("heading", name="Một máy khác đang hỏi thay máy này").wait_for(timeout=60_000)
        assert TABLET in page.inner_text("main") and "được bảo vệ" not in page.inner_text("main")
        keep(page, "another-asks")
        page.click("a[href='/check']")
        page.get_by_role("heading", name="Máy này chưa hỏi qua cổng lọc").wait_for(timeout=60_000)
        keep(page, "not-yet")
    with browser_on(phone, tmp_path, BOX) as chromium:
        page = chromium.new_page(**options)
        page.goto("https://10.77.0.1:8443/sign-in")
        page.fill("#sign_in", "me")
        page.fill("#password", PASSWORD)
        page.click("main form button")
        page.wait_for_url(lambda url: "/sign-in" not in url)
        page.goto("https://10.77.0.1:8443/check", wait_until="commit")
        page.get_by_role("heading", name="Máy này được bảo vệ").wait_for(timeout=60_000)


def blocked_https(page: Page) -> None:
    """What a child meets: the browser's own fault, which says nothing; then the short name, which explains, and from which it asks."""
    with pytest.raises(Error, match=r"ERR_(CONNECTION_REFUSED|CERT\w*|SSL\w*)"):
        page.goto("https://www.facebook.com/")
    keep(page, "https-blocked")
    for _ in range(20):  # a worker tells of its blocks once a second
        page.goto("http://lachan.internal/")
        if page.get_by_text("www.facebook.com").count():
            break
        time.sleep(0.5)
    page.get_by_text("www.facebook.com").wait_for(timeout=1000)
    keep(page, "https-why")
    page.click("text=Xin mở >> nth=0")
    page.check("input[value=lesson]")
    page.click("button:has-text('Gửi')")
    page.get_by_role("heading", name="Đã gửi rồi").wait_for()
    page.goto("http://lachan.internal/add")
    found = page.evaluate("fetch(document.querySelector('link[rel=manifest]').href).then(one => one.json())")
    assert found["start_url"] == "/why"
    keep(page, "home-screen")


def test_school_in_five_minutes_then_a_family_joins_it(networks: Networks, tmp_path: Path) -> None:
    """An administrator's laptop sets up twelve classes and prints the sheet; outside, a phone that the gateway does not serve opens it,
    joins, and is served by its token: its own rules, not another family's, and nothing without the token."""
    inside, outside = networks.switch("lan"), networks.switch("outside")
    box = networks.machine("box", inside, f"{BOX}/24")
    networks.plug(box, outside, "10.78.0.1/24", link="eth1")
    laptop = networks.machine("laptop", inside, f"{PHONE}/24")
    phone = networks.machine("phone", outside, f"{OUTSIDE}/24")
    authority = Authority(tmp_path)
    server = authority.vouch(NAME, f"*.{NAME}")
    files = {"certificate": server.certificate, "key": server.key, "environment": {"SSL_CERT_FILE": str(authority.file)}}  # as a public one
    with HousedUpstream(box, RECORDS) as upstream, HousedGateway(box, tmp_path, SCHOOL, upstream=upstream.port, **files) as gateway:
        link = wait_for(gateway.log, r"http://\S+/setup/\S+").replace("10.78.0.1", BOX)
        ask_until(laptop, "lachan.internal")
        with browser_on(laptop, tmp_path, BOX) as chromium:
            page = chromium.new_page(viewport={"width": 1280, "height": 860}, locale="vi-VN")
            sheet = set_up_school(Walk(page), link)
        with browser_on(phone, tmp_path, "10.78.0.1") as chromium:
            lan_token = join(Walk(chromium.new_page(viewport={"width": 360, "height": 740}, locale="vi-VN")), sheet, "melan", count=True)
            context = chromium.new_context(viewport={"width": 360, "height": 740}, locale="vi-VN")
            hoa_token = join(Walk(context.new_page()), sheet, "mehoa", count=False)
            deny(context.new_page(), "open.example")
        assert "status: REFUSED" in phone.dig("open.example", server="10.78.0.1")
        lan, hoa, nobody = (Held(phone, token, authority.file) for token in (lan_token, hoa_token, "aaaaa-bbbbb-ccccc"))
        until(lambda: hoa.ask("open.example"), ["0.0.0.0"])
        assert lan.ask("open.example") == lan.ask("open.example", "https") == ["198.51.100.20"]
        assert lan.ask("facebook.com") == lan.ask("facebook.com", "https") == ["0.0.0.0"]
        assert nobody.ask("open.example") == []
        seen = ask_now(gateway.folder / "var", {"do": "devices"}, 10.0)["devices"]
        assert {row["tenant"] for row in seen if row["address"] == OUTSIDE} != {None}


def set_up_school(walk: Walk, link: str) -> str:
    """The five minutes, and the address on the sheet for families."""
    page = walk.page
    walk.open(link)
    walk.tick("input[value=school]")
    walk.press("button[name=go]")
    walk.fill("#classes", "\n".join(CLASSES))
    walk.press("button[name=go]")
    walk.fill("#staff", "10.77.1.0/24")
    for number in range(1, len(CLASSES) + 1):
        walk.fill(f"#network-{number}", f"10.77.{number + 1}.0/24")
    walk.press("button[name=go]")
    walk.fill("#password", PASSWORD)
    walk.fill("#again", PASSWORD)
    walk.press("button[name=go]")
    walk.wait("Máy này được bảo vệ")
    keep(page, "school")
    note("nhà trường / school", walk.cost(), 300)
    page.goto(page.url.partition("/check")[0] + "/families")
    page.fill("#label", "Trường Kim Đồng")
    page.click("form[action='/families/codes'] button")
    keep(page, "sheet")
    return page.locator(".sheet .mono").inner_text()


def join(walk: Walk, sheet: str, name: str, *, count: bool) -> str:
    """From the picture on the wall to the steps for this phone; its token."""
    page = walk.page
    walk.open(sheet)
    walk.fill("#sign_in", name)
    walk.fill("#pin", PIN)
    walk.fill("#again", PIN)
    walk.press("main form button")
    walk.fill("#label-1", "Bi")
    walk.press("button[name=go]")
    if count:
        keep(page, "join-phone")
    walk.press("main form button")
    walk.press("main form button")
    if count:
        keep(page, "join-sheet")
    walk.press("a[href^='/phone/']")
    if count:
        note("gia đình một điện thoại / family with one phone", walk.cost(), 180)
    return page.url.rpartition("/")[2]


def deny(page: Page, name: str) -> None:
    """The signed-in parent closes one site for the child."""
    page.goto("http://10.78.0.1:8080/")
    page.click("h2 a")
    page.goto(f"{page.url}/names?name={name}")
    page.click("button[value=deny]")


@dataclass(frozen=True)
class Held:
    """A phone in somebody's hands, with the token of its sheet."""

    machine: Machine
    token: str
    authority: Path

    def ask(self, name: str, transport: str = "tls") -> list[str]:
        """What it is answered over DNS over TLS by its server name, or over HTTPS by its path."""
        host = f"{self.token}.{NAME}" if transport == "tls" else NAME
        way = "+tls" if transport == "tls" else f"+https={NAME}/dns-query/{self.token}"
        trust = (f"+tls-ca={self.authority}", f"+tls-hostname={host}", f"+tls-sni={host}")
        return records(self.machine.run("kdig", "@10.78.0.1", name, "A", *trust, way, "+timeout=4", "+retry=0", check=False), "A")


def ask_until(machine: Machine, name: str) -> None:
    """Wait until names are answered."""
    until(lambda: bool(records(machine.dig(name), "A")), True)


def until(look: object, wanted: object) -> None:
    assert callable(look)
    for _ in range(200):
        if look() == wanted:
            return
        time.sleep(0.1)
    assert look() == wanted
