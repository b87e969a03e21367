"""Requests of children as the adults answer them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from admin.dependencies import Services
from admin.requests import Asked, Request, ask
from admin.values import RequestReason
from tests.admin.conftest import Clock
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family, make_family
from tests.support.people import PASSWORD
from tests.support.visitor import Visitor


async def asked_by(services: Services, family: Family, host: str, *, shared: bool = False) -> Request:
    """A request of Bi, or of a device that stands for many."""
    wish = Asked(None if shared else family.bi.id, host, RequestReason.LESSON, "", family.bi.band)
    async with services.database.write() as connection:
        return await ask(connection, family.tenant, wish, services.now())


def given(services: Services, gateway: ScriptedGateway, family: Family, profile: str) -> dict[str, Any]:
    """A profile as the gateway got it last."""
    document = json.loads((services.settings.state_dir / "files" / str(gateway.policies[family.tenant])).read_text(encoding="utf-8"))
    found: dict[str, Any] = next(row for row in document["profiles"] if row["id"] == profile)
    return found


@pytest.mark.parametrize(
    ("decision", "until"),
    [("15m", "2026-10-12T12:45:00Z"), ("1h", "2026-10-12T13:30:00Z"), ("today", "2026-10-12T17:00:00Z")],
)
async def test_yes_for_a_while_opens_the_name_until_then(
    visitor: Visitor, services: Services, gateway: ScriptedGateway, decision: str, until: str
) -> None:
    """The gateway gets an exception for this name and this child with an absolute end; today ends at the family's midnight."""
    family = await make_family(services)
    request = await asked_by(services, family, "www.example.org")
    await visitor.sign_in("me", PASSWORD)
    await visitor.get("/requests")
    await visitor.submit(f"/requests/{request.id}", {}, ("decision", decision))
    (act,) = given(services, gateway, family, family.bi.id)["overrides"]
    assert (act["kind"], act["names"], act["until"]) == ("exception", ["www.example.org"], until)
    assert not visitor.has_form(f"/requests/{request.id}")


async def test_always_lists_the_name_and_no_changes_nothing(visitor: Visitor, services: Services, gateway: ScriptedGateway) -> None:
    """Always is an allowed name of the child; no opens nothing and needs no switch of rules."""
    family = await make_family(services)
    first, second = await asked_by(services, family, "www.example.org"), await asked_by(services, family, "www.example.net")
    await visitor.sign_in("me", PASSWORD)
    await visitor.get("/requests")
    await visitor.submit(f"/requests/{second.id}", {}, ("decision", "no"))
    assert family.tenant not in gateway.policies
    await visitor.submit(f"/requests/{first.id}", {}, ("decision", "always"))
    assert given(services, gateway, family, family.bi.id)["allow"] == ["www.example.org"]


async def test_yes_asks_for_the_password_and_no_does_not(
    visitor: Visitor, services: Services, gateway: ScriptedGateway, clock: Clock
) -> None:
    """A phone left on the table says no at most."""
    family = await make_family(services)
    request = await asked_by(services, family, "www.example.org")
    await visitor.sign_in("me", PASSWORD)
    await visitor.get("/requests")
    clock.forward(minutes=15)
    await visitor.submit(f"/requests/{request.id}", {}, ("decision", "always"))
    assert family.tenant not in gateway.policies
    await visitor.submit(f"/requests/{request.id}", {"_password": PASSWORD})
    assert given(services, gateway, family, family.bi.id)["allow"] == ["www.example.org"]


async def test_request_of_a_shared_device_asks_for_whom(visitor: Visitor, services: Services, gateway: ScriptedGateway) -> None:
    """Where the address stands for many, the adult says which child it is opened for."""
    family = await make_family(services)
    request = await asked_by(services, family, "www.example.org", shared=True)
    await visitor.sign_in("me", PASSWORD)
    await visitor.get("/requests")
    response = await visitor.submit(f"/requests/{request.id}", {}, ("decision", "1h"))
    assert response.status_code == 422
    await visitor.submit(f"/requests/{request.id}", {"profile": family.na.id}, ("decision", "1h"))
    assert given(services, gateway, family, family.na.id)["overrides"]
    assert given(services, gateway, family, family.bi.id)["overrides"] == []


async def test_second_answer_comes_too_late(visitor: Visitor, services: Services, gateway: ScriptedGateway) -> None:
    """Two adults at once: the first answer holds."""
    family = await make_family(services)
    request = await asked_by(services, family, "www.example.org")
    await visitor.sign_in("me", PASSWORD)
    await visitor.get("/requests")
    forms = visitor.forms
    await visitor.submit(f"/requests/{request.id}", {}, ("decision", "no"))
    visitor.forms = forms
    response = await visitor.submit(f"/requests/{request.id}", {}, ("decision", "always"))
    assert response.status_code == 409
    assert family.tenant not in gateway.policies
