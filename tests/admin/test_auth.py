"""The door: right and wrong passwords, guessers, and owners who are never locked out."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta

import pytest
from cryptography.fernet import Fernet

from admin.audit import read_rows
from admin.auth import Door, Opened, WrongPassword
from admin.errors import TooManyTries
from admin.factors import Factors
from admin.passwords import Passwords
from admin.sessions import load_session
from admin.throttle import FREE_TRIES, Throttle
from blocklists.database import Database
from tests.support.people import PASSWORD, make_person


@pytest.fixture
def door(database: Database) -> Door:
    return Door(database, Passwords(), Throttle(), Factors(Fernet.generate_key(), time.time))


async def knock(
    door: Door, now: datetime, password: str = PASSWORD, *, sign_in: str = "me", address: str = "192.0.2.7", browser: str | None = None
) -> Opened:
    return await door.sign_in(
        sign_in, password, address=address, browser_secret=browser, user_agent="Firefox", kept=False, now=now, monotonic=0.0
    )


async def test_sign_in_with_the_right_password_opens_a_session(door: Door, database: Database, now: datetime) -> None:
    """The name in any case and the right password give a session, a known browser and a journal row."""
    person = await make_person(database, now)
    opened = await knock(door, now, sign_in="ME")
    async with database.read() as connection:
        live = await load_session(connection, opened.session_secret, now)
        rows = await read_rows(connection, person.tenant, 1)
    assert live is not None
    assert live.actor.account_id == person.account
    assert rows[0].action == "session.opened"
    assert opened.browser_secret
    again = await knock(door, now, browser=opened.browser_secret)
    assert again.browser_secret is None


@pytest.mark.parametrize(("sign_in", "password"), [("me", "wrong password"), ("nobody", PASSWORD), ("", ""), ("me", "x" * 5000)])
async def test_sign_in_says_the_same_for_wrong_and_unknown(
    door: Door, database: Database, now: datetime, sign_in: str, password: str
) -> None:
    """Nobody learns from the answer whether an account exists."""
    await make_person(database, now)
    with pytest.raises(WrongPassword):
        await knock(door, now, password, sign_in=sign_in)


async def test_guesses_are_slowed_but_the_owner_gets_in(door: Door, database: Database, now: datetime) -> None:
    """After a stranger's many tries he waits; the owner's phone and the owner's house do not."""
    await make_person(database, now)
    own = await knock(door, now, address="203.0.113.5")
    with pytest.raises(TooManyTries) as caught:
        for _ in range(8):
            try:
                await knock(door, now, "a guess or two", address="198.51.100.9")
            except WrongPassword:
                continue
    assert caught.value.retry_after >= 1
    with pytest.raises(TooManyTries):
        await knock(door, now, address="198.51.100.9")
    assert await knock(door, now, address="198.51.100.9", browser=own.browser_secret)
    assert await knock(door, now, address="203.0.113.77")


async def test_guesses_side_by_side_win_nothing(door: Door, database: Database, now: datetime) -> None:
    """Of many guesses sent at once only the first few are looked at."""
    await make_person(database, now)
    knocks = [knock(door, now, f"guess number {number}", address="198.51.100.9") for number in range(15)]
    outcomes = await asyncio.gather(*knocks, return_exceptions=True)
    assert sum(isinstance(one, WrongPassword) for one in outcomes) == FREE_TRIES
    assert sum(isinstance(one, TooManyTries) for one in outcomes) == 15 - FREE_TRIES


async def test_confirm_opens_loosening_for_a_while(door: Door, database: Database, now: datetime) -> None:
    """Typing the password again replaces the cookie; a wrong one changes nothing."""
    await make_person(database, now)
    opened = await knock(door, now)
    later = now + timedelta(minutes=20)
    async with database.read() as connection:
        live = await load_session(connection, opened.session_secret, later)
    assert live is not None
    with pytest.raises(WrongPassword):
        await door.confirm(live, "wrong password", address="192.0.2.7", browser_secret=None, now=later, monotonic=0.0)
    fresh = await door.confirm(live, PASSWORD, address="192.0.2.7", browser_secret=None, now=later, monotonic=0.0)
    async with database.read() as connection:
        assert await load_session(connection, opened.session_secret, later) is None
        again = await load_session(connection, fresh, later)
    assert again is not None
    assert again.actor.confirmed_at == later
