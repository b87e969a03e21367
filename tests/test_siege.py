"""Every attack on the encrypted transports at once, on the real program: each is ended within its budget, a client outside is served all
the while, and afterwards memory, descriptors and connections are where they were.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dns.message
import httpx
import pytest

from tests.support.besiegers import ATTACKS, Target, framed, query
from tests.support.certificates import Authority
from tests.support.client import exchange
from tests.support.gateway import Gateway, RunningUpstream
from tests.support.quicclient import dial

# Attackers do not tidy up behind themselves.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SETTINGS = """
state_dir: var
dns: {listen: ["127.0.0.1:0"], workers: 1}
tls: {certificate: {certificate}, key: {key}, name: dns.example}
dot: {listen: ["127.0.0.1:0"]}
doh: {listen: ["127.0.0.1:0"]}
doq: {listen: ["127.0.0.1:0"]}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"]}
metrics: {listen: "127.0.0.1:{metrics}"}
limits: {tcp_query: 4s, tcp_idle: 3s, tcp_per_client: 10, tcp_connections: 60}
profiles: [{id: me, band: NL}]
default_profile: me
"""
RECORDS = {
    ("www.example.com", "A"): ["198.51.100.1"],
    ("large.example", "TXT"): [f'"{number:03}{"x" * 240}"' for number in range(100)],
}
OUTSIDE = "127.0.0.2"
MIB = 1024 * 1024


@dataclass
class Footprint:
    """What the processes that serve hold."""

    descriptors: int
    memory: int


@dataclass
class Siege:
    """How it went."""

    before: Footprint
    after: Footprint
    again: Footprint
    faults: dict[str, str] = field(default_factory=dict)
    served: dict[str, int] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)
    connections: float = 0.0
    refused: dict[str, float] = field(default_factory=dict)


def footprint(gateway: Gateway) -> Footprint:
    """Of the worker and the QUIC process."""
    status = gateway.status()
    processes = [status["workers"][0]["pid"], *(row["pid"] for row in status["processes"] if row["name"] == "doq")]
    memory = 0
    for process in processes:
        for line in Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                memory += int(line.split()[1]) * 1024
    return Footprint(sum(len(os.listdir(f"/proc/{process}/fd")) for process in processes), memory)


class Outside:
    """A client that only wants an answer, by a new connection each time."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self.served = dict.fromkeys(("udp", "dot", "doh", "doq"), 0)
        self.missed: list[str] = []

    async def watch(self) -> None:
        """Ask over every transport, again and again."""
        while True:
            for transport in self.served:
                try:
                    async with asyncio.timeout(15):
                        reply = dns.message.from_wire(await getattr(self, f"_{transport}")())
                    assert [str(rdata) for rrset in reply.answer for rdata in rrset] == ["198.51.100.1"]
                    self.served[transport] += 1
                except Exception as error:  # whatever it is, the client outside was not served
                    self.missed.append(f"{transport}: {error!r}")
            await asyncio.sleep(0.05)

    async def _udp(self) -> bytes:
        return await exchange(("127.0.0.1", self._target.ports["udp"]), query("www.example.com"), source=OUTSIDE, seconds=15)

    async def _dot(self) -> bytes:
        reader, writer = await self._target.secretly("dot")
        writer.write(framed(query("www.example.com")))
        reply = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        writer.close()
        return reply

    async def _doh(self) -> bytes:
        trust = ssl.create_default_context(cafile=str(self._target.authority))
        transport = httpx.AsyncHTTPTransport(http2=True, verify=trust, local_address=OUTSIDE)
        async with httpx.AsyncClient(transport=transport, timeout=15) as client:
            url = f"https://127.0.0.1:{self._target.ports['doh']}/dns-query"
            return (await client.post(url, content=query("www.example.com"), headers={"content-type": "application/dns-message"})).content

    async def _doq(self) -> bytes:
        async with dial(self._target.ports["doq"], self._target.authority, source=OUTSIDE) as client:
            reply = await client.ask(query("www.example.com"))
            assert reply is not None
            return reply


async def attack(ports: dict[str, int], authority: Path) -> tuple[dict[str, str], Outside]:
    """Everything at once; what went wrong with each attack, and the client outside."""
    outside = Outside(Target(ports, authority, OUTSIDE))
    watching = asyncio.create_task(outside.watch())

    async def one(number: int, name: str) -> tuple[str, str]:
        try:
            await ATTACKS[name](Target(ports, authority, f"127.0.1.{number + 1}"))
        except (ConnectionError, ssl.SSLError):
            return name, ""  # ended before it had begun
        except Exception as error:  # of any other kind: it is what the test is about
            return name, repr(error)
        return name, ""

    done = dict(await asyncio.gather(*(one(number, name) for number, name in enumerate(ATTACKS))))
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    return {name: fault for name, fault in done.items() if fault}, outside


@pytest.fixture(scope="module")
def siege(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Siege]:
    """Two sieges in a row, and what was left after each."""
    folder = tmp_path_factory.mktemp("siege")
    authority = Authority(folder)
    made = authority.vouch("dns.example", "127.0.0.1")
    fields = {"certificate": made.certificate, "key": made.key}
    with RunningUpstream(RECORDS) as upstream, Gateway(folder, SETTINGS, upstream=upstream.port, **fields) as gateway:
        ports = {row["transport"]: int(row["address"].rpartition(":")[2]) for row in gateway.status()["listen"]}

        def quiet() -> Footprint:
            end = time.monotonic() + 30
            while gateway.metric("lachan_connections") and time.monotonic() < end:
                time.sleep(0.2)
            return footprint(gateway)

        warm = Outside(Target(ports, authority.file, OUTSIDE))
        for ask in (warm._udp, warm._dot, warm._doh, warm._doq):
            asyncio.run(ask())
        before = quiet()
        faults, outside = asyncio.run(attack(ports, authority.file))
        after = quiet()
        more, other = asyncio.run(attack(ports, authority.file))
        gc.collect()
        result = Siege(before, after, quiet(), {**faults, **more}, outside.served, outside.missed + other.missed)
        result.connections = gateway.metric("lachan_connections")
        for transport in ("dot", "doh", "doq"):
            result.refused[transport] = gateway.metric("lachan_connections_refused_total", transport=transport)
        assert "worker.ended" not in gateway.written() and "Traceback" not in gateway.written()
        assert all(row["restarts"] == 0 for row in gateway.status()["processes"])
        yield result


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_is_ended_by_its_budget(siege: Siege, name: str) -> None:
    """Slow, silent, endless, oversized, flooding or never reading: the connection ends, and nobody waits for it longer than allowed."""
    assert siege.faults.get(name, "") == ""


def test_client_outside_is_served_all_the_while(siege: Siege) -> None:
    """Not one question over any transport remained without its answer."""
    assert siege.missed == []
    assert all(siege.served.values()), siege.served


def test_memory_descriptors_and_connections_return(siege: Siege) -> None:
    """A second siege takes nothing more than the first, and neither leaves a descriptor or a connection."""
    assert siege.connections == 0
    # sockets towards upstreams come and go by themselves
    assert max(siege.after.descriptors, siege.again.descriptors) <= siege.before.descriptors + 6
    assert siege.after.memory - siege.before.memory < 64 * MIB
    assert siege.again.memory - siege.after.memory < 40 * MIB


def test_refused_connections_are_counted(siege: Siege) -> None:
    """By transport, for the operator."""
    assert all(number > 0 for number in siege.refused.values()), siege.refused
