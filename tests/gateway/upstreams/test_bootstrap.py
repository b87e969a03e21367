"""Encrypted upstreams given by name only: their address comes from the plain ones."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from gateway.configuration import check_gateway
from gateway.errors import InvalidName
from gateway.query import Answer, Query
from gateway.settings import UpstreamAddress
from gateway.upstreams import NetworkError, Timeout, UpstreamFailure
from gateway.upstreams.bootstrap import Locator, find_unreachable
from gateway.wire.name import key_from_text
from gateway.yamlfile import parse
from tests.gateway.upstreams.conftest import OpenResolver, server
from tests.support.certificates import Authority
from tests.support.upstream import ScriptedUpstream

RECORDS = {("www.example", "A"): ["192.0.2.1"], ("dns.example", "A"): ["127.0.0.1"]}


async def test_server_by_name_is_found_through_the_plain_ones(open_resolver: OpenResolver, authority: Authority) -> None:
    """A route over TLS whose server has no address: the plain upstream is asked for it once, and the route's question goes encrypted."""
    tls = authority.vouch("dns.example").context("dot")
    async with ScriptedUpstream(RECORDS) as plain, ScriptedUpstream(RECORDS, tls=tls) as encrypted:
        by_name = server(encrypted, "tls", address="")
        routes = {key_from_text("example"): (by_name,)}
        asker = open_resolver(plain, routes=routes, authorities=str(authority.file))
        outcome = await asker.ask("www.example", group=1)
        assert isinstance(outcome, Answer) and outcome.an == 1
        assert [asked.qname for asked in plain.questions] == ["dns.example"]
        assert [(asked.qname, asked.transport) for asked in encrypted.questions] == [("www.example", "dot")]


async def test_forged_address_leads_nowhere(open_resolver: OpenResolver, authority: Authority) -> None:
    """A plain upstream that lies about the address only causes a failed connection: the certificate is checked."""
    liar = authority.vouch("liar.example").context("dot")
    async with ScriptedUpstream(RECORDS) as plain, ScriptedUpstream(RECORDS, tls=liar) as wrong:
        by_name = server(wrong, "tls", address="")
        asker = open_resolver(plain, routes={key_from_text("example"): (by_name,)}, authorities=str(authority.file))
        assert isinstance(await asker.ask("www.example", group=1), NetworkError)
        assert wrong.asked == []


async def test_address_that_is_not_found_is_a_network_error(open_resolver: OpenResolver, authority: Authority) -> None:
    """A name that does not exist, or no plain upstream at all, ends in NetworkError or Timeout within two seconds."""
    async with ScriptedUpstream({}) as plain, ScriptedUpstream(RECORDS, tls=authority.vouch("dns.example").context("dot")) as encrypted:
        by_name = server(encrypted, "tls", address="")
        started = time.monotonic()
        outcome = await open_resolver(plain, routes={"": (by_name,)}, authorities=str(authority.file)).ask(group=1)
        assert isinstance(outcome, NetworkError)
        assert "not found" in outcome.evidence[0].detail
        assert isinstance(await open_resolver(by_name, authorities=str(authority.file)).ask(), Timeout | NetworkError)
        assert time.monotonic() - started < 4


class Answers:
    """Plays the plain upstreams: outcomes in turn, and how often it was asked."""

    def __init__(self, *outcomes: Answer | UpstreamFailure) -> None:
        self.outcomes = list(outcomes)
        self.asked: list[int] = []

    def __call__(self, query: Query, on_done: Callable[[Answer | UpstreamFailure], None]) -> None:
        self.asked.append(query.qtype)
        asyncio.get_running_loop().call_soon(on_done, self.outcomes.pop(0))


def answer(*addresses: bytes, ttl: int = 300) -> Answer:
    from gateway.query import AnswerFacts

    return Answer(0, False, b"", len(addresses), 0, (), (), (), AnswerFacts((), addresses), ttl=ttl)


FIRST, SECOND = bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2])


async def test_addresses_are_used_in_turn_and_kept_for_their_ttl() -> None:
    """Each connection tries the next address; nobody is asked again before the TTL has passed."""
    answers = Answers(answer(FIRST, SECOND))
    locator = Locator("dns.example", answers, asyncio.get_running_loop())
    assert [await locator.locate() for _ in range(3)] == ["192.0.2.1", "192.0.2.2", "192.0.2.1"]
    assert answers.asked == [1]


async def test_ipv6_only_server_is_found() -> None:
    """Without an A record the AAAA record is taken."""
    answers = Answers(answer(), answer(bytes(15) + b"\1"))
    assert await Locator("dns.example", answers, asyncio.get_running_loop()).locate() == "::1"
    assert answers.asked == [1, 28]


async def test_last_good_address_outlives_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the plain upstreams are gone at the next look-up, the address found before is still used."""
    monkeypatch.setattr("gateway.upstreams.bootstrap.LEAST_TTL", 0.0)
    answers = Answers(answer(FIRST, ttl=0), Timeout(), Timeout(), Timeout(), Timeout())
    locator = Locator("dns.example", answers, asyncio.get_running_loop())
    assert await locator.locate() == "192.0.2.1"
    assert await locator.locate() == "192.0.2.1"
    assert len(answers.asked) == 3


async def test_unknown_address_raises() -> None:
    """Without any address there is a sentence instead of a connection."""
    locator = Locator("dns.example", Answers(Timeout(), Timeout()), asyncio.get_running_loop())
    with pytest.raises(OSError, match="not found"):
        await locator.locate()
    with pytest.raises(InvalidName):
        Locator("not..a.name", Answers(), asyncio.get_running_loop())


def test_settings_without_a_way_to_find_a_server_are_told() -> None:
    """A server by name needs a plain upstream with an address beside it."""
    by_name = UpstreamAddress("tls", "dns.example", 853, "", "")
    with_address = UpstreamAddress("tls", "dns.example", 853, "", "192.0.2.53")
    plain = UpstreamAddress("udp", "192.0.2.53", 53, "", "192.0.2.53")
    assert find_unreachable([by_name, with_address]) == [by_name]
    assert find_unreachable([by_name, plain]) == []
    assert find_unreachable([with_address]) == []


@pytest.mark.parametrize(
    ("upstreams", "place"),
    [
        ('{servers: ["tls://dns.example"]}', "upstreams.servers[0]"),
        ('{servers: ["tls://dns.example@192.0.2.53"], routes: {lan.example: ["https://dns.example"]}}', "upstreams.routes"),
        ('{servers: ["udp://192.0.2.53", "tls://dns.example"]}', ""),
        ('{servers: ["tls://dns.example"], routes: {lan.example: ["tcp://192.0.2.53"]}}', ""),
    ],
)
def test_configuration_names_the_server_nobody_can_find(upstreams: str, place: str) -> None:
    """`check` refuses an encrypted server without an address when there is no plain one to ask, with the place and the remedy."""
    _, mistakes = check_gateway(parse(f"upstreams: {upstreams}"))
    found = [str(mistake) for mistake in mistakes]
    assert len(found) == (1 if place else 0)
    if place:
        assert place in found[0] and "nobody can be asked" in found[0] and "@" in found[0]
