"""The full road in a real browser by different people, on a phone and at a desk: nothing overflows, every button is reachable."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pyotp
import pytest
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.browser.conftest import SCREENSHOTS, keep
from tests.browser.looks import faint_edges, odd_sizes, small_targets
from tests.support.echogateway import free_port
from tests.support.gateway import ROOT, Gateway, RunningUpstream, ede_codes
from tests.support.office import LETTER, typed_key
from tests.support.people import PASSWORD
from tests.support.walks import Cost, Walk
from tests.test_office_road import RECORDS, SETTINGS

pytestmark = pytest.mark.full

PUBLIC = ["/transparency", "/transparency/lookup", "/transparency/answer", "/report", "/sign-in"]


class Desk:
    """One person's browser: a context of its own, at one size."""

    def __init__(self, browser: Browser, origin: str, width: int, height: int) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": height}, locale="vi-VN", java_script_enabled=False)
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.origin = origin
        self.width = width
        self.faults: list[str] = []
        self.page.on("console", lambda message: self.faults.append(message.text) if message.type == "error" else None)

    def open(self, path: str) -> None:
        self.page.goto(self.origin + path)

    def look(self, name: str) -> None:
        """Keep a picture for whoever wants it; nothing is wider than the screen."""
        self.page.wait_for_load_state()
        keep(self.page, f"office-{name}-{self.width}")
        wide = self.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= self.width, f"{name} is {wide} px wide on a screen of {self.width}"

    def press(self, words: str) -> None:
        self.page.get_by_role("button", name=words).first.click()
        self.page.wait_for_load_state()

    def sign_in(self, name: str) -> None:
        self.open("/sign-in")
        self.page.fill("#sign_in", name)
        self.page.fill("#password", PASSWORD)
        self.press("Đăng nhập")
        self.page.wait_for_load_state()


class Steps:
    """What each step of the road costs an officer; the README holds the table of a desk."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.costs: dict[str, Cost] = {}

    def begin(self, page: Page) -> None:
        """Another person, or another step."""
        self.walk = Walk(page)

    def open(self, path: str) -> None:
        self.walk.open(self.origin + path)

    def press(self, words: str) -> None:
        self.walk.press(f"button:has-text('{words}') >> nth=0")

    def paste(self, selector: str, text: str) -> None:
        """Touch a field and paste: two presses, no letter."""
        self.walk.presses += 2
        self.walk.page.fill(selector, text)

    def end(self, name: str) -> None:
        """The step is done."""
        self.costs[name] = self.walk.cost()

    def compare(self) -> None:
        """Presses and letters are those of the README; seconds are kept, and within five minutes for the whole road."""
        lines = [f"{name}: {cost} (machine {cost.machine:.1f} s)" for name, cost in self.costs.items()]
        SCREENSHOTS.mkdir(exist_ok=True)
        (SCREENSHOTS / "office-walk.txt").write_text("\n".join(lines), encoding="utf-8")
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        for name, cost in self.costs.items():
            assert f"| {name} | {cost.presses} | {cost.letters} |" in readme, f"{name}: {cost}"
        assert sum(cost.person - cost.machine for cost in self.costs.values()) < 600, lines


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Gateway, str]]:
    """The program with its admin pages, and their address."""
    port = free_port()
    records = {**RECORDS, ("game-doi-the.example", "A"): ["192.0.2.40"]}
    with RunningUpstream(records) as upstream, Gateway(tmp_path, SETTINGS, upstream=upstream.port, admin=port) as gateway:
        yield gateway, f"http://127.0.0.1:{port}"


def wait_for_link(gateway: Gateway) -> str:
    """The secret of the set-up link, once the pages answer."""
    path = gateway.folder / "var" / "setup.token"
    for _ in range(400):
        if path.exists() and path.read_text():
            return path.read_text().strip()
        time.sleep(0.05)
    raise AssertionError("the pages made no set-up link")


def join(desk: Desk, link: str, sign_in: str) -> None:
    desk.page.goto(link)
    desk.look("join")
    for field, value in (("name", f"Cán bộ {sign_in}"), ("sign_in", sign_in), ("password", PASSWORD), ("again", PASSWORD)):
        desk.page.fill(f"#{field}", value)
    desk.press("Tạo tài khoản của tôi")
    desk.sign_in(sign_in)
    desk.open("/more")
    desk.page.get_by_text("Tài khoản của tôi").click()
    desk.look("account")
    desk.page.get_by_role("button", name="Bật").click()
    desk.page.wait_for_selector("#code")
    key = typed_key(desk.page.content())
    desk.look("factor")
    desk.page.fill("#code", pyotp.TOTP(key).now())
    desk.press("Bật")
    desk.page.wait_for_selector(".codes")
    desk.look("recovery")
    desk.page.get_by_text("Đã cất giữ").click()
    desk.open("/office")


@pytest.mark.parametrize(("width", "height"), [(360, 740), (1280, 800)])
def test_from_a_letter_to_an_answer_and_back(running: tuple[Gateway, str], chromium: Browser, width: int, height: int) -> None:
    """Two officers take a letter to enforcement, a third opens it again after somebody without an account asked."""
    gateway, origin = running
    owner, one, two, three, stranger = (Desk(chromium, origin, width, height) for _ in range(5))
    token = wait_for_link(gateway)
    owner.open(f"/setup/{token}")
    owner.page.get_by_text("Nơi khác", exact=True).click()
    owner.page.get_by_text("Lập đơn vị tại đây").click()
    owner.look("setup")
    owner.page.fill("#name", "Sở Văn hóa, Thể thao và Du lịch tỉnh Lai Châu")
    owner.page.fill("#basis", "15/QĐ-SVHTTDL")
    owner.press("Lập đơn vị và hai đường dẫn")
    owner.look("links")
    links = re.findall(r"http://[^\s<]+/join/[\w-]+", owner.page.content())
    join(one, links[0], "mot")
    join(two, links[1], "hai")
    two.open("/office/more")
    two.page.get_by_text("Đề xuất cán bộ").click()
    two.page.fill("#basis", "16/QĐ-SVHTTDL")
    two.press("Đề xuất")
    one.open("/office/more")
    one.look("more")
    one.press("Đồng ý và tạo đường dẫn")
    join(three, re.findall(r"http://[^\s<]+/join/[\w-]+", one.page.content())[0], "ba")

    steps = Steps(origin)
    steps.begin(one.page)
    steps.open("/office/orders/new")
    steps.paste("#text", LETTER)
    one.look("new")
    steps.press("Đọc")
    one.look("check")
    assert one.page.input_value("#symbol") == "412/QĐ-SVHTTDL"
    with one.page.expect_download() as download:
        one.page.get_by_text("Tải các địa chỉ đầy đủ").click()
    assert "nhom-xau" in Path(download.value.path()).read_text(encoding="utf-8-sig")
    steps.walk.fill("#appeal", "Thanh tra tỉnh Lai Châu")
    steps.press("Tiếp nhận")
    steps.end("đọc, kiểm, tiếp nhận / read, check, register")
    one.look("order-new")
    steps.begin(one.page)
    steps.press("Không chặn")
    steps.press("Xác minh")
    steps.end("quyết định một dòng, xác minh / decide a row, verify")
    one.look("order-verified")
    steps.begin(two.page)
    steps.open("/office")
    two.look("inbox")
    steps.walk.press("text=412/QĐ-SVHTTDL")
    two.look("order-approve")
    steps.press("Duyệt và phát hành")
    steps.walk.wait("đã duyệt")
    reply = gateway.ask("game-doi-the.example")
    assert ede_codes(reply) == [16]
    assert "EDE: 16 (Censored)" in gateway.dig("game-doi-the.example", "A")
    steps.end("duyệt, đến câu trả lời của dig / approve, to the dig answer")
    two.look("order-approved")
    assert two.page.get_by_role("heading", name="Bước tiếp theo").count() == 0, "a card with nothing to do"
    stranger.open("/why")
    stranger.look("why-order")

    stranger.open("/transparency")
    stranger.look("transparency")
    stranger.open("/transparency/lookup")
    stranger.page.fill("#name", "game-doi-the.example")
    stranger.press("Tra cứu")
    stranger.look("lookup")
    stranger.press("Đề nghị xem lại")
    stranger.look("code")
    code = stranger.page.locator(".figure").inner_text()
    steps.begin(three.page)
    steps.open("/office")
    three.look("inbox-review")
    steps.walk.press("text=game-doi-the.example")
    steps.press("Nhận việc")
    three.look("review")
    steps.walk.fill("#reason", "Trang đã đổi nội dung.")
    steps.press("Mở lại")
    steps.walk.wait("đã mở lại")
    assert [str(rdata) for rrset in gateway.ask("game-doi-the.example").answer for rdata in rrset] == ["192.0.2.40"]
    assert "192.0.2.40" in gateway.dig("game-doi-the.example", "A", "+short")
    steps.end("xét đề nghị, mở lại, đến dig / decide a review, lift, to dig")
    if width > 1000:
        steps.compare()
    stranger.open(f"/transparency/answer?code={code}")
    stranger.look("answer")
    stranger.open("/report")
    stranger.look("kind")
    stranger.page.get_by_text("Một em nhỏ đang gặp nguy hiểm").click()
    stranger.look("danger")
    two.open("/office/entries")
    two.look("entries")
    two.page.get_by_text("game-doi-the.example").click()
    two.look("entry")
    two.open("/office/releases")
    two.look("releases")
    two.open("/office/more")
    two.page.get_by_text("Viết mới").click()
    two.page.select_option("#b-kind", "advisory")
    for field, value in (("b-title", "Cẩn thận trang giả"), ("b-text", "Không nhập mật khẩu."), ("b-host", "gia.example")):
        two.page.fill(f"#{field}", value)
    two.page.fill("#b-symbol", "412/QĐ-SVHTTDL")
    two.page.fill("#b-ends", "2099-12-31")
    two.look("bulletin")
    two.press("Đăng")
    two.page.get_by_text("đến hết 31/12/2099").wait_for()
    two.look("bulletins")
    two.open("/office/agencies")
    two.page.get_by_text("Lưu thêm cơ quan").click()
    two.page.fill("#a-name", "Công an tỉnh Lai Châu")
    two.page.fill("#a-place", "Lai Châu")
    two.press("Lưu")
    two.page.get_by_text("Công an tỉnh Lai Châu").first.wait_for()
    one.open("/office/finding")
    one.page.get_by_text("Đưa danh sách của bên khác vào").click()
    one.page.fill("#source", "Danh sách A")
    one.page.fill("#text", "ca-do-1.example\nqua-tang-hoc-sinh-2.example")
    one.press("Đưa vào hàng chờ")
    one.page.get_by_text("2 tên mới").wait_for()
    sign_and_note(one, two)
    assert [desk.faults for desk in (owner, one, two, three, stranger)] == [[]] * 5
    assert read_all(chromium, one, [*PUBLIC, *office_pages(one)]) == {}


def sign_and_note(one: Desk, two: Desk) -> None:
    """What an office with signing keys and gateways elsewhere sees: key, code, an approval with its passphrase, a case with a note."""
    two.open("/office/signing")
    for field in ("#passphrase", "#again"):
        two.page.fill(field, "mây tím cưỡi trâu")
    two.press("Tạo khóa của tôi")
    two.page.get_by_text("Thu hồi khóa của tôi").wait_for()
    two.look("signing")
    one.open("/office/signing")
    one.press("Đề nghị thu hồi")
    one.page.get_by_text("khi một cán bộ nữa đồng ý").wait_for()
    one.look("signing-doubt")
    two.open("/office/gateways")
    two.page.fill("#label", "Trường Tiểu học Sùng Phài")
    two.press("Tạo mã")
    two.page.wait_for_selector("img.qr")
    two.look("gateway-code")
    one.open("/office/orders/new")
    one.page.fill("#text", LETTER.partition("1. ")[0] + "1. trang-moi.example\n")
    one.press("Đọc")
    one.press("Tiếp nhận")
    one.press("Xác minh")
    one.page.get_by_text("chờ phê duyệt").wait_for()
    two.page.goto(one.page.url)
    two.page.fill("#passphrase", "không phải cụm này")
    two.press("Duyệt và phát hành")
    two.page.get_by_text("không mở được").wait_for()
    two.look("order-passphrase")
    assert "422" in two.faults.pop()
    two.page.fill("#passphrase", "mây tím cưỡi trâu")
    two.press("Duyệt và phát hành")
    two.page.get_by_text("đã duyệt").first.wait_for()
    one.page.goto(one.page.url.replace("/orders/", "/cases/order/"))
    one.page.fill("#text", "Đã gọi lại nơi gửi văn bản để hỏi thời hạn.")
    one.press("Ghi lại")
    one.page.locator(".row-line", has_text="Đã gọi lại").wait_for()
    one.look("case")


def office_pages(desk: Desk) -> list[str]:
    """The paths of the pages that an officer reaches, one of each kind."""
    paths = ["/office", "/office/orders/new", "/office/entries", "/office/releases", "/office/more", "/account", "/account/factor"]
    paths += [f"/office/{room}" for room in ("agencies", "finding", "clocks", "cases", "figures", "signing", "gateways", "rollout")]
    listing = "/office/releases"
    for kind in ("/office/releases/", "/office/entries/", "/office/orders/"):
        desk.open(listing if kind != "/office/entries/" else "/office/entries")
        path = desk.page.locator(f'a[href^="{kind}"]').first.get_attribute("href")
        assert path is not None
        paths.append(path)
        listing = path  # an entry's page leads to its order
    return paths


def read_all(chromium: Browser, desk: Desk, paths: list[str]) -> dict[str, list[str]]:
    """Read the pages with axe, their contrasts in the dark as well, and in English once more for their width and looks: what is found, by
    rule; pictures are kept."""
    context = chromium.new_context(
        viewport={"width": desk.width, "height": 800}, storage_state=desk.context.storage_state(), bypass_csp=True, locale="vi-VN"
    )
    page = context.new_page()
    page.set_default_timeout(60_000)
    axe = Axe()
    found: dict[str, list[str]] = {}
    everything: dict[str, list[str]] = {}
    contrast = {"runOnly": ["color-contrast"]}
    for language, scheme, rules in (("vi", "light", everything), ("vi", "dark", contrast), ("en", "light", None)):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.goto(desk.origin + "/transparency")
        if page.get_attribute("html", "lang") != language:
            page.click(f"footer button[value={language}]")
        for path in paths:
            page.goto(desk.origin + path)
            assert page.evaluate("document.documentElement.scrollWidth") <= desk.width, f"{path} is too wide in {language}"
            name = re.sub(r"/[\w-]{16,}", "-one", path).replace("/", "-").strip("-")
            keep(page, f"{language}-{scheme}-{name}-{desk.width}")
            page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
            for fault in (*odd_sizes(page), *small_targets(page), *faint_edges(page)):
                found.setdefault(f"looks: {fault}", []).append(f"{path} {language} {scheme}")
            for violation in axe.run(page, options=rules)["violations"] if rules is not None else ():
                targets = [str(node["target"][0]) for node in violation["nodes"]][:3]
                found.setdefault(f"{violation['impact']} {violation['id']}", []).append(f"{path} {language} {scheme} {targets}")
    context.close()
    return found
