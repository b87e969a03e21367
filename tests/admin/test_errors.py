"""Every error of the control plane has its own status and a stable code."""

from __future__ import annotations

import importlib
import pkgutil

import admin
from admin.errors import AdminError, FieldMistake, InvalidInput


def test_every_error_has_a_code_and_a_client_or_busy_status() -> None:
    """The API never answers with a code that means nothing."""
    for module in pkgutil.walk_packages(admin.__path__, "admin."):
        if not module.name.startswith("admin.migrations"):
            importlib.import_module(module.name)
    kinds = [kind for kind in AdminError.__subclasses__() if kind.__module__.startswith("admin.")]
    assert len(kinds) > 10
    assert all(400 <= kind.status <= 503 and kind.code != "internal" for kind in kinds)


def test_invalid_input_names_every_field() -> None:
    """All mistakes of a form are shown at once."""
    error = InvalidInput(FieldMistake("label", "required"), FieldMistake("band", "unknown"))
    assert (error.field, len(error.mistakes)) == ("label", 2)
