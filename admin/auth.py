"""Signing in: the order in which throttling, the account and the password are looked at.

The answer and its time are the same for a wrong password and an unknown account. What slows down guessing is in `admin.throttle`;
what bounds its cost in `admin.passwords`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from admin.audit import Act, Action, by_account, record
from admin.errors import AdminError, TooManyTries
from admin.passwords import Passwords
from admin.sessions import SignedIn, confirm_session, find_browser, open_session, read_assignments, remember_browser
from admin.tenants import fold_sign_in
from admin.throttle import Throttle
from blocklists.database import Database
from blocklists.tables import AccountId, accounts


class WrongPassword(AdminError):
    """The sign-in name and the password do not belong together."""

    status = 401
    code = "wrong_password"


@dataclass(frozen=True, slots=True)
class Opened:
    """What the browser is given after a sign-in: two secrets, each stored only as a hash."""

    session_secret: str
    browser_secret: str | None


class Door:
    """Signs people in. Holds the throttle and the password lanes; one per process."""

    def __init__(self, database: Database, passwords: Passwords, throttle: Throttle) -> None:
        self.database = database
        self.passwords = passwords
        self.throttle = throttle

    async def sign_in(
        self,
        sign_in: str,
        password: str,
        *,
        address: str,
        browser_secret: str | None,
        user_agent: str,
        kept: bool,
        now: datetime,
        monotonic: float,
    ) -> Opened:
        """Check a sign-in name and password and start a session. Raises TooManyTries, WrongPassword or Busy."""
        name = fold_sign_in(sign_in)[:200]
        async with self.database.read() as connection:
            row = (
                await connection.execute(
                    select(accounts.c.id, accounts.c.password_hash).where(accounts.c.sign_in == name, accounts.c.disabled_at.is_(None))
                )
            ).one_or_none()
            account = AccountId(row.id) if row else None
            browser = await find_browser(connection, browser_secret, account)
        await self._check(name, row.password_hash if row else None, password, address, browser, monotonic)
        if account is None:
            raise WrongPassword
        async with self.database.write() as connection:
            secret = await open_session(connection, account, now, kept=kept, browser=user_agent)
            fresh = None if browser else await remember_browser(connection, account, now)
            assignments, _ = await read_assignments(connection, account, now)
            for assignment in assignments:
                act = Act(assignment.organisation_id, by_account(account, assignment.role), now)
                await record(connection, act, Action.SESSION_OPENED, account)
        return Opened(secret, fresh)

    async def confirm(
        self, signed_in: SignedIn, password: str, *, address: str, browser_secret: str | None, now: datetime, monotonic: float
    ) -> str:
        """Check the password of a live session again; returns the new secret of its cookie."""
        account = signed_in.actor.account_id
        async with self.database.read() as connection:
            stored = (await connection.execute(select(accounts.c.password_hash, accounts.c.sign_in).where(accounts.c.id == account))).one()
            browser = await find_browser(connection, browser_secret, account)
        await self._check(stored.sign_in, stored.password_hash, password, address, browser, monotonic)
        assert signed_in.session_id is not None  # only sessions have a page that confirms
        async with self.database.write() as connection:
            secret = await confirm_session(connection, signed_in.session_id, now)
            if signed_in.tenant is not None:
                act = Act(signed_in.tenant.id, by_account(account, signed_in.actor.assignments[0].role), now)
                await record(connection, act, Action.PASSWORD_CONFIRMED, account)
        return secret

    async def _check(self, name: str, stored: str | None, password: str, address: str, browser: str | None, monotonic: float) -> None:
        wait = self.throttle.wait(monotonic, name, address, browser)
        if wait > 0:
            raise TooManyTries(wait)
        if not await self.passwords.verify(stored, password[:1000], known=browser is not None):
            self.throttle.failed(monotonic, name, address, browser)
            raise WrongPassword
        self.throttle.succeeded(name, address, browser)
