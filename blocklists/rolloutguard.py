"""When a release that goes out in stages is held back: what the gateways that have it tell, and how much one of them may weigh.

The rule. A gateway whose stage has come speaks *against* the release when it says that it could not take it, or when what it answers has
changed with it: blocks, or answers that failed, are more than twice the share they were, and five per cent of all answers more; its five
busiest clients are left out, so a handful of them can fake nothing (`gateway.weights`). It speaks
*for* it when it says that it enforces it. The release is held when at least two gateways speak against it and they are at least a fifth
of those that speak. So one gateway of ten that lies holds nothing back alone, and cannot hide what the other nine say; a receipt that
cannot be true speaks neither way. Before a next stage it is also held when at least two gateways, and half of those that were heard in the
two hours before, have gone silent: a release that takes gateways off the air tells nobody.

Pure; imported by `admin` and the tests.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from blocklists.receipts import Counts

LEAST_AGAINST: Final = 2
FIFTH: Final = 5
HALF: Final = 2
LEAST_ANSWERS: Final = 100
LEAST_EVENTS: Final = 50
FACTOR: Final = 2
MORE: Final = 0.05
FIRST_MEMBERS: Final = 3
"""So many gateways at least are in the first stage: of fewer, one that lies could hide what the others say."""

Word = Literal["for", "against", "silent", "unknown"]
Cause = Literal["", "against", "silent", "person", "before"]
"""Why a release is held: gateways speak against it, have gone silent, a person held it, or one before it is held."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What the gateways whose stage has come say, in numbers."""

    members: int = 0
    for_it: int = 0
    against: int = 0
    silent: int = 0

    def cause(self, *, stage_ends: bool) -> Cause:
        """Why the release must be held now; empty when it need not be."""
        if self.against >= LEAST_AGAINST and self.against * FIFTH >= self.against + self.for_it:
            return "against"
        heard_before = self.for_it + self.against + self.silent
        if stage_ends and self.silent >= LEAST_AGAINST and self.silent * HALF >= heard_before:
            return "silent"
        return ""


def count(words: Iterable[Word]) -> Tally:
    """The tally of what each gateway says."""
    said = list(words)
    return Tally(len(said), said.count("for"), said.count("against"), said.count("silent"))


def jumped(before: Counts, since: Counts) -> bool:
    """Whether blocks or failed answers are far more of all answers than before; what is too little to be judged has not jumped."""
    if before[0] < LEAST_ANSWERS or since[0] < LEAST_ANSWERS:
        return False
    return any(_is_more(before[part], before[0], since[part], since[0]) for part in (1, 2))


def _is_more(before: int, all_before: int, since: int, all_since: int) -> bool:
    share_before, share_since = before / all_before, since / all_since
    return since >= LEAST_EVENTS and share_since > FACTOR * share_before and share_since - share_before > MORE
