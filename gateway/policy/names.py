"""The rules by name that people write in allow and deny lists, and how specific each is. Any package may import this module.

`x` covers x and everything below it, `=x` x alone, `*.x` what is below x only, `/re/` is an RE2 expression searched in the lower-case name
without its final dot. Specificity ranks the rules of one owner only: exact, then the longer suffix, then an expression (review 2 and 3).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import re2

from gateway.errors import InvalidName
from gateway.wire.name import key_from_text

LONGEST_EXPRESSION: Final = 512


class Coverage(enum.IntEnum):
    """What a listed name covers. The numbers are those of the index and of order segments."""

    BOTH = 0
    EXACT = 1
    BELOW = 2

    def covers(self, at_self: bool) -> bool:
        """Whether the rule holds for the listed name itself (`at_self`) or for a name below it."""
        return self is Coverage.BOTH or (self is Coverage.EXACT) == at_self


@dataclass(frozen=True, slots=True)
class NameRule:
    """One rule by name: a key with its coverage, or an expression."""

    text: str
    key: str
    coverage: Coverage
    expression: str | None = None


def parse_name_rule(text: str) -> NameRule:
    """The rule that `text` writes. Raises InvalidName with the reason in plain words."""
    if text.startswith("/"):
        expression = expression_of(text)
        if expression is None:
            raise InvalidName(text, "an expression stands between two slashes")
        compile_expression(expression)
        return NameRule(text, "", Coverage.BOTH, expression)
    coverage, name = Coverage.BOTH, text
    if text.startswith("="):
        coverage, name = Coverage.EXACT, text[1:]
    elif text.startswith("*."):
        coverage, name = Coverage.BELOW, text[2:]
    if "*" in name or "/" in name or ":" in name or " " in name:
        raise InvalidName(text, "write a bare name, =name, *.name or /expression/")
    key = key_from_text(name)
    if not key:
        raise InvalidName(text, "the root is not a name that can be listed")
    return NameRule(text, key, coverage)


def expression_of(text: str) -> str | None:
    """The expression that a rule by name is, None for a name or for what is no rule."""
    return text[1:-1] if len(text) >= 3 and text.startswith("/") and text.endswith("/") else None


@lru_cache(maxsize=4096)
def compile_expression(expression: str) -> Any:  # Any: google-re2 ships no types
    """The compiled RE2 expression: time linear in the name, whatever a person writes. Raises InvalidName."""
    if len(expression) > LONGEST_EXPRESSION:
        raise InvalidName(expression, f"an expression longer than {LONGEST_EXPRESSION} characters")
    try:
        return re2.compile(expression, options=expression_options(1 << 20))
    except re2.error as error:
        raise InvalidName(expression, f"not an RE2 expression: {_words(error)}") from error


def expression_options(memory: int) -> Any:
    """How expressions are read; `memory` in octets bounds the program and its automaton."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = memory
    options.never_nl = True
    return options


def above(keys: Iterable[str]) -> frozenset[str]:
    """The keys of every name that one of these is below."""
    found: set[str] = set()
    layer = {key[: key.rfind(".", 0, -1) + 1] for key in keys}
    while layer := layer - found - {""}:
        found |= layer
        layer = {key[: key.rfind(".", 0, -1) + 1] for key in layer}
    return frozenset(found)


def _words(error: Exception) -> str:
    reason = error.args[0] if error.args else "cannot be compiled"
    return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
