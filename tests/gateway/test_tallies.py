"""Counting: what is counted under which labels, and that nothing is counted twice."""

from __future__ import annotations

from typing import Any

from gateway.metrics import Counters
from gateway.policy.model import Band, Block, Reason, Rule, RuleOrigin
from gateway.query import Transport
from gateway.tallies import SILENCE, Tallies


class Policy:
    """What a tally reads of a policy."""

    band = Band.TH
    site_class = "school"


def rows(counters: Counters) -> dict[tuple[str, ...], int]:
    """What was counted since the last harvest, by metric and labels."""
    return {(str(name), *labels): number for name, labels, number in counters.harvest() if number}  # type: ignore[misc, has-type]


def block(category: str = "gamb", reason: Reason = Reason.MATRIX) -> Block:
    """A block by a list."""
    return Block(reason, category, Rule(RuleOrigin.MATRIX, reason, "text", source="bets"), 17, 10)


def test_each_kind_counts_once_under_its_labels() -> None:
    """A harvest adds what gathered since the last one: queries and answers always, the special count where there is one."""
    counters = Counters()
    tallies = Tallies(counters)
    policy: Any = Policy()
    for tally in (
        tallies.plain(Transport.UDP, 1, 0),
        tallies.blocked(Transport.TCP, 28, 0, block(), policy),
        tallies.rewritten(Transport.UDP, 1, 0, "google"),
        tallies.upstream_block(Transport.UDP, 1, 0, "udp://192.0.2.1:53"),
        tallies.plain(Transport.UDP, 1, SILENCE),
    ):
        tally.n += 2
    tallies.harvest()
    assert rows(counters) == {
        ("lachan_queries", "udp", "A"): 8,
        ("lachan_queries", "tcp", "AAAA"): 2,
        ("lachan_answers", "NOERROR"): 8,
        ("lachan_blocked", "gamb", "TH", "school", "bets"): 2,
        ("lachan_rewritten", "google"): 2,
        ("lachan_upstream_blocks", "udp://192.0.2.1:53"): 2,
    }
    tallies.harvest()
    assert rows(counters) == {}


def test_the_same_kind_is_the_same_tally() -> None:
    """Replies of one kind share one tally, so that the fast path only adds."""
    tallies = Tallies(Counters())
    policy: Any = Policy()
    assert tallies.plain(Transport.UDP, 1, 0) is tallies.plain(Transport.UDP, 1, 0)
    assert tallies.blocked(Transport.UDP, 1, 0, block(), policy) is tallies.blocked(Transport.UDP, 1, 0, block(), policy)
    assert tallies.blocked(Transport.UDP, 1, 0, block("porn"), policy) is not tallies.blocked(Transport.UDP, 1, 0, block(), policy)


def test_answer_from_a_table_counts_as_found_in_the_cache() -> None:
    """The share of answers found in the cache is right however many of them the tables gave."""
    counters = Counters()
    tallies = Tallies(counters)
    tallies.known(Transport.UDP, 1, 0, False).n += 3
    tallies.known(Transport.UDP, 1, 3, True).n += 1
    tallies.harvest()
    assert {key: number for key, number in rows(counters).items() if key[0] == "lachan_cache_lookups"} == {
        ("lachan_cache_lookups", "hit"): 3,
        ("lachan_cache_lookups", "negative"): 1,
    }


def test_number_of_tallies_is_bounded() -> None:
    """Sixty thousand types and any rcode make a handful of tallies."""
    tallies = Tallies(Counters())
    for qtype in range(0, 65536, 7):
        tallies.plain(Transport.UDP, qtype, qtype % 3)
    assert len(tallies._tallies) < 60
    assert len(tallies._plain) <= 1024


def test_block_without_a_category_counts_under_its_reason() -> None:
    """A rule by name or a bedtime is told apart from categories; protected categories lose band and source."""
    counters = Counters()
    tallies = Tallies(counters)
    policy: Any = Policy()
    tallies.blocked(Transport.UDP, 1, 0, block("", Reason.OFFLINE), policy).n += 1
    tallies.blocked(Transport.UDP, 1, 0, block("self"), policy).n += 1
    tallies.harvest()
    blocked = {key for key in rows(counters) if key[0] == "lachan_blocked"}
    assert blocked == {("lachan_blocked", "offline", "TH", "school", "bets"), ("lachan_blocked", "protected", "", "school", "")}
