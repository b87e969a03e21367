"""Away from home a phone shows by its private name which one it is: only then the child's word about a history is taken there."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from starlette.types import ASGIApp

from admin.app import create_app, create_page_app
from admin.audit import Act
from admin.dependencies import Services
from admin.devices import list_devices, retire_device
from admin.onboarding import add_phone
from admin.requests import A_DAY
from admin.sharing import set_pin
from gateway.settings import EncryptedSettings, Endpoint, TlsSettings
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family
from tests.support.people import PASSWORD
from tests.support.visitor import Visitor

PROVIDER = "203.0.113.7"
CODE = re.compile(r"[A-Z2-9]{4}(?:-[A-Z2-9]{4}){3}")


@pytest.fixture
def reached(services: Services) -> Services:
    """A gateway that phones reach from anywhere."""
    tls, dot = TlsSettings(Path("c"), Path("k"), "dns.example.net"), EncryptedSettings((Endpoint("192.0.2.1", 853),))
    gateway = replace(services.settings.gateway, tls=tls, dot=dot)
    return replace(services, settings=replace(services.settings, gateway=gateway))


@pytest.fixture
def page_app(reached: Services) -> ASGIApp:
    """Its pages for children."""
    return create_page_app(reached)


@pytest.fixture
async def phone(services: Services, family: Family, act: Act, gateway: ScriptedGateway) -> str:
    """Bi's phone with a private name; it and a neighbour's ask from one address of the provider."""
    async with services.database.write() as connection:
        device = await add_phone(connection, act, family.bi.id, "máy xanh")
    await services.applier.settle(family.tenant)
    gateway.see(PROVIDER, act.now, client=device, tenant=family.tenant, by_token=True)
    gateway.see(PROVIDER, act.now, client="somebody-elses", tenant="another", by_token=True)
    return device


@pytest.fixture
async def bi(page_app: ASGIApp) -> AsyncIterator[Visitor]:
    """The browser on that phone."""
    one = Visitor(page_app, address=PROVIDER, origin="http://lachan.internal")
    yield one
    await one.close()


@pytest.fixture
async def proposed(visitor: Visitor, family: Family, phone: str, gateway: ScriptedGateway, now: datetime) -> Visitor:
    """The guardian, who asked Bi about a history."""
    await visitor.sign_in("me", PASSWORD)
    await visitor.get(f"/profiles/{family.bi.id}/history")
    await visitor.submit(f"/profiles/{family.bi.id}/history", {"days": "3", "guardian": "1"})
    return visitor


async def begin(browser: Visitor) -> str:
    """Press "this is my own phone"; the name that the browser asks for."""
    await browser.get("/history")
    await browser.get(next(link for link in browser.links if link.startswith("/own?to=history")))
    found = re.search(r"http://check-([0-9a-f]{24})\.lachan\.internal", browser.response.text)
    assert found, browser.text
    return found[1]


async def show(browser: Visitor, device: str, profile: str, gateway: ScriptedGateway) -> None:
    """The phone asks for the name: from now on this browser is that phone."""
    gateway.probes[await begin(browser)] = {"client": device, "address": PROVIDER, "transport": "dot", "profile": profile}


async def ask(browser: Visitor, number: int) -> int:
    """Send one request; the status that came of it."""
    await browser.get(f"/ask?host=site{number}.play.example")
    await browser.submit("/ask?lang=vi", {"reason": "lesson"})
    return browser.response.status_code


async def test_child_says_yes_away_from_home(
    proposed: Visitor, bi: Visitor, phone: str, family: Family, gateway: ScriptedGateway, now: datetime
) -> None:
    """Before, the page claims nothing; then this browser is Bi's phone: the question, the yes, the code; no block of the address."""
    gateway.block(PROVIDER, "neighbour.example", "game", now)
    await bi.get("/history")
    assert "không biết đang cầm máy nào nên không nói được" in bi.text
    assert "Không giữ lịch sử nào" not in bi.text and not bi.has_form("/history/agree?lang=vi")
    nonce = await begin(bi)
    assert "Đang nhận ra máy này" in bi.text
    assert "http://*.lachan.internal" in bi.response.headers["content-security-policy"]
    gateway.probes[nonce] = {"client": phone, "address": PROVIDER, "transport": "dot", "profile": family.bi.id}
    await bi.get("/own/look?to=history&lang=vi&n=1")
    assert bi.response.url.path == "/history"
    await bi.submit("/history/agree?lang=vi")
    assert CODE.search(bi.text), bi.text
    await bi.get("/why")
    assert "neighbour.example" not in bi.text and "Trang này không liệt kê những gì đã bị chặn" in bi.text and "ngoài nhà" not in bi.text


async def test_nobody_else_becomes_that_phone(
    page_app: ASGIApp, proposed: Visitor, bi: Visitor, phone: str, family: Family, services: Services, gateway: ScriptedGateway, act: Act
) -> None:
    """Not a browser without the cookie, not one whose name was asked from elsewhere or without a private name, not a phone taken away."""
    nonce = await begin(bi)
    asked = {"client": phone, "address": PROVIDER, "transport": "dot", "profile": family.bi.id}
    other = Visitor(page_app, address=PROVIDER, origin="http://lachan.internal")
    gateway.probes[nonce] = asked
    for changed in ({"address": "203.0.113.8"}, {"transport": "udp"}, {"client": None}):
        gateway.probes[nonce] = asked | changed
        await bi.get("/history")
        assert (await bi.post("/history/agree", {})).status_code == 404, changed
    gateway.probes[nonce] = asked
    await other.get("/history")
    assert (await other.post("/history/agree", {})).status_code == 404
    await other.get("/own/look?to=history")
    assert "Chưa nhận ra máy này" in other.text
    async with services.database.write() as connection:
        [device] = [one for one in await list_devices(connection, family.tenant) if one.id == phone]
        await retire_device(connection, act, device)
    assert (await bi.post("/history/agree", {})).status_code == 404
    await other.close()


async def test_each_phone_behind_one_address_has_its_own_three(
    page_app: ASGIApp, bi: Visitor, phone: str, family: Family, services: Services, gateway: ScriptedGateway, act: Act
) -> None:
    """Bi asked three times; Na's phone, which showed that it is another, asks for the first time and is not told that it had its share."""
    async with services.database.write() as connection:
        other = await add_phone(connection, act, family.na.id, "máy đỏ")
    await services.applier.settle(family.tenant)
    gateway.see(PROVIDER, act.now, client=other, tenant=family.tenant, by_token=True)
    na = Visitor(page_app, address=PROVIDER, origin="http://lachan.internal")
    await show(bi, phone, family.bi.id, gateway)
    await show(na, other, family.na.id, gateway)
    answers = [await ask(who, number) for number, who in enumerate((bi, bi, bi, na, bi))]
    assert answers == [200, 200, 200, 200, 429], na.text
    await na.close()


async def test_unshown_phones_of_one_home_are_not_one_device(
    page_app: ASGIApp, services: Services, family: Family, gateway: ScriptedGateway, act: Act
) -> None:
    """Two children behind one address of their home, whose browsers showed nothing: three of one leave the other its own."""
    async with services.database.write() as connection:
        phones = [await add_phone(connection, act, one.id, one.label) for one in (family.bi, family.na)]
    await services.applier.settle(family.tenant)
    for one in phones:
        gateway.see(PROVIDER, act.now, client=one, tenant=family.tenant, by_token=True)
    browser = Visitor(page_app, address=PROVIDER, origin="http://lachan.internal")
    assert [await ask(browser, number) for number in range(2 * A_DAY)] == [200] * 2 * A_DAY
    await browser.close()


async def test_a_neighbours_wrong_codes_keep_no_child_from_its_answer(
    page_app: ASGIApp, bi: Visitor, phone: str, family: Family, gateway: ScriptedGateway
) -> None:
    """Somebody behind the same address guesses codes without end and waits; Bi reads its own answer."""
    await show(bi, phone, family.bi.id, gateway)
    await ask(bi, 1)
    path = bi.response.url.path
    neighbour = Visitor(page_app, address=PROVIDER, origin="http://lachan.internal")
    guesses = [(await neighbour.get(f"/answer/ZZZZ{number:04}".replace("0", "A").replace("1", "B"))).status_code for number in range(301)]
    assert guesses[-1] == 429
    assert (await neighbour.get(path)).status_code == 429  # who guessed is refused the right one, too: else no guess would be
    assert (await bi.get(path)).status_code == 200, bi.text
    await neighbour.close()


@pytest.mark.parametrize("path", ["/why", "/ask?host=play.example", "/adult", "/history"])
async def test_every_page_that_knows_no_phone_lets_it_show_itself(
    path: str, reached: Services, phone: str, family: Family, gateway: ScriptedGateway, act: Act
) -> None:
    """Two families behind one address: no page ends at "not known"; after the button it is Bi's own page, with the site it asked for."""
    async with reached.database.write() as connection:
        await set_pin(connection, act, "stored")
    bi = Visitor(create_app(reached), address=PROVIDER)
    await bi.get(path)
    assert "Ở đây chưa biết máy này" not in bi.text and "Đặt tên cho máy" not in bi.text
    await bi.get(next(link for link in bi.links if link.startswith("/own?to=")))
    [nonce] = set(re.findall(r"http://check-([0-9a-f]{24})\.lachan\.internal", bi.response.text))
    gateway.probes[nonce] = {"client": phone, "address": PROVIDER, "transport": "dot", "profile": family.bi.id}
    await bi.get(html.unescape(re.findall(r'href="(/own/look[^"]*)"', bi.response.text)[0]))
    assert bi.response.url.path == path.partition("?")[0] and not [link for link in bi.links if link.startswith("/own")]
    if path.startswith("/ask"):
        assert 'value="play.example"' in bi.response.text and "Bi" in bi.text
    if path == "/adult":
        assert bi.has_form("/adult?lang=vi", ("span", "30m"))
    await bi.close()


async def test_the_check_gives_up_kindly_and_leads_nowhere_else(bi: Visitor, phone: str) -> None:
    """After some seconds it says what to do; only our own pages follow."""
    await begin(bi)
    await bi.get("/own/look?to=history&lang=vi&n=5")
    assert "Chưa nhận ra máy này" in bi.text and "không phải lỗi của ai" in bi.text
    for path in ("/own?to=//evil.example", "/own/look?to=https://evil.example"):
        assert (await bi.get(path)).status_code == 404


async def test_without_private_names_nothing_is_offered(
    services: Services, family: Family, gateway: ScriptedGateway, now: datetime
) -> None:
    """A gateway that no phone reaches from outside."""
    gateway.see(PROVIDER, now, tenant=family.tenant)
    browser = Visitor(create_page_app(services), address=PROVIDER, origin="http://lachan.internal")
    await browser.get("/why")
    assert not [link for link in browser.links if link.startswith("/own")]
    assert (await browser.get("/own")).status_code == 404
    await browser.close()
