"""Candidates: families and look-alikes among other people's lists, the queue, the history of a source; never enforced by themselves."""

from __future__ import annotations

from datetime import datetime

import pytest
from sqlalchemy import func, select

from admin.office import open_office
from blocklists.database import Database
from blocklists.guard import Guard
from blocklists.normalize import key_of_name
from blocklists.takedown import candidates, tables
from blocklists.takedown.candidates import Found, History, brand_of, relatives
from blocklists.takedown.candidatetables import Origin
from blocklists.takedown.model import Actor, Capacity, NotFound, TransitionRefused
from tests.admin.conftest import database, migrated_file, now, storage
from tests.support.office import Officers, make_officers
from tests.support.shippedcatalogue import load

__all__ = ["database", "migrated_file", "now", "storage"]


@pytest.fixture
async def officers(database: Database, now: datetime) -> Officers:
    return await make_officers(database, now)


def key(name: str) -> str:
    return key_of_name(name)


@pytest.mark.parametrize(
    ("name", "brand"),
    [("b52club.vip", "bclub"), ("b52club-7.net", "bclub"), ("tin-tuc.com.vn", "tintuc"), ("789.club", ""), ("abc.example", "")],
)
def test_brand_is_what_stays_without_digits(name: str, brand: str) -> None:
    """Short and numeric labels say nothing."""
    assert brand_of(key(name)) == brand


def test_families_and_lookalikes_of_listed_names() -> None:
    """The same brand with another number or ending is family, one letter apart is a look-alike, the rest is left alone."""
    listed = {key("kubetvip.example"): "gamb"}
    others = [(key(name), "danh sách A") for name in ("kubetvip88.example", "kubetvip.test", "kubettvip.example", "sach-giao-khoa.example")]
    found = relatives(listed, [*others, (key("kubetvip.example"), "danh sách A")])
    assert [(one.host, one.origin) for one in found] == [
        ("kubetvip88.example", Origin.FAMILY), ("kubetvip.test", Origin.FAMILY), ("kubettvip.example", Origin.LOOKALIKE),
    ]  # fmt: skip
    assert {one.evidence for one in found} == {"kubetvip.example · danh sách A"}
    assert {one.category for one in found} == {"gamb"}


async def test_queue_is_decided_by_a_person_and_the_source_has_a_history(database: Database, officers: Officers, now: datetime) -> None:
    """Protected and known names never queue; taking one makes a report and no entry; refusing needs a reason and counts."""
    guard = Guard.of(load())
    actor = Actor(officers.verifier, Capacity.VERIFIER)
    names = ("ca-do-1.example", "ca-do-2.example", "vn-cop.vn", "facebook.com", "truong.edu.vn")
    found = [Found(name, "gamb", Origin.LIST, "danh sách A", "danh sách A") for name in names]
    async with database.write() as connection:
        office = await open_office(connection, officers.tenant)
        assert await candidates.add_found(connection, office, found, guard, actor, now) == (2, 0, 0, 3)
        assert await candidates.add_found(connection, office, found, guard, actor, now) == (0, 0, 2, 3)
        order = [Found("x.example", code, Origin.LIST, "A", "") for code in ("order", "dist", "csam")]
        assert await candidates.add_found(connection, office, order, guard, actor, now) == (0, 0, 0, 0)
        first, second = await candidates.waiting(connection, office)
        report = await candidates.decide(connection, office, first["id"], "take", "", actor, now)
        with pytest.raises(TransitionRefused, match="reason"):
            await candidates.decide(connection, office, second["id"], "refuse", "", actor, now)
        await candidates.decide(connection, office, second["id"], "refuse", "trang bán hàng", actor, now)
        with pytest.raises(NotFound):
            await candidates.decide(connection, office, second["id"], "take", "", actor, now)
        entries = (await connection.execute(select(func.count()).where(tables.entries.c.tenant_id == office.tenant))).scalar_one()
        told = select(tables.reports.c.host, tables.reports.c.state).where(
            tables.reports.c.id == report, tables.reports.c.tenant_id == office.tenant
        )
        assert tuple((await connection.execute(told)).one()) == ("ca-do-1.example", "received")
        assert entries == 0
        assert (await candidates.histories(connection, office))["list", "danh sách A"] == History(taken=1, refused=1)
