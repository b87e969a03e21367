"""The short way of ordinary questions: it says to the octet what the long way says, and leaves to the long way whatever is not ordinary."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest

from gateway.cache import _size
from gateway.plain import PlainPath
from gateway.settings import CacheSettings, Limits
from tests.support.client import Datagrams, answers, errors, exchange
from tests.support.generation import amend, category, profile
from tests.support.oneworker import OneWorker
from tests.support.scripts import Asked, Say, Script, addresses, failure, negative, reply_to, truncated, wire, with_id
from tests.support.upstream import ScriptedUpstream

CHILD = profile("TH", "child")
HELLO = "hello.example"
EVENING = datetime.fromisoformat("2026-03-04T20:59:58+07:00").timestamp()
DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


OVERLONG = b"\0\1\1\0\0\1\0\0\0\0\0\0" + (b"\x3f" + b"a" * 63) * 3 + b"\x3e" + b"a" * 62 + b"\0\0\1\0\1"
"""A name of 256 octets: each of its parts is a name, the whole is none (RFC 1035 §2.3.4)."""


class Scripted(ScriptedUpstream):
    """An upstream that answers by a function, and greets."""

    def __init__(self, script: Callable[[Asked], Script]) -> None:
        super().__init__()
        self.script = script

    def handle(self, asked: Asked) -> Script:
        """The function's reply; health questions and greetings are answered as usual."""
        if asked.is_probe or asked.qname.lower() == HELLO:
            return super().handle(asked)
        return self.script(asked)


@pytest.fixture
def finished(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """An item for each answer that came the short way and was taken there."""
    seen: list[bool] = []
    finish = PlainPath._finish

    def noted(self: PlainPath, *given: Any) -> None:
        finish(self, *given)
        seen.append(True)

    monkeypatch.setattr(PlainPath, "_finish", noted)
    return seen


async def both_ways(folder: Path, script: Callable[[Asked], Script], query: bytes, **options: Any) -> tuple[bytes, bytes]:
    """What a client the worker knows and one it does not know are told, each by a worker of its own; without the id."""
    replies = []
    for is_known in (True, False):
        async with Scripted(script) as upstream, OneWorker(folder / str(is_known), upstream, **options) as worker:
            await worker.ask(HELLO, source="127.0.0.1" if is_known else "127.0.0.9")
            replies.append((await exchange(worker.server, query))[2:])
            again = (await exchange(worker.server, query))[2:]
            assert len(again) == len(replies[-1]), "what is kept is what was said"
    return replies[0], replies[1]


def question(qtype: str = "A", flags: int = 0, name: str = "www.example.com", **edns: Any) -> bytes:
    """A question in wire form; `flags` are set beside RD."""
    query = dns.message.make_query(name, qtype, **edns)
    query.flags |= flags
    return query.to_wire()


ANSWERS: dict[str, tuple[bool, Callable[[Asked], Script]]] = {
    "one address": (True, lambda asked: addresses(asked, "198.51.100.1")),
    "several": (True, lambda asked: addresses(asked, *(f"198.51.100.{number}" for number in range(1, 12)))),
    "nineteen": (False, lambda asked: addresses(asked, *(f"198.51.100.{number}" for number in range(1, 20)))),
    "under 192": (True, lambda asked: addresses(asked, "192.0.2.1")),
    "a long life": (True, lambda asked: addresses(asked, "198.51.100.1", "198.51.100.2", ttl=86_400)),
    "longer than a week": (True, lambda asked: addresses(asked, "198.51.100.1", ttl=2_000_000)),
    "no life": (False, lambda asked: addresses(asked, "198.51.100.1", ttl=0)),
    "no OPT": (True, lambda asked: wire(reply_to(asked, f"{asked.qname}. 60 IN A 198.51.100.1", edns=False))),
    "authentic, it says": (True, lambda asked: wire(reply_to(asked, f"{asked.qname}. 60 IN A 198.51.100.1", flags="QR RD RA AD"))),
    "authority": (False, lambda asked: wire(reply_to(
        asked, f"{asked.qname}. 60 IN A 198.51.100.1", authority=["example.com. 60 IN NS ns.example.com."]))),
    "private": (False, lambda asked: addresses(asked, "192.168.1.1")),
    "private among others": (False, lambda asked: addresses(asked, "198.51.100.1", "10.0.0.1")),
    "an upstream's block": (False, lambda asked: addresses(asked, "0.0.0.0")),
    "alias": (False, lambda asked: wire(reply_to(
        asked, f"{asked.qname}. 60 IN CNAME other.example.", "other.example. 60 IN A 198.51.100.1"))),
    "another's address": (False, lambda asked: wire(reply_to(asked, "other.example. 60 IN A 198.51.100.1"))),
    "no such name": (False, negative),
    "no data": (False, lambda asked: negative(asked, rcode="NOERROR")),
    "failure": (False, failure),
    "refused": (False, lambda asked: failure(asked, "REFUSED")),
}  # fmt: skip


@pytest.mark.parametrize("kind", ANSWERS)
async def test_both_ways_say_the_same(kind: str, tmp_path: Path, finished: list[bool]) -> None:
    """Whatever comes back, a client is told the same on the short way as on the long one."""
    is_short, script = ANSWERS[kind]
    short, long = await both_ways(tmp_path, script, question(use_edns=0, payload=1232))
    assert short == long
    assert (True in finished) == is_short


@pytest.mark.parametrize("address", ["2001:db8:1::1", "2002:c633:6401::1", "2002:0a00:0001::1", "fd00::1", "::1", "::ffff:198.51.100.1"])
async def test_both_ways_say_the_same_of_ipv6(address: str, tmp_path: Path) -> None:
    """IPv6 addresses that carry private IPv4 ones are refused on both."""
    short, long = await both_ways(tmp_path, lambda asked: addresses(asked, address), question("AAAA", use_edns=0))
    assert short == long


@pytest.mark.parametrize("flags", [0, dns.flags.AD, dns.flags.CD, dns.flags.AD | dns.flags.CD])
@pytest.mark.parametrize("edns", [{}, {"use_edns": 0, "payload": 512}, {"use_edns": 0, "payload": 4096, "want_dnssec": True}])
async def test_both_ways_echo_what_was_asked(flags: int, edns: dict[str, Any], tmp_path: Path, finished: list[bool]) -> None:
    """RD, CD, DO and the OPT record come back as they do on the long way, and the upstream is asked the same."""
    asked: list[bytes] = []

    def script(question: Asked) -> Script:
        asked.append(question.raw[2:])
        return addresses(question, "198.51.100.1")

    short, long = await both_ways(tmp_path, script, question(flags=flags, **edns))
    assert short == long
    assert asked[0] == asked[1]
    assert finished == [True]


@pytest.mark.parametrize(
    "query",
    [
        question(name="WWW.example.com"),
        question("HTTPS"),
        question(use_edns=0, payload=1300),
        question(use_edns=0, options=[dns.edns.GenericOption(65001, b"x")]),
        question(name="localhost"),
        question(name="."),
        question(name="a" * 63 + ".example"),
        question(name="under_score.exa-mple"),
        question(name="odd\\000label.example"),
        question()[:-2],
        question() + b"\0",
        OVERLONG,
        question()[:12] + b"\x05a\0\0\x01\0\x01\0\0\x01\0\x01",
    ],
    ids=lambda query: query[2:40].hex(),  # not the identifier, which is drawn by lot
)
async def test_odd_questions_are_answered_alike(query: bytes, tmp_path: Path) -> None:
    """Letter case, other types, options, odd names and broken octets: the short way mistakes none for an ordinary question."""

    def known(asked: Asked) -> Script:
        return addresses(asked, "198.51.100.1") if asked.qtype == "A" else negative(asked)

    short, long = await both_ways(tmp_path, known, query)
    assert short[1:] == long[1:]


async def test_second_client_joins(tmp_path: Path, finished: list[bool]) -> None:
    """Clients that ask the same while the first one waits share its question, and all are answered."""
    async with (
        Scripted(lambda asked: [Say(addresses(asked, "198.51.100.1"), after=0.1)]) as upstream,
        OneWorker(tmp_path, upstream) as worker,
    ):
        sources = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
        for source in sources:
            await worker.ask(HELLO, source=source)
        replies = await asyncio.gather(*(worker.ask("www.example.com", source=source) for source in sources))
        assert [answers(reply) for reply in replies] == [["198.51.100.1"]] * 3
        assert upstream.count("www.example.com") == 1
        assert finished == []


async def test_forged_and_broken_replies_do_not_end_the_wait(tmp_path: Path) -> None:
    """Another id, another question, half a message, a forged truncation's place: only the good answer counts."""

    def script(asked: Asked) -> Script:
        if asked.transport == "tcp":
            return addresses(asked, "198.51.100.1")
        forged = addresses(asked, "203.0.113.66")
        return [
            Say(with_id(forged, asked.id + 1)),
            Say(forged.replace(b"\x03www", b"\x03wwx")),
            Say(forged[:2] + bytes((forged[2] & 0x7F,)) + forged[3:]),
            Say(forged[:-13]),
            Say(addresses(asked, "198.51.100.1"), after=0.05),
        ]

    async with Scripted(script) as upstream, OneWorker(tmp_path, upstream) as worker:
        await worker.ask(HELLO)
        assert answers(await worker.ask("www.example.com")) == ["198.51.100.1"]


async def test_silence_and_truncation_go_on_the_long_way(tmp_path: Path) -> None:
    """A lost datagram is asked again, a cut answer over TCP; a server that is gone gives its reason."""
    lost: set[str] = set()

    def script(asked: Asked) -> Script:
        if asked.qname.lower() == "lost.example" and not lost:
            lost.add(asked.qname)
            return None
        if asked.qname.lower() == "cut.example" and asked.transport == "udp":
            return truncated(asked)
        return addresses(asked, "198.51.100.1")

    async with Scripted(script) as upstream, OneWorker(tmp_path, upstream) as worker:
        await worker.ask(HELLO)
        assert answers(await worker.ask("lost.example")) == ["198.51.100.1"]
        assert answers(await worker.ask("cut.example")) == ["198.51.100.1"]
        assert upstream.count("cut.example", "tcp") == 1
        await upstream.stop()
        gone = await worker.ask("gone.example", use_edns=0)
        assert gone.rcode() == dns.rcode.SERVFAIL and errors(gone) in ([22], [23])
        record = next(iter(worker.datagrams._scope.records.values()))
        assert record.waiting == 0


async def test_name_that_is_too_long_reaches_no_upstream(tmp_path: Path) -> None:
    """Its parts are in order, the whole is one octet too long: FORMERR for a client that is known, and nothing is asked."""
    async with Scripted(lambda _: None) as upstream, OneWorker(tmp_path, upstream) as worker:
        await worker.ask(HELLO)
        upstream.asked.clear()
        assert (await exchange(worker.server, OVERLONG))[3] & 15 == dns.rcode.FORMERR
        longest = OVERLONG.replace(b"\x3e" + b"a" * 62, b"\x3d" + b"a" * 61)
        with pytest.raises(TimeoutError):
            await exchange(worker.server, longest, seconds=0.3)
        assert {len(one.question) for one in upstream.questions} == {len(longest) - 12}, "the longest name that is one is asked for"


async def test_share_and_room_are_bounded(tmp_path: Path) -> None:
    """One client's share of waiting questions holds on the short way, and so does the room for all."""
    async with (
        Scripted(lambda asked: None) as upstream,
        OneWorker(tmp_path, upstream, limits=Limits(misses=20, misses_per_client=10)) as worker,
        Datagrams(worker.server, "127.0.0.2") as client,
    ):
        await worker.ask(HELLO, source="127.0.0.2")
        for number in range(60):
            client.send(question(name=f"n{number}.example"))
        await asyncio.sleep(0.3)
        assert len({asked.qname for asked in upstream.questions if asked.qname != HELLO}) == 10
        assert worker.resolver.in_flight == 10


async def test_answers_are_kept_few_and_found_again(tmp_path: Path, finished: list[bool]) -> None:
    """What came the short way is found by every later question, over TCP too; a flush forgets it; the byte bound holds."""
    async with (
        Scripted(lambda asked: addresses(asked, "198.51.100.1")) as upstream,
        OneWorker(tmp_path, upstream, cache=CacheSettings(entries=50)) as worker,
    ):
        await worker.ask(HELLO)
        for number in range(120):
            await worker.ask(f"n{number}.example")
        assert len(worker.cache) <= 50 and len(finished) == 120
        assert worker.cache.bytes == sum(_size(*each) for each in worker.cache._entries.items())
        assert answers(await worker.ask("n119.example", transport="tcp")) == ["198.51.100.1"]
        assert upstream.count("n119.example") == 1
        worker.pipeline.flush(None)
        await worker.ask("n119.example")
        assert upstream.count("n119.example") == 2
        assert worker.metric("lachan_cache_lookups", "miss") == 122


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_policy_that_changes_meanwhile_decides(transport: str, tmp_path: Path) -> None:
    """A list that comes into force while the upstream is asked closes the name, on the short way as on the long one."""
    async with (
        Scripted(lambda asked: [Say(addresses(asked, "198.51.100.1"), after=0.3)]) as upstream,
        OneWorker(tmp_path, upstream, profiles=[CHILD]) as worker,
    ):
        await worker.ask(HELLO)
        waiting = asyncio.create_task(worker.ask("www.example.com", transport=transport))
        await asyncio.sleep(0.1)
        amend(tmp_path, lists={"bets": category("gamb", "www.example.com")})
        worker.switch(2)
        assert answers(await waiting) == ["0.0.0.0"]


@pytest.mark.parametrize("is_known", [True, False])
async def test_bedtime_that_begins_meanwhile_decides(is_known: bool, tmp_path: Path) -> None:
    """A window that begins while the upstream is asked closes the name, even when another question of the client was first to notice, and
    nothing open is kept for the evening."""
    window = {"name": "bed", "days": DAYS, "from": "21:00", "to": "06:00", "effect": "offline"}
    async with (
        Scripted(lambda asked: [Say(addresses(asked, "198.51.100.1"), after=0.3)]) as upstream,
        OneWorker(tmp_path, upstream, profiles=[{**CHILD, "schedule": [window]}]) as worker,
    ):
        worker.clock.at = EVENING
        worker.pipeline.clock_moved()
        if is_known:
            await worker.ask(HELLO)
        waiting = asyncio.create_task(worker.ask("www.example.com"))
        await asyncio.sleep(0.1)
        worker.clock.at = EVENING + 3
        assert answers(await worker.ask("other.example.com")) == ["0.0.0.0"]
        assert answers(await waiting) == ["0.0.0.0"]
        for _ in range(3):
            assert answers(await worker.ask("www.example.com")) == ["0.0.0.0"]


async def test_personal_names_and_history_stay_with_their_profile(tmp_path: Path) -> None:
    """Two children of one base policy: what one parent closed is closed for that child only; a consented history is written down."""
    people = {
        "profiles": [{**CHILD, "id": "a", "deny": ["www.example.com"]}, {**CHILD, "id": "b", "deny": ["else.example"]}],
        "clients": [{"id": "a", "profile": "a", "match": ["127.0.0.2"]}, {"id": "b", "profile": "b", "match": ["127.0.0.3"]}],
    }
    async with Scripted(lambda asked: addresses(asked, "198.51.100.1")) as upstream, OneWorker(tmp_path, upstream, **people) as worker:
        for source in ("127.0.0.2", "127.0.0.3"):
            await worker.ask(HELLO, source=source)
        for _ in range(3):
            assert answers(await worker.ask("www.example.com", source="127.0.0.3")) == ["198.51.100.1"]
            assert answers(await worker.ask("www.example.com", source="127.0.0.2")) == ["0.0.0.0"]
            assert answers(await worker.ask("third.example", source="127.0.0.2")) == ["198.51.100.1"]
            assert answers(await worker.ask("third.example", source="127.0.0.3")) == ["198.51.100.1"]
        assert upstream.count("third.example") == 1
        assert worker.metric("lachan_queries", "udp", "A") == 14


async def test_what_is_known_of_a_parent_holds_for_no_special_child(tmp_path: Path, finished: list[bool]) -> None:
    """Children of one name are judged together, save those that a list, an order, a parent or a canary speaks of; a new list ends it."""
    people = {
        "profiles": [{**CHILD, "id": "a", "canaries": True}, {**CHILD, "id": "b", "deny": ["d.www.example.com"]}],
        "clients": [{"id": "a", "profile": "a", "match": ["127.0.0.2"]}, {"id": "b", "profile": "b", "match": ["127.0.0.3"]}],
    }
    async with Scripted(lambda asked: addresses(asked, "198.51.100.1")) as upstream, OneWorker(tmp_path, upstream, **people) as worker:

        async def is_open(name: str, source: str = "127.0.0.2") -> bool:
            return answers(await worker.ask(name, source=source)) == ["198.51.100.1"]

        for source in ("127.0.0.2", "127.0.0.3"):
            await worker.ask(HELLO, source=source)
        assert [await is_open(f"{label}.www.example.com") for label in "abcd"] == [True] * 4
        assert [await is_open(f"{label}.www.example.com", "127.0.0.3") for label in "dxy"] == [False, True, True]
        for label in worker.snapshot.catalogue.canary_labels:
            assert not await is_open(f"{label}.www.example.com")
        count = len(finished)
        assert await is_open("e.www.example.com") and len(finished) == count + 1
        assert worker.pipeline._plain._parents, "children of one name are remembered"
        amend(tmp_path, lists={"bets": category("gamb", "f.www.example.com")})
        worker.switch(2)
        assert [await is_open(f"{label}.www.example.com") for label in "gfh"] == [True, False, True]


async def test_fault_of_ours_costs_one_client_one_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception on the short way is answered SERVFAIL; the others of its batch and the next questions go on."""
    async with Scripted(lambda asked: addresses(asked, "198.51.100.1")) as upstream, OneWorker(tmp_path, upstream) as worker:
        await worker.ask(HELLO)
        put = worker.cache.put_addresses

        def broken(key: bytes, *given: Any) -> Any:
            if b"bad" in key:
                raise RuntimeError("a fault")
            return put(key, *given)

        monkeypatch.setattr(worker.cache, "put_addresses", broken)
        replies = await asyncio.gather(*(worker.ask(name) for name in ("a.example", "bad.example", "b.example")))
        assert [reply.rcode() for reply in replies] == [dns.rcode.NOERROR, dns.rcode.SERVFAIL, dns.rcode.NOERROR]
        assert worker.resolver.in_flight == 0
