"""What a user sees of the path of a query, over real sockets: verdicts, the failure table row by row, the switch of generations."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
from collections.abc import Callable
from datetime import datetime
from ipaddress import ip_network
from pathlib import Path
from types import FrameType
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest

from gateway.pipeline import Pipeline
from gateway.query import Origin, Transport
from gateway.settings import Limits, LocalRecord, ProxyProtocolSettings, RateLimit
from tests.support.catalogue import make_catalogue
from tests.support.client import Datagrams, Stream, answers, ask, errors, exchange, is_silent
from tests.support.generation import START, amend, category, good, order, policy, profile, segment, zone
from tests.support.oneworker import OneWorker
from tests.support.upstream import Asked, Raw, Say, ScriptedUpstream, addresses, failure, reply_to, truncated, wire

OPEN = {("www.example.com", "A"): ["198.51.100.1"], ("www.example.com", "AAAA"): ["2001:db8:1::1"], ("www.example.com", "TXT"): ['"x"']}
LISTS = {
    "bets": category("gamb", "bet.example"),
    "virus": category("malware", "virus.example"),
    "social": category("social", "social.example"),
    "school": good("edu", "learn.example"),
}
CHILD = profile("TH", "child")
ADULT = profile("NL", "adult")


def two_people(**members: Any) -> dict[str, Any]:
    """A child at 127.0.0.2 and an adult at 127.0.0.3."""
    return {
        "profiles": [ADULT, {**CHILD, **members}],
        "clients": [
            {"id": "kid", "profile": "child", "match": ["127.0.0.2"]},
            {"id": "mum", "profile": "adult", "match": ["127.0.0.3", "127.0.0.1"]},
        ],
    }


class Script(ScriptedUpstream):
    """An upstream that answers by a function."""

    def __init__(self, script: Callable[[Asked], Any]) -> None:
        super().__init__()
        self.script = script

    def handle(self, asked: Asked) -> Any:
        """The function's reply; health questions are answered as usual."""
        return super().handle(asked) if asked.is_probe else self.script(asked)


# Verdicts


async def test_listed_name_is_blocked_for_the_child_and_open_for_the_adult(tmp_path: Path) -> None:
    """The same name on the same network: zero address with its reason for a nine-year-old, the real one for an adult."""
    async with (
        ScriptedUpstream({("www.bet.example", "A"): ["198.51.100.9"]}) as upstream,
        OneWorker(tmp_path, upstream, lists=LISTS, **two_people()) as worker,
    ):
        for _ in range(3):
            blocked = await worker.ask("www.bet.example", source="127.0.0.2", use_edns=0)
            assert (answers(blocked), errors(blocked), blocked.answer[0].ttl) == (["0.0.0.0"], [17], 10)
            assert not blocked.flags & dns.flags.AD
            opened = await worker.ask("www.bet.example", source="127.0.0.3", use_edns=0)
            assert (answers(opened), errors(opened)) == (["198.51.100.9"], [])
        assert worker.metric("lachan_blocked", "gamb", "TH", "home", "bets") == 3
        assert upstream.count() == 1


@pytest.mark.parametrize(
    ("qtype", "expected"),
    [("A", ["0.0.0.0"]), ("AAAA", ["::"]), ("HTTPS", []), ("TXT", []), ("ANY", [])],
)
async def test_block_is_consistent_over_types(tmp_path: Path, qtype: str, expected: list[str]) -> None:
    """Addresses are zero, every other type has no data and an SOA; nothing reaches an upstream."""
    async with ScriptedUpstream() as upstream, OneWorker(tmp_path, upstream, lists=LISTS, profiles=[CHILD]) as worker:
        reply = await worker.ask("bet.example", qtype)
        assert (answers(reply), len(reply.authority)) == (expected, 0 if expected else 1)
        assert upstream.asked == []


@pytest.mark.parametrize(("name", "code"), [("bet.example", 17), ("virus.example", 15), ("ordered.example", 16)])
async def test_extended_error_tells_whose_block_it_is(tmp_path: Path, name: str, code: int) -> None:
    """17 for what parents and schools ask for, 15 for security lists, 16 for orders; over both transports."""
    orders = [segment(order("12", "ordered.example"))]
    async with OneWorker(tmp_path, lists=LISTS, profiles=[CHILD], orders=orders) as worker:
        for transport in ("udp", "tcp"):
            reply = await worker.ask(name, transport=transport, use_edns=0)
            assert errors(reply) == [code]
        assert errors(await worker.ask(name)) == []


@pytest.mark.parametrize(
    ("mode", "rcode", "expected"),
    [("nxdomain", "NXDOMAIN", []), ("nodata", "NOERROR", []), ("refused", "REFUSED", []), ("page", "NOERROR", ["127.0.0.80"])],
)
async def test_block_modes(tmp_path: Path, mode: str, rcode: str, expected: list[str]) -> None:
    """The mode of the profile decides how a block looks."""
    block = {"mode": mode, "ttl": 20, "page_address": ["127.0.0.80"]}
    async with OneWorker(tmp_path, lists=LISTS, profiles=[{**CHILD, "block": block}]) as worker:
        for _ in range(3):
            reply = await worker.ask("bet.example")
            assert (dns.rcode.to_text(reply.rcode()), answers(reply)) == (rcode, expected)


@pytest.mark.parametrize("flags", [0x0000, 0x0100, 0x0110, 0x0120, 0x0130, 0x0140])
async def test_policy_holds_whatever_the_flags_say(tmp_path: Path, flags: int) -> None:
    """RD, CD, AD and the reserved bit change nothing about a block."""
    async with OneWorker(tmp_path, lists=LISTS, profiles=[CHILD]) as worker:
        for want_dnssec in (False, True):
            query = dns.message.make_query("bet.example", "A", want_dnssec=want_dnssec)
            query.flags = dns.flags.Flag(flags)
            for _ in range(3):
                reply = dns.message.from_wire(await exchange(worker.server, query.to_wire()))
                assert answers(reply) == ["0.0.0.0"]
                assert not reply.flags & dns.flags.AD


async def test_target_of_an_answer_is_judged_for_each_client(tmp_path: Path) -> None:
    """An innocent name that leads to a listed one is blocked, from the cache too; for the adult it stays open."""
    records = {("innocent.example", "CNAME"): ["cdn.bet.example."], ("cdn.bet.example", "A"): ["198.51.100.9"]}
    async with ScriptedUpstream(records) as upstream, OneWorker(tmp_path, upstream, lists=LISTS, **two_people()) as worker:
        for _ in range(3):
            assert "198.51.100.9" in answers(await worker.ask("innocent.example", source="127.0.0.3"))
            assert answers(await worker.ask("innocent.example", source="127.0.0.2")) == ["0.0.0.0"]
        assert upstream.count("innocent.example") == 1


async def test_private_address_under_a_public_name_is_refused(tmp_path: Path) -> None:
    """DNS rebinding: the private address never arrives; a name the operator exempted keeps it."""
    records = {("evil.example.com", "A"): ["192.168.1.1"], ("nas.home.example.com", "A"): ["192.168.1.2"]}
    changes = {"rebinding_allow": ("com.example.home.",)}
    async with ScriptedUpstream(records) as upstream, OneWorker(tmp_path, upstream, changes=changes) as worker:
        for _ in range(3):
            reply = await worker.ask("evil.example.com", use_edns=0)
            assert (answers(reply), errors(reply)) == (["0.0.0.0"], [15])
            assert answers(await worker.ask("nas.home.example.com")) == ["192.168.1.2"]
        assert worker.metric("lachan_blocked", "rebinding") == 3


async def test_upstreams_own_block_is_told_apart(tmp_path: Path) -> None:
    """0.0.0.0 from an upstream becomes our zero answer, counted as the upstream's block and not as ours."""
    async with ScriptedUpstream({("ads.example.com", "A"): ["0.0.0.0"]}) as upstream, OneWorker(tmp_path, upstream) as worker:
        for _ in range(3):
            reply = await worker.ask("ads.example.com", use_edns=0)
            assert (answers(reply), errors(reply)) == (["0.0.0.0"], [15])
        assert upstream.count() == 1
        worker.pipeline.count()
        counted = {row: number for row, _, number in worker.counters.harvest()}
        assert counted["lachan_upstream_blocks"] == 3
        assert "lachan_blocked" not in counted


async def test_name_every_upstream_refuses_is_the_upstreams_block(tmp_path: Path) -> None:
    """REFUSED for one name while others are answered is a block of the upstream."""

    def script(asked: Asked) -> bytes:
        return failure(asked, "REFUSED") if asked.qname == "bad.example.com" else addresses(asked, "198.51.100.1")

    async with Script(script) as upstream, OneWorker(tmp_path, upstream) as worker:
        await worker.ask("good.example.com")
        for _ in range(2):
            reply = await worker.ask("bad.example.com", use_edns=0)
            assert (answers(reply), errors(reply)) == (["0.0.0.0"], [15])


async def test_safe_search_leads_to_the_safe_mode(tmp_path: Path) -> None:
    """A search engine is answered with an alias to its safe mode, the same for every type, counted as rewritten."""
    records = {("safe.finder.example", "A"): ["198.51.100.7"], ("safe.finder.example", "AAAA"): ["2001:db8::7"]}
    async with ScriptedUpstream(records) as upstream, OneWorker(tmp_path, upstream, profiles=[CHILD]) as worker:
        for _ in range(3):
            reply = await worker.ask("www.finder.example", use_edns=0)
            assert (answers(reply), errors(reply)) == (["198.51.100.7", "safe.finder.example."], [4])
        assert answers(await worker.ask("finder.example", "AAAA")) == ["2001:db8::7", "safe.finder.example."]
        assert answers(await worker.ask("finder.example", "HTTPS")) == []
        assert not any(asked.qname == "finder.example" for asked in upstream.questions)
        assert worker.metric("lachan_rewritten", "finder") == 5


async def test_safe_search_without_upstream_uses_the_known_addresses(tmp_path: Path) -> None:
    """With every upstream dead a search engine still leads to its safe mode, never to the open one."""
    async with ScriptedUpstream() as upstream, OneWorker(tmp_path, upstream, profiles=[CHILD]) as worker:
        await upstream.stop()
        reply = await worker.ask("finder.example")
        assert answers(reply) == ["192.0.2.10", "safe.finder.example."]


async def test_canary_follows_the_profile(tmp_path: Path) -> None:
    """Browsers that ask whether they may bypass us are told no for a child, and get the real answer for an adult."""
    async with (
        ScriptedUpstream({("use-application-dns.net", "A"): ["198.51.100.5"]}) as upstream,
        OneWorker(tmp_path, upstream, catalogue=make_catalogue(canaries=["use-application-dns.net"]), **two_people()) as worker,
    ):
        assert (await worker.ask("use-application-dns.net", source="127.0.0.2")).rcode() == dns.rcode.NXDOMAIN
        assert answers(await worker.ask("use-application-dns.net", source="127.0.0.3")) == ["198.51.100.5"]


async def test_rpz_actions(tmp_path: Path) -> None:
    """Drop is silence, tcp-only sends to TCP, local data is answered, a CNAME leads elsewhere, passthru resolves."""
    rules = {
        "drop.example.org": "drop",
        "tcp.example.org": "tcp-only",
        "data.example.org": ("local", [[1, 60, "c6336405"]]),
        "alias.example.org": ("cname", "www.example.com"),
        "gone.example.org": "nxdomain",
        "pass.example.org": "passthru",
    }
    records = {**OPEN, ("tcp.example.org", "A"): ["198.51.100.2"], ("pass.example.org", "A"): ["198.51.100.3"]}
    lists = {"zone": zone("rpz.example", rules)}
    async with ScriptedUpstream(records) as upstream, OneWorker(tmp_path, upstream, lists=lists) as worker:
        query = dns.message.make_query("drop.example.org", "A").to_wire()
        assert await is_silent(worker.server, query)
        short = await worker.ask("tcp.example.org")
        assert short.flags & dns.flags.TC and not short.answer
        assert answers(await worker.ask("tcp.example.org", transport="tcp")) == ["198.51.100.2"]
        assert answers(await worker.ask("data.example.org")) == ["198.51.100.5"]
        assert answers(await worker.ask("alias.example.org")) == ["198.51.100.1", "www.example.com."]
        assert (await worker.ask("gone.example.org")).rcode() == dns.rcode.NXDOMAIN
        assert answers(await worker.ask("pass.example.org")) == ["198.51.100.3"]


# Names of our own


async def test_special_use_names_stay_here_unless_routed(tmp_path: Path) -> None:
    """Private reverse names and reserved domains never reach the default upstream; a route of the operator wins."""
    async with (
        ScriptedUpstream(OPEN) as upstream,
        ScriptedUpstream({("nas.lan.internal", "A"): ["192.168.1.9"]}) as inside,
        OneWorker(tmp_path, upstream, routes={"internal.lan.": inside}) as worker,
    ):
        assert answers(await worker.ask("localhost")) == ["127.0.0.1"]
        assert answers(await worker.ask("x.localhost", "AAAA")) == ["::1"]
        assert (await worker.ask("1.2.168.192.in-addr.arpa", "PTR")).rcode() == dns.rcode.NXDOMAIN
        assert (await worker.ask("printer.local")).rcode() == dns.rcode.NXDOMAIN
        nodata = await worker.ask("_dns.resolver.arpa", "SVCB")
        assert (nodata.rcode(), nodata.answer) == (0, [])
        assert upstream.questions == []
        assert answers(await worker.ask("nas.lan.internal")) == ["192.168.1.9"]


async def test_own_names(tmp_path: Path) -> None:
    """The page name leads to the address that was asked, health says ok, a probe is remembered with who asked."""
    async with OneWorker(tmp_path, **two_people()) as worker:
        assert answers(await worker.ask("lachan.internal", source="127.0.0.2")) == ["127.0.0.1"]
        assert answers(await worker.ask("health.lachan.internal", "TXT")) == ['"ok"']
        assert (await worker.ask("other.lachan.internal")).rcode() == dns.rcode.NXDOMAIN
        assert answers(await worker.ask("serial.orders.lachan.internal", "TXT")) == ['"0"']
        await worker.ask("check-k3j9.lachan.internal", source="127.0.0.2", transport="tcp")
        probe = worker.activity.probe("k3j9", START)
        assert probe is not None
        assert {key: probe[key] for key in ("address", "profile", "client", "transport", "generation")} == {
            "address": "127.0.0.2", "profile": "child", "client": "kid", "transport": "tcp", "generation": 1,
        }  # fmt: skip


async def test_records_of_the_operator(tmp_path: Path) -> None:
    """Configured records are answered without an upstream; a configured alias is followed."""
    records = (LocalRecord("printer.school.example", "A", "10.0.0.9"), LocalRecord("portal.school.example", "CNAME", "www.example.com."))
    async with ScriptedUpstream(OPEN) as upstream, OneWorker(tmp_path, upstream, changes={"records": records}) as worker:
        for _ in range(3):
            assert answers(await worker.ask("printer.school.example")) == ["10.0.0.9"]
            assert (await worker.ask("printer.school.example", "AAAA")).rcode() == 0
            assert answers(await worker.ask("portal.school.example")) == ["198.51.100.1", "www.example.com."]


async def test_any_is_answered_minimally_and_unknown_types_pass(tmp_path: Path) -> None:
    """ANY gets one HINFO record without asking anybody; a type nobody knows is handed through untouched."""

    def script(asked: Asked) -> bytes:
        return wire(reply_to(asked, f"{asked.qname}. 60 IN TYPE65280 \\# 4 01020304"))

    async with Script(script) as upstream, OneWorker(tmp_path, upstream) as worker:
        reply = await worker.ask("www.example.com", "ANY")
        assert [rrset.rdtype.name for rrset in reply.answer] == ["HINFO"]
        assert upstream.questions == []
        assert answers(await worker.ask("www.example.com", "TYPE65280")) == ["\\# 4 01020304"]


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


# Change


async def test_switch_of_generations_is_followed_before_the_next_answer(tmp_path: Path) -> None:
    """Once the shared word has changed, no answer comes from the old generation, from no table either; unchanged names stay."""
    async with (
        ScriptedUpstream({**OPEN, ("new.example", "A"): ["198.51.100.4"]}) as upstream,
        OneWorker(tmp_path, upstream, lists=LISTS, profiles=[CHILD]) as worker,
    ):
        for _ in range(3):
            assert answers(await worker.ask("new.example")) == ["198.51.100.4"]
            assert answers(await worker.ask("bet.example")) == ["0.0.0.0"]
        amend(tmp_path, lists={"bets": category("gamb", "new.example")})
        worker.switch(2)
        for transport in ("udp", "tcp", "udp", "udp"):
            assert answers(await worker.ask("new.example", transport=transport)) == ["0.0.0.0"]
        assert (await worker.ask("bet.example")).rcode() == dns.rcode.NXDOMAIN
        assert answers(await worker.ask("www.example.com")) == ["198.51.100.1"]


async def test_change_of_one_policy_leaves_the_tables_of_others(tmp_path: Path) -> None:
    """When only another tenant's policy changed, finished replies stay; the changed one's do not."""
    async with ScriptedUpstream(OPEN) as upstream, OneWorker(tmp_path, upstream, lists=LISTS, **two_people()) as worker:
        for _ in range(3):
            assert answers(await worker.ask("www.example.com", source="127.0.0.3")) == ["198.51.100.1"]
            assert answers(await worker.ask("www.example.com", source="127.0.0.2")) == ["198.51.100.1"]
        size = worker.pipeline._tables.size
        people = two_people(deny=["www.example.com"])
        amend(tmp_path, policy=policy(**people))
        worker.switch(2)
        assert answers(await worker.ask("www.example.com", source="127.0.0.2")) == ["0.0.0.0"]
        assert answers(await worker.ask("www.example.com", source="127.0.0.3")) == ["198.51.100.1"]
        assert worker.pipeline._tables.size >= size // 2
        assert upstream.count() == 1


async def test_answer_under_way_is_judged_by_the_new_generation(tmp_path: Path) -> None:
    """A question that was asked under the old generation is answered under the one in force when its answer comes."""

    def script(asked: Asked) -> Any:
        return [Say(addresses(asked, "198.51.100.1"), after=0.3)]

    async with Script(script) as upstream, OneWorker(tmp_path, upstream, lists=LISTS, profiles=[CHILD]) as worker:
        waiting = asyncio.create_task(worker.ask("late.example"))
        await asyncio.sleep(0.1)
        amend(tmp_path, lists={"bets": category("gamb", "late.example")})
        worker.switch(2)
        assert answers(await waiting) == ["0.0.0.0"]


async def test_schedule_boundary_is_crossed_on_time(tmp_path: Path) -> None:
    """Bedtime begins with the first query after nine, for finished replies too, and ends in the morning."""
    days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    window = {"name": "giờ ngủ", "days": days, "from": "21:00", "to": "06:00", "effect": "offline"}
    kid = {**CHILD, "schedule": [window]}
    async with ScriptedUpstream(OPEN) as upstream, OneWorker(tmp_path, upstream, profiles=[kid]) as worker:
        evening = datetime.fromisoformat("2026-03-04T20:59:58+07:00").timestamp()
        worker.clock.at = evening
        for _ in range(4):
            assert answers(await worker.ask("www.example.com")) == ["198.51.100.1"]
        worker.clock.at = evening + 3
        for transport in ("udp", "udp", "udp", "tcp"):
            assert answers(await worker.ask("www.example.com", transport=transport)) == ["0.0.0.0"]
        worker.clock.at = evening + 9 * 3600 + 5
        for _ in range(3):
            assert answers(await worker.ask("www.example.com")) == ["198.51.100.1"]
        worker.clock.at = evening + 10
        worker.pipeline.clock_moved()
        assert answers(await worker.ask("www.example.com")) == ["0.0.0.0"]


async def test_flush_forgets_a_name_everywhere(tmp_path: Path) -> None:
    """After a flush the upstream is asked again, for that name and those below it only."""
    async with ScriptedUpstream(OPEN) as upstream, OneWorker(tmp_path, upstream) as worker:
        for _ in range(3):
            await worker.ask("www.example.com")
            await worker.ask("www.example.com", "TXT")
            await worker.ask("other.example.org")
        before = upstream.count("other.example.org")
        assert worker.pipeline.flush("com.example.") == 2
        await worker.ask("www.example.com")
        await worker.ask("other.example.org")
        assert upstream.count("www.example.com") == 3
        assert upstream.count("other.example.org") == before
        worker.pipeline.flush(None)
        await worker.ask("other.example.org")
        assert upstream.count("other.example.org") == before + 1


# Profiles and personal names


async def test_personal_names_do_not_leak_to_others_of_the_same_base(tmp_path: Path) -> None:
    """Two children with the same settings but one personal rule each share every other reply and never that one."""
    people = {
        "profiles": [profile("TH", "an", deny=["www.example.com"]), profile("TH", "binh", deny=["other.example"])],
        "clients": [
            {"id": "a", "profile": "an", "match": ["127.0.0.2"]},
            {"id": "b", "profile": "binh", "match": ["127.0.0.3"]},
        ],
    }
    async with ScriptedUpstream(OPEN) as upstream, OneWorker(tmp_path, upstream, lists=LISTS, **people) as worker:
        for _ in range(4):
            assert answers(await worker.ask("www.example.com", source="127.0.0.2")) == ["0.0.0.0"]
            assert answers(await worker.ask("www.example.com", source="127.0.0.3")) == ["198.51.100.1"]
            for source in ("127.0.0.2", "127.0.0.3"):
                assert answers(await worker.ask("bet.example", source=source)) == ["0.0.0.0"]


async def test_forwarder_tells_hardware_addresses_only_if_trusted(tmp_path: Path) -> None:
    """A MAC option counts from a forwarder the operator named, and from nobody else."""
    people = {
        "profiles": [ADULT, CHILD],
        "clients": [
            {"id": "router", "profile": "child", "match": ["127.0.0.2", "127.0.0.3"]},
            {"id": "mum", "profile": "adult", "match": ["mac:02:00:00:00:00:01"]},
        ],
    }
    changes = {"proxy_protocol": ProxyProtocolSettings((ip_network("127.0.0.3/32"),))}
    option = dns.edns.GenericOption(65001, bytes.fromhex("020000000001"))
    async with (
        ScriptedUpstream({("bet.example", "A"): ["198.51.100.9"]}) as upstream,
        OneWorker(tmp_path, upstream, lists=LISTS, changes=changes, **people) as worker,
    ):
        for _ in range(3):
            told = await worker.ask("bet.example", source="127.0.0.3", use_edns=0, options=[option])
            assert answers(told) == ["198.51.100.9"]
            lied = await worker.ask("bet.example", source="127.0.0.2", use_edns=0, options=[option])
            assert answers(lied) == ["0.0.0.0"]
            assert answers(await worker.ask("bet.example", source="127.0.0.3")) == ["0.0.0.0"]


async def test_what_was_blocked_is_remembered_for_its_client_only(tmp_path: Path) -> None:
    """The last blocks of an address can be asked for, from the table too; those of another address are not among them."""
    async with OneWorker(tmp_path, lists=LISTS, profiles=[CHILD]) as worker:
        for _ in range(4):
            await worker.ask("www.bet.example", source="127.0.0.2")
        await worker.ask("bet.example", source="127.0.0.3")
        worker.pipeline.count()
        rows = worker.activity.recent_blocks(bytes((127, 0, 0, 2)), START)
        assert {(row["name"], row["category"]) for row in rows} == {("www.bet.example", "gamb")}
        counted = worker.activity.harvest()["counts"]
        assert isinstance(counted, list)
        assert [(row[5], row[6], row[7]) for row in counted] == [("blocked", "gamb", 5)]


async def test_devices_are_seen_with_who_they_are(tmp_path: Path) -> None:
    """Each address that asked is known with its client and profile."""
    async with OneWorker(tmp_path, **two_people()) as worker:
        await worker.ask("localhost", source="127.0.0.2")
        await worker.ask("localhost", source="127.0.0.3", transport="tcp")
        seen = {device.client: device.profile for _, device in worker.activity.devices()}
        assert seen == {"kid": "child", "mum": "adult"}


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


async def test_no_packet_costs_more_than_twenty_ordinary_ones(tmp_path: Path) -> None:
    """From reading to reply, the worst packet takes at most twenty times the instructions of an ordinary query that no table knows."""
    question = b"\x03www\x07example\x03com\0\0\x01\0\x01"
    deep = b"\x01a" * 126 + b"\0"

    def packet(body: bytes = question, tail: bytes = b"", count: int = 1, records: int = 1) -> bytes:
        return b"\x12\x34\x01\0" + count.to_bytes(2, "big") + b"\0\0\0\0" + records.to_bytes(2, "big") + body + tail

    def opt(options: bytes) -> bytes:
        return b"\0\0\x29\x04\xd0\0\0\0\0" + len(options).to_bytes(2, "big") + options

    cookie = b"\0\x0a\0\x18" + b"c" * 8 + b"\1\0\0\0" + bytes(12)
    worst = {
        "deep name": packet(deep + b"\0\1\0\1", records=0),
        "deep escaped name": packet(b"\x01." * 126 + b"\0\0\1\0\1", records=0),
        "long labels of odd octets": packet((b"\x3f" + b"\xff" * 63) * 3 + b"\0\0\1\0\1", records=0),
        "endless name": packet(b"\x01a" * 30000, records=0),
        "as many options as fit": packet(tail=opt(b"\xff\xfe\0\0" * 48)),
        "thousands of options": packet(tail=opt(b"\xff\xfe\0\0" * 16000)),
        "subnets": packet(tail=opt(b"\0\x08\0\x07\0\1\x18\0\xc0\0\2" * 48)),
        "cookies": packet(tail=opt(cookie * 40)),
        "deep names everywhere": packet(deep + b"\0\1\0\1", (deep + bytes(10)) * 2, records=2),
        "thousands of records": packet(tail=(b"\0" + bytes(10)) * 5000, records=5000),
        "thousands of questions": packet(question * 3000, count=3000, records=0),
        "unknown operation": b"\x12\x34\x78\0\0\1\0\0\0\0\0\2" + question + (deep + bytes(10)) * 2,
    }
    async with ScriptedUpstream(OPEN) as upstream, OneWorker(tmp_path, upstream, lists=LISTS, profiles=[CHILD]) as worker:
        await worker.ask("www.example.com")
        scope, pipeline = worker.datagrams._scope, worker.pipeline
        source, record = next(iter(scope.records.items()))

        def serve(data: bytes) -> int:
            origin = Origin(Transport.UDP, source, 0, scope, source, None, None, lambda origin, reply: None, None, record)
            return count_instructions(lambda: pipeline.answer_now(data, origin))

        ordinary = min(serve(packet(records=0)), serve(packet(tail=opt(b""))))
        costs = {what: serve(data) / ordinary for what, data in worst.items()}
        assert max(costs.values()) <= 20, costs


def test_pipeline_offers_what_listeners_need() -> None:
    """The pipeline has the face of `listeners.Front`."""
    for name in ("begin", "touch", "answer_now"):
        assert callable(getattr(Pipeline, name))
