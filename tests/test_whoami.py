"""Which gateway answered, for whoever asks: the option NSID (RFC 5001) and TXT of class CH (RFC 4892); off unless it is set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dns.edns
import dns.message
import dns.query
import dns.rcode
import pytest

from tests.support.gateway import Gateway, RunningUpstream

SETTINGS = """
state_dir: var
dns: {listen: ["127.0.0.1:0"], workers: 1, allow_from: [127.0.0.0/30]}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"]}
metrics: {listen: "127.0.0.1:{metrics}"}
profiles: [{id: be, band: TH}]
"""
NAMED = SETTINGS.replace("workers: 1", 'workers: 1, identity: "cong-loc 2"')
RECORDS = {(f"w{number}.example", "A"): ["192.0.2.1"] for number in range(4)}
OUTSIDE = "127.0.0.9"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One that says nothing at first."""
    with RunningUpstream(RECORDS) as upstream, Gateway(tmp_path_factory.mktemp("who"), SETTINGS, upstream=upstream.port) as running:
        yield running


def nsid(gateway: Gateway, name: str, qtype: str = "A", *, source: str = "127.0.0.1", way: str = "udp") -> bytes | None:
    """What the option of a reply says to a query that has it."""
    query = dns.message.make_query(name, qtype, options=[dns.edns.GenericOption(dns.edns.OptionType.NSID, b"")])
    reply = getattr(dns.query, way)(query, "127.0.0.1", 5, gateway.port, source=source)
    found = [option.to_wire() for option in reply.options if option.otype == dns.edns.OptionType.NSID]
    assert len(found) <= 1
    return found[0] if found else None


def chaos(gateway: Gateway, name: str, qtype: str = "TXT", source: str = "127.0.0.1") -> dns.message.Message:
    """A question of class CH."""
    return dns.query.udp(dns.message.make_query(name, qtype, "CH"), "127.0.0.1", 5, gateway.port, source=source)


def test_identity_is_told_to_whoever_asks_once_it_is_set(gateway: Gateway) -> None:
    """Off; then on by a reload, to clients that may ask and no others, in every kind of reply; then off again."""
    assert nsid(gateway, "w0.example") is None and chaos(gateway, "id.server").rcode() == dns.rcode.REFUSED

    gateway.write(NAMED)
    assert gateway.command("reload").returncode == 0
    for _ in range(3):  # from the upstream, from the cache, finished
        assert nsid(gateway, "w1.example") == b"cong-loc 2"
    assert nsid(gateway, "w2.example", way="tcp") == b"cong-loc 2"
    assert nsid(gateway, "facebook.com") == nsid(gateway, "health.lachan.internal", "TXT") == b"cong-loc 2"
    assert nsid(gateway, "w1.example", source=OUTSIDE) is None and chaos(gateway, "id.server", source=OUTSIDE).rcode() == dns.rcode.REFUSED
    plain = dns.query.udp(dns.message.make_query("w1.example", "A", use_edns=0), "127.0.0.1", 5, gateway.port)
    assert not plain.options
    for name in ("id.server", "hostname.bind", "HostName.BIND"):
        reply = chaos(gateway, name)
        assert reply.rcode() == dns.rcode.NOERROR and [str(each) for each in reply.answer] == [f'{name}. 0 CH TXT "cong-loc 2"']
    assert '"cong-loc 2"' in gateway.dig("id.server", "CH", "TXT", "+short") and "cong-loc 2" in gateway.dig("w1.example", "+nsid")
    for name, qtype in (("version.bind", "TXT"), ("version.server", "TXT"), ("id.server", "A"), ("a.id.server", "TXT")):
        assert chaos(gateway, name, qtype).rcode() == dns.rcode.REFUSED, name

    gateway.write(SETTINGS)
    assert gateway.command("reload").returncode == 0
    assert nsid(gateway, "w1.example") is None and chaos(gateway, "hostname.bind").rcode() == dns.rcode.REFUSED


@pytest.mark.parametrize("identity", ['""', '"cổng"', f'"{"x" * 64}"', '" a"', '"a\\tb"'])
def test_identity_is_short_and_plain(gateway: Gateway, identity: str, tmp_path: Path) -> None:
    """It goes out as octets that every tool shows."""
    refused = Gateway(tmp_path, NAMED.replace('"cong-loc 2"', identity)).command("check")
    assert refused.returncode == 1 and "dns.identity" in refused.stderr
