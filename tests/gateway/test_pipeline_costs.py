"""No packet costs more than twenty plain queries: every class of hostile packet, over UDP and TCP, under policies that are large.

The cost is counted in bytecode instructions, which are the same on every machine. What libraries do in C is not among them; it is measured
in processor time, by the median of each class, because single measurements of microseconds jump.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

import pytest

from gateway.listeners.stream import Connection
from gateway.query import Origin, Transport
from tests.support.generation import profile
from tests.support.hostile import PACKETS, STREAMS
from tests.support.household import LISTS, OPEN
from tests.support.oneworker import OneWorker
from tests.support.upstream import ScriptedUpstream

MOST = 20
EXPRESSIONS = [f"/(^|[.-])word{number}[a-z]*\\.(com|net|vn)$/" for number in range(200)]
NAMES = [f"name{number}.example" for number in range(2000)]
EVERYBODY = {"id": "everybody", "profile": "child", "match": ["127.0.0.0/8"]}
POLICIES: dict[str, dict[str, Any]] = {
    "plain": {"profiles": [profile("TH", "child")]},
    "two hundred expressions": {"profiles": [profile("TH", "child", deny=EXPRESSIONS)]},
    "two thousand names": {"profiles": [profile("TH", "child", deny=NAMES)]},
    "allow-list only": {"profiles": [profile("MN", "child", allow=["www.example.com", *NAMES])]},
    "a thousand profiles": {
        "profiles": [profile("TH", "child"), *(profile("CS", f"p{number}", deny=[f"own{number}.example"]) for number in range(1000))],
        "clients": [
            EVERYBODY,
            *({"id": f"c{number}", "profile": f"p{number}", "match": [f"10.{number >> 8}.{number & 255}.1"]} for number in range(1000)),
        ],
    },
}


def query(body: bytes = b"\x03www\x07example\x03com\0\0\x01\0\x01", tail: bytes = b"", count: int = 1, records: int = 1) -> bytes:
    """A packet with a question and what stands behind it."""
    return b"\x12\x34\x01\0" + count.to_bytes(2, "big") + b"\0\0\0\0" + records.to_bytes(2, "big") + body + tail


def opt(options: bytes) -> bytes:
    """An OPT record."""
    return b"\0\0\x29\x04\xd0\0\0\0\0" + len(options).to_bytes(2, "big") + options


def worst() -> dict[str, bytes]:
    """Packets made by hand to be as dear as they can be."""
    question, deep = query(records=0)[12:], b"\x01a" * 126 + b"\0"
    cookie = b"\0\x0a\0\x18" + b"c" * 8 + b"\1\0\0\0" + bytes(12)
    return {
        "deep name": query(deep + b"\0\1\0\1", records=0),
        "deep escaped name": query(b"\x01." * 126 + b"\0\0\1\0\1", records=0),
        "long labels of odd octets": query((b"\x3f" + b"\xff" * 63) * 3 + b"\0\0\1\0\1", records=0),
        "endless name": query(b"\x01a" * 30000, records=0),
        "as many options as fit": query(tail=opt(b"\xff\xfe\0\0" * 48)),
        "thousands of options": query(tail=opt(b"\xff\xfe\0\0" * 16000)),
        "subnets": query(tail=opt(b"\0\x08\0\x07\0\1\x18\0\xc0\0\2" * 48)),
        "cookies": query(tail=opt(cookie * 40)),
        "deep names everywhere": query(deep + b"\0\1\0\1", (deep + bytes(10)) * 2, records=2),
        "thousands of records": query(tail=(b"\0" + bytes(10)) * 5000, records=5000),
        "thousands of questions": query(question * 3000, count=3000, records=0),
        "unknown operation": b"\x12\x34\x78\0\0\1\0\0\0\0\0\2" + question + (deep + bytes(10)) * 2,
    }


def fresh() -> Iterator[bytes]:
    """Ordinary queries that no table knows."""
    for number in range(10_000):
        yield query(f"\x03www\x07f{number:06}\x03com\0\0\1\0\1".encode(), records=0)


def count_instructions(work: Callable[[], object]) -> int:
    """Bytecode instructions executed, a measure that is the same on every machine."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


class Bench:
    """One worker, and what a packet costs it."""

    def __init__(self, worker: OneWorker) -> None:
        self._pipeline = worker.pipeline
        self._scope = worker.datagrams._scope
        self._source, self._record = next(iter(self._scope.records.items()))
        self.streams = worker.streams

    def _work(self, data: bytes) -> Callable[[], object]:
        origin = Origin(
            Transport.UDP, self._source, 0, self._scope, self._source, None, None, lambda origin, reply: None, None, self._record
        )
        return lambda: self._pipeline.answer_now(data, origin)

    def instructions(self, data: bytes) -> int:
        """From reading to the reply, or to the question to the upstream."""
        return count_instructions(self._work(data))

    def seconds(self, data: bytes) -> float:
        """The same in processor time."""
        work = self._work(data)
        begun = time.thread_time()
        work()
        return time.thread_time() - begun


class Sink(asyncio.Transport):
    """A connection's far end that takes everything."""

    def __init__(self) -> None:
        super().__init__({})
        self._closing = False

    def write(self, data: object) -> None:
        """Taken."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Without limits."""

    def is_closing(self) -> bool:
        """Whether the server has had enough."""
        return self._closing

    def close(self) -> None:
        """The server ends it."""
        self._closing = True

    abort = close

    def pause_reading(self) -> None:
        """Nothing reads here."""

    def resume_reading(self) -> None:
        """Nothing reads here."""


class Counting(Connection):
    """A connection that counts the messages it answers."""

    answered = 0

    def _answer(self, data: bytes, second: int) -> bytes | None:
        self.answered += 1
        return super()._answer(data, second)


def write(bench: Bench, data: bytes) -> float:
    """Instructions for each message of what is written on a new connection."""
    connection = Counting(bench.streams, b"\x7f\0\0\1", 5353, b"\x7f\0\0\1", b"")
    connection.client = None  # it takes nobody's place
    connection.connection_made(Sink())
    cost = count_instructions(lambda: connection.data_received(data))
    connection.connection_lost(None)
    return cost / max(1, connection.answered)


@asynccontextmanager
async def bench_of(folder: Path, policy: str) -> AsyncIterator[Bench]:
    """A worker that has been asked before."""
    async with ScriptedUpstream(OPEN) as upstream, OneWorker(folder, upstream, lists=LISTS, **POLICIES[policy]) as worker:
        await worker.ask("www.example.com")
        await worker.ask("www.example.com", transport="tcp")
        yield Bench(worker)


async def test_no_packet_costs_more_than_twenty_ordinary_ones(tmp_path: Path) -> None:
    """From reading to reply, the worst packet takes at most twenty times the instructions of an ordinary query that no table knows."""
    async with bench_of(tmp_path, "plain") as bench:
        ordinary = min(bench.instructions(query(records=0)), bench.instructions(query(tail=opt(b""))))
        costs = {what: bench.instructions(data) / ordinary for what, data in worst().items()}
        assert max(costs.values()) <= MOST, costs


@pytest.mark.parametrize("policy", POLICIES)
async def test_no_class_of_packets_costs_more_than_twenty_plain_queries(tmp_path: Path, policy: str) -> None:
    """All classes of `support/hostile.py` and the packets made by hand, judged by a large policy, against a query judged by a plain one."""
    random = Random(11)
    async with bench_of(tmp_path / "plain", "plain") as plain:
        names = fresh()
        ordinary = min(plain.instructions(next(names)) for _ in range(10))
        second = statistics.median(plain.seconds(next(names)) for _ in range(200))
    async with bench_of(tmp_path / "large", policy) as bench:
        costs = {what: bench.instructions(data) / ordinary for what, data in worst().items()}
        for what, make in PACKETS.items():
            costs[what] = max(bench.instructions(make(random)) for _ in range(40)) / ordinary
        times = {what: statistics.median(bench.seconds(make(random)) for _ in range(60)) / second for what, make in PACKETS.items()}
        times["fresh names"] = statistics.median(bench.seconds(next(names)) for _ in range(200)) / second
    assert max(costs.values()) <= MOST, costs
    assert max(times.values()) <= MOST, times


async def test_framing_of_a_stream_costs_no_more_either(tmp_path: Path) -> None:
    """The same packets with a length before them, and what misbehaving clients write, for each message that is answered."""
    random = Random(12)
    async with bench_of(tmp_path, "two hundred expressions") as bench:
        names = fresh()
        ordinary = min(write(bench, len(data).to_bytes(2, "big") + data) for data in (next(names) for _ in range(10)))
        framed = {
            what: [len(data).to_bytes(2, "big") + data for data in (make(random)[:65535] for _ in range(20))]
            for what, make in PACKETS.items()
        }
        costs = {what: max(write(bench, data) for data in written) / ordinary for what, written in framed.items()}
        costs |= {f"stream: {what}": max(write(bench, make(random)) for _ in range(10)) / ordinary for what, make in STREAMS.items()}
    assert max(costs.values()) <= MOST, costs
