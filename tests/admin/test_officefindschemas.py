"""Limits of what the API takes of finding and following."""

from __future__ import annotations

from typing import get_args

import pytest
from pydantic import ValidationError

from admin.officefindschemas import Category, FollowIn, ListIn
from blocklists.takedown.candidates import CATEGORIES


def test_categories_are_those_of_candidates() -> None:
    """What comes from numbered documents only is none of them; lists and codes have a length."""
    assert get_args(Category) == CATEGORIES
    with pytest.raises(ValidationError):
        ListIn(source="A", category="gamb", text="x" * 1_000_001)
    with pytest.raises(ValidationError):
        FollowIn(code="x" * 601)
