"""Passkeys in a real Chromium, with its own authenticator (the protocol's WebAuthn domain): a parent at a desk and on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.browser.conftest import DESK, PHONE, Place, keep
from tests.support.people import PASSWORD, make_person


@pytest.fixture
def tab(chromium: Browser, size: str) -> Iterator[Page]:
    """A tab with scripts: passkeys are the one thing that needs one."""
    context = chromium.new_context(viewport=PHONE if size == "phone" else DESK, locale="vi-VN")  # type: ignore[arg-type]
    yield context.new_page()
    context.close()


def device_of(tab: Page) -> tuple[object, str]:
    """An authenticator inside this device, whose owner shows a finger."""
    line = tab.context.new_cdp_session(tab)
    line.send("WebAuthn.enable")
    traits = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True, "isUserVerified": True}
    made = line.send("WebAuthn.addVirtualAuthenticator", {"options": {**traits, "automaticPresenceSimulation": True}})
    return line, str(made["authenticatorId"])


@pytest.mark.full
def test_a_parent_makes_and_uses_a_passkey(place: Place, tab: Page, size: str) -> None:
    """Added on the account page, used to sign in, used in place of the password; another's finger changes nothing; taken away it is worth
    nothing. Nothing on any page breaks its own content policy."""
    broken: list[str] = []
    tab.on("console", lambda message: broken.append(message.text) if "Content Security Policy" in message.text else None)
    here = place.address.replace("127.0.0.1", "localhost")
    place.run(lambda: make_person(place.services.database, place.now))
    line, device = device_of(tab)
    tab.goto(f"{here}/sign-in")
    tab.fill("#sign_in", "me")
    tab.fill("#password", PASSWORD)
    keep(tab, f"passkey-signin-{size}")
    tab.click("form[action='/sign-in'] button:not([type=button])")
    tab.goto(f"{here}/account")
    tab.click("text=Thêm khóa truy cập")
    tab.click("text=Tạo khóa truy cập")  # without a name the field says so, and nothing is asked of the device
    assert tab.url.endswith("/begin")
    tab.fill("#label", "Điện thoại của mẹ")
    keep(tab, f"passkey-new-{size}")
    assert not [one for one in Axe().run(tab)["violations"] if one["impact"] in ("serious", "critical")]
    tab.click("text=Tạo khóa truy cập")
    tab.wait_for_url("**/account?done=passkey")
    assert "Điện thoại của mẹ" in tab.inner_text("main")
    keep(tab, f"passkey-account-{size}")
    tab.click("text=Thêm khóa truy cập")
    tab.fill("#label", "một lần nữa")
    tab.click("text=Tạo khóa truy cập")
    tab.wait_for_selector("text=đã có khóa truy cập cho tài khoản này")

    tab.goto(f"{here}/more")
    tab.click("form[action='/sign-out'] button")
    line.send("WebAuthn.setUserVerified", {"authenticatorId": device, "isUserVerified": False})  # type: ignore[attr-defined]  # untyped line
    tab.click("text=Đăng nhập bằng khóa truy cập")
    tab.wait_for_selector("text=Thiết bị chưa đưa ra khóa")
    keep(tab, f"passkey-refused-{size}")
    line.send("WebAuthn.setUserVerified", {"authenticatorId": device, "isUserVerified": True})  # type: ignore[attr-defined]
    tab.click("text=Đăng nhập bằng khóa truy cập")
    tab.wait_for_selector("form[action='/sign-out'], nav")
    place.now = place.now + timedelta(minutes=11)
    tab.goto(f"{here}/account")
    tab.click("form[action='/account/factor/begin'] button")
    keep(tab, f"passkey-confirm-{size}")
    tab.click("text=Dùng khóa truy cập thay mật khẩu")
    tab.wait_for_url("**/account/factor")
    tab.goto(f"{here}/account")
    tab.click("[aria-label='Bỏ khóa truy cập Điện thoại của mẹ']")
    tab.wait_for_url("**/account?done=passkey-removed")
    tab.goto(f"{here}/more")
    tab.click("form[action='/sign-out'] button")
    tab.click("text=Đăng nhập bằng khóa truy cập")
    tab.wait_for_selector("text=không được nhận")
    assert broken == []
