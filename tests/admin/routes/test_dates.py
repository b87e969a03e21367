"""The page of one's own dates, as a parent uses it."""

from __future__ import annotations

from tests.support.family import Family
from tests.support.people import PASSWORD
from tests.support.visitor import Visitor


async def test_exam_days_written_down_and_used(visitor: Visitor, family: Family) -> None:
    """Added on one page, offered on the page of hours, taken away again; a day that is none is said."""
    await visitor.sign_in("me", PASSWORD)
    await visitor.get("/dates")
    assert "06/02/2027" not in visitor.text and "01/02/2027 – 12/02/2027" in visitor.text
    for name in ("Tết Nguyên đán", "Giỗ Tổ Hùng Vương", "Chiến thắng 30/4", "Quốc tế Lao động 1/5", "Quốc khánh 2/9", "Tết Dương lịch"):
        assert name in visitor.text
    assert (await visitor.submit("/dates", {"kind": "exam", "first": "31/02/2027"})).status_code == 422
    await visitor.submit("/dates", {"kind": "exam", "label": "Thi học kỳ", "first": "21/12/2026", "last": "2026-12-23"})
    assert "Thi học kỳ" in visitor.text
    await visitor.get(f"/profiles/{family.bi.id}/hours")
    assert "21/12/2026 – 23/12/2026" in visitor.text
    assert "Nghỉ hè: 31/05/2027 – 04/09/2027" in visitor.text  # the coming one: this year's is over
    assert "31/05/2026" not in visitor.text
    await visitor.submit(f"/profiles/{family.bi.id}/hours", {"days": "exam"})
    assert "Ngày thi" in visitor.text
    await visitor.get("/dates")
    remove = next(form.action for form in visitor.forms if form.action.endswith("/remove"))
    await visitor.submit(remove)
    assert "Thi học kỳ" not in visitor.text
