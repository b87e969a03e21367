"""Cards to print: the child's way in, and how to go back."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest
from starlette.types import ASGIApp

from admin.app import create_app
from admin.audit import Act, by_account
from admin.dependencies import Services
from admin.hosting import load_join_code, make_join_code
from admin.settings import AdminSettings
from admin.setup import children_at
from blocklists.tables import OrganisationKind, Role
from gateway.settings import Endpoint
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family
from tests.support.people import PASSWORD, make_person
from tests.support.visitor import Visitor

PAGE, PORT, NOWHERE = Endpoint("192.168.1.2", 80), Endpoint("192.168.1.2", 8081), Endpoint("127.0.0.1", 80)


@pytest.mark.parametrize(
    ("listen", "page", "url", "home", "hosted"),
    [
        ("127.0.0.1", None, None, "", ""),
        ("127.0.0.1", NOWHERE, None, "", ""),
        ("127.0.0.1", None, "http://localhost:8080", "", ""),
        ("192.168.1.2", None, None, "http://192.168.1.2:8080", "http://192.168.1.2:8080"),
        ("127.0.0.1", PAGE, None, "http://lachan.internal", "http://lachan.internal"),
        ("127.0.0.1", PORT, None, "http://lachan.internal:8081", "http://lachan.internal:8081"),
        ("127.0.0.1", None, "https://xa.example", "https://xa.example", "https://xa.example"),
        ("127.0.0.1", PAGE, "https://xa.example", "http://lachan.internal", "https://xa.example"),
    ],
)
def test_children_are_sent_only_where_something_answers_them(
    settings: AdminSettings, listen: str, page: Endpoint | None, url: str | None, home: str, hosted: str
) -> None:
    """The short name where its page is served; a family on another's gateway uses what its phones opened to join; else nothing is named."""
    changed = replace(settings, listen=Endpoint(listen, 8080), block_page=page, url=url)
    assert (children_at(changed), children_at(changed, is_hosted=True)) == (home, hosted)


@pytest.fixture
def settings(settings: AdminSettings) -> AdminSettings:
    """A home whose explaining page is served."""
    return replace(settings, block_page=PAGE)


async def join(services: Services, mother: Visitor, now: datetime) -> None:
    """A family on a school's gateway, by its slip."""
    school = await make_person(services.database, now, "truong", OrganisationKind.SCHOOL, Role.SCHOOL_ADMIN)
    async with services.database.write() as connection:
        made = await make_join_code(connection, Act(school.tenant, by_account(school.account, Role.SCHOOL_ADMIN), now), "Trường", 20)
        code = (await load_join_code(connection, school.tenant, made, now)).code
    await mother.get(f"/family/{code}")
    await mother.submit(f"/family/{code}", {"sign_in": "melan", "pin": "407193", "again": "407193"})
    await mother.submit("/welcome", {"label": "Tí", "band": "TH"}, ("go", "1"))


async def test_one_address_opens_the_childs_own_page_of_a_family_on_anothers_gateway(
    services: Services, gateway: ScriptedGateway, now: datetime
) -> None:
    """A post office without an explaining page: the card, its picture's target and the page of requests name what opens for the child."""
    post_office = replace(services, settings=replace(services.settings, listen=Endpoint("192.168.1.3", 8080), block_page=None))
    app, origin = create_app(post_office), "http://192.168.1.3:8080"
    mother, child = Visitor(app, address="192.168.1.99", origin=origin), Visitor(app, address="192.168.1.98", origin=origin)
    await join(services, mother, now)
    await mother.get("/requests")
    assert "Trẻ xin phép ở http://192.168.1.3:8080/why" in mother.text and "lachan.internal" not in mother.text
    await mother.get("/cards/way-in")
    assert "http://192.168.1.3:8080/why" in mother.text and "Chỉ dùng trong mạng này" not in mother.text
    assert "Gõ đúng địa chỉ này" in mother.text
    for path in ("/why", "/add"):
        await child.get(path)
        assert child.response.url.path == path and "111" in child.text
    assert "http://192.168.1.3:8080/why" in child.text and "lachan.internal" not in child.text
    await mother.close()
    await child.close()


async def test_where_no_page_for_children_is_served_pages_say_how(
    services: Services, family: Family, gateway: ScriptedGateway, now: datetime
) -> None:
    """No address that opens nothing is printed: the line of the settings file stands there instead."""
    alone = replace(services, settings=replace(services.settings, block_page=None))
    parent = Visitor(create_app(alone))
    await parent.sign_in("me", PASSWORD)
    for path in ("/cards/way-in", "/requests"):
        await parent.get(path)
        assert 'block_page: {listen: "192.168.1.2:80"}' in parent.text and "http://" not in parent.text
    assert '<svg class="qr"' not in parent.response.text
    await parent.close()


async def test_cards_are_linked_from_home_and_hold_what_they_promise(
    visitor: Visitor, family: Family, gateway: ScriptedGateway, now: datetime
) -> None:
    """From the home page: a picture and a name for the child; the router's own address to take out again."""
    await visitor.sign_in("me", PASSWORD)
    await visitor.get("/")
    assert {"/cards/way-in", "/cards/go-back"} <= set(visitor.links)
    await visitor.get("/cards/way-in")
    assert '<svg class="qr"' in visitor.response.text
    await visitor.get("/cards/go-back")
    assert "Xóa 192.168.1.2" in visitor.text
    assert "sudo systemctl disable --now lachan.socket lachan.service" in visitor.text


async def test_a_phone_that_joined_by_a_sheet_uses_its_way_in_everywhere(
    app: ASGIApp, services: Services, gateway: ScriptedGateway, now: datetime
) -> None:
    """A family on somebody else's gateway has no network of its own: the card does not send the child home first."""
    mother = Visitor(app, address="192.168.1.99")
    await join(services, mother, now)
    await mother.get("/cards/way-in")
    assert "Máy đã cài thì dùng được ở mọi nơi" in mother.text and "Chỉ dùng trong mạng này" not in mother.text
    await mother.close()
