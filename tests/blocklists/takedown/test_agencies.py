"""Bodies of the state with dates: the issuer as of its date, successors that a person chooses, roles that move with a name."""

from __future__ import annotations

from dataclasses import fields
from datetime import date, datetime
from unicodedata import normalize

import pytest

from admin.office import open_office
from blocklists.database import Database
from blocklists.takedown import agencies, store
from blocklists.takedown.agencytables import AgencyRole
from blocklists.takedown.documents import PartialDate, parse_symbol
from blocklists.takedown.model import Actor, Capacity
from blocklists.takedown.store import NewOrder
from blocklists.takedown.workflow import TransitionRefused
from tests.admin.conftest import database, migrated_file, now, storage
from tests.support.office import Officers, make_officers
from tests.support.seedagencies import SEED_AGENCIES, SeedAgency, keep_seed_agencies

__all__ = ["database", "migrated_file", "now", "storage"]

THEN, TODAY = date(2024, 8, 1), date(2026, 8, 1)


@pytest.fixture
async def officers(database: Database, now: datetime) -> Officers:
    return await make_officers(database, now)


def actor(officers: Officers) -> Actor:
    return Actor(officers.approver, Capacity.APPROVER)


def new_order(issuer: str, issued: PartialDate, now: datetime) -> NewOrder:
    return NewOrder(parse_symbol("12/QĐ-STTTT"), issuer, now, None, issued_on=issued)


def test_fixtures_keep_office_and_capacity_and_no_person() -> None:
    """The fixtures have no column that a name of a person could stand in."""
    assert {field.name for field in fields(SeedAgency)} == {"name", "kind", "place", "until", "since", "successors"}
    assert all(one.name.startswith(("Ủy ban", "Sở", "Công an")) for one in SEED_AGENCIES)


async def test_issuer_is_the_body_of_the_day_of_the_document(database: Database, officers: Officers, now: datetime) -> None:
    """A letter of 2024 by the communications department is right whatever that department is called today; one of 2026 is asked about."""
    async with database.write() as connection:
        office = await open_office(connection, officers.tenant)
        ids = await keep_seed_agencies(connection, office, actor(officers), now)
        letterhead = normalize("NFD", "ỦY BAN NHÂN DÂN TỈNH LAI CHÂU - SỞ THÔNG TIN VÀ TRUYỀN THÔNG TỈNH LAI CHÂU")
        order = await store.register(connection, office, new_order(letterhead, PartialDate(2024, 8, None), now), actor(officers), now)
        row = await store.order_row(connection, office, order)
        assert row["issuer_id"] == ids["Sở Thông tin và Truyền thông tỉnh Lai Châu"]
        assert row["issuer"] == "Sở Thông tin và Truyền thông tỉnh Lai Châu"
        with pytest.raises(TransitionRefused, match=r"Choose its successor: Công an .*, Sở Khoa học .*, Sở Văn hóa"):
            await store.register(connection, office, new_order("Sở Thông tin và Truyền thông tỉnh Lai Châu", PartialDate(2026, 8, 1), now),
                                 actor(officers), now)  # fmt: skip


async def test_a_body_that_the_office_does_not_keep_refuses_nothing(database: Database, officers: Officers, now: datetime) -> None:
    """The list of bodies helps; it is no wall."""
    async with database.write() as connection:
        office = await open_office(connection, officers.tenant)
        order = await store.register(connection, office, new_order("Sở Nào Đó", PartialDate(2026, 8, 1), now), actor(officers), now)
        row = await store.order_row(connection, office, order)
        assert (row["issuer_id"], row["issuer"]) == (None, "Sở Nào Đó")


async def test_renaming_is_data_and_takes_the_roles_along(database: Database, officers: Officers, now: datetime) -> None:
    """The list owner under a new name holds the role from the day of the name; on a day before, the old one does."""
    async with database.write() as connection:
        office = await open_office(connection, officers.tenant)
        ids = await keep_seed_agencies(connection, office, actor(officers), now)
        owner = ids["Sở Văn hóa, Thể thao và Du lịch tỉnh Lai Châu"]
        await agencies.give_role(
            connection, office, actor(officers), AgencyRole.LIST_OWNER, owner, date(2025, 3, 1), "15/QĐ-UBND", now, place="12"
        )
        first = date(2026, 5, 1)
        await agencies.rename_agency(connection, office, actor(officers), owner, first, "Sở Văn hóa và Thể thao", "SVHTT", "", now)
        names = [
            [row["name"] for row in await agencies.holders(connection, office, AgencyRole.LIST_OWNER, day, "12")]
            for day in (date(2025, 2, 1), date(2025, 4, 1), date(2026, 5, 1))
        ]
        found = await agencies.find_named(connection, office, "svhtt", TODAY)
    assert names == [[], ["Sở Văn hóa, Thể thao và Du lịch tỉnh Lai Châu"], ["Sở Văn hóa và Thể thao"]]
    assert found.agency is not None


@pytest.mark.parametrize(("first", "second"), [("Sở Văn hoá", "SỞ  VĂN HÓA"), ("Công an tỉnh Đắk Lắk", "cong an tinh dak lak")])
def test_spellings_of_one_name_are_the_same(first: str, second: str) -> None:
    """Tone marks before or after, case and spaces do not make another body."""
    assert agencies.fold(first) == agencies.fold(second)
