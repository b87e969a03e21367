"""Replies from the answer table and from the cache, as a client sees them over real sockets."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest

from tests.support.client import answers, exchange
from tests.support.household import ADULT, LISTS, OPEN, Script
from tests.support.oneworker import OneWorker
from tests.support.scripts import Asked, Say, addresses, truncated
from tests.support.upstream import ScriptedUpstream

# From the table and from the cache


async def test_letter_case_is_echoed_from_every_place(tmp_path: Path) -> None:
    """0x20: the question comes back letter by letter from upstream, cache and table; one entry serves all spellings."""
    async with ScriptedUpstream(OPEN) as upstream, OneWorker(tmp_path, upstream) as worker:
        for name in ("wWw.eXample.com", "www.example.com", "www.example.com", "www.example.com", "WWW.EXAMPLE.COM", "wwW.example.cOm"):
            query = dns.message.make_query(name, "A")
            raw = await exchange(worker.server, query.to_wire())
            reply = dns.message.from_wire(raw)
            assert str(reply.question[0].name) == f"{name}."
            assert answers(reply) == ["198.51.100.1"]
        assert upstream.count() == 1


async def test_options_are_answered_from_every_place(tmp_path: Path) -> None:
    """A cookie is answered with a server cookie whether the answer is new or finished; a client subnet is never sent on or back."""
    cookie = dns.edns.GenericOption(10, b"12345678")
    subnet = dns.edns.ECSOption("203.0.113.0", 24)
    async with ScriptedUpstream(OPEN) as upstream, OneWorker(tmp_path, upstream) as worker:
        for _ in range(3):
            await worker.ask("www.example.com", use_edns=0)
            reply = await worker.ask("www.example.com", use_edns=0, options=[cookie, subnet])
            assert answers(reply) == ["198.51.100.1"]
            assert [int(option.otype) for option in reply.options] == [10]
            assert len(reply.options[0].to_wire()) == 24
        assert all(not asked.message.options for asked in upstream.questions)


async def test_ttl_falls_with_the_seconds(tmp_path: Path) -> None:
    """An answer kept for two seconds shows a TTL two seconds lower, also when it comes from the table; blocks keep theirs."""
    async with ScriptedUpstream(OPEN, ttl=100) as upstream, OneWorker(tmp_path, upstream, lists=LISTS, profiles=[ADULT]) as worker:
        ttls = []
        for wait in (0, 0, 0, 1.1, 1.1):
            await asyncio.sleep(wait)
            ttls.append((await worker.ask("www.example.com")).answer[0].ttl)
        assert ttls[0] == 100
        assert ttls == sorted(ttls, reverse=True)
        assert 50 <= ttls[-1] <= 98
        assert upstream.count() == 1


@pytest.mark.parametrize("jump", [86_400, -86_400], ids=["a day ahead", "a day back"])
async def test_ttl_does_not_follow_the_wall_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: int) -> None:
    """The clock is set while answers are kept (time service, dead battery): those with time left stay, those without are fetched anew."""

    def script(asked: Asked) -> Any:
        return [Say(addresses(asked, "198.51.100.9", ttl=1 if asked.qname.startswith("brief") else 100))]

    async with Script(script) as upstream, OneWorker(tmp_path, upstream) as worker:
        for name in ("www.example.com", "brief.example.com"):
            for _ in range(2):
                await worker.ask(name)
        before = (await worker.ask("www.example.com")).answer[0].ttl
        now = time.time
        monkeypatch.setattr(time, "time", lambda: now() + jump)
        worker.clock.at += jump
        worker.pipeline.clock_moved()
        for _ in range(2):
            assert before - 3 <= (await worker.ask("www.example.com")).answer[0].ttl <= before
        assert upstream.count("www.example.com") == 1
        await asyncio.sleep(2.1)
        assert before - 8 <= (await worker.ask("www.example.com")).answer[0].ttl <= before - 2
        assert upstream.count("www.example.com") == 1
        asked = upstream.count("brief.example.com")
        await worker.ask("brief.example.com")
        assert upstream.count("brief.example.com") == asked + 1


async def test_ttl_given_to_clients_is_capped(tmp_path: Path) -> None:
    """A change of the policy is felt within minutes, however long the upstream's TTL is."""
    async with ScriptedUpstream(OPEN, ttl=86400) as upstream, OneWorker(tmp_path, upstream) as worker:
        for _ in range(3):
            assert (await worker.ask("www.example.com")).answer[0].ttl == 300


async def test_expired_answer_is_asked_again(tmp_path: Path) -> None:
    """When its TTL is over, an answer is fetched anew, also if a table held it."""
    async with ScriptedUpstream(OPEN, ttl=1) as upstream, OneWorker(tmp_path, upstream) as worker:
        for _ in range(3):
            await worker.ask("www.example.com")
        await asyncio.sleep(2.1)
        assert answers(await worker.ask("www.example.com")) == ["198.51.100.1"]
        assert upstream.count() >= 2


async def test_identical_questions_share_one_question_upstream(tmp_path: Path) -> None:
    """Fifty clients that ask the same at once cost one question, and each gets its own answer."""

    def script(asked: Asked) -> Any:
        return [Say(addresses(asked, "198.51.100.1"), after=0.1)]

    async with Script(script) as upstream, OneWorker(tmp_path, upstream) as worker:
        replies = await asyncio.gather(*(worker.ask("www.example.com", id=number) for number in range(50)))
        assert {answers(reply)[0] for reply in replies} == {"198.51.100.1"}
        assert upstream.count() == 1


async def test_negative_answers_are_kept(tmp_path: Path) -> None:
    """NXDOMAIN comes with its SOA and is not asked twice."""
    async with ScriptedUpstream(OPEN) as upstream, OneWorker(tmp_path, upstream) as worker:
        for _ in range(4):
            reply = await worker.ask("nothing.example.com")
            assert (reply.rcode(), len(reply.authority)) == (dns.rcode.NXDOMAIN, 1)
        assert upstream.count() == 1
        assert worker.metric("lachan_cache_lookups", "negative") == 3


async def test_truncation_and_return_over_tcp(tmp_path: Path) -> None:
    """An answer too large for a datagram sets TC without halving an RRset; over TCP it is whole, and the table never mixes the two."""

    def script(asked: Asked) -> bytes:
        return truncated(asked) if asked.transport == "udp" else addresses(asked, *[f"198.51.100.{number}" for number in range(1, 120)])

    async with Script(script) as upstream, OneWorker(tmp_path, upstream) as worker:
        for _ in range(3):
            short = await worker.ask("many.example.com", use_edns=0)
            assert short.flags & dns.flags.TC and not short.answer
            whole = await worker.ask("many.example.com", transport="tcp", use_edns=0)
            assert len(answers(whole)) == 119 and not whole.flags & dns.flags.TC


async def test_popular_answer_is_fetched_before_it_expires(tmp_path: Path) -> None:
    """A name asked all the time is fetched anew in the last tenth of its life, so that nobody waits for it."""
    async with ScriptedUpstream(OPEN, ttl=10) as upstream, OneWorker(tmp_path, upstream) as worker:
        for _ in range(4):
            await worker.ask("www.example.com")
        entry = next(iter(worker.cache._entries.values()))
        entry.prefetch_at = 0.0
        await asyncio.sleep(1.05)
        await worker.ask("www.example.com")
        await asyncio.sleep(0.05)
        assert upstream.count() == 2
        assert worker.metric("lachan_cache_lookups", "prefetch") == 1
