"""A family with one phone joins by the sheet, forgets its PIN, and comes back: by its own paper, or by the host in person after a day."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from datetime import datetime

import pytest
from starlette.types import ASGIApp

from admin.audit import Act, by_account
from admin.dependencies import Services
from admin.hosting import count_families, load_join_code, make_join_code
from blocklists.tables import OrganisationKind, Role
from tests.admin.conftest import Clock
from tests.support.controlsocket import ScriptedGateway
from tests.support.people import PASSWORD, make_person
from tests.support.visitor import Visitor

PIN, NEW_PIN = "407193", "860152"


@pytest.fixture
async def sheet(services: Services, gateway: ScriptedGateway, now: datetime) -> str:
    """The code on the sheet that a school printed."""
    school = await make_person(services.database, now, "truong", OrganisationKind.SCHOOL, Role.SCHOOL_ADMIN)
    act = Act(school.tenant, by_account(school.account, Role.SCHOOL_ADMIN), now)
    async with services.database.write() as connection:
        made = await make_join_code(connection, act, "Trường Kim Đồng", 20)
        return (await load_join_code(connection, school.tenant, made, now)).code


@pytest.fixture
async def open_browser(app: ASGIApp) -> AsyncIterator[Callable[[str], Visitor]]:
    opened: list[Visitor] = []

    def open_one(address: str = "192.168.1.99") -> Visitor:
        opened.append(Visitor(app, address=address))
        return opened[-1]

    yield open_one
    for one in opened:
        await one.close()


async def join(visitor: Visitor, sheet: str, name: str = "melan") -> None:
    """From the picture to the kept recovery sheet; the sheet is the page that is shown at the end."""
    await visitor.get(f"/family/{sheet}")
    await visitor.submit(f"/family/{sheet}", {"sign_in": name, "pin": PIN, "again": PIN})
    await visitor.submit("/welcome", {"label": "Bi", "band": "TH"}, ("add", "1"))
    await visitor.submit("/welcome", {"label": ["Bi", "Na"], "band": ["TH", "PT"]}, ("go", "1"))
    await visitor.submit("/welcome/phone")
    await visitor.submit("/recovery")


def code_of(visitor: Visitor) -> str:
    found = re.search(r"/new-pin/((?:[a-z0-9]{5}-){2}[a-z0-9]{5})", visitor.text)
    assert found
    return found[1]


async def test_a_hall_of_parents_joins_behind_one_address(sheet: str, open_browser: Callable[[str], Visitor]) -> None:
    """Only a code that is none counts: whoever holds the sheet comes in, however many joined before, and whatever a child typed; who is to
    wait reads a sentence of its own, not that something is broken."""
    for place in range(18):
        parent = open_browser("192.0.2.50")
        await parent.get(f"/family/{sheet}")
        await parent.submit(f"/family/{sheet}", {"sign_in": f"gia-dinh-{place}", "pin": PIN, "again": PIN})
        assert parent.response.url.path == "/welcome", (place, parent.text)
    child = open_browser("192.0.2.50")
    answers = [(await child.get(f"/family/aaaaa-{place:05}")).status_code for place in range(31)]
    assert answers == [404] * 30 + [429]
    assert "Đã hỏi quá nhiều lần" in child.text and "Xin chờ 10 phút" in child.text
    assert "trục trặc" not in child.text
    late = open_browser("192.0.2.50")
    await late.get(f"/family/{sheet}")
    assert late.has_form(f"/family/{sheet}"), late.text


async def test_family_joins_by_the_printed_sheet(visitor: Visitor, sheet: str, services: Services, gateway: ScriptedGateway) -> None:
    """Four pages; then the phone's own page, whose token the gateway enforces for the child. Nothing asks for mail or a number."""
    await visitor.get(f"/family/{sheet}")
    assert "Trường Kim Đồng" in visitor.text and "Bước 1 trên 4 Bước 2 trên 4" in visitor.text
    assert {name for form in visitor.forms for name in form.names} == {"sign_in", "pin", "again", "back"}
    await join(visitor, sheet)
    assert "Phiếu khôi phục" in visitor.text
    assert visitor.response.headers["cache-control"] == "no-store"
    (phone,) = [link for link in visitor.links if link.startswith("/phone/")]
    files = [json.loads((services.settings.state_dir / "files" / name).read_text(encoding="utf-8")) for name in gateway.policies.values()]
    token = f"token:{phone.removeprefix('/phone/')}"
    (newest,) = [file for file in files if any(token in client["match"] for client in file["clients"])]
    bands = {profile["id"]: profile["band"] for profile in newest["profiles"]}
    assert [bands[client["profile"]] for client in newest["clients"]] == ["TH"]
    assert newest["sites"][0]["networks"] == []
    await visitor.get(phone)
    assert visitor.response.status_code == 200


async def test_host_may_try_its_own_sheet(visitor: Visitor, sheet: str, services: Services) -> None:
    """Somebody signed in with a password opens the sheet and sees what families see; a family that has joined goes on to its own pages."""
    await visitor.sign_in("truong", PASSWORD)
    await visitor.get(f"/family/{sheet}")
    assert visitor.response.status_code == 200
    assert "Trường Kim Đồng" in visitor.text


async def test_wrong_sheets_and_easy_pins_are_refused(visitor: Visitor, sheet: str) -> None:
    """A sheet nobody printed opens nothing; the first PIN somebody would guess is none; a name is there once."""
    assert (await visitor.get("/family/aaaaa-bbbbb")).status_code == 404
    await visitor.get(f"/family/{sheet}")
    await visitor.submit(f"/family/{sheet}", {"sign_in": "melan", "pin": "123456", "again": "123456"})
    assert visitor.response.status_code == 422
    assert "Hai mã PIN" not in visitor.text
    await visitor.submit(f"/family/{sheet}", {"sign_in": "truong", "pin": PIN, "again": PIN})
    assert visitor.response.status_code == 422


@pytest.mark.parametrize("kind", ["family", "staff-join", "phone"])
async def test_a_mistyped_address_of_a_paper_says_to_compare_it(visitor: Visitor, kind: str, sheet: str) -> None:
    """One wrong letter is no old link: what to do, and whom to ask."""
    await visitor.get(f"/{kind}/9szsv-aaaaa-bbbbb")
    assert visitor.response.status_code == 404
    assert "so lại từng chữ" in visitor.text and "hỏi nơi hoặc người đã đưa phiếu" in visitor.text and "Liên kết đã cũ" not in visitor.text


async def test_the_first_page_sent_twice_is_the_same_familys(
    visitor: Visitor, sheet: str, open_browser: Callable[[str], Visitor], clock: Clock
) -> None:
    """The answer to the first press never came: the second goes on. Another PIN, or a later hour, does not."""
    typed = {"sign_in": "MeLan", "pin": PIN, "again": PIN}
    lost, other = open_browser("192.168.1.99"), open_browser("192.168.1.98")
    for browser in (lost, visitor, other):
        await browser.get(f"/family/{sheet}")
    await lost.submit(f"/family/{sheet}", typed)
    await visitor.submit(f"/family/{sheet}", typed)
    assert visitor.response.url.path == "/welcome", visitor.text
    await other.submit(f"/family/{sheet}", typed | {"pin": NEW_PIN, "again": NEW_PIN})
    assert other.response.status_code == 422 and "đã có người dùng" in other.text
    clock.forward(hours=2)
    await other.submit(f"/family/{sheet}", typed)
    assert other.response.status_code == 422 and "đã có người dùng" in other.text


async def test_host_and_another_family_see_nothing_of_it(visitor: Visitor, sheet: str, open_browser: Callable[[str], Visitor]) -> None:
    """The host reads a number; another family on the same gateway gets "not found" for every address of this one."""
    await join(visitor, sheet)
    await visitor.get("/")
    own = [link for link in visitor.links if link.startswith("/profiles/")]
    host, other = open_browser("192.168.1.2"), open_browser("192.168.1.3")
    await host.sign_in("truong", PASSWORD)
    await host.get("/families")
    assert "1 gia đình đã tham gia" in host.text
    await join(other, sheet, "mehoa")
    for stranger in (host, other):
        for link in own:
            if re.fullmatch(r"/profiles/\w{20,}", link):
                assert (await stranger.get(link)).status_code == 404
        for path in ("/", "/devices", "/requests", "/journal", "/families"):
            await stranger.get(path)
            assert "melan" not in stranger.response.text
            assert not set(own) & {one for one in stranger.links if one.startswith("/profiles/") and one != "/profiles/new"}


async def test_pin_loosens_and_lends(visitor: Visitor, sheet: str, clock: Clock) -> None:
    """The PIN is asked before anything opens; there is no second PIN to forget; the machine's backup is not theirs."""
    await join(visitor, sheet)
    clock.forward(minutes=11)
    assert (await visitor.get("/backup")).status_code == 404
    await visitor.get("/more")
    assert "/recovery" in visitor.links
    assert "/pin" not in visitor.links
    await visitor.get("/account")
    await visitor.submit("/account/pin", {"pin": NEW_PIN, "again": NEW_PIN})
    await visitor.submit("/account/pin", {"_password": PIN, "pin": NEW_PIN, "again": NEW_PIN})
    assert "Đã đổi mã PIN" in visitor.text


async def test_recovery_sheet_sets_a_new_pin_once(visitor: Visitor, sheet: str, open_browser: Callable[[str], Visitor]) -> None:
    """The paper opens the account from any phone; the old PIN, every session and the paper itself end."""
    await join(visitor, sheet)
    code = code_of(visitor)
    found = open_browser("192.168.1.4")
    await found.get(f"/new-pin/{code}")
    await found.submit("/new-pin", {"code": code.upper(), "pin": NEW_PIN, "again": NEW_PIN})
    assert "Tạo phiếu khôi phục" in found.text
    assert (await visitor.get("/devices")).status_code in (401, 200)
    assert "Đăng nhập" in visitor.text
    await visitor.sign_in("melan", PIN)
    assert "Đăng nhập" in visitor.text
    await visitor.sign_in("melan", NEW_PIN)
    assert "Bi" in visitor.text
    again = open_browser("192.168.1.5")
    await again.get(f"/new-pin/{code}")
    await again.submit("/new-pin", {"pin": "951753", "again": "951753"})
    assert again.response.status_code == 422


async def test_a_forgotten_pin_is_asked_for_on_one_page_and_the_slip_is_named(
    visitor: Visitor, sheet: str, open_browser: Callable[[str], Visitor]
) -> None:
    """From the link at the sign-in: the code, then the page of the PIN. Without the sheet its host helps, no command."""
    await visitor.get("/sign-in")
    assert "phiếu hẹn" not in visitor.text  # nobody joined by a sheet
    await join(visitor, sheet)
    code = code_of(visitor)
    found = open_browser("192.168.1.4")
    await found.get("/sign-in")
    assert found.text.index("phiếu hẹn") < found.text.index("sudo lachan")
    await found.get("/new-password")
    assert {name for form in found.forms if form.action == "/new-password" for name in form.names} == {"code"}
    await found.submit("/new-password", {"code": code.replace("-", " ").upper()})
    assert found.response.url.path == f"/new-pin/{code}"
    await found.submit("/new-pin", {"pin": NEW_PIN, "again": NEW_PIN})
    assert found.response.url.path == "/recovery"


async def test_guesses_from_everywhere_wait_but_the_familys_phone_does_not(
    visitor: Visitor, sheet: str, open_browser: Callable[[str], Visitor]
) -> None:
    """A crowd of addresses is slowed down together; the phone that joined and the recovery sheet are not."""
    await join(visitor, sheet)
    code = code_of(visitor)
    for number in range(12):
        await open_browser(f"10.{number}.0.9").sign_in("melan", "000111")
    late = open_browser("10.99.0.9")
    await late.sign_in("melan", PIN)
    assert late.response.status_code == 429
    await visitor.get("/more")
    await visitor.submit("/sign-out")
    await visitor.sign_in("melan", PIN)
    assert "Bi" in visitor.text
    await late.get("/new-pin")
    await late.submit("/new-pin", {"code": code, "pin": NEW_PIN, "again": NEW_PIN})
    assert "Tạo phiếu khôi phục" in late.text


async def slip_for(host: Visitor) -> str:
    """The code of the slip that the host makes for the family in person."""
    await host.sign_in("truong", PASSWORD)
    await host.get("/families")
    await host.submit("/families/pin", {"sign_in": "melan"})
    return code_of(host)


async def test_host_in_person_waits_a_day_and_the_family_is_told(
    visitor: Visitor, sheet: str, open_browser: Callable[[str], Visitor], clock: Clock
) -> None:
    """A slip works after 24 hours, not before; the family's phone says so from the first minute."""
    await join(visitor, sheet)
    code = await slip_for(open_browser("192.168.1.2"))
    await visitor.get("/")
    assert "xin mã PIN mới" in visitor.text
    late = open_browser("192.168.1.4")
    await late.get("/new-pin")
    await late.submit("/new-pin", {"code": code, "pin": NEW_PIN, "again": NEW_PIN})
    assert "Xin đợi đến" in late.text
    clock.forward(hours=23, minutes=59)
    await late.get("/new-pin")
    await late.submit("/new-pin", {"code": code, "pin": NEW_PIN, "again": NEW_PIN})
    assert "Xin đợi đến" in late.text
    clock.forward(minutes=2)
    await late.get("/new-pin")
    await late.submit("/new-pin", {"code": code, "pin": NEW_PIN, "again": NEW_PIN})
    assert "Tạo phiếu khôi phục" in late.text
    await late.get("/")
    assert "đã được đặt lại bằng phiếu hẹn" in late.text
    await late.get("/journal")
    assert "Đặt lại mã PIN" in late.text


async def test_family_stops_a_slip_it_did_not_ask_for(
    visitor: Visitor, sheet: str, open_browser: Callable[[str], Visitor], clock: Clock
) -> None:
    """One press, without the PIN; the slip is worth nothing, also after its day."""
    await join(visitor, sheet)
    code = await slip_for(open_browser("192.168.1.2"))
    clock.forward(hours=2)
    await visitor.get("/")
    await visitor.submit("/renewal/stop")
    assert "xin mã PIN mới" not in visitor.text
    clock.forward(hours=24)
    late = open_browser("192.168.1.4")
    await late.get("/new-pin")
    await late.submit("/new-pin", {"code": code, "pin": NEW_PIN, "again": NEW_PIN})
    assert late.response.status_code == 422


async def test_pages_of_joining_are_for_pin_families_only(
    visitor: Visitor, services: Services, gateway: ScriptedGateway, now: datetime
) -> None:
    """A parent with a machine of their own has a password, and these pages do not exist."""
    await make_person(services.database, now)
    await visitor.sign_in("me", PASSWORD)
    for path in ("/welcome", "/welcome/phone"):
        assert (await visitor.get(path)).status_code == 404


async def test_sheet_never_takes_more_than_it_says(
    services: Services, gateway: ScriptedGateway, open_browser: Callable[[str], Visitor], now: datetime
) -> None:
    """Families that join in the same moment are counted one after the other."""
    school = await make_person(services.database, now, "truong", OrganisationKind.SCHOOL, Role.SCHOOL_ADMIN)
    act = Act(school.tenant, by_account(school.account, Role.SCHOOL_ADMIN), now)
    async with services.database.write() as connection:
        made = await make_join_code(connection, act, "Trường Kim Đồng", 1)
        code = (await load_join_code(connection, school.tenant, made, now)).code
    browsers = [open_browser(f"192.168.1.{place}") for place in (90, 91, 92)]
    for browser in browsers:
        await browser.get(f"/family/{code}")
    tries = [browser.submit(f"/family/{code}", {"sign_in": f"nha{n}", "pin": PIN, "again": PIN}) for n, browser in enumerate(browsers)]
    await asyncio.gather(*tries)
    async with services.database.read() as connection:
        assert await count_families(connection, school.tenant) == 1
    assert sum("Tờ này đã đủ" in browser.text or browser.response.status_code == 409 for browser in browsers) == 2
