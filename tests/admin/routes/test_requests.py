"""Answering a child's request."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from admin.dependencies import Services
from admin.requests import Asked, ask
from admin.values import ProfileId, RequestReason
from tests.admin.conftest import Clock
from tests.admin.routes.test_profiles import in_force
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family
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
