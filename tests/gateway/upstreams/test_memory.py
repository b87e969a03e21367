"""What is remembered of names that servers would not answer."""

from __future__ import annotations

import dns.name
from hypothesis import given, strategies

from gateway.query import question_key
from gateway.upstreams.memory import BLOCK_MEMORY, MOST, PARDON, Refusals, Troubles, zone_of
from tests.gateway.upstreams.conftest import make_query

LABELS = strategies.text("abcxyz019-", min_size=1, max_size=12)


def key(name: str) -> bytes:
    """The key of a question for this name."""
    return question_key(make_query(name), 0)


@given(strategies.lists(LABELS, min_size=0, max_size=8))
def test_zone_is_the_last_two_labels(labels: list[str]) -> None:
    """Whatever stands before, as dnspython cuts it."""
    name = dns.name.Name([*(label.encode() for label in labels), b""])
    assert zone_of(name.to_wire()) == dns.name.Name(name.labels[-3:]).to_wire()


def test_first_refusal_is_remembered_for_a_while() -> None:
    """Since when a name is refused; after a while it begins anew."""
    refusals = Refusals()
    assert refusals.since(key("a.example"), 10.0) is None
    assert refusals.since(key("a.example"), 11.0) == 10.0 and refusals.since(key("b.example"), 11.0) is None
    assert refusals.since(key("a.example"), 10.0 + BLOCK_MEMORY) is None
    assert refusals.since(key("a.example"), 11.0 + BLOCK_MEMORY) == 10.0 + BLOCK_MEMORY


def test_memory_is_bounded() -> None:
    """The oldest names are forgotten."""
    refusals = Refusals()
    for number in range(MOST + 1):
        refusals.since(key(f"n{number}.example"), float(number) / 100)
    assert refusals.since(key("n0.example"), 6.0) is None
    assert refusals.since(key(f"n{MOST}.example"), 6.0) == MOST / 100


def test_zone_troubles_once() -> None:
    """Forty broken names of one zone count once, another zone by itself."""
    troubles = Troubles()
    assert troubles.is_news(key("a.bad.example"), 0.0) and not troubles.is_news(key("b.bad.example"), 1.0)
    assert not troubles.is_news(key("BAD.example".lower()), 2.0) and troubles.is_news(key("a.worse.example"), 2.0)
    assert troubles.is_news(key("c.bad.example"), PARDON)
