"""Groups of upstreams that answer for the same names, and who of a group is asked. Imported by `selector` only. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from gateway.query import Key
from gateway.settings import Strategy
from gateway.upstreams import Upstream

EXPLORE_EVERY: Final = 50
"""With strategy `fastest`, one question in so many also goes to another upstream, to learn its speed without making the client wait for
it."""


class Group:
    """The default upstreams, or those of one route. `best` is who is asked first: None while all are down."""

    __slots__ = ("_asked", "_is_ordered", "_strategy", "best", "is_steady", "last", "upstreams")

    def __init__(self, upstreams: Sequence[Upstream], strategy: Strategy) -> None:
        self.upstreams = tuple(upstreams)
        self.best: Upstream | None = None
        self.last: Key = b""
        """What it was asked last, for a probe that looks like any question."""
        self._strategy = strategy
        self._is_ordered = strategy == "ordered"
        self.is_steady = len(upstreams) <= 1 or self._is_ordered
        """Whether every question is for the best one alone."""
        self._asked = 0
        self.rank()

    def rank(self) -> None:
        """Settle anew who is best: the first living one, or the quickest."""
        alive = [upstream for upstream in self.upstreams if not upstream.health.is_down]
        if len(alive) > 1 and not self._is_ordered:
            self.best = min(alive, key=_rank)
        else:
            self.best = alive[0] if alive else None

    def choose(self, tried: Sequence[Upstream]) -> Upstream | None:
        """The best living upstream that was not tried yet."""
        left = [upstream for upstream in self.upstreams if not upstream.health.is_down and upstream not in tried]
        if not left:
            return None
        return left[0] if self._is_ordered else min(left, key=_rank)

    def is_alone(self) -> bool:
        """Whether the next question is for the best one alone; it is counted if so. Else `companion` says who is asked with it."""
        if self.is_steady:
            return True
        if self._strategy == "parallel" or (self._asked + 1) % EXPLORE_EVERY == 0:
            return False
        self._asked += 1
        return True

    def companion(self) -> Upstream | None:
        """Who is asked together with the best one: the next best with `parallel`, now and then another one with `fastest`."""
        best = self.best
        if self.is_steady or best is None:
            return None
        if self._strategy == "parallel":
            return self.choose((best,))
        self._asked += 1
        if self._asked % EXPLORE_EVERY:
            return None
        others = [upstream for upstream in self.upstreams if upstream is not best and not upstream.health.is_down]
        return others[self._asked // EXPLORE_EVERY % len(others)] if others else None


class Routes:
    """Which group answers for a name: the one of its longest routed suffix, else group 0."""

    __slots__ = ("suffixes",)

    def __init__(self, suffixes: Iterable[str]) -> None:
        """`suffixes` are index keys; the group of the first is 1."""
        self.suffixes = tuple(suffixes)
        if list(self.suffixes) != sorted(self.suffixes, key=lambda suffix: (-len(suffix), suffix)):
            raise ValueError("routes must come longest first")

    def group_of(self, key: str) -> int:
        """The group of a name given by its index key."""
        if self.suffixes and key.startswith(self.suffixes):
            for index, suffix in enumerate(self.suffixes):
                if key.startswith(suffix):
                    return index + 1
        return 0

    def begin_below(self, key: str) -> bool:
        """Whether a name below this one, or itself, has a route of its own."""
        return any(suffix.startswith(key) for suffix in self.suffixes)


def _rank(upstream: Upstream) -> float:
    return upstream.health.rank
