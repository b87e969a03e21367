"""Answering a child's request."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from starlette.types import ASGIApp

from admin.app import create_page_app
from admin.audit import Act, by_account
from admin.dependencies import Services
from admin.devices import Match, list_devices
from admin.hours import Hours, set_hours
from admin.names import add_name
from admin.overrides import list_overrides, start_override
from admin.passwords import Passwords
from admin.profiles import list_profiles
from admin.requests import Asked, ask, list_requests
from admin.setup import NewChild, NewDevice, Owner, Plan, make_tenant
from admin.tenants import create_account, grant_role
from admin.values import Days, DeviceMatch, HoursEffect, NameEffect, OverrideKind, ProfileId, RequestReason, TargetKind
from blocklists.tables import OrganisationKind, Role
from gateway.policy.model import Band
from tests.admin.conftest import Clock
from tests.admin.routes.test_profiles import in_force
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import WORDS, Family
from tests.support.people import PASSWORD
from tests.support.visitor import Visitor


async def wish(services: Services, family: Family, now: datetime, profile: ProfileId | None, host: str = "play.example") -> str:
    async with services.database.write() as connection:
        asked = Asked(profile, host, RequestReason.LESSON, "<b>bài tập</b> tin học", family.bi.band)
        return str((await ask(connection, family.tenant, asked, now)).id)


@pytest.fixture
async def parent(visitor: Visitor, services: Services, family: Family, gateway: ScriptedGateway, lists: Path) -> Visitor:
    """A parent who signed in a moment ago."""
    await services.applier.settle(family.tenant)
    await visitor.sign_in("me", PASSWORD, kept=True)
    return visitor


async def test_yes_for_an_hour_is_in_force_at_once(
    parent: Visitor, services: Services, family: Family, gateway: ScriptedGateway, now: datetime
) -> None:
    """The parent reads who, what and why, presses, and the gateway opens that name for that child."""
    asked = await wish(services, family, now, family.bi.id)
    await parent.get("/requests")
    for words in ("play.example", "Bi · cần cho bài học", "Đang chặn: trò chơi trực tuyến"):
        assert words in parent.text
    await parent.submit(f"/requests/{asked}", button=("decision", "1h"))
    (act,) = in_force(services, gateway, family, family.bi.id)["overrides"]
    assert (act["kind"], act["names"], act["until"]) == ("exception", ["play.example"], "2026-10-12T13:30:00Z")
    assert "Không có ai đang chờ trả lời." in parent.text


async def test_yes_ends_where_the_rest_time_begins(
    parent: Visitor, services: Services, family: Family, gateway: ScriptedGateway, now: datetime
) -> None:
    """The whole day is until bedtime, unless the parent ticked that it goes on; also where the parent chose whose wish it is."""
    rows = (Hours(Days.EVERY, "20:00", "06:00", HoursEffect.OFFLINE),)
    async with services.database.write() as connection:
        await set_hours(connection, Act(family.tenant, by_account(family.account, Role.PARENT), now), family.bi.id, rows)
    first, second = [await wish(services, family, now, family.bi.id, host) for host in ("play.example", "games.example")]
    third = await wish(services, family, now, None, "fun.example")
    await parent.get("/requests")
    assert parent.text.count("Mở cả trong giờ nghỉ") == 2
    await parent.submit(f"/requests/{first}", button=("decision", "today"))
    await parent.submit(f"/requests/{second}", {"through": "1"}, ("decision", "today"))
    await parent.submit(f"/requests/{third}", {"profile": family.bi.id}, ("decision", "1h"))
    ends = {act["names"][0]: act["until"] for act in in_force(services, gateway, family, family.bi.id)["overrides"]}
    assert ends == {
        "play.example": "2026-10-12T13:00:00Z",
        "games.example": "2026-10-12T17:00:00Z",
        "fun.example": "2026-10-12T13:00:00Z",
    }


async def test_childs_words_are_text(parent: Visitor, services: Services, family: Family, now: datetime) -> None:
    """Whatever a child types is shown as it is, and never runs."""
    await wish(services, family, now, family.bi.id)
    response = await parent.get("/requests")
    assert "&lt;b&gt;bài tập&lt;/b&gt;" in response.text


async def test_yes_needs_the_password_and_no_does_not(
    parent: Visitor, services: Services, family: Family, now: datetime, clock: Clock
) -> None:
    """A child at the parent's open page can say no to itself, but not yes."""
    asked = await wish(services, family, now, family.bi.id)
    clock.forward(minutes=15)
    await parent.get("/requests")
    assert (await parent.submit(f"/requests/{asked}", button=("decision", "always"))).status_code == 401
    await parent.get("/requests")
    await parent.submit(f"/requests/{asked}", button=("decision", "no"))
    assert parent.response.status_code == 200


async def test_shared_device_asks_for_whom(
    parent: Visitor, services: Services, family: Family, gateway: ScriptedGateway, now: datetime
) -> None:
    """Without a profile the parent chooses; without a choice nothing opens."""
    asked = await wish(services, family, now, None)
    await parent.get("/requests")
    response = await parent.submit(f"/requests/{asked}", button=("decision", "15m"))
    assert response.status_code == 422
    await parent.submit(f"/requests/{asked}", {"profile": family.na.id}, ("decision", "15m"))
    assert len(in_force(services, gateway, family, family.na.id)["overrides"]) == 1


async def test_one_name_of_an_app_is_said_to_be_a_part(parent: Visitor, services: Services, family: Family, now: datetime) -> None:
    """Whoever opens it for fifteen minutes is not surprised by a page without films."""
    await wish(services, family, now, family.bi.id, "www.tiktok.com")
    await wish(services, family, now, family.bi.id, "play.example")
    await parent.get("/requests")
    assert parent.text.count("Là một phần của TikTok") == 1 and parent.text.count("Là một phần của") == 1
    assert f"/profiles/{family.bi.id}/apps?q=TikTok" in parent.links


async def test_locked_name_offers_only_no(parent: Visitor, services: Services, family: Family, now: datetime) -> None:
    """The page does not offer a yes that would not open anything."""
    asked = await wish(services, family, now, family.bi.id, "bet.example")
    await parent.get("/requests")
    assert "có đồng ý cũng không mở được" in parent.text
    assert not parent.has_form(f"/requests/{asked}", ("decision", "1h"))
    assert parent.has_form(f"/requests/{asked}", ("decision", "no"))


async def test_answering_twice_is_told(parent: Visitor, services: Services, family: Family, now: datetime) -> None:
    """The second parent learns that the first was quicker."""
    asked = await wish(services, family, now, family.bi.id)
    await parent.get("/requests")
    form = next(form for form in parent.forms if form.action == f"/requests/{asked}")
    fields = dict(form.fields)
    assert (await parent.post(form.action, {**fields, "decision": "no"})).status_code == 200
    assert (await parent.post(form.action, {**fields, "decision": "1h"})).status_code == 409


async def test_a_wish_from_the_network_of_a_class_comes_from_that_class(
    services: Services, gateway: ScriptedGateway, lists: Path, now: datetime
) -> None:
    """Many devices, one class: the pupil reads so before writing, and the teacher need not guess."""
    hashed = await Passwords().hash(PASSWORD)
    devices = (NewDevice(Match(DeviceMatch.NETWORK, "10.1.7.0/24"), 0),)
    plan = Plan(OrganisationKind.SCHOOL, Owner("truong", hashed, "vi"), (NewChild("3A", Band.TH),), devices, ("10.1.0.0/16",), False, WORDS)
    async with services.database.write() as connection:
        made = await make_tenant(connection, plan, services.shelves.current(), now)
        (network,) = await list_devices(connection, made.tenant)
    await services.applier.settle(made.tenant)
    gateway.see("10.1.7.9", now, client=network.id, tenant=made.tenant)
    pupil = Visitor(create_page_app(services), address="10.1.7.9", origin="http://lachan.internal")
    await pupil.get("/ask?host=play.example")
    assert "biết nó đến từ 3A" in pupil.text
    await pupil.submit("/ask?lang=vi", {"reason": "lesson"})
    await pupil.close()
    async with services.database.read() as connection:
        [asked] = (await list_requests(connection, made.tenant, now))[0]
    assert asked.profile_id == network.profile_id


async def test_teacher_answers_for_a_lesson(services: Services, app: ASGIApp, gateway: ScriptedGateway, lists: Path, now: datetime) -> None:
    """A class's wish for a game: an hour, at once, without the password; not today, not always; never what is locked, what the school wrote
    down by name, or while the class is off. A shared device: the teacher says which class."""
    hashed = await Passwords().hash(PASSWORD)
    plan = Plan(OrganisationKind.SCHOOL, Owner("truong", hashed, "vi"), (NewChild("3A", Band.TH),), (), ("10.1.0.0/16",), False, WORDS)
    async with services.database.write() as connection:
        made = await make_tenant(connection, plan, services.shelves.current(), now)
        act = Act(made.tenant, by_account(made.account, Role.SCHOOL_ADMIN), now)
        teacher = await create_account(connection, "co-lan", "co-lan", hashed, "vi", now)
        await grant_role(connection, act, teacher, Role.TEACHER)
        (klass,) = [one for one in await list_profiles(connection, made.tenant) if one.label == "3A"]
        staff = next(one for one in await list_profiles(connection, made.tenant) if one.label == WORDS.adults)
        await add_name(connection, act, klass.id, NameEffect.DENY, "school.example")

        async def wished(host: str, profile: ProfileId | None = klass.id) -> str:
            asked = Asked(profile, host, RequestReason.LESSON, "", Band.TH)
            return str((await ask(connection, made.tenant, asked, now)).id)

        game, bet, written, already = [await wished(one) for one in ("play.example", "bet.example", "school.example", "other.example")]
        anywhere = await wished("play.example", None)
        of_staff = await wished("play.example", staff.id)
    await services.applier.settle(made.tenant)
    phone = Visitor(app, address="10.1.0.7")
    await phone.sign_in("co-lan", PASSWORD)
    await phone.get("/requests")
    offered = {form.action.rpartition("/")[2]: [value for name, value in form.buttons if name == "decision"] for form in phone.forms}
    assert offered[game] == offered[anywhere] == ["15m", "1h", "no"]
    assert offered[bet] == offered[written] == offered[already] == ["no"]
    assert staff.label not in phone.response.text.partition(f'profile-{anywhere}"')[2].partition("</select>")[0]
    for request, decision in ((game, "today"), (game, "always"), (bet, "1h"), (written, "15m")):
        token = next({"_form": dict(form.fields)["_form"]} for form in phone.forms if "_form" in form.names)
        assert (await phone.post(f"/requests/{request}", {**token, "decision": decision})).status_code == 422
    assert of_staff not in offered and (await phone.post(f"/requests/{of_staff}", {**token, "decision": "no"})).status_code == 403
    await phone.get("/requests")
    assert (await phone.submit(f"/requests/{anywhere}", {"profile": klass.id}, ("decision", "15m"))).status_code == 200
    assert (await phone.submit(f"/requests/{game}", button=("decision", "1h"))).status_code == 200
    async with services.database.read() as connection:
        acts = await list_overrides(connection, made.tenant, now)
    assert {(one.kind, one.ends_at - now, one.targets) for one in acts} == {
        (OverrideKind.EXCEPTION, timedelta(minutes=15), ((TargetKind.NAME, "play.example"),)),
        (OverrideKind.EXCEPTION, timedelta(hours=1), ((TargetKind.NAME, "play.example"),)),
    }
    async with services.database.write() as connection:
        later = await ask(connection, made.tenant, Asked(klass.id, "again.play.example", RequestReason.LESSON, "", Band.TH), now)
        await start_override(connection, act, klass.id, OverrideKind.OFF, now + timedelta(hours=1), [])
    await services.applier.settle(made.tenant)
    await phone.get("/requests")
    offered = {form.action.rpartition("/")[2]: [value for name, value in form.buttons if name == "decision"] for form in phone.forms}
    assert offered[later.id] == ["no"]
    assert (await phone.submit(f"/requests/{later.id}", button=("decision", "no"))).status_code == 200
    await phone.close()
