"""The token buckets: bursts, refills, truncation before silence, proven addresses."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_network

import pytest

from gateway.ratelimit import UNLIMITED, Allowance, Budget, RateLimiter
from gateway.settings import RateLimit

ADDRESS = bytes((10, 0, 0, 7))


def opened(per_client: int = 10, burst: int = 20, exempt: tuple[str, ...] = (), address: bytes = ADDRESS) -> tuple[RateLimiter, Budget]:
    """A limiter and the fresh budget of one source at time 0."""
    limiter = RateLimiter(RateLimit(per_client, burst, tuple(ip_network(text) for text in exempt)))
    budget = Budget()
    limiter.open(budget, address, 0.0)
    return limiter, budget


def send(limiter: RateLimiter, budget: Budget, count: int, now: float, proven: bool = False) -> Counter[Allowance]:
    """Outcomes of `count` queries at one moment, as the fast path and the slow path together give them."""
    outcomes: Counter[Allowance] = Counter()
    for _ in range(count):
        if budget.left > 0:
            budget.left -= 1
            outcomes[Allowance.ANSWER] += 1
        else:
            outcomes[limiter.take(budget, now, proven)] += 1
    return outcomes


def test_burst_then_truncation_then_silence() -> None:
    """A burst is answered, a few more queries are sent to TCP, the rest is dropped."""
    limiter, budget = opened()
    assert send(limiter, budget, 100, 0.0) == {Allowance.ANSWER: 20, Allowance.TRUNCATE: 1, Allowance.DROP: 79}


def test_truncated_replies_stay_a_tenth_of_the_limit_under_a_steady_flood() -> None:
    """Queries that come one by one win no more truncated replies than those that come together: they may be forged."""
    limiter, budget = opened(per_client=1000, burst=1000)
    send(limiter, budget, 1000, 0.0)
    flood = sum((send(limiter, budget, 10, tick / 1000) for tick in range(1, 5001)), Counter())
    assert flood[Allowance.ANSWER] <= 5000
    assert 500 <= flood[Allowance.TRUNCATE] <= 600


def test_tokens_return_with_time() -> None:
    """After a second a client over its limit may ask as many questions as the limit says."""
    limiter, budget = opened()
    send(limiter, budget, 100, 0.0)
    assert send(limiter, budget, 100, 1.0)[Allowance.ANSWER] == 10
    assert send(limiter, budget, 100, 60.0)[Allowance.ANSWER] == 20


def test_fractions_of_tokens_are_not_lost() -> None:
    """A client that asks a little faster than allowed still gets its rate over a minute."""
    limiter, budget = opened(per_client=10, burst=10)
    answered = sum(send(limiter, budget, 1, tick * 0.07)[Allowance.ANSWER] for tick in range(1000))
    assert 700 <= answered <= 712


def test_proven_source_is_not_locked_out() -> None:
    """When forged queries have used up a bucket, the holder of a cookie is still answered, within a limit of its own."""
    limiter, budget = opened()
    send(limiter, budget, 1000, 0.0)
    outcomes = send(limiter, budget, 100, 0.0, proven=True)
    assert outcomes == {Allowance.ANSWER: 20, Allowance.DROP: 80}


@pytest.mark.parametrize(("per_client", "exempt"), [(0, ()), (10, ("10.0.0.0/8",))])
def test_no_limit(per_client: int, exempt: tuple[str, ...]) -> None:
    """Zero switches the limit off, exempt sources have none."""
    limiter, budget = opened(per_client=per_client, exempt=exempt)
    assert budget.left == UNLIMITED
    budget.left = 0
    assert send(limiter, budget, 3, 0.0) == {Allowance.ANSWER: 3}


@pytest.mark.parametrize("address", [bytes((192, 0, 2, 1)), bytes(16)])
def test_exemption_is_for_its_network_only(address: bytes) -> None:
    """Others, of either family, keep their limit."""
    _, budget = opened(exempt=("10.0.0.0/8",), address=address)
    assert budget.left == 20


def test_clock_that_stands_still_or_goes_back_gives_nothing() -> None:
    """Time that does not advance grants no tokens."""
    limiter, budget = opened()
    send(limiter, budget, 100, 5.0)
    assert send(limiter, budget, 10, 4.0)[Allowance.ANSWER] == 0


def test_spent_tokens_can_be_counted() -> None:
    """What was granted less what is left is what was spent."""
    limiter, budget = opened()
    send(limiter, budget, 15, 0.0)
    send(limiter, budget, 15, 1.0)
    assert budget.granted - budget.left == 30
