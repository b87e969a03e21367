"""Devices: a new one gets its owner, another owner, a new name, or is forgotten; the gateway knows at once."""

from __future__ import annotations

import json

import pytest

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


def owners(services: Services, gateway: ScriptedGateway, family: Family) -> dict[str, str]:
    """Match → profile, as the gateway got it last."""
    document = json.loads((services.settings.state_dir / "files" / str(gateway.policies[family.tenant])).read_text(encoding="utf-8"))
    return {match: row["profile"] for row in document["clients"] for match in row["match"]}


async def test_new_device_is_given_to_a_child(visitor: Visitor, services: Services, gateway: ScriptedGateway, clock: Clock) -> None:
    """The gateway has seen it; the parent says whose it is; it follows the machine where its hardware address is known."""
    family = await at_home(visitor, services)
    gateway.see("192.168.1.40", clock.at, mac="3c:22:fb:00:00:40", tenant=family.tenant)
    await visitor.get("/devices")
    assert "192.168.1.40" in visitor.text
    await visitor.submit("/devices", {"owner": family.na.id, "label": "máy tính bảng"})
    assert owners(services, gateway, family)["mac:3c:22:fb:00:00:40"] == family.na.id
    assert "máy tính bảng" in visitor.text


@pytest.mark.parametrize("address", ["", "example", "300.1.1.1", "192.168.1.0/33", "<script>"])
async def test_address_that_is_none_is_told(visitor: Visitor, services: Services, gateway: ScriptedGateway, address: str) -> None:
    """A slip is told beside the field and nothing is stored."""
    family = await at_home(visitor, services)
    await visitor.get("/devices")
    token = {name: value for form in visitor.forms for name, value in form.fields if name.startswith("_")}
    response = await visitor.post("/devices", {**token, "address": address, "owner": family.bi.id})
    assert response.status_code == 422
    assert "<script>" not in response.text
    assert family.tenant not in gateway.policies


async def test_freer_owner_asks_for_the_password(visitor: Visitor, services: Services, gateway: ScriptedGateway, clock: Clock) -> None:
    """From the elder to the younger child goes through; to an adult asks for the password."""
    family = await at_home(visitor, services)
    clock.forward(minutes=15)
    await visitor.get("/devices")
    page = f"/devices/{family.na_phone}"
    await visitor.submit(page, {"owner": family.bi.id})
    assert owners(services, gateway, family)["192.168.1.32"] == family.bi.id
    await visitor.submit(page, {"owner": family.adults.id})
    assert owners(services, gateway, family)["192.168.1.32"] == family.bi.id
    await visitor.submit(page, {"_password": PASSWORD})
    assert owners(services, gateway, family)["192.168.1.32"] == family.adults.id


async def test_forgotten_device_gets_the_strictest_rules(visitor: Visitor, services: Services, gateway: ScriptedGateway) -> None:
    """It is nobody's again, and nobody's devices are guests."""
    family = await at_home(visitor, services)
    await visitor.get("/devices")
    await visitor.submit(f"/devices/{family.na_phone}/forget")
    assert "192.168.1.32" not in owners(services, gateway, family)


async def test_device_of_somebody_else_is_not_taken_twice(visitor: Visitor, services: Services, gateway: ScriptedGateway) -> None:
    """One address has one owner: a second one is told that it is taken."""
    family = await at_home(visitor, services)
    await visitor.get("/devices")
    token = {name: value for form in visitor.forms for name, value in form.fields if name.startswith("_")}
    response = await visitor.post("/devices", {**token, "address": "192.168.1.31", "owner": family.na.id})
    assert response.status_code == 422
    assert family.tenant not in gateway.policies


async def test_list_is_there_without_a_gateway(visitor: Visitor, services: Services) -> None:
    """While the gateway does not answer, the page still shows the devices that have owners."""
    await at_home(visitor, services)
    assert (await visitor.get("/devices")).status_code == 200
    assert "192.168.1.31" in visitor.text
