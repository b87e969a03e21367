"""Transfers over real sockets: dnspython and a real BIND follow the list by AXFR, IXFR, NOTIFY and TSIG; strangers get nothing."""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.xfr
import dns.zone
import pytest

from blocklists import xfr
from blocklists.policyzone import PolicyZone
from blocklists.xfr import IDLE_SECONDS, MOST_OF_ONE, Feed, Secondary, TransferServer
from tests.support.certificates import Authority

ORIGIN = dns.name.from_text("rpz.lachan.test")
KEY = dns.tsig.Key("follower", "c2VjcmV0IG9mIHR3ZW50eS1mb3VyIQ==", "hmac-sha256")
WRONG = dns.tsig.Key("follower", "YW5vdGhlciBzZWNyZXQgYWx0b2dldGhlcg==", "hmac-sha256")


@pytest.fixture
async def server() -> AsyncIterator[tuple[TransferServer, PolicyZone, int]]:
    """A transfer server with one zone that wants the key."""
    zone = PolicyZone("rpz.lachan.test", 10, [(f"example.n{n}.", 0) for n in range(3000)])
    server = TransferServer(Feed({ORIGIN: zone}, {KEY.name: KEY}))
    port = await server.start("127.0.0.1", 0)
    yield server, zone, port
    await server.stop()


def pull(port: int, key: dns.tsig.Key | None, zone: dns.zone.Zone) -> int:
    """Bring a copy up to date as a secondary does; returns its number of names."""
    query, _ = dns.xfr.make_query(zone, keyring=key)
    dns.query.inbound_xfr("127.0.0.1", zone, query=query, port=port, timeout=5, udp_mode=dns.query.UDPMode.NEVER)
    return len(zone.nodes)


async def test_whole_zone_then_difference_follow_the_list(server: tuple[TransferServer, PolicyZone, int]) -> None:
    """A secondary takes the whole zone once, signed over many messages, and then only what changed."""
    _, zone, port = server
    copy = dns.zone.Zone(ORIGIN, relativize=False)
    assert await asyncio.to_thread(pull, port, KEY, copy) == 6001
    zone.advance(11, [("example.n5.", 0)], [("example.new.", 1)])
    assert await asyncio.to_thread(pull, port, KEY, copy) == 6000
    assert copy.get_soa().serial == 11
    assert dns.name.from_text("new.example.rpz.lachan.test") in copy
    assert dns.name.from_text("n5.example.rpz.lachan.test") not in copy


async def test_strangers_and_wrong_keys_are_refused(server: tuple[TransferServer, PolicyZone, int]) -> None:
    """Without the key, with a wrong key, or for another zone, nothing is told, not even the serial."""
    _, _, port = server
    for origin, key in ((ORIGIN, None), (ORIGIN, WRONG), (dns.name.from_text("other.test"), KEY)):
        for kind in (dns.rdatatype.AXFR, dns.rdatatype.SOA):
            query = dns.message.make_query(origin, kind)
            if key is not None:
                query.use_tsig(key)
            query.id = 7
            wire = query.to_wire()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(len(wire).to_bytes(2) + wire)
            reply = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
            assert reply[:2] == b"\x00\x07"
            assert reply[3] & 15 == dns.rcode.REFUSED
            assert reply[6:8] == b"\x00\x00"
            writer.close()


async def test_a_key_takes_the_zones_it_is_for(server: tuple[TransferServer, PolicyZone, int]) -> None:
    """A key for one zone is refused the other, its serial and its notices; a key without a scope takes both, an open network, too."""
    transfers, zone, port = server
    narrow, other = dns.tsig.Key("narrow", KEY.secret, "hmac-sha256"), PolicyZone("other.test", 3, [("example.bad.", 0)])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as told:
        told.bind(("127.0.0.1", 0))
        told.settimeout(5)
        here = Secondary("127.0.0.1", told.getsockname()[1], "narrow")
        keys = {KEY.name: KEY, narrow.name: narrow}
        transfers.feed = Feed({ORIGIN: zone, other.origin: other}, keys, (), [here], {narrow.name: frozenset({other.origin})})
        for key, origin, names in ((KEY, ORIGIN, 6001), (KEY, other.origin, 3), (narrow, other.origin, 3)):
            assert await asyncio.to_thread(pull, port, key, dns.zone.Zone(origin, relativize=False)) == names
        for kind in (dns.rdatatype.AXFR, dns.rdatatype.SOA):
            query = dns.message.make_query(ORIGIN, kind)
            query.use_tsig(narrow)
            reply = await dns.asyncquery.tcp(query, "127.0.0.1", port=port, timeout=5)
            assert (reply.rcode(), reply.answer) == (dns.rcode.REFUSED, [])
        transfers.announce(ORIGIN)
        transfers.announce(other.origin)
        notice = await asyncio.to_thread(told.recv, 4096)
        assert dns.message.from_wire(notice, keyring=keys).question[0].name == other.origin
    transfers.feed.open_to = [ipaddress.ip_network("127.0.0.0/8")]
    assert await asyncio.to_thread(pull, port, narrow, dns.zone.Zone(ORIGIN, relativize=False)) == 6001


async def test_listed_network_needs_no_key() -> None:
    """A resolver in a listed network may transfer without a key (Unbound 1.17 cannot sign)."""
    zone = PolicyZone("rpz.lachan.test", 1, [("example.bad.", 0)])
    server = TransferServer(Feed({ORIGIN: zone}, open_to=[ipaddress.ip_network("127.0.0.0/8")]))
    port = await server.start("127.0.0.1", 0)
    copy = dns.zone.Zone(ORIGIN, relativize=False)
    assert await asyncio.to_thread(pull, port, None, copy) == 3
    await server.stop()


@pytest.mark.parametrize("noise", [b"", b"\x00", b"\x00\x05hello", b"\xff\xff" + b"x" * 100, b"\x00\x0c" + b"\xff" * 12])
async def test_noise_closes_its_own_connection_only(server: tuple[TransferServer, PolicyZone, int], noise: bytes) -> None:
    """Junk on one connection leaves the server answering others."""
    _, _, port = server
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(noise)
    writer.write_eof()
    await reader.read()
    writer.close()
    copy = dns.zone.Zone(ORIGIN, relativize=False)
    assert await asyncio.to_thread(pull, port, KEY, copy) == 6001


async def test_replies_to_nothing_are_passed_over(server: tuple[TransferServer, PolicyZone, int]) -> None:
    """A message that says it is a reply gets no answer and leaves no line in the log, over either transport."""
    _, _, port = server
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    stray = dns.message.make_query(ORIGIN, dns.rdatatype.SOA)
    stray.flags |= dns.flags.QR
    wire = stray.to_wire()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(wire, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(len(wire).to_bytes(2) + wire)
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    copy = dns.zone.Zone(ORIGIN, relativize=False)
    assert await asyncio.to_thread(pull, port, KEY, copy) == 6001
    gc.collect()
    await asyncio.sleep(0)
    assert faults == []


async def test_one_address_cannot_keep_every_place() -> None:
    """Connections that ask nothing are bounded for each address; a place is free again when one of them goes."""
    zone = PolicyZone("rpz.lachan.test", 1, [("example.bad.", 0)])
    server = TransferServer(Feed({ORIGIN: zone}, {KEY.name: KEY}))
    port = await server.start("127.0.0.1", 0)
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST_OF_ONE)]
    await asyncio.sleep(0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(IDLE_SECONDS / 2):
        assert await reader.read() == b""
    writer.close()
    held.pop()[1].close()
    copy = dns.zone.Zone(ORIGIN, relativize=False)
    for _ in range(50):
        try:
            assert await asyncio.to_thread(pull, port, KEY, copy) == 3
            break
        except (EOFError, OSError, dns.exception.DNSException):
            await asyncio.sleep(0.05)
    assert copy.get_soa().serial == 1
    for _, one in held:
        one.close()
    await server.stop()


async def test_handshakes_are_counted_before_they_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections over TLS that never say hello take their address's places and no more, and lose them soon; others are served."""
    monkeypatch.setattr(xfr, "HANDSHAKE_SECONDS", 3.0)
    server = TransferServer(Feed({ORIGIN: PolicyZone("rpz.lachan.test", 1, [("example.bad.", 0)])}, {KEY.name: KEY}))
    authority = Authority(tmp_path)
    port = await server.start_tls("127.0.0.1", 0, authority.vouch("dns.example").context("dot"))
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST_OF_ONE)]
    async with asyncio.timeout(2):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b"", "one too many is closed at once"
        writer.close()
    trusting = ssl.create_default_context(cafile=str(authority.file))
    trusting.set_alpn_protocols(["dot"])

    async def serial(source: str) -> int:
        where = {"ssl": trusting, "server_hostname": "dns.example", "local_addr": (source, 0)}
        reader, writer = await asyncio.open_connection("127.0.0.1", port, **where)  # type: ignore[arg-type]
        query = dns.message.make_query(ORIGIN, "SOA")
        query.use_tsig(KEY)
        wire = query.to_wire()
        writer.write(len(wire).to_bytes(2) + wire)
        reply = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
        writer.close()
        return int(dns.message.from_wire(reply, keyring={KEY.name: KEY}, request_mac=query.mac).answer[0][0].serial)

    assert await serial("127.0.0.2") == 1, "another address has its own places"
    async with asyncio.timeout(20):
        assert [await one.read() for one, _ in held] == [b""] * MOST_OF_ONE, "who never says hello is hung up on"
        await asyncio.gather(*server._handshakes)
    assert await serial("127.0.0.1") == 1
    for _, one in held:
        one.close()
    await server.stop()


def free_port() -> int:
    """A loopback port free for TCP and UDP."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as holder:
        holder.bind(("127.0.0.1", 0))
        port: int = holder.getsockname()[1]
        return port


async def rcode(port: int, name: str) -> dns.rcode.Rcode | None:
    """The rcode a resolver gives for a name, or None while it is not up."""
    query = dns.message.make_query(name, "A")
    try:
        reply = await dns.asyncquery.udp(query, "127.0.0.1", port=port, timeout=1)
    except (OSError, dns.exception.Timeout):
        return None
    return reply.rcode()


async def until(port: int, name: str, wanted: dns.rcode.Rcode, seconds: float = 20) -> bool:
    """Wait until a resolver answers a name with this rcode."""
    for _ in range(int(seconds * 10)):
        if await rcode(port, name) == wanted:
            return True
        await asyncio.sleep(0.1)
    return False


def start_named(folder: Path) -> subprocess.Popen[bytes]:
    """Start the BIND whose configuration lies in the folder."""
    with (folder / "named.log").open("wb") as log:
        return subprocess.Popen(["named", "-g", "-c", str(folder / "named.conf"), "-n", "1"], stdout=log, stderr=log)


@pytest.mark.full
@pytest.mark.skipif(shutil.which("named") is None, reason="BIND is not installed")
@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
async def test_bind_follows_a_publish_and_a_lift(tmp_path: Path, tls: bool) -> None:
    """A real BIND takes the zone with TSIG, follows a publish by NOTIFY and IXFR, blocks the same names, and frees a lifted one; over TLS,
    too, where it checks our name. An order about a name below another's opens nothing between the two."""
    port = free_port()
    zone = PolicyZone("rpz.lachan.test", 1, [("example.bad.", 0), ("example.bad.in.www.", 0)])
    feed = Feed({ORIGIN: zone}, {KEY.name: KEY}, secondaries=[Secondary("127.0.0.1", port, "follower")])
    server = TransferServer(feed)
    primary = await server.start("127.0.0.1", 0)
    authority = Authority(tmp_path)
    if tls:
        primary = await server.start_tls("127.0.0.1", 0, authority.vouch("dns.example").context("dot"))
    (tmp_path / "named.conf").write_text(f"""
tls strict {{ ca-file "{authority.file}"; remote-hostname "dns.example"; }};
key "follower" {{ algorithm hmac-sha256; secret "c2VjcmV0IG9mIHR3ZW50eS1mb3VyIQ=="; }};
options {{
  directory "{tmp_path}"; pid-file none; session-keyfile "{tmp_path}/session.key";
  listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  recursion yes; dnssec-validation no; empty-zones-enable no;
  response-policy {{ zone "rpz.lachan.test" min-update-interval 0; }} qname-wait-recurse no;
}};
controls {{ }};
zone "open.example" {{ type primary; file "open.zone"; }};
zone "rpz.lachan.test" {{
  type secondary; file "rpz.copy"; masterfile-format text;
  primaries {{ 127.0.0.1 port {primary} key "follower" {"tls strict" if tls else ""}; }};
  allow-notify {{ key "follower"; }};
}};
""")
    (tmp_path / "open.zone").write_text("$TTL 60\n@ SOA localhost. root.localhost. 1 60 60 60 60\n@ NS localhost.\nwww A 192.0.2.1\n")
    named = start_named(tmp_path)
    try:
        nxdomain, noerror = dns.rcode.NXDOMAIN, dns.rcode.NOERROR
        assert await until(port, "www.bad.example", nxdomain), (tmp_path / "named.log").read_text()[-3000:]
        assert await until(port, "www.open.example", noerror)
        assert await rcode(port, "other.in.bad.example") == nxdomain, "a wildcard ends at a name below it (RFC 4592)"
        zone.advance(2, [], [("example.open.", 0)])
        server.announce(ORIGIN)
        assert await until(port, "www.open.example", nxdomain)
        zone.advance(3, [("example.open.", 0)], [])
        server.announce(ORIGIN)
        assert await until(port, "www.open.example", noerror)
    finally:
        named.terminate()
        named.wait(10)
        await server.stop()
