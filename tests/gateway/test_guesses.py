"""Wrong tokens: a few are told so, the rest is silence, and no neighbour pays for it."""

from __future__ import annotations

from gateway.guesses import BUCKETS, BURST, SECONDS_PER_GUESS, Guesses

HERE, THERE = bytes((203, 0, 113, 7)), bytes((198, 51, 100, 9))


def test_budget_ends_and_comes_back_one_by_one() -> None:
    """`BURST` at once, then one in each span of time, and all again after a rest."""
    guesses = Guesses()
    assert [guesses.take(HERE, 5.0) for _ in range(BURST + 3)] == [True] * BURST + [False] * 3
    assert guesses.take(THERE, 5.0) or hash(HERE) % BUCKETS == hash(THERE) % BUCKETS
    assert guesses.take(HERE, 5.0 + SECONDS_PER_GUESS) and not guesses.take(HERE, 5.0 + SECONDS_PER_GUESS)
    assert all(guesses.take(HERE, 5000.0) for _ in range(BURST))


def test_ipv6_network_is_one_guesser() -> None:
    """Whoever has a /64 has 2^64 addresses, and one budget."""
    guesses = Guesses()
    network = bytes.fromhex("20010db800000001")
    assert sum(guesses.take(network + number.to_bytes(8, "big"), 1.0) for number in range(200)) == BURST


def test_no_number_of_guessers_takes_more_memory() -> None:
    """Addresses beyond the number of buckets share them."""
    guesses = Guesses()
    for number in range(3 * BUCKETS):
        guesses.take(number.to_bytes(4, "big"), 1.0)
    assert len(guesses._full_at) <= BUCKETS
