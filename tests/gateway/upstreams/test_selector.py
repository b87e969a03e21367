"""The resolver: joining, strategies, routes, attempts, health, blackout and recovery, bounds."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest

from gateway.query import Answer
from gateway.settings import UpstreamAddress
from gateway.upstreams import Fault, NetworkError, Overload, ServerFailure, Timeout, selector
from gateway.upstreams.groups import EXPLORE_EVERY
from gateway.upstreams.udp import UdpUpstream
from gateway.wire.name import key_from_text
from tests.gateway.upstreams.conftest import OpenResolver, server
from tests.support.scripts import Asked, Say, Script, addresses, failure
from tests.support.upstream import ScriptedUpstream


class Giver(ScriptedUpstream):
    """Gives every name one address, after a delay, or declines."""

    def __init__(self, address: str = "192.0.2.1", *, delay: float = 0.0, rcode: str = "") -> None:
        super().__init__()
        self.address = address
        self.delay = delay
        self.rcode = rcode

    def handle(self, asked: Asked) -> Script:
        if asked.is_probe:
            return super().handle(asked)
        data = failure(asked, self.rcode) if self.rcode else addresses(asked, self.address)
        return [Say(data, after=self.delay)]


def given(outcome: object) -> str:
    """The address an outcome gives, or the kind of failure."""
    if isinstance(outcome, Answer):
        return ".".join(map(str, outcome.facts.addresses[0]))
    return type(outcome).__name__


# Joining ----------------------------------------------------------------------------------------------------------------------------


async def test_identical_questions_share_one_message(open_resolver: OpenResolver) -> None:
    """A thousand clients asking one question at once cost the upstream one message, whatever the letter case and id."""
    async with Giver(delay=0.05) as upstream:
        asker = open_resolver(upstream)
        names = ["www.example", "WWW.example", "wWw.ExAmPlE"]
        outcomes = await asyncio.gather(*(asker.begin(names[number % 3], number=number) for number in range(1000)))
        assert {given(outcome) for outcome in outcomes} == {"192.0.2.1"}
        assert upstream.count() == 1


async def test_questions_that_differ_are_not_joined(open_resolver: OpenResolver) -> None:
    """Another type, DO or CD is another question: its answer may differ."""
    async with Giver(delay=0.05) as upstream:
        asker = open_resolver(upstream)
        flags = [{}, {"do": True}, {"cd": True}, {"do": True, "cd": True}]
        await asyncio.gather(*(asker.begin(**each) for each in flags * 2), asker.begin(qtype="AAAA"))
        assert upstream.count() == 5


async def test_too_many_waiters_are_turned_away(open_resolver: OpenResolver, monkeypatch: pytest.MonkeyPatch) -> None:
    """One slow name cannot pile up replies without end (DNSBomb): beyond the bound clients hear Overload at once."""
    monkeypatch.setattr(selector, "MAX_WAITERS", 10)
    async with Giver(delay=0.05) as upstream:
        asker = open_resolver(upstream)
        outcomes = Counter(given(outcome) for outcome in await asyncio.gather(*(asker.begin() for _ in range(30))))
        assert outcomes == {"192.0.2.1": 11, "Overload": 19}


async def test_oldest_question_gives_way_when_too_many_are_under_way(open_resolver: OpenResolver) -> None:
    """Questions under way are bounded; the oldest is dropped first, so that a flood of dead names does not shut out a good one."""
    async with ScriptedUpstream({("good.example", "A"): ["192.0.2.1"]}) as upstream:
        upstream.handle = lambda asked: None if asked.qname.startswith("dead") else ScriptedUpstream.handle(upstream, asked)  # type: ignore[method-assign]
        asker = open_resolver(upstream, in_flight=50)
        dead = [asker.begin(f"dead{number}.example") for number in range(60)]
        assert given(await asker.ask("good.example")) == "192.0.2.1"
        assert asker.resolver.in_flight <= 50
        assert [isinstance(future.result(), Overload) for future in dead if future.done()] == [True] * 11
        assert all(future.done() for future in dead[:11])
        await asyncio.gather(*dead)


async def test_trouble_of_one_waiter_does_not_reach_the_others(open_resolver: OpenResolver) -> None:
    """An exception in one callback is reported and the rest of the batch is answered."""
    troubles: list[object] = []
    loop = asyncio.get_running_loop()
    async with Giver() as upstream:
        asker = open_resolver(upstream)
        loop.set_exception_handler(lambda _, context: troubles.append(context.get("exception")))

        def broken(outcome: object) -> None:
            raise RuntimeError("on purpose")

        from tests.gateway.upstreams.conftest import make_query

        asker.resolver.ask(make_query("www.example"), 0, broken)
        outcomes = await asyncio.gather(asker.begin("www.example"), *(asker.begin(f"w{number}.example") for number in range(20)))
        assert {given(outcome) for outcome in outcomes} == {"192.0.2.1"}
        assert [str(trouble) for trouble in troubles] == ["on purpose"]


# Routes ---------------------------------------------------------------------------------------------------------------------------


async def test_routes_take_the_longest_suffix(open_resolver: OpenResolver) -> None:
    """A name is asked where its longest routed suffix says, everything else at the default servers; a label boundary is one."""
    async with Giver("192.0.2.1") as default, Giver("192.0.2.2") as lan, Giver("192.0.2.3") as deep:
        routes = {key_from_text("lan.example"): (server(lan),), key_from_text("deep.lan.example"): (server(deep),)}
        asker = open_resolver(default, routes=routes)
        found = {}
        names = "www.example lan.example nas.LAN.example deep.lan.example x.deep.lan.example notlan.example example"
        for name in names.split():
            group = asker.resolver.group_of(key_from_text(name))
            found[name] = (given(await asker.ask(name, group=group)), group > 0)
        assert found == {
            "www.example": ("192.0.2.1", False),
            "lan.example": ("192.0.2.2", True),
            "nas.LAN.example": ("192.0.2.2", True),
            "deep.lan.example": ("192.0.2.3", True),
            "x.deep.lan.example": ("192.0.2.3", True),
            "notlan.example": ("192.0.2.1", False),
            "example": ("192.0.2.1", False),
        }


async def test_no_server_at_all_fails_at_once(open_resolver: OpenResolver) -> None:
    """Without any upstream (a route whose server was not found) nobody waits, and the reason is that no server can be reached."""
    started = time.monotonic()
    assert isinstance(await open_resolver().ask(), Timeout)
    assert time.monotonic() - started < 1


# Strategies -----------------------------------------------------------------------------------------------------------------------


async def test_ordered_asks_the_first_living_one(open_resolver: OpenResolver) -> None:
    """`ordered` uses the second server only when the first fails."""
    async with Giver("192.0.2.1", delay=0.02) as first, Giver("192.0.2.2") as second:
        asker = open_resolver(first, second, strategy="ordered")
        for number in range(20):
            assert given(await asker.ask(f"w{number}.example")) == "192.0.2.1"
        assert second.count() == 0
        first.silent = True
        assert given(await asker.ask("x.example")) == "192.0.2.2"


async def test_fastest_settles_on_the_quick_one_and_keeps_looking(open_resolver: OpenResolver) -> None:
    """`fastest` learns who is quick, looks at the others now and then without making a client wait, and follows a change."""
    async with Giver("192.0.2.1", delay=0.05) as slow, Giver("192.0.2.2", delay=0.001) as quick:
        asker = open_resolver(slow, quick, strategy="fastest")
        for number in range(10):
            await asker.ask(f"warm{number}.example")
        before = slow.count()
        for number in range(120):
            assert given(await asker.ask(f"w{number}.example")) == "192.0.2.2"
        assert 1 <= slow.count() - before <= 6
        slow.delay, quick.delay = 0.001, 0.05
        for number in range(200):
            if given(await asker.ask(f"v{number}.example")) == "192.0.2.1" and number % EXPLORE_EVERY > 2:
                break
        else:
            raise AssertionError("the change was not followed")


async def test_parallel_takes_the_first_good_answer(open_resolver: OpenResolver) -> None:
    """`parallel` asks two at once; the quick good answer wins over a slow one, a refusal and silence."""
    async with Giver("192.0.2.1", delay=0.3) as slow, Giver("192.0.2.2", delay=0.01) as quick, Giver(rcode="REFUSED") as refusing:
        assert given(await open_resolver(slow, quick, strategy="parallel").ask()) == "192.0.2.2"
        started = time.monotonic()
        assert given(await open_resolver(refusing, quick, strategy="parallel").ask("a.example")) == "192.0.2.2"
        assert time.monotonic() - started < 0.3
        assert slow.count() + quick.count() + refusing.count() == 4


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED", "NOTAUTH"])
async def test_declined_question_goes_to_the_next_upstream_at_once(open_resolver: OpenResolver, rcode: str) -> None:
    """SERVFAIL and REFUSED try the next server without waiting."""
    async with Giver(rcode=rcode) as declining, Giver("192.0.2.2") as good:
        asker = open_resolver(declining, good)
        started = time.monotonic()
        assert given(await asker.ask()) == "192.0.2.2"
        assert time.monotonic() - started < 0.3


async def test_quick_refuser_is_left_for_the_one_that_knows(open_resolver: OpenResolver) -> None:
    """The fastest is not whoever says SERVFAIL fastest: after some questions that another could answer, that one is asked first."""

    async with Giver(rcode="SERVFAIL") as declining, Giver("192.0.2.2", delay=0.03) as good:
        asker = open_resolver(declining, good, strategy="fastest")
        for number in range(25):
            assert given(await asker.ask(f"early{number}.example")) == "192.0.2.2"
        declining.asked.clear()
        for number in range(25):
            assert given(await asker.ask(f"late{number}.example")) == "192.0.2.2"
        assert sum("late" in asked.qname for asked in declining.questions) <= 8


async def test_attempts_are_bounded_over_many_upstreams(open_resolver: OpenResolver) -> None:
    """Five declining or silent servers: three messages in all, not five."""
    upstreams = [await Giver(rcode="SERVFAIL").start() for _ in range(5)]
    assert isinstance(await open_resolver(*upstreams).ask(), ServerFailure)
    assert sum(upstream.count() for upstream in upstreams) == 3
    for upstream in upstreams:
        upstream.asked.clear()
        upstream.silent = True
    assert isinstance(await open_resolver(*upstreams).ask(), Timeout)
    assert sum(upstream.count() for upstream in upstreams) == 3
    for upstream in upstreams:
        await upstream.stop()


async def test_upstream_errors_are_kept_with_the_failure(open_resolver: OpenResolver) -> None:
    """The upstream's own extended error (here: DNSSEC bogus) goes with SERVFAIL."""
    import dns.edns

    from tests.support.scripts import reply_to, wire

    class Validating(ScriptedUpstream):
        def handle(self, asked: Asked) -> Script:
            message = reply_to(asked, rcode="SERVFAIL")
            message.use_edns(0, 0, 1232, options=[dns.edns.EDEOption(6, "bogus")])
            return wire(message)

    async with Validating() as upstream:
        outcome = await open_resolver(upstream).ask()
        assert isinstance(outcome, ServerFailure)
        assert outcome.ede == ((6, "bogus"),)


async def test_authentic_data_is_not_passed_from_plain_upstreams(open_resolver: OpenResolver) -> None:
    """AD over plain UDP could be anybody's: it is cleared."""
    from tests.support.scripts import reply_to, wire

    class Sure(ScriptedUpstream):
        def handle(self, asked: Asked) -> Script:
            return wire(reply_to(asked, "www.example. 300 IN A 192.0.2.1", flags="QR RD RA AD"))

    async with Sure() as upstream:
        outcome = await open_resolver(upstream).ask(do=True)
        assert isinstance(outcome, Answer) and not outcome.ad


# Slow, dead, back -----------------------------------------------------------------------------------------------------------------


async def test_on_slow_comes_once_after_the_stale_timer(open_resolver: OpenResolver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The moment for a stale answer comes once, before the outcome, and not at all when the answer is quick."""
    monkeypatch.setattr(selector, "SLOW", 0.3)
    async with Giver() as upstream:
        asker = open_resolver(upstream)
        said: list[str] = []
        await asker.begin("quick.example", on_slow=lambda: said.append("quick"))
        upstream.delay = 0.5
        waiting = [asker.begin("slow.example", on_slow=lambda mark=mark: said.append(mark)) for mark in ("first", "second")]
        await asyncio.gather(*waiting)
        assert said == ["first", "second"]


async def test_slow_upstream_is_waited_for_while_it_is_alive(open_resolver: OpenResolver) -> None:
    """An upstream that takes two and a half seconds but answers others is slow, not dead: its answer is given."""

    class Recursing(Giver):
        def handle(self, asked: Asked) -> Script:
            self.delay = 2.5 if asked.qname.startswith("far") else 0.0
            return super().handle(asked)

    async with Recursing() as upstream:
        asker = open_resolver(upstream, timeout=1.5)
        far = asker.begin("far.example")
        for number in range(20):
            await asker.ask(f"w{number}.example")
            await asyncio.sleep(0.1)
        assert given(await far) == "192.0.2.1"
        assert upstream.count("far.example") <= 3


async def test_late_answer_after_giving_up_is_handed_on(open_resolver: OpenResolver) -> None:
    """An answer that comes after its question failed still reaches the cache, once."""
    async with Giver(delay=2.3) as upstream:
        asker = open_resolver(upstream, timeout=0.1)
        assert isinstance(await asker.ask(), Timeout)
        await asyncio.sleep(0.6)
        assert [given(answer) for answer in asker.late] == ["192.0.2.1"]


async def test_fault_of_ours_does_not_stop_the_clock(open_resolver: OpenResolver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fails while time-outs are looked at costs that look only: the next question is still given up in time."""
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context["exception"]))
    async with Giver(delay=9) as upstream:
        asker = open_resolver(upstream)
        expire = UdpUpstream.expire
        monkeypatch.setattr(UdpUpstream, "expire", lambda self, now: expire(self, now) if faults else 1 / 0)
        assert given(await asker.begin("www.example")) == "Timeout"
        assert len(faults) == 1 and isinstance(faults[0], ZeroDivisionError)


async def test_blackout_is_cheap_and_recovery_quick(open_resolver: OpenResolver) -> None:
    """With every upstream silent: failures within two seconds, at most a probe a second; back within a second of their return.

    While they are down nobody waits for the stale answer, and questions that still wait are answered when the upstream returns.
    """
    async with Giver("192.0.2.1") as first, Giver("192.0.2.2") as second:
        asker = open_resolver(first, second, strategy="fastest")
        await asker.ask("before.example")
        first.silent = second.silent = True
        started = time.monotonic()
        outcomes = await asyncio.gather(*(asker.begin(f"w{number}.example") for number in range(50)))
        assert {given(outcome) for outcome in outcomes} == {"Timeout"}
        assert time.monotonic() - started < 2
        assert not asker.resolver.is_reachable(0)
        assert [status.is_up for status in asker.resolver.status()[:2]] == [False, False]
        told: list[float] = []
        asked_at = time.monotonic()
        waiting = asker.begin("stale.example", on_slow=lambda: told.append(time.monotonic()))
        await asyncio.sleep(0.1)
        assert told and told[0] - asked_at < 0.1
        sent = [len(first.asked), len(second.asked)]
        for number in range(100):
            asker.begin(f"v{number}.example")
            await asyncio.sleep(0.012)
        assert [len(first.asked) - sent[0] <= 2, len(second.asked) - sent[1] <= 2] == [True, True]
        first.silent = False
        back = time.monotonic()
        outcome = await asker.ask("after.example")
        assert given(outcome) == "192.0.2.1"
        assert time.monotonic() - back <= 1.1
        assert asker.recoveries == 1
        await waiting


async def test_restarted_upstream_is_used_again(open_resolver: OpenResolver) -> None:
    """A server process that was stopped (the kernel refuses) and started again answers within a second."""
    async with Giver() as upstream:
        asker = open_resolver(upstream)
        await asker.ask("a.example")
        await upstream.stop()
        assert isinstance(await asker.ask("b.example"), NetworkError)
        assert isinstance(await asker.ask("c.example"), NetworkError)
        await upstream.start()
        back = time.monotonic()
        assert given(await asker.ask("d.example")) == "192.0.2.1"
        assert time.monotonic() - back <= 1.1


async def test_one_dead_of_three_costs_nobody_after_a_moment(open_resolver: OpenResolver) -> None:
    """Once one of three servers is known to be dead, no client waits for it."""
    async with Giver("192.0.2.1") as dead, Giver("192.0.2.2") as second, Giver("192.0.2.3") as third:
        dead.silent = True
        asker = open_resolver(dead, second, third, strategy="ordered")
        await asyncio.gather(*(asker.begin(f"w{number}.example") for number in range(20)))
        await asyncio.gather(*(asker.begin(f"x{number}.example") for number in range(20)))
        await asyncio.gather(*(asker.begin(f"y{number}.example") for number in range(20)))
        started = time.monotonic()
        outcomes = await asyncio.gather(*(asker.begin(f"v{number}.example") for number in range(50)))
        assert {given(outcome) for outcome in outcomes} == {"192.0.2.2"}
        assert time.monotonic() - started < 0.3


async def test_dead_names_do_not_condemn_a_living_upstream(open_resolver: OpenResolver) -> None:
    """A server that is silent about some names only is probed at once and stays in use."""

    class Partial(Giver):
        def handle(self, asked: Asked) -> Script:
            return None if asked.qname.startswith("dead") else super().handle(asked)

    async with Partial() as upstream:
        asker = open_resolver(upstream)
        outcomes = await asyncio.gather(*(asker.begin(f"dead{number}.example") for number in range(5)))
        assert {given(outcome) for outcome in outcomes} == {"Timeout"}
        assert asker.resolver.is_reachable(0)
        assert given(await asker.ask("good.example")) == "192.0.2.1"


async def test_half_of_all_datagrams_lost_still_resolves_most(open_resolver: OpenResolver) -> None:
    """With half of the messages lost, three attempts bring most names through, and the servers are not given up."""

    class Lossy(Giver):
        lost = 0

        def handle(self, asked: Asked) -> Script:
            self.lost += 1
            return None if self.lost % 2 else super().handle(asked)

    async with Lossy("192.0.2.1") as first, Lossy("192.0.2.2") as second:
        asker = open_resolver(first, second, strategy="fastest")
        outcomes = await asyncio.gather(*(asker.begin(f"w{number}.example") for number in range(100)))
        assert sum(isinstance(outcome, Answer) for outcome in outcomes) >= 75
        assert asker.resolver.is_reachable(0)


async def test_tally_counts_what_happened(open_resolver: OpenResolver) -> None:
    """Messages, answers, latency and failures are counted per upstream, for the metrics."""
    async with Giver() as good, Giver(rcode="SERVFAIL") as bad:
        asker = open_resolver(bad, good)
        for number in range(5):
            await asker.ask(f"w{number}.example")
        first, second = asker.resolver.status()
        assert (first.label, first.tally.sent, first.tally.failures[Fault.SERVFAIL]) == (f"udp://127.0.0.1:{bad.port}", 5, 5)
        assert (second.tally.sent, second.tally.answers, sum(second.tally.latency)) == (5, 5, 5)
        assert second.latency > 0


async def test_close_gives_up_what_is_under_way(open_resolver: OpenResolver) -> None:
    """Closing ends every question with Overload, so that no client is left without its callback."""
    async with Giver(delay=1) as upstream:
        asker = open_resolver(upstream)
        waiting = [asker.begin(f"w{number}.example") for number in range(5)]
        await asyncio.sleep(0.05)
        asker.resolver.close()
        assert [given(await future) for future in waiting] == ["Overload"] * 5
        assert given(await asker.ask("after.example")) == "Overload"


async def test_same_server_in_two_groups_is_one_upstream(open_resolver: OpenResolver) -> None:
    """A server named by a route and by default has one health and one line in the status."""
    async with Giver() as upstream:
        asker = open_resolver(upstream, routes={key_from_text("lan.example"): (server(upstream),)})
        await asker.ask("a.example")
        await asker.ask("b.lan.example", group=1)
        assert [status.tally.sent for status in asker.resolver.status()] == [2]


async def test_unknown_address_family_mix_works(open_resolver: OpenResolver) -> None:
    """IPv4 and IPv6 servers stand side by side; a dead family does not hold the other back."""
    async with Giver() as four:
        gone = UpstreamAddress("udp", "::1", 9, "", "::1")
        outcome = await open_resolver(gone, four).ask()
        assert given(outcome) == "192.0.2.1"
