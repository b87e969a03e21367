"""Datagrams by the batch: every query gets its own reply from the address it asked, and one bad datagram costs nobody else."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import itertools
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import pytest

from gateway.kernelmessages import has_batches
from gateway.listeners import batch
from gateway.listeners.udp import DatagramListener
from tests.support.client import Datagrams, answers, ask, exchange
from tests.support.generation import category, profile, zone
from tests.support.oneworker import OneWorker
from tests.support.scripts import Asked, Say, addresses
from tests.support.upstream import ScriptedUpstream

pytestmark = pytest.mark.skipif(not has_batches(), reason="needs recvmmsg")

OPEN = {("www.example.com", "A"): ["198.51.100.1"]}


def numbered(count: int) -> dict[tuple[str, str], list[str]]:
    """As many names, each with an address of its own."""
    return {(f"n{number}.example.com", "A"): [f"198.51.{number // 250}.{number % 250 + 1}"] for number in range(count)}


async def burst(worker: OneWorker, names: list[str], source: str | None = None, seconds: float = 3.0) -> dict[int, dns.message.Message]:
    """Send all queries at once from one socket; the replies by id (the place of the name in the list)."""
    replies: dict[int, dns.message.Message] = {}
    async with Datagrams(worker.server, source) as client:
        for number, name in enumerate(names):
            client.send(dns.message.make_query(name, "A", id=number).to_wire())
        try:
            async with asyncio.timeout(seconds):
                while len(replies) < len(names):
                    reply = dns.message.from_wire(await client.receive())
                    assert reply.id not in replies, "two replies to one query"
                    replies[reply.id] = reply
        except TimeoutError:
            pass
    return replies


async def test_each_query_of_a_burst_gets_its_own_answer(tmp_path: Path) -> None:
    """Hundreds of queries at once, new ones and finished ones mixed: every id gets the address of its own name."""
    records = numbered(150)
    names = [name for name, _ in records]
    async with ScriptedUpstream(records) as upstream, OneWorker(tmp_path, upstream) as worker:
        for queries in (names[:50], names[:100], names[::-1], names[::2] + names[1::2], names * 2):
            replies = await burst(worker, queries)
            assert len(replies) == len(queries)
            for number, name in enumerate(queries):
                assert answers(replies[number]) == records[name, "A"], name
                assert str(replies[number].question[0].name) == name + "."


async def test_holes_in_a_batch_are_closed(tmp_path: Path) -> None:
    """Queries that are dropped, answered later, malformed and finished stand mixed in one batch; each gets what is due to it."""

    def script(asked: Asked) -> Any:
        return [Say(addresses(asked, "198.51.100.1"), after=0.1 if asked.qname.startswith("late") else 0.0)]

    class Slow(ScriptedUpstream):
        def handle(self, asked: Asked) -> Any:
            return super().handle(asked) if asked.is_probe else script(asked)

    lists = {"zone": zone("rpz.example", {"*.drop.example": "drop"}), "bets": category("gamb", "bet.example")}
    async with Slow() as upstream, OneWorker(tmp_path, upstream, lists=lists, profiles=[profile("TH", "kid")]) as worker:
        for _ in range(3):
            await ask(worker.server, "known.example.com")
            await ask(worker.server, "bet.example")
        kinds = ["known.example.com", "bet.example", "x.drop.example", "late"]
        names = [f"late{number}.example.com" if (kind := kinds[number % 4]) == "late" else kind for number in range(60)]
        replies = await burst(worker, names, seconds=1.0)
        for number, name in enumerate(names):
            if name == "x.drop.example":
                assert number not in replies
            else:
                assert answers(replies[number]) == (["0.0.0.0"] if name == "bet.example" else ["198.51.100.1"])


@pytest.mark.parametrize("kind", [batch.BatchListener, DatagramListener])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "::"])
async def test_both_families_bound_and_wildcard(tmp_path: Path, host: str, kind: type[Any]) -> None:
    """IPv4 and IPv6, one address or all of them: new, cached, finished and late replies arrive."""
    async with ScriptedUpstream(numbered(20)) as upstream, OneWorker(tmp_path, upstream, host=host, datagrams=kind) as worker:
        for _ in range(4):
            replies = await burst(worker, [f"n{number}.example.com" for number in range(20)])
            assert len(replies) == 20


async def test_reply_comes_from_the_address_that_was_asked(tmp_path: Path) -> None:
    """On a wildcard socket each client hears from the address it asked, on every path; clients of different addresses are told apart."""
    people = {
        "sites": [{"id": "one", "class": "school", "listen": ["127.0.0.11"]}, {"id": "two", "class": "school", "listen": ["127.0.0.12"]}],
        "profiles": [profile("NL", "adult", "school"), profile("TH", "child", "school")],
        "clients": [
            {"id": "a", "profile": "adult", "site": "one", "match": ["127.0.0.0/8"]},
            {"id": "b", "profile": "child", "site": "two", "match": ["127.0.0.0/8"]},
        ],
    }
    lists = {"bets": category("gamb", "bet.example")}
    async with (
        ScriptedUpstream({("bet.example", "A"): ["198.51.100.9"]}) as upstream,
        OneWorker(tmp_path, upstream, host="0.0.0.0", lists=lists, **people) as worker,
    ):
        for _ in range(4):
            for host, expected in (("127.0.0.11", "198.51.100.9"), ("127.0.0.12", "0.0.0.0")):
                # A connected socket takes replies from the address it asked only.
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                    client.setblocking(False)
                    client.bind(("127.0.0.2", 0))
                    client.connect((host, worker.port))
                    client.send(dns.message.make_query("bet.example", "A").to_wire())
                    async with asyncio.timeout(2):
                        reply = dns.message.from_wire(await asyncio.get_running_loop().sock_recv(client, 65535))
                assert answers(reply) == [expected]


async def test_datagram_larger_than_a_slot_is_malformed(tmp_path: Path) -> None:
    """A datagram that arrives cut is answered with FORMERR; those beside it are answered as usual."""
    async with ScriptedUpstream(OPEN) as upstream, OneWorker(tmp_path, upstream) as worker:
        long = dns.message.make_query("www.example.com", "A").to_wire() + bytes(4000)
        reply = dns.message.from_wire(await exchange(worker.server, long))
        assert reply.rcode() == dns.rcode.FORMERR
        assert answers(await ask(worker.server, "www.example.com")) == ["198.51.100.1"]


class Calls:
    """A stand-in for sendmmsg that fails at some messages and notes what was sent."""

    def __init__(self, listener: Any, fail: dict[int, int]) -> None:
        self.sent: list[int] = []
        self.fail = fail
        self.done = 0
        listener._sendmmsg = self

    def __call__(self, fd: int, pointer: Any, count: int, flags: int) -> int:
        here = self.done
        for offset in range(count):
            number = here + offset
            if number in self.fail:
                if offset:
                    self.done = number
                    return offset
                ctypes.set_errno(self.fail[number])
                self.done = number + 1
                return -1
            self.sent.append(number)
        self.done = here + count
        return count


@pytest.mark.parametrize(
    ("fail", "sent", "counted"),
    [
        ({}, [0, 1, 2, 3, 4, 5], {}),
        ({2: errno.EINVAL}, [0, 1, 3, 4, 5], {"unreachable": 1}),
        ({0: errno.EPERM, 1: errno.EHOSTUNREACH, 5: errno.EMSGSIZE}, [2, 3, 4], {"unreachable": 3}),
        ({3: errno.EAGAIN}, [0, 1, 2], {"full": 3}),
        ({0: errno.ENOBUFS}, [], {"full": 6}),
    ],
)
async def test_message_that_cannot_be_sent_does_not_hold_up_the_others(
    tmp_path: Path, fail: dict[int, int], sent: list[int], counted: dict[str, int]
) -> None:
    """sendmmsg stops at the first failure: that message is skipped and counted, the rest goes out; a full socket loses the rest."""
    async with OneWorker(tmp_path) as worker:
        listener = worker.datagrams
        calls = Calls(listener, fail)
        listener._send(listener._ring, listener._ring.pointer, 0, 6)
        assert calls.sent == sent
        rows = {labels[0]: number for name, labels, number in worker.counters.harvest() if name == "lachan_send_errors" and number}
        assert rows == counted
        listener._sendmmsg = ctypes.CDLL(None, use_errno=True).sendmmsg


async def test_query_from_port_zero_is_dropped_before_anything_else(tmp_path: Path) -> None:
    """Nobody can be answered at port 0; the others of the batch are answered."""
    async with ScriptedUpstream(OPEN) as upstream, OneWorker(tmp_path, upstream) as worker:
        for _ in range(3):
            await ask(worker.server, "www.example.com")
        listener = worker.datagrams
        ring = listener._ring
        query = dns.message.make_query("www.example.com", "A").to_wire()
        for slot in range(3):
            ring.memory[ring.bases[slot] : ring.bases[slot] + len(query)] = query
            ring.lengths[slot] = len(query)
            port = 0 if slot == 1 else 40000 + slot
            start = ring.names[slot].start
            ring.memory[start : start + 8] = struct.pack("=H", socket.AF_INET) + port.to_bytes(2, "big") + bytes((127, 0, 0, 1))
        sent: list[int] = []

        def note(ring: Any, pointer: Any, done: int, count: int) -> None:
            sent.append(count)

        listener._send = note
        listener._serve(3)
        assert sent == [2]
        del listener._send


async def test_errors_of_receiving_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error the system reports while receiving ends nothing."""
    async with ScriptedUpstream(OPEN) as upstream, OneWorker(tmp_path, upstream) as worker:
        listener = worker.datagrams
        real = listener._recvmmsg

        def broken(*_: Any) -> int:
            listener._recvmmsg = real
            ctypes.set_errno(errno.ECONNREFUSED)
            return -1

        listener._recvmmsg = broken
        assert answers(await ask(worker.server, "www.example.com")) == ["198.51.100.1"]
        assert worker.metric("lachan_receive_errors") == 1


async def test_stop_lets_late_replies_out(tmp_path: Path) -> None:
    """After `stop` nothing is read, but what was asked before is still answered; then the listener is idle."""

    class Slow(ScriptedUpstream):
        def handle(self, asked: Asked) -> Any:
            return [Say(addresses(asked, "198.51.100.1"), after=0.2)]

    async with Slow() as upstream, OneWorker(tmp_path, upstream) as worker:
        waiting = asyncio.create_task(ask(worker.server, "www.example.com"))
        await asyncio.sleep(0.1)
        worker.datagrams.stop()
        assert not worker.datagrams.is_idle
        with pytest.raises(TimeoutError):
            await ask(worker.server, "localhost", seconds=0.05)
        assert answers(await waiting) == ["198.51.100.1"]
        assert worker.datagrams.is_idle


@pytest.mark.parametrize(("family", "with_local"), [(socket.AF_INET, False), (socket.AF_INET, True), (socket.AF_INET6, True)])
def test_ring_lays_out_what_the_kernel_expects(family: int, with_local: bool) -> None:
    """Slots do not overlap, headers point to their own slot, and resetting brings every length back."""
    ring = batch._Ring(family, with_local)
    spans = [(base, base + batch.CAPACITY) for base in ring.bases]
    spans += [(name.start, name.stop) for name in ring.names] + [(control.start, control.stop) for control in ring.controls if with_local]
    spans.sort()
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(spans))
    assert len({key.start for key in ring.keys}) == batch.SLOTS
    assert all(size == batch.CAPACITY for size in ring.sizes.tolist())
    ring.sizes[3] = 7
    ring.memory[ring.iovecs_at : ring.iovecs_at + len(ring.fresh_iovecs)] = ring.fresh_iovecs
    assert ring.sizes[3] == batch.CAPACITY


def test_interface_is_cleared_unless_link_local(tmp_path: Path) -> None:
    """The way back may be another link; only link-local addresses stay bound to theirs."""
    listener: Any = batch.BatchListener.__new__(batch.BatchListener)
    listener._is_v6 = True
    listener._ring = ring = batch._Ring(socket.AF_INET6, True)
    for slot, address in enumerate(("fe80::1", "2001:db8::1", "febf::1", "fec0::1")):
        ring.links[slot] = 5
        at = ring.names[slot].start + ring.local[0]
        ring.memory[at : at + 16] = socket.inet_pton(socket.AF_INET6, address)
    listener._clear_links(4)
    assert ring.links[:4].tolist() == [5, 0, 5, 0]
    listener._is_v6 = False
    listener._ring = ring = batch._Ring(socket.AF_INET, True)
    ring.links[0] = 5
    listener._clear_links(1)
    assert ring.links[0] == 0
    assert sys.byteorder in ("little", "big")


async def test_hits_touch_the_pipeline_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A finished reply is sent without the pipeline; only the first hit of a second renders it anew."""
    async with ScriptedUpstream(OPEN) as upstream, OneWorker(tmp_path, upstream) as worker:
        for _ in range(3):
            await ask(worker.server, "www.example.com")
        calls: list[str] = []

        def watch(name: str) -> Callable[..., Any]:
            real = getattr(worker.pipeline, name)

            def called(*arguments: Any) -> Any:
                calls.append(name)
                return real(*arguments)

            return called

        monkeypatch.setattr(worker.pipeline, "touch", watch("touch"), raising=False)
        monkeypatch.setattr(worker.pipeline, "answer_now", watch("answer_now"), raising=False)
        begun = asyncio.get_running_loop().time()
        for _ in range(50):
            assert answers(await ask(worker.server, "www.example.com")) == ["198.51.100.1"]
        seconds = int(asyncio.get_running_loop().time()) - int(begun)
        assert calls.count("answer_now") == 0
        assert calls.count("touch") <= seconds + 1
        assert worker.metric("lachan_queries", "udp", "A") == 53
