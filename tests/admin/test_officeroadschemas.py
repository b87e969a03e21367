"""Limits of what the API takes of a list office's road."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from admin.officeroadschemas import GatewayIn, GatewayOut, StageRule


def test_a_rule_has_shares_and_minutes() -> None:
    """Shares leave something for the last stage, times stay within a day; a gateway has a name."""
    good = {"is_on": True, "first_share": 5, "second_share": 25, "second_after": 20, "all_after": 50}
    StageRule(**good)
    for name, value in (("first_share", 0), ("second_share", 100), ("second_after", 0), ("all_after", 1441)):
        with pytest.raises(ValidationError):
            StageRule(**{**good, name: value})
    with pytest.raises(ValidationError):
        GatewayIn(label="  ")
    assert not {"ticket", "join_code", "public"} & set(GatewayOut.model_fields)
