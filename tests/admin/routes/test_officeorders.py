"""The road of a document through the pages: from the text of a letter to a published segment, by two different people."""

from __future__ import annotations

import asyncio
import gc
import re
from datetime import datetime

import pyotp
import pytest
from starlette.types import ASGIApp

from admin import officeintake
from admin.dependencies import Services
from blocklists.database import Database
from blocklists.takedown import importer
from blocklists.takedown.assertions import Assertion
from gateway.policy.model import Band
from tests.admin.conftest import Clock
from tests.support.generation import amend, category
from tests.support.office import LETTER, OfficeGateway, Officers, make_officers, officer, paper, typed_key
from tests.support.people import PASSWORD
from tests.support.visitor import Visitor


@pytest.fixture
def gateway(office_gateway: OfficeGateway) -> OfficeGateway:
    """A gateway that keeps the orders it is given."""
    return office_gateway


async def register(one: Visitor, text: str = LETTER, category: str = "order", **fields: str) -> str:
    """Paste a letter, take the form as it was filled in, register; the path of the document."""
    await one.get("/office/orders/new")
    await one.submit("/office/orders/read", {"text": text, "category": category})
    await one.submit("/office/orders", fields)
    assert one.response.status_code == 200, one.text[:2000]
    return one.response.url.path


async def decide(one: Visitor, decision: str) -> None:
    """Decide the one row that asks."""
    form = next(form for form in one.forms if ("decision", decision) in form.buttons)
    await one.submit(form.action, {"reason": "cả trang lừa đảo"}, ("decision", decision))


async def test_a_letter_that_was_typed_too_late_is_shown_once_more(one: Visitor, gateway: OfficeGateway) -> None:
    """The session ended while somebody typed: nothing is done, and the text is there to be copied, without what protects forms."""
    await one.get("/office/orders/new")
    token = next(value for form in one.forms if form.action == "/office/orders/read" for name, value in form.fields if name == "_form")
    one.http.cookies.clear()
    await one.post(
        "/office/orders/read", {"text": f"{LETTER}<b>1</b>", "category": "order", "_form": token, "passphrase": "mây tím cưỡi trâu " * 9},
        {"Referer": f"{one.origin}/office/orders/new"}, {"file": ("cong-van.txt", b"1. khac.example", "text/plain")},
    )  # fmt: skip
    gc.collect()  # an upload that nobody closed would be told here
    assert one.response.status_code == 401
    assert "Bạn đã bị đăng xuất" in one.text and "game-doi-the" in one.text and "/sign-in?next=/office/orders/new" in one.links
    assert "<b>1" not in one.response.text and token not in one.response.text and "cưỡi trâu" not in one.response.text


async def test_a_letter_becomes_an_order_in_force(one: Visitor, two: Visitor, gateway: OfficeGateway) -> None:
    """From the text of a letter to a published segment: read, registered, verified by one, approved by another, enforced."""
    path = await register(one)
    assert "412/QĐ-SVHTTDL" in one.text
    await decide(one, "leave")
    await one.submit(f"{path}/verify")
    assert not one.has_form(f"{path}/approve")
    await two.get(path)
    assert "2 tên sẽ bị chặn ngay khi phát hành." in two.text
    await two.submit(f"{path}/approve", button=("step", "approve"))
    assert "đã duyệt" in two.text and "Đã duyệt và phát hành." in two.text
    assert gateway.enforced() == {"example.qua-tang-hoc-sinh.", "example.game-doi-the."}
    assert gateway.orders is not None
    assert (gateway.orders.serial, gateway.orders.origin) == (1, "office")
    await two.get("/office/entries?q=game-doi-the.example")
    assert "đang có hiệu lực" in two.text


async def test_the_form_is_filled_in_from_the_letter(one: Visitor) -> None:
    """Symbol, day, issuer, subject, basis and end stand in the form before anybody types."""
    await one.get("/office/orders/new")
    await one.submit("/office/orders/read", {"text": LETTER, "category": "order"})
    form = next(form for form in one.forms if form.action == "/office/orders")
    found = dict(form.fields)
    assert found["symbol"] == "412/QĐ-SVHTTDL"
    assert found["issued_on"] == "05/10/2026"
    assert found["valid_until"] == "2026-12-31"
    assert found["basis"].strip() == "116/2025/QH15"
    assert "SỞ VĂN HÓA" in found["issuer"]


async def test_the_rows_stand_in_the_order_of_the_letter(one: Visitor) -> None:
    """Whoever compares with the paper goes down both; of very many rows those that ask are there first, in their order, too."""
    await one.get("/office/orders/new")
    await one.submit("/office/orders/read", {"text": LETTER, "category": "order"})
    assert [int(line) for line in re.findall(r"dòng (\d+) ·", one.text)] == [8, 9, 10, 11, 12, 13]
    assert "2 chặn được bằng DNS 1 cần quyết định 1 nằm trên nền tảng dùng chung" in one.text
    assert '</span><span class="chip' not in one.response.text, "read aloud or copied, the counts stand apart"
    many = "".join(f"trang-{number}.example\n" for number in range(400)) + "https://trang-nho.example/bai-xau\n103.21.244.7\n"
    await one.get("/office/orders/new")
    await one.submit("/office/orders/read", {"text": many, "category": "order"})
    lines = [int(line) for line in re.findall(r"dòng (\d+) ·", one.text)]
    assert lines == [*range(1, 299), 401, 402]


async def test_a_known_issuer_is_called_by_its_name_and_not_by_the_capitals_of_a_letterhead(
    one: Visitor, two: Visitor, gateway: OfficeGateway
) -> None:
    """In the form, on the pages, and in what a gateway shows a child, wherever the tone mark stands."""
    name = "Sở Văn hoá, Thể thao và Du lịch tỉnh Lai Châu"
    await two.get("/office/agencies")
    await two.submit("/office/agencies", {"name": name, "kind": "department"}, ("step", "add"))
    await one.get("/office/orders/new")
    await one.submit("/office/orders/read", {"text": LETTER, "category": "order"})
    form = next(form for form in one.forms if form.action == "/office/orders")
    assert dict(form.fields)["issuer"] == name
    await one.submit("/office/orders", {"issuer": "ỦY BAN NHÂN DÂN TỈNH LAI CHÂU - SỞ VĂN HÓA, THỂ THAO VÀ DU LỊCH"})
    assert name in one.text and "SỞ VĂN HÓA" not in one.text
    await decide(one, "leave")
    path = one.response.url.path
    await one.submit(f"{path}/verify")
    await two.get(path)
    await two.submit(f"{path}/approve", button=("step", "approve"))
    assert gateway.issuers() == {name}


async def test_full_addresses_on_platforms_stand_in_one_answer_only(one: Visitor, database: Database) -> None:
    """The download is made inside the answer to the very request; afterwards nothing of the path exists anywhere."""
    await one.get("/office/orders/new")
    await one.submit("/office/orders/read", {"text": LETTER, "category": "order"})
    link = next(link for link in one.links if link.startswith("data:text/csv"))
    import base64

    content = base64.b64decode(link.partition("base64,")[2]).decode("utf-8-sig")
    assert "https://www.facebook.com/groups/nhom-xau" in content
    assert "nhom-xau" not in dict(next(form for form in one.forms if form.action == "/office/orders").fields)["sealed"]
    await one.submit("/office/orders")
    assert "nhom-xau" not in one.response.text
    async with database.read() as connection:
        from sqlalchemy import text

        rows = (await connection.execute(text("SELECT * FROM takedown_items"))).all()
    assert not any("nhom-xau" in str(row) or "bai-xau" in str(row) for row in rows)


async def test_what_was_sent_to_a_platform_is_followed_up(app: ASGIApp, one: Visitor, clock: Clock) -> None:
    """To whom and since when, on the inbox; overdue after a day; gone from there with an answer, or with none."""
    path = await register(one)
    [group, *_] = [form.action for form in one.forms if form.action.endswith("/forward")]
    await one.submit(group, {"sent_to": "Meta, cổng báo cáo"})
    await one.get("/office")
    assert "Meta, cổng báo cáo" in one.text and "Không có việc quá hạn" in one.text
    clock.forward(hours=25)
    late = await officer(app, "verifier", "192.168.1.33")
    await late.get("/office")
    assert "Meta, cổng báo cáo" in late.text and "quá hạn" in late.text.replace("Không có việc quá hạn", "")
    await late.get(path)
    await late.submit(group, button=("outcome", "no_answer"))
    await late.get("/office")
    assert "Meta, cổng báo cáo" not in late.text
    await late.close()


async def test_the_inbox_warns_before_an_entry_ends(app: ASGIApp, one: Visitor, two: Visitor, clock: Clock, gateway: OfficeGateway) -> None:
    """Nobody is surprised by a name that opens: some days before its end it stands on the inbox with the time that is left."""
    path = await register(one, "Số: 5/QĐ-UBND\nbad.example\n", issuer="UBND tỉnh", valid_until="2026-10-31")
    await one.submit(f"{path}/verify")
    await two.get(path)
    await two.submit(f"{path}/approve", button=("step", "approve"))
    await two.get("/office")
    assert "Sắp hết hiệu lực" not in two.text
    clock.forward(days=18)
    late = await officer(app, "approver", "192.168.1.34")
    await late.get("/office")
    assert re.search(r"Sắp hết hiệu lực bad\.example còn (?:\d+ giờ|[12] ngày)", late.text), late.text
    assert gateway.enforced() == {"example.bad."}
    await late.close()


async def test_nobody_slips_in_a_row_that_the_guard_did_not_judge(one: Visitor) -> None:
    """The rows travel sealed: a changed page is refused."""
    await one.get("/office/orders/new")
    await one.submit("/office/orders/read", {"text": LETTER, "category": "order"})
    form = dict(next(form for form in one.forms if form.action == "/office/orders").fields)
    sealed = form["sealed"]
    response = await one.submit("/office/orders", {"sealed": sealed[:-4] + "AAAA"})
    assert response.status_code == 422


async def test_an_open_row_stops_verification(one: Visitor) -> None:
    """A row that needs a decision is decided before anybody verifies."""
    path = await register(one)
    await one.post(f"{path}/verify", {"_form": dict(one.forms[0].fields)["_form"]})
    assert one.response.status_code == 409
    assert "Còn 1 dòng chưa có quyết định" in one.text
    await one.get(path)
    assert "Trước hết hãy quyết định các dòng cần quyết định" in one.text and "Chờ người xác minh." not in one.text


@pytest.mark.parametrize(("decision", "chip"), [("leave", "1 không chặn"), ("block", "1 chặn cả trang web (tên miền)")])
async def test_chips_count_what_holds_after_the_decision(one: Visitor, decision: str, chip: str) -> None:
    """A decided row no longer stands as one that asks."""
    await register(one)
    assert "1 cần quyết định" in one.text and chip not in one.text
    await decide(one, decision)
    assert "1 cần quyết định" not in one.text and chip in one.text


async def test_first_decision_outlives_the_setting_up_of_a_second_step(app: ASGIApp, services: Services, now: datetime) -> None:
    """Whoever decides a row with the password alone sets the second step up on the way: the reason arrives, and so does the person."""
    await make_officers(services.database, now)
    one = Visitor(app)
    await one.sign_in("verifier", PASSWORD)
    path = await register(one)
    form = next(form for form in one.forms if ("decision", "block") in form.buttons)
    sent = {**dict(form.fields), "reason": 'cả trang "lừa đảo"', "decision": "block"}
    await one.post(form.action, sent, {"Referer": f"http://{one.response.url.netloc.decode()}{path}"})
    assert one.response.status_code == 403 and "Những gì bạn đã ghi được giữ" in one.text
    assert path in one.links
    await one.submit("/account/factor/begin")
    await one.submit("/account/factor", {"code": "000000"})
    assert one.response.status_code == 422
    await one.submit("/account/factor", {"code": pyotp.TOTP(typed_key(one.response.text)).now()})
    assert "Mã dự phòng" in one.text and path in one.links
    await one.submit(form.action)
    assert one.response.url.path == path
    assert 'cả trang "lừa đảo"' in one.text and "1 chặn cả trang web (tên miền)" in one.text
    await one.close()


async def test_secret_is_not_carried_to_the_second_step(app: ASGIApp, services: Services, now: datetime) -> None:
    """An approver's passphrase stands on none of the pages between; it is asked for anew."""
    await make_officers(services.database, now)
    two = Visitor(app)
    await two.sign_in("approver", PASSWORD)
    await two.get("/account")
    token = dict(two.forms[0].fields)["_form"]
    await two.post("/office/orders/none/approve", {"_form": token, "step": "approve", "passphrase": "mây tím cưỡi trâu"})
    assert two.has_form("/account/factor/begin") and "mây tím" not in two.response.text
    await two.submit("/account/factor/begin")
    assert "mây tím" not in two.response.text
    await two.submit("/account/factor", {"code": pyotp.TOTP(typed_key(two.response.text)).now()})
    form = next(form for form in two.forms if form.action == "/office/orders/none/approve")
    assert dict(form.fields)["passphrase"] == ""
    await two.close()


async def test_approver_must_type_password_and_code_again_after_a_while(
    app: ASGIApp, one: Visitor, two: Visitor, clock: Clock, gateway: OfficeGateway
) -> None:
    """Approval is step-up: a page left open approves nothing, and a password that somebody saw is not enough."""
    path = await register(one, "Số: 5/QĐ-UBND\nbad.example\n", issuer="UBND tỉnh")
    await one.submit(f"{path}/verify")
    clock.forward(minutes=15)
    await two.get(path)
    response = await two.submit(f"{path}/approve", button=("step", "approve"))
    assert response.status_code == 401
    assert gateway.orders is None
    await two.submit(f"{path}/approve", {"_password": "mùa thu lá bay", "_code": "000000"})
    assert gateway.orders is None
    await two.submit(f"{path}/approve", {"_password": "mùa thu lá bay", "_code": paper(app, "approver")})
    assert gateway.enforced() == {"example.bad."}


async def test_a_state_host_needs_a_second_approver_and_seven_days(
    app: ASGIApp, one: Visitor, two: Visitor, gateway: OfficeGateway
) -> None:
    """A hacked host under gov.vn goes out only with two approvers, alone, and for seven days at most."""
    text = "Số: 5/QĐ-UBND\nbi-hack.xa-thu.gov.vn\n"
    path = await register(one, text, issuer="UBND tỉnh", valid_until="2026-10-18")
    await one.submit(f"{path}/verify")
    await two.get(path)
    await two.submit(f"{path}/approve", button=("step", "approve"))
    assert gateway.orders is None
    third = await officer(app, "second", "192.168.1.32")
    await third.get(path)
    await third.submit(f"{path}/approve", button=("step", "second"))
    await third.close()
    assert gateway.enforced() == {"vn.gov.xa-thu.bi-hack."}


async def test_too_long_for_a_state_host_is_said_at_once_and_a_missing_button_has_a_reason(
    app: ASGIApp, one: Visitor, two: Visitor, clock: Clock, gateway: OfficeGateway
) -> None:
    """Thirty days for a host under gov.vn: the form says so with the remedy. An approver who finds no button reads why."""
    text = "Số: 5/QĐ-UBND\nbi-hack.xa-thu.gov.vn\nbad.example\n"
    await one.get("/office/orders/new")
    await one.submit("/office/orders/read", {"text": text, "category": "order"})
    await one.submit("/office/orders", {"issuer": "UBND tỉnh", "valid_until": "2026-11-12"})
    assert "chỉ chặn nhiều nhất 7 ngày" in one.text and "ghi nhận riêng" in one.text
    await one.submit("/office/orders", {"issuer": "UBND tỉnh", "valid_until": "2026-10-13"})
    path = one.response.url.path
    await one.submit(f"{path}/verify")
    clock.forward(days=2)
    late = await officer(app, "approver", "192.168.1.31")
    await late.get(path)
    assert ("step", "approve") not in [button for form in late.forms for button in form.buttons]
    assert "Chưa phê duyệt được ở đây: Ngày hết hiệu lực đã qua." in late.text
    assert gateway.orders is None
    await late.close()


async def test_urgent_road_goes_out_with_one_approval_for_a_day(
    app: ASGIApp, one: Visitor, two: Visitor, clock: Clock, services, gateway: OfficeGateway
) -> None:  # type: ignore[no-untyped-def]
    """An urgent document is enforced at once; nobody confirms, and a day later it leaves by itself."""
    path = await register(one, "KHẨN\nSố: 5/QĐ-UBND\nbad.example\n", issuer="UBND tỉnh", valid_until="2026-11-18")
    await two.get(path)
    await two.submit(f"{path}/approve", button=("step", "approve_urgent"))
    assert gateway.enforced() == {"example.bad."}
    clock.forward(hours=25)
    await services.office.duty.settle()
    assert gateway.enforced() == set()


async def test_csam_names_are_masked_until_opened_one_by_one(one: Visitor, two: Visitor, app: ASGIApp) -> None:
    """Names of that category are an opaque id; one verifier opens one name, written in the journal; a third person never does."""
    await one.get("/office/orders/new")
    await one.submit("/office/orders/read", {"text": "Số: 5/QĐ-UBND\nhidden-name.example\n", "category": "csam"})
    assert "hidden-name" not in re.sub(r'value="[^"]*"', "", one.response.text)
    await one.submit("/office/orders", {"issuer": "Công an tỉnh"})
    assert "hidden-name" not in one.response.text
    path = one.response.url.path
    opening = next(form.action for form in one.forms if form.action.endswith("/open"))
    await one.submit(opening)
    assert "hidden-name.example" in one.text
    await one.get(path)
    assert "hidden-name" not in one.response.text
    assert "mở một tên được che" in one.text and "Cán bộ verifier" in one.text.rpartition("mở một tên được che")[2][:60]
    await two.get(path)
    await two.submit(opening)
    assert "hidden-name.example" in two.text
    third = await officer(app, "second", "192.168.1.32")
    await third.get(path)
    response = await third.submit(opening)
    await third.close()
    assert response.status_code == 409
    assert "hidden-name" not in response.text


async def test_preview_says_not_known_instead_of_no_effect(one: Visitor, gateway: OfficeGateway) -> None:
    """Where there is no data the page says so."""
    await register(one, "Số: 5/QĐ-UBND\nbad.example\n", issuer="UBND tỉnh")
    assert "chưa biết" in one.text


async def test_preview_names_the_service_that_loses_a_part(one: Visitor, gateway: OfficeGateway) -> None:
    """A name that a service of the catalogue needs stands beside the rows before anybody approves."""
    await register(one, "Số: 5/QĐ-UBND\nnordcdn.com\n", issuer="UBND tỉnh")
    assert "NordVPN" in one.text


async def test_preview_says_which_name_is_in_which_list(one: Visitor, gateway: OfficeGateway) -> None:
    """A name that a list closes already stands there with its list, without another press while there are few."""
    amend(gateway.state_dir, lists={"ca-do": category("gamb", "bad.example", title="Danh sách A")})
    await register(one, "Số: 5/QĐ-UBND\nbad.example\nkhac.example\n", issuer="UBND tỉnh")
    told = one.response.text.partition("1 tên đã có trong danh sách")
    assert told[0].rstrip().endswith('<details class="fold" open><summary>')
    assert "Danh sách A" in told[2].partition("</details>")[0]
    assert "bad.example" in told[2].partition("</details>")[0] and "khac.example" not in told[2].partition("</details>")[0]


async def test_a_family_sees_no_office(app: ASGIApp, database: Database, now: datetime, officers: Officers) -> None:
    """The office's pages do not exist for other people."""
    from tests.support.people import make_person

    await make_person(database, now)
    parent = await officer(app, "me")
    response = await parent.get("/office")
    await parent.close()
    assert response.status_code in (403, 404)


async def test_an_order_that_breaks_an_assertion_is_not_approved(
    one: Visitor, two: Visitor, gateway: OfficeGateway, services: Services
) -> None:
    """The approver sees beside the rows what must stay reachable, and the approval is refused with its name."""
    services.office.assertions.assertions = (Assertion(Band.TH, "reach", "game-doi-the.example"),)
    path = await register(one)
    await decide(one, "leave")
    await one.submit(f"{path}/verify")
    await two.get(path)
    assert "Những trang này phải luôn tới được" in two.text
    await two.submit(f"{path}/approve", button=("step", "approve"))
    assert two.response.status_code == 409
    assert "phải tới được game-doi-the.example" in two.text
    assert gateway.orders is None


async def test_a_large_letter_is_read_behind_a_page_and_held_for_a_person(
    one: Visitor, two: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of new names: a page says how far it has come, the inbox leads back to it, and nobody approves by habit."""
    letter = "Số: 9/QĐ-UBND\nUBND tỉnh\n" + "\n".join(f"{n}. nha-cai-{n}.example" for n in range(4_500))
    monkeypatch.setattr(importer, "JUMP", 4_000)
    await one.get("/office/orders/new")
    await one.submit("/office/orders/read", {"text": letter, "category": "gamb"})
    page = one.response.url.path
    assert page.startswith("/office/orders/readings/")
    await one.get("/office")
    assert page in one.links
    await two.get(page)
    assert two.response.status_code == 403
    for _ in range(600):
        await one.get(page)
        if 'http-equiv="refresh"' not in one.response.text:
            break
        assert "Trang này tự chạy tiếp" in one.text
        await asyncio.sleep(0.1)
    assert "4.500" in one.text
    await one.submit("/office/orders", {"issuer": "UBND tỉnh"})
    path = one.response.url.path
    assert "giữ lại" in one.text.lower()
    await one.get("/office")
    assert page not in one.links
    await one.get(path)
    assert f"{path}/verify" not in [form.action for form in one.forms], "an approver agrees to the many names first"


async def test_a_document_of_too_many_rows_is_refused_and_not_lost_later(one: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    """At reading, at once or behind the page of a large letter, with what to do; never when the officer registers."""
    monkeypatch.setattr(officeintake, "MOST_ROWS", 10)
    for times in (11, 6000):
        await one.get("/office/orders/new")
        text = "\n".join(f"{n}. nha-cai-{n}.example" for n in range(times))
        await one.submit("/office/orders/read", {"text": text, "category": "gamb"})
        for _ in range(100):
            if "/readings/" not in one.response.url.path or 'http-equiv="refresh"' not in one.response.text:
                break
            await asyncio.sleep(0.1)
            await one.get(one.response.url.path)
        assert one.response.status_code == 422
        assert "hơn 100.000 địa chỉ" in one.text and "tách" in one.text
    monkeypatch.undo()
    monkeypatch.setattr(officeintake, "MOST_SEALED", 100)
    await one.get("/office/orders/new")
    await one.submit("/office/orders/read", {"text": "bad.example", "category": "gamb"})
    assert one.response.status_code == 422 and "tách" in one.text


MAIL = (
    b"Content-Type: multipart/mixed; boundary=x\n\n--x\n\n%s\n"
    b"--x\nContent-Type: image/png; name=ten-trang.example.png\n\nabc\n--x--\n"
)


@pytest.mark.parametrize("category", ["order", "csam"])
async def test_what_was_not_read_stands_on_the_page(one: Visitor, category: str) -> None:
    """A file of a mail that was not read is named before anything is registered, also where a field was wrong or nothing was found; of
    masked documents its name is not shown, which may be a site's."""
    await one.get("/office/orders/new")
    await one.submit("/office/orders/read", {"category": category}, files={"file": ("thu.eml", MAIL % b"bad.example")})
    for _ in range(2):
        assert "Chưa đọc hết tất cả" in one.text and "Tệp kèm theo thư không được đọc" in one.text
        assert ("ten-trang.example.png" in one.text) is (category == "order")
        await one.submit("/office/orders", {"symbol": "?"})
    await one.get("/office/orders/new")
    await one.submit("/office/orders/read", {"category": category}, files={"file": ("thu.eml", MAIL % b"khong co gi")})
    assert one.response.status_code == 422
    assert "Tệp kèm theo thư không được đọc" in one.text
    await one.get("/office/orders/new")
    await one.submit("/office/orders/read", {"text": "bad.example", "category": category})
    assert "Chưa đọc hết" not in one.text


async def test_the_basis_of_the_last_document_of_an_issuer_is_suggested(one: Visitor) -> None:
    """The chain was typed once: the page of the next letter holds it, and says from where."""
    head = "ỦY BAN NHÂN DÂN TỈNH LAI CHÂU\nSố: {n}/QĐ-UBND\n"
    await register(one, head.format(n=1) + "bad.example\n", basis="531/KH-UBND ← 830/QĐ-TTg")
    await one.get("/office/orders/new")
    await one.submit("/office/orders/read", {"text": head.format(n=2) + "worse.example\n", "category": "order"})
    assert "531/KH-UBND ← 830/QĐ-TTg" in one.response.text
    assert "Lấy từ 1/QĐ-UBND" in one.text
