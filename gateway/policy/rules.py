"""The rules of one moment, as the engine weighs them: switches and overlays of each level, and the names that people listed.

`PolicyBase` is everything but the names; clients that differ only in names share it. Only this package imports this module; `resolve` makes
these values, `judgement` and `engine` read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.policy.catalogue import Cell
from gateway.policy.expressions import ExpressionSet, expression_set
from gateway.policy.model import Band, BlockSettings, Level, Place, Reason, Rewrite, Rule, RuleOrigin, Verdict
from gateway.policy.names import Coverage, NameRule
from gateway.policy.overlay import OrderView, Scope
from gateway.policy.rpz import Trigger
from gateway.wire.name import text_of


@dataclass(frozen=True, slots=True)
class Opening:
    """A timed opening in force since `start` (unix seconds). `delegated`: a teacher's, for delegable categories only."""

    start: float
    categories: frozenset[str]
    services: frozenset[str]
    delegated: bool
    rule: Rule


@dataclass(frozen=True, slots=True)
class LevelRules:
    """What one level says at this moment about categories and services, names apart."""

    level: Level
    off: tuple[float, Rule] | None
    openings: tuple[Opening, ...]
    offline: Rule | None
    closed: Mapping[str, Rule]
    only: tuple[tuple[frozenset[str], Rule], ...]
    services: Mapping[str, tuple[bool, Rule]]
    categories: Mapping[str, tuple[bool, Rule]]


@dataclass(frozen=True, slots=True)
class Named:
    """One rule by name of a level: allow or deny, or a timed exception that began at `start` (unix seconds).

    There may be a hundred thousand of them, so what `explain` says is made when it is asked for.
    """

    name: NameRule
    blocked: bool
    origin: RuleOrigin
    source: str
    kind: Reason = Reason.NAME
    word: str = ""
    basis: str = ""
    start: float = 0.0

    @property
    def rule(self) -> Rule:
        """The rule in the words of its owner."""
        return Rule(
            self.origin, self.kind, f"{self.word or ('deny' if self.blocked else 'allow')} {self.name.text}", self.basis, self.source
        )

    def rank(self) -> tuple[int, int]:
        """Its specificity; the lowest is the most specific."""
        if self.name.expression is not None:
            return 2, 0
        return (0, 0) if self.name.coverage is Coverage.EXACT else (1, -len(self.name.key))


@dataclass(frozen=True, slots=True)
class NameTable:
    """Rules by name, found by the keys that cover a name; expressions are searched together."""

    by_key: Mapping[str, tuple[Named, ...]]
    expressions: tuple[Named, ...]
    _set: ExpressionSet = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_set", expression_set(tuple(row.name.expression or "" for row in self.expressions)))

    def find(self, key: str) -> list[Named]:
        """Every rule that covers the name."""
        found: list[Named] = []
        if self.by_key:
            end = key.find(".") + 1
            while end:
                rows = self.by_key.get(key[:end])
                if rows is not None:
                    found.extend(row for row in rows if row.name.coverage.covers(end == len(key)))
                end = key.find(".", end) + 1
        if self.expressions:
            found.extend(self.expressions[number] for number in self._set.found_in(text_of(key)))
        return found

    def is_expressed(self, key: str) -> bool:
        """Whether an expression is found in the name."""
        return bool(self.expressions and self._set.found_in(text_of(key)))


NO_NAMES: Final = NameTable({}, ())


@dataclass(frozen=True, slots=True)
class LevelNames:
    """The names of one level: allow and deny, and timed exceptions."""

    rules: NameTable
    exceptions: NameTable


@dataclass(frozen=True, slots=True, eq=False)
class PolicyBase:
    """Everything that holds at this moment but the names that people listed. Compared by identity; made once per content.

    `cells` and `cell_rules` have an entry for every category and for `uncategorised`. `bands` are those that an order may bind,
    `scopes` the narrowed scopes of orders that bind here, `list_levels` the levels whose lists and zones apply, `lists` the sources with
    a condition on clients that holds.
    """

    identity: tuple[object, ...]
    band: Band
    bands: frozenset[Band]
    cells: Mapping[str, Cell]
    cell_rules: Mapping[str, Rule]
    levels: Mapping[Level, LevelRules]
    list_levels: frozenset[Level]
    rewrites: Mapping[str, Rewrite]
    canaries: bool
    block: BlockSettings
    group: str | None
    zones: tuple[Trigger, ...]
    lists: frozenset[int] = frozenset()
    scopes: frozenset[Scope] = frozenset()


@dataclass(frozen=True, slots=True, eq=False)
class PolicyTables:
    """What an effective policy carries for the engine. `school` is the tenant and the site whose rules are the school's."""

    base: PolicyBase
    names: Mapping[Level, LevelNames]
    orders: OrderView
    school: tuple[str, str] | None = None

    def is_expressed(self, key: str) -> bool:
        """Whether an expression of any level is found in the name."""
        return any(level.rules.is_expressed(key) or level.exceptions.is_expressed(key) for level in self.names.values())


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one level says about a name in one category. `verdict` is that of a policy zone; `typed` marks a name that a person wrote."""

    level: Level
    place: Place
    blocked: bool
    rule: Rule
    verdict: Verdict | None = None
    typed: bool = False
    scope: frozenset[str] | None = None
