"""`make run LAN=1`: an address, a free port, or one sentence with the remedy."""

from __future__ import annotations

import errno
import os
import socket
from ipaddress import ip_address

import pytest

from gateway.errors import StartError
from gateway.holders import Holder
from lachan import lan


def test_lan_address_is_one_other_devices_can_use() -> None:
    """Never loopback; None on a machine without a network."""
    address = lan.lan_address()
    assert address is None or not ip_address(address).is_loopback


def test_free_and_used_ports_are_told_apart() -> None:
    """A port that somebody holds, by UDP or by TCP, is in use."""
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as holder:
            holder.bind(("127.0.0.1", 0))
            port = holder.getsockname()[1]
            if kind == socket.SOCK_STREAM:
                holder.listen()
            assert lan.try_port("127.0.0.1", port) == errno.EADDRINUSE
        assert lan.try_port("127.0.0.1", port) == 0


@pytest.mark.parametrize(
    ("problem", "holder", "expected"),
    [
        (errno.EADDRINUSE, Holder(7, "systemd-resolve"), "systemd-resolve (pid 7) holds port 53 of 192.0.2.8: write DNSStubListener=no"),
        (errno.EADDRINUSE, Holder(7, "named"), "named (pid 7) holds port 53 of 192.0.2.8: stop it: systemctl disable --now named"),
        (errno.EADDRINUSE, None, "another program holds port 53 of 192.0.2.8: see which one with: sudo ss"),
        (errno.EACCES, None, "opening port 53 needs root's right: run: sudo /opt/lachan run --lan"),
        (errno.EADDRNOTAVAIL, None, "port 53 of 192.0.2.8 cannot be opened"),
    ],
)
def test_obstacle_is_one_sentence_with_its_remedy(
    problem: int, holder: Holder | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever stands in the way is named, with what to do."""
    monkeypatch.setattr(lan, "lan_address", lambda: "192.0.2.8")
    monkeypatch.setattr(lan, "try_port", lambda host, port: problem)
    monkeypatch.setattr(lan, "holder_of", lambda protocol, port, host: holder)
    with pytest.raises(StartError) as caught:
        lan.require_lan("/opt/lachan run --lan")
    assert str(caught.value).startswith(expected)
    assert "\n" not in str(caught.value)


def test_machine_without_a_network_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to listen on."""
    monkeypatch.setattr(lan, "lan_address", lambda: None)
    with pytest.raises(StartError, match="no address on a local network"):
        lan.require_lan("lachan run --lan")


def test_sudo_continues_as_the_person_who_called_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The state stays the person's own; without sudo nothing changes."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_USER", "lan")
    assert lan.drop_to() == "lan"
    monkeypatch.setenv("SUDO_USER", "root")
    assert None is lan.drop_to()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("SUDO_USER", "lan")
    assert None is lan.drop_to()
