"""Bulletins reach the home page of families, warn without blocking, and hold nothing of a person."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from admin.dependencies import Services
from admin.errors import InvalidInput, NotFound
from admin.office import open_office
from admin.officebulletins import NewBulletin, add_bulletin, bulletins_for, end_bulletin
from blocklists.takedown.model import Actor, Capacity
from tests.support.family import Family
from tests.support.office import make_officers


async def test_a_family_sees_it_until_it_is_taken_down(services: Services, family: Family, now: datetime) -> None:
    """What is for everybody stands on the family's side; taken down once, it cannot be taken down again."""
    people = await make_officers(services.database, now)
    actor = Actor(people.approver, Capacity.APPROVER)
    fresh = NewBulletin("bulletin", "Mùa hè an toàn", "Cùng con đặt giờ.", "2886/BTTTT-PTTH&TTĐT", now + timedelta(days=60))
    async with services.database.write() as connection:
        office = await open_office(connection, people.tenant)
        made = await add_bulletin(connection, office, actor, fresh, now)
        assert [row["title"] for row in await bulletins_for(connection, family.tenant, now)] == ["Mùa hè an toàn"]
        await end_bulletin(connection, office, actor, made, now)
        assert await bulletins_for(connection, family.tenant, now + timedelta(seconds=1)) == []
        with pytest.raises(NotFound):
            await end_bulletin(connection, office, actor, made, now + timedelta(seconds=1))


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": "gọi 0912345678"},
        {"title": "em ở lớp 7A"},
        {"text": "xem bad.example/trang"},
        {"symbol": "không số"},
        {"place": "Hà Nội"},
        {"host": "103.21.244.7"},
    ],
)
async def test_it_holds_no_person_no_path_and_no_address(services: Services, now: datetime, wrong: dict[str, str]) -> None:
    """Each is refused beside its field and nothing is stored."""
    people = await make_officers(services.database, now)
    values = {"kind": "advisory", "title": "Cẩn thận", "text": "", "symbol": "1/KH-UBND", "host": "a.example"} | wrong
    fresh = NewBulletin(**values, ends_at=now + timedelta(days=1))  # type: ignore[arg-type]
    async with services.database.write() as connection:
        office = await open_office(connection, people.tenant)
        with pytest.raises(InvalidInput):
            await add_bulletin(connection, office, Actor(people.approver, Capacity.APPROVER), fresh, now)
