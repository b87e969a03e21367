"""What a preparation did: per source, per category, every loss by reason. Values only; the command line and the pages print them.

Anyone above `gateway` may import this module. Texts in examples come from strangers: they are printable and short, and still need escaping
where they are shown as HTML.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from blocklists.guard import Refusal
from blocklists.orders import OrdersReport
from blocklists.parsers import Example
from blocklists.rejections import Reason

State = Literal["fresh", "kept", "held", "refused", "missing"]
"""fresh: the newest copy is in force. kept: it could not be had or used, the last good copy is in force. held: the same, and the new copy
waits for a person. refused: nothing of it is in force. missing: never fetched yet."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a source is not fresh, or what is odd about it, in both languages."""

    vi: str
    en: str


@dataclass(frozen=True, slots=True)
class SourceReport:
    """One source. `entries` are in the index; `rejected` counts everything that is not, by reason; times are unix seconds, 0 for never."""

    id: str
    title: str
    kind: str
    category: str | None
    action: str | None
    level: str
    format: str
    state: State
    entries: int = 0
    lines: int = 0
    rejected: dict[Reason, int] = field(default_factory=dict)
    examples: dict[Reason, list[Example]] = field(default_factory=dict)
    refusals: tuple[Refusal, ...] = ()
    by_category: dict[str, int] = field(default_factory=dict)
    problem: Problem | None = None
    fetched_at: int = 0
    checked_at: int = 0
    facts: dict[str, str] = field(default_factory=dict)
    configured: bool = True


@dataclass(slots=True)
class Report:
    """A whole preparation. `keys` counts distinct names of the index."""

    sources: list[SourceReport] = field(default_factory=list)
    orders: OrdersReport | None = None
    orders_problem: Problem | None = None
    keys: int = 0
    seconds: float = 0.0

    @property
    def categories(self) -> dict[str, int]:
        """Entries per category code, over all sources."""
        counts: Counter[str] = Counter()
        for source in self.sources:
            counts.update(source.by_category)
        return dict(sorted(counts.items()))

    @property
    def problems(self) -> list[tuple[str, Problem]]:
        """Everything a person should look at: (source id or `takedown`, what is wrong)."""
        found = [(source.id, source.problem) for source in self.sources if source.problem]
        return [*found, ("takedown", self.orders_problem)] if self.orders_problem else found
