"""A category of the lists in other people's resolvers: taken, followed through a change, closing the same names."""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from tempfile import TemporaryDirectory

import dns.asyncquery
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.zone
import pytest

from admin import categoryfeed
from admin.categoryfeed import CategoryFeed
from blocklists.categoryzone import Offer, folder_of
from blocklists.xfr import Feed, Secondary, TransferServer
from gateway import release
from gateway.policy.model import Band, Block
from gateway.policy.snapshot import Snapshot
from gateway.wire.name import key_from_text
from tests.blocklists import test_followers as followers
from tests.blocklists.test_xfr import rcode, start_named, until
from tests.support.echogateway import free_port
from tests.support.gateway import RunningUpstream
from tests.support.generation import START, Json, amend, category, good, make_generation, policy, profile

ZONE = followers.ZONE  # the name in the files that operators copy
KEY = dns.tsig.Key("follower", followers.SECRET, "hmac-sha256")
MANY = tuple(f"n{n}.many.example" for n in range(3000))
LISTS: dict[str, Json] = {
    "list": category("porn", *MANY, "bad.example", "@@ok.in.bad.example", "=alone.example", "*.below.example", "school.example"),
    "good": good("edu", "school.example"),
    "other": category("gamb", "bet.example"),
}
ASKED = [
    f"{prefix}{name}.example"
    for name in ("bad", "in.bad", "ok.in.bad", "alone", "below", "school", "bet", "n7.many", "n2999.many", "later", "free")
    for prefix in ("", "www.", "a.b.")
]  # fmt: skip


@dataclass
class Served:
    """A server with the zone of a category, and where its lists are."""

    feed: CategoryFeed
    server: TransferServer
    port: int
    told: int
    state_dir: Path

    def change(self, **lists: Json) -> None:
        """Put other lists in force."""
        amend(self.state_dir, lists={**LISTS, **lists})

    def closed_here(self) -> set[str]:
        """The names that our gateway closes by the category."""
        snapshot = Snapshot.load(self.state_dir, max(int(path.stem) for path in (self.state_dir / "generations").iterdir()))
        child = snapshot.effective(snapshot.identify(bytes([192, 0, 2, 1])), START)
        verdicts = {name: snapshot.judge(key_from_text(name), 1, child) for name in ASKED}
        return {name for name, verdict in verdicts.items() if isinstance(verdict, Block) and verdict.category == "porn"}


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    """A server that tells one follower, and to whom this machine and the key are known."""
    child = policy(profiles=[profile("TH", "be")], default_profile="be")
    state_dir = make_generation(tmp_path / "state", LISTS, policy=child)
    told = free_port()
    key = Secondary("127.0.0.1", told, "follower")
    server = TransferServer(Feed({}, {KEY.name: KEY}, [ip_network("127.0.0.0/8")], [key, Secondary("127.0.0.1", told)]))
    port = await server.start("127.0.0.1", 0)
    feed = CategoryFeed(server, [Offer(ZONE, "porn", frozenset({Band.TH}))], state_dir, lambda: datetime.now(UTC))
    yield Served(feed, server, port, told, state_dir)
    await server.stop()


async def transfer(port: int, serial: int | None = None) -> tuple[dns.zone.Zone, int]:
    """The zone, and how many octets a transfer of it takes; from a serial on where one is named."""
    query = dns.message.make_query(ZONE, "IXFR" if serial is not None else "AXFR")
    if serial is not None:
        query.authority.append(dns.rrset.from_text(f"{ZONE}.", 0, "IN", "SOA", f". . {serial} 0 0 0 0"))
    query.use_tsig(KEY)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    wire = query.to_wire()
    writer.write(len(wire).to_bytes(2) + wire)
    writer.write_eof()
    size = len(await reader.read())
    writer.close()
    zone = dns.zone.Zone(ZONE)
    await dns.asyncquery.inbound_xfr("127.0.0.1", zone, port=port)
    return zone, size


async def test_a_category_is_served_and_follows_the_lists(served: Served) -> None:
    """There is no such zone before the first look; then its names are in it, a change makes it newer, and comes as differences."""
    refused = await dns.asyncquery.tcp(dns.message.make_query(ZONE, "SOA"), "127.0.0.1", port=served.port)
    assert refused.rcode() == dns.rcode.REFUSED
    await served.feed.look()
    zone, whole = await transfer(served.port)
    assert zone.get_soa() is not None
    assert {"bad.example", "*.bad.example", "alone.example", "*.below.example"} < {str(name) for name in zone.nodes}
    assert not [name for name in zone.nodes if "school" in str(name) or "bet" in str(name)]
    before = zone.get_soa().serial
    served.change(list={**LISTS["list"], "names": [*LISTS["list"]["names"][1:], "later.example"]})
    await served.feed.look()
    zone, step = await transfer(served.port, before)
    assert zone.get_soa().serial > before
    assert {"later.example", "n0.many.example"} & {str(name) for name in zone.nodes} == {"later.example"}
    assert step < 1000 < whole, "a change of two names is some records"


async def test_what_is_served_survives_a_restart_and_a_broken_index(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    """A process that starts serves the files that are there, with the same serial; lists that cannot be read leave the zone as it is."""
    await served.feed.look()
    (zone,) = served.server.feed.zones.values()
    serial = zone.soa()[0].serial
    server = TransferServer(Feed({}))
    again = CategoryFeed(server, [Offer(ZONE, "porn", frozenset({Band.TH}))], served.state_dir, lambda: datetime.now(UTC))
    await again.look()
    (zone,) = server.feed.zones.values()
    assert zone.soa()[0].serial == serial
    served.change(list=category("porn", "worse.example"))
    for records in (served.state_dir / "index").glob("*/records.bin"):
        records.write_bytes(b"\x00")
    with caplog.at_level(logging.ERROR):
        await again.look()
    assert "a zone stays as it is" in caplog.text
    assert (zone.soa()[0].serial, (await transfer(served.port))[0].get_soa().serial) == (serial, serial)


async def test_a_list_left_out_is_told(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    """The operator reads which list is in no zone, and where to say that it may be."""
    header = next((served.state_dir / "index").glob("*/index.json"))
    text = header.read_bytes().replace(b'"licence":"CC0-1.0"', b'"licence":""')
    fresh = header.parent.with_name(release.index_name(text))
    shutil.copytree(header.parent, fresh)
    (fresh / "index.json").write_bytes(text)
    release.commit_generation(served.state_dir, {"index": fresh.name}, START)
    with caplog.at_level(logging.WARNING):
        await served.feed.look()
    assert "rpz_out.passing_on" in caplog.text
    assert not any("bad" in str(name) for name in (await transfer(served.port))[0].nodes)


async def test_a_process_that_takes_too_long_is_ended(
    served: Served, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is ended and tried again later; nothing is served meanwhile."""
    monkeypatch.setattr(categoryfeed, "LONGEST_SECONDS", 0.0)
    with caplog.at_level(logging.ERROR):
        await served.feed.look()
    assert "took too long" in caplog.text
    assert (served.server.feed.zones, folder_of(served.state_dir, ZONE).is_dir()) == ({}, False)


async def same_names(port: int, wanted: set[str], name: str) -> None:
    """A resolver closes these names and no others."""
    found = {asked for asked in ASKED if await rcode(port, asked) == dns.rcode.NXDOMAIN}
    assert found == wanted, name


@pytest.mark.full
@pytest.mark.skipif(shutil.which("named") is None, reason="BIND is not installed")
async def test_bind_follows_a_category(served: Served, tmp_path: Path) -> None:
    """A real BIND takes a category of some thousand names with its key, follows a change by NOTIFY and IXFR, and closes the same names."""
    await served.feed.look()
    with RunningUpstream(upstream=followers.Everything()) as upstream:
        (tmp_path / "named.conf").write_text(f"""
key "follower" {{ algorithm hmac-sha256; secret "{followers.SECRET}"; }};
options {{
  directory "{tmp_path}"; pid-file none; session-keyfile "{tmp_path}/session.key";
  listen-on port {served.told} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  recursion yes; dnssec-validation no; empty-zones-enable no; forward only; forwarders {{ 127.0.0.1 port {upstream.port}; }};
  response-policy {{ zone "{ZONE}" min-update-interval 0; }} qname-wait-recurse no;
}};
controls {{ }};
zone "{ZONE}" {{
  type secondary; file "rpz.copy"; masterfile-format text;
  primaries {{ 127.0.0.1 port {served.port} key "follower"; }};
  allow-notify {{ key "follower"; }};
}};
""")
        named = start_named(tmp_path)
        try:
            assert await until(served.told, "www.bad.example", dns.rcode.NXDOMAIN), (tmp_path / "named.log").read_text()[-3000:]
            await same_names(served.told, served.closed_here(), (tmp_path / "named.log").read_text()[-3000:])
            served.change(list={**LISTS["list"], "names": [*LISTS["list"]["names"][1:], "later.example", "@@www.later.example"]})
            await served.feed.look()
            assert await until(served.told, "later.example", dns.rcode.NXDOMAIN), (tmp_path / "named.log").read_text()[-3000:]
            assert "later.example" in served.closed_here() and "www.later.example" not in served.closed_here()
            await same_names(served.told, served.closed_here(), (tmp_path / "named.log").read_text()[-3000:])
            transfers = re.findall(r"Transfer completed: \d+ messages?, (\d+) records", (tmp_path / "named.log").read_text())
            assert int(transfers[0]) > 2 * len(MANY) > 100 > int(transfers[-1]), "the change is some records, not the zone"
        finally:
            named.terminate()
            named.wait(10)


@pytest.mark.full
async def test_other_resolvers_follow_a_category(served: Served) -> None:
    """Unbound, PowerDNS Recursor and Knot Resolver, set up by the files that operators copy, take the category and a change of it, and
    close the same names, exceptions left open."""
    missing = [program for program in followers.PROGRAMS.values() if shutil.which(program) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    await served.feed.look()
    with ExitStack() as stack:
        upstream = stack.enter_context(RunningUpstream(upstream=followers.Everything())).port
        short = Path(stack.enter_context(TemporaryDirectory(prefix="lachan-")))
        running = []
        for name, configure in (("unbound", followers.unbound), ("recursor", followers.recursor), ("kresd", followers.kresd)):
            folder = short / name
            folder.mkdir()
            listen = served.told if name == "unbound" else free_port()
            running.append(stack.enter_context(followers.running(name, configure(folder, listen, served.port, upstream), folder, listen)))

        async def agree(name: str) -> None:
            await asyncio.to_thread(followers.pull, short / "kresd", served.port)
            await asyncio.gather(*(one.until(name, True) for one in running))
            for one in running:
                await same_names(one.port, served.closed_here(), f"{one.name}\n{one.written()}")

        await agree("www.bad.example")
        served.change(list={**LISTS["list"], "names": [*LISTS["list"]["names"][1:], "later.example", "@@www.later.example"]})
        await served.feed.look()
        await agree("later.example")
