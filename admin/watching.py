"""Watch first: for a day only the locked tiers (by law, harmful) are enforced, and what a parent may decide is open and only counted.

So a family sees what would be blocked before anything is. It ends by itself, on the gateway's own clock, and by one press at any moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import Act, Action, record
from admin.familytables import watches
from admin.tenants import mark_changed
from admin.values import ProfileId
from blocklists.tables import OrganisationId
from gateway.policy.model import Band

A_DAY = timedelta(days=1)
#: The youngest have a list of what is open, not of what is closed: nothing to watch.
WATCHABLE = (Band.TH, Band.CS, Band.PT)


async def list_watches(connection: AsyncConnection, tenant: OrganisationId, now: datetime) -> Mapping[str, tuple[datetime, datetime]]:
    """From when and until when each profile is only watched."""
    statement = select(watches).where(watches.c.tenant_id == tenant, watches.c.ends_at > now)
    return {row.profile_id: (row.starts_at, row.ends_at) for row in await connection.execute(statement)}


async def start_watch(connection: AsyncConnection, act: Act, profile: ProfileId) -> datetime:
    """Watch for a day from now; the moment at which it ends."""
    until = act.now + A_DAY
    await connection.execute(delete(watches).where(watches.c.tenant_id == act.tenant, watches.c.profile_id == profile))
    await connection.execute(insert(watches).values(tenant_id=act.tenant, profile_id=profile, starts_at=act.now, ends_at=until))
    await record(connection, act, Action.WATCH_STARTED, profile, after={"until": until.isoformat()})
    await mark_changed(connection, act)
    return until


async def end_watch(connection: AsyncConnection, act: Act, profile: ProfileId) -> None:
    """Full protection from now on."""
    await connection.execute(delete(watches).where(watches.c.tenant_id == act.tenant, watches.c.profile_id == profile))
    await record(connection, act, Action.WATCH_ENDED, profile)
    await mark_changed(connection, act)
