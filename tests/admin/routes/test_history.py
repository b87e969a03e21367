"""The pages of a history: nothing ticked for anybody, the code shown once, the child sees what the parent sees, one press ends it."""

from __future__ import annotations

import re
from datetime import datetime

import pytest

from admin.app import create_page_app
from admin.dependencies import Services
from admin.history import store_names
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family
from tests.support.people import PASSWORD
from tests.support.visitor import Visitor


@pytest.fixture
async def parent(visitor: Visitor, family: Family, gateway: ScriptedGateway, now: datetime) -> Visitor:
    gateway.see("192.168.1.31", now, client=family.bi_phone, tenant=family.tenant)
    await visitor.sign_in("me", PASSWORD)
    return visitor


async def agree(parent: Visitor, family: Family) -> str:
    await parent.get(f"/profiles/{family.bi.id}/history")
    await parent.submit(f"/profiles/{family.bi.id}/history", {"days": "3", "guardian": "1", "child": "1"})
    found = re.search(r"[A-Z2-9]{4}(?:-[A-Z2-9]{4}){3}", parent.text)
    assert found, parent.text
    return found[0]


async def test_every_tick_is_the_persons_own(parent: Visitor, family: Family) -> None:
    """No box is ticked in advance; without the child's word nothing begins."""
    page = await parent.get(f"/profiles/{family.bi.id}/history")
    assert "checked" not in page.text
    assert "Không bao giờ giữ: trợ giúp và sức khỏe" in parent.text
    answer = await parent.submit(f"/profiles/{family.bi.id}/history", {"days": "7", "guardian": "1"})
    assert answer.status_code == 422
    assert "Từ bảy tuổi, trẻ cũng phải đồng ý" in parent.text


async def test_child_sees_what_the_parent_sees(
    parent: Visitor, services: Services, family: Family, now: datetime, gateway: ScriptedGateway
) -> None:
    """The same rows under the same code; the child's page says that it is kept; the code is not shown again."""
    code = await agree(parent, family)
    assert gateway.policies
    await parent.get(f"/profiles/{family.bi.id}/history")
    assert code not in parent.text
    minute = int(now.timestamp()) // 60 * 60
    async with services.database.write() as connection:
        await store_names(connection, [{"names": [[minute, family.tenant, family.bi.id, "scratch.mit.edu", 2]]}])
    wrong = await parent.submit(f"/profiles/{family.bi.id}/history/read", {"code": "AAAA-AAAA-AAAA-AAAA"})
    assert wrong.status_code == 422
    assert "scratch" not in parent.text
    await parent.submit(f"/profiles/{family.bi.id}/history/read", {"code": code.lower()})
    assert "scratch.mit.edu" in parent.text
    child = Visitor(create_page_app(services), address="192.168.1.31", origin="http://lachan.internal")
    await child.get("/why")
    assert "Người lớn ở nhà xem được tên các trang đã mở, trong 3 ngày." in child.text
    await child.get("/history")
    assert "scratch" not in child.text
    await child.submit("/history?lang=vi", {"code": code})
    assert "scratch.mit.edu" in child.text
    await child.close()
    await parent.get("/journal")
    assert "Xem lịch sử" in parent.text


async def test_one_press_ends_it(parent: Visitor, services: Services, family: Family) -> None:
    """It is gone at once, for everybody; another age ends it, too, because that is another agreement."""
    await agree(parent, family)
    await parent.get(f"/profiles/{family.bi.id}/history")
    await parent.submit(f"/profiles/{family.bi.id}/history/stop")
    assert "Hiện không giữ gì về Bi" in parent.text
    await agree(parent, family)
    await parent.get(f"/profiles/{family.bi.id}/settings")
    await parent.submit(f"/profiles/{family.bi.id}/settings", {"band": "CS"})
    await parent.get(f"/profiles/{family.bi.id}/history")
    assert "Hiện không giữ gì về Bi" in parent.text
    child = Visitor(create_page_app(services), address="192.168.1.31", origin="http://lachan.internal")
    await child.get("/history")
    assert "Không giữ lịch sử nào của máy này" in child.text
    await child.close()


async def test_nobody_of_a_school_sees_a_history(parent: Visitor, family: Family) -> None:
    """The permission is a parent's; adults and guests have no such page."""
    for profile in (family.adults.id, family.guests.id, "unknown"):
        assert (await parent.get(f"/profiles/{profile}/history")).status_code == 404
