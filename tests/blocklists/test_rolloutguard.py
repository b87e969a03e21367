"""The rule by which a release is held back: two at least and a fifth, and what one gateway that lies can do."""

from __future__ import annotations

import pytest

from blocklists.rolloutguard import Tally, count, jumped


@pytest.mark.parametrize(
    ("for_it", "against", "silent", "ends", "cause"),
    [
        (9, 1, 0, True, ""),  # one of ten lies: nothing is held
        (0, 1, 0, False, ""),  # one alone never
        (1, 2, 0, False, "against"),  # one of three lies that all is well: the others are heard
        (1, 9, 0, False, "against"),
        (8, 2, 0, False, "against"),
        (9, 2, 0, False, ""),
        (400, 99, 0, False, ""),
        (400, 100, 0, False, "against"),
        (1, 0, 2, False, ""),  # who is silent is asked before the next stage only
        (1, 0, 2, True, "silent"),
        (3, 0, 2, True, ""),
        (0, 0, 1, True, ""),
        (0, 0, 0, True, ""),
    ],
)
def test_release_is_held_by_two_gateways_and_a_fifth(for_it: int, against: int, silent: int, ends: bool, cause: str) -> None:
    """See the rule in the module."""
    tally = Tally(for_it + against + silent, for_it, against, silent)
    assert tally.cause(stage_ends=ends) == cause


def test_words_are_counted() -> None:
    """What nobody knows is a member and nothing else."""
    assert count(["for", "against", "silent", "unknown", "for"]) == Tally(5, 2, 1, 1)


@pytest.mark.parametrize(
    ("before", "since", "has"),
    [
        ((1000, 100, 10), (1000, 110, 12), False),
        ((1000, 100, 10), (1000, 300, 10), True),
        ((1000, 100, 0), (1000, 100, 60), True),
        ((1000, 100, 10), (1000, 199, 10), False),
        ((1000, 0, 0), (90, 90, 90), False),  # too little to be judged
        ((90, 0, 0), (1000, 900, 0), False),
        ((1000, 0, 0), (1000, 49, 0), False),
        ((10_000, 0, 0), (10_000, 450, 0), False),  # less than five per cent of all answers
    ],
)
def test_jump_is_twice_the_share_and_five_per_cent_more(
    before: tuple[int, int, int], since: tuple[int, int, int], has: bool
) -> None:
    """Blocks or failures; small numbers say nothing."""
    assert jumped(before, since) is has
