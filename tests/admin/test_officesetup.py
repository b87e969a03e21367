"""The first two officers are appointed by a document, and nobody is an officer before they come."""

from __future__ import annotations

from datetime import datetime

import pytest

from admin.errors import Conflict
from admin.invitations import accept
from admin.office import find_office
from admin.officesetup import FIRST_OFFICERS, create_office, is_staffed, renew_links
from blocklists.database import Database
from tests.support.people import make_person


async def test_an_office_is_staffed_when_both_have_come(database: Database, now: datetime) -> None:
    """Two places, two links, two people."""
    async with database.write() as connection:
        links = await create_office(connection, "Sở Văn hóa", "15/QĐ", "vi", now)
        assert tuple(link.role for link in links) == FIRST_OFFICERS
        for number, link in enumerate(links):
            assert not await is_staffed(connection, now)
            await accept(connection, link.secret, f"can-bo-{number}", "Cán bộ", "-", "vi", now)
        assert await is_staffed(connection, now)


async def test_there_is_one_office_and_only_on_an_empty_machine(database: Database, now: datetime) -> None:
    """A family's machine does not become an office by a link."""
    async with database.write() as connection:
        await create_office(connection, "Sở Văn hóa", "15/QĐ", "vi", now)
        with pytest.raises(Conflict):
            await create_office(connection, "Sở khác", "16/QĐ", "vi", now)
    await make_person(database, now)
    async with database.write() as connection:
        with pytest.raises(Conflict):
            await create_office(connection, "Sở khác", "16/QĐ", "vi", now)


async def test_new_links_only_for_places_that_are_open(database: Database, now: datetime) -> None:
    """Whoever has come keeps their account; only the missing officer gets a new link."""
    async with database.write() as connection:
        links = await create_office(connection, "Sở Văn hóa", "15/QĐ", "vi", now)
        await accept(connection, links[0].secret, "mot", "Cán bộ", "-", "vi", now)
        tenant = await find_office(connection, now)
        assert tenant is not None
        fresh = await renew_links(connection, tenant, now)
    assert [link.role for link in fresh] == [links[1].role]
