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
