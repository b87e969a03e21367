"""The child's own word about a history: from seven, a guardian only proposes it, and it begins when the child agrees on its own device.

The child reads what would be kept on its own page and presses yes or no there; the code that opens the history is shown there, once, so the
adults have it from the child. A proposal is a consent that is not complete: nothing is kept under it, and it ends by itself after a week.
Saying no, or ending a history later, is the child's as much as the guardian's (`admin.history.stop_history`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import Act, Action, record
from admin.errors import Conflict, FieldMistake, InvalidInput, NotFound
from admin.familytables import history_consents
from admin.history import MOST_DAYS, begin_keeping, child_must_agree, find_keeping, note_consent, stop_history
from admin.historybox import Box
from admin.profiles import Profile
from admin.values import ProfileId, ProfileKind
from blocklists.tables import OrganisationId

#: How long the child may think about it.
OPEN_FOR = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a guardian agreed to and the child has not answered yet."""

    id: str
    days: int
    band: str
    until: datetime


async def propose_history(connection: AsyncConnection, act: Act, profile: Profile, days: int, language: str) -> None:
    """Ask the child; an earlier proposal ends. Raises InvalidInput where there is nothing to ask, Conflict while one is kept."""
    if profile.kind is not ProfileKind.CHILD or not child_must_agree(profile.band) or not 1 <= days <= MOST_DAYS:
        raise InvalidInput(FieldMistake("days", "unknown"))
    if await find_keeping(connection, act.tenant, profile.id) is not None:
        raise Conflict
    await stop_history(connection, act, profile.id)
    consent = await note_consent(connection, act, profile, days, language, child_agreed=False)
    await record(connection, act, Action.HISTORY_PROPOSED, profile.id, after={"consent": consent, "days": days, "band": profile.band.value})


async def find_proposal(connection: AsyncConnection, tenant: OrganisationId, profile: Profile, now: datetime) -> Proposal | None:
    """What waits for this child's word; None when nothing does, or when it was asked at another age."""
    statement = select(history_consents).where(
        history_consents.c.tenant_id == tenant,
        history_consents.c.profile_id == profile.id,
        history_consents.c.child_agreed == 0,
        history_consents.c.ended_at.is_(None),
        history_consents.c.given_at > now - OPEN_FOR,
        history_consents.c.band == profile.band.value,
    )
    row = (await connection.execute(statement.order_by(history_consents.c.given_at.desc()).limit(1))).one_or_none()
    if row is None or not child_must_agree(profile.band):
        return None
    return Proposal(row.id, row.days, row.band, row.given_at + OPEN_FOR)


async def agree_history(connection: AsyncConnection, act: Act, profile: Profile, box: Box) -> None:
    """The child says yes, on its own device: from now on a history is kept in this box. Raises NotFound where nothing was asked."""
    proposal = await find_proposal(connection, act.tenant, profile, act.now)
    if proposal is None or await find_keeping(connection, act.tenant, profile.id) is not None:
        raise NotFound
    own = (history_consents.c.tenant_id == act.tenant, history_consents.c.id == proposal.id)
    await connection.execute(update(history_consents).where(*own).values(child_agreed=1))
    await begin_keeping(connection, act, profile, proposal.id, proposal.days, box, child_agreed=True)


async def decline_history(connection: AsyncConnection, act: Act, profile: ProfileId) -> None:
    """The child says no, or wants it no longer: nothing is kept from now on, and what was kept cannot be read by anybody."""
    await stop_history(connection, act, profile)
