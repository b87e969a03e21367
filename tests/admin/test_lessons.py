"""What may be opened for a class."""

from __future__ import annotations

from dataclasses import replace

import pytest

from admin.catalogue import read_shipped
from admin.lessons import is_used_in_lessons, lesson_groups
from gateway.policy.model import Band

SHELF = read_shipped()


@pytest.mark.parametrize(
    ("band", "codes"),
    [
        (Band.MN, ["video", "game00"]),
        (Band.TH, ["video", "chat", "game00"]),
        (Band.CS, ["video", "chat", "social", "aichat", "short", "shop", "game", "game00", "game12"]),
        (Band.PT, ["video", "search", "chat", "social", "aichat", "live", "short", "shop", "game", "game00", "game12", "game16"]),
    ],
)
def test_a_lesson_is_offered_what_its_age_may_have_at_some_time(band: Band, codes: list[str]) -> None:
    """By the matrix; nothing locked, no contract cheating, fortune telling, advertisements or new names at any age."""
    assert lesson_groups(SHELF, band) == codes
    assert not any(SHELF.cell(code, band, band).locked for code in codes)


def test_what_the_place_closed_above_is_not_offered() -> None:
    """Closed for the schools of a place by a document: no lesson opens it."""
    assert "social" not in lesson_groups(replace(SHELF, above={"social": "12/QĐ"}), Band.CS)


def test_one_site_may_be_of_a_group_that_is_not_offered_whole() -> None:
    """A game a class of seven-year-olds asked for was looked at by its teacher; a site that writes essays for money is for no lesson."""
    assert is_used_in_lessons(SHELF, "game") and "game" not in lesson_groups(SHELF, Band.TH)
    assert not any(is_used_in_lessons(SHELF, code) for code in ("cheat", "occult", "newdom", "ads", "gamb", "game18", "edu"))
