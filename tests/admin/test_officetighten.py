"""What an education department closes: in the schools of its own place, for pupils, by a document; nothing below opens it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from admin.audit import Act, by_account, read_rows
from admin.dependencies import Services
from admin.devices import Match
from admin.errors import Conflict, InvalidInput, NotFound
from admin.names import add_name
from admin.office import open_office
from admin.officetighten import list_rules, release_schools, rules_at, tighten_schools
from admin.overrides import start_override
from admin.policyfile import cut
from admin.policyfile import read_rows as read_policy
from admin.profiles import list_profiles
from admin.setup import NewDevice, Owner, make_tenant
from admin.switches import set_switch
from admin.tables import policies
from admin.tenants import mark_changed
from admin.values import DeviceMatch, NameEffect, OverrideKind, ProfileKind, SwitchKind, SwitchState, TargetKind
from blocklists.database import Database
from blocklists.tables import OrganisationId, Role, organisations
from tests.admin.test_officeschools import PLAN, body
from tests.support.gateway import Gateway
from tests.support.office import Officers
from tests.support.people import make_school

DOCUMENT = "12/QĐ-SGDĐT"
LIFTED = "15/QĐ-SGDĐT"


async def test_every_school_of_the_place_and_no_other(services: Services, database: Database, officers: Officers, now: datetime) -> None:
    """Both schools of the province get it with a row in their journal and a policy to apply; another province does not; it can be lifted by
    a document alone, and then stands nowhere; a body of another place lifts nothing."""
    one, two = await make_school(database, now, "A", "12"), await make_school(database, now, "B", "12.03412")
    far = await make_school(database, now, "C", "11")
    agency, other = await body(database, officers, now, "12"), await body(database, officers, now, "11")
    act, shelf = Act(officers.tenant, by_account(officers.approver, Role.EDU_ADMIN), now), services.shelves.current()
    async with database.write() as connection:
        office = await open_office(connection, officers.tenant)
        rule, told = await tighten_schools(connection, act, office, agency, "game", DOCUMENT, shelf)
        assert set(told) == {one.tenant, two.tenant}
        for tenant in (one.tenant, two.tenant, officers.tenant):
            row = (await read_rows(connection, tenant, 1))[0]
            assert (row.action, row.basis, row.actor_role) == ("schools.tightened", DOCUMENT, "edu_admin")
        assert (await read_rows(connection, far.tenant, 1))[0].action != "schools.tightened"
        assert [found.category for found in await rules_at(connection, "12.03412")] == ["game"]
        assert await rules_at(connection, "11") == [] and await rules_at(connection, "") == ()
        with pytest.raises(Conflict):
            await tighten_schools(connection, act, office, agency, "game", DOCUMENT, shelf)
        for category, document, field in (("porn", DOCUMENT, "category"), ("nothing", DOCUMENT, "category"), ("social", "no", "document")):
            with pytest.raises(InvalidInput) as caught:
                await tighten_schools(connection, act, office, agency, category, document, shelf)
            assert [mistake.field for mistake in caught.value.mistakes] == [field]
        for whose in (other, None):
            with pytest.raises(NotFound):
                await release_schools(connection, act, office, whose, rule, LIFTED)
        with pytest.raises(InvalidInput):
            await release_schools(connection, act, office, agency, rule, "because")
        assert set(await release_schools(connection, act, office, agency, rule, LIFTED)) == {one.tenant, two.tenant}
        assert await list_rules(connection, office, agency) == [] and await rules_at(connection, "12") == []
        assert [row.basis for row in await read_rows(connection, two.tenant, 1)] == [LIFTED]


async def test_the_policy_says_so_for_pupils_alone(services: Services, database: Database, officers: Officers, now: datetime) -> None:
    """Classes and unknown devices; the staff's profile has nothing of it; the revision is raised, so that it is applied."""
    async with database.write() as connection:
        made = await make_tenant(connection, replace(PLAN, owner=Owner("truong", "x", "vi")), services.shelves.current(), now)
        await connection.execute(update(organisations).where(organisations.c.id == made.tenant).values(place_code="12"))
    agency = await body(database, officers, now, "12")
    async with database.write() as connection:
        office = await open_office(connection, officers.tenant)
        act = Act(officers.tenant, by_account(officers.approver, Role.EDU_ADMIN), now)
        before = select(policies.c.revision).where(policies.c.tenant_id == made.tenant)
        revision = (await connection.execute(before)).scalar_one()
        await tighten_schools(connection, act, office, agency, "game", DOCUMENT, services.shelves.current())
        assert (await connection.execute(before)).scalar_one() == revision + 1
        rows = await read_policy(connection, made.tenant, now)
    written = {row["id"]: row.get("above") for row in cut(rows, services.shelves.current(), ())["profiles"]}
    closed = [{"document": DOCUMENT, "close": ["game"]}]
    assert {one.kind: written[one.id] for one in rows.profiles} == {
        ProfileKind.CLASS: closed, ProfileKind.GUEST: closed, ProfileKind.ADULT: None,
    }  # fmt: skip


async def test_no_school_opens_it_on_the_real_gateway(live: Services, gateway_running: Gateway, officers: Officers, now: datetime) -> None:
    """Social sites are open in a class: by the school's switch, by name, by a teacher's window. The department closes them, whatever
    the school says; a class may still be tightened; lifted, the school's own word holds again."""
    at, shelf = live.now(), live.shelves.current()
    async with live.database.write() as connection:
        device = NewDevice(Match(DeviceMatch.NETWORK, "127.0.3.0/25"), 0)
        plan = replace(PLAN, owner=Owner("truong", "x", "vi"), networks=("127.0.3.0/24",), devices=(device,))
        made = await make_tenant(connection, plan, shelf, at)
        await connection.execute(update(organisations).where(organisations.c.id == made.tenant).values(place_code="12.03412"))
        own = Act(OrganisationId(made.tenant), by_account(made.account, Role.SCHOOL_ADMIN), at)
        (pupils,) = [one for one in await list_profiles(connection, made.tenant) if one.kind is ProfileKind.CLASS]
        await set_switch(connection, own, pupils.id, SwitchKind.CATEGORY, "social", SwitchState.ALLOW)
        await add_name(connection, own, pupils.id, NameEffect.ALLOW, "facebook.com")
        opened = [(TargetKind.CATEGORY, "social")]
        await start_override(connection, own, pupils.id, OverrideKind.OPEN, at + timedelta(hours=1), opened)

    async def answer() -> list[str]:
        await live.applier.settle(made.tenant)
        return await asyncio.to_thread(gateway_running.addresses, "www.facebook.com", source="127.0.3.10")

    assert await answer() == ["192.0.2.80"]
    agency = await body(live.database, officers, at, "12")
    act = Act(officers.tenant, by_account(officers.approver, Role.EDU_ADMIN), at)
    async with live.database.write() as connection:
        office = await open_office(connection, officers.tenant)
        rule, _ = await tighten_schools(connection, act, office, agency, "social", DOCUMENT, shelf)
    assert await answer() == ["0.0.0.0"]
    verdict = await live.foresight.judge(made.tenant, pupils.id, "www.facebook.com", at)
    assert verdict is not None and verdict.rule is not None
    assert (verdict.rule.origin.value, verdict.rule.source) == ("province", f"document {DOCUMENT}")
    async with live.database.write() as connection:
        await release_schools(connection, act, office, agency, rule, LIFTED)
        await mark_changed(connection, own)
    assert await answer() == ["192.0.2.80"]
