"""DNS over QUIC by the real program: what happens when a process dies, and that its numbers are counted."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import dns.message
import pytest

from tests.support import quicclient
from tests.support.certificates import Authority
from tests.support.gateway import Gateway, RunningUpstream
from tests.support.upstream import ScriptedUpstream

SETTINGS = """
state_dir: var
dns: {listen: ["127.0.0.1:0"], workers: 2}
tls: {certificate: {certificate}, key: {key}, name: dns.example}
doq: {listen: ["127.0.0.1:0"]}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"]}
metrics: {listen: "127.0.0.1:{metrics}"}
profiles: [{id: be, band: TH}]
clients: [{id: may-be, profile: be, match: ["token:k3j9abcdefgh"]}]
"""
RECORDS = {("open.example", "A"): ["198.51.100.20"], ("facebook.com", "A"): ["198.51.100.10"]}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, int, Path]]:
    """A gateway that answers over QUIC, the port, and whom to trust."""
    folder = tmp_path_factory.mktemp("quic")
    authority = Authority(folder)
    made = authority.vouch("dns.example", "*.dns.example")
    fields = {"certificate": made.certificate, "key": made.key}
    with RunningUpstream(upstream=ScriptedUpstream(RECORDS)) as upstream, Gateway(folder, SETTINGS, upstream=upstream.port, **fields) as it:
        [port] = [int(row["address"].rpartition(":")[2]) for row in it.status()["listen"] if row["transport"] == "doq"]
        yield it, port, authority.file


def address(port: int, authority: Path, name: str, seconds: float = 15) -> list[str]:
    """What a name is answered with; asks again as a client does when a connection or a stream is lost."""
    query = dns.message.make_query(name, "A", id=0).to_wire()
    end = time.monotonic() + seconds

    async def once() -> bytes | None:
        async with asyncio.timeout(3), quicclient.dial(port, authority, "k3j9abcdefgh.dns.example") as client:
            return await client.ask(query)

    while True:
        try:
            reply = asyncio.run(once())
        except (ConnectionError, TimeoutError):
            reply = None
        if reply is not None:
            return [str(rdata) for rrset in dns.message.from_wire(reply).answer for rdata in rrset]
        assert time.monotonic() < end, "nobody answers over QUIC"


def test_process_of_quic_comes_back_and_never_touches_plain_dns(gateway: tuple[Gateway, int, Path]) -> None:
    """Killed, it is started again on the same socket; UDP goes on meanwhile."""
    it, port, authority = gateway
    assert address(port, authority, "facebook.com") == ["0.0.0.0"]
    [process] = [row for row in it.status()["processes"] if row["name"] == "doq"]
    os.kill(process["pid"], signal.SIGKILL)
    assert it.addresses("open.example") == ["198.51.100.20"]
    assert address(port, authority, "open.example") == ["198.51.100.20"]
    [process] = [row for row in it.status()["processes"] if row["name"] == "doq"]
    assert process["restarts"] == 1


def test_worker_that_dies_costs_one_more_try(gateway: tuple[Gateway, int, Path]) -> None:
    """The other worker, or the next, answers what is asked again."""
    it, port, authority = gateway
    for worker in it.status()["workers"]:
        os.kill(worker["pid"], signal.SIGKILL)
        assert address(port, authority, "facebook.com") == ["0.0.0.0"]


def test_numbers_name_the_transport(gateway: tuple[Gateway, int, Path]) -> None:
    """Queries, blocks and connections over QUIC are counted as such."""
    it, port, authority = gateway
    before = it.metric("lachan_queries_total", transport="doq")
    for _ in range(3):
        address(port, authority, "facebook.com")
    end = time.monotonic() + 15
    while it.metric("lachan_queries_total", transport="doq") < before + 3 and time.monotonic() < end:
        time.sleep(0.2)
    assert it.metric("lachan_queries_total", transport="doq") >= before + 3
    while not ("lachan_connections{" in it.http("/metrics")[1] and 'transport="doq"' in it.http("/metrics")[1]):
        assert time.monotonic() < end, "connections are told once a second"
        time.sleep(0.2)


def test_other_certificate_files_are_served_after_a_reload(gateway: tuple[Gateway, int, Path], tmp_path: Path) -> None:
    """`tls` names other files now: a phone that trusts the new authority alone is answered, on the same port, and no process has failed."""
    it, port, _ = gateway
    [before] = [row for row in it.status()["processes"] if row["name"] == "doq"]
    other = Authority(tmp_path)
    made = other.vouch("dns.example", "*.dns.example")
    written = it.path.read_text()
    line = next(line for line in written.splitlines() if line.startswith("tls:"))
    it.path.write_text(written.replace(line, f"tls: {{certificate: {made.certificate}, key: {made.key}, name: dns.example}}"))
    assert it.command("reload").returncode == 0
    assert address(port, other.file, "open.example") == ["198.51.100.20"]
    [after] = [row for row in it.status()["processes"] if row["name"] == "doq"]
    assert after["restarts"] == before["restarts"] and after["pid"] != before["pid"]
