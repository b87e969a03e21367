"""Lease files of three DHCP servers, and what becomes of an identity when a lease ends."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.leases import NEVER, UNCONFIRMED_SECONDS, Hardware, Lease, LeaseTable, parse_leases

A, B = socket.inet_aton("192.168.1.31"), socket.inet_aton("192.168.1.32")
SIX = socket.inet_pton(socket.AF_INET6, "fd00::31")
MAC = "3c:22:fb:00:00:31"

DNSMASQ = """\
1790000000 3C:22:fb:00:00:31 192.168.1.31 May-be 01:3c:22:fb:00:00:31
0 3c:22:fb:00:00:32 192.168.1.32 * *
duid 00:01:00:01:2a
1790000000 16777343 fd00::31 may-be 00:01:00:01
nonsense
"""
DHCPD = """\
# The format of this file is documented in the dhcpd.leases(5) manual page.
lease 192.168.1.31 {
  starts 4 2026/11/26 01:00:00;
  ends 4 2026/11/26 02:00:00;
  binding state active;
  next binding state free;
  hardware ethernet 3c:22:fb:00:00:31;
  client-hostname "May-be";
}
lease 192.168.1.32 {
  ends never;
  hardware ethernet 3c:22:fb:00:00:32;
}
lease 192.168.1.33 {
  ends epoch 1790000000;
  binding state free;
  hardware ethernet 3c:22:fb:00:00:33;
}
"""
KEA = """\
address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context,pool_id
192.168.1.31,3c:22:fb:00:00:31,,3600,1790000000,1,0,0,may-be.lan.,0,,0
192.168.1.32,3c:22:fb:00:00:32,,3600,1790000000,1,0,0,,0,,0
192.168.1.32,3c:22:fb:00:00:32,,3600,1790000000,1,0,0,,1,,0
broken line
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (DNSMASQ, {A: Lease(A, MAC, "May-be", 1790000000.0), B: Lease(B, "3c:22:fb:00:00:32", "", NEVER)}),
        (DHCPD, {A: Lease(A, MAC, "May-be", 1795658400.0), B: Lease(B, "3c:22:fb:00:00:32", "", NEVER)}),
        (KEA, {A: Lease(A, MAC, "may-be.lan", 1790000000.0)}),
        ("", {}),
    ],
    ids=["dnsmasq", "dhcpd", "kea", "empty"],
)
def test_files_of_each_server(text: str, expected: dict[bytes, Lease]) -> None:
    """Address, hardware address, name and end; the last entry of an address holds, released ones are gone."""
    assert parse_leases(text) == expected


@given(st.one_of(st.text(), st.builds(lambda a, b: a[: len(a) // 2] + b, st.sampled_from([DNSMASQ, DHCPD, KEA]), st.text())))
def test_anything_else_is_read_as_far_as_it_goes(text: str) -> None:
    """A damaged file never raises; names have no control characters and are short."""
    for lease in parse_leases(text).values():
        assert lease.name.isprintable() and len(lease.name) <= 63


class World:
    """A table over one file, with its clocks by hand."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "leases"
        self.changed: list[bytes] = []
        self.wall = 1789990000.0
        self.table = LeaseTable([self.file], self.changed.append, lambda: self.wall)

    def write(self, text: str) -> None:
        """Another file in its place, as servers do."""
        fresh = self.file.with_suffix(".new")
        fresh.write_text(text)
        os.replace(fresh, self.file)


def test_device_is_known_while_its_lease_lasts(tmp_path: Path) -> None:
    """Another device at the address, a lease that ends, a file that can no longer be read: each is told, so that nobody stays somebody."""
    world = World(tmp_path)
    world.write(DNSMASQ)
    world.table.look(0.0)
    assert (world.table.mac_of(A, 1.0), world.table.name_of(A, 1.0), world.table.mac_of(SIX, 1.0)) == (MAC, "May-be", None)
    world.changed.clear()
    world.write(DNSMASQ.replace("3C:22:fb:00:00:31 192", "3c:22:fb:00:00:99 192"))
    world.table.look(2.0)
    assert (world.changed, world.table.mac_of(A, 2.0)) == ([A], "3c:22:fb:00:00:99")
    world.changed.clear()
    world.wall = 1790000001.0
    assert world.table.mac_of(A, 3.0) is None, "ended, also before the next look"
    world.table.look(4.0)
    assert (world.changed, world.table.mac_of(B, 4.0)) == ([A], "3c:22:fb:00:00:32")
    world.changed.clear()
    world.file.unlink()
    world.table.look(6.0)
    assert world.table.mac_of(B, 6.0) is not None, "for a moment"
    world.table.look(4.0 + UNCONFIRMED_SECONDS + 0.1)
    assert (world.changed, world.table.mac_of(B, 15.0)) == ([B], None)
    world.write(DNSMASQ)
    world.table.look(16.0)
    assert world.table.mac_of(B, 16.0) == "3c:22:fb:00:00:32"


def test_link_itself_is_believed_first() -> None:
    """A neighbour table knows better than a lease."""
    both = Hardware(lambda address, now: "02:00:00:00:00:01" if address == A else None, lambda address, now: MAC)
    assert (both.mac_of(A, 0.0), both.mac_of(B, 0.0)) == ("02:00:00:00:00:01", MAC)
