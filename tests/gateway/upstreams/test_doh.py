"""DNS over HTTPS towards upstreams: HTTP/2 on real TLS, and what goes wrong with it."""

from __future__ import annotations

import asyncio
import ssl
import time

import pytest

from gateway.query import Answer
from gateway.upstreams import Fault, Invalid, NetworkError, Refused, ServerFailure, Timeout, UpstreamFailure, doh
from tests.gateway.upstreams.conftest import OpenResolver, server
from tests.support.certificates import Authority
from tests.support.scripts import Asked, Close, Http, Reset, Say, Script, addresses, failure, truncated
from tests.support.upstream import ScriptedUpstream


class Giver(ScriptedUpstream):
    """Gives every name an address."""

    def handle(self, asked: Asked) -> Script:
        return super().handle(asked) if asked.is_probe else addresses(asked, "192.0.2.1")


@pytest.fixture
def context(authority: Authority) -> ssl.SSLContext:
    """TLS of a server that speaks HTTP/2."""
    return authority.vouch("dns.example").context("h2")


async def test_questions_go_as_posts_over_one_connection(
    open_resolver: OpenResolver, authority: Authority, context: ssl.SSLContext
) -> None:
    """Each question is one POST with id 0, the right types and whole blocks of 128 octets; a hundred share one connection."""
    async with Giver(tls=context) as upstream:
        asker = open_resolver(server(upstream, "https", path="/family/dns-query"), authorities=str(authority.file))
        outcomes = await asyncio.gather(*(asker.begin(f"w{number}.example") for number in range(150)))
        outcomes += [await asker.ask("later.example", do=True)]
        assert all(isinstance(outcome, Answer) for outcome in outcomes)
        assert upstream.connections <= 2
        for asked in upstream.questions:
            assert (asked.transport, asked.id, len(asked.raw) % 128) == ("doh", 0, 0)
            headers = dict(asked.headers)
            assert headers[":method"] == "POST" and headers[":path"] == "/family/dns-query" and headers[":scheme"] == "https"
            assert headers[":authority"] == f"dns.example:{upstream.https_port}"
            assert headers["content-type"] == headers["accept"] == "application/dns-message"
            assert not {"user-agent", "cookie", "accept-language"} & set(headers)


async def test_slow_answer_holds_nobody_back(open_resolver: OpenResolver, authority: Authority, context: ssl.SSLContext) -> None:
    """Streams are independent."""

    class Reordering(Giver):
        def handle(self, asked: Asked) -> Script:
            return [Say(addresses(asked, "192.0.2.1"), after=0.3 if asked.qname.startswith("slow") else 0.0)]

    async with Reordering(tls=context) as upstream:
        asker = open_resolver(upstream, scheme="https", authorities=str(authority.file))
        await asker.ask("first.example")
        slow = asker.begin("slow.example")
        await asyncio.gather(*(asker.begin(f"w{number}.example") for number in range(20)))
        assert not slow.done()
        assert isinstance(await slow, Answer)


async def test_large_answer_comes_whole(open_resolver: OpenResolver, authority: Authority, context: ssl.SSLContext) -> None:
    """An answer of many frames is put together, many of them in a row too (flow control is given back)."""
    many = [f"192.0.2.{number % 250}" for number in range(1, 250)]

    class Large(ScriptedUpstream):
        def handle(self, asked: Asked) -> Script:
            return addresses(asked, *many)

    async with Large(tls=context) as upstream:
        asker = open_resolver(upstream, scheme="https", authorities=str(authority.file))
        for number in range(40):
            outcome = await asker.ask(f"w{number}.example")
            assert isinstance(outcome, Answer) and outcome.an == 249
        assert upstream.connections == 1


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (lambda asked: [Http(500)], NetworkError),
        (lambda asked: [Http(404, b"no such page", "text/html")], NetworkError),
        (lambda asked: [Http(302)], NetworkError),
        (lambda asked: [Http(200, addresses(asked, "192.0.2.1"), "text/html")], NetworkError),
        (lambda asked: [Http(200, b"")], NetworkError),
        (lambda asked: [Http(200, b"\xff" * 300)], NetworkError),
        (lambda asked: [Http(200, bytes(70_000))], NetworkError),
        (lambda asked: addresses(asked, "192.0.2.1").replace(b"\x03www", b"\x03wwx"), NetworkError),
        (lambda asked: addresses(asked, "192.0.2.1")[:-20], Invalid),
        (truncated, Invalid),
        (failure, ServerFailure),
        (lambda asked: failure(asked, "REFUSED"), Refused),
        (lambda asked: [Close()], NetworkError),
        (lambda asked: [Reset()], NetworkError),
        (lambda asked: None, Timeout),
    ],
    ids=["500", "404", "302", "html", "empty", "junk", "too large", "other question", "cut", "TC", "SERVFAIL", "REFUSED", "GOAWAY", "RST",
         "silence"],
)  # fmt: skip
async def test_bad_answers_become_typed_failures(
    open_resolver: OpenResolver, authority: Authority, context: ssl.SSLContext, script: object, expected: type[UpstreamFailure]
) -> None:
    """Whatever the server says instead of an answer is a failure with an extended error, in time, after at most three requests."""

    class Bad(ScriptedUpstream):
        def handle(self, asked: Asked) -> Script:
            return super().handle(asked) if asked.is_probe else script(asked)  # type: ignore[operator, no-any-return]

    async with Bad(tls=context) as upstream:
        asker = open_resolver(upstream, scheme="https", authorities=str(authority.file))
        started = time.monotonic()
        outcome = await asker.ask()
        assert type(outcome) is expected, outcome
        assert time.monotonic() - started < 2.5
        assert 1 <= upstream.count() <= 3


async def test_going_away_costs_no_answer(open_resolver: OpenResolver, authority: Authority, context: ssl.SSLContext) -> None:
    """A server that ends the connection (GOAWAY) is asked again on a fresh one."""

    class Leaving(Giver):
        def handle(self, asked: Asked) -> Script:
            return [Close()] if len(self.questions) == 2 else addresses(asked, "192.0.2.1")

    async with Leaving(tls=context) as upstream:
        asker = open_resolver(upstream, scheme="https", authorities=str(authority.file))
        await asker.ask("a.example")
        assert isinstance(await asker.ask("b.example"), Answer)
        assert upstream.connections == 2


async def test_server_without_http2_is_refused(open_resolver: OpenResolver, authority: Authority) -> None:
    """A server that only speaks HTTP/1.1 gets no question."""
    async with Giver(tls=authority.vouch("dns.example").context("http/1.1")) as upstream:
        outcome = await open_resolver(upstream, scheme="https", authorities=str(authority.file)).ask()
        assert isinstance(outcome, NetworkError)
        assert outcome.evidence[0].fault is Fault.TLS and upstream.asked == []


async def test_certificate_is_checked(open_resolver: OpenResolver, authority: Authority) -> None:
    """A certificate for another name is refused before any question leaves."""
    async with Giver(tls=authority.vouch("other.example").context("h2")) as upstream:
        outcome = await open_resolver(upstream, scheme="https", authorities=str(authority.file)).ask()
        assert isinstance(outcome, NetworkError) and upstream.asked == []


async def test_few_streams_are_respected(open_resolver: OpenResolver, authority: Authority, context: ssl.SSLContext,
                                         monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """More questions than streams wait for their turn and are all answered."""
    monkeypatch.setattr(doh, "STREAMS", 3)

    class Slow(Giver):
        def handle(self, asked: Asked) -> Script:
            return [Say(addresses(asked, "192.0.2.1"), after=0.02)]

    async with Slow(tls=context) as upstream:
        asker = open_resolver(upstream, scheme="https", authorities=str(authority.file))
        outcomes = await asyncio.gather(*(asker.begin(f"w{number}.example") for number in range(60)))
        assert all(isinstance(outcome, Answer) for outcome in outcomes)
        assert upstream.connections <= 4


async def test_talkative_server_is_left(open_resolver: OpenResolver, authority: Authority, context: ssl.SSLContext,
                                        monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """A server that sends without end and answers nothing loses the connection."""
    monkeypatch.setattr(doh, "MAX_IDLE_TALK", 20_000)

    class Talker(ScriptedUpstream):
        def handle(self, asked: Asked) -> Script:
            return [Http(200, bytes(60_000))]

    async with Talker(tls=context) as upstream:
        outcome = await open_resolver(upstream, scheme="https", authorities=str(authority.file)).ask()
        assert isinstance(outcome, NetworkError)
        assert "talk" in outcome.evidence[0].detail
