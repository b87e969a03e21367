"""The publishing duty: what was decided is enforced, whatever goes away meanwhile."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from admin.dependencies import Services
from admin.office import open_office
from admin.officeduty import OfficeDuty
from admin.settings import AdminSettings
from blocklists.takedown import store, tables
from blocklists.takedown.documents import parse_symbol
from blocklists.takedown.model import Actor, Capacity, Enforceability, Match
from blocklists.takedown.store import NewItem, NewOrder
from gateway import release
from gateway.errors import ControlError
from tests.admin.conftest import Clock
from tests.support.office import OfficeGateway, Officers


@pytest.fixture
def gateway(office_gateway: OfficeGateway) -> OfficeGateway:
    """A gateway that keeps the orders it is given."""
    return office_gateway


async def approve(services: Services, officers: Officers, host: str, days: float = 30) -> str:
    """An approved order about one name, in the database only."""
    now = services.now()
    order = NewOrder(
        parse_symbol("12/QĐ-UBND"), "UBND tỉnh", now, now + timedelta(days=days),
        items=(NewItem(host, host, Match.BOTH, Enforceability.YES),),
    )  # fmt: skip
    one, two = Actor(officers.verifier, Capacity.VERIFIER), Actor(officers.approver, Capacity.APPROVER)
    async with services.database.write() as connection:
        office = await open_office(connection, officers.tenant)
        order_id = await store.register(connection, office, order, one, now)
        await store.move_order(connection, office, order_id, "verify", one, now)
        await store.move_order(connection, office, order_id, "approve", two, now)
    return order_id


async def test_settle_puts_an_approval_in_force(services: Services, officers: Officers, gateway: OfficeGateway) -> None:
    """One turn: version written, gateway asked, receipt noted."""
    await approve(services, officers, "bad.example")
    standing = await services.office.duty.settle()
    assert standing.is_settled
    assert standing.serial == 1
    assert gateway.enforced() == {"example.bad."}


async def test_a_quiet_turn_asks_nothing(services: Services, officers: Officers, gateway: OfficeGateway) -> None:
    """When nothing changed the gateway is left in peace."""
    await approve(services, officers, "bad.example")
    await services.office.duty.settle()
    asked = len(gateway.asked)
    await services.office.duty.settle()
    assert len(gateway.asked) == asked


async def test_entries_leave_by_themselves_at_their_end(
    services: Services, officers: Officers, gateway: OfficeGateway, clock: Clock
) -> None:
    """Nobody has to remember an end."""
    await approve(services, officers, "bad.example", days=2)
    await services.office.duty.settle()
    clock.forward(days=2, seconds=1)
    await services.office.duty.settle()
    assert gateway.enforced() == set()


async def test_a_wrong_clock_ends_nothing_for_good(
    services: Services, officers: Officers, gateway: OfficeGateway, clock: Clock
) -> None:
    """A machine that wakes with a date of next year, and no time service, keeps its list and says why; right again, nothing is missing."""
    duty = services.office.duty
    duty.is_clock_kept = lambda: False
    await approve(services, officers, "bad.example", days=60)
    await duty.settle()
    clock.forward(days=400)
    for _ in range(2):
        assert (await duty.settle()).problem == "clock"
    since = duty.standing.since
    await duty.settle()
    assert duty.standing.since == since
    clock.forward(days=-400)
    assert (await duty.settle()).is_settled
    assert gateway.enforced() == {"example.bad."}
    duty.is_clock_kept = lambda: True
    clock.forward(days=61)
    assert (await duty.settle()).is_settled
    assert gateway.enforced() == set()


async def test_what_was_approved_while_the_gateway_was_away_goes_out_when_it_is_back(
    services: Services, officers: Officers, settings: AdminSettings
) -> None:
    """A dead gateway loses nothing, and the standing says honestly that it waits."""
    await approve(services, officers, "bad.example")
    assert (await services.office.duty.settle()).problem == "away"
    gateway = OfficeGateway(settings.state_dir)
    await gateway.start()
    assert (await services.office.duty.settle()).is_settled
    assert gateway.enforced() == {"example.bad."}
    await gateway.stop()


async def test_a_replaced_state_directory_gets_the_whole_list_again(
    services: Services, officers: Officers, gateway: OfficeGateway, settings: AdminSettings
) -> None:
    """A gateway that lost its segments enforces the same names again, under a new serial."""
    await approve(services, officers, "one.example")
    await services.office.duty.settle()
    await approve(services, officers, "two.example")
    await services.office.duty.settle()
    for path in (settings.state_dir / "files").glob("*.json"):
        if path.name in (gateway.orders.segments if gateway.orders else ()):
            path.unlink()
    release.commit_generation(settings.state_dir, {"orders": None}, 0.0)
    assert (await services.office.duty.settle()).is_settled
    assert gateway.enforced() == {"example.one.", "example.two."}
    assert gateway.orders is not None
    assert gateway.orders.serial == 3


async def test_a_file_of_orders_is_never_replaced_in_silence(
    services: Services, officers: Officers, gateway: OfficeGateway, settings: AdminSettings
) -> None:
    """Where a takedown file is in force it stays in force, and the standing says so."""
    name = release.write_file(settings.state_dir, {"format": 1, "orders": [], "entries": [], "lifted": []})
    release.commit_generation(settings.state_dir, {"orders": {"serial": 4, "segments": [name], "origin": "file"}}, 0.0)
    await approve(services, officers, "bad.example")
    assert (await services.office.duty.settle()).problem == "follows_file"
    assert gateway.orders is not None
    assert gateway.orders.origin == "file"


@pytest.mark.parametrize(("elsewhere", "problem"), [("follow", "follows_office"), ("file", "follows_file")])
async def test_office_stands_down_where_orders_come_from_elsewhere(
    services: Services, officers: Officers, gateway: OfficeGateway, settings: AdminSettings, elsewhere: str, problem: str
) -> None:
    """The list is written, and nothing of it goes past the signed road (or the file) of this machine's own gateway."""
    duty = OfficeDuty(services.database, services.link, settings.state_dir, services.now, elsewhere=elsewhere)
    assert (await duty.settle()).problem == ""
    await approve(services, officers, "bad.example")
    standing = await duty.settle()
    assert (standing.serial, standing.problem, standing.is_settled) == (1, problem, False)
    assert gateway.orders is None


async def test_a_refusal_of_the_gateway_is_told_and_tried_again(services: Services, officers: Officers, gateway: OfficeGateway) -> None:
    """What the gateway refuses stays waiting, with the gateway's own words."""
    gateway.refuse = ControlError("refused", "disk full")
    await approve(services, officers, "bad.example")
    assert "disk full" in (await services.office.duty.settle()).problem
    gateway.refuse = None
    assert (await services.office.duty.settle()).is_settled


async def test_a_version_that_breaks_an_assertion_stops_and_lifting_frees_the_road(
    services: Services, officers: Officers, gateway: OfficeGateway
) -> None:
    """Nothing of it goes out, the standing names the name and the age; once the entry is lifted the rest follows by itself."""
    await approve(services, officers, "bad.example")
    await services.office.duty.settle()
    await approve(services, officers, "wikipedia.org")
    standing = await services.office.duty.settle()
    assert standing.problem == "stopped"
    assert {(one.assertion.name, one.assertion.band.value) for one in standing.broken} >= {("wikipedia.org", "TH")}
    assert gateway.enforced() == {"example.bad."}
    async with services.database.write() as connection:
        office = await open_office(connection, officers.tenant)
        entry = await connection.execute(
            select(tables.entries.c.id).where(tables.entries.c.host == "wikipedia.org", tables.entries.c.tenant_id == office.tenant)
        )
        await store.move_entry(
            connection, office, str(entry.scalar()), "lift", Actor(officers.second, Capacity.APPROVER), services.now(), "nhầm"
        )
    await approve(services, officers, "worse.example")
    assert (await services.office.duty.settle()).is_settled
    assert gateway.enforced() == {"example.bad.", "example.worse."}
