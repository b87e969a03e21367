"""Every error of the control plane has its own status and a stable code."""

from __future__ import annotations

from admin.errors import AdminError, FieldMistake, InvalidInput


def test_every_error_has_a_code_and_a_client_or_busy_status() -> None:
    """The API never answers with a code that means nothing."""
    kinds = AdminError.__subclasses__()
    assert all(400 <= kind.status <= 503 and kind.code != "internal" for kind in kinds)


def test_invalid_input_names_every_field() -> None:
    """All mistakes of a form are shown at once."""
    error = InvalidInput(FieldMistake("label", "required"), FieldMistake("band", "unknown"))
    assert (error.field, len(error.mistakes)) == ("label", 2)
