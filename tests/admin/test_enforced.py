"""From the page to the resolver: the real program, the wizard walked in a browser without script, every step obeyed by DNS.

Nothing is imitated here but the upstream: supervisor, workers, control plane and control socket are the ones that ship.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dns.rcode
import pytest

from admin.held import SECRETS
from tests.support.echogateway import free_port
from tests.support.gateway import Gateway, RunningUpstream
from tests.support.people import PASSWORD
from tests.support.walker import Browser, link_of

SETTINGS = """
state_dir: {folder}/var
dns: {listen: ["127.0.0.1:0"], workers: 2, name: lachan.internal}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"]}
metrics: {listen: "127.0.0.1:{metrics}"}
admin: {listen: "127.0.0.1:{admin}"}
block_page: {listen: "127.0.0.1:{page}"}
"""

BI, NA, PARENT, STRANGER = "127.0.0.31", "127.0.0.32", "127.0.0.1", "127.0.0.99"


@pytest.fixture
def upstream() -> Iterator[RunningUpstream]:
    """An upstream that knows a few names."""
    names = ("www.roblox.com", "www.facebook.com", "free.example", "scratch.example")
    with RunningUpstream({(name, "A"): ["192.0.2.80"] for name in names}) as running:
        yield running


@pytest.fixture
def gateway(tmp_path: Path, upstream: RunningUpstream) -> Iterator[Gateway]:
    """The whole program."""
    with Gateway(tmp_path, SETTINGS, upstream=upstream.port, admin=free_port(), page=free_port()) as running:
        yield running


@pytest.fixture
def open_browser() -> Iterator[Callable[[str, str], Browser]]:
    """Browsers on devices of their own, closed at the end."""
    opened: list[Browser] = []

    def open_one(origin: str, source: str) -> Browser:
        opened.append(Browser(origin, source))
        return opened[-1]

    yield open_one
    for browser in opened:
        browser.http.close()


def is_open(gateway: Gateway, name: str, source: str) -> bool:
    return gateway.addresses(name, source=source) == ["192.0.2.80"]


def within(seconds: float, condition: Callable[[], bool]) -> float:
    """Seconds until a condition held."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, "not within the time"
        time.sleep(0.02)
    return time.monotonic() - start


def test_family_from_the_link_to_the_resolver(gateway: Gateway, open_browser: Callable[[str, str], Browser]) -> None:
    """Set up, protected by a live check, offline, opened, asked and answered: each step is what DNS answers within a second; and it
    stays so when the control plane is dead."""
    link = link_of(gateway)
    browser = open_browser(link.partition("/setup/")[0], PARENT)
    for source in (PARENT, BI, NA):
        gateway.ask("free.example", source=source)

    # the wizard: four pages
    browser.get(f"/setup/{link.rpartition('/')[2]}")
    browser.submit("/setup", {"place": "home"}, ("go", "1"))
    browser.submit("/setup", {"label": "Bi", "band": "TH"}, ("add", "1"))
    browser.submit("/setup", {"label": ["Bi", "Na"], "band": ["TH", "PT"]}, ("go", "1"))
    form = next(form for form in browser.page.forms if form.action == "/setup")
    addresses = [value for name, value in form.fields if name == "address"]
    assert {BI, NA, PARENT} <= set(addresses)
    owners = {BI: "0", NA: "1", PARENT: "adult"}
    browser.submit("/setup", {"owner": [owners.get(address, "later") for address in addresses]}, ("go", "1"))
    browser.submit("/setup", {"password": PASSWORD, "again": PASSWORD}, ("go", "1"))

    # protected only after the check name was asked
    assert browser.path.startswith("/check/")
    assert "Đang kiểm tra" in browser.text
    nonce = browser.path.removeprefix("/check/")
    for number in ("", "1", "2", "3", "4", "5"):
        gateway.ask(f"check-{nonce}{number}.lachan.internal", source=PARENT)
    browser.get(f"/check/{nonce}")
    assert "Máy này được bảo vệ" in browser.text
    assert "với hồ sơ Người lớn" in browser.text

    # bands: games and social networks closed for a nine-year-old, open for an adult; a stranger has the strictest
    assert not is_open(gateway, "www.facebook.com", BI)
    assert is_open(gateway, "www.facebook.com", PARENT)
    assert not is_open(gateway, "www.facebook.com", STRANGER)
    assert is_open(gateway, "free.example", BI)

    # no internet until …
    browser.get("/")
    (child,) = [href for href in browser.page.links if re.fullmatch(r"/profiles/\w{20,}", href)][:1]
    browser.get(child)
    assert "Bi" in browser.text
    browser.submit(f"{child}/off", button=("until", "30m"))
    assert within(1, lambda: not is_open(gateway, "free.example", BI)) < 1
    assert is_open(gateway, "free.example", NA)
    looking = open_browser(f"http://127.0.0.1:{gateway._fields['page']}", BI)
    within(5, lambda: looking.get("/why") == 200 and "free.example" in looking.text)  # from the workers' memory, and from nowhere else
    written = [path for path in gateway.folder.rglob("*") if path.is_file() and re.search(rb"free.example", path.read_bytes())]
    assert written == []
    assert gateway.ask("vn-cop.vn", source=BI).rcode() != dns.rcode.REFUSED
    end = next(form.action for form in browser.page.forms if form.action.endswith("/end"))
    browser.submit(end)
    within(1, lambda: is_open(gateway, "free.example", BI))

    # a denied name, and the child's request for it
    browser.get(f"{child}/names?name=scratch.example")
    browser.submit(f"{child}/names", button=("effect", "deny"))
    within(1, lambda: not is_open(gateway, "scratch.example", BI))
    asking = open_browser(f"http://127.0.0.1:{gateway._fields['page']}", BI)
    asking.get("/why")
    within(3, lambda: asking.get("/why") == 200 and "scratch.example" in asking.text)
    asking.get("/ask?host=scratch.example")
    asking.submit("/ask?lang=vi", {"reason": "lesson", "note": ""})
    code = asking.path.removeprefix("/answer/")
    browser.get("/requests")
    (request,) = [form.action for form in browser.page.forms if form.action.startswith("/requests/")]
    browser.submit(request, button=("decision", "15m"))
    within(1, lambda: is_open(gateway, "scratch.example", BI))
    asking.get(f"/answer/{code}")
    assert "Được, mở đến" in asking.text

    # a shared phone: the mother borrows it with the PIN, and gives it back
    browser.get("/pin")
    browser.submit("/pin", {"pin": "4071"})
    borrowing = open_browser(browser.origin, BI)
    borrowing.get("/adult")
    borrowing.submit("/adult?lang=vi", {"pin": "4071"}, ("span", "30m"))
    within(1, lambda: is_open(gateway, "www.facebook.com", BI))
    borrowing.submit("/adult/back")
    within(1, lambda: not is_open(gateway, "www.facebook.com", BI))

    # the page's end is not the end of protection
    admin = next(int(row["pid"]) for row in gateway.status().get("processes", gateway.status().get("extras", [])) if row["name"] == "admin")
    os.kill(admin, signal.SIGKILL)
    assert not is_open(gateway, "www.facebook.com", BI)
    assert is_open(gateway, "scratch.example", BI)


# By the clock: nothing is imitated but the time --------------------------------------------------------------------------------------

CLOCKED = (
    SETTINGS.replace("workers: 2", 'workers: 1, allow_from: ["127.0.0.0/8"]') + "lists: [{id: bets, category: gamb, path: bets.txt}]\n"
)
#: What a phone asks before it believes that it is online, and for the time of day.
ALWAYS = ("connectivitycheck.gstatic.com", "captive.apple.com", "time.android.com")
TEACHER, PUPIL, VISITOR = "127.0.9.9", "127.0.7.5", "127.0.9.8"


class Clocked:
    """The whole program with a clock that the test moves, and a parent's or a school's browser at it."""

    def __init__(self, folder: Path, upstream: int, start: str) -> None:
        self.clock = folder / "clock"
        self.clock.write_text(f"{start}:00+07:00", encoding="ascii")
        (folder / "bets.txt").write_text("bet.example\n", encoding="ascii")
        environment = {"LACHAN_TEST_CLOCK": str(self.clock), "LACHAN_TEST_CLOCK_AS_ROOT": "1"}
        self.gateway = Gateway(folder, CLOCKED, environment=environment, upstream=upstream, admin=free_port(), page=free_port())
        self.gateway.start()
        link = link_of(self.gateway)
        self.browser = Browser(link.partition("/setup/")[0], PARENT)
        self.browser.get(f"/setup/{link.rpartition('/')[2]}")

    def close(self) -> None:
        self.browser.http.close()
        self.gateway.stop()

    def at(self, moment: str, *expected: tuple[str, str, bool]) -> None:
        """It is this time now; each name is open or not for the device at each address, and stays so."""
        self.clock.write_text(f"{moment}:00+07:00", encoding="ascii")
        for name, source, opened in expected:
            within(5, lambda name=name, source=source, opened=opened: is_open(self.gateway, name, source) is opened)  # type: ignore[misc]
        time.sleep(0.15)  # the clock is read ten times a second: what was true by the old time only is found out
        assert [(name, source, is_open(self.gateway, name, source)) for name, source, _ in expected] == list(expected), moment

    def set_up_home(self, band: str) -> str:
        """The wizard of a home, with one child on `BI` and an adult on `PARENT`; the path of the child's page."""
        browser = self.browser
        browser.submit("/setup", {"place": "home"}, ("go", "1"))
        browser.submit("/setup", {"label": "Bi", "band": band}, ("go", "1"))
        form = next(form for form in browser.page.forms if form.action == "/setup")
        owners = {BI: "0", PARENT: "adult"}
        browser.submit("/setup", {"owner": [owners.get(value, "later") for name, value in form.fields if name == "address"]}, ("go", "1"))
        browser.submit("/setup", {"sign_in": "me", "password": PASSWORD, "again": PASSWORD}, ("go", "1"))
        browser.get("/")
        return next(href for href in browser.page.links if re.fullmatch(r"/profiles/\w{20,}", href))

    def press(self, path: str, action: str, fields: dict[str, object] | None = None, button: tuple[str, str] | None = None) -> None:
        """Open a page and press; signs in where the session is over, and types the password where it is asked for."""
        self.browser.get(path)
        if self.browser.path == "/sign-in":
            self.browser.submit("/sign-in", {"sign_in": "me", "password": PASSWORD})
            self.browser.get(path)
        if self.browser.submit(action, fields, button) == 401:
            again = {name: value for name, value in (fields or {}).items() if name in SECRETS}  # no page repeats one
            assert self.browser.submit(action, {"_password": PASSWORD, **again}) == 200, self.browser.text


@pytest.fixture
def clocked(tmp_path: Path) -> Iterator[Callable[[str], Clocked]]:
    """Starts the program at a time of the test's choosing."""
    names = ("www.facebook.com", "free.example", "vtvgo.vn", "bet.example", "vn-cop.vn", *ALWAYS)
    started: list[Clocked] = []
    with RunningUpstream({(name, "A"): ["192.0.2.80"] for name in names}) as running:

        def start(moment: str) -> Clocked:
            started.append(Clocked(tmp_path, running.port, moment))
            return started[-1]

        yield start
        for one in started:
            one.close()


def test_a_childs_weeks_by_the_clock(clocked: Callable[[str], Clocked]) -> None:
    """Windows over midnight, exam days, Tết, both buttons across a restart, the loan and the day of watching: the resolver obeys each at
    its minute, and each ends by itself."""
    town = clocked("2027-01-25T16:00")  # a Monday
    browser, gateway = town.browser, town.gateway
    for source in (PARENT, BI):
        gateway.ask("free.example", source=source)
    child = town.set_up_home("TH")
    town.at("2027-01-25T16:05", ("vtvgo.vn", BI, True), ("free.example", BI, True), ("www.facebook.com", BI, False))

    # hours: two windows over midnight, one on school days, one in the holidays, one for exams, whose day is written down
    town.press("/dates", "/dates", {"kind": "exam", "first": "27/01/2027", "last": ""})
    rows = [
        ("every", "rest", "21:00", "06:00"),
        ("school", "rest", "12:00", "13:00"),
        ("holiday", "offline", "23:30", "01:00"),
        ("exam", "study", "07:00", "17:00"),
    ]
    browser.get(f"{child}/hours")
    for _ in rows[1:]:
        browser.submit(f"{child}/hours", button=("add", "1"))
    columns = zip(("days", "effect", "starts", "ends"), zip(*rows, strict=True), strict=True)
    if browser.submit(f"{child}/hours", {name: list(column) for name, column in columns}) == 401:
        browser.submit(f"{child}/hours", {"_password": PASSWORD})
    town.at("2027-01-26T12:30", ("vtvgo.vn", BI, False), ("free.example", BI, True))  # Tuesday noon
    town.at("2027-01-26T20:59", ("vtvgo.vn", BI, True))
    town.at("2027-01-26T23:59", ("vtvgo.vn", BI, False))
    town.at("2027-01-27T05:59", ("vtvgo.vn", BI, False))
    town.at("2027-01-27T06:01", ("vtvgo.vn", BI, True))
    town.at("2027-01-27T08:00", ("free.example", BI, False), ("vn-cop.vn", BI, True), ("free.example", PARENT, True))  # the exam
    town.at("2027-01-28T08:00", ("free.example", BI, True))

    # no internet for two hours, with a restart in between
    town.press(child, f"{child}/off", None, ("until", "2h"))
    town.at("2027-01-28T08:05", ("free.example", BI, False), ("vn-cop.vn", BI, True))
    gateway.stop()
    gateway.start()
    town.at("2027-01-28T09:59", ("free.example", BI, False))
    town.at("2027-01-28T10:01", ("free.example", BI, True))

    # open more for an hour in the evening, with a restart in between
    town.at("2027-01-28T21:30", ("vtvgo.vn", BI, False))
    town.press(child, f"{child}/open", {"what": "videos"}, ("until", "1h"))
    town.at("2027-01-28T21:35", ("vtvgo.vn", BI, True), ("bet.example", BI, False))
    gateway.stop()
    gateway.start()
    town.at("2027-01-28T22:29", ("vtvgo.vn", BI, True))
    town.at("2027-01-28T22:31", ("vtvgo.vn", BI, False))

    # the mother borrows the phone for half an hour
    town.at("2027-01-29T16:00", ("www.facebook.com", BI, False))
    town.press("/pin", "/pin", {"pin": "4071"})
    borrowing = Browser(browser.origin, BI)
    borrowing.get("/adult")
    borrowing.submit("/adult?lang=vi", {"pin": "4071"}, ("span", "30m"))
    borrowing.http.close()
    town.at("2027-01-29T16:29", ("www.facebook.com", BI, True))
    town.at("2027-01-29T16:31", ("www.facebook.com", BI, False))

    # a day of watching: what the law or harm locks stays blocked all the while
    town.press(child, f"{child}/watch")
    town.at("2027-01-30T16:25", ("www.facebook.com", BI, True), ("bet.example", BI, False))
    town.at("2027-01-30T16:35", ("www.facebook.com", BI, False), ("bet.example", BI, False))

    # Tết: lessons' noon rests no more, and the night of the holidays is the one written for them
    town.at("2027-02-01T12:30", ("vtvgo.vn", BI, True))
    town.at("2027-02-01T23:45", ("free.example", BI, False))
    town.at("2027-02-02T00:59", ("free.example", BI, False))
    town.at("2027-02-02T01:01", ("free.example", BI, True), ("vtvgo.vn", BI, False))
    town.at("2027-02-15T12:30", ("vtvgo.vn", BI, False))  # a school day again


def test_staff_go_back_to_unknown_when_the_term_is_over(
    clocked: Callable[[str], Clocked], open_browser: Callable[[str, str], Browser]
) -> None:
    """A teacher scans the picture in the staff room; the second after the last day the resolver ends it, without anybody's press."""
    town = clocked("2027-01-15T10:00")
    browser, gateway = town.browser, town.gateway
    browser.submit("/setup", {"place": "school"}, ("go", "1"))
    browser.submit("/setup", {"classes": "7A"}, ("go", "1"))
    browser.submit("/setup", {"class_network": "127.0.7.0/24", "staff_network": ""}, ("go", "1"))
    browser.submit("/setup", {"password": PASSWORD, "again": PASSWORD}, ("go", "1"))
    browser.get("/staff")
    browser.submit("/staff")
    found = re.search(r"/staff-join/[a-z0-9-]+", browser.text)
    assert found, browser.text
    gateway.ask("free.example", source=TEACHER)
    teacher = Browser(browser.origin, TEACHER)
    within(5, lambda: teacher.get(found[0]) == 200 and "Ghi danh máy này" in teacher.text)
    teacher.submit(found[0], {"label": "Máy cô Lan"})
    assert "đến hết" in teacher.text and "17/01/2027" in teacher.text
    teacher.http.close()
    closed = (("www.facebook.com", PUPIL, False), ("www.facebook.com", VISITOR, False))
    town.at("2027-01-17T23:59", ("www.facebook.com", TEACHER, True), *closed)
    gateway.stop()
    gateway.start()
    town.at("2027-01-17T23:59", ("www.facebook.com", TEACHER, True), *closed)
    town.at("2027-01-18T00:01", ("www.facebook.com", TEACHER, False), ("bet.example", TEACHER, False), *closed)
    # the picture on the wall enrols nobody any more
    late = open_browser(browser.origin, TEACHER)
    assert late.get(found[0]) == 404, late.text
    assert not any(form.action == found[0] for form in late.page.forms)


def test_unnamed_devices_rest_with_the_children(clocked: Callable[[str], Clocked], open_browser: Callable[[str, str], Browser]) -> None:
    """A child's phone with a new address keeps the bedtime; the mother's own unnamed phone says why it sleeps, and one press frees it.
    Help and the checks of a phone answer all the while, and explain names the reason."""
    town = clocked("2027-01-25T20:40")
    browser, gateway = town.browser, town.gateway
    for source in (PARENT, BI, STRANGER):
        gateway.ask("free.example", source=source)
    child = town.set_up_home("PT")
    town.press(f"{child}/hours", f"{child}/hours", {"days": "every", "effect": "rest", "starts": "21:00", "ends": "06:00"})
    awake = [(name, STRANGER, True) for name in ("free.example", "vn-cop.vn", *ALWAYS)]
    town.at("2027-01-25T20:55", ("vtvgo.vn", STRANGER, True), ("vtvgo.vn", BI, True), *awake)
    town.at("2027-01-25T21:05", ("vtvgo.vn", STRANGER, False), ("vtvgo.vn", BI, False), ("vtvgo.vn", PARENT, True), *awake)
    explained = gateway.command("explain", "vtvgo.vn", "--client", STRANGER, "--at", "2027-01-25T21:05").stdout
    assert "máy chưa có tên / a device without a name" in explained and "window unnamed-every-rest" in explained

    # the page, from the very phone
    mother = open_browser(browser.origin, STRANGER)
    within(5, lambda: mother.get("/why") == 200 and "Máy này chưa có tên trong nhà, nên nghỉ cùng giờ với các bé." in mother.text)
    mother.get("/sign-in")
    mother.submit("/sign-in", {"sign_in": "me", "password": PASSWORD})
    mother.get("/")
    assert "Máy bạn đang cầm chưa có tên." in mother.text and "đến 06:00" in mother.text
    adults = next(button for form in mother.page.forms for button in form.buttons if button[0] == "adults")
    assert mother.submit("/devices", button=adults) == 200, mother.text  # she typed her password a moment ago
    town.at("2027-01-25T21:10", ("vtvgo.vn", STRANGER, True), ("www.facebook.com", STRANGER, True), ("vtvgo.vn", BI, False))
    mother.get("/")
    assert "chưa có tên" not in mother.text

    # the next new device sleeps, also after a restart and when the child is off in the afternoon
    town.at("2027-01-25T21:15", ("vtvgo.vn", VISITOR, False))
    gateway.stop()
    gateway.start()
    town.at("2027-01-26T05:59", ("vtvgo.vn", VISITOR, False))
    town.at("2027-01-26T15:00", ("vtvgo.vn", VISITOR, True))
    town.press(child, f"{child}/off", None, ("until", "1h"))
    town.at("2027-01-26T15:05", ("free.example", BI, False), ("vtvgo.vn", VISITOR, False), ("free.example", VISITOR, True))
    town.at("2027-01-26T16:02", ("free.example", BI, True), ("vtvgo.vn", VISITOR, True))
