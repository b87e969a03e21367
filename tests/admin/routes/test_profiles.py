"""A child's page: the two buttons, settings, new children; loosening asks for the password."""

from __future__ import annotations

import asyncio
import errno
import json
import re
import sqlite3
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from starlette.types import ASGIApp

from admin.audit import MACHINE, Act, by_account
from admin.dependencies import Services
from admin.hours import Hours, set_hours
from admin.overrides import list_overrides
from admin.passwords import Passwords
from admin.profiles import list_profiles
from admin.setup import NewChild, Owner, Plan, make_tenant
from admin.tenants import create_account, grant_role
from admin.values import Days, HoursEffect, TargetKind
from blocklists.tables import OrganisationId, OrganisationKind, Role
from gateway.errors import ControlError
from gateway.policy.model import Band
from tests.admin.conftest import Clock
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import WORDS, Family
from tests.support.people import PASSWORD, make_person
from tests.support.visitor import Visitor


@pytest.fixture
async def parent(visitor: Visitor, services: Services, family: Family, gateway: ScriptedGateway) -> Visitor:
    """A parent who signed in a moment ago."""
    await services.applier.settle(family.tenant)
    await visitor.sign_in("me", PASSWORD, kept=True)
    return visitor


@pytest.fixture
async def morning(visitor: Visitor, services: Services, family: Family, gateway: ScriptedGateway, clock: Clock) -> Visitor:
    """A parent who signed in at a quarter to eight in the morning."""
    clock.forward(hours=12, minutes=15)
    await services.applier.settle(family.tenant)
    await visitor.sign_in("me", PASSWORD, kept=True)
    return visitor


def in_force(services: Services, gateway: ScriptedGateway, family: Family, profile: str) -> dict[str, Any]:
    name = gateway.policies[family.tenant]
    assert name
    document = json.loads((services.settings.state_dir / "files" / name).read_text(encoding="utf-8"))
    return next(row for row in document["profiles"] if row["id"] == profile)  # type: ignore[no-any-return]


async def test_internet_off_until_with_countdown(parent: Visitor, services: Services, family: Family, gateway: ScriptedGateway) -> None:
    """One press, and the gateway holds the act with its absolute end; the page counts down."""
    await parent.get(f"/profiles/{family.bi.id}")
    await parent.submit(f"/profiles/{family.bi.id}/off", button=("until", "1h"))
    assert "Đã tắt mạng đến 20:30" in parent.text
    assert "còn 1 giờ" in parent.text
    assert "Đã có hiệu lực trên cổng lọc" in parent.text
    (act,) = in_force(services, gateway, family, family.bi.id)["overrides"]
    assert (act["kind"], act["until"]) == ("off", "2026-10-12T13:30:00Z")


@pytest.mark.parametrize("whose", ["file", "database", "gateway"])
async def test_full_disk_is_said_as_stored_and_waiting(
    parent: Visitor, services: Services, family: Family, gateway: ScriptedGateway, monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    """The change is stored but cannot be put in force: the page says just that, also on the next look; with room it happens by itself."""

    def full(*_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    async def full_database(*_: object) -> None:
        raise OperationalError("UPDATE", {}, sqlite3.OperationalError("database or disk is full"))

    await parent.get(f"/profiles/{family.bi.id}")
    with monkeypatch.context() as patched:
        if whose == "file":
            patched.setattr("admin.apply.write_file", full)
        elif whose == "database":
            patched.setattr(services.applier, "_note_applied", full_database)
        else:
            patched.setattr(gateway, "refuse", ControlError("disk", "[Errno 28] No space left on device"))
        response = await parent.submit(f"/profiles/{family.bi.id}/off", button=("until", "1h"))
        assert response.status_code == 200 and "Đã lưu nhưng chưa có hiệu lực" in parent.text and "đĩa đã đầy" in parent.text
        assert "Có trục trặc" not in parent.text and "không nhận thay đổi" not in parent.text
        await parent.get("/")
        assert "Đã lưu nhưng chưa có hiệu lực" in parent.text
        loop = asyncio.create_task(services.applier.run())
        await asyncio.sleep(0.1)
        assert not loop.done()
    services.applier.hurry()
    await asyncio.sleep(0.3)
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
    assert not (await services.applier.enforcement(family.tenant)).is_pending
    (act,) = in_force(services, gateway, family, family.bi.id)["overrides"]
    assert act["kind"] == "off"


async def test_internet_off_until_a_time_of_day(parent: Visitor, family: Family) -> None:
    """Any time as people write it; a time that is none is told beside the field."""
    await parent.get(f"/profiles/{family.bi.id}")
    await parent.submit(f"/profiles/{family.bi.id}/off", {"clock": "21h15"}, ("until", "clock"))
    assert "Đã tắt mạng đến 21:15" in parent.text
    response = await parent.submit(f"/profiles/{family.bi.id}/off", {"clock": "tối"}, ("until", "clock"))
    assert response.status_code == 422
    assert "Xin ghi giờ, ví dụ 21:00." in parent.text


@pytest.mark.parametrize(("form", "other"), [("off", "button-wash"), ("open", "button-rose")])
async def test_a_wrong_time_marks_its_own_form_alone_and_stays_typed(parent: Visitor, family: Family, form: str, other: str) -> None:
    """The page has two fields for a time: only the one that was used is marked, its sentence stands under it, what was typed stays."""
    await parent.get(f"/profiles/{family.bi.id}")
    typed = {"clock": "25:99", **({"what": "games"} if form == "open" else {})}
    response = await parent.submit(f"/profiles/{family.bi.id}/{form}", typed, ("until", "clock"))
    assert response.status_code == 422
    fields = re.findall(r'<input type="text" inputmode="numeric"[^>]*>', response.text)
    assert len(fields) == 2
    (wrong,) = [one for one in fields if "aria-invalid" in one]
    (untouched,) = [one for one in fields if one != wrong]
    assert 'value="25:99"' in wrong
    assert 'value=""' in untouched
    assert f'id="clock-{other}"' in untouched
    assert response.text.count('id="clock-mistake"') == 1
    assert ('value="games" checked' in response.text) == (form == "open")


async def test_off_says_what_stays_open(parent: Visitor, family: Family) -> None:
    """Not only the help lines: study and health sites and those of the state are never closed by it."""
    await parent.get(f"/profiles/{family.bi.id}")
    assert "Trang trợ giúp, học tập, sức khỏe và dịch vụ công vẫn mở." in parent.text


async def test_a_passed_hour_is_asked_back_before_anything_opens(
    morning: Visitor, services: Services, family: Family, gateway: ScriptedGateway
) -> None:
    """The hour 7:00 typed at a quarter to eight: seven this evening or tomorrow morning? Nothing opens until that is answered."""
    action = f"/profiles/{family.bi.id}/open"
    await morning.get(f"/profiles/{family.bi.id}")
    response = await morning.submit(action, {"what": "games", "clock": "7:00"}, ("until", "clock"))
    assert response.status_code == 422
    assert "Hôm nay đã qua giờ này" in morning.text
    assert "7:00 tối nay" in morning.text and "7:00 sáng mai" in morning.text
    assert in_force(services, gateway, family, family.bi.id)["overrides"] == []
    assert [value for form in morning.forms if form.action == action for name, value in form.buttons if "T" in value] == [
        "2026-10-13T19:00:00+07:00", "2026-10-14T07:00:00+07:00",
    ]  # fmt: skip
    await morning.submit(action, {}, ("until", "2026-10-13T19:00:00+07:00"))
    (act,) = in_force(services, gateway, family, family.bi.id)["overrides"]
    assert (act["kind"], act["until"]) == ("open", "2026-10-13T12:00:00Z")


async def test_the_evening_that_was_meant_is_never_the_next_morning(
    morning: Visitor, services: Services, family: Family, gateway: ScriptedGateway, clock: Clock
) -> None:
    """The button holds the moment that it says: pressed after it, as after a long look for the password, nothing opens."""
    action = f"/profiles/{family.bi.id}/open"
    await morning.get(f"/profiles/{family.bi.id}")
    await morning.submit(action, {"what": "games", "clock": "7:40"}, ("until", "clock"))
    (evening,) = [value for form in morning.forms for name, value in form.buttons if value.startswith("2026-10-13T19:")]
    clock.forward(hours=11, minutes=56)
    response = await morning.submit(action, {"what": "games", "clock": "7:40", "through": "1"}, ("until", evening))
    assert response.status_code == 422 and "đã qua" in morning.text
    assert in_force(services, gateway, family, family.bi.id)["overrides"] == []


async def test_an_opening_ends_where_the_rest_time_begins(
    morning: Visitor, services: Services, family: Family, gateway: ScriptedGateway
) -> None:
    """However long it was asked for, unless the parent ticked that it goes on; then the card says so."""
    rows = (Hours(Days.EVERY, "21:00", "06:00", HoursEffect.OFFLINE),)
    async with services.database.write() as connection:
        await set_hours(connection, Act(family.tenant, by_account(family.account, Role.PARENT), services.now()), family.bi.id, rows)
    action = f"/profiles/{family.bi.id}/open"
    page = await morning.get(f"/profiles/{family.bi.id}")
    assert page.text.count('value="morning"') == 1  # for "off" alone: opened, it would be closed at nine in the evening
    await morning.submit(action, {"what": "games", "clock": "6:30"}, ("until", "clock"))
    await morning.submit(action, {}, ("until", "2026-10-14T06:30:00+07:00"))
    (act,) = in_force(services, gateway, family, family.bi.id)["overrides"]
    assert act["until"] == "2026-10-13T14:00:00Z"
    assert "xuyên qua giờ nghỉ" not in morning.text
    await morning.submit(action, {"what": "games", "clock": "23:00", "through": "1"}, ("until", "clock"))
    (act,) = in_force(services, gateway, family, family.bi.id)["overrides"]
    assert act["until"] == "2026-10-13T16:00:00Z"
    assert "Mở xuyên qua giờ nghỉ bắt đầu lúc 21:00" in morning.text
    await morning.get("/")
    assert "Mở xuyên qua giờ nghỉ bắt đầu lúc 21:00" in morning.text


async def test_open_more_needs_a_fresh_password(
    parent: Visitor, services: Services, family: Family, gateway: ScriptedGateway, clock: Clock
) -> None:
    """A page left open cannot open anything: the password is asked, then the same press goes on by itself."""
    clock.forward(minutes=11)
    await parent.get(f"/profiles/{family.bi.id}")
    action = f"/profiles/{family.bi.id}/open"
    response = await parent.submit(action, {"what": ["games", "videos"]}, ("until", "30m"))
    assert response.status_code == 401
    assert in_force(services, gateway, family, family.bi.id)["overrides"] == []
    wrong = await parent.submit(action, {"_password": "not the password"})
    assert wrong.status_code == 401
    assert "Mật khẩu chưa đúng." in parent.text
    await parent.submit(action, {"_password": PASSWORD})
    assert "Mở thêm đến 20:11" in parent.text
    (act,) = in_force(services, gateway, family, family.bi.id)["overrides"]
    assert act["kind"] == "open"
    assert {"game", "video"} <= set(act["categories"])
    assert not {"game16", "game18"} & set(act["categories"])  # locked for this age: neither opened nor told
    assert "Mở thêm đến 20:11: Trò chơi, Phim, video" in parent.text
    assert "Đóng lại: Trò chơi, Phim, video" in parent.text


async def test_ending_an_offline_loosens_and_ending_an_opening_does_not(
    parent: Visitor, services: Services, family: Family, gateway: ScriptedGateway, clock: Clock
) -> None:
    """Closing again is one press at any time; giving the internet back is an adult's act."""
    await parent.get(f"/profiles/{family.bi.id}")
    await parent.submit(f"/profiles/{family.bi.id}/open", {"what": "games"}, ("until", "2h"))
    clock.forward(minutes=30)
    (opened,) = in_force(services, gateway, family, family.bi.id)["overrides"]
    await parent.get(f"/profiles/{family.bi.id}")
    await parent.submit(f"/profiles/{family.bi.id}/acts/{opened['id']}/end")
    assert parent.response.status_code == 200
    await parent.submit(f"/profiles/{family.bi.id}/off", button=("until", "1h"))
    (off,) = in_force(services, gateway, family, family.bi.id)["overrides"]
    response = await parent.submit(f"/profiles/{family.bi.id}/acts/{off['id']}/end")
    assert response.status_code == 401
    await parent.submit(f"/profiles/{family.bi.id}/acts/{off['id']}/end", {"_password": PASSWORD})
    assert in_force(services, gateway, family, family.bi.id)["overrides"] == []


async def test_a_shorter_rest_gives_the_internet_back_earlier_and_loosens(
    parent: Visitor, services: Services, family: Family, gateway: ScriptedGateway, clock: Clock
) -> None:
    """Pressing "no internet for half an hour" while it rests until tomorrow asks for the password; a longer rest does not."""
    action = f"/profiles/{family.bi.id}/off"
    await parent.get(f"/profiles/{family.bi.id}")
    await parent.submit(action, button=("until", "2h"))
    clock.forward(minutes=11)
    (before,) = in_force(services, gateway, family, family.bi.id)["overrides"]
    await parent.get(f"/profiles/{family.bi.id}")
    assert (await parent.submit(action, button=("until", "30m"))).status_code == 401
    assert in_force(services, gateway, family, family.bi.id)["overrides"] == [before]
    await parent.get(f"/profiles/{family.bi.id}")
    await parent.submit(action, button=("until", "morning"))
    (after,) = in_force(services, gateway, family, family.bi.id)["overrides"]
    assert after["until"] > before["until"]


async def test_open_more_without_a_choice_says_so(parent: Visitor, family: Family, clock: Clock) -> None:
    """Nothing chosen, nothing opened; and that is said before anybody is asked for a password."""
    clock.forward(minutes=11)
    await parent.get(f"/profiles/{family.bi.id}")
    response = await parent.submit(f"/profiles/{family.bi.id}/open", button=("until", "30m"))
    assert response.status_code == 422


async def test_a_wrong_time_has_the_cursor_in_its_field(parent: Visitor, family: Family) -> None:
    """The sentence stands before the field, as everywhere, and who types goes on in the field."""
    await parent.get(f"/profiles/{family.bi.id}")
    response = await parent.submit(f"/profiles/{family.bi.id}/off", {"clock": "25:99"}, ("until", "clock"))
    (field,) = re.findall(r'<input type="text" inputmode="numeric"[^>]* autofocus[^>]*>', response.text)
    assert 'value="25:99"' in field
    assert response.text.index('id="clock-mistake"') < response.text.index(field)


async def test_act_is_stored_while_the_gateway_is_away(
    parent: Visitor, services: Services, family: Family, gateway: ScriptedGateway, now: datetime
) -> None:
    """The press is not lost, and the page does not pretend."""
    await gateway.stop()
    await parent.get(f"/profiles/{family.bi.id}")
    await parent.submit(f"/profiles/{family.bi.id}/off", button=("until", "2h"))
    assert "Đã lưu nhưng chưa có hiệu lực" in parent.text
    assert "Đã có hiệu lực trên cổng lọc" not in parent.text
    await gateway.start()
    await services.applier.reconcile()
    (act,) = in_force(services, gateway, family, family.bi.id)["overrides"]
    assert act["until"] == (now + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%SZ")


async def test_settings_tighten_freely_and_loosen_with_the_password(
    parent: Visitor, services: Services, family: Family, gateway: ScriptedGateway, clock: Clock
) -> None:
    """A younger band needs nothing; an older one needs the password."""
    clock.forward(minutes=20)
    path = f"/profiles/{family.na.id}/settings"
    await parent.get(path)
    await parent.submit(path, {"band": "CS", "youtube": "strict"})
    assert parent.response.status_code == 200
    assert in_force(services, gateway, family, family.na.id)["band"] == "CS"
    response = await parent.submit(path, {"band": "PT"})
    assert response.status_code == 401
    await parent.submit(path, {"_password": PASSWORD})
    assert in_force(services, gateway, family, family.na.id)["band"] == "PT"


async def test_new_child_and_taking_it_away(
    parent: Visitor, services: Services, family: Family, gateway: ScriptedGateway, clock: Clock
) -> None:
    """A child more, with its hours; taken away again, which ends them and asks for the password, its page is gone."""
    await parent.get("/profiles/new")
    await parent.submit("/profiles", {"label": "Tí", "band": "CS"})
    profile = parent.response.url.path.removeprefix("/profiles/")
    assert in_force(services, gateway, family, profile)["schedule"][0]["from"] == "22:00"
    await parent.get(f"/profiles/{profile}/settings")
    clock.forward(minutes=15)
    assert (await parent.submit(f"/profiles/{profile}/retire")).status_code == 401
    await parent.submit(f"/profiles/{profile}/retire", {"_password": PASSWORD})
    assert (await parent.get(f"/profiles/{profile}")).status_code == 404


async def test_new_child_with_a_full_name_is_hinted(parent: Visitor) -> None:
    """A full name with a class is more than is needed."""
    await parent.get("/profiles/new")
    response = await parent.submit("/profiles", {"label": "Nguyễn Văn An 7B", "band": "CS"})
    assert response.status_code == 422
    assert "Tên gọi ở nhà là đủ" in parent.text


async def test_adults_and_guests_cannot_be_taken_away(parent: Visitor, family: Family) -> None:
    """Without them unnamed devices would have no rules."""
    token = next(value for form in (await _forms(parent, family)) for name, value in form.fields if name == "_form")
    for profile in (family.adults.id, family.guests.id):
        assert (await parent.post(f"/profiles/{profile}/retire", {"_form": token})).status_code == 404


async def _forms(parent: Visitor, family: Family) -> list[Any]:
    await parent.get(f"/profiles/{family.bi.id}")
    return parent.forms


async def test_another_familys_child_does_not_exist(
    app: ASGIApp, parent: Visitor, services: Services, family: Family, now: datetime
) -> None:
    """Every page and every form answers as if there were nothing."""
    await make_person(services.database, now, sign_in="other")
    parent = Visitor(app)
    await parent.sign_in("other", PASSWORD)
    for path in ("", "/hours", "/apps", "/groups", "/names", "/settings"):
        assert (await parent.get(f"/profiles/{family.bi.id}{path}")).status_code == 404, path
    await parent.get("/profiles/new")
    token = next(value for form in parent.forms for name, value in form.fields if name == "_form")
    for path in ("/off", "/open", "/settings", "/retire", "/hours", "/apps", "/groups", "/names"):
        fields = {"_form": token, "until": "1h", "what": "games", "set": "game block", "name": "a.example", "effect": "deny"}
        response = await parent.post(f"/profiles/{family.bi.id}{path}", fields)
        assert response.status_code == 404, path
    await parent.close()


async def test_form_without_its_token_is_refused(parent: Visitor, family: Family) -> None:
    """A form that was not made for this session does nothing."""
    for token in ("", "0" * 64):
        response = await parent.post(f"/profiles/{family.bi.id}/off", {"until": "1h", "_form": token})
        assert response.status_code == 403


async def make_tenant_of_class(services: Services, now: datetime, band: Band = Band.CS) -> OrganisationId:
    """A school with the class 7B, its administrator "truong" and its teacher "co-lan"."""
    plan = Plan(
        kind=OrganisationKind.SCHOOL,
        owner=Owner("truong", await Passwords().hash(PASSWORD), "vi"),
        children=(NewChild("7B", band),),
        devices=(),
        networks=("10.1.0.0/16",),
        messenger=False,
        words=WORDS,
    )
    async with services.database.write() as connection:
        made = await make_tenant(connection, plan, services.shelves.current(), now)
        act = Act(made.tenant, by_account(made.account, Role.SCHOOL_ADMIN), now)
        teacher = await create_account(connection, "co-lan", "co-lan", plan.owner.password_hash, "vi", now)
        await grant_role(connection, act, teacher, Role.TEACHER)
    return made.tenant


async def test_teacher_opens_one_group_for_a_lesson(services: Services, app: ASGIApp, now: datetime) -> None:
    """From a phone: one group for at most ninety minutes, never what is locked; a teacher has no other button."""
    tenant = await make_tenant_of_class(services, now)
    async with services.database.read() as connection:
        (klass,) = [one for one in await list_profiles(connection, tenant) if one.label == "7B"]
    phone = Visitor(app, address="10.1.0.7")
    await phone.sign_in("co-lan", PASSWORD)
    await phone.get(f"/profiles/{klass.id}")
    assert not phone.has_form(f"/profiles/{klass.id}/off")
    assert "Mạng xã hội" in phone.response.text and "Tên miền mới" not in phone.response.text and "Học hộ" not in phone.response.text
    lesson = f"/profiles/{klass.id}/lesson"
    assert (await phone.submit(lesson, {"category": "gamb"}, ("minutes", "45"))).status_code == 422
    form = next(form for form in phone.forms if form.action == lesson)
    fields = {**dict(form.fields), "category": "video"}
    assert (await phone.submit(lesson, {"category": "cheat"}, ("minutes", "45"))).status_code == 422
    assert "Ở lứa tuổi này nhóm này không mở cho tiết học" in phone.text
    for minutes in ("91", "120", "0", "-5", ""):  # no button of the page, but whoever sends it by hand
        assert (await phone.post(lesson, {**fields, "minutes": minutes})).status_code == 422, minutes
    await phone.get(f"/profiles/{klass.id}")
    assert (await phone.submit(lesson, {"category": "video"}, ("minutes", "90"))).status_code == 200
    async with services.database.read() as connection:
        (longest,) = await list_overrides(connection, tenant, now)
    assert longest.ends_at - now == timedelta(minutes=90)
    await phone.submit(lesson, {"category": "video"}, ("minutes", "45"))
    async with services.database.read() as connection:
        (opened,) = await list_overrides(connection, tenant, now)
    assert (opened.ends_at - now, opened.targets) == (timedelta(minutes=45), ((TargetKind.CATEGORY, "video"),))
    await phone.submit(f"{lesson}/end")
    async with services.database.write() as connection:
        assert await list_overrides(connection, tenant, now) == []
        rows = (Hours(Days.EVERY, "20:00", "06:00", HoursEffect.OFFLINE), Hours(Days.MON, "19:40", "20:25", HoursEffect.STUDY))
        await set_hours(connection, Act(tenant, MACHINE, now), klass.id, rows)
    for typed, minutes in (({}, 30), ({"through": "1"}, 45)):  # the rest time closes it, not the bell
        await phone.get(f"/profiles/{klass.id}")
        await phone.submit(lesson, {"category": "video", **typed}, ("minutes", "45"))
        async with services.database.read() as connection:
            (opened,) = await list_overrides(connection, tenant, now)
        assert opened.ends_at - now == timedelta(minutes=minutes)
    await phone.close()


async def test_whoever_runs_a_school_opens_a_class_for_ninety_minutes_at_most(services: Services, app: ASGIApp, now: datetime) -> None:
    """On the page of a class both cards have the same bound; what is to stay open longer belongs in the hours."""
    made = await make_tenant_of_class(services, now)
    async with services.database.read() as connection:
        (klass,) = [one for one in await list_profiles(connection, made) if one.label == "7B"]
    desk = Visitor(app, address="10.1.0.7")
    await desk.sign_in("truong", PASSWORD)
    await desk.get(f"/profiles/{klass.id}")
    action = f"/profiles/{klass.id}/open"
    form = next(one for one in desk.forms if one.action == action)
    assert [value for _, value in form.buttons] == ["30m", "1h", "90m", "clock"]
    token = dict(form.fields)["_form"]
    for until in ({"until": "2h"}, {"until": "clock", "clock": "21:01"}, {"until": "morning", "through": "1"}):
        assert (await desk.post(action, {"what": "games", "_form": token, **until})).status_code == 422, until
        assert "Với một lớp, mỗi lần nhiều nhất 90 phút" in desk.text
    await desk.get(f"/profiles/{klass.id}")
    assert (await desk.submit(action, {"what": "games"}, ("until", "90m"))).status_code == 200
    async with services.database.read() as connection:
        (opened,) = await list_overrides(connection, made, now)
    assert opened.ends_at - now == timedelta(minutes=90)
    await desk.close()


async def test_watch_first_is_begun_and_ended(visitor: Visitor, family: Family) -> None:
    """One press each; the page says until when, and how much would have been blocked."""
    await visitor.sign_in("me", PASSWORD)
    await visitor.get(f"/profiles/{family.bi.id}")
    await visitor.submit(f"/profiles/{family.bi.id}/watch")
    assert "Đang xem trước đến" in visitor.text and "0 lượt lẽ ra bị chặn" in visitor.text
    await visitor.submit(f"/profiles/{family.bi.id}/watch/end")
    assert "Đang xem trước đến" not in visitor.text
