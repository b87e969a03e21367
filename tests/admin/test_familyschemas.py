"""What the API takes about a family: nothing unknown, nothing without a limit."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from admin.familyschemas import ChoicesIn, DatesIn, PhoneIn


@pytest.mark.parametrize(
    ("model", "value"),
    [
        (ChoicesIn, {"cooling_minutes": 15, "mail": "x" * 121}),
        (ChoicesIn, {"cooling_minutes": 15, "surprise": 1}),
        (DatesIn, {"kind": "party", "first": "2026-12-21", "last": "2026-12-21"}),
        (DatesIn, {"kind": "exam", "first": "2026-02-30", "last": "2026-12-21"}),
        (PhoneIn, {"profile": "../x", "label": "x"}),
    ],
)
def test_what_is_not_in_the_schema_is_refused(model: type, value: dict[str, object]) -> None:
    """Longer, unknown, impossible: a mistake, never a guess."""
    with pytest.raises(ValidationError):
        model.model_validate(value)
