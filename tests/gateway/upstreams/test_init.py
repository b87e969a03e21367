"""What all upstreams have in common: the state of health, the tally, the family of failures. Time is an argument everywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstreams import (
    BUCKETS,
    Evidence,
    Fault,
    Health,
    Invalid,
    NetworkError,
    Overload,
    Refused,
    ServerFailure,
    Tally,
    Timeout,
    UpstreamFailure,
)


def test_health_smooths_the_round_trip_time() -> None:
    """The first answer sets the round trip time, later ones move it slowly; the time-out stays within its bounds."""
    health = Health()
    assert health.rank == 0
    health.replied(0.1, 1.0)
    assert health.srtt == pytest.approx(0.1)
    for _ in range(100):
        health.replied(0.02, 2.0)
    assert health.srtt == pytest.approx(0.02, rel=0.05)
    assert health.rto == health.rto_min
    health.replied(9.0, 3.0)
    assert health.rto == health.rto_max


def test_health_goes_down_after_two_strikes_apart() -> None:
    """Many questions lost in one moment are one strike; two strikes a time-out apart are the end, told once."""
    health = Health()
    assert [health.missed(0.0, 0.4, Fault.TIMEOUT) for _ in range(1000)] == [False] * 1000
    assert not health.is_down
    assert health.missed(0.4, 1.1, Fault.NETWORK)
    assert health.is_down and health.fault is Fault.NETWORK
    assert not health.missed(0.5, 2.0, Fault.TIMEOUT)


def test_health_remembers_why_nothing_comes() -> None:
    """Silence that follows says less than what the server's refusal told; an answer ends it."""
    health = Health()
    health.missed(0.0, 0.1, Fault.TLS, "certificate: self-signed certificate")
    health.missed(0.0, 1.8, Fault.TIMEOUT)
    assert (health.is_failing, health.fault, health.detail) == (True, Fault.TLS, "certificate: self-signed certificate")
    health.missed(2.0, 2.5, Fault.TIMEOUT)
    assert (health.fault, health.detail) == (Fault.TIMEOUT, "")
    health.replied(0.01, 3.0)
    assert not health.is_failing


def test_health_forgives_silence_about_one_name() -> None:
    """An attempt is no strike when anything came from the server since it was sent."""
    health = Health()
    for step in range(100):
        health.replied(0.01, step + 0.5)
        assert not health.missed(float(step), step + 1.0, Fault.TIMEOUT)
    assert health.strikes == 0


def test_health_is_probed_once_a_second_while_down() -> None:
    """Only a server that is down is probed, a second apart, and one answer brings it back with a fresh round trip time."""
    health = Health()
    assert not health.is_probe_due(0.0)
    health.missed(0.0, 1.0, Fault.TIMEOUT)
    health.missed(0.0, 2.0, Fault.TIMEOUT)
    assert health.is_probe_due(2.0)
    health.probed_at = 2.0
    assert not health.is_probe_due(2.9)
    assert health.is_probe_due(3.0)
    health.revive(3.0)
    assert not health.is_down and health.rank == 0 and not health.is_probe_due(9.0)


def test_health_knows_a_server_that_works() -> None:
    """A server works when it gave a good answer lately and does not refuse everything since."""
    health = Health()
    assert not health.is_working(0.0)
    health.was_good(10.0)
    assert health.is_working(200.0)
    assert not health.is_working(400.0)
    health.was_good(400.0)
    health.refused = 21
    assert not health.is_working(401.0)


def test_health_penalty_fades() -> None:
    """A server whose failures others make good ranks behind for a while, not for ever."""
    health = Health()
    health.replied(0.01, 0.0)
    for _ in range(3):
        health.was_bettered()
    assert health.rank == health.srtt  # names that are broken by themselves
    for _ in range(100):
        health.was_bettered()
    assert health.rank > 1.5
    for _ in range(100):
        health.was_good(1.0)
    assert health.rank < 0.02


@given(st.lists(st.floats(0, 20), max_size=50))
def test_tally_puts_every_answer_into_one_bucket(times: list[float]) -> None:
    """The histogram counts every answer once, in the first bucket that holds its time."""
    tally = Tally()
    for time in times:
        tally.took(time)
    assert tally.answers == sum(tally.latency) == len(times)
    for index, bound in enumerate(BUCKETS):
        assert sum(tally.latency[: index + 1]) == sum(time <= bound for time in times)


@pytest.mark.parametrize(
    ("failure", "ede", "is_transient"),
    [
        (Timeout(), 22, True),
        (NetworkError(), 23, True),
        (Invalid(), 24, False),
        (ServerFailure(), 22, False),
        (Refused(), 22, False),
        (Overload(), 0, True),
    ],
)
def test_failures_say_what_to_answer(failure: UpstreamFailure, ede: int, is_transient: bool) -> None:
    """Every failure is SERVFAIL with its own extended error, unless the upstream gave one."""
    assert (failure.rcode, failure.ede, failure.is_transient) == (2, ((ede, ""),), is_transient)
    assert type(failure)((), ((6, "bogus"),)).ede == ((6, "bogus"),)


def test_failures_are_told_apart_by_their_reason() -> None:
    """Reasons are distinct: they label the metrics."""
    kinds = [Timeout, NetworkError, Invalid, ServerFailure, Refused, Overload]
    assert len({kind.reason for kind in kinds}) == len(kinds)


def test_evidence_reads_as_a_sentence_without_names() -> None:
    """Evidence tells the upstream, the reason and the detail, nothing of the client's question."""
    assert str(Evidence("udp://192.0.2.53:53", Fault.TIMEOUT)) == "udp://192.0.2.53:53: timeout"
    assert str(Evidence("tls://dns.example:853", Fault.TLS, "certificate has expired")) == (
        "tls://dns.example:853: tls (certificate has expired)"
    )
