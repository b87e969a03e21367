"""What the evidence amounts to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from gateway.query import question_key
from gateway.upstreams import Evidence, Fault, Health, Invalid, NetworkError, Refused, ServerFailure, Timeout, Upstream, UpstreamFailure
from gateway.upstreams.conclusion import conclude
from gateway.upstreams.exchange import Exchange
from tests.gateway.upstreams.conftest import make_query


def exchange_with(*faults: Fault) -> Exchange:
    """An exchange whose attempts ended like this."""
    query = make_query("www.example")
    exchange = Exchange(question_key(query, 0), query, 0, 0.0, None)
    exchange.evidence = tuple(Evidence("udp://192.0.2.53:53", fault) for fault in faults)
    return exchange


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        ([Fault.TIMEOUT], Timeout),
        ([Fault.TIMEOUT, Fault.NETWORK], Timeout),
        ([Fault.NETWORK], NetworkError),
        ([Fault.TLS, Fault.NETWORK], NetworkError),
        ([Fault.MALFORMED, Fault.TIMEOUT], Invalid),
        ([Fault.MALFORMED, Fault.NETWORK], Invalid),
        ([Fault.SERVFAIL, Fault.MALFORMED], ServerFailure),
        ([Fault.SERVFAIL, Fault.TIMEOUT], ServerFailure),
        ([Fault.REFUSED, Fault.SERVFAIL], ServerFailure),
        ([Fault.REFUSED, Fault.TIMEOUT], ServerFailure),
        ([Fault.REFUSED, Fault.REFUSED], Refused),
        ([], Timeout),
    ],
)
def test_what_servers_say_outranks_broken_messages_and_the_network(faults: list[Fault], expected: type[UpstreamFailure]) -> None:
    """One kind of failure follows from any mix of attempts, and the evidence stays with it."""
    failure = conclude(exchange_with(*faults), [], 0.0)
    assert type(failure) is expected
    assert [item.fault for item in failure.evidence] == faults


def test_question_that_was_never_sent_tells_why() -> None:
    """A question that waited for dead upstreams fails the way they died."""
    health = Health()
    health.is_down, health.fault = True, Fault.TIMEOUT
    dead = cast(Upstream, SimpleNamespace(health=health, label="udp://192.0.2.53:53"))
    failure = conclude(exchange_with(), [dead], 0.0)
    assert isinstance(failure, Timeout)
    assert str(failure.evidence[0]) == "udp://192.0.2.53:53: timeout (down)"


def test_certificate_that_is_not_trusted_is_said_to_the_client() -> None:
    """Whoever set the upstream up asks with dig; "network error" alone sends them to the cables."""
    exchange = exchange_with()
    exchange.evidence = (Evidence("tls://dns.example:853", Fault.TLS, "certificate: self-signed certificate"),)
    assert conclude(exchange, (), 0.0).ede == ((23, "the upstream's certificate is not trusted"),)
    down = SimpleNamespace(label="tls://dns.example:853", health=Health())
    down.health.is_down, down.health.fault, down.health.detail = True, Fault.TLS, "the public key is not the pinned one"
    assert conclude(exchange_with(), (cast(Upstream, down),), 0.0).ede == ((23, "the upstream's certificate is not trusted"),)
    exchange.evidence = (Evidence("tls://dns.example:853", Fault.TLS, "EOF"),)
    assert conclude(exchange, (), 0.0).ede == ((23, ""),)
