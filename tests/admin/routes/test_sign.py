"""Signing in through the page: what a person meets, and what an attacker does not get."""

from __future__ import annotations

from datetime import datetime

import pytest
from starlette.types import ASGIApp

from admin.routes.sign import own_path
from blocklists.database import Database
from tests.admin.conftest import Clock
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family
from tests.support.people import PASSWORD, make_person
from tests.support.visitor import Visitor


async def test_sign_in_gives_a_strict_cookie_and_signs_out(visitor: Visitor, database: Database, now: datetime) -> None:
    """The right password opens; the cookie is for this site only and out of reach of scripts; signing out ends it."""
    await make_person(database, now)
    response = await visitor.http.post("/sign-in", data={"sign_in": "me", "password": PASSWORD}, headers={"Origin": visitor.origin})
    assert response.status_code == 303
    cookies = response.headers.get_list("set-cookie")
    assert len(cookies) == 2
    assert all("HttpOnly; SameSite=Strict" in cookie for cookie in cookies)
    assert not any("Max-Age" in cookie for cookie in cookies if cookie.startswith("lachan="))


async def test_sign_in_over_tls_uses_host_cookies(app: ASGIApp, database: Database, now: datetime) -> None:
    """Over TLS no neighbour host can set or read our cookies."""
    await make_person(database, now)
    browser = Visitor(app, origin="https://127.0.0.1")
    response = await browser.http.post("/sign-in", data={"sign_in": "me", "password": PASSWORD}, headers={"Origin": browser.origin})
    await browser.close()
    cookies = response.headers.get_list("set-cookie")
    assert all(cookie.startswith("__Host-lachan") and "Secure" in cookie and "Path=/;" in cookie for cookie in cookies)
    assert "max-age" in response.headers["strict-transport-security"]


async def test_wrong_password_says_one_sentence_and_keeps_the_name(visitor: Visitor, database: Database, now: datetime) -> None:
    """A slip costs only the password; the page never tells whether the account exists."""
    await make_person(database, now)
    known = await visitor.sign_in("me", "not the password")
    text = visitor.text
    unknown = await visitor.sign_in("nobody", "not the password")
    assert (known.status_code, unknown.status_code) == (401, 401)
    assert text == visitor.text
    assert 'value="nobody"' in unknown.text
    assert '<details class="fold" open>' in unknown.text  # the ways back in: a new invitation, or whoever installed the gateway
    assert "vẫn được bảo vệ" in visitor.text and "sudo lachan reset-password TÊN-ĐĂNG-NHẬP" in visitor.text


async def test_many_wrong_passwords_are_told_to_wait(visitor: Visitor, database: Database, now: datetime) -> None:
    """After five slips from one device the page says how long to wait."""
    await make_person(database, now)
    for _ in range(5):
        await visitor.sign_in("me", "not the password")
    response = await visitor.sign_in("me", PASSWORD)
    assert response.status_code == 429


async def test_sign_in_before_anybody_has_an_account_leads_to_the_set_up(visitor: Visitor) -> None:
    """A machine that nobody owns yet does not ask for a password."""
    response = await visitor.http.get("/sign-in")
    assert (response.status_code, response.headers["location"]) == (303, "/setup")


@pytest.mark.parametrize(
    "address", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "", "/a?b=//c", "/\t/x"]
)
def test_own_path_never_leads_away(address: str) -> None:
    """A link with a target of another site leads home."""
    assert own_path(address) == "/"


async def test_form_from_another_site_is_refused(visitor: Visitor, database: Database, now: datetime) -> None:
    """Whatever a foreign page makes the browser send, nothing happens."""
    await make_person(database, now)
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {}, {"Origin": visitor.origin, "Sec-Fetch-Site": "cross-site"}):
        response = await visitor.http.post("/sign-in", data={"sign_in": "me", "password": PASSWORD}, headers=headers)
        assert response.status_code == 403
        assert "set-cookie" not in response.headers


async def test_language_is_kept_in_the_browser(visitor: Visitor, database: Database, now: datetime) -> None:
    """Pressing English shows English from then on, and the page says which language it is."""
    await make_person(database, now)
    await visitor.get("/sign-in")
    assert visitor.response.headers["content-language"] == "vi"
    await visitor.submit("/language", button=("language", "en"))
    assert visitor.response.headers["content-language"] == "en"
    assert "Sign in" in visitor.text


async def test_a_parents_own_phone_looks_and_tightens_for_thirty_days(
    visitor: Visitor, family: Family, gateway: ScriptedGateway, clock: Clock
) -> None:
    """Until its last minute the phone sees and switches off; opening asks for the password; after it the door is shut for both."""
    await visitor.sign_in("me", PASSWORD, kept=True)
    path = f"/profiles/{family.bi.id}"
    clock.forward(days=29, hours=23, minutes=50)
    assert (await visitor.get("/")).status_code == 200 and "Bi" in visitor.text
    await visitor.get(path)
    assert (await visitor.submit(f"{path}/off", button=("until", "30m"))).status_code == 200
    assert "Đã tắt mạng đến" in visitor.text
    end = next(form.action for form in visitor.forms if form.action.endswith("/end"))
    assert (await visitor.submit(end)).status_code == 401
    await visitor.get(path)
    assert "Đã tắt mạng" in visitor.text or "Mở mạng lại" in visitor.text
    assert (await visitor.submit(f"{path}/open", {"what": "games"}, ("until", "30m"))).status_code == 401
    await visitor.get(path)
    open_page = list(visitor.forms)
    clock.forward(days=30, minutes=1)
    visitor.forms = open_page  # the page that was left open
    assert (await visitor.submit(f"{path}/off", button=("until", "2h"))).status_code in (401, 200)
    assert "Đăng nhập" in visitor.text and "Đã tắt mạng" not in visitor.text
    assert (await visitor.get("/sign-in")).status_code == 200 and visitor.has_form("/sign-in")
