"""Upstreams over UDP: what leaves, what is believed, ports and ids."""

from __future__ import annotations

import asyncio
import itertools
import math
import socket
import struct
import time
from collections import Counter

import dns.edns
import dns.flags
import pytest

from gateway.query import Answer
from gateway.upstreams import Invalid, NetworkError, Timeout, udp
from tests.gateway.upstreams.conftest import OpenResolver
from tests.support.scripts import Asked, Say, Script, Step, addresses, negative, truncated, with_id
from tests.support.upstream import ScriptedUpstream

RECORDS = {("www.example", "A"): ["192.0.2.1"], ("www.example", "AAAA"): ["2001:db8::1"]}


async def test_ask_gives_the_upstreams_answer(open_resolver: OpenResolver) -> None:
    """A question is answered with the records of the upstream, over IPv4 and one datagram."""
    async with ScriptedUpstream(RECORDS) as upstream:
        answer = await open_resolver(upstream).ask("www.example")
        assert isinstance(answer, Answer)
        assert (answer.rcode, answer.an, answer.facts.addresses) == (0, 1, (b"\xc0\x00\x02\x01",))
        assert upstream.count() == 1


async def test_ask_over_ipv6_works(open_resolver: OpenResolver) -> None:
    """An upstream with an IPv6 address is asked the same way."""
    async with ScriptedUpstream(RECORDS, host="::1") as upstream:
        answer = await open_resolver(upstream).ask("www.example", "AAAA")
        assert isinstance(answer, Answer) and answer.an == 1


async def test_outgoing_query_carries_only_what_is_needed(open_resolver: OpenResolver) -> None:
    """What leaves has RD, our own OPT of 1232 octets without options, the client's DO and CD, never its id, its AD bit or its options."""
    async with ScriptedUpstream(RECORDS) as upstream:
        asker = open_resolver(upstream)
        await asker.ask("www.example", number=0, do=True, cd=True)
        await asker.ask("www.example", number=0)
        first, second = (asked.message for asked in upstream.questions)
        assert first.flags == dns.flags.RD | dns.flags.CD
        assert second.flags == dns.flags.RD
        assert (first.edns, first.payload, first.ednsflags, first.options) == (0, 1232, dns.flags.DO, ())
        assert (second.edns, second.payload, second.ednsflags, second.options) == (0, 1232, 0, ())
        assert all(asked.raw[6:10] == b"\0\0\0\0" for asked in upstream.questions)


async def test_outgoing_name_keeps_the_clients_case(open_resolver: OpenResolver) -> None:
    """The name goes out as the client wrote it (RFC 5625); a reply in another case is not an answer, the lower-case retry is."""

    class Folding(ScriptedUpstream):
        def handle(self, asked: Asked) -> Script:
            data = addresses(asked, "192.0.2.1")
            end = 12 + len(asked.question)
            return data[:12] + data[12:end].lower() + data[end:]

    async with Folding() as upstream:
        answer = await open_resolver(upstream).ask("WwW.ExAmPlE")
        assert isinstance(answer, Answer)
        assert [asked.qname for asked in upstream.questions] == ["WwW.ExAmPlE", "www.example"]


class Forger(ScriptedUpstream):
    """Sends near misses from its own address first, the good answer 50 ms later."""

    def handle(self, asked: Asked) -> Script:
        good = addresses(asked, "192.0.2.1")
        bad = addresses(asked, "198.51.100.66")
        end = 12 + len(asked.question)
        other_name = bad[:13] + b"z" + bad[14:]
        other_type = bad[: end - 3] + b"\x1c" + bad[end - 2 :]
        other_class = bad[: end - 1] + b"\x03" + bad[end:]
        other_case = bad[:13] + bad[13:14].swapcase() + bad[14:]
        no_question = bad[:4] + b"\0\0" + bad[6:12] + bad[end:]
        two_questions = bad[:4] + b"\0\2" + bad[6:end] + bad[12:end] + bad[end:]
        a_query = bad[:2] + b"\x01\x00" + bad[4:]
        an_update = bad[:2] + bytes([bad[2] | 0x28]) + bad[3:]
        forged = [with_id(bad, asked.id + distance) for distance in (1, -1, 256, 0x8000)]
        forged += [other_name, other_type, other_class, other_case, no_question, two_questions, a_query, an_update]
        forged += [b"", b"\0", bad[:2], bad[:11], bad[:12], bad[: end - 1], bad[: end + 3], bad[:-1], bytes(600), b"\xff" * 600]
        return [*(Say(data) for data in forged), Say(good, after=0.05)]


async def test_forged_replies_never_end_the_wait(open_resolver: OpenResolver) -> None:
    """Wrong id, name, type, class, case, header or shape: ignored; the good answer 50 ms later is used, and nobody is held for dead."""
    async with Forger() as upstream:
        asker = open_resolver(upstream)
        for number in range(5):
            answer = await asker.ask(f"w{number}.example")
            assert isinstance(answer, Answer)
            assert answer.facts.addresses == (b"\xc0\x00\x02\x01",)
        assert asker.resolver.is_reachable(0)
        assert asker.resolver.status()[0].is_up


async def test_replies_from_another_address_are_not_seen(open_resolver: OpenResolver) -> None:
    """A perfect forgery from another address or port never reaches us: the sockets are connected."""
    foreign = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    foreign.bind(("127.0.0.2", 0))

    class Elsewhere(ScriptedUpstream):
        def handle(self, asked: Asked) -> Script:
            return [Say(addresses(asked, "198.51.100.66"), source=foreign), Say(addresses(asked, "192.0.2.1"), after=0.05)]

    async with Elsewhere() as upstream:
        answer = await open_resolver(upstream).ask()
        assert isinstance(answer, Answer) and answer.facts.addresses == (b"\xc0\x00\x02\x01",)
    foreign.close()


async def test_flood_of_forgeries_is_never_accepted(open_resolver: OpenResolver) -> None:
    """Tens of thousands of forged replies to the very sockets in use: none accepted, no good answer lost, nobody down."""

    class Flooder(ScriptedUpstream):
        def handle(self, asked: Asked) -> Script:
            bad = addresses(asked, "198.51.100.66")
            steps: list[Step] = [Say(with_id(bad, asked.id + 1 + guess), after=0.001 if guess % 25 == 0 else 0) for guess in range(150)]
            return [*steps, Say(addresses(asked, "192.0.2.1"), after=0.001)]

    async with Flooder() as upstream:
        asker = open_resolver(upstream)
        started = time.monotonic()
        accepted: Counter[bytes] = Counter()
        asked = 0
        while time.monotonic() - started < 2 and asked < 200:
            for outcome in await asyncio.gather(*(asker.begin(f"w{asked + each}.example") for each in range(4))):
                assert isinstance(outcome, Answer), outcome
                accepted[outcome.facts.addresses[0]] += 1
            asked += 4
        assert {b"\xc0\x00\x02\x01": asked} == accepted
        assert asker.resolver.status()[0].is_up


async def test_ids_and_ports_are_spread(open_resolver: OpenResolver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids look uniform whatever the client's id is, over hundreds of source ports; one socket serves a bounded number of questions."""
    monkeypatch.setattr(udp, "LANE_QUERIES", 10)
    async with ScriptedUpstream(RECORDS) as upstream:
        asker = open_resolver(upstream)
        for start in range(0, 4000, 20):
            await asyncio.gather(*(asker.begin(f"w{start + each}.example", number=0) for each in range(20)))
        ids = [asked.id for asked in upstream.questions]
        ports = Counter(asked.peer[1] for asked in upstream.questions)
        assert 4000 <= len(ids) <= 4100
        buckets = Counter(number >> 11 for number in ids)
        expected = len(ids) / 32
        chi_square = sum((buckets[bucket] - expected) ** 2 / expected for bucket in range(32))
        assert chi_square < 70, "31 degrees of freedom: far beyond p = 0.0001"
        steps = Counter((after - before) % 65536 for before, after in itertools.pairwise(ids))
        assert steps.most_common(1)[0][1] < 8, "no step between ids repeats"
        assert len(ports) >= 190
        assert max(ports.values()) <= 40
        assert math.log2(max(ports) - min(ports)) > 13.5


async def test_spent_sockets_are_closed(open_resolver: OpenResolver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets past their age are replaced and closed; nothing stays open when nobody asks."""
    monkeypatch.setattr(udp, "LANE_SECONDS", 0.05)
    async with ScriptedUpstream(RECORDS) as upstream:
        asker = open_resolver(upstream)
        for number in range(30):
            await asker.ask(f"w{number}.example")
        lanes = asker.resolver._groups[0].upstreams[0]
        await asyncio.sleep(0.2)
        assert lanes.is_idle


async def test_sockets_kept_for_late_answers_are_bounded(open_resolver: OpenResolver, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many answers are missing, only so many spent sockets stay open, and every question still ends."""
    monkeypatch.setattr(udp, "LANE_QUERIES", 1)
    monkeypatch.setattr(udp, "MAX_SPENT", 20)

    class Partial(ScriptedUpstream):
        def handle(self, asked: Asked) -> Script:
            return None if asked.qname.startswith("dead") else super().handle(asked)

    async with Partial(RECORDS) as upstream:
        asker = open_resolver(upstream)
        waiting = []
        for number in range(300):
            waiting.append(asker.begin(f"dead{number}.example"))
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.1)
        lanes = asker.resolver._groups[0].upstreams[0]
        assert isinstance(lanes, udp.UdpUpstream)
        assert len(lanes._spent) <= 60, "the bound, and what was retired since the last look"
        assert {type(outcome) for outcome in await asyncio.gather(*waiting)} == {Timeout}


async def test_silence_is_asked_three_times_and_then_reported(open_resolver: OpenResolver) -> None:
    """A silent upstream gets at most three messages; within two seconds the client hears Timeout with EDE 22, with evidence."""
    async with ScriptedUpstream() as upstream:
        upstream.silent = True
        started = time.monotonic()
        failure = await open_resolver(upstream).ask()
        assert isinstance(failure, Timeout)
        assert time.monotonic() - started < 2.0
        assert (failure.rcode, failure.ede) == (2, ((22, ""),))
        assert 2 <= upstream.count() <= 3
        assert f"udp://127.0.0.1:{upstream.port}: timeout" == str(failure.evidence[0])


async def test_lost_datagram_is_sent_again(open_resolver: OpenResolver) -> None:
    """One lost message costs a retransmission, not the answer."""

    class Lossy(ScriptedUpstream):
        def handle(self, asked: Asked) -> Script:
            return None if self.count() == 1 else super().handle(asked)

    async with Lossy(RECORDS) as upstream:
        assert isinstance(await open_resolver(upstream).ask(), Answer)
        assert upstream.count() == 2


async def test_refused_by_the_kernel_is_a_network_error(open_resolver: OpenResolver) -> None:
    """A closed port is told at once by the kernel; the client hears NetworkError with EDE 23 within two seconds."""
    upstream = await ScriptedUpstream().start()
    await upstream.stop()
    failure = await open_resolver(upstream).ask()
    assert isinstance(failure, NetworkError)
    assert failure.ede == ((23, ""),)


async def test_word_of_the_kernel_may_be_forged_and_does_not_end_the_wait(
    open_resolver: OpenResolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After "port unreachable" on the socket of a question its good answer is still taken."""
    monkeypatch.setattr(udp, "LANES", 1)
    upstream = await ScriptedUpstream().start()
    upstream.silent = True
    asker = open_resolver(upstream)
    first = asker.begin("first.example")
    async with asyncio.timeout(2):
        while not upstream.count("first.example"):  # noqa: ASYNC110 - the upstream has no event
            await asyncio.sleep(0.005)
    asked = upstream.questions[-1]
    await upstream.stop()
    second = asker.begin("second.example")
    await asyncio.sleep(0.05)
    await upstream.start()
    upstream.send_udp(addresses(asked, "192.0.2.1"), asked.peer)
    answer = await asyncio.wait_for(first, 0.2)
    assert isinstance(answer, Answer) and answer.facts.addresses == (b"\xc0\x00\x02\x01",)
    await second
    await upstream.stop()


async def test_unsendable_is_a_network_error(open_resolver: OpenResolver) -> None:
    """What the system will not send at all (here: to port 0) is a network error, not an exception."""
    upstream = ScriptedUpstream()
    assert isinstance(await open_resolver(upstream).ask(), NetworkError)


async def test_truncated_answer_is_asked_for_over_tcp(open_resolver: OpenResolver) -> None:
    """TC leads to the same upstream over TCP, and the whole answer is given."""
    many = [f"192.0.2.{number}" for number in range(1, 200)]

    class Truncating(ScriptedUpstream):
        def handle(self, asked: Asked) -> Script:
            return truncated(asked) if asked.transport == "udp" else addresses(asked, *many)

    async with Truncating() as upstream:
        answer = await open_resolver(upstream).ask()
        assert isinstance(answer, Answer) and answer.an == 199
        assert [asked.transport for asked in upstream.questions] == ["udp", "tcp"]


async def test_oversized_datagram_is_asked_for_over_tcp(open_resolver: OpenResolver) -> None:
    """A datagram larger than we can take is treated like a truncated one."""
    many = [f"2001:db8::{number:x}" for number in range(1, 200)]

    class Huge(ScriptedUpstream):
        def handle(self, asked: Asked) -> Script:
            return addresses(asked, *many)

    async with Huge() as upstream:
        answer = await open_resolver(upstream).ask("www.example", "AAAA")
        assert isinstance(answer, Answer) and answer.an == 199
        assert upstream.count(transport="tcp") == 1


async def test_server_without_edns_is_asked_without(open_resolver: OpenResolver) -> None:
    """A FORMERR leads to the same question without OPT (RFC 6891 §7)."""

    class Old(ScriptedUpstream):
        def handle(self, asked: Asked) -> Script:
            if asked.message.edns >= 0:
                return asked.raw[:2] + struct.pack("!HHHHH", 0x8181, 1, 0, 0, 0) + asked.question
            return addresses(asked, "192.0.2.1")

    async with Old() as upstream:
        assert isinstance(await open_resolver(upstream).ask(), Answer)
        assert upstream.count() == 2


async def test_only_broken_replies_give_invalid(open_resolver: OpenResolver) -> None:
    """Replies that match and cannot be read give Invalid with EDE 24, after at most three messages; nobody is held for dead."""

    class Broken(ScriptedUpstream):
        def handle(self, asked: Asked) -> Script:
            return None if asked.is_probe else addresses(asked, "192.0.2.1")[:-20]

    async with Broken() as upstream:
        asker = open_resolver(upstream)
        failure = await asker.ask()
        assert isinstance(failure, Invalid)
        assert failure.ede == ((24, ""),)
        assert upstream.count() <= 3


async def test_nxdomain_is_an_answer(open_resolver: OpenResolver) -> None:
    """NXDOMAIN settles the question: one message, no retry."""

    class Empty(ScriptedUpstream):
        def handle(self, asked: Asked) -> Script:
            return negative(asked)

    async with Empty() as upstream:
        answer = await open_resolver(upstream).ask("nope.example")
        assert isinstance(answer, Answer) and answer.rcode == 3 and answer.ttl == 300
        assert upstream.count() == 1
