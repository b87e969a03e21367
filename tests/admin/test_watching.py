"""Watch first: what is locked stays blocked, the rest is open and counted; it ends by the gateway's own clock."""

from __future__ import annotations

from datetime import timedelta

from admin.audit import Act
from admin.dependencies import Services
from admin.policyfile import cut, read_rows
from admin.switches import set_switch
from admin.totals import read_watched
from admin.values import SwitchKind, SwitchState
from admin.watching import A_DAY, end_watch, list_watches, start_watch
from blocklists.tables import OrganisationId
from gateway.policy.tenant import parse_policy_file
from tests.support.family import Family


async def opened(services: Services, tenant: OrganisationId, act: Act, profile: str) -> dict[str, dict[str, object]]:
    async with services.database.read() as connection:
        rows = await read_rows(connection, tenant, act.now)
    document = cut(rows, services.shelves.current(), ())
    parse_policy_file(document, services.shelves.current().catalogue)
    (own,) = [one["overrides"] for one in document["profiles"] if one["id"] == profile]
    return {one["id"].partition("-")[0]: one for one in own}


async def test_watching_opens_what_may_be_decided_until_tomorrow(services: Services, family: Family, act: Act) -> None:
    """Games and social networks open, gambling never; what the family closed itself is open too; the end is written in the file."""
    async with services.database.write() as connection:
        await set_switch(connection, act, family.bi.id, SwitchKind.SERVICE, "youtube", SwitchState.BLOCK)
        assert await start_watch(connection, act, family.bi.id) == act.now + A_DAY
    acts = await opened(services, family.tenant, act, family.bi.id)
    assert {"social", "game"} <= set(acts["watch"]["categories"])  # type: ignore[call-overload]
    assert acts["watch"]["services"] == ["youtube"]
    assert not {"gamb", "porn", "bypass"} & {*acts["watch"]["categories"], *acts["hours"]["categories"]}  # type: ignore[misc]
    assert acts["watch"]["until"] == "2026-10-13T12:30:00Z"
    assert await opened(services, family.tenant, act, family.na.id) == {}
    later = Act(act.tenant, act.by, act.now + A_DAY + timedelta(seconds=1))
    assert await opened(services, family.tenant, later, family.bi.id) == {}
    async with services.database.write() as connection:
        await end_watch(connection, act, family.bi.id)
        assert await list_watches(connection, family.tenant, act.now) == {}
        assert await read_watched(connection, family.tenant, family.bi.id) == 0
