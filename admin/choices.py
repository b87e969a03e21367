"""What a family chooses for itself: waiting before anything is opened, where to say that a request waits, a digest once a week.

Waiting (cooling-off): while it is chosen, opening asks for two presses with some minutes between them; the second one has an hour. It
holds for its own removal, too. Tightening never waits, and a child's request may be answered at once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import Act, Action, record
from admin.errors import CoolingOff
from admin.familytables import family_choices
from admin.permissions import Permission
from blocklists.tables import OrganisationId

WAITS_OFFERED = (0, 15, 30, 60)
#: How long after the wait the second press works.
RIPE = timedelta(hours=1)
#: The form of an address for mail, and of an https address without a password in it; the API publishes them.
MAIL_FORM = r"[A-Za-z0-9_.+-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+"
HOOK_FORM = r"https://[A-Za-z0-9À-ɏḀ-ỿ_.-]+(:443)?([/?#][^\s]*)?"


@dataclass(frozen=True, slots=True)
class Choices:
    """What one family or school chose; the beginning is: nothing."""

    cooling_minutes: int = 0
    ripe_at: datetime | None = None
    mail: str = ""
    hook: str = ""
    digest: bool = False
    digest_week: str = ""

    def may_open(self, now: datetime) -> bool:
        """Whether nothing is to be waited for at this moment."""
        return not self.cooling_minutes or (self.ripe_at is not None and self.ripe_at <= now < self.ripe_at + RIPE)

    def is_waiting(self, now: datetime) -> bool:
        """Whether the wait has begun and is not over."""
        return self.ripe_at is not None and now < self.ripe_at


NOTHING_CHOSEN = Choices()


def hold(permission: Permission, choices: Choices, now: datetime) -> None:
    """Let opening wait where the family chose so. Raises CoolingOff."""
    if permission is Permission.PROFILE_LOOSEN and not choices.may_open(now):
        raise CoolingOff


async def read_choices(connection: AsyncConnection, tenant: OrganisationId) -> Choices:
    """A tenant's choices."""
    row = (await connection.execute(select(family_choices).where(family_choices.c.tenant_id == tenant))).one_or_none()
    if row is None:
        return NOTHING_CHOSEN
    return Choices(row.cooling_minutes, row.ripe_at, row.mail, row.hook, bool(row.digest), row.digest_week)


async def set_choices(connection: AsyncConnection, act: Act, wanted: Choices) -> None:
    """Replace them; whatever wait had begun is over."""
    values = {"cooling_minutes": wanted.cooling_minutes, "mail": wanted.mail, "hook": wanted.hook, "digest": int(wanted.digest)}
    await _write(connection, act.tenant, {**values, "ripe_at": None})
    await record(connection, act, Action.CHOICES_CHANGED, act.tenant, after={**values})


async def begin_wait(connection: AsyncConnection, act: Act) -> datetime | None:
    """The first press: from when on the second one works; None where nothing is waited for."""
    choices = await read_choices(connection, act.tenant)
    if not choices.cooling_minutes:
        return None
    if choices.ripe_at is not None and act.now < choices.ripe_at + RIPE:
        return choices.ripe_at
    ripe = act.now + timedelta(minutes=choices.cooling_minutes)
    await _write(connection, act.tenant, {"ripe_at": ripe})
    return ripe


async def note_digest(connection: AsyncConnection, tenant: OrganisationId, week: str) -> None:
    """This week's digest has gone."""
    await _write(connection, tenant, {"digest_week": week})


def is_mail(text: str) -> bool:
    """Whether this looks like one address for mail."""
    return len(text) <= 120 and re.fullmatch(MAIL_FORM, text) is not None


def is_hook(text: str) -> bool:
    """Whether this is an https address without a password in it."""
    return len(text) <= 300 and re.fullmatch(HOOK_FORM, text) is not None


async def _write(connection: AsyncConnection, tenant: OrganisationId, values: dict[str, object]) -> None:
    own = update(family_choices).where(family_choices.c.tenant_id == tenant)
    if (await connection.execute(own.values(**values))).rowcount == 0:
        await connection.execute(insert(family_choices).values(tenant_id=tenant, **values))
