"""Watch first: what is locked stays blocked, the rest is open and counted; it ends by the gateway's own clock."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from zoneinfo import ZoneInfo

from admin.app import create_app
from admin.audit import Act, by_account
from admin.dependencies import Services
from admin.policyfile import cut, read_rows
from admin.switches import set_switch
from admin.totals import collect, read_day, read_watched
from admin.values import SwitchKind, SwitchState
from admin.watching import A_DAY, end_watch, list_watches, start_watch
from blocklists.tables import OrganisationId, Role
from gateway.policy.tenant import parse_policy_file
from tests.support.family import Family, make_family
from tests.support.gateway import ROOT, Gateway
from tests.support.livegateway import counted
from tests.support.people import PASSWORD
from tests.support.visitor import Visitor

SCAM = next(line for line in (ROOT / "blocklists/seed/scam.txt").read_text(encoding="utf-8").splitlines() if line[:1].isalnum())


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


async def test_watching_on_the_real_gateway_enforces_the_locked_counts_the_rest_and_ends_by_itself(
    live: Services, gateway_running: Gateway
) -> None:
    """A child's phone asks: a scam and a help line as always, a social network open and counted; at the end it is closed again, with nobody
    doing anything; the figure on the page comes from the questions that were sent."""
    family = await make_family(live, network="127.0")

    async def answers(name: str) -> list[str]:
        return await asyncio.to_thread(gateway_running.addresses, name, source="127.0.1.31")

    started = live.now() - A_DAY + timedelta(seconds=10)  # ten seconds of the day are left
    async with live.database.write() as connection:
        until = await start_watch(connection, Act(family.tenant, by_account(family.account, Role.FIRST_PARENT), started), family.bi.id)
    await live.applier.settle(family.tenant)
    assert await answers("www.facebook.com") == ["192.0.2.80"]
    for _ in range(4):
        await answers("www.facebook.com")
    assert await answers(SCAM) == ["0.0.0.0"]
    assert await answers("scratch.mit.edu") == ["192.0.2.80"]
    visitor = Visitor(create_app(live))
    await visitor.sign_in("me", PASSWORD)
    await visitor.get(f"/profiles/{family.bi.id}")
    assert "Đang xem trước đến" in visitor.text
    await asyncio.sleep(max(0.0, (until - live.now()).total_seconds() + 0.3))
    assert await answers("www.facebook.com") == ["0.0.0.0"]
    await asyncio.sleep(1.2)
    await counted(gateway_running, live.link)
    await collect(live.database, live.link, live.now())
    async with live.database.read() as connection:
        assert await read_watched(connection, family.tenant, family.bi.id) == 5
        (totals,) = (await read_day(connection, family.tenant, until.astimezone(ZoneInfo("Asia/Ho_Chi_Minh")).date().isoformat())).values()
    assert totals[1] == 2
    await visitor.close()
