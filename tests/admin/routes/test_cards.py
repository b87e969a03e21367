"""Cards to print: the child's way in, and how to go back."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest
from starlette.types import ASGIApp

from admin.audit import Act, by_account
from admin.dependencies import Services
from admin.hosting import load_join_code, make_join_code
from admin.routes.cards import way_in
from blocklists.tables import OrganisationKind, Role
from gateway.settings import Endpoint
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family
from tests.support.people import PASSWORD, make_person
from tests.support.visitor import Visitor


@pytest.mark.parametrize(
    ("page", "address"),
    [
        (None, "http://127.0.0.1:8080/"),
        (Endpoint("192.168.1.2", 80), "http://lachan.internal/"),
        (Endpoint("192.168.1.2", 8081), "http://lachan.internal:8081/"),
    ],
)
def test_way_in_ends_with_a_slash(services: Services, page: Endpoint | None, address: str) -> None:
    """Browsers search for a name of one's own unless something follows it."""
    assert way_in(replace(services, settings=replace(services.settings, block_page=page))) == address


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
    school = await make_person(services.database, now, "truong", OrganisationKind.SCHOOL, Role.SCHOOL_ADMIN)
    async with services.database.write() as connection:
        made = await make_join_code(connection, Act(school.tenant, by_account(school.account, Role.SCHOOL_ADMIN), now), "Trường", 20)
        code = (await load_join_code(connection, school.tenant, made, now)).code
    mother = Visitor(app, address="192.168.1.99")
    await mother.get(f"/family/{code}")
    await mother.submit(f"/family/{code}", {"sign_in": "melan", "pin": "407193", "again": "407193"})
    await mother.submit("/welcome", {"label": "Tí", "band": "TH"}, ("go", "1"))
    await mother.get("/cards/way-in")
    assert "Máy đã cài thì dùng được ở mọi nơi" in mother.text and "Chỉ dùng trong mạng này" not in mother.text
    await mother.close()
