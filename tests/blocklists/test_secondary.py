"""A zone pulled into a file: whole, by difference, signed; whatever goes wrong, the file stays."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.xfr
import dns.zone
import pytest

from blocklists.policyzone import PolicyZone
from blocklists.secondary import Bounds, PullError, pull, read_key, soa_of_copy
from blocklists.xfr import Feed, TransferServer
from blocklists.zonesettings import TlsPrimary
from gateway.settings import Endpoint
from tests.support.certificates import Authority

ZONE = "rpz.lachan.test"
ORIGIN = dns.name.from_text(ZONE)
KEY = dns.tsig.Key("follower", "c2VjcmV0IG9mIHR3ZW50eS1mb3VyIQ==", "hmac-sha256")
WRONG = dns.tsig.Key("follower", "YW5vdGhlciBzZWNyZXQgYWx0b2dldGhlcg==", "hmac-sha256")


@pytest.fixture
async def primary() -> AsyncIterator[tuple[PolicyZone, Endpoint]]:
    """A list of two thousand names that wants the key."""
    zone = PolicyZone(ZONE, 10, [(f"example.n{n}.", 0) for n in range(2000)])
    server = TransferServer(Feed({ORIGIN: zone}, {KEY.name: KEY}))
    port = await server.start("127.0.0.1", 0)
    yield zone, Endpoint("127.0.0.1", port)
    await server.stop()


async def test_file_follows_the_list(primary: tuple[PolicyZone, Endpoint], tmp_path: Path) -> None:
    """The first pull writes the whole zone with the SOA first, the next one what changed, one without news nothing."""
    zone, source = primary
    target = tmp_path / "deep" / "rpz.zone"
    first = await asyncio.to_thread(pull, source, ZONE, target, KEY)
    assert (first.serial, first.records, first.changed) == (10, 4000, True)
    assert " SOA " in target.read_text().splitlines()[0]
    zone.advance(11, [("example.n5.", 0)], [("example.new.", 1)])
    second = await asyncio.to_thread(pull, source, ZONE, target, KEY)
    assert (second.serial, second.records, second.changed) == (11, 3999, True)
    copy = dns.zone.from_file(str(target), ORIGIN, relativize=False)
    assert copy.get_node(dns.name.from_text("new.example", ORIGIN)) is not None
    assert copy.get_node(dns.name.from_text("n5.example", ORIGIN)) is None
    written = target.stat().st_mtime_ns
    assert not (await asyncio.to_thread(pull, source, ZONE, target, KEY)).changed
    assert target.stat().st_mtime_ns == written
    assert [path.name for path in target.parent.iterdir()] == ["rpz.zone"]


async def test_damaged_copy_is_fetched_again(primary: tuple[PolicyZone, Endpoint], tmp_path: Path) -> None:
    """A file cut by hand or by a full disk is no reason to stop following."""
    _, source = primary
    target = tmp_path / "rpz.zone"
    target.write_bytes(b"\xff rpz.lachan.test. 60 IN SO")
    assert (await asyncio.to_thread(pull, source, ZONE, target, KEY)).records == 4000


@pytest.mark.parametrize("key", [None, WRONG])
async def test_refusal_leaves_the_file(primary: tuple[PolicyZone, Endpoint], tmp_path: Path, key: dns.tsig.Key | None) -> None:
    """Without the right key nothing comes and the old file stays."""
    _, source = primary
    target = tmp_path / "rpz.zone"
    target.write_text("old")
    with pytest.raises(PullError):
        await asyncio.to_thread(pull, source, ZONE, target, key)
    assert target.read_text() == "old"


@pytest.mark.parametrize("signs_first", [False, True])
@pytest.mark.parametrize("knows", [False, True])
async def test_unsigned_zone_is_refused_where_a_key_is_set(
    tmp_path: Path, knows: bool, signs_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who sits in between leaves the signature away, of all messages or of all but the first (RFC 8945 §5.3.1).

    The check is ours: dnspython has its own only in recent versions.
    """
    monkeypatch.setattr(dns.xfr.Inbound, "_check_tsig", lambda self, message: None, raising=False)

    class Forger(TransferServer):
        """Answers a signed question as if it had not been signed."""

        async def _replies(self, wire: bytes, peer: str, *, stream: bool) -> AsyncIterator[bytes]:
            asked = dns.message.from_wire(wire, keyring={KEY.name: KEY})
            plain = dns.message.from_wire(wire, keyring=False)
            plain.tsig = None
            is_first = True
            async for reply in super()._replies(plain.to_wire(), peer, stream=stream):
                if is_first and signs_first:
                    signed = dns.message.from_wire(reply, xfr=True, one_rr_per_rrset=True)
                    signed.use_tsig(KEY)
                    signed.request_mac = asked.mac or b""
                    reply = signed.to_wire(max_size=65535)
                is_first = False
                yield reply

    zone = PolicyZone(ZONE, 10, [(f"example.n{n}.", 0) for n in range(4000)])
    server = Forger(Feed({ORIGIN: zone}, open_to=[ipaddress.ip_network("127.0.0.1/32")]))
    source = Endpoint("127.0.0.1", await server.start("127.0.0.1", 0))
    target = tmp_path / "rpz.zone"
    if knows:
        target.write_text(f"{ZONE}. 60 IN SOA a. b. 9 1 1 1 1\n{ZONE}. 60 IN NS localhost.\nbad.{ZONE}. 60 IN CNAME .\n")
    unchanged = target.read_bytes() if knows else None
    with pytest.raises(PullError, match="not signed") as refused:
        await asyncio.to_thread(pull, source, ZONE, target, KEY)
    assert refused.value.code == "key"
    assert (target.read_bytes() if target.exists() else None) == unchanged
    await server.stop()


async def test_older_serial_is_refused(primary: tuple[PolicyZone, Endpoint], tmp_path: Path) -> None:
    """A primary put back from a backup does not open names; the sentence says how to go back on purpose."""
    _, source = primary
    target = tmp_path / "rpz.zone"
    target.write_text(f"{ZONE}. 60 IN SOA a. b. 99 1 1 1 1\n{ZONE}. 60 IN NS localhost.\nbad.{ZONE}. 60 IN CNAME .\n")
    before = target.read_bytes()
    with pytest.raises(PullError, match="older serial than 99"):
        await asyncio.to_thread(pull, source, ZONE, target, KEY)
    assert target.read_bytes() == before


async def test_zone_beyond_its_bound_is_refused(primary: tuple[PolicyZone, Endpoint], tmp_path: Path) -> None:
    """However large it is, no more than the bound is ever read."""
    _, source = primary
    target = tmp_path / "rpz.zone"
    with pytest.raises(PullError, match="larger than 20000 octets") as refused:
        await asyncio.to_thread(pull, source, ZONE, target, KEY, Bounds(max_bytes=20_000))
    assert refused.value.code == "size" and not target.exists()
    with pytest.raises(PullError, match="more than 500 records"):
        await asyncio.to_thread(pull, source, ZONE, target, KEY, Bounds(max_records=500))


async def test_large_zone_is_never_in_memory(primary: tuple[PolicyZone, Endpoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond what may be held, a change brings the whole zone, record by record; nothing new is noticed without holding it, either."""
    zone, source = primary
    target = tmp_path / "rpz.zone"
    monkeypatch.setattr("blocklists.secondary.MOST_HELD_BYTES", 1000)
    monkeypatch.setattr(dns.zone, "Zone", None)
    monkeypatch.setattr(dns.zone, "from_file", None)
    assert (await asyncio.to_thread(pull, source, ZONE, target, KEY)).records == 4000
    before = target.read_bytes()
    assert not (await asyncio.to_thread(pull, source, ZONE, target, KEY)).changed
    target.write_bytes(before.replace(b" 10 ", b" 9 ", 1))
    assert (await asyncio.to_thread(pull, source, ZONE, target, KEY)).changed
    assert target.read_bytes() == before
    zone.advance(11, [("example.n5.", 0)], [("example.new.", 1)])
    copy = await asyncio.to_thread(pull, source, ZONE, target, KEY)
    assert (copy.serial, copy.records, copy.changed) == (11, 3999, True)
    changed = set(target.read_bytes().splitlines()) ^ set(before.splitlines())
    assert sorted(line.split()[0].decode() for line in changed if b" CNAME " in line) == [
        f"*.n5.example.{ZONE}.",
        f"n5.example.{ZONE}.",
        f"new.example.{ZONE}.",
    ]


async def test_more_differences_than_may_be_held_bring_the_whole_zone(
    primary: tuple[PolicyZone, Endpoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A primary that answers a small question with a large zone fills no memory."""
    zone, source = primary
    target = tmp_path / "rpz.zone"
    await asyncio.to_thread(pull, source, ZONE, target, KEY)
    zone.advance(11, [], [(f"example.m{n}.", 0) for n in range(200)])
    monkeypatch.setattr("blocklists.secondary.MOST_HELD", 100)
    assert (await asyncio.to_thread(pull, source, ZONE, target, KEY)).records == 4400


async def test_differences_that_do_not_fit_bring_the_whole_zone(primary: tuple[PolicyZone, Endpoint], tmp_path: Path) -> None:
    """A copy of the same serial that holds something else is not what the primary takes away from."""
    zone, source = primary
    target = tmp_path / "rpz.zone"
    await asyncio.to_thread(pull, source, ZONE, target, KEY)
    lines = [line for line in target.read_text().splitlines(keepends=True) if not line.startswith(f"n5.example.{ZONE}")]
    target.write_text("".join(lines))
    zone.advance(11, [("example.n5.", 0)], [])
    copy = await asyncio.to_thread(pull, source, ZONE, target, KEY)
    assert (copy.serial, copy.records, copy.changed) == (11, 3998, True)
    assert soa_of_copy(target) == replace(copy, records=-1, changed=False)


async def test_primary_without_differences_gives_the_whole_zone(tmp_path: Path) -> None:
    """A primary that does not know IXFR is asked again for AXFR (RFC 1995 §4)."""
    zone = PolicyZone(ZONE, 1, [("example.bad.", 0)])

    class Old(TransferServer):
        """Answers IXFR with NOTIMP."""

        async def _replies(self, wire: bytes, peer: str, *, stream: bool) -> AsyncIterator[bytes]:
            query = dns.message.from_wire(wire)
            if query.question[0].rdtype == dns.rdatatype.IXFR:
                refusal = dns.message.make_response(query)
                refusal.set_rcode(dns.rcode.NOTIMP)
                yield refusal.to_wire()
                return
            async for reply in super()._replies(wire, peer, stream=stream):
                yield reply

    server = Old(Feed({ORIGIN: zone}, open_to=[ipaddress.ip_network("127.0.0.1/32")]))
    source = Endpoint("127.0.0.1", await server.start("127.0.0.1", 0))
    target = tmp_path / "rpz.zone"
    assert (await asyncio.to_thread(pull, source, ZONE, target)).changed
    assert not (await asyncio.to_thread(pull, source, ZONE, target)).changed
    zone.advance(2, [], [("example.new.", 0)])
    assert (await asyncio.to_thread(pull, source, ZONE, target)).serial == 2
    server.feed.zones[ORIGIN] = PolicyZone(ZONE, 1, [])
    with pytest.raises(PullError, match="older serial than 2"):
        await asyncio.to_thread(pull, source, ZONE, target)
    await server.stop()


async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close in the middle of a message."""
    await reader.read(512)
    writer.write(b"\x40\x00half")
    writer.close()


async def test_cut_transfer_and_nobody_there_leave_the_file(tmp_path: Path) -> None:
    """A transfer that ends too early, or never begins, changes nothing."""
    target = tmp_path / "rpz.zone"
    target.write_text("old")
    server = await asyncio.start_server(cut, "127.0.0.1", 0)
    source = Endpoint("127.0.0.1", server.sockets[0].getsockname()[1])
    with pytest.raises(PullError, match="failed"):
        await asyncio.to_thread(pull, source, ZONE, target, KEY, Bounds(5))
    server.close()
    await server.wait_closed()
    with pytest.raises(PullError, match="failed"):
        await asyncio.to_thread(pull, source, ZONE, target, KEY, Bounds(5))
    assert target.read_text() == "old"


async def test_older_tls_is_not_spoken(tmp_path: Path) -> None:
    """RFC 9103 §5: whoever offers TLS 1.2 at most is told apart from one that cuts a transfer, and the file stays."""
    target, authority = tmp_path / "rpz.zone", Authority(tmp_path)
    target.write_text("old")
    context = authority.vouch("ns1.example").context("dot")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    server = await asyncio.start_server(cut, "127.0.0.1", 0, ssl=context)
    source = Endpoint("127.0.0.1", server.sockets[0].getsockname()[1])
    with pytest.raises(PullError) as refused:
        await asyncio.to_thread(pull, source, ZONE, target, None, Bounds(5), TlsPrimary("ns1.example", authorities=authority.file))
    assert refused.value.code == "tls" and target.read_text() == "old"
    server.close()
    await server.wait_closed()


async def test_unwritable_place_and_wrong_name_are_told(tmp_path: Path) -> None:
    """A sentence, not a traceback."""
    zone = PolicyZone(ZONE, 1, [("example.bad.", 0)])
    server = TransferServer(Feed({ORIGIN: zone}, open_to=[ipaddress.ip_network("127.0.0.1/32")]))
    source = Endpoint("127.0.0.1", await server.start("127.0.0.1", 0))
    (tmp_path / "file").write_text("")
    with pytest.raises(PullError, match="cannot be written"):
        await asyncio.to_thread(pull, source, ZONE, tmp_path / "file" / "rpz.zone")
    with pytest.raises(PullError, match="not a zone name"):
        await asyncio.to_thread(pull, source, "a..b", tmp_path / "rpz.zone")
    await server.stop()


def test_key_as_tsig_keygen_writes_it(tmp_path: Path) -> None:
    """Name, algorithm and secret are read; the secret is in no message."""
    path = tmp_path / "follower.key"
    path.write_text('key "follower" {\n\talgorithm hmac-sha256;\n\tsecret "c2VjcmV0IG9mIHR3ZW50eS1mb3VyIQ==";\n};\n')
    assert read_key(path) == KEY


@pytest.mark.parametrize(
    "text",
    [
        "",
        "key follower {};",
        'key "f" { algorithm hmac-sha256; };',
        'key "f" { algorithm rot13; secret "c2VjcmV0"; };',
        'key "f" { algorithm hmac-sha256; secret "c2VjcmV0c"; };',
        'key "a..b" { algorithm hmac-sha256; secret "c2VjcmV0"; };',
    ],
)
def test_unusable_key_is_told_without_its_secret(tmp_path: Path, text: str) -> None:
    """What is wrong with the file, and never what is in it."""
    path = tmp_path / "follower.key"
    path.write_text(text)
    with pytest.raises(PullError) as refused:
        read_key(path)
    assert "c2VjcmV0" not in str(refused.value)
    with pytest.raises(PullError):
        read_key(tmp_path / "missing.key")
