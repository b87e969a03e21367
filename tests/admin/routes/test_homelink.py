"""The home on the page of devices, and the address that a router calls."""

from __future__ import annotations

import re

import httpx
import pytest
from starlette.types import ASGIApp

from admin.dependencies import Services
from tests.admin.conftest import Clock
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family
from tests.support.people import PASSWORD
from tests.support.visitor import Visitor

HOME, CAFE = "171.224.0.20", "171.224.0.21"


def coming_from(app: ASGIApp, address: str) -> httpx.AsyncClient:
    """A router, or somebody's browser, at an address."""
    transport = httpx.ASGITransport(app=app, client=(address, 40000))
    return httpx.AsyncClient(transport=transport, base_url="https://localhost", headers={"accept-language": "vi"})


@pytest.fixture
async def parent(app: ASGIApp, services: Services, family: Family, gateway: ScriptedGateway) -> Visitor:
    """A parent at home, on the internet side of the gateway."""
    await services.applier.settle(family.tenant)
    visitor = Visitor(app, address=HOME)
    await visitor.sign_in("me", PASSWORD, kept=True)
    await visitor.get("/devices")
    return visitor


async def test_home_is_made_linked_and_taken_back(parent: Visitor, family: Family, app: ASGIApp, clock: Clock) -> None:
    """Under a child's rules without a password; linked by one press that says what not to do; shown with its end; taken back."""
    assert "Nhà mình, có địa chỉ thay đổi" in parent.text
    assert (await parent.submit("/home-link", {"home_owner": ""})).status_code == 422
    await parent.submit("/home-link", {"home_owner": family.bi.id})
    assert "Chưa có địa chỉ nào được liên kết" in parent.text
    assert f"Đúng, {HOME} là nhà mình" in parent.text
    await parent.submit("/home-link/now")
    assert f"{HOME} là nhà mình đến" in parent.text
    assert "Đúng, " not in parent.text
    await parent.submit("/home-link/stop")
    assert "Chưa có địa chỉ nào được liên kết" in parent.text
    await parent.submit("/home-link/remove")
    assert "Thiết lập nhà mình" in parent.text


async def test_home_under_an_adults_rules_asks_for_the_password(parent: Visitor, family: Family, clock: Clock) -> None:
    """It frees whatever is in the house."""
    clock.forward(minutes=15)
    assert (await parent.submit("/home-link", {"home_owner": family.adults.id})).status_code == 401


async def test_names_of_a_home_under_an_adults_rules_are_shown_after_the_password(parent: Visitor, family: Family, clock: Clock) -> None:
    """They would free whichever device asks by them."""
    await parent.submit("/home-link", {"home_owner": family.adults.id})
    assert "/home/" in parent.response.text
    clock.forward(minutes=15)
    await parent.get("/devices")
    assert "/home/" not in parent.response.text
    action = next(form.action for form in parent.forms if form.action.endswith("/show"))
    assert (await parent.submit(action)).status_code == 401
    await parent.submit(action, {"_password": PASSWORD})
    assert parent.response.url.path == "/devices" and "/home/" in parent.response.text


async def test_router_calls_the_update_address(parent: Visitor, family: Family, app: ASGIApp, clock: Clock, services: Services) -> None:
    """One word for the router, a page for people; a shared address is refused with the reason; a wrong token is not found."""
    await parent.submit("/home-link", {"home_owner": family.bi.id})
    found = re.search(r"/home/[a-z0-9-]+", parent.response.text)
    assert found, parent.response.text
    async with coming_from(app, HOME) as router:
        reply = await router.get(found[0])
        assert (reply.status_code, reply.text) == (200, "good\n")
        page = await router.get(found[0], headers={"accept": "text/html"})
        assert "Đây là nhà mình" in page.text
        assert (await router.get("/home/aaaaa-bbbbb-ccccc")).status_code == 404
    async with coming_from(app, "100.64.0.7") as router:
        reply = await router.get(found[0])
        assert (reply.status_code, reply.text) == (409, "refused home_cgnat\n")
        assert "CGNAT" in (await router.get(found[0], headers={"accept": "text/html"})).text
    await parent.get("/devices")
    assert f"{HOME} là nhà mình đến" in parent.text


async def test_update_address_is_not_called_without_end(parent: Visitor, family: Family, app: ASGIApp) -> None:
    """Each call holds the database: whoever has the token calls as often as a router does."""
    await parent.submit("/home-link", {"home_owner": family.bi.id})
    found = re.search(r"/home/[a-z0-9-]+", parent.response.text)
    assert found is not None
    async with coming_from(app, HOME) as router:
        statuses = [(await router.get(found[0])).status_code for _ in range(31)]
    assert statuses == [200] * 30 + [429]


async def test_nothing_is_offered_inside_the_network(visitor: Visitor, family: Family, gateway: ScriptedGateway) -> None:
    """Where the gateway is the family's own, every device is known already."""
    await visitor.sign_in("me", PASSWORD)
    await visitor.get("/devices")
    assert "Nhà mình, có địa chỉ thay đổi" not in visitor.text
