"""Somebody else has a port of DoT, DoH or DoQ, or an address is not there yet, when the service starts: plain names are answered."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import dns.message
import dns.query
import pytest

from tests.support import quicclient
from tests.support.certificates import Authority
from tests.support.gateway import Gateway, RunningUpstream

SETTINGS = """
state_dir: var
dns: {listen: ["127.0.0.1:0", "127.0.0.3:{more}"], workers: 2}
tls: {certificate: {certificate}, key: {key}, name: dns.example}
dot: {listen: ["127.0.0.1:{dot}"]}
doh: {listen: ["127.0.0.1:{doh}"]}
doq: {listen: ["127.0.0.1:{doq}"]}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"]}
metrics: {listen: "127.0.0.1:{metrics}"}
profiles: [{id: lon, band: NL}]
default_profile: lon
"""
RECORDS = {("open.example", "A"): ["198.51.100.20"]}
OPEN = ["198.51.100.20"]
QUERY = dns.message.make_query("open.example", "A", id=0)
STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM


def hold(kind: socket.SocketKind, host: str = "127.0.0.1") -> socket.socket:
    """A port of another program."""
    other = socket.socket(socket.AF_INET, kind)
    other.bind((host, 0))
    if kind == STREAM:
        other.listen()
    return other


def addresses(reply: dns.message.Message) -> list[str]:
    """What a reply says."""
    return [str(rdata) for rrset in reply.answer for rdata in rrset]


def wait_for(what: Callable[[], list[str]], seconds: float = 20.0) -> None:
    """Until this way gives the address."""
    end = time.monotonic() + seconds
    while True:
        try:
            if what() == OPEN:
                return
        except (OSError, EOFError, ssl.SSLError, dns.exception.DNSException):
            pass
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.2)


def test_service_answers_plain_names_while_encrypted_ports_are_taken(tmp_path: Path) -> None:
    """It says which, and opens each as soon as its port is free; no name is lost meanwhile."""
    authority = Authority(tmp_path)
    made = authority.vouch("dns.example")
    context = ssl.create_default_context(cafile=str(authority.file))
    with ExitStack() as held, RunningUpstream(RECORDS) as upstream:
        others = {"dot": hold(STREAM), "doh": hold(STREAM), "doq": hold(DATAGRAM), "more": hold(DATAGRAM, "127.0.0.3")}
        for other in others.values():
            held.callback(other.close)
        ports = {name: other.getsockname()[1] for name, other in others.items()}
        fields = {"certificate": made.certificate, "key": made.key, **ports}
        kept = {"LACHAN_LAST_GOOD": str(tmp_path / "settings.last-good")}
        with Gateway(tmp_path, SETTINGS, upstream=upstream.port, environment=kept, **fields) as gateway:
            assert gateway.addresses("open.example") == OPEN
            said = gateway.command("status").stdout
            for setting, place in (("dot", "dot"), ("doh", "doh"), ("doq", "doq"), ("dns", "more")):
                assert f"{setting}.listen: 127.0.0.{3 if setting == 'dns' else 1}:{ports[place]}" in said, said
            assert gateway.written().count("listen.late") == 4
            assert gateway.command("reload").returncode == 0

            for other in others.values():
                other.close()

            def over_tls() -> list[str]:
                return addresses(dns.query.tls(QUERY, "127.0.0.1", 2, ports["dot"], ssl_context=context, server_hostname="dns.example"))

            ways: list[Callable[[], list[str]]] = [
                lambda: addresses(dns.query.udp(QUERY, "127.0.0.3", 2, ports["more"])),
                lambda: addresses(dns.query.tcp(QUERY, "127.0.0.3", 2, ports["more"])),
                over_tls,
                lambda: addresses(
                    dns.message.from_wire(quicclient.exchange(ports["doq"], authority.file, QUERY.to_wire(), "dns.example") or b"")
                ),
            ]
            for way in ways:
                wait_for(way)
            wait_for(lambda: OPEN if {"dot", "doh", "doq"} <= {row["transport"] for row in gateway.status()["listen"]} else [])
            for _ in range(20):  # at every worker
                assert over_tls() == OPEN
                assert gateway.addresses("open.example") == OPEN
            assert "is taken by" not in gateway.command("status").stdout
            assert gateway.stop() == 0


def test_start_without_any_plain_port_ends_with_one_sentence(tmp_path: Path) -> None:
    """Names would be answered nowhere: the service manager tries again."""
    with hold(DATAGRAM) as other, RunningUpstream(RECORDS) as upstream:
        port = other.getsockname()[1]
        text = SETTINGS[: SETTINGS.index("tls:")] + SETTINGS[SETTINGS.index("upstreams:") :]
        text = text.replace('"127.0.0.1:0", "127.0.0.3:{more}"', f'"127.0.0.1:{port}"')
        kept = {"LACHAN_LAST_GOOD": str(tmp_path / "settings.last-good")}
        with pytest.raises(AssertionError, match=f"ended with status 1:(.|\n)*dns.listen: 127.0.0.1:{port} .UDP. (.|\n)*is taken"):
            Gateway(tmp_path, text, upstream=upstream.port, environment=kept).start()
