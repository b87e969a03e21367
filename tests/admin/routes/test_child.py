"""The pages for children: kind, honest, small, without a script; help before anything else."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from starlette.types import ASGIApp

from admin.app import create_page_app
from admin.audit import Act, by_account
from admin.dependencies import Services
from admin.overrides import start_override
from admin.pages.assets import FOLDER
from admin.requests import find_by_code, list_requests
from admin.tenants import create_organisation
from admin.values import OverrideKind
from blocklists.joined import OFFICE
from blocklists.tables import OrganisationKind, Role
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family
from tests.support.people import PASSWORD
from tests.support.visitor import Visitor


@pytest.fixture
def page_app(services: Services) -> ASGIApp:
    return create_page_app(services)


@pytest.fixture
async def bi(
    page_app: ASGIApp, services: Services, family: Family, gateway: ScriptedGateway, lists: Path, now: datetime
) -> AsyncIterator[Visitor]:
    """Bi, nine years old, on the phone that is Bi's alone."""
    await services.applier.settle(family.tenant)
    gateway.see("192.168.1.31", now, client=family.bi_phone, tenant=family.tenant)
    browser = Visitor(page_app, address="192.168.1.31", origin="http://lachan.internal")
    yield browser
    await browser.close()


async def at(bi: Visitor, host: str, path: str = "/") -> int:
    response = await bi.get(path, headers={"Host": host})
    return response.status_code


async def test_blocked_name_is_explained_kindly(bi: Visitor) -> None:
    """A gambling site on a nine-year-old's phone: 403, no blame, help, and nothing to ask for."""
    assert await at(bi, "bet.example", "/a/b?c=d") == 403
    assert "Trang cá cược luôn được lập ra để người chơi thua" in bi.text
    assert "Có ai bảo con trả tiền không? Con kể với người lớn con tin, hoặc gọi 111." in bi.text
    assert not any("/ask" in link for link in bi.links)


async def test_sensitive_group_is_not_named_to_a_small_child(bi: Visitor) -> None:
    """Not for your age yet, and not a word more; the same for self-harm."""
    for host in ("adult.example", "hurt.example"):
        assert await at(bi, host) == 403
        assert "Trang này chưa hợp với tuổi của con" in bi.text
        assert "Con không làm gì sai cả" in bi.text
        for word in ("khiêu dâm", "tự hại", "tự tử", host):
            assert word not in bi.text


async def test_sensitive_name_is_not_in_the_list_of_the_last_minutes(bi: Visitor, gateway: ScriptedGateway, now: datetime) -> None:
    """Neither the group nor the site, and no "nothing was blocked" either; what is not sensitive stands there as before."""
    for host in ("adult.example", "hurt.example"):
        gateway.block("192.168.1.31", host, "porn", now)
    await bi.get("/why")
    assert "Không có trang nào để xem ở đây. Không phải lỗi của ai" in bi.text
    assert not re.search(r"adult\.example|hurt\.example|khiêu dâm|tự hại", bi.response.text)
    gateway.block("192.168.1.31", "play.example", "game", now)
    await bi.get("/why")
    assert "play.example" in bi.text and not re.search(r"adult\.example|hurt\.example", bi.response.text)


async def test_every_link_read_aloud_says_where_it_leads(bi: Visitor, gateway: ScriptedGateway, now: datetime) -> None:
    """No two links of one name: whom one calls, and which site is asked for."""
    for host in ("play.example", "bet.example"):
        gateway.block("192.168.1.31", host, "game", now)
    await bi.get("/help")
    for name in ("Gọi 113", "Gọi 115", "Mở vn-cop.vn"):
        assert f'aria-label="{name}"' in bi.response.text
    await bi.get("/why")
    assert 'aria-label="Xin mở: play.example"' in bi.response.text


async def test_order_answers_451_with_its_number(bi: Visitor) -> None:
    """An authority's order is told as one, with the header of RFC 7725."""
    assert await at(bi, "ordered.example") == 451
    assert "o1/QĐ" in bi.text
    assert "Cơ quan ban hành: Sở thử nghiệm" in bi.text and "Căn cứ" not in bi.text, "an issuer is no basis"
    assert 'rel="blocked-by"' in bi.response.headers["link"]


async def test_order_speaks_plainly_to_a_small_child(bi: Visitor) -> None:
    """The first lines are for the child; number, basis and where to object are folded away for the grown-up beside it."""
    await at(bi, "ordered.example")
    told, folded = bi.response.text.split("<details>")
    assert "Trang này đang đóng" in told and "Con không làm gì sai cả" in told
    for word in ("thẩm quyền", "văn bản", "Căn cứ", "o1/QĐ"):
        assert word not in told
    assert "Dành cho người lớn" in folded and "o1/QĐ" in folded and 'href="tel:111"' in folded


async def test_order_names_the_place_of_its_letter(bi: Visitor, services: Services) -> None:
    """Where the letter says who takes objections, the page says it, and says nothing of whom the order binds beside this reader."""
    await at(bi, "appealed.example")
    assert bi.response.status_code == 451
    assert "Cơ quan ban hành: Sở thử nghiệm Căn cứ: điều 1" in bi.text
    assert "Nơi nhận khiếu nại: Thanh tra tỉnh <b>" in bi.text and "tỉnh <b>" not in bi.response.text
    assert "mọi người" not in bi.text and "nêu số văn bản" not in bi.text


async def test_order_says_where_to_object(bi: Visitor, services: Services, now: datetime) -> None:
    """Where the office is far away: whoever issued it, by its number; where it is here: its own page for this site."""
    await at(bi, "ordered.example")
    assert "nêu số văn bản" in bi.text
    async with services.database.write() as connection:
        await create_organisation(connection, OrganisationKind.OFFICE, "Đơn vị", "vi", now)
    await at(bi, "ordered.example")
    assert any(link.endswith("/transparency/lookup?name=ordered.example") for link in bi.links)


async def test_order_of_a_joined_office_leads_to_its_public_page(bi: Visitor, services: Services) -> None:
    """A gateway that follows an office by its code sends people to where they can ask to look again, not to nobody."""
    file = services.settings.state_dir / OFFICE
    file.parent.mkdir(exist_ok=True)
    document = {"url": "https://so.example/release", "fingerprint": "ab", "gateway": "g", "label": "x", "public": "y"}
    file.write_text(json.dumps(document))
    await at(bi, "ordered.example")
    assert "https://so.example/transparency/lookup?name=ordered.example" in bi.response.text
    assert "nêu số văn bản" not in bi.text
    file.write_text(json.dumps(document | {"url": "https://cdn.example/elsewhere"}))  # whose pages nobody knows
    await at(bi, "ordered.example")
    assert "cdn.example" not in bi.response.text and "nêu số văn bản" in bi.text


async def test_block_of_the_provider_is_told_as_its_own(bi: Visitor, gateway: ScriptedGateway, now: datetime) -> None:
    """Not the filter of school or family, and nobody here is asked to open it."""
    gateway.block("192.168.1.31", "free.example", "", now, rule="upstream")
    await bi.get("/why")
    assert "nhà mạng chặn" in bi.text
    assert not [link for link in bi.links if "free.example" in link]
    await bi.get("/ask?host=free.example")
    assert "Nhà mạng không mở trang này" in bi.text and "Con không làm gì sai cả" in bi.text
    assert bi.response.status_code == 403


async def test_fault_of_the_filter_is_told_as_one(bi: Visitor, gateway: ScriptedGateway) -> None:
    """When nobody can say why, the page does not pretend to know; help stays."""
    await gateway.stop()
    assert await at(bi, "bet.example") == 503
    assert "Bộ lọc đang gặp sự cố" in bi.text
    assert "111" in bi.text


async def test_pages_can_be_put_on_the_home_screen(bi: Visitor) -> None:
    """A manifest with pictures from here, on our own name only: a blocked site offers nothing to keep."""
    await bi.get("/add")
    assert "Đặt lên màn hình chính" in bi.text
    assert 'rel="manifest"' in bi.response.text
    manifest = (await bi.get("/manifest.webmanifest")).json()
    assert (manifest["start_url"], manifest["lang"]) == ("/why", "vi")
    for icon in manifest["icons"]:
        picture = await bi.get(icon["src"])
        assert picture.headers["content-type"] == "image/png"
        width = int.from_bytes(picture.content[16:20])
        assert icon["sizes"] == f"{width}x{width}"
    await at(bi, "bet.example")
    assert "manifest" not in bi.response.text


async def test_rest_says_when_it_opens(bi: Visitor, services: Services, family: Family, now: datetime) -> None:
    """What rests by a parent's press is told with its end."""
    act = Act(family.tenant, by_account(family.account, Role.FIRST_PARENT), now)
    async with services.database.write() as connection:
        await start_override(connection, act, family.bi.id, OverrideKind.OFF, now + timedelta(hours=1), [])
    await services.applier.settle(family.tenant)
    assert await at(bi, "free.example") == 403
    assert "Mạng mở lại lúc 20:30" in bi.text
    await at(bi, "bet.example")  # closed then, too: nobody is promised that hour
    assert "20:30" not in bi.text and "Trang cá cược luôn được lập ra để người chơi thua" in bi.text


async def test_every_page_is_under_20_kb_without_script(bi: Visitor) -> None:
    """Page and sheet together, on the slowest line; nothing from elsewhere, nothing that runs."""
    sheet = (FOLDER / "child.css").stat().st_size
    for host, path in (
        ("bet.example", "/"),
        ("scam.example", "/"),
        ("lachan.internal", "/why"),
        ("lachan.internal", "/ask?host=play.example"),
    ):
        response = await bi.get(path, headers={"Host": host})
        assert len(response.content) + sheet < 20_000, path
        assert "<script" not in response.text
        ours = ("http://lachan.internal", "http://tongdai111.vn", "http://127.0.0.1:8080/adult")
        assert "http://" not in re.sub("|".join(map(re.escape, ours)), "", response.text)


async def test_why_shows_a_device_known_alone_its_own_ten_minutes(bi: Visitor, gateway: ScriptedGateway, now: datetime) -> None:
    """Its blocks, what can be asked for, and that nobody else sees them."""
    gateway.block("192.168.1.31", "play.example", "game", now)
    gateway.block("192.168.1.31", "bet.example", "gamb", now)
    await bi.get("/why")
    for words in ("play.example", "bet.example", "Không ai khác xem được, và không được lưu lại."):
        assert words in bi.text
    assert [link for link in bi.links if "host=play.example" in link]
    assert not [link for link in bi.links if "host=bet.example" in link]


async def test_why_shows_nothing_where_the_address_is_shared(
    page_app: ASGIApp, bi: Visitor, family: Family, gateway: ScriptedGateway, now: datetime
) -> None:
    """An unnamed device sees no block of anybody; it is asked which site."""
    gateway.see("192.168.1.99", now, tenant=family.tenant)
    gateway.block("192.168.1.99", "secret.example", "game", now)
    browser = Visitor(page_app, address="192.168.1.99", origin="http://lachan.internal")
    await browser.get("/why")
    assert "secret.example" not in browser.text
    assert "không biết đang cầm máy nào" in browser.text
    assert browser.has_form("/ask")
    await browser.close()


async def test_why_shows_nothing_to_phones_that_share_an_address(
    page_app: ASGIApp, family: Family, services: Services, gateway: ScriptedGateway, now: datetime
) -> None:
    """Away from home, a provider's address is not one phone's: no block, no history, no loan; a request still reaches the family."""
    await services.applier.settle(family.tenant)
    gateway.see("203.0.113.7", now, client=family.bi_phone, tenant=family.tenant, by_token=True)
    gateway.block("203.0.113.7", "secret.example", "game", now)
    browser = Visitor(page_app, address="203.0.113.7", origin="http://lachan.internal")
    await browser.get("/why")
    assert "secret.example" not in browser.text
    assert browser.has_form("/ask")
    await browser.get("/ask?host=play.example")
    await browser.submit("/ask?lang=vi", {"reason": "lesson"})
    assert browser.response.url.path.startswith("/answer/")
    async with services.database.read() as connection:
        [asked] = (await list_requests(connection, family.tenant, now))[0]
    assert asked.profile_id is None
    await browser.close()


async def test_child_asks_and_sees_the_answer(app: ASGIApp, bi: Visitor, services: Services, family: Family, now: datetime) -> None:
    """From the blocked page to the code, from the parent's press to the child's screen."""
    await at(bi, "play.example")
    (ask,) = [link for link in bi.links if "/ask?host=play.example" in link]
    await bi.get(ask)
    assert "Người lớn trong nhà sẽ đọc, và biết lời này là của Bi." in bi.text
    await bi.submit("/ask?lang=vi", {"reason": "lesson", "note": "bài tin học"})
    code = bi.response.url.path.removeprefix("/answer/")
    assert f"{code[:4]} {code[4:]}" in bi.text
    parent = Visitor(app)
    await parent.sign_in("me", PASSWORD)
    await parent.get("/requests")
    (form,) = [form.action for form in parent.forms if form.action.startswith("/requests/")]
    await parent.submit(form, button=("decision", "today"))
    await bi.get("/answer")
    await bi.get(f"/answer?code={code[:4].lower()}-{code[4:].lower()}")
    assert "Được, mở đến 21:00" in bi.text, "when Bi's rest begins"
    await parent.close()


async def test_distress_shows_111_first_and_sends_nothing(bi: Visitor, services: Services, family: Family, now: datetime) -> None:
    """Words of distress: help comes first; only a second press sends."""
    await bi.get("/ask?host=play.example")
    await bi.submit("/ask?lang=vi", {"reason": "other", "note": "em bị đánh"})
    assert "Gọi 111" in bi.text
    assert "Chưa gửi gì cả." in bi.text
    async with services.database.read() as connection:
        assert (await list_requests(connection, family.tenant, now))[0] == []
    await bi.submit("/ask?lang=vi", button=("sure", "1"))
    async with services.database.read() as connection:
        assert len((await list_requests(connection, family.tenant, now))[0]) == 1


@pytest.mark.parametrize(
    ("host", "reason", "note"),
    [
        ("", "other", "em bị đánh"),
        ("không phải tên", "", "em muốn chết"),
        ("play.example", "other", "em muốn chết " + "vì ở nhà ai cũng mắng em, " * 10),
        ("em muốn chết", "other", ""),
    ],
    ids=["no site", "no name", "too long", "in the wrong field"],
)
async def test_distress_comes_before_every_mistake(bi: Visitor, host: str, reason: str, note: str) -> None:
    """Whoever writes such words is not told first that a field is wrong."""
    await bi.get("/ask?host=play.example")
    await bi.submit("/ask?lang=vi", {"host": host, "reason": reason, "note": note})
    assert "Gọi 111" in bi.text
    assert "Chưa gửi gì cả." in bi.text


async def test_personal_things_are_hinted_at_before_sending(bi: Visitor, services: Services, family: Family, now: datetime) -> None:
    """A phone number is pointed out; the child decides."""
    await bi.get("/ask?host=play.example")
    await bi.submit("/ask?lang=vi", {"reason": "lesson", "note": "gọi em 0912345678"})
    assert "Chỗ này giống số điện thoại" in bi.text
    await bi.submit("/ask?lang=vi", {"note": "cần làm bài"})
    assert bi.response.url.path.startswith("/answer/")
    async with services.database.read() as connection:
        (one,) = (await list_requests(connection, family.tenant, now))[0]
    assert one.note == "cần làm bài"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"host": "", "reason": "lesson"}, "Xin điền chỗ này."),
        ({"host": "không phải trang", "reason": "lesson"}, "Đây chưa phải tên trang."),
        ({"host": "com.vn", "reason": "lesson"}, "cả một đuôi"),
        ({"host": "play.example"}, "Xin chọn một mục."),
        ({"host": "play.example", "reason": "lesson", "note": "x" * 201}, "Nhiều nhất 200 ký tự."),
    ],
)
async def test_mistakes_are_told_beside_the_field(bi: Visitor, fields: dict[str, str], words: str) -> None:
    """Nothing is sent that nobody could answer."""
    await bi.get("/ask")
    response = await bi.submit("/ask?lang=vi", fields)
    assert response.status_code == 422
    assert words in bi.text
    assert response.text.count(" autofocus") == 1  # the cursor waits where the first mistake is


async def test_what_nobody_can_open_is_not_sent(bi: Visitor, services: Services, family: Family, now: datetime) -> None:
    """Asking for a locked site shows its page instead of raising a hope."""
    response = await bi.get("/ask?host=bet.example")
    assert response.status_code == 403
    async with services.database.read() as connection:
        assert (await list_requests(connection, family.tenant, now))[0] == []


async def test_three_requests_a_day(bi: Visitor) -> None:
    """The fourth is told to wait for a talk."""
    for number in range(3):
        await bi.get(f"/ask?host=site{number}.play.example")
        await bi.submit("/ask?lang=vi", {"reason": "lesson"})
        assert bi.response.status_code == 200
    await bi.get("/ask?host=site4.play.example")
    response = await bi.submit("/ask?lang=vi", {"reason": "lesson"})
    assert response.status_code == 429
    assert "Hôm nay vậy là đủ rồi" in bi.text


async def test_request_keeps_no_path_and_no_address(bi: Visitor, services: Services, family: Family, now: datetime) -> None:
    """A pasted address is reduced to its host before it is stored; the device's address is stored nowhere."""
    await bi.get("/ask")
    await bi.submit("/ask?lang=vi", {"host": "https://play.example/user/an-7b?token=1", "reason": "mistake"})
    code = bi.response.url.path.removeprefix("/answer/")
    async with services.database.read() as connection:
        found = await find_by_code(connection, code, now)
    assert found is not None
    assert found.host == "play.example"
    await services.database.close()
    stored = b"".join(path.read_bytes() for path in list_files(services.settings.state_dir))
    assert b"an-7b" not in stored


def list_files(folder: Path) -> list[Path]:
    return list(folder.glob("lachan.db*"))


async def test_code_that_is_none_says_so_and_guessing_is_slowed(bi: Visitor) -> None:
    """One sentence for a wrong code; thirty guesses, and it waits."""
    assert (await bi.get("/answer/ZZZZZZZZ")).status_code == 404
    assert "Không có lời xin phép nào mang mã này" in bi.text
    for _ in range(30):
        response = await bi.get("/answer/ZZZZZZZZ")
    assert response.status_code == 429


async def test_unknown_device_meets_help_and_nothing_else(page_app: ASGIApp, gateway: ScriptedGateway, family: Family) -> None:
    """Nobody's device: explained plainly, with help, without a form that leads nowhere."""
    browser = Visitor(page_app, address="203.0.113.9", origin="http://lachan.internal")
    assert (await browser.get("/why")).status_code == 200
    assert not browser.has_form("/ask")
    assert (await browser.get("/ask?host=x.example")).status_code == 404
    assert "111" in browser.text
    await browser.close()


async def test_help_and_lessons_work_while_the_gateway_is_dead(page_app: ASGIApp, family: Family) -> None:
    """Help does not depend on anything."""
    browser = Visitor(page_app, address="192.168.1.31", origin="http://lachan.internal")
    for path in ("/help", "/lesson/scam", "/lesson/grooming", "/lesson/betting", "/lesson/help", "/why"):
        assert (await browser.get(path)).status_code == 200, path
        assert "111" in browser.text
    assert (await browser.get("/lesson/other")).status_code == 404
    await browser.close()


async def test_pages_speak_english_too(bi: Visitor) -> None:
    """One press, and the page is English; the tone stays that of the age."""
    await bi.get("/?lang=en", headers={"Host": "adult.example"})
    assert "This page is not for your age yet" in bi.text
    assert bi.response.headers["content-language"] == "en"


async def test_check_name_and_own_name_are_not_blocked_names(bi: Visitor) -> None:
    """The gateway's own names explain themselves."""
    assert await at(bi, "check-0123.lachan.internal") == 200
    assert "Đã tới cổng lọc" in bi.text
    assert await at(bi, "lachan.internal") == 200
    assert bi.response.url.path == "/why"


async def test_test_name_shows_which_version_is_in_force(bi: Visitor, gateway: ScriptedGateway) -> None:
    """In a browser the test name of the orders, or of a list, says what is in force on the gateway that led there."""
    gateway.status = {"order_serial": 42, "follow": {"old_days": 5}, "lists": [{"id": "rpz:rpz.example", "entries": 1200, "updated": None}]}
    assert await at(bi, "serial.orders.lachan.internal") == 200
    assert "bản 42" in bi.text and "đã 5 ngày" in bi.text
    assert await at(bi, "serial.rpz.example.lachan.internal") == 200
    assert "rpz.example" in bi.text and "1.200" in bi.text
    assert await at(bi, "serial.none.lachan.internal") == 404


async def test_hostile_host_is_text(bi: Visitor, services: Services, family: Family) -> None:
    """A Host header made to be markup, or no name at all, gets a page that runs nothing."""
    for host in ('"><script>alert(1)</script>', "a" * 300 + ".example", "xn--.example", "..", "-"):
        response = await bi.get("/x", headers={"Host": host})
        assert response.status_code < 500
        assert "<script>alert" not in response.text
