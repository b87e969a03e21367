"""Expressions searched together: the same ones are found as by searching each, whatever a person writes, and the cost does not add up."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.policy import expressions
from gateway.policy.expressions import ExpressionSet, expression_set
from gateway.policy.names import compile_expression
from tests.support.strategies import hosts

WRITTEN = (
    "^ads[0-9]+\\.", "com$", "com\\.$", "EXAMPLE", "x", "(^|[.-])bet[0-9]*\\.", "^$", "a{2,60}b{1,60}", "(a*)*b", "^[a-z0-9]{32}\\.",
    "[a-z]{1,300}q", "\\.(vn|com)$", "",
)  # fmt: skip
MANY = tuple(f"(^|[.-])word{number}[a-z]*\\.(com|net|vn)$" for number in range(200))


def one_by_one(written: tuple[str, ...], name: str) -> list[int]:
    """The plain reading."""
    return [number for number, expression in enumerate(written) if compile_expression(expression).search(name) is not None]


@settings(deadline=None)
@given(st.lists(st.sampled_from(WRITTEN), max_size=13), st.one_of(hosts, st.text("abx0q.-", max_size=250)))
def test_together_they_find_what_each_finds(written: list[str], name: str) -> None:
    """Any choice of them, on any name."""
    assert ExpressionSet(tuple(written)).found_in(name) == one_by_one(tuple(written), name)


def test_expressions_are_searched_not_matched() -> None:
    """Anchors bind to the name without its final dot; capitals never fit."""
    assert ExpressionSet(WRITTEN[:5]).found_in("ads7.x.example.com") == [0, 1, 4]
    assert ExpressionSet(()).found_in("a.example") == []


def test_two_hundred_are_one_pass() -> None:
    """Hundreds of ordinary expressions are one set; large ones stay by themselves."""
    both = ExpressionSet((*MANY, "[a-z]{1,300}q"))
    assert [len(numbers) for _, numbers in both._sets] == [200]
    assert [number for number, _ in both._alone] == [200]
    assert both.found_in("www.word7x.com") == [7] == one_by_one(MANY, "www.word7x.com")
    assert expression_set(MANY) is expression_set((*MANY,))


def test_thousands_are_several_sets() -> None:
    """However many, each is found."""
    many = tuple(f"word{number}\\." for number in range(3000))
    together = ExpressionSet(many)
    assert len(together._sets) > 1 and not together._alone
    for number in (0, 1499, 2999):
        assert number in together.found_in(f"word{number}.example")


def test_set_that_does_not_fit_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A set that cannot be made in its memory is not used; every rule is still obeyed."""
    monkeypatch.setattr(expressions, "_SET_MEMORY", 40_000)
    assert not (small := ExpressionSet(MANY))._sets
    assert small.found_in("www.word7x.com") == [7]


def test_set_that_answers_nothing_opens_nothing() -> None:
    """RE2 tells a set that ran out of memory from one that found nothing by no sign; ours does."""

    class Exhausted:
        def Match(self, name: str) -> None:
            """As google-re2 answers then."""

    many = ExpressionSet(MANY)
    many._sets = [(Exhausted(), numbers) for _, numbers in many._sets]
    assert many.found_in("www.word7x.com") == [7]


def test_expression_that_explodes_elsewhere_is_linear_here() -> None:
    """Nested repetition on a long name costs microseconds, not minutes."""
    start = time.perf_counter()
    assert ExpressionSet(("(a*)*b", "(a|aa)+b")).found_in(".".join(["a" * 60] * 4)) == []
    assert time.perf_counter() - start < 1.0
