"""What all kept connections have in common: the words for errors, and that nothing is left behind."""

from __future__ import annotations

import asyncio
import errno
import gc
import ssl

import pytest

from gateway.query import Answer
from gateway.upstreams import Timeout, pool
from gateway.upstreams.pool import Connection, describe
from tests.gateway.upstreams.conftest import OpenResolver
from tests.support.scripts import Asked, Close, Say, Script, addresses
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
