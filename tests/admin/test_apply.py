"""Stored changes come into force: at once, later, after a refusal, after a loss."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import select

import admin.apply
from admin.apply import Applier
from admin.audit import CHECKPOINT, Act, by_account
from admin.dependencies import Services
from admin.hours import Hours, set_hours
from admin.link import GatewayAway
from admin.overrides import start_override
from admin.tables import policies
from admin.values import Days, HoursEffect, OverrideKind
from blocklists.tables import OrganisationKind, Role
from gateway.errors import ControlError
from gateway.release import read_manifest, read_verified
from tests.support.controlsocket import ScriptedGateway
from tests.support.family import Family
from tests.support.people import make_person


async def change(services: Services, family: Family, act: Act, now: datetime) -> None:
    async with services.database.write() as connection:
        await start_override(connection, act, family.bi.id, OverrideKind.OFF, now + timedelta(hours=1), [])


async def test_settle_puts_a_change_in_force_at_once(services: Services, family: Family, gateway: ScriptedGateway) -> None:
    """After the page answered, the gateway holds the file of this tenant and of no other."""
    found = await services.applier.settle(family.tenant)
    assert not found.is_pending
    assert found.generation == gateway.generation
    assert set(gateway.policies) == {family.tenant}
    name = gateway.policies[family.tenant]
    assert name is not None
    assert read_verified(services.settings.state_dir, name)


async def test_change_waits_while_the_gateway_is_away(
    services: Services, family: Family, act: Act, now: datetime, gateway: ScriptedGateway
) -> None:
    """The page learns that it is stored and not in force; when the gateway is back, it comes into force by itself."""
    await services.applier.settle(family.tenant)
    await gateway.stop()
    await change(services, family, act, now)
    found = await services.applier.settle(family.tenant)
    assert found.is_pending
    assert not found.error
    with pytest.raises(GatewayAway):
        await services.applier.reconcile()
    await gateway.start()
    assert await services.applier.reconcile() == 1
    assert not (await services.applier.enforcement(family.tenant)).is_pending


async def test_refusal_keeps_the_reason_and_the_next_change_clears_it(
    services: Services, family: Family, act: Act, now: datetime, gateway: ScriptedGateway
) -> None:
    """A file the gateway refuses is told with its reason; nothing else stops working."""
    gateway.refuse = ControlError("refused", "a name is too long", "profiles[0]")
    found = await services.applier.settle(family.tenant)
    assert found.is_pending
    assert found.error == "profiles[0]: a name is too long"
    gateway.refuse = None
    await change(services, family, act, now)
    found = await services.applier.settle(family.tenant)
    assert (found.is_pending, found.error) == (False, "")


async def test_one_refused_tenant_does_not_hold_back_the_others(
    services: Services, family: Family, gateway: ScriptedGateway, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a batch, the good files come into force and the bad one is told."""
    other = await make_person(services.database, now, sign_in="other")
    real = gateway._apply

    async def picky(fields: dict[str, object]) -> dict[str, object]:
        if other.tenant in fields["changes"]["policies"]:  # type: ignore[index]
            raise ControlError("refused", "no")
        return await real(fields)

    monkeypatch.setattr(services.applier.link, "apply", lambda changes: _generation(picky, changes))
    assert await services.applier.reconcile() == 1
    assert not (await services.applier.enforcement(family.tenant)).is_pending
    assert (await services.applier.enforcement(other.tenant)).error == "no"


async def _generation(answer: object, changes: object) -> int:
    assert callable(answer)
    return int((await answer({"changes": changes}))["generation"])


async def test_nothing_is_shipped_twice(services: Services, family: Family, gateway: ScriptedGateway, lists: Path) -> None:
    """A second look at an unchanged database asks the gateway for nothing."""
    assert await services.applier.reconcile() == 1
    assert await services.applier.reconcile() == 0
    assert [one["do"] for one in gateway.asked].count("apply") == 1
    assert dict(read_manifest(services.settings.state_dir).policies)[family.tenant] == gateway.policies[family.tenant]


async def test_lost_state_directory_is_filled_again(services: Services, family: Family, gateway: ScriptedGateway, lists: Path) -> None:
    """When the generation in force does not hold our file, it is applied again, without a change."""
    await services.applier.reconcile()
    (services.settings.state_dir / "current").write_text("1\n")
    assert await services.applier.reconcile() == 1
    assert family.tenant in dict(read_manifest(services.settings.state_dir).policies)


async def test_reconcile_keeps_the_journals_end_outside(services: Services, family: Family, gateway: ScriptedGateway) -> None:
    """After a change was applied, the checkpoint beside the database follows."""
    await services.applier.reconcile()
    assert (services.settings.state_dir / CHECKPOINT).is_file()


async def test_offices_have_no_policy(services: Services, now: datetime, gateway: ScriptedGateway) -> None:
    """An office without children asks the gateway for nothing."""
    await make_person(services.database, now, kind=OrganisationKind.OFFICE)
    assert await services.applier.reconcile() == 0


async def test_run_applies_as_soon_as_the_gateway_is_back(
    services: Services, family: Family, gateway: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop needs nobody: gateway away at the start, in force a moment after it comes."""
    monkeypatch.setattr(admin.apply, "RETRY_SECONDS", 0.02)
    await gateway.stop()
    loop = asyncio.create_task(services.applier.run())
    await asyncio.sleep(0.05)
    assert (await services.applier.enforcement(family.tenant)).is_pending
    await gateway.start()
    for _ in range(200):
        if not (await services.applier.enforcement(family.tenant)).is_pending:
            break
        await asyncio.sleep(0.02)
    assert not (await services.applier.enforcement(family.tenant)).is_pending
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)


async def test_mistaken_file_never_reaches_the_gateway(
    services: Services, family: Family, gateway: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What our own check refuses is told on the page and not sent."""
    monkeypatch.setattr(admin.apply, "cut", lambda rows, shelf, page: {"format": 1, "tenant": rows.tenant, "kind": "family", "x": 1})
    found = await services.applier.settle(family.tenant)
    assert "x" in found.error
    assert [one for one in gateway.asked if one["do"] == "apply"] == []
    async with services.database.read() as connection:
        row = (await connection.execute(select(policies).where(policies.c.tenant_id == family.tenant))).one()
    assert row.applied_revision == 0


async def test_what_a_file_is_cut_with_reaches_every_tenant(
    services: Services, family: Family, gateway: ScriptedGateway, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restart with another explaining page, or an upgrade whose calendar knows more days off, what is enforced is what the pages
    show; a tenant whose file stays the same is left alone, and the next rounds do nothing."""
    people = await make_person(services.database, now, sign_in="other")
    before = services.applier
    monkeypatch.setattr(admin.apply, "read_manifest", lambda _: SimpleNamespace(policies=list(gateway.policies.items())))
    assert await before.reconcile() == 2
    assert await before.reconcile() == 0

    later = Applier(services.database, services.link, services.shelves, services.settings.state_dir, ("10.9.9.9",), services.now)
    assert await later.reconcile() == 2
    for tenant in (family.tenant, people.tenant):
        assert b"10.9.9.9" in read_verified(services.settings.state_dir, str(gateway.policies[tenant]))
    assert await later.reconcile() == 0

    async with services.database.write() as connection:
        act = Act(family.tenant, by_account(family.account, Role.FIRST_PARENT), now)
        await set_hours(connection, act, family.bi.id, [Hours(Days.HOLIDAY, "23:00", "06:00", HoursEffect.OFFLINE)])
    await later.settle(family.tenant)
    shelf = services.shelves.current()
    upgraded = replace(
        shelf, catalogue=replace(shelf.catalogue, version="next"), holidays=(*shelf.holidays, (date(2026, 11, 20), date(2026, 11, 22)))
    )
    monkeypatch.setattr(services.shelves, "current", lambda: upgraded)
    assert await later.reconcile() == 1
    assert b"2026-11-20" in read_verified(services.settings.state_dir, str(gateway.policies[family.tenant]))


async def test_who_may_ask_today_is_asked_of_the_gateway(services: Services, family: Family, gateway: ScriptedGateway) -> None:
    """`dns.allow_from` was mended and reloaded while the pages ran: the place follows by itself."""
    gateway.status = {"allow_from": ["192.168.0.0/16", "113.160.10.0/24"]}
    await services.applier.reconcile()
    document = read_verified(services.settings.state_dir, str(gateway.policies[family.tenant]))
    assert b"113.160.10.0/24" in document
