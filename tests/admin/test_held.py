"""A change that waits for a second step travels in a form, and goes nowhere but to our own pages."""

from __future__ import annotations

import pytest

from admin.forms import Form
from admin.held import HELD_FIELD, Held, held_in


def test_held_change_comes_back_as_it_went() -> None:
    """Repeated fields, line breaks and quotes survive; secrets by their names."""
    held = Held("/office/orders/1/items/2", "/office/orders/1", (("a", "x\r\ny"), ("a", '"')), ("passphrase",))
    assert held_in(Form({HELD_FIELD: [str(held)]})) == held


@pytest.mark.parametrize("path", ["//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", ""])
def test_held_change_never_leads_elsewhere(path: str) -> None:
    """A path that a browser would take to another place is none."""
    for held in (Held(path, "/"), Held("/", path)):
        assert held_in(Form({HELD_FIELD: [str(held)]})) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "1", '{"path": "/"}', '{"path": "/", "back": "/", "fields": [1], "secrets": []}'])
def test_what_is_no_held_change_is_none(text: str) -> None:
    """Somebody typed into the page; nothing breaks."""
    assert held_in(Form({HELD_FIELD: [text]})) is None
