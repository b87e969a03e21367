"""The guides for boxes and computers: read by anybody, in both languages, with this gateway's own address in steps and drawings."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from starlette.types import ASGIApp

from admin.boxes import BOXES, EXAMPLE
from admin.dependencies import Services
from gateway.settings import Endpoint
from tests.admin.routes.test_onboarding import make_phone
from tests.admin.routes.test_onboarding import parent as parent
from tests.support import fw4, routeros
from tests.support.visitor import Visitor

HERE = "192.168.1.2"


@pytest.fixture
async def reader(app: ASGIApp) -> AsyncIterator[Visitor]:
    """Somebody in the gateway's network, without an account, who came by the gateway's address."""
    browser = Visitor(app, origin=f"http://{HERE}:8080")
    yield browser
    await browser.close()


@pytest.fixture
async def far(app: ASGIApp) -> AsyncIterator[Visitor]:
    """Somebody else's parent, on the internet."""
    browser = Visitor(app, address="203.0.113.7", origin=f"http://{HERE}:8080")
    yield browser
    await browser.close()


@pytest.mark.parametrize("language", ["vi", "en"])
async def test_each_guide_names_this_gateway_and_draws_it(app: ASGIApp, language: str) -> None:
    """From the list to every guide: a drawing that is told in words too, with the address to write where one is written."""
    reader = Visitor(app, origin=f"http://{HERE}:8080", language=language)
    await reader.get("/guide/box")
    assert [link.removeprefix("/guide/box/") for link in reader.links if link.startswith("/guide/box/")] == list(BOXES)
    for box in BOXES:
        await reader.get(f"/guide/box/{box}")
        pictures = re.findall(r'<svg class="draw"[^>]* role="img" aria-label="([^"]+)">(.*?)</svg>', reader.response.text, re.DOTALL)
        assert pictures, box
        if box != "chrome":
            assert all(HERE in words and HERE in drawn for words, drawn in pictures), box
            assert HERE in reader.text
    assert (await reader.get("/guide/box/nowhere")).status_code == 404
    await reader.close()


async def test_guides_are_a_press_away_from_the_devices_and_the_wizard(visitor: Visitor, parent: Visitor) -> None:
    """Where a parent sets up: the list of guides, and the page of devices."""
    await parent.get("/devices")
    assert "/guide/box" in parent.links
    await parent.get("/guide")
    assert "/guide/box" in parent.links


@pytest.mark.parametrize("query", ["", "?own=1"])
async def test_rules_of_the_page_are_those_that_are_tried(reader: Visitor, query: str) -> None:
    """A file for each router, with this gateway's address in it, in the form that the router reads."""
    for form, name in (("mikrotik", "la-chan.rsc"), ("openwrt", "la-chan.firewall"), ("nft", "la-chan.nft")):
        response = await reader.get(f"/guide/rules/{form}{query}")
        assert response.headers["content-disposition"] == f'attachment; filename="{name}"'
        assert HERE in response.text and ("masquerade" in response.text.lower()) == (not query)
        if form == "mikrotik":
            assert routeros.read_script(response.text)
        elif form == "openwrt":
            assert fw4.read_sections(response.text)
    for form in ("mikrotik", "openwrt"):
        await reader.get(f"/guide/box/{form}")
        assert {f"/guide/rules/{form}", f"/guide/rules/{form}?own=1"} <= set(reader.links)
        assert "Điều không bộ phát nào chặn được: mạng di động, VPN" in reader.text, "nobody trusts what is not there"
    assert (await reader.get("/guide/rules/cisco")).status_code == 404


async def test_without_an_address_the_guide_says_so(visitor: Visitor, services: Services) -> None:
    """A first try on one's own machine: an example stands there and is called one; there are no rules that would lead nowhere."""
    gateway = services.settings.gateway
    alone = replace(gateway, dns=replace(gateway.dns, listen=(Endpoint("127.0.0.1", 5300),)))
    object.__setattr__(services.settings, "gateway", alone)  # a frozen value, before anybody has read it
    await visitor.get("/guide/box/mikrotik")
    assert EXAMPLE in visitor.text and "là chỗ của địa chỉ cổng Lá Chắn" in visitor.text
    assert not [link for link in visitor.links if link.startswith("/guide/rules")]
    assert (await visitor.get("/guide/rules/mikrotik")).status_code == 404


async def test_whoever_is_elsewhere_is_told(far: Visitor, services: Services) -> None:
    """A box far away cannot use this gateway: the page says whom the steps are for."""
    await far.get("/guide/box/viettel")
    assert "Lúc này bạn không ở trong mạng của cổng Lá Chắn" in far.text


async def test_computer_of_a_sheet_has_its_own_address(parent: Visitor, reader: Visitor) -> None:
    """The sheet's page leads to the pictures for a computer; only whoever has the sheet opens them."""
    page = await make_phone(parent)
    for box in ("windows", "chrome"):
        assert (await reader.get(f"{page}/computer/{box}")).status_code == 200
        assert f"{page}/check" in reader.links
    assert (await reader.get(f"{page}/computer/viettel")).status_code == 404
    assert (await reader.get("/phone/aaaaa-bbbbb-ccccc/computer/chrome")).status_code == 404
