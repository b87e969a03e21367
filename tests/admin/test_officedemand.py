"""Far gateways are asked about names, tell numbers of five and more, and none of them moves the sum far."""

from __future__ import annotations

from datetime import datetime, timedelta

from admin.officedemand import HOLDS, MOST_GATEWAYS, MOST_NAMES, Elsewhere, FarDemand
from blocklists.receipts import MOST_QUESTIONS
from blocklists.tables import OrganisationId

OFFICE, OTHER = OrganisationId("office"), OrganisationId("other")


def test_sum_is_told_and_forgotten_after_a_day(now: datetime) -> None:
    """Only what was asked, of this office; rounded down; a gateway that tells again replaces its number."""
    demand = FarDemand()
    demand.want(OFFICE, ["bet.example", "game.example"], now)
    (second, first) = demand.questions(OFFICE, now)
    assert [first[1], second[1]] == ["bet.example", "game.example"]
    assert demand.questions(OTHER, now) == []
    assert demand.of(OFFICE, "bet.example", now) is None
    demand.answer(OFFICE, "g1", [(first[0], 20), (second[0], 4), ("feedfeed", 100)], now)
    demand.answer(OFFICE, "g2", [(first[0], 50)], now)
    demand.answer(OFFICE, "g2", [(first[0], 30)], now)
    demand.answer(OTHER, "g3", [(first[0], 5000)], now)
    assert demand.of(OFFICE, "bet.example", now) == Elsewhere(50, 2)
    assert demand.of(OFFICE, "game.example", now) is None, "fewer than five"
    later = now + HOLDS + timedelta(seconds=1)
    assert demand.of(OFFICE, "bet.example", later) is None and demand.questions(OFFICE, later) == []


def test_one_gateway_that_lies_moves_the_sum_little(now: datetime) -> None:
    """At most ten times the middle one is believed."""
    demand = FarDemand()
    demand.want(OFFICE, ["bet.example"], now)
    question = demand.questions(OFFICE, now)[0][0]
    for number in range(9):
        demand.answer(OFFICE, f"g{number}", [(question, 10)], now)
    demand.answer(OFFICE, "liar", [(question, 10**9)], now)
    assert demand.of(OFFICE, "bet.example", now) == Elsewhere(100, 10)


def test_everything_is_bounded(now: datetime) -> None:
    """Names, questions in one answer, and gateways that are remembered."""
    demand = FarDemand()
    demand.want(OFFICE, [f"n{number}.example" for number in range(MOST_NAMES + 10)], now)
    asked = demand.questions(OFFICE, now)
    assert len(asked) == MOST_QUESTIONS and asked[0][1] == f"n{MOST_NAMES + 9}.example"
    for number in range(MOST_GATEWAYS + 5):
        demand.answer(OFFICE, f"g{number}", [(asked[0][0], 5)], now)
    assert demand.of(OFFICE, asked[0][1], now) == Elsewhere(5000, MOST_GATEWAYS)
    assert demand.of(OFFICE, "n0.example", now) is None
