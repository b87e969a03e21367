"""The failure table row by row and hostile input, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest

from gateway.settings import Limits, RateLimit
from tests.support.client import Datagrams, Stream, answers, ask, errors, exchange, is_silent
from tests.support.generation import amend, category
from tests.support.household import ADULT, CHILD, LISTS, OPEN, Script
from tests.support.oneworker import OneWorker
from tests.support.scripts import Asked, Raw, Say, addresses, failure
from tests.support.upstream import ScriptedUpstream

# The failure table


@pytest.mark.parametrize("data", [b"", b"\0" * 11, b"\x12\x34\x81\x80" + bytes(8)])
async def test_no_header_or_a_response_is_met_with_silence(tmp_path: Path, data: bytes) -> None:
    """Row 1: silence."""
    async with OneWorker(tmp_path) as worker:
        assert await is_silent(worker.server, data)


@pytest.mark.parametrize(
    ("data", "rcode"),
    [
        (b"\x12\x34\x01\x00\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1", "FORMERR"),
        (b"\x12\x34\x01\x00\0\2\0\0\0\0\0\0\0\0\1\0\1\0\0\1\0\1", "FORMERR"),
        (b"\x12\x34\x29\x00\0\0\0\0\0\0\0\0", "NOTIMP"),
        (b"\x12\x34\x01\x00\0\1\0\0\0\0\0\1\0\0\1\0\1" + b"\0\0\x29\x04\xd0\0\1\0\0\0\0", "BADVERS"),
        (b"\x12\x34\x01\x00\0\1\0\0\0\0\0\0\0\0\1\0\3", "REFUSED"),
    ],
)
async def test_malformed_queries_get_their_code_and_go_nowhere(tmp_path: Path, data: bytes, rcode: str) -> None:
    """Row 2: the right code over both transports, never forwarded."""
    async with ScriptedUpstream() as upstream, OneWorker(tmp_path, upstream) as worker:
        for transport in ("udp", "tcp"):
            reply = dns.message.from_wire(await exchange(worker.server, data, transport=transport))
            assert (reply.id, dns.rcode.to_text(reply.rcode())) == (0x1234, rcode)
        assert upstream.questions == []


async def test_strangers_are_refused_and_never_get_more_than_they_sent(tmp_path: Path) -> None:
    """Row 3: REFUSED with extended error 18; over many queries not one octet more goes out than came in."""
    async with ScriptedUpstream(OPEN) as upstream, OneWorker(tmp_path, upstream, allow_from=["127.0.0.9/32"]) as worker:
        reply = await worker.ask("www.example.com", use_edns=0)
        assert (reply.rcode(), errors(reply)) == (dns.rcode.REFUSED, [18])
        assert errors(await worker.ask("www.example.com", transport="tcp", use_edns=0)) == [18]
        sent = received = 0
        async with Datagrams(worker.server) as client:
            for number in range(100):
                query = dns.message.make_query(f"n{number}.example.com", "ANY", use_edns=0).to_wire()
                client.send(query)
                sent += len(query)
            await asyncio.sleep(0.5)
            with contextlib.suppress(BlockingIOError):
                while True:
                    received += len(client.sock.recv(65535))
        assert 0 < received <= sent
        assert upstream.questions == []
        assert worker.metric("lachan_refused_clients") == 102


async def test_over_the_limit_truncation_comes_first_then_silence(tmp_path: Path) -> None:
    """Row 4: a burst is answered, then TC, then nothing; TCP and a cookie still get answers; others are not touched."""
    async with (
        ScriptedUpstream(OPEN) as upstream,
        OneWorker(tmp_path, upstream, lists=LISTS, profiles=[CHILD], rate_limit=RateLimit(20, 40)) as worker,
    ):
        greeting = [dns.edns.GenericOption(10, b"12345678")]
        cookie = (await worker.ask("bet.example", source="127.0.0.2", use_edns=0, options=greeting)).options[0]
        kinds = {"answered": 0, "truncated": 0}
        begun = asyncio.get_running_loop().time()
        async with Datagrams(worker.server, "127.0.0.2") as client:
            for number in range(300):
                client.send(dns.message.make_query("bet.example", "A", id=number).to_wire())
            await asyncio.sleep(0.5)
            with contextlib.suppress(BlockingIOError):
                while True:
                    reply = dns.message.from_wire(client.sock.recv(65535))
                    kinds["truncated" if reply.flags & dns.flags.TC else "answered"] += 1
        fresh = 20 * (asyncio.get_running_loop().time() - begun)
        assert 35 <= kinds["answered"] <= 41 + fresh
        assert 1 <= kinds["truncated"] <= 3 + fresh
        again = await worker.ask("bet.example", source="127.0.0.2", use_edns=0, options=[cookie])
        assert answers(again) == ["0.0.0.0"]
        assert answers(await worker.ask("bet.example", source="127.0.0.2", transport="tcp")) == ["0.0.0.0"]
        assert answers(await worker.ask("bet.example", source="127.0.0.3")) == ["0.0.0.0"]


async def test_unknown_client_gets_the_strictest_band_of_its_place(tmp_path: Path) -> None:
    """Row 5: who is not known is treated as the youngest there."""
    async with ScriptedUpstream({("social.example", "A"): ["198.51.100.1"]}) as upstream:
        clients = [{"id": "mum", "profile": "adult", "match": ["127.0.0.3"]}]
        async with OneWorker(tmp_path, upstream, lists=LISTS, profiles=[ADULT], clients=clients) as worker:
            assert answers(await worker.ask("social.example", source="127.0.0.3")) == ["198.51.100.1"]
            assert answers(await worker.ask("social.example", source="127.0.0.4")) == ["0.0.0.0"]


async def test_fault_of_ours_costs_one_answer_and_nobody_else_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 6: an error inside the judgement is SERVFAIL for that query; the next one is answered."""
    async with ScriptedUpstream(OPEN) as upstream, OneWorker(tmp_path, upstream) as worker:
        real = worker.snapshot.judge

        def broken(key: str, qtype: int, policy: Any) -> Any:
            if "broken" in key:
                raise RuntimeError("a fault")
            return real(key, qtype, policy)

        monkeypatch.setattr(worker.snapshot, "judge", broken)
        for transport in ("udp", "tcp"):
            reply = await worker.ask("broken.example.com", transport=transport, use_edns=0)
            assert (reply.rcode(), errors(reply)) == (dns.rcode.SERVFAIL, [0])
            assert answers(await worker.ask("www.example.com", transport=transport)) == ["198.51.100.1"]


async def test_without_recursion_only_what_is_known_is_answered(tmp_path: Path) -> None:
    """Row 7: RD=0 is answered from policy and cache, otherwise REFUSED, and asks nobody."""
    async with ScriptedUpstream(OPEN) as upstream, OneWorker(tmp_path, upstream, lists=LISTS, profiles=[CHILD]) as worker:
        assert (await worker.ask("www.example.com", rd=False)).rcode() == dns.rcode.REFUSED
        assert answers(await worker.ask("bet.example", rd=False)) == ["0.0.0.0"]
        assert upstream.questions == []
        await worker.ask("www.example.com")
        assert answers(await worker.ask("www.example.com", rd=False)) == ["198.51.100.1"]


async def test_one_client_cannot_fill_the_queue(tmp_path: Path) -> None:
    """Row 8: more waiting questions of one client than its share are dropped; another client's are asked."""
    upstream = ScriptedUpstream(OPEN)
    upstream.silent = True
    async with (
        upstream,
        OneWorker(tmp_path, upstream, limits=Limits(misses_per_client=10)) as worker,
        Datagrams(worker.server, "127.0.0.2") as client,
    ):
        for number in range(50):
            client.send(dns.message.make_query(f"n{number}.example.com", "A").to_wire())
        async with asyncio.timeout(5):
            while len({asked.qname for asked in upstream.questions}) < 10:  # noqa: ASYNC110 - the upstream has no event
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.1)
        assert len({asked.qname for asked in upstream.questions}) == 10
        with pytest.raises(TimeoutError):
            await worker.ask("other.example.com", source="127.0.0.3", seconds=0.2)
        assert upstream.count("other.example.com") >= 1


async def test_dead_upstreams_stale_then_servfail_then_back(tmp_path: Path) -> None:
    """Rows 9 and 10: what was known is given stale with its mark, the rest fails with a reason within two seconds; back within one."""
    async with ScriptedUpstream(OPEN, ttl=1) as upstream, OneWorker(tmp_path, upstream) as worker:
        await worker.ask("www.example.com")
        await asyncio.sleep(1.2)
        await upstream.stop()
        loop = asyncio.get_running_loop()
        begun = loop.time()
        stale, failed = await asyncio.gather(worker.ask("www.example.com", use_edns=0), worker.ask("new.example.com", use_edns=0))
        assert (answers(stale), errors(stale), stale.answer[0].ttl) == (["198.51.100.1"], [3], 30)
        assert failed.rcode() == dns.rcode.SERVFAIL
        assert errors(failed) in ([22], [23])
        assert loop.time() - begun < 4.0
        again = await worker.ask("new.example.com", use_edns=0)
        assert again.rcode() == dns.rcode.SERVFAIL
        await upstream.start()
        await asyncio.sleep(1.1)
        begun = loop.time()
        assert answers(await worker.ask("www.example.com")) == ["198.51.100.1"]
        assert loop.time() - begun < 1.0


async def test_stale_is_judged_by_todays_policy(tmp_path: Path) -> None:
    """Row 9: a name blocked since is not given stale."""
    async with ScriptedUpstream(OPEN, ttl=1) as upstream, OneWorker(tmp_path, upstream, lists={}, profiles=[CHILD]) as worker:
        assert answers(await worker.ask("www.example.com")) == ["198.51.100.1"]
        amend(tmp_path, lists={"bets": category("gamb", "www.example.com")})
        worker.switch(2)
        await upstream.stop()
        await asyncio.sleep(1.2)
        assert answers(await worker.ask("www.example.com")) == ["0.0.0.0"]


async def test_stale_is_judged_by_the_policy_of_the_moment_it_is_given(tmp_path: Path) -> None:
    """Row 9: a name that is blocked while the question waits for a silent upstream is not given stale either."""
    async with ScriptedUpstream(OPEN, ttl=1) as upstream, OneWorker(tmp_path, upstream, lists={}, profiles=[CHILD]) as worker:
        assert answers(await worker.ask("www.example.com")) == ["198.51.100.1"]
        await asyncio.sleep(1.2)
        upstream.silent = True
        waiting = asyncio.create_task(worker.ask("www.example.com"))
        await asyncio.sleep(0.3)
        amend(tmp_path, lists={"bets": category("gamb", "www.example.com")})
        worker.switch(2)
        assert answers(await waiting) == ["0.0.0.0"]


@pytest.mark.parametrize("has_stopped", [True, False], ids=["dead", "silent"])
async def test_names_inside_a_stale_answer_are_judged_by_todays_policy(tmp_path: Path, has_stopped: bool) -> None:
    """Row 9: a stale answer that leads to a name blocked since is not given."""
    records = {("innocent.example", "CNAME"): ["cdn.bet.example."], ("cdn.bet.example", "A"): ["198.51.100.9"]}
    async with ScriptedUpstream(records, ttl=1) as upstream, OneWorker(tmp_path, upstream, lists={}, profiles=[CHILD]) as worker:
        assert "cdn.bet.example." in answers(await worker.ask("innocent.example"))
        amend(tmp_path, lists=LISTS)
        worker.switch(2)
        await asyncio.sleep(1.2)
        if has_stopped:
            await upstream.stop()
        upstream.silent = True
        assert answers(await worker.ask("innocent.example")) == ["0.0.0.0"]


async def test_slow_upstream_gives_the_stale_answer_in_time(tmp_path: Path) -> None:
    """Row 9: after 1.8 s of silence the stale answer is given; it does not wait for the end."""
    async with ScriptedUpstream(OPEN, ttl=1) as upstream, OneWorker(tmp_path, upstream) as worker:
        await worker.ask("www.example.com")
        await asyncio.sleep(1.2)
        upstream.silent = True
        begun = asyncio.get_running_loop().time()
        reply = await worker.ask("www.example.com", use_edns=0)
        assert (answers(reply), errors(reply)) == (["198.51.100.1"], [3])
        assert asyncio.get_running_loop().time() - begun < 4.0


async def test_failed_question_is_not_asked_again_at_once(tmp_path: Path) -> None:
    """Row 11: a failure is remembered for a moment, with its reason."""
    async with Script(lambda asked: failure(asked)) as upstream, OneWorker(tmp_path, upstream) as worker:
        first = await worker.ask("www.example.com", use_edns=0)
        asked = upstream.count()
        for _ in range(5):
            reply = await worker.ask("www.example.com", use_edns=0)
            assert (reply.rcode(), errors(reply)) == (dns.rcode.SERVFAIL, errors(first))
        assert upstream.count() == asked


async def test_junk_from_an_upstream_reaches_nobody(tmp_path: Path) -> None:
    """Broken and forged replies are not the answer; the good one that follows is."""

    def script(asked: Asked) -> Any:
        forged = addresses(asked, "203.0.113.66")
        return [
            Raw(b"\xff" * 40),
            Raw(bytes((forged[0] ^ 1,)) + forged[1:]),
            Say(forged[:-6]),
            Say(addresses(asked, "198.51.100.1"), after=0.05),
        ]

    async with Script(script) as upstream, OneWorker(tmp_path, upstream) as worker:
        assert answers(await worker.ask("www.example.com")) == ["198.51.100.1"]


# Hostile input


async def test_mutated_packets_never_raise_and_never_stop_the_service(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Thousands of damaged packets over UDP and TCP: no error reaches the loop or the log, and an honest query is answered throughout."""
    rng = random.Random(20260903)
    seeds = [
        dns.message.make_query("www.example.com", "A").to_wire(),
        dns.message.make_query("bet.example", "HTTPS", want_dnssec=True).to_wire(),
        dns.message.make_query("check-x.lachan.internal", "TXT", use_edns=0, options=[dns.edns.GenericOption(10, b"c" * 24)]).to_wire(),
        dns.message.make_query("finder.example", "AAAA", use_edns=0, options=[dns.edns.GenericOption(65001, b"abcdef")]).to_wire(),
    ]
    trouble: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: trouble.append(context))
    async with (
        ScriptedUpstream(OPEN) as upstream,
        OneWorker(tmp_path, upstream, lists=LISTS, profiles=[CHILD]) as worker,
        Datagrams(worker.server) as client,
    ):
        for number in range(4000):
            data = bytearray(rng.choice(seeds))
            for _ in range(rng.randint(1, 4)):
                at = rng.randrange(len(data))
                match rng.randrange(4):
                    case 0 | 1:
                        data[at] = rng.choice((0, 1, 0x29, 0x3F, 0xC0, 0xFF, rng.randrange(256)))
                    case 2:
                        data[at:at] = rng.randbytes(rng.randrange(1, 30))
                    case _:
                        del data[at : at + rng.randrange(1, 8)]
                data = data or bytearray(1)
            client.send(bytes(data))
            if number % 200 == 0:
                assert answers(await ask(worker.server, "www.example.com", seconds=2.0)) == ["198.51.100.1"]
                async with Stream(worker.server) as stream:
                    for _ in range(5):
                        stream.send(bytes(data) + b"x" * 20)
                    stream.writer.write(rng.randbytes(50))
                    await asyncio.sleep(0)
        assert answers(await ask(worker.server, "www.example.com")) == ["198.51.100.1"]
    assert trouble == []
    assert [record for record in caplog.records if record.name.startswith("gateway")] == []
