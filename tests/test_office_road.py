"""The whole road with the real program: from a set-up link and a letter to a dig answer, and back after a review, timed."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Iterator

import dns.edns
import dns.message
import dns.query
import httpx
import pytest

from tests.support.echogateway import free_port
from tests.support.gateway import Gateway, RunningUpstream, ede_codes
from tests.support.office import enrol
from tests.support.people import PASSWORD
from tests.support.visitor import Visitor

RECORDS = {
    ("bad.example", "A"): ["192.0.2.10"],
    ("www.bad.example", "A"): ["192.0.2.11"],
    ("open.example", "A"): ["192.0.2.20"],
    ("www.facebook.com", "A"): ["192.0.2.30"],
}
SETTINGS = """
state_dir: var
dns: {listen: ["127.0.0.1:0"], workers: 2}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"], timeout: 0.3s}
metrics: {listen: "127.0.0.1:{metrics}"}
admin: {listen: "127.0.0.1:{admin}"}
profiles:
  - {id: be, band: PT}
  - {id: nguoi-lon, band: NL}
clients:
  - {id: may-be, profile: be, match: [127.0.0.1]}
  - {id: may-me, profile: nguoi-lon, match: [127.0.0.2]}
default_profile: be
"""
LETTER = "Số: 412/QĐ-SVHTTDL\nđề nghị ngăn chặn:\n1. hxxp://bad[.]example\n2. https://www.facebook.com/groups/nhom-xau\n"


class Browser(Visitor):
    """A person at the real pages, over a real socket."""

    def __init__(self, origin: str) -> None:
        super().__init__(_nothing, origin=origin)
        self.http = httpx.AsyncClient(base_url=origin, headers={"Accept-Language": "vi", "User-Agent": "Firefox"}, timeout=20)


async def _nothing(scope: object, receive: object, send: object) -> None:
    raise AssertionError("the real socket is used")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, str]]:
    """The program with its admin pages, and their address."""
    folder = tmp_path_factory.mktemp("office")
    port = free_port()
    with RunningUpstream(RECORDS) as upstream, Gateway(folder, SETTINGS, upstream=upstream.port, admin=port) as gateway:
        yield gateway, f"http://127.0.0.1:{port}"


@pytest.fixture
async def browsers(running: tuple[Gateway, str]) -> AsyncIterator[list[Browser]]:
    """Five browsers: who sets up, three officers, somebody without an account."""
    made = [Browser(running[1]) for _ in range(5)]
    yield made
    for browser in made:
        await browser.close()


def is_blocked(gateway: Gateway, name: str, source: str | None = None) -> bool:
    """Whether a name is blocked by an order, for a client that asks now."""
    reply = gateway.ask(name, source=source)
    return [str(rdata) for rrset in reply.answer for rdata in rrset] == ["0.0.0.0"] and ede_codes(reply) == [16]


def told_when_asked(gateway: Gateway, name: str) -> dict[str, object]:
    """What a client that asks for it by an empty option is told in the one extended error, which is 16."""
    question = dns.message.make_query(name, "A", use_edns=0, payload=1232, options=[dns.edns.GenericOption(15, b"")])
    reply = dns.query.udp(question, "127.0.0.1", 5.0, gateway.port)
    assert ede_codes(reply) == [16]
    [error] = [option for option in reply.options if isinstance(option, dns.edns.EDEOption)]
    said: dict[str, object] = json.loads(error.text or "")
    return said


def seconds_until(gateway: Gateway, name: str, blocked: bool, since: float) -> float:
    """How long until twenty questions from fresh ports (so both workers) all get the wanted answer."""
    while time.monotonic() - since < 10:
        if all(is_blocked(gateway, name) is blocked for _ in range(20)):
            return time.monotonic() - since
        time.sleep(0.02)
    raise AssertionError(f"{name} is not {'blocked' if blocked else 'open'} after ten seconds")


async def join(browser: Browser, link: str, sign_in: str) -> list[str]:
    """An officer makes their account, signs in, and sets up the second step; the recovery codes."""
    await browser.get(link)
    await browser.submit("/join", {"name": f"Cán bộ {sign_in}", "sign_in": sign_in, "password": PASSWORD, "again": PASSWORD})
    await browser.sign_in(sign_in, PASSWORD)
    await browser.get("/account")
    papers = await enrol(browser)
    assert len(papers) == 10
    return papers


async def test_from_a_letter_to_dig_and_back(running: tuple[Gateway, str], browsers: list[Browser]) -> None:
    """Set up an office, register, verify, approve: blocked with EDE 16 on all workers within a second; a third officer opens it again."""
    gateway, _ = running
    owner, one, two, three, stranger = browsers
    await pages_ready(owner)
    token = (gateway.folder / "var" / "setup.token").read_text().strip()
    await owner.get(f"/setup/{token}")
    await owner.get("/setup-office")
    await owner.submit("/setup-office", {"name": "Sở Văn hóa, Thể thao và Du lịch", "basis": "15/QĐ-SVHTTDL"})
    links = re.findall(r"/join/[\w-]+", owner.response.text)
    await join(one, links[0], "mot")
    await join(two, links[1], "hai")
    await two.get("/office/more")
    await two.submit("/office/officers", {"role": "approver", "basis": "16/QĐ-SVHTTDL"})
    await one.get("/office/more")
    await one.submit(next(form.action for form in one.forms if form.action.startswith("/office/officers/")))
    await join(three, re.findall(r"/join/[\w-]+", one.response.text)[0], "ba")

    assert gateway.addresses("bad.example") == ["192.0.2.10"]
    await one.get("/office/orders/new")
    await one.submit("/office/orders/read", {"text": LETTER, "category": "order"})
    await one.submit("/office/orders", {"issuer": "UBND tỉnh", "appeal": "Thanh tra tỉnh"})
    path = one.response.url.path
    await one.submit(f"{path}/verify")
    assert "Các tên này được hỏi bao nhiêu lần: chưa biết." in one.text, "one device asked, and that is told to nobody"
    for network in range(7):
        gateway.ask("bad.example", source=f"127.0.{network}.1")
    await two.get(path)
    for _ in range(60):
        if "ở đây ít nhất" in two.text:
            break
        await asyncio.sleep(0.05)
        await two.get(path)
    assert re.search(r"bad\.example\s+ở đây ít nhất [5-9] lần từ", two.text), two.text
    since = time.monotonic()
    await two.submit(f"{path}/approve", button=("step", "approve"))
    took = seconds_until(gateway, "bad.example", True, since)
    assert took < 1.0, f"the order took {took:.2f} s to be in force on all workers"
    assert is_blocked(gateway, "www.bad.example")
    said = told_when_asked(gateway, "bad.example")
    assert "412/QĐ-SVHTTDL" in str(said["j"]) and "s" not in said, "a structured error, and never a sub-error with 16"
    assert gateway.addresses("open.example") == ["192.0.2.20"]
    assert not is_blocked(gateway, "www.facebook.com"), "a group on a platform never blocks the platform"
    assert gateway.addresses("bad.example", source="127.0.0.2") == ["192.0.2.10"], "orders are for children unless they say otherwise"

    await stranger.get("/transparency/lookup?name=bad.example")
    assert "412/QĐ-SVHTTDL" in stranger.text
    await stranger.submit("/transparency/review", {"reason": "mistake"})
    code = re.findall(r"code=([2-9A-Z]{8})", stranger.response.text)[0]
    await three.get("/office")
    review = next(link for link in three.links if link.startswith("/office/reviews/"))
    await three.get(review)
    await three.submit(f"{review}/take")
    since = time.monotonic()
    await three.submit(f"{review}/decide", {"reason": "Trang đã dọn sạch"}, ("step", "overturn"))
    took = seconds_until(gateway, "bad.example", False, since)
    assert took < 1.0, f"lifting took {took:.2f} s"
    assert gateway.addresses("bad.example") == ["192.0.2.10"]
    await stranger.get(f"/transparency/answer?code={code}")
    assert "Trang đã dọn sạch" in stranger.text


async def pages_ready(browser: Browser) -> None:
    """Wait until the pages answer."""
    for _ in range(200):
        try:
            await browser.get("/sign-in")
            return
        except httpx.TransportError:
            await asyncio.sleep(0.05)
    raise AssertionError("the pages do not answer")
