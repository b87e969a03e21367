"""People without an account may ask a few times, not a thousand."""

from __future__ import annotations

import pytest

from admin.errors import TooManyTries
from admin.officebudget import Budget


def test_budget_is_spent_and_fills_again() -> None:
    """Three acts, then a wait that is told; after the wait one more."""
    budget = Budget(most=3, seconds=30.0)
    for _ in range(3):
        budget.spend("192.0.2.1", 0.0)
    with pytest.raises(TooManyTries) as refused:
        budget.spend("192.0.2.1", 0.0)
    assert refused.value.retry_after == pytest.approx(10.0)
    budget.spend("192.0.2.1", 10.1)


def test_budgets_of_others_are_untouched() -> None:
    """One household's questions cost nobody else; addresses of one /64 are one household."""
    budget = Budget(most=1, seconds=30.0)
    budget.spend("2001:db8::1", 0.0)
    budget.spend("192.0.2.2", 0.0)
    with pytest.raises(TooManyTries):
        budget.spend("2001:db8::ffff", 0.0)


def test_budget_keeps_no_address() -> None:
    """A dump of the memory names nobody."""
    budget = Budget(most=1, seconds=30.0)
    budget.spend("192.0.2.1", 0.0)
    assert "192.0.2.1" not in repr(vars(budget))
