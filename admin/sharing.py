"""A phone that child and adult share: the family's PIN, and the phone lent to the adults for half an hour or an hour.

A loan has an absolute end, at most an hour away; the gateway ends it by its own clock, also when this process is dead. The PIN opens only
this and the answer to a request on the same screen. Guesses slow down the family's PIN itself, whichever device they come from, up to an
hour for each and for a whole day: some forty in a day. Guesses from a public address that several may share, by a browser that showed no
device, slow down each other only (some forty more): a stranger behind a provider's address makes nobody at home wait. From the fifth
wrong one on the parents are told, who typed it or where is not. A parent still has their own phone, where looking and tightening ask
for no PIN, and the password for the rest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import Act, Action, By, record
from admin.errors import AdminError, FieldMistake
from admin.passwords import Passwords
from admin.profiles import Profile
from admin.tables import family_pins, loans
from admin.tenants import mark_changed
from admin.throttle import Throttle
from admin.values import DeviceId, ProfileId, ProfileKind
from blocklists.tables import OrganisationId, new_id

SHORTEST, LONGEST = 4, 8
#: How long an adult may borrow a phone, by the choice on the page.
SPANS = {"30m": timedelta(minutes=30), "60m": timedelta(minutes=60)}
#: Seconds: a PIN has few possibilities, so each guess costs a child up to an hour, and a night does not win a fresh start.
LONGEST_WAIT, FORGET_AFTER = 3600.0, 86_400.0
#: After so many wrong ones the parents are told, and again when there are four times as many.
TOLD_AT = (5, 20, 80, 320)
#: The ways a birthday is typed; two digits of a year may be any.
_DATES = tuple(
    re.compile(pattern.format(d=r"(?P<day>\d\d)", m=r"(?P<month>\d\d)", y=r"\d\d", full=r"(?:19|20)\d\d"))
    for pattern in ("{d}{m}", "{m}{y}", "{full}", "{d}{m}{y}", "{y}{m}{d}", "{m}{full}", "{d}{m}{full}", "{full}{m}{d}")
)
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
#: A slip of the finger is forgotten after a day.
SLIP = timedelta(days=1)
TOLD_FOR = timedelta(days=7)
#: Whoever knows the PIN, at the shared device itself.
AT_DEVICE = By(None, "pin")


class WrongPin(AdminError):
    """This is not the family's PIN."""

    status = 401
    code = "wrong_pin"


@dataclass(frozen=True, slots=True)
class Loan:
    """A device in the hands of the adults, until `ends_at`."""

    id: str
    device_id: DeviceId
    profile_id: ProfileId
    ends_at: datetime


class PinDoor:
    """Checks PINs, one family's at a time. One per process."""

    def __init__(self, passwords: Passwords) -> None:
        self._passwords = passwords
        self._throttle = Throttle(LONGEST_WAIT, FORGET_AFTER)

    async def check(self, tenant: OrganisationId, stored: str | None, pin: str, monotonic: float, *, is_apart: bool = False) -> None:
        """`is_apart`: whoever types may be a stranger behind the same public address. Raises TooManyTries or WrongPin."""
        whose = f"apart {tenant}" if is_apart else tenant
        self._throttle.enter(monotonic, "", "127.0.0.1", whose)
        if not await self._passwords.verify(stored, pin[:LONGEST], known=True):
            raise WrongPin
        self._throttle.succeeded("", "127.0.0.1", whose)


def judge_pin(pin: str) -> list[FieldMistake]:
    """Why a new PIN cannot be taken; empty when it can: four to eight digits, not all the same, not in a row, no birthday."""
    if not (pin.isascii() and pin.isdigit() and SHORTEST <= len(pin) <= LONGEST):
        return [FieldMistake("pin", "pin_form")]
    steps = {int(after) - int(before) for before, after in pairwise(pin)}
    if steps in ({0}, {1}, {-1}):
        return [FieldMistake("pin", "pin_easy")]
    return [FieldMistake("pin", "pin_birthday")] if looks_like_date(pin) else []


def looks_like_date(pin: str) -> bool:
    """Whether digits are a day as people write one: day and month, month and year, a year of people who live, day, month and year."""
    return any(_fits(pin, pattern) for pattern in _DATES)


def _fits(pin: str, pattern: re.Pattern[str]) -> bool:
    found = pattern.fullmatch(pin)
    if found is None:
        return False
    parts = found.groupdict()
    return 1 <= int(parts.get("month", 1)) <= 12 and 1 <= int(parts.get("day", 1)) <= _DAYS[int(parts.get("month", 1)) - 1]


async def read_pin(connection: AsyncConnection, tenant: OrganisationId) -> str | None:
    """The stored form of a family's PIN, None when it has none."""
    return (await connection.execute(select(family_pins.c.pin_hash).where(family_pins.c.tenant_id == tenant))).scalar_one_or_none()


@dataclass(frozen=True, slots=True)
class Guesses:
    """Wrong PINs that were typed on a family's shared devices: how many, and the last one."""

    count: int
    last: datetime


async def note_wrong(connection: AsyncConnection, act: Act) -> bool:
    """One wrong PIN more; whether the parents are to be told now. The journal then says so; never on which device."""
    mine = family_pins.c.tenant_id == act.tenant
    row = (await connection.execute(select(family_pins.c.wrong, family_pins.c.wrong_at).where(mine))).one_or_none()
    if row is None:
        return False
    is_old = row.wrong_at is not None and act.now - row.wrong_at > (SLIP if row.wrong < TOLD_AT[0] else TOLD_FOR)
    count = 1 if is_old else row.wrong + 1
    await connection.execute(update(family_pins).where(mine).values(wrong=count, wrong_at=act.now))
    if count in TOLD_AT:
        await record(connection, act, Action.PIN_GUESSED, act.tenant)
    return count in TOLD_AT


async def note_right(connection: AsyncConnection, act: Act) -> None:
    """The right PIN: a slip before it is nothing to tell; what the parents were told of stays until they have seen it."""
    few = (family_pins.c.tenant_id == act.tenant, family_pins.c.wrong > 0, family_pins.c.wrong < TOLD_AT[0])
    await connection.execute(update(family_pins).where(*few).values(wrong=0, wrong_at=None))


async def find_guesses(connection: AsyncConnection, tenant: OrganisationId, now: datetime) -> Guesses | None:
    """What the parents are told of: the wrong ones of the last days, until a new PIN is set; None when there were few."""
    many = (family_pins.c.tenant_id == tenant, family_pins.c.wrong >= TOLD_AT[0], family_pins.c.wrong_at > now - TOLD_FOR)
    row = (await connection.execute(select(family_pins.c.wrong, family_pins.c.wrong_at).where(*many))).one_or_none()
    return Guesses(row.wrong, row.wrong_at) if row is not None else None


async def set_pin(connection: AsyncConnection, act: Act, stored: str | None) -> None:
    """Give the family a PIN, or take it away (None)."""
    await connection.execute(delete(family_pins).where(family_pins.c.tenant_id == act.tenant))
    if stored is not None:
        await connection.execute(insert(family_pins).values(tenant_id=act.tenant, pin_hash=stored, set_at=act.now))
    await record(connection, act, Action.PIN_SET if stored is not None else Action.PIN_REMOVED, act.tenant)


def adults_of(profiles: Sequence[Profile]) -> Profile | None:
    """The profile under which adults use a shared device."""
    return next((profile for profile in profiles if profile.kind is ProfileKind.ADULT), None)


async def list_loans(connection: AsyncConnection, tenant: OrganisationId, now: datetime) -> list[Loan]:
    """The devices lent now; one loan for each."""
    statement = select(loans).where(loans.c.tenant_id == tenant, loans.c.ends_at > now, loans.c.ended_at.is_(None))
    rows = await connection.execute(statement.order_by(loans.c.starts_at, loans.c.id))
    return list({row.device_id: Loan(row.id, DeviceId(row.device_id), ProfileId(row.profile_id), row.ends_at) for row in rows}.values())


async def lend(connection: AsyncConnection, act: Act, device: DeviceId, adults: ProfileId, span: timedelta) -> datetime:
    """Lend a device from now on; returns when it comes back. An earlier loan of the same device ends."""
    assert span <= max(SPANS.values())
    await _end(connection, act, device)
    ends = act.now + span
    loan = new_id()
    await connection.execute(
        insert(loans).values(id=loan, tenant_id=act.tenant, device_id=device, profile_id=adults, starts_at=act.now, ends_at=ends)
    )
    await record(connection, act, Action.DEVICE_LENT, device, after={"until": ends.isoformat()})
    await mark_changed(connection, act)
    return ends


async def take_back(connection: AsyncConnection, act: Act, device: DeviceId) -> None:
    """End a loan before its time. This tightens: nobody is asked for anything."""
    if await _end(connection, act, device):
        await record(connection, act, Action.DEVICE_RETURNED, device)
        await mark_changed(connection, act)


async def _end(connection: AsyncConnection, act: Act, device: DeviceId) -> bool:
    own = (loans.c.tenant_id == act.tenant, loans.c.device_id == device, loans.c.ended_at.is_(None), loans.c.ends_at > act.now)
    result = await connection.execute(update(loans).where(*own).values(ended_at=act.now))
    return result.rowcount > 0
