"""The list for other people's resolvers follows what is in force here."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import ExitStack
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from tempfile import TemporaryDirectory

import dns.asyncquery
import dns.message
import dns.name
import dns.rcode
import dns.rrset
import dns.zone
import pytest
from sqlalchemy import text, update

from admin.backup import back_up, restore
from admin.dependencies import Services
from admin.office import open_office
from admin.officefeed import FILE, ListFeed, Outlet, open_feed
from admin.officereads import find_entries
from admin.rpzsettings import Audience, Follower, RpzOutSettings, TransferKey
from blocklists.policyzone import PolicyZone
from blocklists.takedown import store, tables
from blocklists.takedown.model import Actor, Capacity
from gateway.policy.model import Band
from gateway.settings import Endpoint, TlsSettings
from tests.admin.conftest import Clock
from tests.admin.test_officeduty import approve
from tests.blocklists.test_followers import ZONE as FOLLOWED
from tests.blocklists.test_followers import Everything, running, unbound
from tests.support.certificates import Authority, ServerCertificate
from tests.support.echogateway import free_port
from tests.support.gateway import RunningUpstream
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
    zones = ((ZONE, Audience()),)
    feed = await open_feed(RpzOutSettings(Endpoint("127.0.0.1", port), zones, (key,), (ip_network("127.0.0.0/8"),)))
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
    assert feed.outlets[0].zone.serial == 1000
    approver = Actor(officers.approver, Capacity.APPROVER)
    async with services.database.write() as connection:
        office = await open_office(connection, officers.tenant)
        (entry,) = await find_entries(connection, office, "bad.example", "in_force")
        await store.move_entry(connection, office, entry["id"], "lift", approver, services.now(), "đã dọn sạch")
    await services.office.duty.settle()
    assert await transfer(port) == set()
    assert feed.outlets[0].zone.serial == 2000


async def test_each_category_set_may_be_a_zone_of_its_own(
    services: Services, officers: Officers, gateway: OfficeGateway, out: tuple[ListFeed, int]
) -> None:
    """A resolver that wants scam alone takes the zone of scam alone."""
    feed, port = out
    feed.outlets[0].audience = Audience(categories=frozenset({"scam"}))
    services.office.duty.feed = feed
    for host in ("scam.example", "bet.example"):
        await approve(services, officers, host)
    async with services.database.write() as connection:
        await connection.execute(text("UPDATE takedown_entries SET category = 'scam' WHERE host = 'scam.example'"))
    await services.office.duty.settle()
    assert await transfer(port) == {"scam.example", "*.scam.example"}


@pytest.mark.parametrize(
    ("place", "told"), [("", {"all.example"}), ("12", {"all.example", "here.example"}), ("12.03385", {"all.example", "here.example"})]
)
async def test_a_zone_holds_what_is_for_its_place_and_nothing_masked(
    services: Services, officers: Officers, gateway: OfficeGateway, out: tuple[ListFeed, int], place: str, told: set[str]
) -> None:
    """A zone cannot tell its askers apart: an order for one province is in the zones of that province only, a masked name in none."""
    feed, port = out
    feed.outlets[0].audience = Audience(place=place)
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


async def test_an_order_of_a_later_day_waits_for_it(
    services: Services, officers: Officers, gateway: OfficeGateway, out: tuple[ListFeed, int], clock: Clock
) -> None:
    """Gateways hold the date; a zone has none, so the name comes when the day does, under a serial that secondaries take, also after a
    restart; lifted before, it never comes."""
    feed, port = out
    services.office.duty.feed = feed
    await approve(services, officers, "now.example")
    for host in ("later.example", "never.example"):
        order = await approve(services, officers, host)
        async with services.database.write() as connection:
            at = {"valid_from": clock.at + timedelta(days=1)}
            mine = (tables.orders.c.id == order, tables.orders.c.tenant_id == officers.tenant)
            await connection.execute(update(tables.orders).where(*mine).values(at))
            mine = (tables.entries.c.order_id == order, tables.entries.c.tenant_id == officers.tenant)
            await connection.execute(update(tables.entries).where(*mine).values(at))
    await services.office.duty.settle()
    serial = feed.outlets[0].zone.serial
    assert {name for name in await transfer(port) if not name.startswith("*.")} == {"now.example"}
    async with services.database.write() as connection:
        office = await open_office(connection, officers.tenant)
        (entry,) = await find_entries(connection, office, "never.example", "in_force")
        approver = Actor(officers.approver, Capacity.APPROVER)
        await store.move_entry(connection, office, entry["id"], "lift", approver, clock.at, "đã dọn sạch")
    await services.office.duty.settle()
    clock.forward(days=1, seconds=1)
    await services.office.duty.settle()
    assert {name for name in await transfer(port) if not name.startswith("*.")} == {"now.example", "later.example"}
    assert feed.outlets[0].zone.serial > serial
    again = ListFeed(feed.server, [Outlet(PolicyZone(ZONE))])
    async with services.database.read() as connection:
        office = await open_office(connection, officers.tenant)
    await again.follow(services.database, office, clock.at)
    assert again.outlets[0].zone.serial == feed.outlets[0].zone.serial


def host_names(rules: set[str]) -> set[str]:
    """Without the rules for what is below."""
    return {name for name in rules if not name.startswith("*.")}


async def differs_from(port: int, serial: int) -> set[str]:
    """A secondary that has the zone at a serial asks for what changed: the names it is told of (nothing where it is up to date)."""
    query = dns.message.make_query(ZONE, "IXFR")
    query.authority.append(dns.rrset.from_text(f"{ZONE}.", 60, "IN", "SOA", f". . {serial} 60 60 60 60"))
    answer = await dns.asyncquery.tcp(query, "127.0.0.1", port=port)
    return host_names({str(each.name.relativize(dns.name.from_text(ZONE))) for each in answer.answer} - {"@"})


async def test_a_backup_put_back_gives_the_zone_a_serial_of_its_own(
    services: Services, officers: Officers, gateway: OfficeGateway, tmp_path: Path
) -> None:
    """What the backup does not know leaves the zone while the program runs, by a difference that secondaries take; a program that starts
    later says the same under the same serial."""
    open_to, zones = (ip_network("127.0.0.0/8"),), ((ZONE, Audience()),)
    settings = RpzOutSettings(Endpoint("127.0.0.1", free_port()), zones, (), open_to)
    state_dir, port = services.settings.state_dir, settings.listen.port
    feed = services.office.duty.feed = await open_feed(settings, state_dir)
    await approve(services, officers, "one.example")
    await services.office.duty.settle()
    backup = tmp_path / "before.backup"
    await back_up(services.database, state_dir, backup, services.now())
    for host in ("two.example", "three.example"):
        await approve(services, officers, host)
        await services.office.duty.settle()
    before = feed.outlets[0].zone.serial
    assert host_names(await transfer(port)) == {"one.example", "two.example", "three.example"}
    await restore(services.database, state_dir, backup, services.now())
    for _ in range(3):
        await services.office.duty.settle()
    assert gateway.enforced() == {"example.one."}
    assert host_names(await transfer(port)) == {"one.example"}
    after = feed.outlets[0].zone.serial
    assert after > before
    assert await differs_from(port, before) == {"two.example", "three.example"} and await differs_from(port, after) == set()
    await feed.stop()
    again = services.office.duty.feed = await open_feed(settings, state_dir)
    await services.office.duty.settle()
    assert again.outlets[0].zone.serial == after and host_names(await transfer(port)) == {"one.example"}
    await again.stop()


async def test_what_a_restart_makes_of_a_zone_is_never_under_an_old_serial(
    services: Services, officers: Officers, gateway: OfficeGateway
) -> None:
    """Another audience, and a backup put back by another way while the program did not run: another content, so another serial; the same
    content again keeps the serial that it has. The next version goes on from there."""
    open_to, port, state_dir = (ip_network("127.0.0.0/8"),), free_port(), services.settings.state_dir

    async def said(audience: Audience) -> tuple[int, set[str]]:
        """What a program that starts with this audience serves."""
        settings = RpzOutSettings(Endpoint("127.0.0.1", port), ((ZONE, audience),), (), open_to)
        feed = services.office.duty.feed = await open_feed(settings, state_dir)
        await services.office.duty.settle()
        found = feed.outlets[0].zone.serial, host_names(await transfer(port))
        await feed.stop()
        return found

    children, everybody = Audience(), Audience(frozenset(Band))
    order = await approve(services, officers, "kids.example")
    async with services.database.write() as connection:
        mine = (tables.orders.c.id == order, tables.orders.c.tenant_id == officers.tenant)
        await connection.execute(update(tables.orders).where(*mine).values(bands="MN,TH,CS,PT"))
    assert await said(children) == (1000, {"kids.example"})
    assert await said(children) == (1000, {"kids.example"})
    assert await said(everybody) == (1001, set())
    assert await said(everybody) == (1001, set())
    assert await said(children) == (1002, {"kids.example"})
    await approve(services, officers, "two.example")
    assert await said(children) == (2000, {"kids.example", "two.example"})
    async with services.database.write() as connection:
        mine = (tables.entries.c.host == "two.example", tables.entries.c.tenant_id == officers.tenant)
        await connection.execute(update(tables.entries).where(*mine).values(state="expired", serial_out=2, ended_at=services.now()))
    assert await said(children) == (2001, {"kids.example"})
    (state_dir / FILE).write_text("{")
    assert await said(children) == (2000, {"kids.example"}), "what cannot be read says nothing"


async def test_a_disk_without_room_holds_no_zone_up(
    services: Services, officers: Officers, gateway: OfficeGateway, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A lift goes out although its serial cannot be written down, and that is told."""
    settings = RpzOutSettings(Endpoint("127.0.0.1", free_port()), ((ZONE, Audience()),), (), (ip_network("127.0.0.0/8"),))
    feed = services.office.duty.feed = await open_feed(settings, tmp_path / "gone")
    await approve(services, officers, "one.example")
    await services.office.duty.settle()
    assert host_names(await transfer(settings.listen.port)) == {"one.example"}
    assert "serials of policy zones not kept" in caplog.text
    await feed.stop()


SCOPES = {
    "everybody.example": {"bands": "MN,TH,CS,PT,NL,KH"}, "children.example": {}, "primary.example": {"bands": "TH"},
    "province.example": {"places": "12"}, "commune.example": {"places": "12.03385"}, "elsewhere.example": {"places": "08"},
    "school.example": {"organisations": "s1"},
}  # fmt: skip


@pytest.mark.full
@pytest.mark.skipif(shutil.which("named") is None or shutil.which("unbound") is None, reason="BIND and Unbound are not installed")
async def test_a_narrowed_order_never_blocks_everybody_at_bind_and_unbound(
    services: Services, officers: Officers, gateway: OfficeGateway
) -> None:
    """A province's BIND blocks what binds all its children, an Unbound that adults ask only what binds everybody; a lift is followed."""
    port, bind_port, unbound_port = free_port(), free_port(), free_port()
    zones = ((FOLLOWED, Audience(frozenset(Band))), (ZONE, Audience(place="12")))
    told = (Follower("127.0.0.1", unbound_port, None), Follower("127.0.0.1", bind_port, None))
    feed = await open_feed(RpzOutSettings(Endpoint("127.0.0.1", port), zones, (), (ip_network("127.0.0.0/8"),), told))
    services.office.duty.feed = feed
    for host, scope in SCOPES.items():
        order = await approve(services, officers, host)
        async with services.database.write() as connection:
            if scope:
                mine = (tables.orders.c.id == order, tables.orders.c.tenant_id == officers.tenant)
                await connection.execute(update(tables.orders).where(*mine).values(scope))
    await services.office.duty.settle()
    with ExitStack() as stack:
        upstream = stack.enter_context(RunningUpstream(upstream=Everything())).port
        short = Path(stack.enter_context(TemporaryDirectory(prefix="lachan-")))
        followers = []
        for name, configure, listen in (("unbound", unbound, unbound_port), ("bind", bind, bind_port)):
            (short / name).mkdir()
            command = configure(short / name, listen, port, upstream)
            followers.append(stack.enter_context(running(name, command, short / name, listen)))
        everyone, province = followers
        for follower in followers:
            await follower.until("everybody.example", True)
        assert {name for name in SCOPES if await everyone.blocked(f"www.{name}")} == {"everybody.example"}
        held = {name for name in SCOPES if await province.blocked(f"www.{name}")}
        assert held == {"everybody.example", "children.example", "province.example"}
        async with services.database.write() as connection:
            office = await open_office(connection, officers.tenant)
            for name in ("everybody.example", "province.example"):
                (entry,) = await find_entries(connection, office, name, "in_force")
                approver = Actor(officers.approver, Capacity.APPROVER)
                await store.move_entry(connection, office, entry["id"], "lift", approver, services.now(), "đã dọn sạch")
        await services.office.duty.settle()
        for follower in followers:
            await follower.until("everybody.example", False)
        await province.until("province.example", False)
        assert await province.blocked("children.example")
    await feed.stop()


def bind(folder: Path, port: int, primary: int, upstream: int) -> list[str]:
    """BIND that takes the province's zone and asks the upstream for the rest."""
    (folder / "named.conf").write_text(f"""
options {{
  directory "{folder}"; pid-file none; session-keyfile "{folder}/session.key";
  listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  recursion yes; dnssec-validation no; empty-zones-enable no; forward only; forwarders {{ 127.0.0.1 port {upstream}; }};
  response-policy {{ zone "{ZONE}" min-update-interval 0; }} qname-wait-recurse no;
}};
controls {{ }};
zone "{ZONE}" {{ type secondary; file "rpz.copy"; primaries {{ 127.0.0.1 port {primary}; }}; allow-notify {{ 127.0.0.1; }}; }};
""")
    return ["named", "-g", "-c", str(folder / "named.conf"), "-n", "1"]


async def test_a_version_that_is_not_in_force_here_does_not_go_out(
    services: Services, officers: Officers, out: tuple[ListFeed, int]
) -> None:
    """While the local gateway is away other resolvers keep the last version, too."""
    feed, _ = out
    services.office.duty.feed = feed
    await approve(services, officers, "bad.example")
    await services.office.duty.settle()
    assert feed.outlets[0].zone.serial == 0


async def test_a_renewed_certificate_is_served_and_a_broken_one_is_not(
    services: Services, officers: Officers, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Who connects after the files changed sees the new one, without a restart; what cannot be used is told and changes nothing."""
    authority, files = Authority(tmp_path), TlsSettings(tmp_path / "cert.pem", tmp_path / "key.pem")

    def place(made: ServerCertificate) -> str:
        shutil.copy(made.key, files.key)
        shutil.copy(made.certificate, files.certificate)
        return files.certificate.read_text()

    first, port = place(authority.vouch("dns.example")), free_port()
    secure, open_to = Endpoint("127.0.0.1", port), (ip_network("127.0.0.0/8"),)
    listen = Endpoint("127.0.0.1", free_port())
    feed = await open_feed(RpzOutSettings(listen, ((ZONE, Audience()),), (), open_to, secure_listen=secure, tls=files))
    async with services.database.read() as connection:
        office = await open_office(connection, officers.tenant)

    async def seen() -> str:
        await feed.follow(services.database, office, services.now())
        return (await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port))).replace("\r", "")

    assert (await seen()).split() == first.split()
    second = place(authority.vouch("dns.example"))
    assert (await seen()).split() == second.split() != first.split()
    files.certificate.write_text("-----BEGIN CERTIFICATE-----\nhỏng\n")
    assert (await seen()).split() == second.split()
    assert "certificate not usable, the old one stays" in caplog.text
    await feed.stop()


def test_a_key_never_shows_its_secret() -> None:
    """Settings that are printed hold no secret."""
    assert "0123" not in repr(TransferKey("isp-a", "hmac-sha256", b"0123456789abcdef"))
