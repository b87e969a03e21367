"""The commands of people's side: the link again, a new password, the journal verified."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text
from starlette.types import ASGIApp

from admin.backup import back_up
from admin.commands import list_sign_ins, reset_password, show_link, verify_journal
from admin.dependencies import Services
from admin.setup import ensure_token
from admin.tables import passkeys
from gateway.errors import StartError
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family
from tests.support.people import PASSWORD
from tests.support.visitor import Visitor

FRESH = "một câu khác hẳn"


def test_link_is_shown_again_while_it_is_open(services: Services) -> None:
    """The same link as printed; after the set-up, a sentence."""
    with pytest.raises(StartError, match="no open set-up link"):
        show_link(services.settings)
    token = ensure_token(services.settings.state_dir)
    assert show_link(services.settings).endswith(f"/setup/{token}")


async def test_new_password_opens_and_signs_out_everywhere(
    visitor: Visitor, services: Services, family: Family, gateway: ScriptedGateway, now: datetime
) -> None:
    """The old password and every open browser are worth nothing afterwards; the journal says that it happened."""
    await visitor.sign_in("me", PASSWORD, kept=True)
    assert await list_sign_ins(services.settings) == ["me"]
    async with services.database.write() as connection:
        await connection.execute(
            insert(passkeys).values(
                id="p", account_id=family.account, credential=b"c", public_key=b"k", sign_count=0, name="n", label="l", created_at=now
            )
        )
    await reset_password(services.settings, "ME", FRESH, now)
    async with services.database.read() as connection:
        assert (await connection.execute(select(passkeys))).all() == []
    assert (await visitor.get("/")).status_code == 401
    assert (await visitor.sign_in("me", PASSWORD)).status_code == 401
    assert (await visitor.sign_in("me", FRESH)).status_code == 200
    await visitor.get("/journal")
    assert "Đặt lại mật khẩu trên máy" in visitor.text


async def test_whoever_has_the_machine_does_not_become_an_officer(one: Visitor, app: ASGIApp, services: Services) -> None:
    """A new password for an officer leaves the second step as it was: the operator alone decides nothing."""
    await reset_password(services.settings, "verifier", FRESH)
    operator = Visitor(app, address="192.168.1.44")
    await operator.sign_in("verifier", FRESH)
    assert operator.has_form("/sign-in/code")
    await operator.submit("/sign-in/code", {"code": "000000"})
    assert (await operator.get("/office")).status_code == 401
    await operator.close()


@pytest.mark.parametrize(
    ("name", "password", "words"), [("me", "12345678", "quá phổ biến"), ("me", "short", "ngắn hơn"), ("nobody", FRESH, "no account")]
)
async def test_reset_refuses_with_a_sentence(services: Services, family: Family, name: str, password: str, words: str) -> None:
    """Weak passwords and unknown names change nothing."""
    with pytest.raises(StartError, match=words):
        await reset_password(services.settings, name, password)


async def test_what_a_newer_program_wrote_is_neither_judged_nor_copied(services: Services, family: Family, tmp_path: Path) -> None:
    """The journal is not called damaged, and no backup holds what it must not: one sentence says what to do."""
    async with services.database.write() as connection:
        await connection.execute(text("UPDATE schema_marks SET number = 900, oldest_code = 900"))
    with pytest.raises(StartError, match="newer lachan"):
        await verify_journal(services.settings)
    with pytest.raises(StartError, match="newer lachan"):
        await back_up(services.database, services.settings.state_dir, tmp_path / "x.backup", services.now())
    assert not (tmp_path / "x.backup").exists()


async def test_journal_is_verified_from_outside(services: Services, family: Family, tmp_path: Path) -> None:
    """Whole as it is; a changed row is found and named, also when the trigger was taken away first."""
    assert (await verify_journal(services.settings)).first_bad is None
    async with services.database.write() as connection:
        await connection.execute(text("DROP TRIGGER journal_keeps_update"))
        await connection.execute(text("UPDATE journal SET actor_role = 'machine' WHERE seq = 3"))
    assert (await verify_journal(services.settings)).first_bad == 3
