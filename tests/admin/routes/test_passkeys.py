"""Passkeys through the pages: added, listed, used to sign in and to loosen, taken away; and where they are not offered, why."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from datetime import datetime

import pytest
from starlette.types import ASGIApp

from admin.throttle import FREE_TRIES
from blocklists.database import Database
from tests.admin.conftest import Clock
from tests.support.office import make_officers
from tests.support.people import PASSWORD, make_person
from tests.support.softkey import SoftKey
from tests.support.visitor import Visitor

NAMED = "https://lachan.internal"


@pytest.fixture
async def named(app: ASGIApp, database: Database, now: datetime) -> AsyncIterator[Visitor]:
    """A parent, signed in at the page's name."""
    await make_person(database, now)
    browser = Visitor(app, origin=NAMED)
    await browser.sign_in("me", PASSWORD)
    yield browser
    await browser.close()


def options_of(browser: Visitor) -> str:
    """What the page hands to the script."""
    (found,) = re.findall(r'data-options="([^"]*)"', browser.response.text)
    return html.unescape(found)


async def add(browser: Visitor, device: SoftKey, label: str = "điện thoại của mẹ", password: str = "") -> None:
    """What a person and the script do on the account page."""
    await browser.get("/account")
    await browser.submit("/account/passkeys/begin")
    if password:
        await browser.submit("/account/passkeys/begin", {"_password": password})
    await browser.submit("/account/passkeys", {"label": label, "passkey": device.add(options_of(browser))})


async def sign_in(app: ASGIApp, device: SoftKey, address: str = "192.168.1.77") -> Visitor:
    """Another browser, signed in by the passkey alone."""
    browser = Visitor(app, address, origin=NAMED)
    await browser.get("/sign-in")
    await browser.post("/sign-in/passkey", {"_passkey": device.use(options_of(browser)), "next": "/account"})
    return browser


async def test_a_parent_adds_a_passkey_and_signs_in_with_it(named: Visitor, app: ASGIApp) -> None:
    """It is listed with its name; another browser is let in without a password, with the usual cookies; the journal tells."""
    device = SoftKey(NAMED)
    await add(named, device)
    assert "Khóa truy cập đã sẵn sàng" in named.text and "điện thoại của mẹ" in named.text and "chưa dùng lần nào" in named.text
    other = await sign_in(app, device)
    assert other.response.url.path == "/account" and "dùng lần cuối hôm nay" in other.text
    assert "__Host-lachan" in other.http.cookies
    await other.get("/journal")
    assert "Đã thêm khóa truy cập" in other.text
    await other.close()


async def test_a_passkey_answers_in_place_of_the_password(named: Visitor, clock: Clock) -> None:
    """A loosening change goes on after the finger; its challenge is worth nothing a second time, or in another session."""
    device = SoftKey(NAMED)
    await add(named, device)
    clock.forward(minutes=11)
    await named.get("/account")
    await named.submit("/account/factor/begin")
    answer = device.use(options_of(named))
    await named.submit("/account/factor/begin", {"_passkey": answer})
    assert named.response.url.path == "/account/factor"
    clock.forward(minutes=11)
    await named.get("/account")
    await named.submit("/account/factor/begin")
    refused = await named.submit("/account/factor/begin", {"_passkey": answer})
    assert refused.status_code == 401 and "không được nhận" in named.text and named.has_form("/account/factor/begin")
    await named.submit("/account/factor/begin", {"_password": PASSWORD})
    assert named.response.url.path == "/account/factor", "the password goes on working beside it"


async def test_another_tenants_passkey_confirms_nothing(
    named: Visitor, app: ASGIApp, database: Database, clock: Clock, now: datetime
) -> None:
    """Somebody at another family cannot answer for this one, nor take its passkey away."""
    await make_person(database, now, "ba")
    other, device, theirs = Visitor(app, "192.168.1.90", origin=NAMED), SoftKey(NAMED), SoftKey(NAMED)
    await add(named, device)
    await other.sign_in("ba", PASSWORD)
    await add(other, theirs)
    (passkey,) = re.findall(r"/account/passkeys/(\w+)/remove", named.response.text)
    form = {"_form": re.findall(r'name="_form" value="(\w+)"', other.response.text)[0]}
    assert (await other.post(f"/account/passkeys/{passkey}/remove", form)).status_code == 404
    clock.forward(minutes=11)
    await named.get("/account")
    await named.submit("/account/factor/begin")
    refused = await named.submit("/account/factor/begin", {"_passkey": theirs.use(options_of(named))})
    assert refused.status_code == 401
    await other.close()


async def test_taking_it_away_ends_what_it_opened(named: Visitor, app: ASGIApp) -> None:
    """A lost phone: its passkey is gone, and so is the session that phone has."""
    device = SoftKey(NAMED)
    await add(named, device)
    phone = await sign_in(app, device)
    await named.get("/account")
    (action,) = [form.action for form in named.forms if form.action.endswith("/remove") and "passkeys" in form.action]
    await named.submit(action)
    assert "Đã bỏ khóa truy cập" in named.text
    assert not [form for form in named.forms if "passkeys" in form.action and "remove" in form.action]
    await phone.get("/account")
    assert phone.response.status_code == 401 or phone.has_form("/sign-in")
    refused = await phone.post("/sign-in/passkey", {"_passkey": device.use(device_options(app, phone)), "next": "/"})
    assert refused.status_code == 401 and "không được nhận" in phone.text
    await phone.close()


async def test_wrong_answers_slow_down_their_place_only(named: Visitor, app: ASGIApp) -> None:
    """A place that sends answers without end waits, and is told how long; somebody elsewhere signs in, and so does a password."""
    device, stranger = SoftKey(NAMED), Visitor(app, "192.168.1.91", origin=NAMED)
    await add(named, device)
    await stranger.get("/sign-in")
    wrong = SoftKey(NAMED)
    wrong.add('{"rp": {"id": "lachan.internal"}, "user": {"id": "AAAA"}, "challenge": "AAAA"}')
    for _ in range(FREE_TRIES + 1):
        await stranger.post("/sign-in/passkey", {"_passkey": wrong.use(options_of(stranger)), "next": "/"})
    assert stranger.response.status_code == 429 and "Xin chờ" in stranger.text
    elsewhere = await sign_in(app, device)
    assert elsewhere.response.url.path == "/account"
    await stranger.sign_in("me", PASSWORD)
    assert stranger.response.status_code == 200 and not stranger.has_form("/sign-in")
    for one in (stranger, elsewhere):
        await one.close()


def device_options(app: ASGIApp, browser: Visitor) -> str:
    """Options of the sign-in page that is open, or any challenge at all."""
    found = re.findall(r'data-options="([^"]*)"', browser.response.text)
    return html.unescape(found[0]) if found else '{"rpId": "lachan.internal", "challenge": "AAAA"}'


async def test_at_a_bare_address_the_page_says_what_passkeys_need(visitor: Visitor, database: Database, now: datetime) -> None:
    """No button that cannot work; one sentence why. The sign-in page stays as it is."""
    await make_person(database, now)
    await visitor.get("/sign-in")
    assert "data-passkey" not in visitor.response.text
    await visitor.sign_in("me", PASSWORD)
    await visitor.get("/account")
    assert "gắn với một tên miền" in visitor.text and not visitor.has_form("/account/passkeys/begin")
    form = {"_form": re.findall(r'name="_form" value="(\w+)"', visitor.response.text)[0], "label": "x", "passkey": "{}"}
    assert (await visitor.post("/account/passkeys", form)).status_code == 404
    assert (await visitor.post("/sign-in/passkey", {"_passkey": "{}"})).status_code == 401


async def test_an_officers_passkey_is_the_second_step(app: ASGIApp, database: Database, now: datetime) -> None:
    """With it an officer appoints; a session of the password alone may not, nor make a passkey, until a second step was shown."""
    await make_officers(database, now)
    officer, device = Visitor(app, origin=NAMED), SoftKey(NAMED)
    await officer.sign_in("approver", PASSWORD)
    await add(officer, device)
    papers = re.findall(r"<li>(\w{5}-\w{5}-\w{5})</li>", officer.response.text)
    assert len(papers) == 10, "paper for the day the device is lost"
    by_passkey = await sign_in(app, device)
    assert await may_appoint(by_passkey)
    thief = Visitor(app, "192.168.1.66", origin=NAMED)
    await thief.sign_in("approver", PASSWORD)
    assert not await may_appoint(thief)
    await thief.get("/account")
    await thief.submit("/account/passkeys/begin")
    assert thief.has_form("/account/second") and "Bạn có khóa truy cập" in thief.text
    await thief.submit("/account/second", {"code": "aaaaa-aaaaa-aaaaa"})
    assert thief.response.status_code == 422
    await thief.submit("/account/second", {"code": papers[0]})
    assert thief.has_form("/account/passkeys/begin"), "on with what the second step was asked for"
    assert await may_appoint(thief)
    for one in (officer, by_passkey, thief):
        await one.close()


async def may_appoint(browser: Visitor) -> bool:
    """Whether the office lets this session propose an officer (that needs two factors); the form is left empty, so nobody is."""
    await browser.get("/account")
    form = {"_form": re.findall(r'name="_form" value="(\w+)"', browser.response.text)[0]}
    await browser.post("/office/officers", form)
    return browser.response.url.path == "/office/officers" and browser.response.status_code == 422
