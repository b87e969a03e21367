"""The host's pages: a sheet to print, a count, a slip for somebody who stands there; no setting of any family."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime

import pytest
from starlette.types import ASGIApp

from admin.dependencies import Services
from blocklists.tables import OrganisationKind, Role
from tests.support.controlsocket import ScriptedGateway
from tests.support.people import PASSWORD, make_person
from tests.support.visitor import Visitor


@pytest.fixture
async def host(app: ASGIApp, services: Services, gateway: ScriptedGateway, now: datetime) -> AsyncIterator[Visitor]:
    """A commune's operator, signed in."""
    await make_person(services.database, now, "xa", OrganisationKind.OPERATOR, Role.OPERATOR)
    browser = Visitor(app)
    await browser.sign_in("xa", PASSWORD)
    yield browser
    await browser.close()


async def test_sheet_is_made_printed_and_withdrawn(host: Visitor) -> None:
    """From the page of more to the sheet with its picture; after that it is gone."""
    await host.get("/more")
    assert "/families" in host.links
    await host.get("/families")
    await host.submit("/families/codes", {"label": "Xã Sơn Vĩ", "most": "50"})
    assert "Xã Sơn Vĩ" in host.text
    assert "/family/" in host.text
    assert '<svg class="qr"' in host.response.text
    await host.get("/families")
    assert "0 trên 50" in host.text
    (withdraw,) = [form.action for form in host.forms if form.action.endswith("/withdraw")]
    await host.submit(withdraw)
    assert "Chưa có phiếu nào" in host.text


async def test_mistakes_stand_beside_their_fields(host: Visitor) -> None:
    """A name and a sensible number."""
    await host.get("/families")
    await host.submit("/families/codes", {"label": "Xã", "most": "0"})
    assert host.response.status_code == 422
    assert "Một số từ 1 đến 5.000" in host.text


async def test_slip_for_an_unknown_name_is_refused_in_the_same_words(host: Visitor) -> None:
    """The host's own account exists, but it is no family that joined here."""
    await host.get("/families")
    for name in ("xa", "khong-co"):
        await host.submit("/families/pin", {"sign_in": name})
        assert "Không có gia đình nào tham gia ở đây" in host.text


async def test_a_family_has_no_such_page(visitor: Visitor, services: Services, gateway: ScriptedGateway, now: datetime) -> None:
    """Hosting is not a parent's."""
    await make_person(services.database, now)
    await visitor.sign_in("me", PASSWORD)
    assert (await visitor.get("/families")).status_code == 403
