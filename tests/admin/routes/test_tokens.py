"""Keys for programs: made with the password, shown once, taken back at once."""

from __future__ import annotations

from datetime import datetime, timedelta

from starlette.types import ASGIApp

from admin.audit import MACHINE, Act
from admin.permissions import Scope
from admin.sessions import create_token
from admin.tenants import create_account, grant_role
from blocklists.database import Database
from blocklists.tables import Role
from tests.admin.conftest import Clock
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family
from tests.support.office import LETTER, Officers, officer, stored_password
from tests.support.people import PASSWORD
from tests.support.visitor import Visitor


async def test_key_is_shown_once_and_can_be_taken_back(visitor: Visitor, family: Family, gateway: ScriptedGateway) -> None:
    """The page that made it shows it; afterwards only its first signs; taken back, it opens nothing."""
    await visitor.sign_in("me", PASSWORD)
    await visitor.get("/tokens")
    response = await visitor.submit("/tokens", {"label": "Đèn bếp", "scope": "read", "life": "30"})
    secret = response.text.partition('class="secret">')[2].partition("<")[0]
    assert secret.startswith("lachan_")
    headers = {"Authorization": f"Bearer {secret}"}
    assert (await visitor.http.get("/api/v1/status", headers=headers)).status_code == 200
    await visitor.get("/tokens")
    assert secret not in visitor.response.text
    assert "Đèn bếp" in visitor.text
    assert "chỉ xem" in visitor.text
    (revoke,) = [form.action for form in visitor.forms if form.action.endswith("/revoke")]
    await visitor.submit(revoke)
    assert (await visitor.http.get("/api/v1/status", headers=headers)).status_code == 401


async def test_making_one_needs_a_fresh_password(visitor: Visitor, family: Family, gateway: ScriptedGateway, clock: Clock) -> None:
    """A page left open hands out no access."""
    await visitor.sign_in("me", PASSWORD, kept=True)
    clock.forward(minutes=20)
    await visitor.get("/tokens")
    response = await visitor.submit("/tokens", {"label": "x", "scope": "policy", "life": "365"})
    assert response.status_code == 401
    response = await visitor.submit("/tokens", {"_password": PASSWORD})
    assert 'class="secret">lachan_' in response.text


async def test_key_without_a_purpose_is_refused(visitor: Visitor, family: Family, gateway: ScriptedGateway) -> None:
    """Everybody should know later what a key is for."""
    await visitor.sign_in("me", PASSWORD)
    await visitor.get("/tokens")
    response = await visitor.submit("/tokens", {"label": "", "scope": "read", "life": "30"})
    assert response.status_code == 422
    assert "lachan_" not in response.text


async def test_officers_make_keys_of_their_own(app: ASGIApp, officers: Officers, gateway: ScriptedGateway) -> None:
    """A verifier's key works on the list and joins no gateway, unless it was made for that; officers see and take back each other's."""
    one, two = await officer(app, "verifier"), await officer(app, "approver", "192.168.1.31")
    await one.get("/office/more")
    assert "/tokens" in one.links
    keys = {}
    for scope in ("list", "machines"):
        await one.get("/tokens")
        response = await one.submit("/tokens", {"label": f"Máy chủ {scope}", "scope": scope, "life": "30"})
        keys[scope] = {"Authorization": "Bearer " + response.text.partition('class="secret">')[2].partition("<")[0]}
    assert "làm việc với danh sách" in one.text
    refused = await one.http.post("/api/v1/office/orders", json={"text": LETTER}, headers=keys["machines"])
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "scope")
    assert (await one.http.get("/api/v1/office/orders", headers=keys["list"])).status_code == 200
    await two.get("/tokens")
    assert "Cán bộ verifier" in two.text
    await two.submit(next(form.action for form in two.forms if form.action.endswith("/revoke")))
    assert (await one.http.get("/api/v1/office/orders", headers=keys["list"])).status_code == 401


async def test_an_officer_without_a_second_factor_makes_no_key(app: ASGIApp, officers: Officers, gateway: ScriptedGateway) -> None:
    """A key decides without a password: nobody who only learned the password hands one out."""
    browser = Visitor(app, "192.168.1.30")
    await browser.sign_in("verifier", PASSWORD)
    await browser.get("/tokens")
    response = await browser.submit("/tokens", {"label": "x", "scope": "list", "life": "30"})
    assert response.status_code == 403 and "lachan_" not in browser.text


async def test_a_body_sees_its_own_keys_only(app: ASGIApp, database: Database, officers: Officers, now: datetime) -> None:
    """A liaison's page has nothing of the office's keys, and no choice that means nothing for the role."""
    stored = await stored_password()
    async with database.write() as connection:
        account = await create_account(connection, "observer", "Đoàn thanh niên", stored, "vi", now)
        await grant_role(connection, Act(officers.tenant, MACHINE, now), account, Role.OBSERVER)
        ends = now + timedelta(days=3)
        await create_token(connection, officers.tenant, officers.verifier, "của người khác", frozenset({Scope.READ}), now, ends)
    browser = Visitor(app, "192.168.1.32")
    await browser.sign_in("observer", PASSWORD)
    await browser.get("/tokens")
    assert "của người khác" not in browser.text
    assert "machines" not in browser.response.text and 'value="list"' not in browser.response.text
    await browser.submit("/tokens", {"label": "x", "scope": "list", "life": "30"})
    assert browser.response.status_code == 422


async def test_further_rights_are_chosen_one_by_one(visitor: Visitor, family: Family, gateway: ScriptedGateway) -> None:
    """Inviting, erasing, backups and taking them along: none of them by itself, each named in the list, nothing that is not offered."""
    await visitor.sign_in("me", PASSWORD)
    await visitor.get("/tokens")
    response = await visitor.submit("/tokens", {"label": "Đêm", "scope": "read", "life": "30", "also": ["backup", "people", "list"]})
    secret = response.text.partition('class="secret">')[2].partition("<")[0]
    assert "tạo bản sao lưu trên máy" in visitor.text and "mời và kết thúc người" in visitor.text
    told = (await visitor.http.get("/api/v1/organisation", headers={"Authorization": f"Bearer {secret}"})).json()
    assert told["scopes"] == ["backup", "people", "read"]
