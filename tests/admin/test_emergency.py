"""Looking in by a document: one place, some hours, nothing to change, and everybody concerned is told in their journal."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from admin.audit import MACHINE, Act, by_account, read_rows
from admin.emergency import SHOWN, break_glass, end_glass, list_glasses, list_places
from admin.errors import Conflict, Forbidden, InvalidInput, NotFound
from admin.people import end_role, list_members, sign_out_elsewhere
from admin.permissions import Actor, Assignment, Permission, authorise
from admin.sessions import read_assignments
from admin.tenants import create_organisation, grant_role
from admin.values import SessionId
from blocklists.database import Database
from blocklists.tables import OrganisationKind, Role
from tests.support.office import Officers
from tests.support.people import Person, make_person

DOCUMENT = "12/QĐ-STTTT"


@pytest.fixture
async def operator(database: Database, now: datetime) -> Person:
    return await make_person(database, now, "van-hanh", OrganisationKind.OPERATOR, Role.OPERATOR)


def act_of(operator: Person, now: datetime) -> Act:
    return Act(operator.tenant, by_account(operator.account, Role.OPERATOR), now)


async def may(database: Database, who: Person, place: Person, now: datetime) -> set[Permission]:
    """What an account may do at a place at a moment."""
    async with database.read() as connection:
        assignments, _ = await read_assignments(connection, who.account, now)
    actor, allowed = Actor(who.account, "", assignments, confirmed_at=now, has_factor=True), set()
    for permission in Permission:
        try:
            authorise(actor, permission, place.tenant, now)
        except (Forbidden, NotFound):
            continue
        allowed.add(permission)
    return allowed


async def test_it_opens_one_place_to_look_and_ends_by_itself(
    database: Database, operator: Person, officers: Officers, now: datetime
) -> None:
    """Settings and devices of the named family for two hours, of no other; family, operator and office have it in their journals."""
    family, other = await make_person(database, now), await make_person(database, now, "khac")
    assert await may(database, operator, family, now) == set()
    async with database.write() as connection:
        assert (await break_glass(connection, act_of(operator, now), " ME ", DOCUMENT, 2)).id == family.tenant
    looking = {Permission.STATUS_READ, Permission.PROFILE_READ, Permission.DEVICE_READ}
    assert await may(database, operator, family, now + timedelta(hours=1, minutes=59)) == looking
    assert await may(database, operator, family, now + timedelta(hours=2)) == set()
    assert await may(database, operator, other, now) == set()
    async with database.read() as connection:
        for tenant in (family.tenant, operator.tenant, officers.tenant):
            told = [(row.action, row.basis, row.actor_role, row.actor_id) for row in await read_rows(connection, tenant, 5)]
            assert ("glass.broken", DOCUMENT, "operator", operator.account) in told
        assert [row.action for row in await read_rows(connection, other.tenant, 5) if row.action == "glass.broken"] == []
        (one,) = await list_glasses(connection, now, family.tenant)
        assert (one.document, one.kind, one.until) == (DOCUMENT, OrganisationKind.FAMILY, now + timedelta(hours=2))
        assert await list_glasses(connection, now + SHOWN + timedelta(seconds=1)) == []


async def test_one_at_a_time_and_only_where_somebody_runs_a_place(database: Database, operator: Person, now: datetime) -> None:
    """A name nobody has, an operator's and a teacher's open nothing; twice is once."""
    await make_person(database, now)
    await make_person(database, now, "co-giao", OrganisationKind.SCHOOL, Role.TEACHER)
    act = act_of(operator, now)
    for name in ("nobody", "van-hanh", "co-giao"):
        with pytest.raises(InvalidInput):
            async with database.write() as connection:
                await break_glass(connection, act, name, DOCUMENT, 1)
    async with database.write() as connection:
        await break_glass(connection, act, "me", DOCUMENT, 1)
        with pytest.raises(Conflict):
            await break_glass(connection, act, "me", DOCUMENT, 8)
        await break_glass(connection, act_of(operator, now + timedelta(hours=1)), "me", DOCUMENT, 1)


async def test_its_people_end_it_and_so_does_the_operator(database: Database, operator: Person, now: datetime) -> None:
    """Nobody else can; ended, nothing is to be seen from that moment on, and the journal of the place says so."""
    family, other = await make_person(database, now), await make_person(database, now, "khac")
    for by_people in (True, False):
        async with database.write() as connection:
            await break_glass(connection, act_of(operator, now), "me", DOCUMENT, 8)
            one = next(one for one in await list_glasses(connection, now, family.tenant) if one.is_open(now))
            theirs = Act(other.tenant, by_account(other.account, Role.FIRST_PARENT), now)
            for act, of in ((theirs, None), (theirs, other.account)):
                with pytest.raises(NotFound):
                    await end_glass(connection, act, one.id, of=of)
            own = Act(family.tenant, by_account(family.account, Role.FIRST_PARENT), now)
            await end_glass(connection, own if by_people else act_of(operator, now), one.id, of=None if by_people else operator.account)
            assert (await read_rows(connection, family.tenant, 1))[0].action == "role.ended"
            with pytest.raises(NotFound):
                await end_glass(connection, own, one.id)
        assert await may(database, operator, family, now) == set()


async def test_of_several_places_the_one_that_was_chosen_opens(database: Database, operator: Person, now: datetime) -> None:
    """A mother who also runs a school: without a choice nothing opens; the chosen place opens and reads it in its journal, no other; the
    place of somebody else is no choice."""
    mother, other = await make_person(database, now), await make_person(database, now, "khac")
    async with database.write() as connection:
        school = await create_organisation(connection, OrganisationKind.SCHOOL, "Trường Hoa Sen", "vi", now)
        await grant_role(connection, Act(school, MACHINE, now + timedelta(seconds=1)), mother.account, Role.SCHOOL_ADMIN)
    later = now + timedelta(minutes=1)
    for place in ("", other.tenant, "x"):
        with pytest.raises(InvalidInput) as caught:
            async with database.write() as connection:
                await break_glass(connection, act_of(operator, later), "me", DOCUMENT, 1, place)
        assert [one.field for one in caught.value.mistakes] == ["place"]
    async with database.write() as connection:
        assert [one.kind for one in await list_places(connection, "me", later)] == [OrganisationKind.FAMILY, OrganisationKind.SCHOOL]
        opened = await break_glass(connection, act_of(operator, later), "me", DOCUMENT, 1, school)
    assert (opened.id, opened.kind) == (school, OrganisationKind.SCHOOL)
    assert Permission.PROFILE_READ in await may(database, operator, Person(mother.account, school, "me"), later)
    assert await may(database, operator, mother, later) == set(), "the family of the same person stays closed"
    async with database.read() as connection:
        assert "glass.broken" in [row.action for row in await read_rows(connection, school, 5)]
        assert "glass.broken" not in [row.action for row in await read_rows(connection, mother.tenant, 5)]


async def test_it_ends_with_the_operators_role_and_sessions(database: Database, operator: Person, now: datetime) -> None:
    """The role taken away, every other device signed out, a new password: the look is over in the same moment, and its place reads it. An
    operator's role that ran out by its date opens nothing either."""
    family = await make_person(database, now)
    async with database.write() as connection:
        await grant_role(connection, Act(operator.tenant, MACHINE, now), family.account, Role.OPERATOR)  # so that one remains

    async def look() -> None:
        async with database.write() as connection:
            await break_glass(connection, act_of(operator, now), "me", DOCUMENT, 8)
        assert Permission.DEVICE_READ in await may(database, operator, family, now)

    await look()
    async with database.write() as connection:
        await sign_out_elsewhere(connection, act_of(operator, now), operator.account, SessionId("x"))
        assert (await read_rows(connection, family.tenant, 1))[0].action == "role.ended"
    assert await may(database, operator, family, now) == set()
    await look()
    async with database.write() as connection:
        listed = await list_members(connection, operator.tenant, now)
        (role,) = [one.assignment for one in listed if one.account == operator.account]
        await end_role(connection, Act(operator.tenant, MACHINE, now), role)
        assert [row.action for row in await read_rows(connection, family.tenant, 1)] == ["role.ended"]
        assert not any(one.is_open(now) for one in await list_glasses(connection, now))
    assert await may(database, operator, family, now) == set()
    async with database.write() as connection:
        ends = now + timedelta(hours=1)
        await grant_role(connection, Act(operator.tenant, MACHINE, now), operator.account, Role.OPERATOR, until=ends)
    await look()
    assert await may(database, operator, family, now + timedelta(hours=2)) == set()


def test_an_operator_needs_two_factors_to_look_in(now: datetime) -> None:
    """The password alone opens nobody's settings."""
    from admin.errors import FactorNeeded
    from blocklists.tables import AccountId, OrganisationId

    place = OrganisationId("p")
    alone = Actor(AccountId("a"), "", (Assignment(place, Role.OPERATOR),), confirmed_at=now)
    with pytest.raises(FactorNeeded):
        authorise(alone, Permission.GLASS_BREAK, place, now)
    assert authorise(alone, Permission.GLASS_READ, place, now) is Role.OPERATOR
