"""Codes that reach a person have words."""

from __future__ import annotations

import re
from pathlib import Path

from admin.audit import Action
from admin.pages.phrases import ACTS, FAULTS, MISTAKES, ROLES
from blocklists.tables import Role

ADMIN = Path(__file__).parents[3] / "admin"


def test_every_code_of_a_field_mistake_has_a_sentence() -> None:
    """A new check without words is found here."""
    codes: set[str] = set()
    for path in ADMIN.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        codes |= set(re.findall(r'FieldMistake\([^,()]+, "([a-z_]+)"\)', text))
        codes |= set(re.findall(r'form\.mistake\("[a-z_]+", "([a-z_]+)"\)', text))
    assert codes - set(MISTAKES) == set()


def test_every_fault_has_a_headline_and_a_way_on() -> None:
    """No page for an error is a dead end."""
    assert all(headline and remedy for headline, remedy in FAULTS.values())


def test_every_act_of_the_journal_has_words() -> None:
    """A parent reads what happened, not a code."""
    assert {action.value for action in Action} <= set(ACTS)


def test_every_role_has_words() -> None:
    """An invitation and the journal name every role in words; no code is shown."""
    assert {role.value for role in Role} <= set(ROLES)
