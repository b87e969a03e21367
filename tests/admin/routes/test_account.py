"""My account, through the pages: a second step, a lost phone, a new password, other devices."""

from __future__ import annotations

import time
from datetime import datetime

import pyotp
import pytest
from starlette.types import ASGIApp

from admin.dependencies import Services
from blocklists.database import Database
from tests.admin.conftest import Clock
from tests.support.office import enrol, make_officers, typed_key
from tests.support.people import PASSWORD, make_person
from tests.support.visitor import Visitor


@pytest.fixture
async def parent(visitor: Visitor, database: Database, now: datetime) -> Visitor:
    """Somebody signed in."""
    await make_person(database, now)
    await visitor.sign_in("me", PASSWORD)
    return visitor


async def test_second_step_is_set_up_and_asked_for(parent: Visitor, app: ASGIApp) -> None:
    """Picture, first code, recovery codes shown once; the next sign-in asks for a code, and paper replaces a lost phone."""
    await parent.get("/account")
    papers = await enrol(parent)
    assert len(papers) == 10
    await parent.get("/account")
    assert papers[0] not in parent.response.text and "còn 10 mã dự phòng" in parent.text
    other = Visitor(app, "192.168.1.44")
    await other.sign_in("me", PASSWORD)
    assert other.has_form("/sign-in/code") and not other.has_form("/sign-out")
    refused = await other.submit("/sign-in/code", {"code": "123456"})
    assert refused.status_code == 401 and "Mã này không đúng" in other.text
    await other.submit("/sign-in/code", {"code": papers[3]})
    assert other.response.status_code == 200 and other.response.url.path == "/"
    await other.get("/account")
    assert "còn 9 mã dự phòng" in other.text
    await other.close()


async def test_code_alone_or_an_old_ticket_opens_nothing(parent: Visitor, app: ASGIApp) -> None:
    """Without the password first there is no ticket; a wrong code many times over has to wait, whoever guesses."""
    papers = await enrol_here(parent)
    other = Visitor(app, "192.168.1.45")
    await other.get("/sign-in")
    response = await other.post("/sign-in/code", {"ticket": "guessed", "code": papers[0], "next": "/"})
    assert response.status_code == 401 and other.has_form("/sign-in")
    await other.sign_in("me", PASSWORD)
    for _ in range(5):
        await other.submit("/sign-in/code", {"code": "000000"})
    waiting = await other.submit("/sign-in/code", {"code": papers[0]})
    assert waiting.status_code == 429
    await other.close()


async def enrol_here(browser: Visitor) -> list[str]:
    await browser.get("/account")
    return await enrol(browser)


async def test_loosening_later_asks_for_password_and_code(parent: Visitor, clock: Clock) -> None:
    """Turning the second step off is loosening: after ten minutes both are asked for again."""
    papers = await enrol_here(parent)
    clock.forward(minutes=11)
    await parent.get("/account")
    await parent.submit("/account/factor/remove")
    assert 'name="_code"' in parent.response.text
    await parent.submit("/account/factor/remove", {"_password": PASSWORD, "_code": "000000"})
    assert "Mã này không đúng" in parent.text
    await parent.submit("/account/factor/remove", {"_password": PASSWORD, "_code": papers[1]})
    assert "Đã tắt bước thứ hai" in parent.text and parent.has_form("/account/factor/begin")


async def test_new_password_signs_everybody_else_out(parent: Visitor, app: ASGIApp) -> None:
    """Both fields must agree; the old password is worth nothing afterwards."""
    other = Visitor(app, "192.168.1.46")
    await other.sign_in("me", PASSWORD)
    await parent.get("/account")
    slip = await parent.submit("/account/password", {"password": "bầu trời rất xanh", "again": "bầu trời rất xa"})
    assert slip.status_code == 422
    await parent.submit("/account/password", {"password": "bầu trời rất xanh", "again": "bầu trời rất xanh"})
    assert "Đã đổi mật khẩu" in parent.text
    assert (await other.get("/")).status_code == 401
    assert (await other.sign_in("me", PASSWORD)).status_code == 401
    assert (await other.sign_in("me", "bầu trời rất xanh")).status_code == 200
    await parent.get("/account")
    await parent.submit("/account/others")
    assert (await other.get("/")).status_code == 401
    await other.close()


async def test_new_password_typed_before_the_old_one_is_asked_for_is_in_no_page(parent: Visitor, clock: Clock) -> None:
    """What somebody typed as a secret is not written into the page that asks who they are; it is typed there once more."""
    new = {"password": "bầu trời rất xanh", "again": "bầu trời rất xanh"}
    clock.forward(minutes=11)
    await parent.get("/account")
    await parent.submit("/account/password", new)
    assert parent.has_form("/account/password") and "bầu trời" not in parent.response.text
    await parent.submit("/account/password", {"_password": "sai mật khẩu", **new})
    assert "bầu trời" not in parent.response.text and "sai mật khẩu" not in parent.response.text
    await parent.submit("/account/password", {"_password": PASSWORD, **new})
    assert "Đã đổi mật khẩu" in parent.text


async def test_officer_without_a_second_step_is_led_to_it(app: ASGIApp, services: Services, now: datetime) -> None:
    """Verifying, approving and appointing need it; the page says why, and goes on afterwards."""
    await make_officers(services.database, now)
    browser = Visitor(app)
    await browser.sign_in("approver", PASSWORD)
    await browser.get("/office/more")
    await browser.submit("/office/officers", {"role": "approver", "basis": "20/QĐ-SVHTTDL"})
    assert browser.has_form("/account/factor/begin")
    assert "Cán bộ của đơn vị lập danh sách đăng nhập bằng hai bước" in browser.text
    await browser.submit("/account/factor/begin")
    await browser.submit("/account/factor", {"code": pyotp.TOTP(typed_key(browser.response.text)).at(time.time())})
    assert "Mã dự phòng" in browser.text
    await browser.close()
