"""The pages of a history: nothing ticked for anybody, the code shown once, the child sees what the parent sees, one press ends it."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from datetime import datetime

import pytest

from admin.app import create_page_app
from admin.audit import VISITOR, Act
from admin.dependencies import Services
from admin.history import list_keepings, store_names
from admin.policyfile import cut, read_rows
from admin.sharing import SPANS, lend, take_back
from admin.values import DeviceId
from tests.admin.conftest import Clock
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family
from tests.support.people import PASSWORD
from tests.support.visitor import Visitor


@pytest.fixture
async def parent(visitor: Visitor, family: Family, gateway: ScriptedGateway, now: datetime) -> Visitor:
    gateway.see("192.168.1.31", now, client=family.bi_phone, tenant=family.tenant)
    await visitor.sign_in("me", PASSWORD)
    return visitor


CODE = re.compile(r"[A-Z2-9]{4}(?:-[A-Z2-9]{4}){3}")


@pytest.fixture
async def child(services: Services) -> AsyncIterator[Visitor]:
    """Bi, on Bi's own phone."""
    one = Visitor(create_page_app(services), address="192.168.1.31", origin="http://lachan.internal")
    yield one
    await one.close()


async def propose(parent: Visitor, family: Family) -> None:
    await parent.get(f"/profiles/{family.bi.id}/history")
    await parent.submit(f"/profiles/{family.bi.id}/history", {"days": "3", "guardian": "1"})
    assert "Đang chờ chính Bi đồng ý" in parent.text
    assert not CODE.search(parent.text)


async def agree(parent: Visitor, family: Family, child: Visitor) -> str:
    """The guardian asks, the child says yes on its own phone; the code, from the child's screen."""
    await propose(parent, family)
    await child.get("/history")
    await child.submit("/history/agree?lang=vi")
    found = CODE.search(child.text)
    assert found, child.text
    return found[0]


async def test_nothing_begins_without_the_childs_own_press(
    parent: Visitor, child: Visitor, services: Services, family: Family, gateway: ScriptedGateway, now: datetime, clock: Clock
) -> None:
    """No box is ticked in advance, the guardian alone begins nothing; another child's phone, a stranger's and the phone in an adult's hands
    are not asked; no is taken at once; what nobody answered ends after a week."""
    page = await parent.get(f"/profiles/{family.bi.id}/history")
    assert "checked" not in page.text
    assert "Không bao giờ giữ: trợ giúp và sức khỏe" in parent.text
    assert (await parent.submit(f"/profiles/{family.bi.id}/history", {"days": "7"})).status_code == 422
    await propose(parent, family)
    async with services.database.read() as connection:
        assert await list_keepings(connection, family.tenant) == {}
        assert "history" not in json.dumps(cut(await read_rows(connection, family.tenant, now), services.shelves.current(), ()))
    gateway.see("192.168.1.32", now, client=family.na_phone, tenant=family.tenant)
    gateway.see("192.168.1.99", now, tenant=family.tenant)
    for address in ("192.168.1.32", "192.168.1.99", "192.168.1.200"):
        other = Visitor(create_page_app(services), address=address, origin="http://lachan.internal")
        await other.get("/history")
        assert not other.has_form("/history/agree?lang=vi")
        assert (await other.post("/history/agree", {})).status_code == 404
        await other.close()
    act = Act(family.tenant, VISITOR, now)
    async with services.database.write() as connection:
        await lend(connection, act, DeviceId(family.bi_phone), family.adults.id, SPANS["30m"])
    await child.get("/history")
    assert not child.has_form("/history/agree?lang=vi")
    async with services.database.write() as connection:
        await take_back(connection, act, DeviceId(family.bi_phone))
    await child.get("/why")
    assert "Người lớn ở nhà hỏi một điều" in child.text
    await child.get("/history")
    assert "muốn xem tên các trang máy này mở, trong 3 ngày" in child.text
    await child.submit("/history/end?lang=vi")
    assert "Không giữ lịch sử nào của máy này" in child.text and not child.has_form("/history/agree?lang=vi")
    await parent.get(f"/profiles/{family.bi.id}/history")
    assert "Hiện không giữ gì về Bi" in parent.text and "Đang chờ" not in parent.text
    await propose(parent, family)
    clock.forward(days=8)
    await child.get("/history")
    assert not child.has_form("/history/agree?lang=vi")
    assert (await child.post("/history/agree", {})).status_code == 404


async def test_child_ends_it_with_one_press(parent: Visitor, child: Visitor, services: Services, family: Family) -> None:
    """The child wants it no longer: it is gone at once, for everybody."""
    await agree(parent, family, child)
    await child.get("/history")
    assert not CODE.search(child.text), "the code is shown once"
    await child.submit("/history/end?lang=vi")
    assert "Không giữ lịch sử nào của máy này" in child.text
    async with services.database.read() as connection:
        assert await list_keepings(connection, family.tenant) == {}
    await parent.get(f"/profiles/{family.bi.id}/history")
    assert "Hiện không giữ gì về Bi" in parent.text


async def test_guardian_alone_decides_below_seven(parent: Visitor, family: Family) -> None:
    """A preschool child is asked by the guardian at home, not by a page: the code is on the guardian's screen."""
    await parent.get(f"/profiles/{family.bi.id}/settings")
    await parent.submit(f"/profiles/{family.bi.id}/settings", {"band": "MN"})
    await parent.get(f"/profiles/{family.bi.id}/history")
    await parent.submit(f"/profiles/{family.bi.id}/history", {"days": "1", "guardian": "1"})
    assert CODE.search(parent.text)


async def test_child_sees_what_the_parent_sees(
    parent: Visitor, child: Visitor, services: Services, family: Family, now: datetime, gateway: ScriptedGateway
) -> None:
    """The same rows under the same code; the child's page says that it is kept; the code is not shown again."""
    code = await agree(parent, family, child)
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
    await child.get("/why")
    assert "Người lớn ở nhà xem được tên các trang đã mở, trong 3 ngày." in child.text
    await child.get("/history")
    assert "scratch" not in child.text
    await child.submit("/history?lang=vi", {"code": code})
    assert "scratch.mit.edu" in child.text
    await parent.get("/journal")
    assert "Xem lịch sử" in parent.text


async def test_one_press_ends_it(parent: Visitor, child: Visitor, services: Services, family: Family) -> None:
    """It is gone at once, for everybody; another age ends it, too, because that is another agreement."""
    await agree(parent, family, child)
    await parent.get(f"/profiles/{family.bi.id}/history")
    await parent.submit(f"/profiles/{family.bi.id}/history/stop")
    assert "Hiện không giữ gì về Bi" in parent.text
    await agree(parent, family, child)
    await parent.get(f"/profiles/{family.bi.id}/settings")
    await parent.submit(f"/profiles/{family.bi.id}/settings", {"band": "CS"})
    await parent.get(f"/profiles/{family.bi.id}/history")
    assert "Hiện không giữ gì về Bi" in parent.text
    await child.get("/history")
    assert "Không giữ lịch sử nào của máy này" in child.text


async def test_nobody_of_a_school_sees_a_history(parent: Visitor, family: Family) -> None:
    """The permission is a parent's; adults and guests have no such page."""
    for profile in (family.adults.id, family.guests.id, "unknown"):
        assert (await parent.get(f"/profiles/{profile}/history")).status_code == 404
