"""Entries of an office's list that were lifted, and reviews that were decided, since an older state of the database, when that state takes
the place of the present one.

A lift is a decision (of an approver, a review, a court) that somebody outside was told of: the older state knows nothing of it, and would
close the site again. So it is lifted again, by its id, as `admin.ended` ends other things again, and the next version of the list takes it
out; the journal has a row for each. What only one person had taken out, by a return to an earlier version that waited for its second, is
not: that return is lost, so the entry stands, as it would when nobody confirms, and it is said how many there are.

A review that was asked for before and decided since is decided again, by whichever way it went: whoever asked must not read that somebody
looks into it, and the clock must not take it for late, which would open a site whose block was upheld. The words of that answer are lost.
Used by `admin.ended`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.office import open_office
from blocklists.tables import EVERY_TENANT, OrganisationId
from blocklists.takedown.cases import move_review
from blocklists.takedown.model import IN_FORCE, SYSTEM, Kind, State
from blocklists.takedown.store import ANSWERING, OPENING, action_of, move_entry
from blocklists.takedown.tables import entries, reviews

ACTIONS = {action_of(Kind.ENTRY, verb): verb for verb in OPENING}
"""The journal's acts that open a site or close it again, by the step that they are."""
ANSWERS = {action_of(Kind.REVIEW, verb): verb for verb in ANSWERING}
"""The journal's acts that decide a review, by the step that they are."""
REASON = "đã gỡ trước khi đặt lại một bản sao lưu cũ hơn / lifted before an older backup was put back"
DECIDED = (
    "đã quyết định trước khi đặt lại một bản sao lưu cũ hơn; lời giải thích lúc đó không còn / "
    "decided before an older backup was put back; the explanation of that time is lost"
)
#: Ids in one statement.
_AT_ONCE = 5000


def last_steps(rows: Iterable[tuple[str, str]]) -> dict[str, str]:
    """By the id of an entry the last step of those that open or close, out of acts and ids in order; a lift is for good."""
    found: dict[str, str] = {}
    for action, identity in rows:
        if action in ACTIONS and found.get(identity) != "lift":
            found[identity] = ACTIONS[action]
    return found


async def lift_again(connection: AsyncConnection, steps: Mapping[str, str], now: datetime) -> tuple[int, int]:
    """Lift in an older state what was lifted or suspended later; how many, and how many stand that a return had taken out which nobody
    had confirmed."""
    listed, alive = sorted(steps), [*(state.value for state in IN_FORCE), State.SUSPENDED.value]
    lifted = returned = 0
    for start in range(0, len(listed), _AT_ONCE):
        mine = entries.c.id.in_(listed[start : start + _AT_ONCE])
        found = select(entries.c.id, entries.c.tenant_id, entries.c.state).where(mine, entries.c.state.in_(alive))
        for row in (await connection.execute(found.execution_options(**EVERY_TENANT))).all():
            step, is_suspended = steps[row.id], row.state == State.SUSPENDED.value
            if step == "lift" or (step == "suspend" and not is_suspended):
                office = await open_office(connection, OrganisationId(row.tenant_id))
                await move_entry(connection, office, row.id, step, SYSTEM, now, REASON)
                lifted += 1
            elif step == "withdraw" and not is_suspended:
                returned += 1
    return lifted, returned


async def decide_again(connection: AsyncConnection, acts: Iterable[tuple[str, str]], now: datetime) -> int:
    """Decide in an older state the reviews that were decided later, out of acts and ids in order; how many."""
    steps = {identity: ANSWERS[action].removesuffix("_again") for action, identity in acts if action in ANSWERS}
    listed, waiting, decided = sorted(steps), [State.RECEIVED.value, State.REVIEWING.value], 0
    for start in range(0, len(listed), _AT_ONCE):
        mine = reviews.c.id.in_(listed[start : start + _AT_ONCE])
        found = select(reviews.c.id, reviews.c.tenant_id).where(mine, reviews.c.state.in_(waiting))
        for row in (await connection.execute(found.execution_options(**EVERY_TENANT))).all():
            office = await open_office(connection, OrganisationId(row.tenant_id))
            await move_review(connection, office, row.id, f"{steps[row.id]}_again", SYSTEM, now, DECIDED)
            decided += 1
    return decided
