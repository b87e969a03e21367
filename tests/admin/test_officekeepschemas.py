"""Limits of what the API takes of an office's own data."""

from __future__ import annotations

from datetime import date

import pytest
from pydantic import ValidationError

from admin.officekeepschemas import AgencyIn, ClockIn, NoteIn


def test_names_clocks_and_notes_have_limits() -> None:
    """Blanks are no name, no clock runs for nothing or for ever, and a note is a few words."""
    for name in ("", "   ", "x" * 161):
        with pytest.raises(ValidationError):
            AgencyIn(name=name)
    for hours in (0, -1, 8785, float("nan"), float("inf")):
        with pytest.raises(ValidationError):
            ClockIn(hours=hours, basis="7/QĐ-UBND", starts=date(2026, 12, 31))
    for day in (0, "0", "1790000000", "2026-12-31T00:00:00"):
        with pytest.raises(ValidationError):
            AgencyIn(name="Sở", valid_from=day)
    with pytest.raises(ValidationError):
        NoteIn(text="x" * 501)
