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


async def test_it_ends_by_itself_and_cannot_end_before_it_begins(services: Services, family: Family, now: datetime) -> None:
    """At its last moment nobody reads it any more; a day that has been is refused beside its field."""
    people = await make_officers(services.database, now)
    actor, ends = Actor(people.approver, Capacity.APPROVER), now + timedelta(hours=2)
    async with services.database.write() as connection:
        office = await open_office(connection, people.tenant)
        await add_bulletin(connection, office, actor, NewBulletin("bulletin", "Mùa hè", "", "1/KH-UBND", ends), now)
        assert len(await bulletins_for(connection, family.tenant, ends - timedelta(seconds=1))) == 1
        assert await bulletins_for(connection, family.tenant, ends) == []
        for past in (now, now - timedelta(days=1)):
            with pytest.raises(InvalidInput) as refused:
                await add_bulletin(connection, office, actor, NewBulletin("bulletin", "Mùa hè", "", "1/KH-UBND", past), now)
            assert [(one.field, one.code) for one in refused.value.mistakes] == [("ends_on", "end_passed")]


async def test_the_newest_five_are_read(services: Services, family: Family, now: datetime) -> None:
    """A home page is no archive."""
    people = await make_officers(services.database, now)
    async with services.database.write() as connection:
        office = await open_office(connection, people.tenant)
        for number in range(7):
            fresh = NewBulletin("bulletin", f"Số {number}", "", "1/KH-UBND", now + timedelta(days=9))
            await add_bulletin(connection, office, Actor(people.approver, Capacity.APPROVER), fresh, now + timedelta(minutes=number))
        told = await bulletins_for(connection, family.tenant, now + timedelta(hours=1))
    assert [row["title"] for row in told] == ["Số 6", "Số 5", "Số 4", "Số 3", "Số 2"]


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
