"""What all kept connections have in common: the words for errors, and that nothing is left behind."""

from __future__ import annotations

import asyncio
import errno
import gc
import ssl

import pytest

from gateway.query import Answer
from gateway.upstreams import Timeout, pool, selector
from gateway.upstreams.pool import Connection, describe
from tests.gateway.upstreams.conftest import OpenResolver
from tests.support.scripts import Asked, Close, Say, Script, addresses, truncated
from tests.support.upstream import ScriptedUpstream


class Closing(ScriptedUpstream):
    """Answers and closes, each time."""

    def handle(self, asked: Asked) -> Script:
        return [Say(addresses(asked, "192.0.2.1")), Close(after=0.005)]


async def test_lost_connections_leave_nothing_behind(open_resolver: OpenResolver) -> None:
    """A server that closes after every answer costs a connection each time; none of them stays in memory, without the collector's help."""
    async with Closing() as upstream:
        asker = open_resolver(upstream, scheme="tcp")
        gc.collect()
        gc.disable()
        try:
            for number in range(30):
                assert isinstance(await asker.ask(f"w{number}.example"), Answer)
                await asyncio.sleep(0.01)
            alive = [thing for thing in gc.get_objects() if isinstance(thing, Connection)]
        finally:
            gc.enable()
        assert upstream.connections >= 25
        assert len(alive) <= 2


async def test_close_while_connecting_is_quiet(open_resolver: OpenResolver) -> None:
    """Closing in the middle of a connection attempt reports nothing and leaves no task."""
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))
    async with ScriptedUpstream() as upstream:
        asker = open_resolver(upstream, scheme="tcp")
        waiting = asker.begin()
        await asyncio.sleep(0)
        asker.resolver.close()
        await waiting
        await asyncio.sleep(0.05)
        assert asyncio.all_tasks() == {asyncio.current_task()}
    assert reported == []


async def test_long_silence_retires_a_connection(open_resolver: OpenResolver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that falls silent in the middle of talk gets no new questions after a while."""
    monkeypatch.setattr(pool, "SILENCE", 0.8)

    class Fading(ScriptedUpstream):
        def handle(self, asked: Asked) -> Script:
            return None if asked.connection == 1 and len(self.questions) > 1 else addresses(asked, "192.0.2.1")

    async with Fading() as upstream:
        asker = open_resolver(upstream, scheme="tcp")
        await asker.ask("a.example")
        first = await asker.ask("b.example")
        assert isinstance(first, Answer | Timeout)
        assert isinstance(await asker.ask("c.example"), Answer)
        assert upstream.connections == 2


class OneEach(ScriptedUpstream):
    """Cuts every answer over UDP short; over TCP it answers the first question of a connection and closes it."""

    def __init__(self) -> None:
        super().__init__()
        self.served: set[int] = set()

    def handle(self, asked: Asked) -> Script:
        if asked.is_probe:
            return super().handle(asked)
        if asked.transport == "udp":
            return truncated(asked)
        if asked.connection in self.served:
            return None
        self.served.add(asked.connection)
        return [Say(addresses(asked, "192.0.2.1"), after=0.01), Close()]


@pytest.mark.parametrize("scheme", ["udp", "tcp"])
async def test_server_that_answers_one_question_for_each_connection(open_resolver: OpenResolver, scheme: str) -> None:
    """Questions still open on a connection that the server closed are asked again on others, and it then gets one on each, a few side by
    side: nobody misses a name, and no question costs more attempts than it may (RFC 7766 §6.2.1)."""
    async with OneEach() as upstream:
        asker = open_resolver(upstream, scheme=scheme)
        for round_ in range(3):
            outcomes = await asyncio.gather(*(asker.begin(f"w{round_}-{number}.example") for number in range(30)))
            assert [type(outcome) for outcome in outcomes] == [Answer] * 30, round_
            asked = [asked.connection for asked in upstream.questions if asked.transport == "tcp"]
            assert all(upstream.count(f"w{round_}-{number}.example") <= selector.MAX_SENDS for number in range(30))
            upstream.asked.clear()
        assert len(asked) == len(set(asked)) == 30
        assert asker.resolver.is_reachable(0)
        await asyncio.sleep(0.05)
        assert not upstream.open_connections


async def test_server_that_started_over_is_not_taken_for_one_of_that_kind(open_resolver: OpenResolver) -> None:
    """A server that closes with questions open when it starts over gets many on one connection again within a second."""

    class Restarting(ScriptedUpstream):
        def handle(self, asked: Asked) -> Script:
            if asked.connection == 1:
                return [Say(addresses(asked, "192.0.2.1")), Close(after=0.01)] if len(self.questions) == 1 else None
            return addresses(asked, "192.0.2.1")

    async with Restarting() as upstream:
        asker = open_resolver(upstream, scheme="tcp")
        for round_ in range(2):
            outcomes = await asyncio.gather(*(asker.begin(f"w{round_}-{number}.example") for number in range(20)))
            assert [type(outcome) for outcome in outcomes] == [Answer] * 20
            await asyncio.sleep(2 * pool.CLOSES_WITHIN)
        before = upstream.connections
        await asyncio.gather(*(asker.begin(f"again{number}.example") for number in range(20)))
        assert upstream.connections - before <= 1


async def test_server_that_started_over_in_a_busy_second_costs_no_name(open_resolver: OpenResolver) -> None:
    """What waited for a connection of its own goes out on those that are open as soon as the server is known not to want that."""

    class Restarting(ScriptedUpstream):
        def handle(self, asked: Asked) -> Script:
            if asked.is_probe:
                return super().handle(asked)
            if asked.connection == 1:
                return [Say(addresses(asked, "192.0.2.1")), Close(after=0.01)] if len(self.questions) == 1 else None
            return [Say(addresses(asked, "192.0.2.1"), after=0.08)]

    async with Restarting() as upstream:
        asker = open_resolver(upstream, scheme="tcp")
        waiting = [asker.begin(f"first{number}.example") for number in range(20)]
        for number in range(150):
            waiting.append(asker.begin(f"w{number}.example"))
            await asyncio.sleep(0.01)
        assert {type(outcome) for outcome in await asyncio.gather(*waiting)} == {Answer}


@pytest.mark.parametrize("scheme", ["udp", "tcp"])
async def test_server_that_reads_one_question_of_each_connection(open_resolver: OpenResolver, scheme: str) -> None:
    """It lets the others lie and keeps the connection open: they are asked again, each on its own, long before their clients give up."""

    class Forgetting(OneEach):
        def handle(self, asked: Asked) -> Script:
            steps = super().handle(asked)
            return steps[:1] if isinstance(steps, list) else steps

    async with Forgetting() as upstream:
        asker = open_resolver(upstream, scheme=scheme)
        for most in (1.7, 0.5):
            started = asyncio.get_running_loop().time()
            outcomes = await asyncio.gather(*(asker.begin(f"w{most}-{number}.example") for number in range(10)))
            assert [type(outcome) for outcome in outcomes] == [Answer] * 10
            assert asyncio.get_running_loop().time() - started < most


async def test_questions_that_wait_for_a_connection_are_asked_elsewhere(open_resolver: OpenResolver) -> None:
    """Where a server of that kind is slow, what still waits for a connection after a while goes to the other server."""

    class Slow(OneEach):
        def handle(self, asked: Asked) -> Script:
            steps = super().handle(asked)
            return [Say(step.data, after=0.4) if isinstance(step, Say) else step for step in steps] if isinstance(steps, list) else steps

    class Quick(ScriptedUpstream):
        def handle(self, asked: Asked) -> Script:
            return super().handle(asked) if asked.is_probe else addresses(asked, "192.0.2.2")

    async with Slow() as slow, Quick() as quick:
        asker = open_resolver(slow, quick, scheme="tcp")
        await asyncio.gather(*(asker.begin(f"first{number}.example") for number in range(3)))
        started = asyncio.get_running_loop().time()
        outcomes = await asyncio.gather(*(asker.begin(f"w{number}.example") for number in range(30)))
        assert [type(outcome) for outcome in outcomes] == [Answer] * 30
        assert asyncio.get_running_loop().time() - started < 1.5 and quick.count() >= 15


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "127.0.0.1"), "Connection refused"),
        (OSError(0, "the address of the server was not found"), "the address of the server was not found"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), "TLS error"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_errors_are_described_without_addresses(error: BaseException, text: str) -> None:
    """Evidence names the reason, never an address."""
    assert describe(error) == text
