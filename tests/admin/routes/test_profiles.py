"""A child's page as a parent uses it: the two big buttons, a new child, settings; what loosens asks for the password."""

from __future__ import annotations

import json
from typing import Any

from admin.dependencies import Services
from tests.admin.conftest import Clock
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family, make_family
from tests.support.people import PASSWORD
from tests.support.visitor import Visitor


async def at_home(visitor: Visitor, services: Services) -> Family:
    """A family whose parent is signed in."""
    family = await make_family(services)
    await visitor.sign_in("me", PASSWORD)
    return family


def profile_of(services: Services, gateway: ScriptedGateway, family: Family, profile: str) -> dict[str, Any]:
    """The profile as the gateway was given it last."""
    name = gateway.policies[family.tenant]
    document = json.loads((services.settings.state_dir / "files" / str(name)).read_text(encoding="utf-8"))
    found: dict[str, Any] = next(row for row in document["profiles"] if row["id"] == profile)
    return found


async def test_internet_off_until_a_time_and_on_again(visitor: Visitor, services: Services, gateway: ScriptedGateway) -> None:
    """One press turns one child's internet off until half past eight; another press ends it."""
    family = await at_home(visitor, services)
    page = f"/profiles/{family.bi.id}"
    await visitor.get(page)
    await visitor.submit(f"{page}/off", {"clock": "20:30"}, ("until", "clock"))
    (act,) = profile_of(services, gateway, family, family.bi.id)["overrides"]
    assert (act["kind"], act["until"]) == ("off", "2026-10-12T13:30:00Z")
    assert profile_of(services, gateway, family, family.na.id)["overrides"] == []
    (end,) = [form.action for form in visitor.forms if form.action.endswith("/end")]
    await visitor.submit(end)
    assert profile_of(services, gateway, family, family.bi.id)["overrides"] == []


async def test_opening_more_ends_what_was_off(visitor: Visitor, services: Services, gateway: ScriptedGateway) -> None:
    """The newest act wins: games for an hour end an internet-off; it ends by itself."""
    family = await at_home(visitor, services)
    page = f"/profiles/{family.na.id}"
    await visitor.get(page)
    await visitor.submit(f"{page}/off", {}, ("until", "2h"))
    await visitor.submit(f"{page}/open", {"what": ["games"]}, ("until", "1h"))
    (act,) = profile_of(services, gateway, family, family.na.id)["overrides"]
    assert (act["kind"], act["until"]) == ("open", "2026-10-12T13:30:00Z")
    assert "game" in act["categories"]


async def test_time_that_is_no_time_and_nothing_chosen_are_told(visitor: Visitor, services: Services, gateway: ScriptedGateway) -> None:
    """A slip is told beside the field and changes nothing."""
    family = await at_home(visitor, services)
    page = f"/profiles/{family.bi.id}"
    await visitor.get(page)
    asked = len(gateway.asked)
    response = await visitor.submit(f"{page}/off", {"clock": "soon"}, ("until", "clock"))
    assert response.status_code == 422
    assert visitor.has_form(f"{page}/off")
    response = await visitor.submit(f"{page}/open", {}, ("until", "1h"))
    assert response.status_code == 422
    assert [one for one in gateway.asked[asked:] if one["do"] == "apply"] == []


async def test_opening_later_asks_for_the_password_and_goes_on(
    visitor: Visitor, services: Services, gateway: ScriptedGateway, clock: Clock
) -> None:
    """A browser left open opens nothing; with the password the same press goes on. Turning off needs no password."""
    family = await at_home(visitor, services)
    page = f"/profiles/{family.na.id}"
    await visitor.get(page)
    clock.forward(minutes=15)
    await visitor.submit(f"{page}/open", {"what": ["games"]}, ("until", "1h"))
    assert any("_password" in form.names for form in visitor.forms)
    wrong = await visitor.submit(f"{page}/open", {"_password": "not the password"})
    assert family.tenant not in gateway.policies
    assert any("_password" in form.names for form in visitor.forms), wrong.text
    await visitor.submit(f"{page}/open", {"_password": PASSWORD})
    assert [act["kind"] for act in profile_of(services, gateway, family, family.na.id)["overrides"]] == ["open"]
    clock.forward(minutes=15)
    await visitor.get(page)
    await visitor.submit(f"{page}/off", {}, ("until", "1h"))
    assert [act["kind"] for act in profile_of(services, gateway, family, family.na.id)["overrides"]] == ["off"]


async def test_new_child_is_strict_from_the_start(visitor: Visitor, services: Services, gateway: ScriptedGateway) -> None:
    """One more child with the hours of its age; a full name is refused before it is stored."""
    family = await at_home(visitor, services)
    await visitor.get("/profiles/new")
    refused = await visitor.submit("/profiles", {"label": "Nguyễn Văn An 3A", "band": "MN"})
    assert refused.status_code == 422
    await visitor.submit("/profiles", {"label": "Cu Tí", "band": "TH"})
    made = profile_of(services, gateway, family, str(visitor.response.url.path).rpartition("/")[2])
    assert made["band"] == "TH"
    assert made["schedule"]


async def test_settings_are_put_in_force(visitor: Visitor, services: Services, gateway: ScriptedGateway, clock: Clock) -> None:
    """A younger age is stricter and needs no password; back to the older one opens and does."""
    family = await at_home(visitor, services)
    clock.forward(minutes=15)
    page = f"/profiles/{family.na.id}/settings"
    await visitor.get(page)
    await visitor.submit(page, {"band": "CS", "youtube": "strict"})
    changed = profile_of(services, gateway, family, family.na.id)
    assert (changed["band"], changed["youtube"]) == ("CS", "strict")
    await visitor.submit(page, {"band": "PT"})
    assert profile_of(services, gateway, family, family.na.id)["band"] == "CS"
    await visitor.submit(page, {"_password": PASSWORD})
    assert profile_of(services, gateway, family, family.na.id)["band"] == "PT"


async def test_devices_of_a_profile_taken_away_are_new_again(visitor: Visitor, services: Services, gateway: ScriptedGateway) -> None:
    """A profile that goes leaves no device behind with open rules; guests and adults cannot be taken away."""
    family = await at_home(visitor, services)
    await visitor.get(f"/profiles/{family.na.id}/settings")
    await visitor.submit(f"/profiles/{family.na.id}/retire")
    document = json.loads((services.settings.state_dir / "files" / str(gateway.policies[family.tenant])).read_text(encoding="utf-8"))
    assert family.na.id not in {row["id"] for row in document["profiles"]}
    assert "192.168.1.32" not in {match for row in document["clients"] for match in row["match"]}
    await visitor.get(f"/profiles/{family.guests.id}/settings")
    assert not visitor.has_form(f"/profiles/{family.guests.id}/retire")
    token = {name: value for form in visitor.forms for name, value in form.fields if name.startswith("_")}
    assert (await visitor.post(f"/profiles/{family.guests.id}/retire", token)).status_code == 404


async def test_change_without_a_gateway_is_kept_and_said(visitor: Visitor, services: Services) -> None:
    """While the gateway does not answer a change is stored, and the page says that it is not in force yet."""
    family = await at_home(visitor, services)
    page = f"/profiles/{family.bi.id}"
    await visitor.get(page)
    response = await visitor.submit(f"{page}/off", {}, ("until", "1h"))
    assert response.status_code == 200
    assert any(form.action.endswith("/end") for form in visitor.forms)
    assert "chưa" in visitor.text


async def test_another_familys_child_does_not_exist(visitor: Visitor, services: Services) -> None:
    """A made-up or foreign profile is simply not there."""
    await at_home(visitor, services)
    for path in ("/profiles/zzzz", "/profiles/zzzz/settings"):
        assert (await visitor.get(path)).status_code == 404
