"""What people without an account may know and ask."""

from __future__ import annotations

import re
from datetime import datetime

import pytest
from sqlalchemy import text
from starlette.types import ASGIApp

from admin.dependencies import Services
from admin.tenants import create_organisation
from blocklists.database import Database
from blocklists.tables import OrganisationKind
from tests.admin.conftest import Clock
from tests.admin.test_officeduty import approve
from tests.support.office import OfficeGateway, Officers, officer
from tests.support.visitor import Visitor


@pytest.fixture
def gateway(office_gateway: OfficeGateway) -> OfficeGateway:
    """A gateway that keeps the orders it is given."""
    return office_gateway


async def published(services: Services, officers: Officers, host: str = "bad.example") -> None:
    """One name in force."""
    await approve(services, officers, host)
    await services.office.duty.settle()


async def ask_review(visitor: Visitor, name: str = "bad.example") -> str:
    """Look a name up and ask for a review; the code."""
    await visitor.get(f"/transparency/lookup?name={name}")
    await visitor.submit("/transparency/review", {"reason": "mistake", "note": "trang bài tập"})
    found = re.search(r"code=([2-9A-Z]{8})", visitor.response.text)
    assert found, visitor.text
    return found[1]


async def test_overview_shows_numbers_and_documents_without_names(
    visitor: Visitor, services: Services, officers: Officers, gateway: OfficeGateway
) -> None:
    """Counts, dates and bases are public; the names of sites are not."""
    await published(services, officers)
    await visitor.get("/transparency")
    assert "12/QĐ-UBND" in visitor.text
    assert "1 tên đang bị chặn 1 văn bản 0 đã gỡ hoặc hết hiệu lực" in visitor.text
    assert "Theo nội dung chặn theo yêu cầu của cơ quan có thẩm quyền 1" in visitor.text
    assert "UBND tỉnh · đến 19:29 thứ Tư, 11/11/2026 1 tên" in visitor.text
    assert "bad.example" not in visitor.response.text


async def test_look_up_tells_document_end_and_where_to_object(
    visitor: Visitor, services: Services, officers: Officers, gateway: OfficeGateway
) -> None:
    """Whoever types a name learns by which document it is blocked, also for a page below it."""
    await published(services, officers)
    await visitor.get("/transparency/lookup?name=https://www.bad.example/trang")
    assert "12/QĐ-UBND" in visitor.text
    assert "UBND tỉnh" in visitor.text
    assert "Đến 19:29 thứ Tư, 11/11/2026 Nơi khiếu nại UBND tỉnh" in visitor.text


async def test_look_up_tells_the_basis_and_where_the_document_says_to_object(
    app: ASGIApp, visitor: Visitor, officers: Officers, gateway: OfficeGateway
) -> None:
    """As the letter says it, from the letter to the page that anybody may read."""
    one, two = await officer(app, "verifier"), await officer(app, "approver", "192.168.1.31")
    await one.get("/office/orders/new")
    letter = "Số: 5/QĐ-UBND\nCăn cứ Luật số 116/2025/QH15;\nbad.example\n"
    await one.submit("/office/orders/read", {"text": letter, "category": "order"})
    await one.submit("/office/orders", {"issuer": "UBND tỉnh", "valid_until": "2026-11-30", "appeal": "Thanh tra tỉnh"})
    path = one.response.url.path
    await one.submit(f"{path}/verify")
    await two.get(path)
    await two.submit(f"{path}/approve", button=("step", "approve"))
    await visitor.get("/transparency/lookup?name=bad.example")
    assert "Căn cứ 116/2025/QH15" in visitor.text
    assert "30/11/2026 Nơi khiếu nại Thanh tra tỉnh" in visitor.text
    for browser in (one, two):
        await browser.close()


async def test_look_up_of_a_masked_name_is_the_answer_about_any_other(
    visitor: Visitor, services: Services, officers: Officers, gateway: OfficeGateway, database: Database
) -> None:
    """Nobody finds out by asking which names are in the restricted category."""
    await published(services, officers, "first.example")
    async with database.write() as connection:
        await connection.execute(text("UPDATE takedown_entries SET category = 'csam'"))
    listed = (await visitor.get("/transparency/lookup?name=first.example")).text
    other = (await visitor.get("/transparency/lookup?name=secret.example")).text
    assert listed.replace("first", "secret") == other


async def test_look_up_is_limited(visitor: Visitor, officers: Officers) -> None:
    """Nobody walks through the list by asking."""
    answers = [(await visitor.get(f"/transparency/lookup?name=a{number}.example")).status_code for number in range(31)]
    assert answers.count(429) == 1


async def test_a_review_is_decided_by_somebody_who_took_no_part(
    app: ASGIApp, visitor: Visitor, services: Services, officers: Officers, gateway: OfficeGateway
) -> None:
    """Asked without an account, taken and overturned by a third officer, gone from the gateway, answered under the code."""
    await published(services, officers)
    code = await ask_review(visitor)
    two = await officer(app, "approver", "192.168.1.31")
    await two.get("/office")
    path = next(link for link in two.links if link.startswith("/office/reviews/"))
    await two.get(path)
    assert not two.has_form(f"{path}/take")
    third = await officer(app, "second", "192.168.1.32")
    await third.get(path)
    await third.submit(f"{path}/take")
    await third.submit(f"{path}/decide", {"reason": "Trang đã dọn sạch."}, ("step", "overturn"))
    assert gateway.enforced() == set()
    await third.get(next(link for link in third.links if link.startswith("/office/entries/")))
    assert "theo kết quả xem xét lại" in third.text
    await visitor.get(f"/transparency/answer?code={code.lower()}")
    assert "Trang đã dọn sạch." in visitor.text
    for browser in (two, third):
        await browser.close()


async def test_a_note_with_personal_data_is_not_saved(
    visitor: Visitor, services: Services, officers: Officers, gateway: OfficeGateway, database: Database
) -> None:
    """Seed 003: a note with a class or a number is sent back to be edited."""
    await published(services, officers)
    await visitor.get("/transparency/lookup?name=bad.example")
    response = await visitor.submit("/transparency/review", {"reason": "mistake", "note": "em học lớp 7A"})
    assert response.status_code == 422
    async with database.read() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM takedown_reviews"))).scalar_one() == 0


async def test_seed_001_a_crime_shows_the_numbers_and_stops(visitor: Visitor, officers: Officers, database: Database) -> None:
    """Choosing "a child in danger or a crime" shows 111 and 113 before any detail can be typed, and stores nothing."""
    await visitor.get("/report")
    assert visitor.forms[0].names == set()
    await visitor.submit("/report", button=("kind", "danger"))
    assert "111" in visitor.text
    assert "113" in visitor.text
    assert not [form for form in visitor.forms if form.action == "/report"]
    async with database.read() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM takedown_reports"))).scalar_one() == 0


async def report(visitor: Visitor, name: str) -> str:
    """Report a site; the code."""
    await visitor.get("/report")
    await visitor.submit("/report", button=("kind", "harmful"))
    await visitor.submit("/report", {"name": name, "category": "gamb", "reporter": "parent"})
    found = re.search(r"code=([2-9A-Z]{8})", visitor.response.text)
    assert found, visitor.text
    return found[1]


async def add_directive(browser: Visitor, symbol: str, lead: str, focal_point: str) -> None:
    await browser.get("/office/more")
    await browser.submit("/office/directives", {"symbol": symbol, "title": "Phòng ngừa", "lead": lead, "focal_point": focal_point})


async def test_seed_000_reports_go_where_the_directive_of_their_day_says(
    app: ASGIApp, visitor: Visitor, officers: Officers, clock: Clock
) -> None:
    """Change the focal point in data: the next report goes to the new office, old ones keep the old one."""
    two = await officer(app, "approver")
    await add_directive(two, "2881/UBND-VX", "UBND huyện", "Phòng Lao động")
    first = await report(visitor, "https://bet-one.example/vao?id=1")
    clock.forward(minutes=5)
    await add_directive(two, "9/UBND-VX", "Công an xã", "Công an xã Vị Xuyên")
    second = await report(visitor, "bet-two.example")
    await visitor.get(f"/transparency/answer?code={first}")
    assert "Phòng Lao động" in visitor.text
    await visitor.get(f"/transparency/answer?code={second}")
    assert "Công an xã Vị Xuyên" in visitor.text
    await two.close()


async def test_seed_000_a_referred_case_shows_only_code_time_and_office(app: ASGIApp, visitor: Visitor, officers: Officers) -> None:
    """After the referral to the police the page keeps a pointer, and nobody edits it any more."""
    await report(visitor, "bet-one.example")
    one = await officer(app, "verifier")
    await one.get("/office")
    path = next(link for link in one.links if link.startswith("/office/reports/"))
    await one.get(path)
    await one.submit(path, button=("step", "triage"))
    await one.submit(path, {"reason": "có dấu hiệu tội phạm", "referred_to": "Công an tỉnh"}, ("step", "refer"))
    assert "Công an tỉnh" in one.text
    assert "bet-one.example" not in one.text
    assert not one.has_form(path)
    await one.close()


async def test_seed_000_a_late_report_turns_overdue(app: ASGIApp, visitor: Visitor, officers: Officers, clock: Clock) -> None:
    """Older than its target, a report is overdue in the inbox at the right minute."""
    await report(visitor, "bet-one.example")
    clock.forward(hours=23, minutes=58)
    one = await officer(app, "verifier")
    await one.get("/office")
    assert "quá hạn" not in one.text.replace("Không có việc quá hạn", "")
    clock.forward(minutes=3)
    await one.get("/office")
    assert "1 việc quá hạn" in one.text
    await one.close()


async def test_seed_002_a_mixed_list_enforces_names_and_never_the_platform(
    app: ASGIApp, services: Services, officers: Officers, gateway: OfficeGateway
) -> None:
    """One domain, one host, one address on a platform, one group, one IP: two enforced, the others told why; the platform stays."""
    one, two = await officer(app, "verifier"), await officer(app, "approver", "192.168.1.31")
    letter = (
        "Số: 41/UBND-VX\nmien-xau.example\nhost.xau.example\nhttps://www.youtube.com/watch?v=abc\n"
        "https://www.facebook.com/groups/xau\n103.21.244.7\n"
    )
    await one.get("/office/orders/new")
    await one.submit("/office/orders/read", {"text": letter, "category": "order"})
    await one.submit("/office/orders", {"issuer": "UBND tỉnh Lai Châu"})
    path = one.response.url.path
    for words in ("nền tảng dùng chung", "địa chỉ IP"):
        assert words in one.text
    await one.submit(f"{path}/verify")
    await two.get(path)
    await two.submit(f"{path}/approve", button=("step", "approve"))
    assert gateway.enforced() == {"example.mien-xau.", "example.xau.host."}
    for browser in (one, two):
        await browser.close()


async def test_an_installation_without_an_office_has_no_public_pages(visitor: Visitor) -> None:
    """A family's gateway publishes nothing."""
    for path in ("/transparency", "/transparency/lookup", "/report"):
        assert (await visitor.get(path)).status_code == 404


async def test_pupils_of_one_school_count_once(
    app: ASGIApp, services: Services, officers: Officers, gateway: OfficeGateway, now: datetime, database: Database
) -> None:
    """Two pupils of a school get one code for the same site, for reports and for reviews; somebody at home gets another."""
    await published(services, officers)
    async with database.write() as connection:
        school = await create_organisation(connection, OrganisationKind.SCHOOL, "Trường", "vi", now)
    reports, reviews = [], []
    for number, tenant in enumerate((school, school, None)):
        address = f"192.168.1.{60 + number}"
        if tenant:
            gateway.see(address, now, tenant=tenant)
        browser = Visitor(app, address)
        reports.append(await report(browser, "bet-one.example"))
        reviews.append(await ask_review(browser, "bad.example"))
        await browser.close()
    assert reports[0] == reports[1] != reports[2]
    assert reviews[0] == reviews[1] != reviews[2]
