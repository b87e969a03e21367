"""What the office decided before stands before whoever decides again: the same letter, a name blocked twice, a name that was opened."""

from __future__ import annotations

import pytest

from tests.admin.routes.test_officeorders import decide, register
from tests.support.office import LETTER, OfficeGateway
from tests.support.visitor import Visitor


@pytest.fixture
def gateway(office_gateway: OfficeGateway) -> OfficeGateway:
    """A gateway that keeps the orders it is given."""
    return office_gateway


async def test_a_name_in_vietnamese_letters_is_shown_as_the_letter_writes_it(one: Visitor) -> None:
    """Whoever compares the rows with the document reads its own letters beside the xn-- that is enforced; masked names stay masked."""
    text = "Số: 77/CAT-PV\nđánhbạc.vn\nmot.example\n"
    await one.get("/office/orders/new")
    await one.submit("/office/orders/read", {"text": text, "category": "order"})
    assert "xn--nhbc-4na10a004p.vn đánhbạc.vn" in one.text
    await one.submit("/office/orders", {"issuer": "Công an tỉnh"})
    assert one.response.url.path.startswith("/office/orders/") and "xn--nhbc-4na10a004p.vn đánhbạc.vn" in one.text
    await one.get("/office/orders/new")
    await one.submit("/office/orders/read", {"text": text, "category": "csam"})
    assert "đánhbạc" not in one.text
    await one.submit("/office/orders", {"issuer": "Công an tỉnh"})
    assert "đánhbạc" not in one.text


async def test_a_numbered_row_that_lost_its_dot_stands_among_the_rows(one: Visitor) -> None:
    """A letter of three rows is three rows on the page: the mistyped one is told as not readable, not left out; headings are no rows."""
    await one.get("/office/orders/new")
    text = "Số: 78/CAT-PV\n1. Telegram\n6. mot.example\n7. cobac247com\n8. hai.example\nxosocom\n"
    await one.submit("/office/orders/read", {"text": text, "category": "order"})
    assert "cobac247com dòng 4 · không đọc được: thiếu dấu chấm" in one.text and "1 không đọc được" in one.text
    assert "Telegram" not in one.text and "xosocom" not in one.text


async def test_a_page_from_before_does_not_replace_a_decision(one: Visitor) -> None:
    """Two tabs show a row that asks; one decides it. The other one's press changes nothing and shows what was decided."""
    path = await register(one)
    stale = list(one.forms)
    await decide(one, "block")
    one.forms = stale
    await decide(one, "block")  # the same press once more is no other decision
    assert one.response.status_code == 200
    one.forms = stale
    await decide(one, "leave")
    assert one.response.status_code == 409 and "Dòng này đã được quyết định, hãy xem lại" in one.text
    await one.get(path)
    assert "· chặn cả trang web (tên miền) : cả trang lừa đảo" in one.text


async def test_the_same_letter_is_not_registered_twice_by_accident_and_what_was_opened_is_not_closed_by_a_paste(
    one: Visitor, two: Visitor, gateway: OfficeGateway
) -> None:
    """A second paste is told with a link; what it blocks twice, and what was opened again meanwhile, stands before whoever decides."""
    first = await register(one)
    await one.get("/office/orders/new")
    await one.submit("/office/orders/read", {"text": LETTER, "category": "order"})
    assert "Văn bản này đã được ghi nhận" in one.text and first in one.links
    await one.submit("/office/orders")
    second = one.response.url.path
    assert second.startswith("/office/orders/") and second != first
    await one.get(first)
    await decide(one, "leave")
    await one.submit(f"{first}/verify")
    await two.get(first)
    await two.submit(f"{first}/approve", button=("step", "approve"))
    assert gateway.enforced() == {"example.qua-tang-hoc-sinh.", "example.game-doi-the."}
    await one.get(second)
    assert "2 tên miền đang bị chặn theo văn bản khác" in one.text and "412/QĐ-SVHTTDL" in one.text
    await two.get("/office/entries?q=game-doi-the.example")
    entry = next(link for link in two.links if link.startswith("/office/entries/"))
    await two.get(entry)
    await two.submit(f"{entry}/lift", {"reason": "Trang đã dọn sạch"})
    assert gateway.enforced() == {"example.qua-tang-hoc-sinh."}
    await one.get(second)
    await decide(one, "leave")
    await one.submit(f"{second}/verify")
    await two.get(second)
    assert "1 tên miền từng bị chặn và đã được mở lại" in two.text
    await two.submit(f"{second}/approve", button=("step", "approve"))
    assert two.response.status_code == 409 and "hãy ghi vì sao nay chặn lại" in two.text
    assert gateway.enforced() == {"example.qua-tang-hoc-sinh."}
    await two.submit(f"{second}/approve", {"reason": "Trang lại có cờ bạc"}, button=("step", "approve"))
    assert gateway.enforced() == {"example.qua-tang-hoc-sinh.", "example.game-doi-the."}
    await two.get("/office/entries?q=qua-tang-hoc-sinh.example")
    entry = next(link for link in two.links if link.startswith("/office/entries/"))
    await two.get(entry)
    assert "Tên này còn bị chặn ở mục khác" in two.text
    await two.submit(f"{entry}/lift", {"reason": "Trang đã dọn sạch"})
    assert "Tên này vẫn bị chặn theo mục khác" in two.text
