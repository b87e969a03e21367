"""The words of the shipped catalogue."""

from __future__ import annotations

from blocklists.catalogue import load
from lachan.catalogue import shipped_words


def test_words_are_those_of_the_catalogue() -> None:
    """The quick reading agrees with the full one."""
    words, full = shipped_words(), load()
    assert {row["code"] for row in full["categories"]} == words.codes
    assert {row["id"] for row in full["services"]} == words.service_ids
    assert {row["code"] for row in full["categories"] if row["tier"] == "G"} == words.good


def test_delegable_categories_are_told_apart() -> None:
    """Games may be switched by a school, gambling never."""
    assert shipped_words().is_delegable("game")
    assert not shipped_words().is_delegable("gamb")
