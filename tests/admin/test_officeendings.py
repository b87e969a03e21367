"""Which role of an office may end: a verifier and an approver who are two people always stay."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from admin.audit import Act, by_account
from admin.dependencies import Services
from admin.officeendings import end_officer, read_asked, require_enough
from admin.people import Member, list_members
from admin.tenants import grant_role
from blocklists.database import Database
from blocklists.tables import AccountId, Role
from blocklists.takedown.workflow import TransitionRefused
from tests.support.office import Officers

NOW = datetime(2026, 10, 12, 12, 30, tzinfo=UTC)


def member(place: str, account: str, role: Role, until: datetime | None = None) -> Member:
    return Member(place, AccountId(account), account, role, NOW, until)


VERIFIER, APPROVER = member("1", "a", Role.VERIFIER), member("2", "b", Role.APPROVER)


@pytest.mark.parametrize(
    ("staying", "leaving", "may"),
    [
        ([VERIFIER, APPROVER], member("3", "c", Role.APPROVER), True),
        ([VERIFIER], APPROVER, False),
        ([APPROVER], VERIFIER, False),
        ([APPROVER, member("3", "b", Role.VERIFIER)], VERIFIER, False),
        ([APPROVER, member("3", "b", Role.VERIFIER), member("4", "c", Role.APPROVER)], VERIFIER, True),
        ([VERIFIER, member("3", "c", Role.APPROVER, NOW)], APPROVER, False),
        ([], member("3", "c", Role.OBSERVER), True),
    ],
    ids=["third", "last approver", "last verifier", "one person in both", "three of two roles", "who stays leaves soon", "observer"],
)
def test_two_people_stay(staying: list[Member], leaving: Member, may: bool) -> None:
    """The last verifier and the last approver stay, counted as people."""
    if may:
        require_enough([*staying, leaving], leaving)
        return
    with pytest.raises(TransitionRefused):
        require_enough([*staying, leaving], leaving)


async def test_who_is_no_officer_any_more_asks_for_nothing(
    services: Services, database: Database, officers: Officers, now: datetime
) -> None:
    """What a person asked for ends with their own role: the next officer who wants the same is the first of two again."""
    state = services.settings.state_dir

    def by(account: AccountId, role: Role) -> Act:
        return Act(officers.tenant, by_account(account, role), now)

    async with database.write() as connection:
        verifier = by(officers.verifier, Role.VERIFIER)
        leaving, staying = [one for one in await list_members(connection, officers.tenant, now) if one.role is Role.APPROVER]
        await grant_role(connection, verifier, staying.account, Role.VERIFIER, basis="9/QĐ-SVHTTDL")
        members = await list_members(connection, officers.tenant, now)
    wanted = next(one for one in members if one.account == staying.account and one.role is Role.VERIFIER)
    assert not await end_officer(database, by(leaving.account, Role.APPROVER), state, wanted.assignment, "1/QĐ-SVHTTDL")
    assert not await end_officer(database, by(staying.account, Role.APPROVER), state, leaving.assignment, "2/QĐ-SVHTTDL")
    assert await end_officer(database, verifier, state, leaving.assignment, "")
    later = replace(verifier, now=now + timedelta(minutes=1))
    assert not await end_officer(database, later, state, wanted.assignment, "3/QĐ-SVHTTDL")
    assert (await read_asked(state, later.now))[wanted.assignment].account == officers.verifier


async def test_two_officers_who_ask_at_the_same_moment_are_both_heard(
    services: Services, database: Database, officers: Officers, now: datetime
) -> None:
    """Each asks for the end of another role; neither request is lost."""
    state = services.settings.state_dir

    def by(account: AccountId, role: Role) -> Act:
        return Act(officers.tenant, by_account(account, role), now)

    async with database.write() as connection:
        members = await list_members(connection, officers.tenant, now)
        first, second = [one for one in members if one.role is Role.APPROVER]
        await grant_role(connection, by(officers.verifier, Role.VERIFIER), first.account, Role.OBSERVER, basis="9/QĐ-SVHTTDL")
        members = await list_members(connection, officers.tenant, now)
    observer = next(one for one in members if one.role is Role.OBSERVER)
    await asyncio.gather(
        end_officer(database, by(officers.verifier, Role.VERIFIER), state, observer.assignment, "1/QĐ-SVHTTDL"),
        end_officer(database, by(first.account, Role.APPROVER), state, second.assignment, "2/QĐ-SVHTTDL"),
    )
    assert set(await read_asked(state, now)) == {observer.assignment, second.assignment}
