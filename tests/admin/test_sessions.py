"""Sessions, known browsers and tokens: they end when they should, and only hashes of them are stored."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from admin.permissions import Scope
from admin.sessions import (
    ABSOLUTE,
    IDLE,
    KEPT,
    choose_organisation,
    confirm_session,
    create_token,
    end_other_sessions,
    end_session,
    find_browser,
    is_seen_due,
    load_session,
    load_token,
    new_secret,
    open_session,
    remember_browser,
    revoke_token,
    touch_session,
)
from admin.tables import sessions
from blocklists.database import Database
from blocklists.tables import accounts
from tests.support.people import Person, make_person


async def start(database: Database, person: Person, now: datetime, *, kept: bool = False) -> str:
    async with database.write() as connection:
        return await open_session(connection, person.account, now, kept=kept, browser="Firefox")


async def is_live(database: Database, secret: str, at: datetime) -> bool:
    async with database.read() as connection:
        return await load_session(connection, secret, at) is not None


async def test_load_session_knows_the_person_and_the_tenant(database: Database, now: datetime) -> None:
    """A live cookie leads to the account, its role and its family."""
    person = await make_person(database, now)
    secret = await start(database, person, now)
    async with database.read() as connection:
        found = await load_session(connection, secret, now)
    assert found is not None
    assert found.actor.account_id == person.account
    assert found.tenant is not None
    assert found.tenant.id == person.tenant
    assert found.actor.confirmed_at == now


@pytest.mark.parametrize(("kept", "idle"), [(False, IDLE), (True, KEPT)])
async def test_session_ends_when_idle(database: Database, now: datetime, kept: bool, idle: timedelta) -> None:
    """A page left open is signed out: after half an hour, or after thirty days on a parent's own phone."""
    person = await make_person(database, now)
    secret = await start(database, person, now, kept=kept)
    assert await is_live(database, secret, now + idle - timedelta(seconds=1))
    assert not await is_live(database, secret, now + idle)


async def test_session_ends_absolutely_however_busy(database: Database, now: datetime) -> None:
    """Twelve hours after sign-in the password is asked for, even if the page was used all day."""
    person = await make_person(database, now)
    secret = await start(database, person, now)
    at = now
    while at < now + ABSOLUTE - IDLE:
        at += timedelta(minutes=20)
        async with database.write() as connection:
            await touch_session(connection, secret, at)
    assert await is_live(database, secret, now + ABSOLUTE - timedelta(seconds=1))
    assert not await is_live(database, secret, now + ABSOLUTE)


async def test_seen_time_is_written_once_a_minute(database: Database, now: datetime) -> None:
    """Looking at pages is not a write each."""
    person = await make_person(database, now)
    secret = await start(database, person, now)
    async with database.read() as connection:
        live = await load_session(connection, secret, now)
    assert live is not None
    assert [is_seen_due(live, now + timedelta(seconds=seconds)) for seconds in (0, 59, 60)] == [False, False, True]


async def test_confirm_replaces_the_cookie(database: Database, now: datetime) -> None:
    """After the password was typed again the old cookie is worth nothing, and loosening is open."""
    person = await make_person(database, now)
    secret = await start(database, person, now, kept=True)
    later = now + timedelta(hours=3)
    async with database.write() as connection:
        live = await load_session(connection, secret, later)
        assert live is not None
        assert live.session_id is not None
        fresh = await confirm_session(connection, live.session_id, later)
    assert not await is_live(database, secret, later)
    async with database.read() as connection:
        again = await load_session(connection, fresh, later)
    assert again is not None
    assert again.actor.confirmed_at == later


async def test_end_session_signs_out_at_once(database: Database, now: datetime) -> None:
    """Signing out here, or everywhere else, holds from the next request on."""
    person = await make_person(database, now)
    here, there = await start(database, person, now), await start(database, person, now)
    async with database.write() as connection:
        live = await load_session(connection, here, now)
        assert live is not None
        assert live.session_id is not None
        await end_other_sessions(connection, person.account, live.session_id)
    assert [await is_live(database, here, now), await is_live(database, there, now)] == [True, False]
    async with database.write() as connection:
        await end_session(connection, live.session_id)
    assert not await is_live(database, here, now)


async def test_closed_account_has_no_session(database: Database, now: datetime) -> None:
    """Closing an account ends what it has open, at once."""
    person = await make_person(database, now)
    secret = await start(database, person, now)
    async with database.write() as connection:
        await connection.execute(update(accounts).where(accounts.c.id == person.account).values(disabled_at=now))
    assert not await is_live(database, secret, now)


async def test_choose_organisation_only_shows_ones_own(database: Database, now: datetime) -> None:
    """A session that names an organisation without a role falls back to the account's own."""
    person, other = await make_person(database, now), await make_person(database, now, sign_in="ba")
    secret = await start(database, person, now)
    async with database.write() as connection:
        live = await load_session(connection, secret, now)
        assert live is not None
        assert live.session_id is not None
        await choose_organisation(connection, live.session_id, other.tenant)
        again = await load_session(connection, secret, now)
    assert again is not None
    assert again.tenant is not None
    assert again.tenant.id == person.tenant


async def test_known_browser_belongs_to_one_account(database: Database, now: datetime) -> None:
    """The cookie that protects from strangers' guesses works for the account that earned it."""
    person, other = await make_person(database, now), await make_person(database, now, sign_in="ba")
    async with database.write() as connection:
        secret = await remember_browser(connection, person.account, now)
        assert await find_browser(connection, secret, person.account)
        assert await find_browser(connection, secret, other.account) is None
        assert await find_browser(connection, None, person.account) is None
        assert await find_browser(connection, new_secret(), person.account) is None


async def test_token_speaks_within_its_tenant_until_revoked_or_over(database: Database, now: datetime) -> None:
    """An API token has a scope and an end, and a revoked one is worth nothing."""
    person, other = await make_person(database, now), await make_person(database, now, sign_in="ba")
    ends = now + timedelta(days=90)
    async with database.write() as connection:
        token, secret = await create_token(connection, person.tenant, person.account, "home", frozenset({Scope.READ}), now, ends)
        live = await load_token(connection, secret, now)
        assert live is not None
        assert live.tenant is not None
        assert (live.tenant.id, live.actor.scopes) == (person.tenant, frozenset({Scope.READ}))
        assert await load_token(connection, secret, ends) is None
        assert not await revoke_token(connection, other.tenant, token, now)
        assert await load_token(connection, secret, now) is not None
        assert await revoke_token(connection, person.tenant, token, now)
        assert await load_token(connection, secret, now) is None


async def test_no_secret_is_stored(database: Database, now: datetime, tmp_path: Path) -> None:
    """Somebody who steals the database file cannot sign in with what is in it."""
    person = await make_person(database, now)
    secret = await start(database, person, now)
    async with database.write() as connection:
        browser = await remember_browser(connection, person.account, now)
        _, token = await create_token(
            connection, person.tenant, person.account, "home", frozenset({Scope.READ}), now, now + timedelta(days=1)
        )
        assert (await connection.execute(select(sessions.c.id))).all()
    await database.close()
    stored = b"".join(path.read_bytes() for path in list_files(tmp_path))
    assert not [one for one in (secret, browser, token) if one.encode() in stored]


def list_files(folder: Path) -> list[Path]:
    return list(folder.glob("lachan.db*"))
