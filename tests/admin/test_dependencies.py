"""What routes are given: the visit, its language, its form token."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select

from admin.dependencies import Services, form_token
from admin.permissions import Actor
from admin.sessions import SignedIn
from admin.tables import sessions
from admin.values import SessionId
from blocklists.tables import AccountId
from tests.admin.conftest import Clock
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family
from tests.support.people import PASSWORD
from tests.support.visitor import Visitor


def live(key: bytes) -> SignedIn:
    return SignedIn(Actor(AccountId("a"), "x", ()), None, (), "vi", SessionId("s"), key)


def test_form_token_belongs_to_one_session() -> None:
    """Another session's forms cannot be used here."""
    assert form_token(live(b"1" * 16)) == form_token(live(b"1" * 16))
    assert form_token(live(b"1" * 16)) != form_token(live(b"2" * 16))


async def test_language_follows_browser_choice_then_account(visitor: Visitor, family: Family, gateway: ScriptedGateway) -> None:
    """The account speaks Vietnamese; a press in this browser makes it English, here only."""
    visitor.http.headers["Accept-Language"] = "en"
    await visitor.sign_in("me", PASSWORD)
    assert visitor.response.headers["content-language"] == "vi"
    await visitor.submit("/language", button=("language", "en"))
    assert visitor.response.headers["content-language"] == "en"


async def test_session_in_use_is_noted_once_a_minute(
    visitor: Visitor, services: Services, family: Family, gateway: ScriptedGateway, clock: Clock, now: datetime
) -> None:
    """A session that is used stays alive past its idle time; one that is not does not."""
    await visitor.sign_in("me", PASSWORD)
    for _ in range(4):
        clock.forward(minutes=20)
        assert (await visitor.get("/")).status_code == 200
    async with services.database.read() as connection:
        assert (await connection.execute(select(sessions.c.seen_at))).scalar_one() == now + timedelta(minutes=80)
    clock.forward(minutes=31)
    assert (await visitor.get("/")).status_code == 401
