"""The people of a family or school: invited, listed, ended; somebody who runs it always remains."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from admin.audit import Act, by_account
from admin.errors import Conflict, NotFound
from admin.invitations import accept, accept_as, invite
from admin.people import end_role, list_members, list_waiting, withdraw_invitation
from admin.recovery import begin_pin
from admin.sessions import read_assignments
from blocklists.database import Database
from blocklists.tables import OrganisationKind, Role
from tests.support.people import Person, make_person


@pytest.fixture
async def school(database: Database, now: datetime) -> Person:
    return await make_person(database, now - timedelta(hours=1), "hieu-truong", OrganisationKind.SCHOOL, Role.SCHOOL_ADMIN)


def act_of(person: Person, role: Role, now: datetime) -> Act:
    return Act(person.tenant, by_account(person.account, role), now)


async def test_a_teacher_joins_by_the_link_until_a_day(database: Database, school: Person, now: datetime) -> None:
    """The link makes one account; the role ends by itself; the link works once and no longer after it was withdrawn."""
    act = act_of(school, Role.SCHOOL_ADMIN, now)
    async with database.write() as connection:
        secret = await invite(connection, act, Role.TEACHER, "", until=now + timedelta(days=30))
        dead = await invite(connection, replace(act, now=now + timedelta(seconds=1)), Role.TEACHER, "")
        (_, waiting) = await list_waiting(connection, school.tenant, now)
        await withdraw_invitation(connection, act, waiting.id)
        teacher = await accept(connection, secret, "co-lan", "Cô Lan", "x", "vi", now)
        with pytest.raises(NotFound):
            await accept(connection, dead, "thay-nam", "Thầy Nam", "x", "vi", now)
        with pytest.raises(NotFound):
            await accept(connection, secret, "thay-nam", "Thầy Nam", "x", "vi", now)
    async with database.read() as connection:
        assert [(one.name, one.role) for one in await list_members(connection, school.tenant, now)] == [
            ("Người hieu-truong", Role.SCHOOL_ADMIN),
            ("Cô Lan", Role.TEACHER),
        ]
        assert len(await list_members(connection, school.tenant, now + timedelta(days=31))) == 1
        assert await list_waiting(connection, school.tenant, now) == []
        assert (await read_assignments(connection, teacher, now + timedelta(days=31)))[0] == ()


async def test_a_parent_who_teaches_has_one_account(database: Database, school: Person, now: datetime) -> None:
    """An account that is there takes the place; the same place a second time is refused."""
    mother = await make_person(database, now)
    act = act_of(school, Role.SCHOOL_ADMIN, now)
    async with database.write() as connection:
        first, second = [await invite(connection, act, Role.TEACHER, "") for _ in range(2)]
        assert await accept_as(connection, first, mother.account, now) == school.tenant
        with pytest.raises(Conflict):
            await accept_as(connection, second, mother.account, now)
        assignments, tenants = await read_assignments(connection, mother.account, now)
    assert {one.role for one in assignments} == {Role.FIRST_PARENT, Role.TEACHER}
    assert len(tenants) == 2


async def test_ending_a_role_leaves_somebody_who_runs_it(database: Database, school: Person, now: datetime) -> None:
    """The last administrator stays; one with an end of its own does not count; another school's people are not there to be ended."""
    other = await make_person(database, now, "khac", OrganisationKind.SCHOOL, Role.SCHOOL_ADMIN)
    act = act_of(school, Role.SCHOOL_ADMIN, now)
    async with database.write() as connection:
        secret = await invite(connection, act, Role.SCHOOL_ADMIN, "", until=now + timedelta(days=9))
        await accept(connection, secret, "pho", "Hiệu phó", "x", "vi", now)
    later = act_of(school, Role.SCHOOL_ADMIN, now + timedelta(minutes=1))
    async with database.write() as connection:
        own, vice = await list_members(connection, school.tenant, later.now)
        (theirs,) = await list_members(connection, other.tenant, later.now)
        for assignment, refusal in ((own.assignment, Conflict), (theirs.assignment, NotFound)):
            with pytest.raises(refusal):
                await end_role(connection, later, assignment)
        await end_role(connection, later, vice.assignment)
        assert [one.account for one in await list_members(connection, school.tenant, later.now)] == [school.account]
        with pytest.raises(NotFound):
            await end_role(connection, later, vice.assignment)


async def test_an_account_with_a_pin_takes_no_other_place(database: Database, school: Person, now: datetime) -> None:
    """Six digits, which the family's host may renew, must not open a school or another family."""
    mother = await make_person(database, now)
    act = act_of(school, Role.SCHOOL_ADMIN, now)
    async with database.write() as connection:
        await begin_pin(connection, mother.account)
        secret = await invite(connection, act, Role.SCHOOL_ADMIN, "")
        with pytest.raises(Conflict):
            await accept_as(connection, secret, mother.account, now)
        assignments, _ = await read_assignments(connection, mother.account, now)
    assert [one.role for one in assignments] == [Role.FIRST_PARENT]


async def test_what_an_ended_person_offered_is_withdrawn(database: Database, school: Person, now: datetime) -> None:
    """Nobody comes back by a link made in time; what others offered stays."""
    act = act_of(school, Role.SCHOOL_ADMIN, now)
    later = replace(act, now=now + timedelta(minutes=1))
    async with database.write() as connection:
        vice = await accept(connection, await invite(connection, act, Role.SCHOOL_ADMIN, ""), "pho", "Hiệu phó", "x", "vi", now)
        own = await invite(connection, act, Role.TEACHER, "")
        back = await invite(connection, replace(act, by=by_account(vice, Role.SCHOOL_ADMIN)), Role.SCHOOL_ADMIN, "")
        (_, member) = await list_members(connection, school.tenant, later.now)
        await end_role(connection, later, member.assignment)
        assert [one.role for one in await list_waiting(connection, school.tenant, later.now)] == [Role.TEACHER]
        with pytest.raises(NotFound):
            await accept(connection, back, "lai", "Hiệu phó", "x", "vi", later.now)
        await accept(connection, own, "co-lan", "Cô Lan", "x", "vi", later.now)
