"""Hardware addresses from the system's neighbour table."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.neighbours import Neighbour, NeighbourTable, parse_arp, parse_netlink

ADDRESS = socket.inet_aton("192.0.2.7")
MAC = "02:00:00:00:00:01"


def message(kind: int, address: bytes, mac: bytes, state: int = 2) -> bytes:
    def attribute(name: int, value: bytes) -> bytes:
        return struct.pack("=HH", 4 + len(value), name) + value + bytes(-len(value) % 4)

    family = socket.AF_INET if len(address) == 4 else socket.AF_INET6
    body = struct.pack("=BBHiHBB", family, 0, 0, 2, state, 0, 1) + attribute(1, address) + attribute(2, mac)
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 1, 0) + body


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (message(28, ADDRESS, bytes.fromhex("020000000001")), [Neighbour(ADDRESS, MAC)]),
        (
            message(28, socket.inet_pton(socket.AF_INET6, "fe80::1"), bytes(5) + b"\1"),
            [Neighbour(b"\xfe\x80" + bytes(13) + b"\1", "00:00:00:00:00:01")],
        ),
        (message(28, ADDRESS, bytes.fromhex("020000000001"), state=0x20), [Neighbour(ADDRESS, None)]),
        (message(29, ADDRESS, bytes.fromhex("020000000001")), [Neighbour(ADDRESS, None)]),
        (message(28, ADDRESS, bytes(6)), [Neighbour(ADDRESS, None)]),
        (message(28, ADDRESS, b"\1" * 20), [Neighbour(ADDRESS, None)]),
        (message(16, ADDRESS, bytes(6)), []),
        (message(28, ADDRESS, b"\2" * 6)[:-8], []),
        (struct.pack("=IHHII", 20, 3, 2, 1, 0) + bytes(4), []),
    ],
)
def test_netlink_messages_are_read(data: bytes, expected: list[Neighbour]) -> None:
    """New, gone, failed, all-zero and foreign entries mean what they say."""
    assert list(parse_netlink(data)) == expected


@given(st.binary(max_size=300))
def test_no_octets_break_the_reader(data: bytes) -> None:
    """Whatever the kernel or its future versions send, reading ends without an exception."""
    found = [*parse_netlink(data), *parse_netlink(message(28, ADDRESS, b"\2" * 6)[:20] + data)]
    assert all(isinstance(one, Neighbour) for one in found)


def test_arp_file_gives_complete_entries() -> None:
    """Incomplete entries of /proc/net/arp are not believed."""
    text = (
        "IP address       HW type     Flags       HW address            Mask     Device\n"
        "192.0.2.7        0x1         0x2         02:00:00:00:00:01     *        eth0\n"
        "192.0.2.8        0x1         0x0         00:00:00:00:00:00     *        eth0\n"
    )
    assert list(parse_arp(text)) == [Neighbour(ADDRESS, MAC)]


def test_identity_ends_with_a_change_or_ten_seconds_without_confirmation() -> None:
    """A new hardware address, a lost one, or silence: the owner hears of it and the old answer is gone."""
    now = 100.0
    changed: list[bytes] = []
    table = NeighbourTable(changed.append)
    table.take(Neighbour(ADDRESS, MAC), now)
    assert (table.mac_of(ADDRESS, now), changed) == (MAC, [ADDRESS])
    table.take(Neighbour(ADDRESS, MAC), now)
    assert changed == [ADDRESS]
    table.take(Neighbour(ADDRESS, "02:00:00:00:00:02"), now)
    assert changed == [ADDRESS] * 2
    now = 111.0
    assert table.mac_of(ADDRESS, now) is None
    table.forget_unconfirmed(now)
    assert changed == [ADDRESS] * 3
    table.take(Neighbour(ADDRESS, None), now)
    assert changed == [ADDRESS] * 3
    assert len(table) == 0


async def test_fallback_reads_the_arp_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where netlink may not be used, the file is read."""
    arp = tmp_path / "arp"
    arp.write_text("header\n192.0.2.7 0x1 0x2 02:00:00:00:00:01 * eth0\n")
    monkeypatch.delattr(socket, "AF_NETLINK")
    table = NeighbourTable(lambda address: None, arp=arp)
    table.open()
    assert table.mac_of(ADDRESS, asyncio.get_running_loop().time()) == MAC
    table.close()


async def run(*arguments: str) -> None:
    process = await asyncio.create_subprocess_exec("ip", *arguments)
    assert await process.wait() == 0


@pytest.mark.full
@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("ip") is None, reason="needs root and ip")
async def test_kernel_events_reach_the_table() -> None:
    """A real neighbour entry appears, changes and goes, and each is noticed at once."""
    link = f"lt{os.getpid() % 100000}"
    await run("link", "add", link, "type", "veth", "peer", "name", f"{link}p")
    changed: list[bytes] = []
    table = NeighbourTable(changed.append)
    loop = asyncio.get_running_loop()
    try:
        await run("link", "set", link, "up")
        table.open()
        for command, expected in (("replace", MAC), ("change", "02:00:00:00:00:02"), ("del", None)):
            mac = ["lladdr", expected or MAC] if command != "del" else []
            await run("neigh", command, "192.0.2.7", *mac, "dev", link, *(["nud", "permanent"] if mac else []))
            for _ in range(100):
                if table.mac_of(ADDRESS, loop.time()) == expected:
                    break
                await asyncio.sleep(0.02)
            assert table.mac_of(ADDRESS, loop.time()) == expected
        assert changed.count(ADDRESS) == 3
    finally:
        table.close()
        await run("link", "del", link)
