"""A whole school behind one address: its busiest moments stay within the default limit, and a flood from one address costs others nothing.

Where the numbers come from. Six hundred devices. One that joins the Wi-Fi in the morning asks about sixty questions in ten seconds (thirty
names of its system, mail and messages, A and AAAA each); later it asks one every two seconds on average. A lesson's page has about ten
names, so twenty questions, and a class opens it within ten seconds of being told to; at the bell twelve classes of forty do so at once. The
worst ten seconds are therefore 480 × 20 / 10 + 600 / 2 = 1,260 questions a second, from one address, after a quieter hour.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import dns.flags
import dns.message
import dns.rcode
import pytest

from gateway.ratelimit import Allowance, Budget, RateLimiter
from gateway.settings import Limits, RateLimit
from tests.support.client import Datagrams, Stream, answers
from tests.support.generation import profile
from tests.support.household import LISTS
from tests.support.oneworker import OneWorker
from tests.support.scripts import Asked, addresses
from tests.support.upstream import ScriptedUpstream

SCHOOL, NEIGHBOUR, FLOODER = "127.0.0.21", "127.0.0.22", "127.0.0.66"
DEVICES, CLASSES, PUPILS = 600, 12, 40
JOINING, LESSON = 60, 20
LIMIT = RateLimit()  # the defaults; one worker, the least there can be


def question(name: str, number: int) -> bytes:
    """One query for A without EDNS: without a cookie nothing proves its address. Made by hand: floods are fast."""
    labels = b"".join(bytes((len(label),)) + label.encode() for label in name.split("."))
    return (number & 0xFFFF).to_bytes(2, "big") + b"\1\0\0\1\0\0\0\0\0\0" + labels + b"\0\0\1\0\1"


class AnyName(ScriptedUpstream):
    """Every name has an address."""

    def handle(self, asked: Asked) -> object:
        """One question."""
        return super().handle(asked) if asked.is_probe else addresses(asked, "198.51.100.1")


def school_morning(random: Random) -> Iterator[float]:
    """The seconds at which the school asks, from 06:45: devices join around 07:00, bells ring at 07:15 and 07:30."""
    moments = []
    for _ in range(DEVICES):
        joins = min(max(random.gauss(900, 240), 0), 1700)
        moments += [joins + random.uniform(0, 10) for _ in range(JOINING)]
        at = joins + 10
        while (at := at + random.expovariate(0.5)) < 2800:
            moments.append(at)
    for bell in (1800, 2700):
        moments += [bell + random.uniform(0, 10) for _ in range(CLASSES * PUPILS * LESSON)]
    return iter(sorted(moments))


def test_morning_of_six_hundred_devices_behind_one_address_stays_within_the_limit() -> None:
    """Every question of a morning is answered, none is sent to TCP; the same bucket then stops ten thousand a second."""
    limiter, budget = RateLimiter(LIMIT), Budget()
    limiter.open(budget, b"\x0a\0\0\1", 0.0)
    given = Counter(limiter.take(budget, moment, False) for moment in school_morning(Random(1)))
    assert given == {Allowance.ANSWER: given.total()}
    assert given.total() > 500_000
    flood = Counter(limiter.take(budget, 2810 + number / 10_000, False) for number in range(20_000))
    assert flood[Allowance.ANSWER] <= 5000 + 2 * 1000 + 1
    assert 0 < flood[Allowance.TRUNCATE] <= 100 + 2 * 100 + 1
    assert flood[Allowance.DROP] > 12_000


async def ask_all(worker: OneWorker, source: str, plan: list[tuple[float, str]], tries: int = 3) -> Counter[str]:
    """Ask (second, name) from one address at these moments, each once more after two seconds without an answer; what became of them. A
    machine that has no time for that many under way at once asks later."""
    loop = asyncio.get_running_loop()
    room = asyncio.Semaphore(200)
    waiting: dict[int, asyncio.Future[bytes]] = {}
    seen: Counter[str] = Counter()
    async with Datagrams(worker.server, source) as client:

        def read() -> None:
            with contextlib.suppress(BlockingIOError):
                while True:
                    data = client.sock.recv(4096)
                    waiter = waiting.pop(int.from_bytes(data[:2], "big"), None)
                    if waiter is not None and not waiter.done():
                        waiter.set_result(data)

        async def one(number: int, name: str) -> None:
            for _ in range(tries):
                waiting[number] = loop.create_future()
                client.send(question(name, number))
                try:
                    async with asyncio.timeout(2.0):
                        reply = dns.message.from_wire(await waiting[number])
                except TimeoutError:
                    seen["asked again"] += 1
                    continue
                seen["truncated" if reply.flags & dns.flags.TC else "right" if answers(reply) else dns.rcode.to_text(reply.rcode())] += 1
                return
            seen["unanswered"] += 1

        loop.add_reader(client.sock, read)
        begun = loop.time()
        async with asyncio.TaskGroup() as group:
            for number, (moment, name) in enumerate(plan):
                if (early := begun + moment - loop.time()) > 0.005:
                    await asyncio.sleep(early)
                await room.acquire()
                group.create_task(one(number, name)).add_done_callback(lambda _: room.release())
        loop.remove_reader(client.sock)
    return seen


def bell(random: Random, seconds: float) -> list[tuple[float, str]]:
    """What a school asks in the first seconds after the bell: a lesson's ten names, and here and there a name of somebody's own."""
    rate = CLASSES * PUPILS * LESSON / 10 + DEVICES / 2
    names = (f"own{number}.example" if number % 5 == 0 else f"part{random.randrange(10)}.lesson.example" for number in range(10_000))
    return [(number / rate, name) for number, name in zip(range(int(rate * seconds)), names, strict=False)]


async def test_bell_of_a_school_behind_one_address_gets_no_truncation(tmp_path: Path) -> None:
    """Packets at 1,260 a second from one address, more than the bucket holds: every one is answered, on the fast path and beside it."""
    plan = bell(Random(2), 5.0)
    assert len(plan) > LIMIT.burst
    async with AnyName() as upstream, OneWorker(tmp_path, upstream, lists=LISTS, rate_limit=LIMIT) as worker:
        seen = await ask_all(worker, SCHOOL, plan)
        assert seen["right"] == len(plan), seen
        assert worker.metric("lachan_rate_limited") == 0


FLOODS: dict[str, tuple[Callable[[int], str], RateLimit]] = {
    "a name the table knows": (lambda number: "bet.example", LIMIT),
    # Each of these is asked on: a limit that one processor, which also plays the flooder and the upstream, can be brought over.
    "a new name each time": (lambda number: f"f{number}.example", RateLimit(200, 1000)),
}


@pytest.mark.parametrize("kind", FLOODS)
async def test_flood_from_one_address_is_told_then_dropped_and_the_others_are_served(tmp_path: Path, kind: str) -> None:
    """More than three times what the bucket holds: answers, then TC, then silence; a school and a neighbour get every answer."""
    name_of, limit = FLOODS[kind]
    plan = bell(Random(3), 0.5)
    async with (
        AnyName() as upstream,
        OneWorker(tmp_path, upstream, lists=LISTS, profiles=[profile("TH", "child")], rate_limit=limit) as worker,
        Datagrams(worker.server, FLOODER) as flooder,
    ):
        loop = asyncio.get_running_loop()
        others = asyncio.gather(
            ask_all(worker, SCHOOL, plan),
            ask_all(worker, NEIGHBOUR, [(number / 50, "www.example.com") for number in range(50)]),
        )
        begun, replies = loop.time(), []

        def read() -> None:
            with contextlib.suppress(BlockingIOError):
                while True:
                    replies.append(flooder.sock.recv(4096))

        loop.add_reader(flooder.sock, read)
        for number in range(30 * limit.burst):
            flooder.send(question(name_of(number), number))
            if number % 100 == 99:
                await asyncio.sleep(0)
            if number >= 3 * limit.burst and any(reply[2] & 2 for reply in replies):
                break  # a machine that is busy gives the bucket time to fill again
        await asyncio.sleep(0.5)
        loop.remove_reader(flooder.sock)
        fresh = (loop.time() - begun) * limit.per_client
        told = [bool(reply[2] & 2) for reply in replies]
        answered, truncated = told.count(False), told.count(True)
        assert limit.burst * 0.9 <= answered <= limit.burst + fresh + 1
        assert 1 <= truncated <= (limit.per_client + fresh) / 10 + 1
        if limit is LIMIT:  # names that are asked on are answered later than the next one is told
            assert told.index(True) >= limit.burst * 0.9, "nobody is told to use TCP while tokens are left"
        assert all(len(reply) <= 60 for reply, is_truncated in zip(replies, told, strict=True) if is_truncated)
        school, neighbour = await others
        assert worker.metric("lachan_rate_limited") > truncated, "the rest was dropped, and counted"
        assert (school["right"], school["truncated"], school["unanswered"]) == (school["right"], 0, 0)
        assert school["right"] == len(plan), school
        assert neighbour["right"] == 50, neighbour


async def hold(stack: contextlib.AsyncExitStack, worker: OneWorker, source: str, number: int) -> list[Stream]:
    """So many connections from one address, kept open."""
    return [await stack.enter_async_context(Stream(worker.server, source)) for _ in range(number)]


async def ask_once(streams: list[Stream]) -> int:
    """Ask one question on each connection; how many were answered."""
    answered = 0
    for number, stream in enumerate(streams):
        stream.send(question("www.example.com", number))
    for stream in streams:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            answered += bool(answers(dns.message.from_wire(await stream.receive())))
    return answered


async def test_three_hundred_connections_from_a_school_beside_idle_homes_are_all_served(tmp_path: Path) -> None:
    """Phones keep a connection each (DoT has the same class): with the default limits every one is answered, again and again, and stays."""
    async with AnyName() as upstream, OneWorker(tmp_path, upstream) as worker, contextlib.AsyncExitStack() as stack:
        homes = [each for home in range(20) for each in await hold(stack, worker, f"127.0.1.{home + 1}", 5)]
        assert await ask_once(homes) == 100
        school = await hold(stack, worker, SCHOOL, 300)
        for _ in range(3):
            assert await ask_once(school) == 300
        assert await ask_once(homes) == 100
        assert worker.metric("lachan_connections_refused") == 0


async def test_address_that_opens_thousands_leaves_half_to_everybody_else(tmp_path: Path) -> None:
    """Connections beyond half of the places end at once; every home that comes then is served on all of its connections."""
    limits = Limits(tcp_connections=300)
    async with AnyName() as upstream, OneWorker(tmp_path, upstream, limits=limits) as worker, contextlib.AsyncExitStack() as stack:
        kept: list[Stream] = []
        for _ in range(20):
            kept += await hold(stack, worker, FLOODER, 100)
            await asyncio.sleep(0.05)
            for stream in [each for each in kept if each.reader.at_eof()]:
                stream.writer.close()
                kept.remove(stream)
        assert len(kept) < 250 and worker.streams.places.taken <= 150
        homes = [each for home in range(7) for each in await hold(stack, worker, f"127.0.1.{home + 1}", 20)]
        assert await ask_once(homes) == 140
        assert worker.metric("lachan_connections_refused", "tcp", "client") >= 1500
