"""Who may open one more connection."""

from __future__ import annotations

from collections import Counter
from random import Random

from gateway.places import Places

SCHOOL = b"\x0a\0\0\1"


def fill(places: Places, client: bytes, tries: int) -> int:
    """Open as many as are given; how many."""
    for number in range(tries):
        if places.lacks(client) is not None:
            return number
        places.enter(client)
    return tries


def test_a_school_behind_one_address_has_hundreds_while_nobody_else_wants_them() -> None:
    """Three hundred of a thousand, with forty other homes that hold five each."""
    places = Places(1000, 20)
    for home in range(40):
        assert fill(places, bytes((192, 0, 2, home)), 5) == 5
    assert fill(places, SCHOOL, 300) == 300
    assert places.is_spare(SCHOOL) and not places.is_spare(bytes((192, 0, 2, 1)))


def test_one_address_never_takes_more_than_it_leaves() -> None:
    """One that opens thousands gets half; the next one half of what is left free; a hundred newcomers their share."""
    places = Places(1000, 20)
    assert fill(places, b"one", 5000) == 500 and places.lacks(b"one") == "client"
    assert fill(places, b"two", 5000) == 250
    assert not places.is_crowded
    for home in range(12):
        assert fill(places, bytes((192, 0, 2, home)), 20) == 20


def test_share_is_given_as_long_as_there_is_a_place() -> None:
    """Nobody's share depends on what others hold, until all places are taken."""
    places = Places(50, 20)
    assert fill(places, b"one", 99) == 25
    assert fill(places, b"two", 99) == 20
    assert fill(places, b"three", 99) == 5
    assert (places.lacks(b"four"), places.lacks(b"two")) == ("all", "client")
    assert places.is_crowded


def test_every_place_comes_back() -> None:
    """Any order of coming and going leaves nothing behind, and the counts are right at each step."""
    random, places = Random(5), Places(100, 4)
    held: Counter[bytes] = Counter()
    for _ in range(5000):
        client = bytes((random.randrange(12),))
        if random.random() < 0.5 and places.lacks(client) is None:
            places.enter(client)
            held[client] += 1
        elif held[client]:
            places.leave(client)
            held[client] -= 1
        assert places.taken == held.total() <= 100
    for client in list(held.elements()):
        places.leave(client)
    assert places.taken == 0 and not places._of
