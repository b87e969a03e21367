"""What programs may send to the office."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from admin.officeschemas import DecisionIn, OrderIn


def test_unknown_fields_are_refused() -> None:
    """A mistyped field is never silently dropped."""
    with pytest.raises(ValidationError):
        OrderIn.model_validate({"text": "bad.example", "no_ned": True})


def test_a_decision_is_one_of_two() -> None:
    """Block or leave."""
    with pytest.raises(ValidationError):
        DecisionIn.model_validate({"decision": "maybe"})
