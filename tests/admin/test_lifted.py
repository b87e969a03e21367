"""A backup of a list office is put back: sites that were opened since by a decision stay open, and people are told."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from shutil import copyfile

import pytest
from sqlalchemy import select, update

from admin.audit import ENDINGS
from admin.backup import back_up, restore
from admin.dependencies import Services
from admin.ended import FILE, check_age, read_lines
from admin.lifted import ACTIONS, last_steps
from admin.office import open_office
from blocklists.tables import journal
from blocklists.takedown import cases, returns, store, tables
from blocklists.takedown.documents import parse_symbol
from blocklists.takedown.model import Actor, Capacity, Enforceability, Match
from blocklists.takedown.store import NewItem, Office
from tests.blocklists.takedown.test_store import letter
from tests.support.office import OfficeGateway, Officers


class Desk:
    """An office whose list blocks what is given, and its officers."""

    def __init__(self, services: Services, officers: Officers, office: Office, now: datetime) -> None:
        self.services, self.office, self.now = services, office, now
        self.verifier = Actor(officers.verifier, Capacity.VERIFIER)
        self.approver, self.second = Actor(officers.approver, Capacity.APPROVER), Actor(officers.second, Capacity.APPROVER)

    async def block(self, *hosts: str) -> None:
        """One approved order for each host, published one after the other."""
        for number, host in enumerate(hosts, 1):
            async with self.services.database.write() as connection:
                order = letter(
                    NewItem(host, host, Match.BOTH, Enforceability.YES), symbol=parse_symbol(f"{number}/QĐ-{host[0].upper()}"),
                    valid_from=self.now, valid_until=self.now + timedelta(days=60),
                )  # fmt: skip
                identity = await store.register(connection, self.office, order, self.verifier, self.now)
                await store.move_order(connection, self.office, identity, "verify", self.verifier, self.now)
                await store.move_order(connection, self.office, identity, "approve", self.approver, self.now)
            await self.services.office.duty.settle()

    async def entry(self, host: str) -> str:
        """The id of a host's entry."""
        async with self.services.database.read() as connection:
            mine = (tables.entries.c.tenant_id == self.office.tenant, tables.entries.c.host == host)
            return str((await connection.execute(select(tables.entries.c.id).where(*mine))).scalar_one())

    async def states(self) -> dict[str, str]:
        """Every entry's state."""
        async with self.services.database.read() as connection:
            mine = tables.entries.c.tenant_id == self.office.tenant
            rows = await connection.execute(select(tables.entries.c.host, tables.entries.c.state).where(mine))
            return {row.host: row.state for row in rows}

    async def open_some(self) -> str:
        """One is lifted, one by a review that was asked for since, one suspended because its review was late, one taken out by a return
        that waits for a second person; the id of that return."""
        later = self.now + timedelta(minutes=1)
        async with self.services.database.write() as connection:
            await store.move_entry(connection, self.office, await self.entry("lifted.example"), "lift", self.second, later, "tòa đã xử")
            await cases.ask_review(connection, self.office, await self.entry("judged.example"), "mistake", "", later)
            mine = tables.reviews.c.tenant_id == self.office.tenant
            review = (await connection.execute(select(tables.reviews.c.id).where(mine))).scalar_one()
            await cases.move_review(connection, self.office, review, "take", self.second, later)
            await cases.move_review(connection, self.office, review, "overturn", self.second, later, "đổi chủ")
            return await returns.go_back(connection, self.office, 3, "nhầm", self.approver, later)


@pytest.fixture
async def desk(services: Services, officers: Officers, office_gateway: OfficeGateway, now: datetime) -> Desk:
    """Four sites are blocked."""
    async with services.database.write() as connection:
        office = await open_office(connection, officers.tenant)
    desk = Desk(services, officers, office, now)
    await desk.block("kept.example", "judged.example", "lifted.example", "returned.example")
    return desk


async def settled(desk: Desk, gateway: OfficeGateway) -> set[str]:
    """What the gateway enforces after some turns of the office."""
    for _ in range(3):
        await desk.services.office.duty.settle()
    return set(gateway.enforced())


async def test_lifted_sites_stay_open_when_a_backup_is_put_back(
    desk: Desk, office_gateway: OfficeGateway, tmp_path: Path, now: datetime
) -> None:
    """By an approver and by a review; the journal has a row for each, and the page is told how many. What waited for a second person is
    closed again, and that is told."""
    database, state_dir = desk.services.database, desk.services.settings.state_dir
    backup = tmp_path / "before.backup"
    await back_up(database, state_dir, backup, now)
    await desk.open_some()
    assert await settled(desk, office_gateway) == {"example.kept."}
    done = await restore(database, state_dir, backup, now + timedelta(hours=1))
    assert (done.again.lifted, done.again.returned, done.gone) == (2, 1, ())
    assert await settled(desk, office_gateway) == {"example.kept.", "example.returned."}
    states = await desk.states()
    assert (states["lifted.example"], states["judged.example"]) == ("lifted", "lifted")
    async with database.read() as connection:
        rows = await connection.execute(select(journal.c.object_id, journal.c.actor_id).where(journal.c.action == "takedown.entry.lift"))
        assert set(rows.all()) == {(await desk.entry(host), None) for host in ("lifted.example", "judged.example")}
    again = await restore(database, state_dir, backup, now + timedelta(hours=2))
    assert (again.again.lifted, again.again.returned) == (2, 1), "the next time, too"
    assert await settled(desk, office_gateway) == {"example.kept.", "example.returned."}


async def test_lifts_are_known_where_the_database_itself_is_lost(desk: Desk, tmp_path: Path, now: datetime) -> None:
    """They are in the file beside it when the step is answered: an older copy that somebody put there is settled at the start. A return
    that was confirmed is a lift, one that was refused is nothing."""
    database, state_dir = desk.services.database, desk.services.settings.state_dir
    copy = tmp_path / "older.db"
    if not await database.copy_to(copy):
        pytest.skip("PostgreSQL has its own tools")
    waits = await desk.open_some()
    async with database.write() as connection:
        await returns.decide_return(connection, desk.office, waits, "refuse", desk.second, now + timedelta(minutes=2))
        other = await returns.go_back(connection, desk.office, 3, "nhầm thật", desk.approver, now + timedelta(minutes=3))
        await returns.decide_return(connection, desk.office, other, "confirm", desk.second, now + timedelta(minutes=4))
    opened = [await desk.entry(host) for host in ("lifted.example", "judged.example", "returned.example")]
    assert last_steps((one.action, one.object_id) for one in read_lines(state_dir)) == dict.fromkeys(opened, "lift")
    assert (state_dir / FILE).read_text().count("takedown.") >= 5
    await database.take_over(copy)
    again = await check_age(database, state_dir, now + timedelta(hours=1))
    assert again is not None and (again.lifted, again.returned) == (3, 0)
    assert await desk.states() == {
        "kept.example": "active", "judged.example": "lifted", "lifted.example": "lifted", "returned.example": "lifted",
    }  # fmt: skip


def test_last_step_counts_and_a_lift_is_for_good() -> None:
    """In the order of the journal; acts of other kinds say nothing."""
    rows = [
        ("takedown.entry.withdraw", "a"), ("takedown.entry.reinstate", "a"), ("takedown.entry.withdraw", "b"),
        ("takedown.entry.lift", "c"), ("takedown.entry.reinstate", "c"), ("takedown.entry.suspend", "d"), ("role.ended", "e"),
    ]  # fmt: skip
    assert last_steps(rows) == {"a": "reinstate", "b": "withdraw", "c": "lift", "d": "suspend"}
    assert not set(ACTIONS) & {action.value for action in ENDINGS}


async def ask(desk: Desk, host: str) -> str:
    """Somebody asks to look again at a host; an officer takes it. The review's id."""
    async with desk.services.database.write() as connection:
        await cases.ask_review(connection, desk.office, entry := await desk.entry(host), "mistake", "", desk.now)
        mine = (tables.reviews.c.tenant_id == desk.office.tenant, tables.reviews.c.entry_id == entry)
        review = str((await connection.execute(select(tables.reviews.c.id).where(*mine))).scalar_one())
        await cases.move_review(connection, desk.office, review, "take", desk.second, desk.now)
        return review


async def reviews_of(desk: Desk) -> dict[str, tuple[str, str]]:
    """Of each review its state and what its answer says."""
    table = tables.reviews
    async with desk.services.database.read() as connection:
        found = await connection.execute(select(table).where(table.c.tenant_id == desk.office.tenant))
        return {row["id"]: (row["state"], row["decision_reason"]) for row in found.mappings()}


@pytest.mark.parametrize("how", ["restored", "copied"])
async def test_reviews_that_were_decided_stay_decided(desk: Desk, tmp_path: Path, now: datetime, how: str) -> None:
    """Asked before the backup and decided after it: whoever asked reads the answer, not that somebody looks into it; nobody decides it a
    second time, and it does not become late: a site whose block was upheld is not opened by the clock. What waited then waits still."""
    database, state_dir = desk.services.database, desk.services.settings.state_dir
    async with database.write() as connection:  # documents whose number is blank: their entries are suspended by a late review
        await connection.execute(update(tables.orders).where(tables.orders.c.tenant_id == desk.office.tenant).values(number=None))
    opened, kept, waits = [await ask(desk, host) for host in ("judged.example", "kept.example", "lifted.example")]
    copy, backup = tmp_path / "older.db", tmp_path / "before.backup"
    if not await database.copy_to(copy):
        pytest.skip("PostgreSQL has its own tools")
    await back_up(database, state_dir, backup, now)
    later = now + timedelta(hours=1)
    async with database.write() as connection:
        await cases.move_review(connection, desk.office, opened, "overturn", desk.second, later, "đổi chủ")
        await cases.move_review(connection, desk.office, kept, "uphold", desk.second, later, "vẫn lừa đảo")
    for _ in range(2):  # the next time, too
        if how == "restored":
            done = (await restore(database, state_dir, backup, later)).again
        else:
            await database.take_over(copyfile(copy, tmp_path / "again.db"))
            aged = await check_age(database, state_dir, later)
            assert aged is not None
            done = aged
        assert (done.lifted, done.reviews) == (1, 2)
        found = await reviews_of(desk)
        assert [found[one][0] for one in (opened, kept, waits)] == ["overturned", "upheld", "reviewing"]
        assert "older backup" in found[opened][1] and "older backup" in found[kept][1]
    async with database.write() as connection:
        assert await cases.late_reviews(connection, desk.office, now + timedelta(hours=49)) == [(waits, "suspended")]
    states = await desk.states()
    assert (states["judged.example"], states["kept.example"] in ("active", "publishing")) == ("lifted", True)
