"""For whom an order is, as an officer writes it."""

from __future__ import annotations

from datetime import datetime

from admin.officescope import read_places, say_places


def test_places_are_read_by_name_and_code_of_the_day(now: datetime) -> None:
    """A province of before is nobody today; a commune is read by its code."""
    today = now.date()
    assert read_places("Lai Châu; 08.00706,  tuyên quang", today) == (("08", "08.00706", "12"), ())
    assert read_places("Hà Giang, 02", today) == ((), ("Hà Giang", "02"))


def test_stored_places_are_said_in_words_of_the_day(now: datetime) -> None:
    """The page shows names, and a code it does not know with its province."""
    assert say_places("12,08.00706", now.date()) == ["Lai Châu", "08.00706 (Tuyên Quang)"]
    assert say_places("", now.date()) == []
