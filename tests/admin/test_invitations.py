"""Links that make an officer: one use, seven days, and two officers behind each later one."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from admin.audit import MACHINE, Act, by_account
from admin.errors import Conflict, NotFound
from admin.invitations import accept, find_invitation, invite, propose, renew, second
from blocklists.database import Database
from blocklists.tables import Role
from tests.support.office import make_officers


async def test_a_link_works_once(database: Database, now: datetime) -> None:
    """The second use finds nothing."""
    people = await make_officers(database, now)
    act = Act(people.tenant, by_account(people.approver, Role.APPROVER), now)
    async with database.write() as connection:
        secret = await second(
            connection,
            Act(people.tenant, by_account(people.verifier, Role.VERIFIER), now),
            await propose(connection, act, Role.APPROVER, "20/QĐ"),
        )
        await accept(connection, secret, "moi", "Cán bộ mới", "-", "vi", now)
        with pytest.raises(NotFound):
            await find_invitation(connection, secret, now)


async def test_a_proposal_alone_opens_nothing(database: Database, now: datetime) -> None:
    """Without the second officer there is no link, and nobody seconds their own proposal."""
    people = await make_officers(database, now)
    act = Act(people.tenant, by_account(people.approver, Role.APPROVER), now)
    async with database.write() as connection:
        secret = await invite(connection, act, Role.APPROVER, "20/QĐ")
        with pytest.raises(NotFound):
            await find_invitation(connection, secret, now)
        place = await propose(connection, act, Role.VERIFIER, "21/QĐ")
        with pytest.raises(Conflict):
            await second(connection, act, place)


async def test_a_link_ends(database: Database, now: datetime) -> None:
    """After seven days it opens nothing."""
    people = await make_officers(database, now)
    one, two = (Act(people.tenant, by_account(who, Role.APPROVER), now) for who in (people.approver, people.second))
    async with database.write() as connection:
        secret = await second(connection, two, await propose(connection, one, Role.APPROVER, "20/QĐ"))
        assert (await find_invitation(connection, secret, now)).basis == "20/QĐ"
        with pytest.raises(NotFound):
            await find_invitation(connection, secret, now + timedelta(days=7, seconds=1))


async def test_set_up_link_renews_its_own_places_only(database: Database, now: datetime) -> None:
    """Whoever sets the machine up gets no link for a place that an officer proposed and nobody has agreed to."""
    people = await make_officers(database, now)
    async with database.write() as connection:
        old = await invite(connection, Act(people.tenant, MACHINE, now), Role.APPROVER, "1/QĐ")
        await propose(connection, Act(people.tenant, by_account(people.approver, Role.APPROVER), now), Role.VERIFIER, "20/QĐ")
        ((role, fresh),) = await renew(connection, people.tenant, MACHINE, now)
        assert role is Role.APPROVER
        assert (await find_invitation(connection, fresh, now)).basis == "1/QĐ"
        with pytest.raises(NotFound):
            await find_invitation(connection, old, now)
