"""The page of choices, as a parent uses it; what a child's request says to the outside."""

from __future__ import annotations

from datetime import datetime

from admin.app import create_page_app
from admin.dependencies import Services
from admin.settings import MailServer
from tests.admin.conftest import Clock
from tests.admin.test_notices import mailbox  # noqa: F401  a fixture
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family
from tests.support.people import PASSWORD
from tests.support.visitor import Visitor


async def test_opening_waits_and_closing_does_not(visitor: Visitor, family: Family, clock: Clock, gateway: ScriptedGateway) -> None:
    """After the choice, opening leads to the page that says how long; closing works at once; after the wait the same press works."""
    await visitor.sign_in("me", PASSWORD)
    await visitor.get("/choices")
    await visitor.submit("/choices", {"cooling": "15"})
    await visitor.get(f"/profiles/{family.bi.id}")
    await visitor.submit(f"/profiles/{family.bi.id}/open", {"what": "games"}, ("until", "30m"))
    assert "Ở đây muốn mở phải chờ 15 phút" in visitor.text
    await visitor.submit("/choices/wait")
    assert "Đang chờ đến" in visitor.text
    await visitor.get(f"/profiles/{family.bi.id}")
    await visitor.submit(f"/profiles/{family.bi.id}/off", button=("until", "30m"))
    assert "Đã tắt mạng" in visitor.text
    clock.forward(minutes=16)
    await visitor.get(f"/profiles/{family.bi.id}")
    await visitor.submit(f"/profiles/{family.bi.id}/open", {"what": "games"}, ("until", "30m"))
    await visitor.submit(f"/profiles/{family.bi.id}/open", {"_password": PASSWORD})
    assert "Mở thêm đến" in visitor.text


async def test_request_is_announced_without_saying_what(
    visitor: Visitor,
    services: Services,
    family: Family,
    gateway: ScriptedGateway,
    now: datetime,
    mailbox: tuple[object, MailServer],  # noqa: F811
) -> None:
    """The letter names neither the site, nor the child, nor the reason; wrong addresses are told beside the field."""
    box, services.post.server = mailbox
    await visitor.sign_in("me", PASSWORD)
    await visitor.get("/choices")
    assert (await visitor.submit("/choices", {"mail": "me@", "hook": "http://x"})).status_code == 422
    await visitor.submit("/choices", {"mail": "me@example.com", "hook": ""})
    gateway.see("192.168.1.31", now, client=family.bi_phone, tenant=family.tenant)
    child = Visitor(create_page_app(services), address="192.168.1.31", origin="http://lachan.internal")
    await child.get("/ask?host=scratch.mit.edu")
    await child.post("/ask", {"host": "rieng.example", "reason": "lesson", "note": ""})
    await services.post.finish()
    (letter,) = box.letters  # type: ignore[attr-defined]
    assert "rieng" not in letter and "Bi" not in letter.split() and "/requests" in letter
    await child.close()


async def test_week_on_a_page(visitor: Visitor, family: Family) -> None:
    """Silence is not known, never zero."""
    await visitor.sign_in("me", PASSWORD)
    await visitor.get("/digest")
    assert "chưa rõ" in visitor.text
