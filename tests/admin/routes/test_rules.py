"""Hours, apps, groups and names of a child, as a parent sets them and as the gateway gets them."""

from __future__ import annotations

import pytest

from admin.dependencies import Services
from tests.admin.conftest import Clock
from tests.admin.routes.test_profiles import at_home, profile_of
from tests.support.controlsocket import ScriptedGateway
from tests.support.people import PASSWORD
from tests.support.visitor import Visitor

FREE = {"days": ["every"], "effect": ["offline"]}


async def test_hours_become_windows_of_the_gateway(visitor: Visitor, services: Services, gateway: ScriptedGateway) -> None:
    """A night over midnight is one window; the picture of the week stays on the page."""
    family = await at_home(visitor, services)
    page = f"/profiles/{family.bi.id}/hours"
    await visitor.get(page)
    await visitor.submit(page, {**FREE, "starts": ["20h30"], "ends": ["6:00"]})
    assert visitor.response.status_code == 200, visitor.text
    (window,) = profile_of(services, gateway, family, family.bi.id)["schedule"]
    assert (window["from"], window["to"], window["effect"]) == ("20:30", "06:00", "offline")


@pytest.mark.parametrize(("starts", "ends"), [("25:00", "06:00"), ("21:00", ""), ("07:00", "07:00"), ("24:00", "06:00")])
async def test_hours_that_are_none_are_told(visitor: Visitor, services: Services, gateway: ScriptedGateway, starts: str, ends: str) -> None:
    """A wrong time is told, what was typed stays in its field, and nothing is stored."""
    family = await at_home(visitor, services)
    page = f"/profiles/{family.bi.id}/hours"
    await visitor.get(page)
    response = await visitor.submit(page, {**FREE, "starts": [starts], "ends": [ends]})
    assert response.status_code == 422
    assert ("starts", starts) in [field for form in visitor.forms for field in form.fields]
    assert family.tenant not in gateway.policies


async def test_shorter_rest_asks_for_the_password(visitor: Visitor, services: Services, gateway: ScriptedGateway, clock: Clock) -> None:
    """Longer hours of rest go through; any minute less asks for the password."""
    family = await at_home(visitor, services)
    page = f"/profiles/{family.bi.id}/hours"
    await visitor.get(page)
    await visitor.submit(page, {**FREE, "starts": ["20:00"], "ends": ["06:30"]})
    clock.forward(minutes=15)
    await visitor.submit(page, {**FREE, "starts": ["19:00"], "ends": ["06:30"]})
    assert profile_of(services, gateway, family, family.bi.id)["schedule"][0]["from"] == "19:00"
    await visitor.submit(page, {**FREE, "starts": ["19:01"], "ends": ["06:30"]})
    assert profile_of(services, gateway, family, family.bi.id)["schedule"][0]["from"] == "19:00"
    await visitor.submit(page, {"_password": PASSWORD})
    assert profile_of(services, gateway, family, family.bi.id)["schedule"][0]["from"] == "19:01"


async def test_one_more_row_is_only_shown(visitor: Visitor, services: Services, gateway: ScriptedGateway) -> None:
    """Without a script, a button adds an empty row; nothing is stored by it."""
    family = await at_home(visitor, services)
    page = f"/profiles/{family.bi.id}/hours"
    await visitor.get(page)
    before = sum(name == "starts" for form in visitor.forms for name, _ in form.fields)
    await visitor.submit(page, {}, ("add", "1"))
    assert sum(name == "starts" for form in visitor.forms for name, _ in form.fields) == before + 1
    assert family.tenant not in gateway.policies


async def test_app_is_opened_and_closed_and_the_locked_stay_locked(visitor: Visitor, services: Services, gateway: ScriptedGateway) -> None:
    """A switch reaches the gateway; set back to what the age has anyway, it is no switch any more."""
    family = await at_home(visitor, services)
    page = f"/profiles/{family.na.id}/apps"
    await visitor.get(page)
    wanted = next(
        value.split()[0] for form in visitor.forms if form.action == page for name, value in form.buttons if value.endswith(" block")
    )
    await visitor.submit(page, {}, ("set", f"{wanted} block"))
    first = profile_of(services, gateway, family, family.na.id)["services"] if family.tenant in gateway.policies else {}
    await visitor.submit(page, {}, ("set", f"{wanted} allow"))
    second = profile_of(services, gateway, family, family.na.id)["services"]
    assert {first.get(wanted), second.get(wanted)} in ({"block", None}, {None, "allow"})
    token = {name: value for form in visitor.forms for name, value in form.fields if name.startswith("_")}
    assert (await visitor.post(page, {**token, "set": "no-such-app allow"})).status_code == 422


async def test_locked_group_cannot_be_opened(visitor: Visitor, services: Services, gateway: ScriptedGateway) -> None:
    """What the law or the age locks has no switch, and a forged press is refused."""
    family = await at_home(visitor, services)
    page = f"/profiles/{family.bi.id}/groups"
    await visitor.get(page)
    assert not any(value == "porn allow" for form in visitor.forms for _, value in form.buttons)
    token = {name: value for form in visitor.forms for name, value in form.fields if name.startswith("_")}
    assert (await visitor.post(page, {**token, "set": "porn allow"})).status_code == 422
    assert family.tenant not in gateway.policies


async def test_names_are_read_out_of_what_was_pasted(visitor: Visitor, services: Services, gateway: ScriptedGateway) -> None:
    """A pasted address becomes its name, denied for this child only; taking it off again loosens."""
    family = await at_home(visitor, services)
    page = f"/profiles/{family.bi.id}/names"
    await visitor.get(page)
    await visitor.get(f"{page}?name=https://Bad.Example.net/path?q=1")
    await visitor.submit(page, {}, ("effect", "deny"))
    assert profile_of(services, gateway, family, family.bi.id)["deny"] == ["bad.example.net"]
    assert profile_of(services, gateway, family, family.na.id)["deny"] == []
    (remove,) = [form.action for form in visitor.forms if form.action.endswith("/remove")]
    await visitor.submit(remove)
    assert profile_of(services, gateway, family, family.bi.id)["deny"] == []


@pytest.mark.parametrize("name", ["com.vn", "not a name", "tongdai111.vn", ""])
async def test_names_nobody_may_deny_are_told(visitor: Visitor, services: Services, gateway: ScriptedGateway, name: str) -> None:
    """A public ending, no name at all, a help line: told in words, nothing stored."""
    family = await at_home(visitor, services)
    page = f"/profiles/{family.bi.id}/names"
    await visitor.get(f"{page}?name=example.net")
    token = {name: value for form in visitor.forms for name, value in form.fields if name.startswith("_")}
    response = await visitor.post(page, {**token, "effect": "deny", "name": name})
    assert response.status_code == 422
    assert family.tenant not in gateway.policies
