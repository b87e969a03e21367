"""Opening the listening sockets."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from gateway import sockets as module
from gateway.errors import StartError
from gateway.settings import EncryptedSettings, Endpoint, GatewaySettings
from gateway.sockets import bind, open_sockets
from tests.support.echogateway import settings_from


def settings(tmp_path: Path, *endpoints: Endpoint) -> GatewaySettings:
    base = settings_from({"state_dir": str(tmp_path)})
    return replace(base, dns=replace(base.dns, listen=endpoints))


def test_every_worker_has_its_own_sockets_on_one_port(tmp_path: Path) -> None:
    """UDP and TCP share the port; each worker has one of each; all are non-blocking and keep their family apart."""
    opened = open_sockets(settings(tmp_path, Endpoint("127.0.0.1", 0), Endpoint("::1", 0)), 3)
    try:
        assert [len(opened.of(worker)) for worker in range(3)] == [4, 4, 4]
        ports = {(each.socket.family, each.socket.getsockname()[1]) for each in opened.all()}
        assert len(ports) == 2
        assert [str(endpoint) for kind, endpoint in opened.endpoints() if kind == "udp"] == [
            f"127.0.0.1:{opened.workers[0][0].endpoint.port}",
            f"[::1]:{opened.workers[0][2].endpoint.port}",
        ]
        for each in opened.all():
            assert not each.socket.getblocking()
            if each.socket.family == socket.AF_INET6:
                assert each.socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        assert opened.receive_bytes >= 100_000
    finally:
        opened.close()


def test_encrypted_listeners_are_opened_with_their_kind(tmp_path: Path) -> None:
    """DoT and DoH are streams of every worker; DoQ is one datagram socket for the process that terminates QUIC."""
    base = settings(tmp_path, Endpoint("127.0.0.1", 0))
    section = EncryptedSettings((Endpoint("127.0.0.1", 0),))
    opened = open_sockets(replace(base, dot=section, doh=section, doq=section), 2)
    try:
        assert [each.kind for each in opened.of(1)] == ["udp", "tcp", "dot", "doh", "doq"], "DoQ is the line from that process"
        assert [each.kind for each in opened.quic] == ["doq"]
    finally:
        opened.close()


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_port_of_another_gateway_of_this_user_is_not_shared(tmp_path: Path, kind: socket.SocketKind) -> None:
    """SO_REUSEPORT would let a second gateway take half of the queries in silence; it is refused instead."""
    with socket.socket(socket.AF_INET, kind) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StartError, match=rf"dns.listen: 127.0.0.1:{port} .* is taken by .* \(pid {os.getpid()}\)"):
            open_sockets(settings(tmp_path, Endpoint("127.0.0.1", port)), 2)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "may not listen on 127.0.0.1:53"),
        (errno.EADDRNOTAVAIL, "no address 127.0.0.1"),
        (errno.EMFILE, "cannot listen on 127.0.0.1:53"),
    ],
)
def test_other_failures_name_the_remedy(monkeypatch: pytest.MonkeyPatch, number: int, words: str) -> None:
    """One sentence with the setting, what is wrong and what to do."""

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(module, "_refuse_company", fail)
    with pytest.raises(StartError, match=words) as caught:
        bind(Endpoint("127.0.0.1", 53), socket.SOCK_DGRAM, "dns.listen", share=True)
    assert str(caught.value).count("dns.listen") >= 1
    assert "\n" not in str(caught.value)


def test_address_that_is_no_address_is_refused() -> None:
    """A name is not looked up."""
    with pytest.raises(StartError, match="'localhost' is not an IP address"):
        bind(Endpoint("localhost", 0), socket.SOCK_DGRAM, "metrics.listen", share=False)


def test_machine_without_ipv6_leaves_its_addresses_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`[::1]` of the example files does not stop a machine that has no IPv6; only nothing at all does."""
    monkeypatch.setattr(module, "_family_works", lambda endpoint: ":" not in endpoint.host)
    opened = open_sockets(settings(tmp_path, Endpoint("127.0.0.1", 0), Endpoint("::1", 0)), 1)
    assert {each.socket.family for each in opened.all()} == {socket.AF_INET}
    opened.close()
    with pytest.raises(StartError, match="no address of"):
        open_sockets(settings(tmp_path, Endpoint("::1", 0)), 1)


def test_small_buffers_are_said_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """When the system grants too little, the log has the sysctl line."""
    monkeypatch.setattr(module, "ENOUGH_BYTES", 1 << 40)
    open_sockets(settings(tmp_path, Endpoint("127.0.0.1", 0)), 1).close()
    assert [record.__dict__["remedy"] for record in caplog.records] == ["sysctl -w net.core.rmem_max=4194304"]


def test_passed_sockets_are_shared_and_strays_closed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Sockets of the service manager go to all workers; one that matches no setting is closed and mentioned."""
    udp, tcp, stray = socket.socket(type=socket.SOCK_DGRAM), socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
    for each in (udp, stray):
        each.bind(("127.0.0.1", 0))
    port = udp.getsockname()[1]
    tcp.bind(("127.0.0.1", port))
    opened = open_sockets(settings(tmp_path, Endpoint("127.0.0.1", port)), 2, [tcp, stray, udp])
    assert [each.socket for each in opened.of(0)] == [each.socket for each in opened.of(1)] == [udp, tcp]
    assert stray.fileno() == -1
    assert any("passed socket not used" in record.message for record in caplog.records)
    opened.close()


def test_addresses_that_are_answered_are_not_given_up_by_a_hand_over(tmp_path: Path) -> None:
    """A gateway started by hand without `--lan` must not take the home off the net: it says at which addresses the other one answers. As
    many sockets of one address as there were workers are no other address."""
    first, second = socket.socket(type=socket.SOCK_DGRAM), socket.socket(type=socket.SOCK_DGRAM)
    tcp, lan = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
    for each in (first, second):
        each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    first.bind(("127.0.0.1", 0))
    port = first.getsockname()[1]
    for each in (second, tcp):
        each.bind(("127.0.0.1", port))
    lan.bind(("127.0.0.2", port))
    given = [first, second, tcp, lan]
    with pytest.raises(StartError, match=rf"answers at 127\.0\.0\.2:{port}, this one would not"):
        open_sockets(settings(tmp_path, Endpoint("127.0.0.1", port)), 1, copies := [each.dup() for each in given], may_close=False)
    for copy in copies:
        copy.close()
    opened = open_sockets(settings(tmp_path, Endpoint("127.0.0.1", port), Endpoint("127.0.0.2", port)), 1, given, may_close=False)
    assert {each.endpoint.host for each in opened.all()} == {"127.0.0.1", "127.0.0.2"}
    opened.close()
