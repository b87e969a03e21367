"""The people page: the other parent and a teacher are invited by a link, do what their role includes, and lose it at once."""

from __future__ import annotations

import re
from datetime import datetime

import pytest
from starlette.types import ASGIApp

from blocklists.database import Database
from blocklists.tables import OrganisationKind, Role
from tests.admin.conftest import Clock
from tests.support.family import Family
from tests.support.people import PASSWORD, make_person
from tests.support.visitor import Visitor


@pytest.fixture
async def mother(visitor: Visitor, database: Database, now: datetime) -> Visitor:
    await make_person(database, now)
    await visitor.sign_in("me", PASSWORD)
    return visitor


async def invite(browser: Visitor, role: str, last: str = "") -> str:
    """The link a person is given."""
    await browser.get("/people")
    await browser.submit("/people", {"role": role, "last": last})
    (link,) = re.findall(r"http://[\d.:]+(/join/[\w-]+)", browser.response.text)
    return str(link)


async def join(app: ASGIApp, link: str, sign_in: str) -> Visitor:
    """Somebody opens the link and makes an account."""
    browser = Visitor(app, "192.168.1.60")
    await browser.get(link)
    await browser.submit("/join", {"name": sign_in, "sign_in": sign_in, "password": PASSWORD, "again": PASSWORD})
    await browser.sign_in(sign_in, PASSWORD)
    return browser


async def test_the_other_parent_is_invited_and_may_do_the_days_work(mother: Visitor, app: ASGIApp, clock: Clock) -> None:
    """An account of one's own; no erasing, export or inviting; ended, the open page shows nothing more."""
    father = await join(app, await invite(mother, "parent"), "bo")
    await father.get("/more")
    assert "/choices" in father.links and "/journal" in father.links
    assert not {"/people", "/transfer", "/tokens", "/backup"} & set(father.links)
    assert (await father.get("/people")).status_code == 404
    await mother.get("/people")
    assert "Phụ huynh thứ hai" in mother.text and "bo" in mother.text
    (action,) = [form.action for form in mother.forms if form.action.endswith("/end")]
    clock.forward(minutes=11)
    await mother.submit(action)
    assert mother.has_form(action) and 'name="_password"' in mother.response.text, (
        "who may look in is decided by whoever knows the password"
    )
    await mother.submit(action, {"_password": PASSWORD})
    assert "Có hiệu lực từ bây giờ" in mother.text and not [form for form in mother.forms if form.action.endswith("/end")]
    assert (await father.get("/more")).status_code == 404
    await mother.get("/journal")
    assert "Đã kết thúc một vai trò" in mother.text
    await father.close()


async def test_a_school_invites_a_teacher_who_is_a_parent_already(
    family: Family, app: ASGIApp, visitor: Visitor, database: Database, now: datetime
) -> None:
    """With the account that is signed in: one press, and the classes of the school are there; a day that has passed is refused."""
    await make_person(database, now, "truong", OrganisationKind.SCHOOL, Role.SCHOOL_ADMIN)
    head = visitor
    await head.sign_in("truong", PASSWORD)
    await head.get("/people")
    await head.submit("/people", {"role": "teacher", "last": "01/01/2020"})
    assert head.response.status_code == 422 and "Ngày này đã qua" in head.text
    link = await invite(head, "teacher", "31/05/2027")
    teacher = Visitor(app, "192.168.1.61")
    await make_person(database, now, "ba-lan")
    await teacher.sign_in("ba-lan", PASSWORD)
    await teacher.get(link)
    assert "Bạn được mời làm giáo viên" in teacher.text and "31/05/2027" in teacher.text
    await teacher.submit("/join/mine")
    assert teacher.response.status_code == 200 and "Nhà truong" in teacher.text
    await teacher.get("/more")
    assert "/people" not in teacher.links and teacher.has_form("/organisation")
    await head.get("/people")
    assert "Người ba-lan" in head.text
    await teacher.close()


async def test_a_withdrawn_link_opens_nothing(mother: Visitor, app: ASGIApp) -> None:
    """The list shows what waits; withdrawn, the link is no such page."""
    link = await invite(mother, "parent")
    await mother.get("/people")
    (action,) = [form.action for form in mother.forms if form.action.endswith("/withdraw")]
    await mother.submit(action)
    stranger = Visitor(app, "192.168.1.62")
    assert (await stranger.get(link)).status_code == 404
    await stranger.close()


async def test_an_account_whose_last_role_ended_takes_a_new_place(mother: Visitor, app: ASGIApp, clock: Clock) -> None:
    """One person, one account: the link's page leads to the sign-in, and the old account takes the place; its form is its own."""
    father = await join(app, await invite(mother, "parent"), "bo")
    await mother.get("/people")
    (action,) = [form.action for form in mother.forms if form.action.endswith("/end")]
    await mother.submit(action)
    link = await invite(mother, "parent")
    fresh = Visitor(app, "192.168.1.63")
    await fresh.get(link)
    assert "/sign-in?next=/join" in fresh.links
    await fresh.get("/sign-in?next=/join")
    await fresh.submit("/sign-in", {"sign_in": "bo", "password": PASSWORD})
    assert fresh.response.url.path == "/join" and "Tiếp tục với tài khoản bo" in fresh.text
    assert (await fresh.post("/join/mine", {"_form": "another"})).status_code == 403
    await fresh.get("/join")
    await fresh.submit("/join/mine")
    assert fresh.response.status_code == 200 and "Nhà me" in fresh.text
    stranger = Visitor(app, "192.168.1.64")
    await stranger.post("/join/mine", {"_form": ""})
    assert stranger.response.status_code == 401 or stranger.has_form("/sign-in")
    for one in (father, fresh, stranger):
        await one.close()
