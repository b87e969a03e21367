"""The home page as a parent meets it."""

from __future__ import annotations

import re
from datetime import datetime

import pytest
from sqlalchemy import select
from starlette.types import ASGIApp

from admin.audit import Act, Action, record
from admin.dependencies import Services
from admin.routes.profiles import erase_everywhere
from blocklists.tables import EVERY_TENANT, OrganisationKind, Role, journal
from gateway.following import FollowState, write_state
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family
from tests.support.people import PASSWORD, make_person
from tests.support.visitor import Visitor


async def test_home_shows_each_child_and_what_waits(
    visitor: Visitor, services: Services, family: Family, gateway: ScriptedGateway, now: datetime
) -> None:
    """Both children, when Bi was seen, the new device; no category and no hour of use."""
    await services.applier.settle(family.tenant)
    gateway.see("192.168.1.31", now, client=family.bi_phone, tenant=family.tenant)
    gateway.see("192.168.1.99", now, tenant=family.tenant)
    await visitor.sign_in("me", PASSWORD)
    assert visitor.response.status_code == 200
    for words in ("Bi", "Na", "dùng mạng vừa xong, qua cổng lọc này", "1 thiết bị mới", "Giờ nghỉ trò chơi, video từ 21:00"):
        assert words in visitor.text
    assert "Đã lưu nhưng chưa có hiệu lực" not in visitor.text


async def test_home_gives_the_internet_back_where_it_was_taken(visitor: Visitor, family: Family, gateway: ScriptedGateway) -> None:
    """While a child has no internet its card offers one press that gives it back, not the same press again."""
    await visitor.sign_in("me", PASSWORD)
    assert "Mở mạng lại" not in visitor.text
    await visitor.get(f"/profiles/{family.bi.id}")
    await visitor.submit(f"/profiles/{family.bi.id}/off", button=("until", "1h"))
    await visitor.get("/")
    found = re.search(rf'action="(/profiles/{family.bi.id}/acts/\w+/end)"', visitor.response.text)
    assert found is not None and visitor.text.count("Mở mạng lại") == 1
    await visitor.submit(found[1])
    await visitor.get("/")
    assert "Mở mạng lại" not in visitor.text


async def test_home_says_honestly_that_the_gateway_is_away(visitor: Visitor, family: Family) -> None:
    """Stored, not in force: the page says so and claims no protection."""
    await visitor.sign_in("me", PASSWORD)
    assert "Đã lưu nhưng chưa có hiệu lực" in visitor.text
    assert "được bảo vệ" not in visitor.text


async def test_old_list_of_the_office_is_told(visitor: Visitor, family: Family, services: Services, now: datetime) -> None:
    """Nothing for a day without news; once what the office signed has run out, a calm banner with the days, that what was good holds."""
    state_dir, at = services.settings.state_dir, int(now.timestamp())
    write_state(state_dir, FollowState(4, "unreachable", "nobody there", at, at - 90_000, at - 80_000, at + 90_000))
    await visitor.sign_in("me", PASSWORD)
    assert "chưa gửi gì mới" not in visitor.text
    write_state(state_dir, FollowState(4, "unreachable", "nobody there", at, at - 6 * 86_400, at, at - 90_000))
    await visitor.get("/")
    assert "Đơn vị lập danh sách chưa gửi gì mới đã 6 ngày. Bản tốt gần nhất vẫn có hiệu lực." in visitor.text
    await visitor.get("/list-office")
    assert "đã 6 ngày" in visitor.text
    write_state(state_dir, FollowState(0, "unreachable", "nobody there", at, at - 6 * 86_400, at, at - 90_000, other=4))
    await visitor.get("/")
    assert "bản 4 của đơn vị trước vẫn có hiệu lực cho đến khi bản đầu tiên đến" in visitor.text


@pytest.mark.parametrize("path", ["/", "/more"])
async def test_certificate_that_ends_is_told_to_whoever_keeps_the_machine(
    visitor: Visitor, services: Services, family: Family, gateway: ScriptedGateway, now: datetime, path: str
) -> None:
    """What phones lose, when, and the remedy; files that cannot be used, with the reason. Nothing while all is well, nothing to families
    on a machine that somebody else runs."""
    ends_at = int(now.timestamp()) + 5 * 86_400
    gateway.status = {"certificate": {"ends_at": ends_at, "standing": "good", "refused": None}}
    await visitor.sign_in("me", PASSWORD)
    await visitor.get(path)
    assert "Chứng chỉ" not in visitor.text
    gateway.status = {"certificate": {"ends_at": ends_at, "standing": "soon", "refused": "tls: cert.pem may not be read"}}
    await visitor.get(path)
    for words in ("sắp hết hạn", "điện thoại có tên riêng", "Hãy gia hạn", "Chứng chỉ cũ vẫn đang dùng", "cert.pem may not be read"):
        assert words in visitor.text
    gateway.status = {"certificate": {"ends_at": ends_at - 6 * 86_400, "standing": "ended", "refused": None}}
    await visitor.get(path)
    assert "Chứng chỉ của cổng lọc đã hết hạn" in visitor.text and "không mở được trang nào" in visitor.text
    await make_person(services.database, now, "khac")  # a second family: the machine is looked after by an operator
    await visitor.get(path)
    assert "Chứng chỉ" not in visitor.text


async def test_strangers_are_led_to_the_door_and_back(visitor: Visitor, family: Family, gateway: ScriptedGateway) -> None:
    """A link from a message leads to the sign-in page, and from there to where it pointed."""
    response = await visitor.get("/devices")
    assert response.status_code == 401
    assert 'content="0;url=/sign-in?next=/devices"' in response.text
    await visitor.get("/sign-in?next=/devices")
    await visitor.submit("/sign-in", {"sign_in": "me", "password": PASSWORD})
    assert visitor.response.url.path == "/devices"


async def test_journal_shows_acts_with_the_names_of_today(
    visitor: Visitor, services: Services, family: Family, gateway: ScriptedGateway, act: Act
) -> None:
    """The family reads its own journal: acts, who did them, and whom they are about by the name of today, which no row holds; no address. A
    child that was erased is an id; of somebody else's place nothing is named."""
    other = await make_person(services.database, act.now, "khac")
    async with services.database.write() as connection:
        await record(connection, act, Action.PROFILE_CHANGED, other.account, after={})
    await visitor.sign_in("me", PASSWORD)
    await visitor.get("/journal")
    assert "Tạo hồ sơ" in visitor.text
    assert "profile.created" not in visitor.text  # the code of the act stays for the API and the export
    rows = visitor.response.text.partition("<ol>")[2].partition("</ol>")[0]
    assert re.search(r"· Bi</span>", rows) and "phụ huynh me · " in visitor.text
    assert "192.168" not in rows and "khac" not in rows and other.account[:8] in rows
    async with services.database.read() as connection:
        stored = (await connection.execute(select(journal).execution_options(**EVERY_TENANT))).all()
    assert not [row for row in stored if {"Bi", "Na", "me"} & set(map(str, row))]
    await erase_everywhere(services, act, family.bi.id)
    await visitor.get("/journal")
    assert family.bi.id[:8] in visitor.text and "· Bi</span>" not in visitor.response.text


async def test_sign_out_ends_the_session(visitor: Visitor, family: Family, gateway: ScriptedGateway) -> None:
    """After signing out the same browser is a stranger."""
    await visitor.sign_in("me", PASSWORD)
    await visitor.get("/more")
    await visitor.submit("/sign-out")
    assert (await visitor.get("/")).status_code == 401


async def test_teacher_and_office_get_their_own_pages(app: ASGIApp, services: Services, now: datetime, gateway: ScriptedGateway) -> None:
    """Who has no family here lands on a page that works."""
    await make_person(services.database, now, sign_in="verify", kind=OrganisationKind.OFFICE, role=Role.VERIFIER)
    browser = Visitor(app)
    response = await browser.sign_in("verify", PASSWORD)
    assert response.status_code == 200
    await browser.close()
