"""What gateways say of a release that goes out in stages, and holding it back by itself (`blocklists.rolloutguard` is the rule)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import MACHINE, Act, Action, record
from admin.officegateways import is_doubted
from admin.officerollout import Rollout, free, hold, read_rollouts
from admin.officetables import gateways, rollouts
from blocklists.online import WHOLE, place_of
from blocklists.rolloutguard import Tally, Word, count, jumped
from blocklists.tables import OrganisationId

HEARD_WITHIN: Final = timedelta(hours=2)
BEFORE_A_STAGE: Final = timedelta(minutes=2)
"""How long before the next stage it is asked who has gone silent: this is looked at once a minute."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a release: from when on, which share (hundredths of a per cent), and what the gateways of it say. `state`: `over`,
    `now`, `next`, `held`."""

    at: datetime
    share: int
    state: str
    tally: Tally


async def judge(connection: AsyncConnection, tenant: OrganisationId, now: datetime) -> list[int]:
    """Hold back what gateways speak against, and note what has come to everybody, also what was held for as long as gateways wait, so that
    what waited behind it goes on; the serials that are held now."""
    held = []
    rows = None
    for one in reversed(await read_rollouts(connection, tenant)):
        if one.state == "held" and now < one.goes_on_at():
            continue
        if one.state == "held" or one.share(now) >= WHOLE:
            mine = (rollouts.c.tenant_id == tenant, rollouts.c.serial == one.serial)
            await connection.execute(update(rollouts).where(*mine).values(state="done"))
            if one.state == "held":
                await record(connection, Act(tenant, MACHINE, now), Action.ROLLOUT_WENT_ON, str(one.serial), after={"cause": "time"})
            continue
        rows = await _rows(connection, tenant) if rows is None else rows
        coming = one.next_step(now)
        cause = _tally(one, rows, one.share(now)).cause(stage_ends=coming is not None and coming[0] - now <= BEFORE_A_STAGE)
        if cause:
            await hold(connection, Act(tenant, MACHINE, now), one.serial, cause)
            held.append(one.serial)
            break  # those after it are held with it
    await free(connection, Act(tenant, MACHINE, now))
    return held


async def read_stages(connection: AsyncConnection, tenant: OrganisationId, one: Rollout, now: datetime) -> list[Stage]:
    """The stages of a release with what the gateways of each say; each gateway is counted in the first stage it belongs to."""
    rows = await _rows(connection, tenant)
    found, below = [], 0
    said = one.said()
    for place, (at, share) in enumerate(one.steps):
        members = [row for row in rows if below <= place_of(row["id"], one.serial) < share]
        begins = datetime.fromtimestamp(at, now.tzinfo)
        is_last = place == len(one.steps) - 1
        if (at, share) not in said:
            state = "held"
        elif begins > now:
            state = "next"
        else:
            state = "now" if is_last or one.steps[place + 1][0] > now.timestamp() or (one.steps[place + 1] not in said) else "over"
        found.append(Stage(begins, share, state, count(_word(one, row) for row in members)))
        below = share
    return found


async def _rows(connection: AsyncConnection, tenant: OrganisationId) -> list[RowMapping]:
    found = await connection.execute(
        select(gateways).where(gateways.c.tenant_id == tenant, gateways.c.retired_at.is_(None), gateways.c.public.isnot(None))
    )
    return list(found.mappings())


def _tally(one: Rollout, rows: list[RowMapping], share: int) -> Tally:
    return count(_word(one, row) for row in rows if place_of(row["id"], one.serial) < share)


def _word(one: Rollout, row: RowMapping) -> Word:
    """What one gateway says of a release. A receipt that cannot be true says nothing."""
    seen = row["seen_at"]
    if is_doubted(row) or seen is None or seen < one.started_at - HEARD_WITHIN:
        return "unknown"
    if seen < one.started_at:
        return "silent"
    if row["serial"] < one.serial:
        return "against" if row["fault"] else "unknown"
    return "against" if row["serial"] == one.serial and _has_jumped(row, one.serial) else "for"


def _has_jumped(row: RowMapping, serial: int) -> bool:
    if not row["health"]:
        return False
    told, before, since = json.loads(row["health"])
    return told == serial and jumped((before[0], before[1], before[2]), (since[0], since[1], since[2]))
