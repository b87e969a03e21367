"""Organisations, accounts and roles are data with dates."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from admin.audit import MACHINE, Act
from admin.errors import Conflict, InvalidInput
from admin.sessions import read_assignments
from admin.tables import policies, tenant_keys
from admin.tenants import create_account, create_organisation, fold_sign_in, grant_role, is_empty, mark_changed
from blocklists.database import Database
from blocklists.tables import EVERY_TENANT, OrganisationKind, Role
from tests.support.people import make_person


async def test_is_empty_until_somebody_has_an_account(database: Database, now: datetime) -> None:
    """The one-time set-up is open exactly until the first account exists."""
    async with database.read() as connection:
        assert await is_empty(connection)
    await make_person(database, now)
    async with database.read() as connection:
        assert not await is_empty(connection)


async def test_create_organisation_has_a_key_and_a_policy_to_apply(database: Database, now: datetime) -> None:
    """A new tenant starts with a digest key of its own and a first revision that the gateway has not seen."""
    person = await make_person(database, now)
    async with database.read() as connection:
        key = (await connection.execute(select(tenant_keys.c.digest_key).where(tenant_keys.c.tenant_id == person.tenant))).scalar_one()
        policy = (await connection.execute(select(policies).where(policies.c.tenant_id == person.tenant))).one()
    assert len(key) == 32
    assert (policy.revision, policy.applied_revision) == (1, 0)


async def test_create_account_takes_each_sign_in_name_once(database: Database, now: datetime) -> None:
    """The same name in another case or composition is the same name."""
    await make_person(database, now, sign_in="MẹLan")
    with pytest.raises(Conflict) as caught:
        async with database.write() as connection:
            await create_account(connection, "ME\u0323lan", "x", "x", "vi", now)
    assert caught.value.field == "sign_in"


@pytest.mark.parametrize("sign_in", ["", "a", "x" * 65, "tab\there", "two words"])
async def test_create_account_refuses_odd_sign_in_names(database: Database, now: datetime, sign_in: str) -> None:
    """A sign-in name is 2 to 64 signs without spaces."""
    with pytest.raises(InvalidInput):
        async with database.write() as connection:
            await create_account(connection, sign_in, "x", "x", "vi", now)


def test_fold_sign_in_makes_equal_names_equal() -> None:
    """Case, full-width letters and decomposed Vietnamese are folded."""
    assert fold_sign_in(" BaMẹ ") == fold_sign_in("bame\u0323") == fold_sign_in("\uff42\uff41\uff4d\u1eb9")


async def test_roles_hold_between_their_dates(database: Database, now: datetime) -> None:
    """A role begins and ends by date; nothing needs to be deleted."""
    async with database.write() as connection:
        school = await create_organisation(connection, OrganisationKind.SCHOOL, "Trường", "vi", now)
        account = await create_account(connection, "thay", "Thầy", "x", "vi", now)
        await grant_role(connection, Act(school, MACHINE, now), account, Role.TEACHER, until=now + timedelta(days=30), basis="12/QĐ")
    async with database.read() as connection:
        held = [bool((await read_assignments(connection, account, now + timedelta(days=days)))[0]) for days in (-1, 0, 29, 30, 31)]
    assert held == [False, True, True, False, False]


async def test_mark_changed_raises_the_revision_of_one_tenant(database: Database, now: datetime) -> None:
    """A change in one family asks the gateway for one policy file, not for everybody's."""
    one, other = await make_person(database, now), await make_person(database, now, sign_in="ba")
    async with database.write() as connection:
        await mark_changed(connection, Act(one.tenant, MACHINE, now))
    async with database.read() as connection:
        rows = (await connection.execute(select(policies.c.tenant_id, policies.c.revision).execution_options(**EVERY_TENANT))).all()
    revisions = {row.tenant_id: row.revision for row in rows}
    assert (revisions[one.tenant], revisions[other.tenant]) == (2, 1)
