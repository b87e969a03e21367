"""The picture in the staff room: made with the password, scanned on the school's network, worth nothing elsewhere."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import datetime

import pytest
from starlette.types import ASGIApp

from admin.dependencies import Services
from admin.setup import ensure_token
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family
from tests.support.people import PASSWORD
from tests.support.visitor import Visitor


@pytest.fixture
async def administrator(visitor: Visitor, services: Services, gateway: ScriptedGateway) -> Visitor:
    """A school, set up in the browser."""
    await visitor.get(f"/setup/{ensure_token(services.settings.state_dir)}")
    await visitor.submit("/setup", {"place": "school"}, ("go", "1"))
    await visitor.submit("/setup", {"classes": "3A", "school": "Trường Lê Lợi"}, ("go", "1"))
    await visitor.submit("/setup", {}, ("go", "1"))
    await visitor.submit("/setup", {"password": PASSWORD, "again": PASSWORD}, ("go", "1"))
    return visitor


@pytest.fixture
async def laptop(app: ASGIApp) -> AsyncIterator[Visitor]:
    """A teacher's laptop."""
    browser = Visitor(app, address="192.168.1.55")
    yield browser
    await browser.close()


async def test_teacher_scans_and_has_the_rules_of_staff(
    administrator: Visitor, laptop: Visitor, services: Services, gateway: ScriptedGateway, now: datetime
) -> None:
    """Away from the school's network the page says what to do; on it, one press."""
    await administrator.get("/staff")
    await administrator.submit("/staff", {"last": "01/01/2020"})
    assert "nhiều nhất 200 ngày" in administrator.text
    await administrator.get("/staff")
    await administrator.submit("/staff")
    code = administrator.text.partition("/staff-join/")[2][:11]
    assert "Đến hết Chủ Nhật, 17/01/2027".casefold() in administrator.text.casefold()  # the day, not the midnight after it
    await laptop.get(f"/staff-join/{code}")
    assert "Hãy vào Wi-Fi của trường trước" in laptop.text and "Trường Lê Lợi" in laptop.text
    (tenant,) = gateway.policies
    gateway.see("192.168.1.55", now, mac="3c:22:fb:00:00:55", tenant=tenant)
    await laptop.get(f"/staff-join/{code}")
    await laptop.submit(f"/staff-join/{code}", {"label": "Máy cô Lan"})
    assert "Máy này đã được ghi danh" in laptop.text
    document = json.loads((services.settings.state_dir / "files" / str(gateway.policies[tenant])).read_text(encoding="utf-8"))
    (client,) = document["clients"]
    assert client["match"] == ["mac:3c:22:fb:00:00:55"]
    assert client["lent"]["until"] == "2027-01-17T17:00:00Z"
    await administrator.get("/staff")
    assert "1 máy đã ghi danh" in administrator.text
    await administrator.submit("/staff/withdraw")
    assert (await laptop.get(f"/staff-join/{code}")).status_code == 404


async def test_a_staff_room_behind_one_address(
    administrator: Visitor, laptop: Visitor, gateway: ScriptedGateway, now: datetime
) -> None:
    """Teachers who scan the right picture one after the other, from one address, are not counted against each other."""
    await administrator.get("/staff")
    await administrator.submit("/staff")
    code = administrator.text.partition("/staff-join/")[2][:11]
    (tenant,) = gateway.policies
    gateway.see("192.168.1.55", now, mac="3c:22:fb:00:00:55", tenant=tenant)
    for _ in range(31):
        assert (await laptop.get(f"/staff-join/{code}")).status_code == 200
    answers = [(await laptop.get("/staff-join/aaaaa-aaaaa")).status_code for _ in range(31)]
    assert answers == [404] * 30 + [429]


async def test_families_have_no_staff(visitor: Visitor, family: Family, gateway: ScriptedGateway) -> None:
    """The page is a school's."""
    await visitor.sign_in("me", PASSWORD)
    assert (await visitor.get("/staff")).status_code == 404
