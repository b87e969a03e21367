"""Who may say whose list this machine follows."""

from __future__ import annotations

from datetime import datetime

import pytest

from admin.audit import MACHINE, Act
from admin.errors import InvalidInput
from admin.following import keeps_machine, read_code
from admin.permissions import Actor, Assignment
from admin.tenants import create_account, create_organisation, grant_role
from blocklists.database import Database
from blocklists.tables import OrganisationKind, Role
from tests.support.family import Family
from tests.support.office import stored_password


async def test_the_one_family_of_a_machine_keeps_it_until_others_share_it(database: Database, family: Family, now: datetime) -> None:
    """Alone, whoever runs the family; later only the operator, and never a further parent."""
    first, further = (Actor(family.account, "", (Assignment(family.tenant, role),)) for role in (Role.FIRST_PARENT, Role.PARENT))
    async with database.read() as connection:
        assert await keeps_machine(connection, first, family.tenant)
        assert not await keeps_machine(connection, further, family.tenant)
    stored = await stored_password()
    async with database.write() as connection:
        machine = await create_organisation(connection, OrganisationKind.OPERATOR, "Trung tâm", "vi", now)
        account = await create_account(connection, "keeper", "Người vận hành", stored, "vi", now)
        await grant_role(connection, Act(machine, MACHINE, now), account, Role.OPERATOR)
        assert not await keeps_machine(connection, first, family.tenant)
        assert await keeps_machine(connection, Actor(account, "", (Assignment(machine, Role.OPERATOR),)), machine)


def test_a_code_that_is_none_names_its_field() -> None:
    """Whatever was typed."""
    for text in ("", "abc", "https://danhsach.example/release", "x" * 10_000):
        with pytest.raises(InvalidInput) as refused:
            read_code(text)
        assert [(one.field, one.code) for one in refused.value.mistakes] == [("code", "office_code")]
