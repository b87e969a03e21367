"""What the API takes about people, sheets, homes and erasing: nothing unknown, nothing without a limit, nobody above the key."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from admin.peopleschemas import EraseIn, HomeAddressIn, InvitationIn, SheetIn, StaffIn


@pytest.mark.parametrize(
    ("model", "value"),
    [
        (InvitationIn, {"role": "first_parent"}),
        (InvitationIn, {"role": "school_admin"}),
        (InvitationIn, {"role": "teacher", "last": "2027-02-30"}),
        (SheetIn, {"label": "x", "most": 0}),
        (SheetIn, {"label": "x", "most": "200"}),
        (SheetIn, {"label": "x" * 81}),
        (StaffIn, {"last": None}),
        (EraseIn, {"confirm": "../x"}),
        (HomeAddressIn, {"address": "x" * 46}),
    ],
)
def test_what_is_not_in_the_schema_is_refused(model: type, value: dict[str, object]) -> None:
    """Longer, unknown, impossible: a mistake, never a guess."""
    with pytest.raises(ValidationError):
        model.model_validate(value)


def test_a_whole_number_is_one_however_it_is_written() -> None:
    """200.0 is 200 in JSON, too."""
    assert SheetIn.model_validate({"label": "x", "most": 200.0}).most == 200
