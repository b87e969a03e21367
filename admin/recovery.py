"""The recovery sheet of an account, for the day the password or the PIN is forgotten; accounts that sign in with a PIN, and their second
way to a new one: the host in person.

A family without mail and telephone number has nothing else to show. The sheet is printed when it joins, or when it sets up its own gateway,
and carries 74 random bits; it works once and a new one replaces it. No rate of guessing finds such a code, so wrong ones are slowed down
where they come from and the right one is never kept waiting: a stranger cannot lock anybody out. Of a password it replaces the password
only: a second factor is still asked for, and an officer's passkeys, which are one, stay. Every adult of the family or school is told.
Without the sheet of a PIN the host, who sees the person, makes a slip: the family is told at once on every phone that is signed in, may
stop it without a PIN, and the slip opens only after a day. The PIN also serves the family's shared devices.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import Act, Action, By, record
from admin.errors import FieldMistake
from admin.familytables import hosted_families, pin_accounts, pin_renewals, recovery_sheets
from admin.people import end_emergencies
from admin.permissions import decides
from admin.sessions import hash_secret, read_assignments
from admin.sharing import judge_pin, set_pin
from admin.tables import known_browsers, passkeys, sessions
from admin.tenants import fold_sign_in
from blocklists.tables import EVERY_TENANT, ID_SIGNS, AccountId, OrganisationId, accounts, new_id, role_assignments

SHORTEST, LONGEST = 6, 8
WAIT = timedelta(hours=24)
HOLDS = timedelta(days=7)
#: How long the home page says that a sheet made a new password.
TOLD = timedelta(days=7)
GROUPS, GROUP = 3, 5
#: Whoever holds a recovery sheet or a slip.
BY_PAPER = By(None, "paper")


@dataclass(frozen=True, slots=True)
class Renewal:
    """A new PIN that the host began in person."""

    id: str
    host_name: str
    started_at: datetime
    opens_at: datetime
    used_at: datetime | None


@dataclass(frozen=True, slots=True)
class Paper:
    """What a code on paper stands for: whose account, whether it signs in with a PIN, and from when it may be used."""

    tenant: OrganisationId
    account: AccountId
    sign_in: str
    opens_at: datetime | None
    has_pin: bool


@dataclass(frozen=True, slots=True)
class SheetUse:
    """A password that was made anew with a sheet: whose, and when."""

    name: str
    at: datetime


def judge_account_pin(pin: str, again: str) -> list[FieldMistake]:
    """Why a PIN cannot be an account's; empty when it can: six to eight digits that are not the first guess."""
    if not (pin.isascii() and pin.isdigit() and SHORTEST <= len(pin) <= LONGEST):
        return [FieldMistake("pin", "pin_long_form")]
    if len(set(pin)) < 3 or re.fullmatch(r"(.{2,3})\1+|(?:19|20)\d\d(?:19|20)\d\d", pin):
        return [FieldMistake("pin", "pin_easy")]
    if mistakes := judge_pin(pin):
        return mistakes
    return [] if pin == again else [FieldMistake("again", "pin_differs")]


def new_code() -> str:
    """A code for paper: three groups of five signs that are not confused when read aloud."""
    return "-".join("".join(secrets.choice(ID_SIGNS) for _ in range(GROUP)) for _ in range(GROUPS))


def read_paper_code(text: str) -> str:
    """A code as somebody types it from paper: case, spaces and dashes do not matter."""
    signs = re.sub(r"[^0-9a-z]", "", text.lower())[: GROUPS * GROUP]
    return "-".join(signs[place : place + GROUP] for place in range(0, len(signs), GROUP))


async def uses_pin(connection: AsyncConnection, account: AccountId) -> bool:
    """Whether an account signs in with a PIN instead of a password."""
    statement = select(pin_accounts.c.account_id).where(pin_accounts.c.account_id == account)
    return (await connection.execute(statement)).first() is not None


async def begin_pin(connection: AsyncConnection, account: AccountId) -> None:
    """From here on this account signs in with a PIN; its sheet is still to be made."""
    await connection.execute(insert(pin_accounts).values(account_id=account))


async def sheet_made_at(connection: AsyncConnection, account: AccountId) -> datetime | None:
    """When the sheet that works now was made; None when there is none."""
    statement = select(recovery_sheets.c.made_at).where(recovery_sheets.c.account_id == account, recovery_sheets.c.secret_hash.isnot(None))
    return (await connection.execute(statement)).scalar_one_or_none()


async def make_sheet(connection: AsyncConnection, act: Act, account: AccountId) -> str:
    """A new sheet; returns its code, which is stored nowhere. The old one is worth nothing from here on."""
    code = new_code()
    fresh = {"secret_hash": hash_secret(code), "made_at": act.now}
    renewed = await connection.execute(update(recovery_sheets).where(recovery_sheets.c.account_id == account).values(fresh))
    if renewed.rowcount == 0:
        await connection.execute(insert(recovery_sheets).values(account_id=account, **fresh))
    await record(connection, act, Action.SHEET_MADE, account)
    return code


async def start_renewal(connection: AsyncConnection, act: Act, host_name: str, sign_in: str) -> tuple[OrganisationId, str] | None:
    """A slip for a person who stands before the host; returns the family and the slip's code, None when no such family joined there.

    An earlier slip of the same family is stopped."""
    statement = (
        select(accounts.c.id, hosted_families.c.tenant_id)
        .join(role_assignments, role_assignments.c.account_id == accounts.c.id)
        .join(hosted_families, hosted_families.c.tenant_id == role_assignments.c.organisation_id)
        .where(
            accounts.c.sign_in == fold_sign_in(sign_in)[:200],
            accounts.c.disabled_at.is_(None),
            hosted_families.c.host_id == act.tenant,
            role_assignments.c.valid_until.is_(None) | (role_assignments.c.valid_until > act.now),
        )
        .execution_options(**EVERY_TENANT)  # the host names its own families only
    )
    row = (await connection.execute(statement)).first()
    if row is None or not await uses_pin(connection, AccountId(row.id)):
        return None
    family, code, renewal = OrganisationId(row.tenant_id), new_code(), new_id()
    await _stop_open(connection, family, act.now)
    await connection.execute(
        insert(pin_renewals).values(
            id=renewal, tenant_id=family, account_id=row.id, host_id=act.tenant, host_name=host_name, secret_hash=hash_secret(code),
            started_at=act.now, opens_at=act.now + WAIT, ends_at=act.now + WAIT + HOLDS,
        )
    )  # fmt: skip
    for tenant in (family, act.tenant):  # both may read it in their journals
        await record(connection, Act(tenant, act.by, act.now), Action.PIN_RENEWAL_STARTED, renewal)
    return family, code


async def find_renewal(connection: AsyncConnection, family: OrganisationId, now: datetime) -> Renewal | None:
    """What a family is told: the renewal that waits, or one that was used in the last days."""
    statement = select(pin_renewals).where(
        pin_renewals.c.tenant_id == family, pin_renewals.c.stopped_at.is_(None), pin_renewals.c.ends_at > now
    )
    row = (await connection.execute(statement.order_by(pin_renewals.c.started_at.desc()))).first()
    return Renewal(row.id, row.host_name, row.started_at, row.opens_at, row.used_at) if row else None


async def stop_renewal(connection: AsyncConnection, act: Act) -> bool:
    """The family did not ask for it: the slip is worth nothing. Whether there was one."""
    renewal = await find_renewal(connection, act.tenant, act.now)
    if not await _stop_open(connection, act.tenant, act.now):
        return False
    assert renewal is not None
    await record(connection, act, Action.PIN_RENEWAL_STOPPED, renewal.id)
    return True


async def read_paper(connection: AsyncConnection, code: str, now: datetime) -> Paper | None:
    """Whose account a code on paper opens; None when it opens none (any more)."""
    wanted = hash_secret(code)
    own = select(accounts.c.id, accounts.c.sign_in).join(recovery_sheets, recovery_sheets.c.account_id == accounts.c.id)
    row = (await connection.execute(own.where(recovery_sheets.c.secret_hash == wanted, accounts.c.disabled_at.is_(None)))).first()
    if row is not None:
        table = role_assignments.c
        alive = table.valid_until.is_(None) | (table.valid_until > now)
        listed = select(table.organisation_id).where(table.account_id == row.id, table.valid_from <= now, alive)
        tenant = (await connection.execute(listed.order_by(table.valid_from))).scalars().first()
        has_pin = await uses_pin(connection, AccountId(row.id))
        return Paper(OrganisationId(tenant), AccountId(row.id), row.sign_in, None, has_pin) if tenant else None
    slip = (
        select(pin_renewals, accounts.c.sign_in)
        .join(accounts, accounts.c.id == pin_renewals.c.account_id)
        .where(
            pin_renewals.c.secret_hash == wanted,
            pin_renewals.c.stopped_at.is_(None),
            pin_renewals.c.used_at.is_(None),
            pin_renewals.c.ends_at > now,
            accounts.c.disabled_at.is_(None),
        )
        .execution_options(**EVERY_TENANT)  # the code itself says whose it is
    )
    found = (await connection.execute(slip)).first()
    if found is None:
        return None
    return Paper(OrganisationId(found.tenant_id), AccountId(found.account_id), found.sign_in, found.opens_at, has_pin=True)


async def renew_pin(connection: AsyncConnection, paper: Paper, code: str, stored: str, now: datetime) -> None:
    """Set the PIN that the paper's holder chose: every session ends, every known browser and passkey is forgotten, the paper is used up."""
    act = Act(paper.tenant, BY_PAPER, now)
    await change_pin(connection, act, paper.account, stored)
    await connection.execute(delete(sessions).where(sessions.c.account_id == paper.account))
    await connection.execute(delete(passkeys).where(passkeys.c.account_id == paper.account))
    await connection.execute(update(recovery_sheets).where(recovery_sheets.c.account_id == paper.account).values(secret_hash=None))
    used = (pin_renewals.c.tenant_id == paper.tenant, pin_renewals.c.secret_hash == hash_secret(code))
    await connection.execute(update(pin_renewals).where(*used).values(used_at=now))
    await _stop_open(connection, paper.tenant, now)
    await record(connection, act, Action.PIN_RENEWED, paper.account)


async def renew_password(connection: AsyncConnection, paper: Paper, stored: str, now: datetime) -> list[OrganisationId]:
    """Set the password that the sheet's holder chose: every session ends, every known browser and passkey is forgotten (an officer's
    passkeys are a second factor and stay), the sheet is used up. Returns where the other adults are to be told."""
    account = paper.account
    await connection.execute(update(accounts).where(accounts.c.id == account).values(password_hash=stored, password_set_at=now))
    await connection.execute(delete(sessions).where(sessions.c.account_id == account))
    await connection.execute(delete(known_browsers).where(known_browsers.c.account_id == account))
    assignments, tenants = await read_assignments(connection, account, now)
    if not decides(assignments):
        await connection.execute(delete(passkeys).where(passkeys.c.account_id == account))
    await end_emergencies(connection, Act(paper.tenant, BY_PAPER, now), account)
    used = update(recovery_sheets).where(recovery_sheets.c.account_id == account)
    await connection.execute(used.values(secret_hash=None, used_at=now))
    told = [tenant.id for tenant in tenants]
    for tenant in told:
        await record(connection, Act(tenant, BY_PAPER, now), Action.PASSWORD_RENEWED, account)
    return told


async def find_uses(connection: AsyncConnection, tenant: OrganisationId, now: datetime) -> list[SheetUse]:
    """What the adults of a family or school are told: passwords made anew with a sheet in the last days, the newest first."""
    table = role_assignments.c
    statement = (
        select(accounts.c.name, recovery_sheets.c.used_at)
        .join(accounts, accounts.c.id == recovery_sheets.c.account_id)
        .join(role_assignments, table.account_id == accounts.c.id)
        .where(
            table.organisation_id == tenant,
            table.valid_from <= now,
            table.valid_until.is_(None) | (table.valid_until > now),
            recovery_sheets.c.used_at > now - TOLD,
        )
        .distinct()
        .order_by(recovery_sheets.c.used_at.desc())
    )
    return [SheetUse(row.name, row.used_at) for row in await connection.execute(statement)]


async def change_pin(connection: AsyncConnection, act: Act, account: AccountId, stored: str) -> None:
    """One PIN for signing in and for the family's shared devices."""
    await connection.execute(update(accounts).where(accounts.c.id == account).values(password_hash=stored, password_set_at=act.now))
    await connection.execute(delete(known_browsers).where(known_browsers.c.account_id == account))
    await set_pin(connection, act, stored)


async def _stop_open(connection: AsyncConnection, family: OrganisationId, now: datetime) -> bool:
    result = await connection.execute(
        update(pin_renewals)
        .where(pin_renewals.c.tenant_id == family, pin_renewals.c.stopped_at.is_(None), pin_renewals.c.used_at.is_(None))
        .values(stopped_at=now)
    )
    return result.rowcount > 0
