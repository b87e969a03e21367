"""The recovery sheet through the pages: a mother with one phone, a password she forgot, no passkey, and nobody at the machine."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

import pytest
from starlette.types import ASGIApp

from admin.audit import MACHINE, Act
from admin.choices import Choices, set_choices
from admin.dependencies import Services
from admin.notices import Message
from admin.tenants import create_account, grant_role
from blocklists.database import Database
from blocklists.tables import OrganisationId, OrganisationKind, Role
from tests.admin.conftest import Clock
from tests.support.family import Family
from tests.support.office import enrol
from tests.support.people import PASSWORD, make_person
from tests.support.visitor import Visitor

FRESH = "tháng tám trời xanh"


@pytest.fixture
async def open_browser(app: ASGIApp) -> AsyncIterator[Callable[[str], Visitor]]:
    opened: list[Visitor] = []

    def open_one(address: str = "192.168.1.99") -> Visitor:
        opened.append(Visitor(app, address=address))
        return opened[-1]

    yield open_one
    for one in opened:
        await one.close()


@pytest.fixture
async def mother(visitor: Visitor, family: Family) -> Visitor:
    """The first parent of a family with its own gateway, signed in."""
    await visitor.sign_in("me", PASSWORD)
    return visitor


async def print_sheet(browser: Visitor) -> str:
    """The code of a new sheet, made on the account page."""
    await browser.get("/account")
    await browser.submit("/recovery")
    return code_of(browser)


def code_of(browser: Visitor) -> str:
    found = re.search(r"/new-password/((?:[a-z0-9]{5}-){2}[a-z0-9]{5})", browser.text)
    assert found, browser.text
    return found[1]


async def use(browser: Visitor, code: str, password: str = FRESH) -> None:
    """From the link on the sign-in page to the new password."""
    await browser.get("/sign-in")
    assert "/new-password" in browser.links
    await browser.get("/new-password")
    await browser.submit("/new-password", {"code": code})
    if browser.response.status_code == 200:
        await browser.submit("/new-password", {"password": password, "again": password})


async def test_a_forgotten_password_is_renewed_by_the_sheet_once(
    mother: Visitor, open_browser: Callable[[str], Visitor], clock: Clock
) -> None:
    """From any phone: the old password, every session and the sheet itself end; the next sheet is offered at once."""
    code = await print_sheet(mother)
    assert mother.response.headers["cache-control"] == "no-store"
    phone = open_browser("192.168.1.50")
    await use(phone, code.upper().replace("-", " "))
    assert "Tạo phiếu khôi phục" in phone.text and phone.response.url.path == "/recovery"
    await mother.get("/devices")
    assert "Đăng nhập" in mother.text
    await mother.sign_in("me", PASSWORD)
    assert mother.response.status_code == 401
    await mother.sign_in("me", FRESH)
    assert "Bi" in mother.text
    late = open_browser("192.168.1.51")
    await use(late, code)
    assert late.response.status_code == 422 and "Đăng nhập" not in late.text
    await mother.get("/journal")
    assert "Đặt lại mật khẩu bằng phiếu khôi phục" in mother.text


async def test_the_picture_brings_the_code_along(mother: Visitor, open_browser: Callable[[str], Visitor]) -> None:
    """What the QR opens asks for the new password only; what is too easy is said, and the sheet is still good."""
    code = await print_sheet(mother)
    phone = open_browser("192.168.1.50")
    await phone.get(f"/new-password/{code}")
    await phone.submit("/new-password", {"password": "12345678", "again": "12345678"})
    assert phone.response.status_code == 422
    await phone.submit("/new-password", {"password": FRESH, "again": FRESH + "!"})
    assert phone.response.status_code == 422
    await phone.submit("/new-password", {"password": FRESH, "again": FRESH})
    assert phone.response.url.path == "/recovery"


async def test_the_other_adults_are_told(
    mother: Visitor, open_browser: Callable[[str], Visitor], services: Services, family: Family, clock: Clock
) -> None:
    """The father reads it on his home page for a week; mail and webhook say that it happened, and of nobody."""
    sent: list[tuple[OrganisationId, Message]] = []

    def announce(tenant: OrganisationId, choices: Choices, message: Message, now: datetime, **_: Any) -> bool:
        sent.append((tenant, message))
        return True

    services.post.announce = announce  # type: ignore[method-assign,assignment]  # what would be sent
    hashed = await services.door.passwords.hash(PASSWORD)
    async with services.database.write() as connection:
        act = Act(family.tenant, MACHINE, services.now())
        await grant_role(connection, act, await create_account(connection, "bo", "Bố", hashed, "vi", act.now), Role.PARENT)
        await set_choices(connection, act, Choices(0, None, "bo@example.vn", "", digest=False))
    code = await print_sheet(mother)
    await use(open_browser("192.168.1.50"), code)
    father = open_browser("192.168.1.60")
    await father.sign_in("bo", PASSWORD)
    assert "Mật khẩu của me đã được đặt lại bằng phiếu khôi phục" in father.text
    ((tenant, message),) = sent
    assert tenant == family.tenant and "phiếu khôi phục" in message.subject and "me" not in message.text.split()
    clock.forward(days=8)
    await father.sign_in("bo", PASSWORD)
    assert "đã được đặt lại" not in father.text


async def test_a_stranger_cannot_turn_it_into_a_lock_out(mother: Visitor, open_browser: Callable[[str], Visitor]) -> None:
    """Wrong codes wait, by the address they come from; the sheet opens even there, and from everywhere else anyhow."""
    code = await print_sheet(mother)
    stranger = open_browser("192.168.1.66")
    await stranger.get("/new-password")
    statuses = []
    for _ in range(31):
        await stranger.get("/new-password")
        await stranger.submit("/new-password", {"code": "aaaaa-aaaaa-aaaaa"})
        statuses.append(stranger.response.status_code)
    assert statuses == [422] * 30 + [429]
    await use(stranger, code)
    assert stranger.response.url.path == "/recovery"


async def test_the_second_step_is_still_asked_for(mother: Visitor, open_browser: Callable[[str], Visitor]) -> None:
    """The sheet replaces the password only, and says so; the code, or one from paper, is asked for as before."""
    await mother.get("/account")
    papers = await enrol(mother)
    code = await print_sheet(mother)
    assert "Bước thứ hai vẫn giữ nguyên" in mother.text
    phone = open_browser("192.168.1.50")
    await use(phone, code)
    assert phone.response.url.path == "/sign-in" and "bước thứ hai vẫn được hỏi" in phone.text
    assert (await phone.get("/devices")).url.path != "/devices" or "Đăng nhập" in phone.text
    await phone.sign_in("me", FRESH)
    assert phone.has_form("/sign-in/code")
    await phone.submit("/sign-in/code", {"code": papers[0]})
    assert "Bi" in phone.text


async def test_a_new_sheet_asks_for_the_password_again(mother: Visitor, open_browser: Callable[[str], Visitor], clock: Clock) -> None:
    """Ten minutes later a phone left open makes no way in; the older sheet is worth nothing after the new one."""
    old = await print_sheet(mother)
    clock.forward(minutes=11)
    await mother.get("/account")
    await mother.submit("/recovery")
    assert 'name="_password"' in mother.response.text and "/new-password/" not in mother.text
    await mother.submit("/recovery", {"_password": PASSWORD})
    assert code_of(mother) != old
    phone = open_browser("192.168.1.50")
    await use(phone, old)
    assert phone.response.status_code == 422


@pytest.mark.parametrize(
    ("kind", "role", "may"),
    [
        (OrganisationKind.SCHOOL, Role.SCHOOL_ADMIN, True),
        (OrganisationKind.FAMILY, Role.PARENT, True),
        (OrganisationKind.SCHOOL, Role.TEACHER, False),
        (OrganisationKind.OPERATOR, Role.OPERATOR, False),
    ],
)
async def test_who_may_have_one(visitor: Visitor, database: Database, now: datetime, kind: OrganisationKind, role: Role, may: bool) -> None:
    """Whoever runs a family or school, and the other parent. A teacher is invited anew; who runs the machine has the machine."""
    await make_person(database, now, "nguoi", kind, role)
    await visitor.sign_in("nguoi", PASSWORD)
    await visitor.get("/account")
    assert visitor.has_form("/recovery") is may
    await visitor.get("/more")
    assert ("/recovery" in visitor.links) is may
    assert (await visitor.get("/recovery")).status_code == (200 if may else 404)


async def test_each_kind_of_sheet_finds_its_page(mother: Visitor, open_browser: Callable[[str], Visitor]) -> None:
    """The code of a password typed into the page of a PIN leads on, with the code filled in."""
    code = await print_sheet(mother)
    phone = open_browser("192.168.1.50")
    await phone.get("/new-pin")
    await phone.submit("/new-pin", {"code": code, "pin": "407193", "again": "407193"})
    assert phone.response.url.path == f"/new-password/{code}"
    await phone.submit("/new-password", {"password": FRESH, "again": FRESH})
    assert phone.response.url.path == "/recovery"
