"""The door: strangers, limits, cookies, forwarders."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network
from typing import Any

import dns.edns
import dns.message
import dns.rcode
import pytest

from gateway.admission import Admission
from gateway.answers import AnswerTables
from gateway.clients import Clients, Record, Scope
from gateway.metrics import Counters
from gateway.query import Origin, Query, Reject, Transport
from gateway.ratelimit import RateLimiter
from gateway.settings import RateLimit
from gateway.tallies import Tallies
from gateway.wire.cookie import CookieJar
from gateway.wire.message import parse_query
from tests.gateway.test_clients import Judge

HOME = bytes((10, 0, 0, 7))
AWAY = bytes((203, 0, 113, 7))


class Door:
    """An admission with its clients, and a clock for cookies."""

    def __init__(self, rate: RateLimit | None = None, trusted: Iterable[str] = (), transport: Transport = Transport.UDP) -> None:
        self.time = 1_700_000_000.0
        self.counters = Counters()
        limiter = RateLimiter(rate or RateLimit(0, 0))
        judge: Any = Judge()
        self.clients = Clients(judge, AnswerTables(1 << 20), limiter, [ip_network("10.0.0.0/8")])
        self.transport = transport
        self.scope: Scope = self.clients.open_scope("x", transport)
        networks = [ip_network(text) for text in trusted]
        self.door = Admission(
            self.clients, limiter, CookieJar((bytes(16),)), Tallies(self.counters), self.counters, networks, lambda: self.time
        )

    def origin(self, address: bytes = HOME) -> Origin:
        """Where a query comes from."""
        return Origin(self.transport, address, 4000, self.scope, address)

    def admit(self, query: Query | Reject, address: bytes = HOME, now: float = 0.0, size: int = 40) -> Record | bytes | None:
        """Knock."""
        return self.door.admit(query, size, self.origin(address), now, now)


def ask(**members: Any) -> Query:
    """A query with EDNS."""
    query = parse_query(dns.message.make_query("www.example.com", "A", use_edns=0, **members).to_wire())
    assert isinstance(query, Query)
    return query


def test_known_client_comes_in_again_and_again() -> None:
    """The same source has the same record."""
    door = Door()
    record = door.admit(ask())
    assert isinstance(record, Record)
    assert door.admit(ask()) is record


def test_stranger_is_refused_with_the_reason_if_that_costs_nothing() -> None:
    """The first strangers hear why; all of them together never get more octets than they sent."""
    door = Door()
    size = len(dns.message.make_query("www.example.com", "A", use_edns=0).to_wire())
    sent = received = 0
    replies = []
    for _ in range(100):
        reply = door.admit(ask(), AWAY, size=size)
        sent += size
        assert not isinstance(reply, Record)
        received += len(reply or b"")
        replies.append(reply)
    assert received <= sent
    assert all(reply is None or dns.message.from_wire(reply).rcode() == dns.rcode.REFUSED for reply in replies)
    first = dns.message.from_wire(replies[0] or b"")
    assert [int(option.otype) for option in first.options] == [15]
    assert sum(reply is None for reply in replies) == 1
    assert door.clients.count == 0


def test_stranger_over_a_stream_always_hears_why() -> None:
    """A stream has proven its address: nothing can be amplified there."""
    door = Door(transport=Transport.TCP)
    for _ in range(20):
        reply = door.admit(ask(), AWAY, size=1)
        assert isinstance(reply, bytes)
        assert dns.message.from_wire(reply).options


def test_strangers_are_bounded_per_second_and_forgiven_later() -> None:
    """A flood of strangers is met with silence; the next second they are answered again, after a pause with the reason."""
    door = Door()
    replies = [door.admit(ask(), AWAY, 1.0, 46) for _ in range(500)]
    assert 150 <= sum(reply is not None for reply in replies) <= 200
    assert door.admit(ask(), AWAY, 2.0, 46) is not None
    reply = door.admit(ask(), AWAY, 30.0, 40)
    assert isinstance(reply, bytes) and dns.message.from_wire(reply).options


def test_malformed_query_of_a_stranger_gets_no_more_than_its_code() -> None:
    """No extended error, no cookie: a stranger's malformed query gets its code alone."""
    door = Door()
    reply = door.admit(Reject(7, 0x100, 1, b"", ask().edns, 30), AWAY)
    assert isinstance(reply, bytes)
    assert dns.message.from_wire(reply).rcode() == dns.rcode.FORMERR
    assert not dns.message.from_wire(reply).options


def test_over_the_limit_is_sent_to_tcp_then_silence() -> None:
    """A truncated reply with a fresh cookie first, then nothing; everything is counted."""
    door = Door(RateLimit(10, 10))
    outcomes = [door.admit(ask(options=[dns.edns.GenericOption(10, b"12345678")])) for _ in range(30)]
    assert [type(outcome) for outcome in outcomes[:12]] == [Record] * 10 + [bytes, type(None)]
    truncated = dns.message.from_wire(outcomes[10])  # type: ignore[arg-type]
    assert truncated.flags & 0x200
    assert len(truncated.options[0].to_wire()) == 24
    limited = {labels[0]: number for name, labels, number in door.counters.harvest() if name == "lachan_rate_limited"}  # type: ignore[index]
    assert limited == {"truncated": 1, "dropped": 19}


def test_valid_cookie_opens_a_second_bucket_and_a_forged_one_does_not() -> None:
    """Forged queries with a client's address cannot lock out the client, which holds a cookie."""
    door = Door(RateLimit(10, 10))
    query = ask(options=[dns.edns.GenericOption(10, b"12345678")])
    cookie = door.door.cookie(query, door.origin())[4:]
    for _ in range(100):
        door.admit(ask())
    proven = ask(options=[dns.edns.GenericOption(10, cookie)])
    forged = ask(options=[dns.edns.GenericOption(10, cookie[:-1] + b"x")])
    assert not isinstance(door.admit(forged), Record)
    assert [isinstance(door.admit(proven), Record) for _ in range(12)] == [True] * 10 + [False] * 2
    door.time += 4000
    assert not isinstance(door.admit(proven, now=0.0), Record)


@pytest.mark.parametrize(("rcode", "action"), [(1, "formerr"), (4, "notimp"), (16, "badvers"), (0, None)])
def test_rejects_are_counted_and_get_their_cookie(rcode: int, action: str | None) -> None:
    """A malformed query gets its code; one that carried nothing but a cookie gets a server cookie."""
    door = Door()
    edns = ask(options=[dns.edns.GenericOption(10, b"12345678")]).edns
    reply = dns.message.from_wire(door.door.reject(Reject(7, 0x100, rcode, b"", edns), door.origin()))
    assert reply.rcode() == rcode
    assert len(reply.options[0].to_wire()) == 24
    counted = [labels[0] for name, labels, number in door.counters.harvest() if name == "lachan_malformed" and number]  # type: ignore[index]
    assert counted == ([action] if action else [])


def test_no_cookie_without_one() -> None:
    """Who sent no cookie gets none."""
    door = Door()
    assert door.door.cookie(ask(), door.origin()) == b""


@pytest.mark.parametrize(("trusted", "client"), [(("10.0.0.7/32",), "02:00:00:00:00:01"), (("10.0.0.8/32",), None), ((), None)])
def test_device_behind_a_forwarder(trusted: tuple[str, ...], client: str | None) -> None:
    """Only a forwarder that was named may say who is behind it; each device has a record of its own."""
    door = Door(trusted=trusted)
    record = door.admit(ask())
    assert isinstance(record, Record)
    behind = door.door.behind(record, "02:00:00:00:00:01", door.origin(), 0.0, 0.0)
    assert (behind is record) is (client is None)
    if client is not None:
        assert behind.match.client_id == client
        assert door.door.behind(record, "02:00:00:00:00:01", door.origin(), 0.0, 0.0) is behind
