"""Signing in: the order in which throttling, the account, the password and the second factor are looked at.

The answer and its time are the same for a wrong password and an unknown account. What slows down guessing is in `admin.throttle`;
what bounds its cost in `admin.passwords`. Whoever reaches the second factor knew the password, so wrong codes slow down the account itself.
A passkey is both steps at once (`admin.passkeys`); nobody can guess one, but a place that sends wrong answers without end is slowed down.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import Act, Action, by_account, record
from admin.errors import AdminError, Busy
from admin.factors import Factors
from admin.passkeys import Ceremony, Passkeys, WrongPasskey
from admin.passwords import Passwords
from admin.recovery import uses_pin
from admin.sessions import (
    SignedIn,
    confirm_session,
    find_browser,
    new_secret,
    note_second,
    open_session,
    read_assignments,
    remember_browser,
)
from admin.tenants import fold_sign_in
from admin.throttle import Throttle, home_of
from blocklists.database import Database
from blocklists.tables import AccountId, accounts


class WrongPassword(AdminError):
    """The sign-in name and the password do not belong together."""

    status = 401
    code = "wrong_password"


class CodeNeeded(AdminError):
    """The password was right; a code of the second factor is still needed. `ticket` stands for what was shown so far."""

    status = 401
    code = "code_needed"

    def __init__(self, ticket: str) -> None:
        self.ticket = ticket
        super().__init__()


class WrongCode(AdminError):
    """The code is wrong, too old, or was used before."""

    status = 401
    code = "wrong_code"


class TicketOver(AdminError):
    """The sign-in took too long, or the program was started again meanwhile."""

    status = 401
    code = "ticket_over"


PENDING_SECONDS = 300.0
MOST_PENDING = 1000


@dataclass(frozen=True, slots=True)
class _Pending:
    """A sign-in whose password was right."""

    account: AccountId
    kept: bool
    has_browser: bool
    user_agent: str
    ends: float
    second: bool = False


@dataclass(frozen=True, slots=True)
class Opened:
    """What the browser is given after a sign-in: two secrets, each stored only as a hash."""

    session_secret: str
    browser_secret: str | None
    kept: bool


class Door:
    """Signs people in. Holds the throttles, the password lanes and the sign-ins that wait for a code; one per process."""

    def __init__(self, database: Database, passwords: Passwords, throttle: Throttle, factors: Factors) -> None:
        self.database = database
        self.passwords = passwords
        self.throttle = throttle
        self.factors = factors
        self.passkeys = Passkeys()
        self._codes = Throttle()
        self._answers = Throttle()
        self._pending: OrderedDict[str, _Pending] = OrderedDict()

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
        """Check a sign-in name and password and start a session. Raises TooManyTries, WrongPassword, Busy, or CodeNeeded."""
        name = fold_sign_in(sign_in)[:200]
        async with self.database.read() as connection:
            row = (
                await connection.execute(
                    select(accounts.c.id, accounts.c.password_hash).where(accounts.c.sign_in == name, accounts.c.disabled_at.is_(None))
                )
            ).one_or_none()
            account = AccountId(row.id) if row else None
            # An unknown name is looked up as far as a known one, so that both take the same time.
            asked = account or AccountId("")
            browser = await find_browser(connection, browser_secret, asked)
            has_factor = await self.factors.has(connection, asked)
            short = await uses_pin(connection, asked)
        await self._check(name, row.password_hash if row else None, password, address, browser, monotonic, short)
        if account is None:
            raise WrongPassword
        pending = _Pending(account, kept, browser is not None, user_agent, monotonic + PENDING_SECONDS)
        if has_factor:
            while len(self._pending) >= MOST_PENDING:
                self._pending.popitem(last=False)
            ticket = new_secret()
            self._pending[ticket] = pending
            raise CodeNeeded(ticket)
        return await self._open(pending, now)

    async def finish(self, ticket: str, code: str, now: datetime, monotonic: float) -> Opened:
        """Check the code of a sign-in whose password was right. Raises TicketOver, TooManyTries, WrongCode."""
        pending = self._pending.get(ticket)
        if pending is None or pending.ends < monotonic:
            self._pending.pop(ticket, None)
            raise TicketOver
        await self._check_code(pending.account, code, now, monotonic)
        self._pending.pop(ticket, None)
        return await self._open(replace(pending, second=True), now)

    async def sign_in_by_passkey(
        self, answer: str, ceremony: Ceremony, *, address: str, browser_secret: str | None, user_agent: str, kept: bool
    ) -> Opened:
        """Check the answer of a passkey and start a session. Raises TooManyTries, WrongPasskey."""
        place = home_of(address)
        self._answers.enter(ceremony.monotonic, "", address, place)
        shown = await self.passkeys.look(self.database, answer, ceremony)
        account = shown.account
        async with self.database.write() as connection:
            await self.passkeys.note(connection, shown, ceremony)
            browser = await find_browser(connection, browser_secret, account)
        self._answers.succeeded("", address, place)
        return await self._open(_Pending(account, kept, browser is not None, user_agent, 0.0, second=True), ceremony.now)

    async def open(self, account: AccountId, *, user_agent: str, now: datetime) -> Opened:
        """A session for somebody who has just shown otherwise who they are: by making the account, or by the paper that renews its PIN."""
        return await self._open(_Pending(account, True, False, user_agent, 0.0), now)

    async def _open(self, pending: _Pending, now: datetime) -> Opened:
        account = pending.account
        async with self.database.write() as connection:
            secret = await open_session(connection, account, now, kept=pending.kept, browser=pending.user_agent, second=pending.second)
            fresh = None if pending.has_browser else await remember_browser(connection, account, now)
            assignments, _ = await read_assignments(connection, account, now)
            for assignment in assignments:
                act = Act(assignment.organisation_id, by_account(account, assignment.role), now)
                await record(connection, act, Action.SESSION_OPENED, account)
        return Opened(secret, fresh, pending.kept)

    async def confirm(
        self,
        signed_in: SignedIn,
        password: str,
        code: str = "",
        *,
        address: str,
        browser_secret: str | None,
        now: datetime,
        monotonic: float,
    ) -> str:
        """Check the password of a live session again, and a code where the account has a second factor; returns the new secret of its
        cookie. Raises TooManyTries, WrongPassword, WrongCode or Busy."""
        account = signed_in.actor.account_id
        async with self.database.read() as connection:
            stored = (await connection.execute(select(accounts.c.password_hash, accounts.c.sign_in).where(accounts.c.id == account))).one()
            browser = await find_browser(connection, browser_secret, account)
            short = await uses_pin(connection, account)
        await self._check(stored.sign_in, stored.password_hash, password, address, browser, monotonic, short)
        if signed_in.actor.has_factor:
            await self._check_code(account, code, now, monotonic)
        async with self.database.write() as connection:
            return await _confirmed(connection, signed_in, Action.PASSWORD_CONFIRMED, now, second=signed_in.actor.has_factor)

    async def confirm_by_passkey(self, signed_in: SignedIn, answer: str, ceremony: Ceremony) -> str:
        """Check the answer of a passkey of this very account in place of its password; returns the new secret of its cookie. Raises
        WrongPasskey."""
        shown = await self.passkeys.look(self.database, answer, ceremony)
        if shown.account != signed_in.actor.account_id:
            raise WrongPasskey
        async with self.database.write() as connection:
            await self.passkeys.note(connection, shown, ceremony)
            return await _confirmed(connection, signed_in, Action.PASSKEY_CONFIRMED, ceremony.now, second=True)

    async def show_code(self, signed_in: SignedIn, code: str, now: datetime, monotonic: float) -> str:
        """Check a code from paper in a session that has seen the password only; returns the new secret of its cookie. Raises TooManyTries,
        WrongCode."""
        await self._check_code(signed_in.actor.account_id, code, now, monotonic)
        assert signed_in.session_id is not None
        async with self.database.write() as connection:
            await _note(connection, signed_in, Action.RECOVERY_USED, now)
            return await note_second(connection, signed_in.session_id, now)

    async def _check(
        self, name: str, stored: str | None, password: str, address: str, browser: str | None, monotonic: float, short: bool
    ) -> None:
        self.throttle.enter(monotonic, name, address, browser, short=short)
        try:
            is_right = await self.passwords.verify(stored, password[:1000], known=browser is not None)
        except Busy:
            self.throttle.withdrawn(name, address, browser, short=short)
            raise
        if not is_right:
            raise WrongPassword
        self.throttle.succeeded(name, address, browser)

    async def _check_code(self, account: AccountId, code: str, now: datetime, monotonic: float) -> None:
        self._codes.enter(monotonic, "", "127.0.0.1", account)
        async with self.database.write() as connection:
            is_right = await self.factors.check(connection, account, code, now)
        if not is_right:
            raise WrongCode
        self._codes.succeeded("", "127.0.0.1", account)


async def _confirmed(connection: AsyncConnection, signed_in: SignedIn, action: Action, now: datetime, *, second: bool) -> str:
    """The session may loosen for a while; its journal row; the new secret of its cookie."""
    assert signed_in.session_id is not None  # only sessions have a page that confirms
    await _note(connection, signed_in, action, now)
    return await confirm_session(connection, signed_in.session_id, now, second=second)


async def _note(connection: AsyncConnection, signed_in: SignedIn, action: Action, now: datetime) -> None:
    if signed_in.tenant is not None:
        account = signed_in.actor.account_id
        act = Act(signed_in.tenant.id, by_account(account, signed_in.actor.assignments[0].role), now)
        await record(connection, act, action, account)
