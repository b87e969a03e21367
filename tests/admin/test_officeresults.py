"""Answers of the API know no field for a note of a body or a name of a person."""

from __future__ import annotations

from admin import officeresults
from admin.schemas import In


def test_answers_have_no_place_for_people_or_notes() -> None:
    """A history tells roles; the register tells states. Only the list of the office's own officers says whose a role is."""
    listed = [one for one in vars(officeresults).values() if isinstance(one, type) and issubclass(one, In)]
    models = [one for one in listed if one not in (In, officeresults.OfficerOut)]
    fields = {name for model in models for name in model.model_fields}
    assert not fields & {"note", "notes", "person", "account", "officer", "verified_by", "approved_by", "path", "url"}
