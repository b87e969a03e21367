"""A school that leaves its place: what the department closed there holds on for a day, and everybody concerned reads it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from admin.audit import Act, by_account, read_rows
from admin.dependencies import Services
from admin.devices import Match
from admin.errors import Conflict
from admin.names import add_name
from admin.office import open_office
from admin.officetighten import list_rules, release_schools, rules_in, tighten_schools
from admin.policyfile import cut
from admin.policyfile import read_rows as read_policy
from admin.profiles import list_profiles
from admin.schoolmoves import HOLD, Left, end_moves, find_move, list_left, move
from admin.setup import NewDevice, Owner, make_tenant
from admin.tables import policies
from admin.tenants import read_place
from admin.values import DeviceMatch, NameEffect, ProfileKind
from blocklists.database import Database
from blocklists.tables import OrganisationKind, Role, organisations
from tests.admin.test_officeschools import PLAN, body
from tests.support.gateway import Gateway
from tests.support.office import Officers
from tests.support.people import make_school

DOCUMENT, OTHER, LIFTED = "12/QĐ-SGDĐT", "7/QĐ-SGDĐT", "15/QĐ-SGDĐT"
SCHOOL = OrganisationKind.SCHOOL


async def test_a_school_that_leaves_is_told_and_held_for_a_day(
    services: Services, database: Database, officers: Officers, now: datetime
) -> None:
    """In the office's journal and in the list of its page, by the document, with the end; a move within the province leaves nothing and is
    no news; what the new place closed holds at once; after the day the old place's ends, in the school's journal, too."""
    one = await make_school(database, now, "A", "12")
    agency, other = await body(database, officers, now, "12"), await body(database, officers, now, "11")
    act = Act(officers.tenant, by_account(officers.approver, Role.EDU_ADMIN), now)
    here, shelf = Act(one.tenant, by_account(one.account, Role.SCHOOL_ADMIN), now), services.shelves.current()
    async with database.write() as connection:
        office = await open_office(connection, officers.tenant)
        await tighten_schools(connection, act, office, agency, "game", DOCUMENT, shelf)
        await tighten_schools(connection, act, office, other, "social", OTHER, shelf)
        rules = await list_rules(connection, office, agency)

        async def closed() -> set[str]:
            place = await read_place(connection, one.tenant) or ""
            return {rule.category for rule in await rules_in(connection, one.tenant, place)}

        await move(connection, here, SCHOOL, "12.03412")
        assert await list_left(connection, office, rules, now) == [] and await find_move(connection, one.tenant) is None
        await move(connection, here, SCHOOL, "11")
        assert await list_left(connection, office, rules, now) == [Left("A", DOCUMENT, now, now + HOLD)]
        assert await closed() == {"game", "social"}
        row = (await read_rows(connection, officers.tenant, 1))[0]
        assert (row.action, row.basis) == ("schools.left", DOCUMENT)
        assert await list_left(connection, office, await list_rules(connection, office, other), now) == []
        assert await end_moves(connection, now + HOLD - timedelta(seconds=1), True) == []
        assert await closed() == {"game", "social"}
        assert await end_moves(connection, now + HOLD, True) == [one.tenant]
        assert await closed() == {"social"} and await end_moves(connection, now + HOLD, True) == []
        assert (await read_rows(connection, one.tenant, 1))[0].action == "place.left"
        assert await list_left(connection, office, rules, now + HOLD) == [Left("A", DOCUMENT, now)]
        assert await list_left(connection, office, rules, now + timedelta(days=31)) == []


async def test_who_goes_back_has_left_nothing(services: Services, database: Database, officers: Officers, now: datetime) -> None:
    """Within the day, to the same place or to the commune: nothing is held, the department reads nothing any more, and a later leave begins
    a day anew. Not saying any place is leaving, too."""
    one = await make_school(database, now, "A", "12")
    agency = await body(database, officers, now, "12")
    act = Act(officers.tenant, by_account(officers.approver, Role.EDU_ADMIN), now)
    async with database.write() as connection:
        office = await open_office(connection, officers.tenant)
        await tighten_schools(connection, act, office, agency, "game", DOCUMENT, services.shelves.current())
        rules = await list_rules(connection, office, agency)
        for hours, code in ((1, ""), (2, "12.03412"), (3, "11"), (4, "12"), (5, "")):
            here = Act(one.tenant, by_account(one.account, Role.SCHOOL_ADMIN), now + timedelta(hours=hours))
            await move(connection, here, SCHOOL, code)
            held = await find_move(connection, one.tenant)
            left = await list_left(connection, office, rules, here.now)
            assert (held is not None) == bool(left) == (not code.startswith("12")), code
        assert held is not None and held.until == now + timedelta(hours=5) + HOLD
        assert [(rule.category, rule.document) for rule in held.rules] == [("game", DOCUMENT)]


async def test_one_day_at_a_time(services: Services, database: Database, officers: Officers, now: datetime) -> None:
    """Two moves do not shake off the first place, nor hide a second one: that waits; a place where nothing is closed may be passed."""
    one = await make_school(database, now, "A", "12")
    first, second = await body(database, officers, now, "12"), await body(database, officers, now, "11")
    act, shelf = Act(officers.tenant, by_account(officers.approver, Role.EDU_ADMIN), now), services.shelves.current()
    here = Act(one.tenant, by_account(one.account, Role.SCHOOL_ADMIN), now)
    async with database.write() as connection:
        office = await open_office(connection, officers.tenant)
        rule, _ = await tighten_schools(connection, act, office, first, "game", DOCUMENT, shelf)
        await tighten_schools(connection, act, office, second, "social", OTHER, shelf)
        await move(connection, here, SCHOOL, "")
        await move(connection, here, SCHOOL, "11")
        held = await find_move(connection, one.tenant)
        assert held is not None and held.place == "12"
        with pytest.raises(Conflict) as refused:
            await move(connection, here, SCHOOL, "08")
        assert (refused.value.code, refused.value.field) == ("move_waits", "province")
        assert await read_place(connection, one.tenant) == "11"
        # Its department lifts it meanwhile: the school is told and applied as one of its own, and may go on.
        assert set(await release_schools(connection, act, office, first, rule, LIFTED)) == {one.tenant}
        await move(connection, here, SCHOOL, "08")
        held = await find_move(connection, one.tenant)
        assert held is not None and held.place == "11"


async def test_leaving_in_two_steps_shortens_no_day(services: Services, database: Database, officers: Officers, now: datetime) -> None:
    """From a commune to its province, and 23 hours later out of the province: what the province closed holds for its own day."""
    one = await make_school(database, now, "A", "12.03412")
    commune, province = await body(database, officers, now, "12.03412"), await body(database, officers, now, "12")
    act, shelf = Act(officers.tenant, by_account(officers.approver, Role.EDU_ADMIN), now), services.shelves.current()
    async with database.write() as connection:
        office = await open_office(connection, officers.tenant)
        await tighten_schools(connection, act, office, commune, "game", DOCUMENT, shelf)
        await tighten_schools(connection, act, office, province, "social", OTHER, shelf)
        for hours, code in ((0, "12"), (23, "")):
            here = Act(one.tenant, by_account(one.account, Role.SCHOOL_ADMIN), now + timedelta(hours=hours))
            await move(connection, here, SCHOOL, code)
        assert await end_moves(connection, now + timedelta(hours=25), True) == []
        assert {rule.category for rule in await rules_in(connection, one.tenant, "")} == {"game", "social"}
        assert await end_moves(connection, now + timedelta(hours=47), True) == [one.tenant]


async def test_nothing_ends_by_a_clock_that_nobody_keeps(services: Services, database: Database, officers: Officers, now: datetime) -> None:
    """Put forward by a year, without a time service: what is held stays, until a person acts there again or the clock is kept."""
    one = await make_school(database, now, "A", "12")
    agency = await body(database, officers, now, "12")
    act = Act(officers.tenant, by_account(officers.approver, Role.EDU_ADMIN), now)
    here = Act(one.tenant, by_account(one.account, Role.SCHOOL_ADMIN), now)
    async with database.write() as connection:
        office = await open_office(connection, officers.tenant)
        await tighten_schools(connection, act, office, agency, "game", DOCUMENT, services.shelves.current())
        await move(connection, here, SCHOOL, "")
        for moment, is_kept, ends in (
            (now - timedelta(days=400), True, False),
            (now + timedelta(days=400), False, False),
            (now + HOLD, False, True),  # a person acted a day ago
        ):
            assert await end_moves(connection, moment, is_kept) == ([one.tenant] if ends else []), moment
            assert (await find_move(connection, one.tenant) is None) is ends


async def test_the_real_gateway_holds_it(live: Services, gateway_running: Gateway, officers: Officers, now: datetime) -> None:
    """Social sites are open in a class and closed by the department. The school leaves the place: they stay closed; after the day they are
    open. Each step by DNS."""
    at, shelf = live.now(), live.shelves.current()
    async with live.database.write() as connection:
        device = NewDevice(Match(DeviceMatch.NETWORK, "127.0.3.0/25"), 0)
        plan = replace(PLAN, owner=Owner("truong", "x", "vi"), networks=("127.0.3.0/24",), devices=(device,))
        made = await make_tenant(connection, plan, shelf, at)
        await connection.execute(update(organisations).where(organisations.c.id == made.tenant).values(place_code="12.03412"))
        own = Act(made.tenant, by_account(made.account, Role.SCHOOL_ADMIN), at)
        (pupils,) = [one for one in await list_profiles(connection, made.tenant) if one.kind is ProfileKind.CLASS]
        await add_name(connection, own, pupils.id, NameEffect.ALLOW, "facebook.com")
    agency = await body(live.database, officers, at, "12")
    act = Act(officers.tenant, by_account(officers.approver, Role.EDU_ADMIN), at)

    async def answer() -> list[str]:
        await live.applier.settle(made.tenant)
        return await asyncio.to_thread(gateway_running.addresses, "www.facebook.com", source="127.0.3.10")

    assert await answer() == ["192.0.2.80"]
    async with live.database.write() as connection:
        office = await open_office(connection, officers.tenant)
        await tighten_schools(connection, act, office, agency, "social", DOCUMENT, shelf)
    assert await answer() == ["0.0.0.0"]
    async with live.database.write() as connection:
        await move(connection, own, SCHOOL, "11")
    assert await answer() == ["0.0.0.0"]
    async with live.database.read() as connection:
        (written,) = [row for row in cut(await read_policy(connection, made.tenant, at), shelf, ())["profiles"] if row["id"] == pupils.id]
        revision = (await connection.execute(select(policies.c.revision).where(policies.c.tenant_id == made.tenant))).scalar_one()
    assert written["above"] == [{"document": DOCUMENT, "close": ["social"]}]
    async with live.database.write() as connection:
        assert await end_moves(connection, at + HOLD, True) == [made.tenant]
        assert (await connection.execute(select(policies.c.revision).where(policies.c.tenant_id == made.tenant))).scalar_one() > revision
    assert await answer() == ["192.0.2.80"]
