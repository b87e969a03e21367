"""A phone gets its sheet; the page on the phone needs no account; a token that was taken away opens nothing."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import select
from starlette.types import ASGIApp

from admin.app import create_app
from admin.dependencies import Services
from admin.permissions import Scope
from admin.profiles import list_profiles
from admin.setup import ensure_token
from admin.values import BANDS_BY_STRICTNESS, ProfileKind
from blocklists.tables import OrganisationKind, Role, organisations
from gateway.settings import EncryptedSettings, Endpoint, TlsSettings
from lachan.certificate import write
from tests.admin.conftest import Clock
from tests.admin.routes.test_api import client_for
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family
from tests.support.people import make_person
from tests.support.visitor import Visitor

PASSWORD = "mùa thu lá bay"
NAME = "dns.example.net"


@pytest.fixture
async def parent(visitor: Visitor, services: Services, gateway: ScriptedGateway) -> Visitor:
    """A parent with one child, signed in."""
    await visitor.get(f"/setup/{ensure_token(services.settings.state_dir)}")
    await visitor.submit("/setup", {"place": "home"}, ("go", "1"))
    await visitor.submit("/setup", {"label": "Bi", "band": "TH"}, ("go", "1"))
    await visitor.submit("/setup", {}, ("go", "1"))
    await visitor.submit("/setup", {"sign_in": "MeLan", "password": PASSWORD, "again": PASSWORD}, ("go", "1"))
    await visitor.get("/")
    return visitor


@pytest.fixture
async def stranger(app: ASGIApp) -> AsyncIterator[Visitor]:
    """Somebody with the sheet and no account."""
    browser = Visitor(app, address="192.168.1.77")
    yield browser
    await browser.close()


def enforced_tokens(services: Services, gateway: ScriptedGateway) -> set[str]:
    """The tokens in the policy files in force."""
    found: set[str] = set()
    for name in gateway.policies.values():
        if name:
            document = json.loads((services.settings.state_dir / "files" / name).read_text(encoding="utf-8"))
            found |= {match[6:] for client in document["clients"] for match in client["match"] if match.startswith("token:")}
    return found


async def make_phone(parent: Visitor) -> str:
    """Make a phone for the first child; returns the path of the phone's own page."""
    profile = next(link for link in parent.links if re.fullmatch(r"/profiles/[a-z0-9]{24}", link))
    await parent.get(f"{profile}/phones/new")
    await parent.submit(f"{profile}/phones", {"label": "máy xanh"})
    found = re.search(r"/phone/[a-z0-9-]+", parent.text)
    assert found, parent.text
    return found.group()


async def test_sheet_opens_the_steps_without_an_account(
    parent: Visitor, stranger: Visitor, services: Services, gateway: ScriptedGateway
) -> None:
    """From the sheet's address to the steps, by somebody who has only the sheet; the token is in force on the gateway."""
    page = await make_phone(parent)
    assert enforced_tokens(services, gateway) == {page.removeprefix("/phone/")}
    assert (await stranger.get(page)).status_code == 200
    assert parent.has_form(f"{parent.response.url.path}/remove")
    picture = await parent.get(f"{parent.response.url.path}/qr.svg")
    assert picture.headers["content-type"].startswith("image/svg+xml")


async def test_a_parent_who_is_signed_in_on_the_childs_phone_is_told_to_sign_out(
    parent: Visitor, stranger: Visitor, gateway: ScriptedGateway
) -> None:
    """A home with one phone: the last pages say so, with the button; who has only the sheet sees neither."""
    page = await make_phone(parent)
    assert "đăng xuất" not in (await stranger.get(page)).text
    await parent.get(page)
    assert "Hãy đăng xuất trước khi đưa máy cho Bi." in parent.text
    await parent.submit("/sign-out")
    assert "Hãy đăng xuất" not in (await parent.get(page)).text


async def test_no_sheet_is_given_without_a_word_where_phones_refuse_the_certificate(
    services: Services, family: Family, gateway: ScriptedGateway, tmp_path: Path, now: datetime
) -> None:
    """A self-signed certificate: a phone set to it has no Internet. The question, the sheet, the steps, the host's page, the poster, the
    joining family and the API say so and what to do; the steps are folded away. With a real one nobody reads of it."""
    certificate, key = write(NAME, [], tmp_path / "own")
    dot, doh = (EncryptedSettings((Endpoint("192.0.2.1", port),)) for port in (853, 443))
    reached = replace(services.settings.gateway, tls=TlsSettings(certificate, key, NAME), dot=dot, doh=doh)
    app = create_app(replace(services, settings=replace(services.settings, gateway=reached)))
    await make_person(services.database, now, "xa", OrganisationKind.OPERATOR, Role.OPERATOR)
    mother, host, stranger = Visitor(app), Visitor(app), Visitor(app, address="192.168.1.77")
    await mother.sign_in("me", PASSWORD)
    await host.sign_in("xa", PASSWORD)
    await mother.get(f"/profiles/{family.bi.id}/phones/new")
    said = [mother.text]
    await mother.submit(f"/profiles/{family.bi.id}/phones", {"label": "máy xanh"})
    said.append(mother.text)
    found = re.search(r"/phone/[a-z0-9-]+", mother.text)
    assert found
    await stranger.get(found[0])
    said.append(stranger.text)
    assert '<details class="fold card"><summary>Vẫn xem các bước</summary>' in stranger.response.text
    await host.get("/families")
    said.append(host.text)
    await host.submit("/families/codes", {"label": "Xã Sơn Vĩ", "most": "50"})
    said.append(host.text)
    sheet = re.search(r"/family/[a-z0-9-]+", host.text)
    assert sheet
    await stranger.get(sheet[0])
    await stranger.submit(sheet[0], {"sign_in": "melan", "pin": "407193", "again": "407193"})
    await stranger.submit("/welcome", {"label": "Tí", "band": "TH"}, ("go", "1"))
    said.append(stranger.text)
    assert [text.count("Đừng cài điện thoại nào vào cổng lọc này vội: cổng lọc tự ký giấy bảo mật của mình") for text in said] == [1] * 6
    assert all("DNS riêng › Tự động" in text for text in said)
    async with await client_for(app, services, family, Scope.READ) as client:
        phone = next(one for one in (await client.get("/devices")).json()["items"] if one["label"] == "máy xanh")
        assert (await client.get(f"/phones/{phone['id']}")).json()["refused"] == "own"
    for browser in (mother, host, stranger):
        await browser.close()


async def test_renewed_or_removed_phone_ends_the_old_sheet(
    parent: Visitor, stranger: Visitor, services: Services, gateway: ScriptedGateway
) -> None:
    """A new sheet makes the old one worthless at once; a phone taken away has none."""
    old = await make_phone(parent)
    sheet = str(parent.response.url.path)
    asks, _, acts = parent.response.text.partition(f'action="{sheet}/renew"')
    assert asks.rindex("<details") > asks.rindex("</section>"), "the first press only opens the question"
    assert "hết hiệu lực ngay" in acts.partition("</details>")[0]
    await parent.submit(f"{sheet}/renew")
    (token,) = enforced_tokens(services, gateway)
    assert f"/phone/{token}" != old
    assert (await stranger.get(old)).status_code == 404
    assert (await stranger.get(f"/phone/{token}")).status_code == 200
    await parent.get(sheet)
    await parent.submit(f"{sheet}/remove")
    assert enforced_tokens(services, gateway) == set()
    assert (await stranger.get(f"/phone/{token}")).status_code == 404


async def test_guessing_tokens_is_limited(stranger: Visitor) -> None:
    """Somebody who tries token after token is slowed down; nothing tells a near guess from a far one."""
    codes = [
        (await stranger.get(f"/phone/aaaaa-bbbbb-{number:05d}".replace("0", "c").replace("1", "d"))).status_code for number in range(40)
    ]
    assert set(codes[:20]) == {404}
    assert 429 in codes


async def test_other_family_cannot_open_the_sheet(parent: Visitor, stranger: Visitor) -> None:
    """The sheet itself is for its own family: somebody without a session is asked to sign in and is told nothing."""
    page = await make_phone(parent)
    assert (await stranger.get(str(parent.response.url.path))).status_code == 401
    assert page not in stranger.response.text


async def test_phone_of_an_adult_asks_for_the_password(
    parent: Visitor, services: Services, gateway: ScriptedGateway, clock: Clock, now: datetime
) -> None:
    """A page left open makes no sheet by which any phone would have the rules of adults; one for a child it makes."""
    async with services.database.read() as connection:
        tenant = (await connection.execute(select(organisations.c.id))).scalar_one()
        profiles = await list_profiles(connection, tenant)
    adults = next(one for one in profiles if one.kind is ProfileKind.ADULT)
    clock.forward(minutes=11)
    await parent.get(f"/profiles/{adults.id}/phones/new")
    response = await parent.submit(f"/profiles/{adults.id}/phones", {"label": "máy mẹ"})
    assert response.status_code == 401
    assert enforced_tokens(services, gateway) == set()
    await parent.get("/")
    await make_phone(parent)
    assert len(enforced_tokens(services, gateway)) == 1


@pytest.mark.parametrize("kind", [ProfileKind.ADULT, ProfileKind.CHILD], ids=["adult", "elder child"])
async def test_sheet_that_would_free_a_phone_is_shown_after_the_password(
    parent: Visitor, services: Services, gateway: ScriptedGateway, clock: Clock, kind: ProfileKind
) -> None:
    """A child with a page left open reads no sheet that would free its phone, and no picture of it."""
    await parent.get("/profiles/new")
    await parent.submit("/profiles", {"label": "Na", "band": "PT"})
    async with services.database.read() as connection:
        tenant = (await connection.execute(select(organisations.c.id))).scalar_one()
        owners = [one for one in await list_profiles(connection, tenant) if one.kind is kind]
    owner = max(owners, key=lambda one: BANDS_BY_STRICTNESS.index(one.band))
    await parent.get(f"/profiles/{owner.id}/phones/new")
    await parent.submit(f"/profiles/{owner.id}/phones", {"label": "máy này"})
    sheet = str(parent.response.url.path)
    (token,) = enforced_tokens(services, gateway)
    assert token in parent.text
    clock.forward(minutes=11)
    for path, code in ((sheet, 200), (f"{sheet}/qr.svg", 401), ("/devices", 200)):
        assert (await parent.get(path)).status_code == code
        assert token not in parent.response.text and "<path" not in parent.response.text.partition('class="qr"')[2]
    await parent.get(sheet)
    assert (await parent.submit(f"{sheet}/show")).status_code == 401
    await parent.submit(f"{sheet}/show", {"_password": PASSWORD})
    assert str(parent.response.url.path) == sheet and token in parent.text
    assert (await parent.get(f"{sheet}/qr.svg")).status_code == 200
