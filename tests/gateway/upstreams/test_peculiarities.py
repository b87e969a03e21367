"""Servers and networks with peculiarities that must cost nobody a name: firewalls, rate limits, old routers, wrong clocks, forged names."""

from __future__ import annotations

import asyncio
import time

import dns.edns
import pytest

from gateway.settings import UpstreamAddress
from gateway.upstreams import Fault, Refused, ServerFailure, Timeout, conclusion
from tests.gateway.upstreams.conftest import OpenResolver
from tests.gateway.upstreams.test_selector import Giver, given
from tests.support.scripts import Asked, Say, Script, addresses, failure, reply_to, wire


class Censor(Giver):
    """Refuses some names, answers the others."""

    def handle(self, asked: Asked) -> Script:
        return failure(asked, "REFUSED") if "bad" in asked.qname else super().handle(asked)


async def test_refusal_by_all_is_a_block_only_of_a_name_refused_again_while_others_are_answered(open_resolver: OpenResolver) -> None:
    """REFUSED by every server is labelled as their block when it comes a second time, with answers to other names between; else it is a
    mere failure, which clients and stale answers get over."""
    async with Censor() as first, Censor() as second:
        asker = open_resolver(first, second, strategy="parallel")
        for round_ in range(2):  # at once, and again with nothing answered between
            outcome = await asker.ask("bad.example")
            assert isinstance(outcome, Refused) and not outcome.is_block, round_
        await asyncio.sleep(conclusion.AGAIN)
        for number in range(12):
            await asker.ask(f"good{number}.example")
        outcome = await asker.ask("bad2.example")
        assert isinstance(outcome, Refused) and not outcome.is_block
        outcome = await asker.ask("bad.example")
        assert isinstance(outcome, Refused) and outcome.is_block
        assert {evidence.fault for evidence in outcome.evidence} == {Fault.REFUSED}


async def test_a_server_that_limits_how_often_it_is_asked_blocks_nothing(open_resolver: OpenResolver) -> None:
    """Every second question refused (dnsdist's and many providers' way of saying "too much"): no name is ever called blocked."""

    class Limiter(Giver):
        def handle(self, asked: Asked) -> Script:
            return failure(asked, "REFUSED") if len(self.questions) % 2 else super().handle(asked)

    async with Limiter() as upstream:
        asker = open_resolver(upstream)
        outcomes = []
        for _ in range(3):
            outcomes += [await asker.ask(f"n{number % 7}.example") for number in range(25)]
            await asyncio.sleep(conclusion.AGAIN)
        refused = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
        assert len(refused) > 20 and not any(outcome.is_block for outcome in refused)


async def test_forged_name_is_not_asked_of_a_server_that_does_not_look(open_resolver: OpenResolver) -> None:
    """SERVFAIL with "DNSSEC bogus" ends the question with that error, and says nothing about the server; a client that checks by itself
    (CD) is given what there is. A SERVFAIL without a word is asked elsewhere, and many of one zone do not move everybody."""
    class Validating(Giver):
        def handle(self, asked: Asked) -> Script:
            if "broken" in asked.qname:
                return failure(asked, "SERVFAIL")
            if "forged" not in asked.qname:
                return super().handle(asked)
            reply = reply_to(asked, rcode="SERVFAIL")
            reply.use_edns(0, 0, 1232, options=[dns.edns.EDEOption(6, "signature")])
            return wire(reply)

    async with Validating("192.0.2.1") as looking, Giver("192.0.2.66", delay=0.02) as other:
        asker = open_resolver(looking, other, strategy="fastest")
        for number in range(8):
            await asker.ask(f"first{number}.example")
            await asyncio.sleep(0.03)  # until both are known and the quicker one is asked
        for number in range(40):
            outcome = await asker.ask(f"w{number}.forged.example")
            assert isinstance(outcome, ServerFailure) and outcome.errors == ((6, "signature"),)
        assert sum("forged" in asked.qname for asked in other.questions) <= 1  # one question in fifty explores
        assert given(await asker.ask("cd.forged.example", cd=True)) == "192.0.2.66"
        for number in range(40):
            assert given(await asker.ask(f"w{number}.broken.example")) == "192.0.2.66"
        asked = [len(looking.questions), len(other.questions)]
        for number in range(40):
            await asker.ask(f"after{number}.example")
        assert len(looking.questions) - asked[0] >= 38 and len(other.questions) - asked[1] <= 3


@pytest.mark.parametrize("code", [6, 7, 8])
async def test_server_to_which_all_is_forged_is_wrong_itself(code: int, open_resolver: OpenResolver) -> None:
    """A first server with a wrong clock, or without the root's key, finds every zone forged: after a few zones the second is asked. A page
    full of forged names of many zones, while others are answered, moves nobody."""
    class Validating(Giver):
        all_wrong = True

        def handle(self, asked: Asked) -> Script:
            if asked.is_probe or not (self.all_wrong or "forged" in asked.qname):
                return super().handle(asked)
            reply = reply_to(asked, rcode="SERVFAIL")
            reply.use_edns(0, 0, 1232, options=[dns.edns.EDEOption(code, "")])
            return wire(reply)

    async with Validating("192.0.2.1") as first, Giver("192.0.2.2") as second:
        asker = open_resolver(first, second, strategy="ordered")
        outcomes = [given(await asker.ask(f"www.zone{number}.example")) for number in range(20)]
        assert outcomes.count("192.0.2.2") == 20 - 3 and outcomes[3:] == ["192.0.2.2"] * 17
        first.all_wrong = False
        assert given(await asker.ask("again.good.example")) == "192.0.2.1"
        forged = [given(await asker.ask(f"www.forged{number}.example")) for number in range(40)]
        assert forged == ["ServerFailure"] * 40


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("rcode", [1, 4])
async def test_server_of_before_edns_is_asked_without(rcode: int, transport: str, open_resolver: OpenResolver) -> None:
    """Twelve octets that say FORMERR (or NOTIMP) are an old router's answer to an OPT record: the question goes out once more without."""

    class Old(Giver):
        def handle(self, asked: Asked) -> Script:
            if asked.message.edns >= 0:
                return asked.raw[:2] + bytes((0x81, 0x80 | rcode)) + bytes(8)
            return super().handle(asked)

    async with Old() as upstream:
        address = UpstreamAddress(transport, "127.0.0.1", upstream.port, "", "127.0.0.1")
        asker = open_resolver(address)
        started = time.monotonic()
        assert given(await asker.ask("a.example")) == "192.0.2.1"
        assert time.monotonic() - started < 0.25 and upstream.count("a.example") == 2


async def test_forged_header_alone_costs_nothing_but_a_question(open_resolver: OpenResolver) -> None:
    """The good answer to the first question is still taken when the header alone was forged."""

    class Forged(Giver):
        def handle(self, asked: Asked) -> Script:
            if asked.message.edns < 0:
                return None
            return [Say(asked.raw[:2] + b"\x81\x81" + bytes(8)), Say(addresses(asked, "192.0.2.1"), after=0.05)]

    async with Forged() as upstream:
        assert given(await open_resolver(upstream).ask("a.example")) == "192.0.2.1"


async def test_a_referral_is_no_answer(open_resolver: OpenResolver) -> None:
    """A server with recursion switched off points to the root instead of answering: another one is asked; where there is none it is a
    failure, never "this name has no address"."""
    class Lame(Giver):
        def handle(self, asked: Asked) -> Script:
            reply = reply_to(asked, flags="QR RD", authority=("example. 86400 IN NS ns1.example.", "example. 86400 IN NS ns2.example."))
            return super().handle(asked) if asked.is_probe else wire(reply)

    async with Lame() as lame, Giver() as good:
        assert given(await open_resolver(lame, good, strategy="ordered").ask("www.example")) == "192.0.2.1"
        assert isinstance(await open_resolver(lame).ask("www.example"), ServerFailure)


async def test_first_of_two_that_swallows_our_probe_is_asked_again(open_resolver: OpenResolver) -> None:
    """Nobody waits while the second one answers: the last question that was asked is the probe then."""

    class Firewalled(Giver):
        def handle(self, asked: Asked) -> Script:
            return None if asked.is_probe else super().handle(asked)

    async with Firewalled("192.0.2.1") as first, Giver("192.0.2.2") as second:
        asker = open_resolver(first, second, strategy="ordered")
        first.silent = True
        for number in range(8):
            assert given(await asker.ask(f"w{number}.example")) == "192.0.2.2"
        assert [status.is_up for status in asker.resolver.status()[:2]] == [False, True]
        first.silent = False
        back = time.monotonic()
        while given(await asker.ask(f"v{time.monotonic_ns()}.example")) != "192.0.2.1":
            assert time.monotonic() - back < 4
            await asyncio.sleep(0.05)
        assert asker.recoveries == 1


@pytest.mark.parametrize("count", [1, 2])
async def test_upstream_that_swallows_our_probe_is_used_again(count: int, open_resolver: OpenResolver) -> None:
    """Firewalls drop ". NS", a favourite of amplification: what clients ask tells as well that a server is back."""

    class Firewalled(Giver):
        def handle(self, asked: Asked) -> Script:
            return None if asked.is_probe else super().handle(asked)

    upstreams = [await Firewalled().start() for _ in range(count)]
    asker = open_resolver(*upstreams, strategy="ordered")
    assert given(await asker.ask("before.example")) == "192.0.2.1"
    for each in upstreams:
        each.silent = True
    while asker.resolver.is_reachable(0):
        assert isinstance(await asker.ask(f"w{time.monotonic_ns()}.example"), Timeout)
    for _ in range(2):
        assert isinstance(await asker.ask(f"w{time.monotonic_ns()}.example"), Timeout)
    sent = sum(len(each.asked) for each in upstreams)
    for each in upstreams:
        each.silent = False
    back = time.monotonic()
    waiting = [asker.begin(f"v{number}.example") for number in range(20)]
    outcomes = await asyncio.gather(*waiting)
    while given(outcome := await asker.ask(f"u{time.monotonic_ns()}.example")) != "192.0.2.1":
        assert time.monotonic() - back < 2.5, outcome
    assert time.monotonic() - back < 2.5 and {given(outcome) for outcome in outcomes} <= {"192.0.2.1", "Timeout"}
    assert sum(len(each.asked) for each in upstreams) - sent <= 20 + count * 4 + 3
    assert asker.recoveries >= 1 and not asker.resolver.in_flight
    for each in upstreams:
        await each.stop()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_changed_address_of_ours_costs_seconds(transport: str, open_resolver: OpenResolver) -> None:
    """After a new lease nothing comes back to sockets of before: once the server seems down, only fresh ones are used."""

    class Elsewhere(Giver):
        before: frozenset[object] = frozenset()

        def handle(self, asked: Asked) -> Script:
            return None if asked.peer in self.before else super().handle(asked)

    async with Elsewhere() as upstream:
        asker = open_resolver(UpstreamAddress(transport, "127.0.0.1", upstream.port, "", "127.0.0.1"))
        for number in range(300):
            await asker.ask(f"w{number}.example")
        upstream.before = frozenset(asked.peer for asked in upstream.asked)
        moved = time.monotonic()
        while given(await asker.ask(f"v{time.monotonic_ns()}.example")) != "192.0.2.1":
            assert time.monotonic() - moved < 5
        for number in range(100):
            assert given(await asker.ask(f"u{number}.example")) == "192.0.2.1"
