"""Hostile input against the real program: broken packets of every class, on every listener and from the upstream, while others are served.

A few seconds of it in every run; `make soak` does it for ten minutes (`LACHAN_SOAK_MINUTES`) and prints the figures of tests/README.md.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import dns.exception
import dns.message
import dns.rcode
import pytest

from tests.support.certificates import Authority
from tests.support.client import ask
from tests.support.gateway import Gateway, RunningUpstream
from tests.support.hostile import PACKETS, STREAMS, flood, pester
from tests.support.livegateway import workers_of
from tests.support.scripts import Asked, Script
from tests.support.upstream import ScriptedUpstream

CHILD, ADULT = "127.0.0.1", "127.0.0.9"
MEBIBYTE = 1 << 20
SETTINGS = """
state_dir: var
dns: {listen: ["127.0.0.1:0"], workers: 2}
tls: {certificate: {certificate}, key: {key}, name: dns.example}
dot: {listen: ["127.0.0.1:0"]}
doh: {listen: ["127.0.0.1:0"]}
doq: {listen: ["127.0.0.1:0"]}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"], timeout: 0.5s}
metrics: {listen: "127.0.0.1:{metrics}"}
cache: {entries: 2000, bytes: 4MiB}
limits: {answer_table_bytes: 2MiB, clients: 256}
profiles: [{id: be, band: TH}, {id: lon, band: NL}]
clients: [{id: may-be, profile: be, match: [127.0.0.1]}]
default_profile: lon
"""


class Liar(ScriptedUpstream):
    """Answers honestly, except below lie.example, where every answer is damaged; notes questions that should not have come."""

    random = Random(7)
    wrong: list[bytes]
    answered = 0

    def handle(self, asked: Asked) -> Script:
        """One question."""
        self.asked.clear()
        self.answered += 1
        if len(asked.question) > 259 or asked.raw[2] & 0xF8 or asked.raw[4:10] != b"\0\1\0\0\0\0" or asked.raw[11] > 1:
            self.wrong.append(asked.raw)
        question = asked.question
        record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + bytes((198, 51, 100, 20))
        is_address = question[-4:] == b"\0\1\0\1"
        reply = bytearray(asked.raw[:2] + b"\x81\x80\0\1\0" + bytes((is_address, 0, 0, 0, 0)) + question + record * is_address)
        if b"\x03lie\x07example\0" in question.lower():
            for _ in range(self.random.randint(1, 8)):
                reply[self.random.randrange(2, len(reply))] = self.random.choice((0, 0xC0, 0x0C, 0xFF, self.random.randrange(256)))
            del reply[self.random.randint(2, len(reply)) :]
        return bytes(reply)


@dataclass
class Besieged:
    """What happened: answers to honest clients, their slowest, repeats; memory and descriptors of the processes over time."""

    served: int = 0
    slowest: float = 0.0
    repeated: int = 0
    unserved: list[str] = field(default_factory=list)
    sent: dict[str, int] = field(default_factory=dict)
    written: dict[str, int] = field(default_factory=dict)
    memory: list[list[int]] = field(default_factory=list)
    files: list[int] = field(default_factory=list)


@contextmanager
def fortress(folder: Path) -> Iterator[tuple[Gateway, Liar]]:
    """The real program with every listener open, two workers and an upstream that lies now and then."""
    certificate = Authority(folder).vouch("dns.example")
    liar = Liar()
    liar.wrong = []
    with (
        RunningUpstream(upstream=liar) as upstream,
        Gateway(folder, SETTINGS, upstream=upstream.port, certificate=certificate.certificate, key=certificate.key) as gateway,
    ):
        yield gateway, liar


async def honest(gateway: Gateway, until: float, seen: Besieged) -> None:
    """A child and an adult who ask, over UDP and now and then over TCP; three tries of two seconds each."""
    loop = asyncio.get_running_loop()
    number = 0
    while loop.time() < until:
        number += 1
        for source, name, expected in (
            (CHILD, "facebook.com", ["0.0.0.0"]),
            (ADULT, "facebook.com", ["198.51.100.20"]),
            (ADULT, f"fresh{number}.example", ["198.51.100.20"]),
        ):
            transport = "tcp" if number % 10 == 0 else "udp"
            for attempt in range(3):
                begun = time.monotonic()
                try:
                    reply = await ask(("127.0.0.1", gateway.port), name, transport=transport, source=source, seconds=2.0)
                except (TimeoutError, OSError, asyncio.IncompleteReadError):
                    seen.repeated += 1
                    continue
                found = [str(rdata) for rrset in reply.answer for rdata in rrset]
                if reply.rcode() != dns.rcode.NOERROR or found != expected:
                    seen.unserved.append(f"{name}: {reply.to_text()}")
                seen.served += 1
                seen.slowest = max(seen.slowest, time.monotonic() - begun + 2.0 * attempt)
                break
            else:
                seen.unserved.append(f"{name}: no answer")
        await asyncio.sleep(0.02)


async def watch(gateway: Gateway, until: float, seen: Besieged) -> None:
    """Memory that belongs to each process and the open files of all, once a second."""
    loop = asyncio.get_running_loop()
    while loop.time() < until:
        workers = workers_of(gateway)
        seen.memory.append([anonymous(pid) for pid in workers])
        seen.files.append(sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in workers))
        await asyncio.sleep(1)


def anonymous(pid: int) -> int:
    """The octets of memory that are a process's own."""
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(row.split()[1]) * 1024 for row in rows if row.startswith("Private_Dirty:"))


async def fill_bounded_memory(gateway: Gateway) -> None:
    """What a worker may remember, filled before anything is measured, so that what grows afterwards grows for another reason: the form of
    16,384 names (about 5 MiB; asked for as transfers, which are refused once they are read), and the cache of 2,000 answers."""
    loop = asyncio.get_running_loop()
    for port in range(40):  # each source port belongs to one worker
        sender, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=(ADULT, 0), remote_addr=("127.0.0.1", gateway.port)
        )
        for number in range(1000):
            name = f"form-of-a-name-{port:02}-{number:04}".encode()
            question = b"\1x" + bytes((len(name),)) + name + b"\7example\0"
            sender.sendto(b"\0\1\1\0\0\1\0\0\0\0\0\0" + question + b"\0\xfc\0\1")
            if number % 5 == 0:
                sender.sendto(b"\0\1\1\0\0\1\0\0\0\0\0\0" + question + b"\0\1\0\1")
            if number % 50 == 49:
                await asyncio.sleep(0.02)
        sender.close()


async def besiege(gateway: Gateway, seconds: float, per_burst: int) -> Besieged:
    """Everything at once, for this long."""
    until = asyncio.get_running_loop().time() + seconds
    seen = Besieged()
    insecure = ssl.create_default_context()
    insecure.check_hostname = False
    insecure.verify_mode = ssl.CERT_NONE
    rows = gateway.status()["listen"]
    ports = {row["transport"]: int(row["address"].rpartition(":")[2]) for row in rows}
    doors = [(ports["tcp"], None), (ports["dot"], None), (ports["doh"], None), (ports["dot"], insecure), (ports["doh"], insecure)]
    async with asyncio.TaskGroup() as group:
        group.create_task(honest(gateway, until, seen))
        group.create_task(watch(gateway, until, seen))
        group.create_task(flood([ports["udp"], ports["udp"], ports["udp"], ports["doq"]], Random(1), until, per_burst, seen.sent))
        for number in range(15):
            door, tls = doors[number % len(doors)]
            group.create_task(pester(door, tls, Random(number), until, seen.written))
    return seen


def check(gateway: Gateway, liar: Liar, seen: Besieged, before: list[int]) -> None:
    """Nobody went unserved, nothing was written that is an error, nobody ended, nothing wrong reached the upstream."""
    assert seen.unserved == []
    assert seen.served > 50
    assert workers_of(gateway) == before
    status = gateway.status()
    assert [worker["restarts"] for worker in status["workers"]] == [0, 0]
    assert gateway.metric("lachan_worker_restarts_total") == 0 == gateway.metric("lachan_process_restarts_total")
    log = gateway.written().splitlines()
    assert [line for line in log if '"level": "error"' in line or "Traceback" in line or '"exception"' in line] == []
    assert len(log) < 100, "nobody from outside fills the log"
    assert liar.wrong == []
    assert set(seen.sent) == set(PACKETS) and set(seen.written) == set(STREAMS)
    assert gateway.metric("lachan_malformed_total") > 0


async def settled(gateway: Gateway) -> int:
    """The open files of the workers when their guests have gone: idle connections are closed within their time."""
    found = 0
    for _ in range(40):
        found = sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in workers_of(gateway))
        if gateway.metric("lachan_connections") == 0:
            break
        await asyncio.sleep(0.5)
    return found


async def test_broken_packets_of_every_class_disturb_nobody(tmp_path: Path) -> None:
    """Some seconds of every class on every listener: honest clients are answered throughout, nothing breaks, nothing stays open."""
    with fortress(tmp_path) as (gateway, liar):
        before, files = workers_of(gateway), await settled(gateway)
        seen = await besiege(gateway, 6.0, 20)
        check(gateway, liar, seen, before)
        assert await settled(gateway) < files + 600, "only sockets to the upstream, of which there may be 256 a worker"


@pytest.mark.soak
async def test_ten_minutes_of_broken_packets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same for long: besides, memory and open files do not grow after the first quarter."""
    minutes = float(os.environ.get("LACHAN_SOAK_MINUTES", "10"))
    with fortress(tmp_path) as (gateway, liar):
        before = workers_of(gateway)
        await fill_bounded_memory(gateway)
        seen = await besiege(gateway, minutes * 60, 40)
        quarter = len(seen.memory) // 4
        halves = (seen.memory[quarter : 2 * quarter], seen.memory[3 * quarter :])
        early, late = ([statistics.median(column) / MEBIBYTE for column in zip(*part, strict=True)] for part in halves)
        files = (max(seen.files[quarter : 2 * quarter]), max(seen.files[3 * quarter :]))
        with capsys.disabled():
            print(  # noqa: T201  # the figures of tests/README.md
                f"\n{minutes:g} min: {sum(seen.sent.values())} datagrams, {sum(seen.written.values())} connections, "
                f"{liar.answered} questions to the upstream; {seen.served} honest questions answered, {seen.repeated} asked again, "
                f"slowest {seen.slowest:.2f} s; MiB of each process {[f'{one:.1f}' for one in early]} -> {[f'{one:.1f}' for one in late]}, "
                f"files {files[0]} -> {files[1]}"
            )
        check(gateway, liar, seen, before)
        assert sum(late) < sum(early) + 4, seen.memory[:: max(1, quarter // 5)]
        assert files[1] < files[0] + 100, seen.files
