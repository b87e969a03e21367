"""The list for other people's resolvers follows what is in force here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from ipaddress import ip_network

import dns.asyncquery
import dns.message
import dns.name
import dns.rcode
import dns.zone
import pytest
from sqlalchemy import text

from admin.dependencies import Services
from admin.office import open_office
from admin.officefeed import ListFeed, open_feed
from admin.officereads import find_entries
from admin.rpzsettings import RpzOutSettings, TransferKey
from blocklists.takedown import store
from blocklists.takedown.model import Actor, Capacity
from gateway.settings import Endpoint
from tests.admin.test_officeduty import approve
from tests.support.echogateway import free_port
from tests.support.office import OfficeGateway, Officers

ZONE = "rpz.lachan.example"


@pytest.fixture
def gateway(office_gateway: OfficeGateway) -> OfficeGateway:
    """A gateway that keeps the orders it is given."""
    return office_gateway


@pytest.fixture
async def out() -> AsyncIterator[tuple[ListFeed, int]]:
    """A running feed that is open to this machine, and its port."""
    port = free_port()
    key = TransferKey("isp-a", "hmac-sha256", b"0123456789abcdef")
    feed = await open_feed(RpzOutSettings(Endpoint("127.0.0.1", port), ZONE, (key,), (ip_network("127.0.0.0/8"),)))
    yield feed, port
    await feed.stop()


async def transfer(port: int) -> set[str]:
    """The rules of the zone, as a resolver transfers them."""
    zone = dns.zone.Zone(ZONE)
    await dns.asyncquery.inbound_xfr("127.0.0.1", zone, port=port)
    return {str(name) for name in zone.nodes if str(name) != "@"}


async def test_the_zone_follows_a_publish_and_a_lift(
    services: Services, officers: Officers, gateway: OfficeGateway, out: tuple[ListFeed, int]
) -> None:
    """What is in force here goes out; what is lifted leaves."""
    feed, port = out
    services.office.duty.feed = feed
    await approve(services, officers, "bad.example")
    await services.office.duty.settle()
    assert await transfer(port) == {"bad.example", "*.bad.example"}
    assert feed.zone.serial == 1
    approver = Actor(officers.approver, Capacity.APPROVER)
    async with services.database.write() as connection:
        office = await open_office(connection, officers.tenant)
        (entry,) = await find_entries(connection, office, "bad.example", "in_force")
        await store.move_entry(connection, office, entry["id"], "lift", approver, services.now(), "đã dọn sạch")
    await services.office.duty.settle()
    assert await transfer(port) == set()
    assert feed.zone.serial == 2


@pytest.mark.parametrize(
    ("place", "told"), [("", {"all.example"}), ("12", {"all.example", "here.example"}), ("12.03385", {"all.example", "here.example"})]
)
async def test_a_zone_holds_what_is_for_its_place_and_nothing_masked(
    services: Services, officers: Officers, gateway: OfficeGateway, out: tuple[ListFeed, int], place: str, told: set[str]
) -> None:
    """A zone cannot tell its askers apart: an order for one province is in the zones of that province only, a masked name in none."""
    feed, port = out
    feed.place = place
    services.office.duty.feed = feed
    for host in ("all.example", "here.example", "there.example", "hidden.example"):
        await approve(services, officers, host)
    async with services.database.write() as connection:
        for host, column, value in (("here", "places", "12"), ("there", "places", "08"), ("hidden", "category", "csam")):
            one = f"(SELECT order_id FROM takedown_items WHERE host = '{host}.example')"
            await connection.execute(text(f"UPDATE takedown_orders SET {column} = '{value}' WHERE id = {one}"))
        await connection.execute(text("UPDATE takedown_entries SET category = 'csam' WHERE host = 'hidden.example'"))
    await services.office.duty.settle()
    assert {name for name in await transfer(port) if not name.startswith("*.")} == told


async def test_a_version_that_is_not_in_force_here_does_not_go_out(
    services: Services, officers: Officers, out: tuple[ListFeed, int]
) -> None:
    """While the local gateway is away other resolvers keep the last version, too."""
    feed, _ = out
    services.office.duty.feed = feed
    await approve(services, officers, "bad.example")
    await services.office.duty.settle()
    assert feed.zone.serial == 0


def test_a_key_never_shows_its_secret() -> None:
    """Settings that are printed hold no secret."""
    assert "0123" not in repr(TransferKey("isp-a", "hmac-sha256", b"0123456789abcdef"))
