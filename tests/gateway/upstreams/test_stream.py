"""Upstreams over TCP: pipelining, pooling, kept and lost connections."""

from __future__ import annotations

import asyncio
import time

import pytest

from gateway.query import Answer
from gateway.upstreams import NetworkError, Timeout, pool
from tests.gateway.upstreams.conftest import OpenResolver
from tests.support.scripts import Asked, Close, Reset, Say, Script, addresses
from tests.support.upstream import ScriptedUpstream


class Giver(ScriptedUpstream):
    """Gives every name an address."""

    def handle(self, asked: Asked) -> Script:
        return super().handle(asked) if asked.is_probe else addresses(asked, "192.0.2.1")


async def test_questions_share_one_kept_connection(open_resolver: OpenResolver) -> None:
    """A hundred questions, at once and one after the other, go over one connection."""
    async with Giver() as upstream:
        asker = open_resolver(upstream, scheme="tcp")
        outcomes = await asyncio.gather(*(asker.begin(f"w{number}.example") for number in range(100)))
        outcomes += [await asker.ask(f"v{number}.example") for number in range(10)]
        assert all(isinstance(outcome, Answer) for outcome in outcomes)
        assert upstream.connections == 1
        assert len({asked.id for asked in upstream.questions}) > 100
        assert all(asked.message.edns == 0 and not asked.message.options for asked in upstream.questions)


async def test_answers_may_come_in_any_order(open_resolver: OpenResolver) -> None:
    """A slow name does not hold back the quick ones behind it (RFC 7766 §6.2.1.1)."""

    class Reordering(Giver):
        def handle(self, asked: Asked) -> Script:
            return [Say(addresses(asked, "192.0.2.1"), after=0.2 if asked.qname.startswith("slow") else 0.0)]

    async with Reordering() as upstream:
        asker = open_resolver(upstream, scheme="tcp")
        slow = asker.begin("slow.example")
        started = time.monotonic()
        await asyncio.gather(*(asker.begin(f"w{number}.example") for number in range(20)))
        assert time.monotonic() - started < 0.19 and not slow.done()
        assert isinstance(await slow, Answer)


async def test_busy_connection_gets_company_within_bounds(open_resolver: OpenResolver, monkeypatch: pytest.MonkeyPatch) -> None:
    """More questions than one connection carries open more connections, but never more than four."""
    monkeypatch.setattr(pool, "PIPELINE", 5)

    class Slow(Giver):
        def handle(self, asked: Asked) -> Script:
            return [Say(addresses(asked, "192.0.2.1"), after=0.1)]

    async with Slow() as upstream:
        asker = open_resolver(upstream, scheme="tcp")
        outcomes = await asyncio.gather(*(asker.begin(f"w{number}.example") for number in range(60)))
        assert all(isinstance(outcome, Answer) for outcome in outcomes)
        assert upstream.connections == 4


@pytest.mark.parametrize("end", [Close(), Reset()])
async def test_connection_closed_by_the_server_costs_no_answer(open_resolver: OpenResolver, end: Close | Reset) -> None:
    """A server that closes kept connections, even with a question under way, is asked again on a fresh one at once."""

    class Closing(Giver):
        def handle(self, asked: Asked) -> Script:
            if len(self.questions) == 2:
                return [end]
            return addresses(asked, "192.0.2.1")

    async with Closing() as upstream:
        asker = open_resolver(upstream, scheme="tcp")
        await asker.ask("a.example")
        started = time.monotonic()
        assert isinstance(await asker.ask("b.example"), Answer)
        assert time.monotonic() - started < 0.3
        assert upstream.connections == 2
        assert asker.resolver.is_reachable(0)


async def test_idle_connection_is_closed(open_resolver: OpenResolver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection nobody needs is given back, and the next question opens another one."""
    monkeypatch.setattr(pool, "IDLE", 0.1)
    async with Giver() as upstream:
        asker = open_resolver(upstream, scheme="tcp")
        await asker.ask("a.example")
        await asyncio.sleep(0.4)
        assert not upstream.open_connections
        assert isinstance(await asker.ask("b.example"), Answer)
        assert upstream.connections == 2


async def test_silent_connection_is_replaced(open_resolver: OpenResolver) -> None:
    """A connection that swallows questions (a forgotten NAT entry) is given up; the answer comes over a fresh one."""

    class Forgetful(Giver):
        def handle(self, asked: Asked) -> Script:
            return None if asked.connection == 1 and len(self.questions) > 1 else super().handle(asked)

    async with Forgetful() as upstream:
        asker = open_resolver(upstream, scheme="tcp")
        await asker.ask("a.example")
        assert isinstance(await asker.ask("b.example"), Answer)
        assert upstream.connections == 2
        started = time.monotonic()
        assert isinstance(await asker.ask("c.example"), Answer)
        assert time.monotonic() - started < 0.3


async def test_server_that_does_not_listen_is_a_network_error(open_resolver: OpenResolver) -> None:
    """Nobody there: NetworkError within two seconds, and no storm of connections."""
    upstream = await Giver().start()
    await upstream.stop()
    asker = open_resolver(upstream, scheme="tcp")
    started = time.monotonic()
    outcomes = await asyncio.gather(*(asker.begin(f"w{number}.example") for number in range(20)))
    assert {type(outcome) for outcome in outcomes} == {NetworkError}
    assert time.monotonic() - started < 2


async def test_silent_server_times_out_and_comes_back(open_resolver: OpenResolver) -> None:
    """A server that accepts and never answers is a Timeout within two seconds; it is used again within a second of its return."""
    async with Giver() as upstream:
        asker = open_resolver(upstream, scheme="tcp")
        upstream.silent = True
        started = time.monotonic()
        assert isinstance(await asker.ask("a.example"), Timeout)
        assert time.monotonic() - started < 2
        assert upstream.count() <= 3
        upstream.silent = False
        back = time.monotonic()
        assert isinstance(await asker.ask("b.example"), Answer)
        assert time.monotonic() - back < 1.2
