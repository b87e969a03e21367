"""Upstreams against a server we did not write: Unbound over UDP, TCP, TLS and HTTPS."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.query import Answer
from gateway.settings import Scheme, UpstreamAddress
from tests.gateway.upstreams.conftest import OpenResolver
from tests.support.certificates import Authority

pytestmark = [pytest.mark.full, pytest.mark.skipif(shutil.which("unbound") is None, reason="Unbound is not installed")]

SETTINGS = """
server:
  interface: 127.0.0.1@{plain}
  interface: 127.0.0.1@{tls}
  interface: 127.0.0.1@{https}
  tls-port: {tls}
  https-port: {https}
  http-endpoint: /dns-query
  tls-service-key: {key}
  tls-service-pem: {certificate}
  do-daemonize: no
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  logfile: {log}
  num-threads: 1
  module-config: "iterator"
  local-zone: example. static
  local-data: "www.example. 300 IN A 192.0.2.1"
"""
LARGE = [f'  local-data: "large.example. 300 IN TXT {number:03d}{"x" * 200}"' for number in range(12)]


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
async def ports(tmp_path: Path, authority: Authority) -> AsyncIterator[dict[str, int]]:
    """A running Unbound with a zone of its own, and the port of each transport."""
    certificate = authority.vouch("dns.example")
    found = {"plain": free_port(), "tls": free_port(), "https": free_port()}
    text = SETTINGS.format(**found, key=certificate.key, certificate=certificate.certificate, log=tmp_path / "log")
    file = tmp_path / "unbound.conf"
    file.write_text("\n".join([text, *LARGE, ""]))
    process = await asyncio.create_subprocess_exec("unbound", "-d", "-c", str(file))
    for _ in range(100):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", found["https"])
        except OSError:
            await asyncio.sleep(0.05)
            continue
        writer.close()
        break
    yield {"udp": found["plain"], "tcp": found["plain"], "tls": found["tls"], "https": found["https"]}
    process.terminate()
    await process.wait()


@pytest.mark.parametrize("scheme", ["udp", "tcp", "tls", "https"])
async def test_unbound_is_asked_over_every_transport(
    open_resolver: OpenResolver, authority: Authority, ports: dict[str, int], scheme: Scheme
) -> None:
    """An address, a name that does not exist, an answer too large for a datagram and two hundred questions at once all come back."""
    path = "/dns-query" if scheme == "https" else ""
    asker = open_resolver(UpstreamAddress(scheme, "dns.example", ports[scheme], path, "127.0.0.1"), authorities=str(authority.file))
    answer = await asker.ask("www.example", do=True)
    assert isinstance(answer, Answer) and answer.facts.addresses == (b"\xc0\x00\x02\x01",)
    absent = await asker.ask("absent.example")
    assert isinstance(absent, Answer) and absent.rcode == 3
    large = await asker.ask("large.example", "TXT")
    assert isinstance(large, Answer) and large.an == 12
    outcomes = await asyncio.gather(*(asker.begin(f"w{number}.example") for number in range(200)))
    assert all(isinstance(outcome, Answer) for outcome in outcomes)
