"""Keys for programs: made with the password, shown once, taken back at once."""

from __future__ import annotations

from tests.admin.conftest import Clock
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family
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
