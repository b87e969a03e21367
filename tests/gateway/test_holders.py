"""Naming the program that holds a port."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
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


def test_holder_of_another_address_is_not_blamed() -> None:
    """Two programs have the same port on two addresses: the one in the way is named; who has every address is in everybody's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mine:
        mine.bind(("127.0.0.1", 0))
        port = mine.getsockname()[1]
        code = f"import socket, sys; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('127.0.0.53', {port}))"
        code += "; print(1, flush=True); sys.stdin.read()"
        with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            assert other.stdout is not None and other.stdin is not None
            assert other.stdout.readline() == b"1\n"
            found = [holder_of("udp", port, host) for host in ("127.0.0.1", "127.0.0.53", "127.0.0.9")]
            anywhere = holder_of("udp", port, "0.0.0.0")
            other.stdin.close()
        assert [one.pid if one else None for one in found] == [os.getpid(), other.pid, None]
        assert anywhere is not None
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as everywhere:
        everywhere.bind(("::", 0))
        holder = holder_of("udp", everywhere.getsockname()[1], "10.77.0.1")
        assert holder is not None and holder.pid == os.getpid()
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as six:
        six.bind(("::1", 0))
        holder = holder_of("udp", six.getsockname()[1], "::1")
        assert holder is not None and holder.pid == os.getpid()
        assert holder_of("udp", six.getsockname()[1], "fd77::1") is None


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
    assert holder_of("udp", 53, proc=tmp_path) is None
