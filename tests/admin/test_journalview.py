"""The names beside the rows of a journal: of this place alone, of today."""

from __future__ import annotations

from sqlalchemy import update

from admin.audit import Act, read_rows
from admin.dependencies import Services
from admin.journalview import read_names
from admin.tables import profiles
from tests.support.family import Family
from tests.support.people import make_person


async def test_names_are_those_of_this_place_and_of_today(services: Services, family: Family, act: Act) -> None:
    """Who acted, children, devices, as they are called now; nobody who has no role here, though a row names the id."""
    stranger = await make_person(services.database, act.now, "khac")
    async with services.database.write() as connection:
        own = (profiles.c.tenant_id == family.tenant, profiles.c.id == family.bi.id)
        await connection.execute(update(profiles).where(*own).values(label="Bi lớn"))
        rows = await read_rows(connection, family.tenant, 100)
        found = await read_names(connection, family.tenant, rows)
        assert found.things[family.bi.id] == "Bi lớn" and found.things[family.bi_phone]
        assert set(found.people) <= {family.account}
        elsewhere = await read_names(connection, stranger.tenant, rows)
        assert (dict(elsewhere.people), dict(elsewhere.things)) == ({}, {})
