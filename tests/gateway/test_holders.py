"""Naming the program that holds a port."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from gateway.holders import Holder, holder_of, socket_rows


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_holder_of_our_own_port_is_us(protocol: str) -> None:
    """A port that this process holds is found with pid and program."""
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as mine:
        mine.bind(("127.0.0.1", 0))
        if protocol == "tcp":
            mine.listen()
        found = holder_of(protocol, mine.getsockname()[1])  # type: ignore[arg-type]
    assert found is not None
    assert found.pid == os.getpid()


def test_free_port_has_no_holder() -> None:
    """Nobody is blamed for a port that nobody holds."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert holder_of("tcp", port) is None


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("systemd-resolve", "DNSStubListener=no"),
        ("dnsmasq", "port=0"),
        ("lachan", "lachan status"),
        ("other", "stop it (pid 7), or choose another port"),
    ],
)
def test_remedy_fits_the_program(program: str, words: str) -> None:
    """Known programs have their own way to make room."""
    assert words in Holder(7, program).remedy


def test_rows_have_port_inode_and_drops(tmp_path: Path) -> None:
    """The table of the kernel is read as it is; listening TCP sockets only."""
    net = tmp_path / "net"
    net.mkdir()
    head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n"
    (net / "udp").write_text(head + " 1: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 4711 2 0 17\n")
    (net / "tcp").write_text(
        head + " 1: 0100007F:0035 0100007F:9999 01 0:0 00:0 0 0 0 1 1 0 20\n 2: 00000000:0050 0:0 0A 0:0 00:0 0 0 0 9 1 0 20\n"
    )
    assert [(row.port, row.inode, row.drops) for row in socket_rows("udp", tmp_path)] == [(53, 4711, 17)]
    assert [(row.port, row.inode) for row in socket_rows("tcp", tmp_path)] == [(80, 9)]


def test_no_proc_means_no_holder(tmp_path: Path) -> None:
    """Where /proc is missing the answer is that it cannot be told."""
    assert holder_of("udp", 53, tmp_path) is None
