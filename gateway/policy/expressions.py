"""Many RE2 expressions searched in a name in one pass, so that two hundred of them cost about what one costs. Only this package imports it.

One pass is `re2.Set`. What it cannot hold, and what would make its automaton large (a long counted repetition), is searched by itself. A
set that runs out of memory answers as if nothing matched, which would open what somebody closed: each set therefore ends with an expression
that is found in every name, and where that one is missing its expressions are searched one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

import re2

from gateway.policy.names import compile_expression, expression_options

_ALONE: Final = 100
"""Expressions whose program has more instructions than this are searched by themselves."""
_TOGETHER: Final = 6000
"""Instructions of one set: about two hundred ordinary expressions."""
_SET_MEMORY: Final = 2 << 20
_EVERYWHERE: Final = ""


class ExpressionSet:
    """Expressions by number, ready to be searched. Raises InvalidName for text that is no RE2 expression."""

    __slots__ = ("_alone", "_expressions", "_sets")

    def __init__(self, expressions: tuple[str, ...]) -> None:
        self._alone: list[tuple[int, Any]] = []  # Any: google-re2 ships no types
        self._sets: list[tuple[Any, tuple[int, ...]]] = []
        self._expressions = [compile_expression(expression) for expression in expressions]
        for numbers in self._shared_out():
            together = _together([expressions[number] for number in numbers]) if len(numbers) > 1 else None
            if together is not None:
                self._sets.append((together, tuple(numbers)))
            else:
                self._alone.extend((number, self._expressions[number]) for number in numbers)

    def found_in(self, name: str) -> list[int]:
        """The numbers of the expressions that are found in the name, ascending."""
        found = [number for number, expression in self._alone if expression.search(name) is not None]
        for together, numbers in self._sets:
            places = together.Match(name) or ()
            if len(numbers) in places:
                found.extend(numbers[place] for place in places if place != len(numbers))
            else:
                found.extend(number for number in numbers if self._expressions[number].search(name) is not None)
        found.sort()
        return found

    def _shared_out(self) -> Iterator[list[int]]:
        group: list[int] = []
        size = 0
        for number, expression in enumerate(self._expressions):
            if expression.programsize > _ALONE:
                yield [number]
                continue
            if group and size + expression.programsize > _TOGETHER:
                yield group
                group, size = [], 0
            group.append(number)
            size += expression.programsize
        if group:
            yield group


@lru_cache(maxsize=1024)
def expression_set(expressions: tuple[str, ...]) -> ExpressionSet:
    """The set of these expressions; profiles with the same ones share it."""
    return ExpressionSet(expressions)


def _together(expressions: list[str]) -> Any | None:
    """The expressions as one set, followed by one that is found everywhere; None when they do not fit."""
    together = re2.Set.SearchSet(expression_options(_SET_MEMORY))
    try:
        for expression in (*expressions, _EVERYWHERE):
            together.Add(expression)
        together.Compile()
    except re2.error:
        return None
    return together
