"""The page of a timetable: lines in, the week obeys; taking lessons away asks for the password."""

from __future__ import annotations

import json

from admin.dependencies import Services
from tests.admin.conftest import Clock
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family
from tests.support.people import PASSWORD
from tests.support.visitor import Visitor


async def test_lessons_are_enforced_beside_the_other_hours(
    visitor: Visitor, services: Services, family: Family, gateway: ScriptedGateway, clock: Clock
) -> None:
    """Each lesson is a window of the policy file; the night's hours stay, and saving those keeps the lessons."""
    await visitor.sign_in("me", PASSWORD)
    page = f"/profiles/{family.bi.id}"
    await visitor.get(f"{page}/timetable")
    await visitor.submit(f"{page}/timetable", {"lessons": "T2-T6 7:00-7:45 7:50-8:35", "effect": "study", "breaks": "1"})
    assert "T2-T6 07:00-07:45 07:50-08:35" in visitor.text
    document = json.loads((services.settings.state_dir / "files" / str(gateway.policies[family.tenant])).read_text(encoding="utf-8"))
    (schedule,) = [one["schedule"] for one in document["profiles"] if one["id"] == family.bi.id]
    names = [window["name"] for window in schedule]
    assert names.count("mon-study") == 2
    assert "every-rest" in names
    await visitor.submit(f"{page}/hours", {"starts": "20:30"}, None)
    assert "T2-T6 07:00-07:45" in visitor.text
    clock.forward(minutes=11)
    await visitor.get(f"{page}/timetable")
    await visitor.submit(f"{page}/timetable", {"lessons": ""})
    assert "Xin nhập mật khẩu" in visitor.text


async def test_lines_that_cannot_be_read_stand_there_again(visitor: Visitor, family: Family, gateway: ScriptedGateway) -> None:
    """With what is wrong, and nothing lost."""
    await visitor.sign_in("me", PASSWORD)
    await visitor.get(f"/profiles/{family.bi.id}/timetable")
    await visitor.submit(f"/profiles/{family.bi.id}/timetable", {"lessons": "T2 7:00-7:45\nhôm nay nghỉ"})
    assert visitor.response.status_code == 422
    assert visitor.text.count("hôm nay nghỉ") == 1
    assert "Không đọc được" in visitor.text
