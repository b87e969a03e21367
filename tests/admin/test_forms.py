"""Reading what a person sent: limits, closed sets, clocks, and nothing invisible."""

from __future__ import annotations

import pytest

from admin.errors import InvalidInput
from admin.forms import Form, clean, read_clock
from admin.values import Days


def form(**fields: str | list[str]) -> Form:
    return Form({name: value if isinstance(value, list) else [value] for name, value in fields.items()})


def test_text_is_one_clean_line() -> None:
    """Spaces are folded, control signs and turning signs go, letters are composed."""
    one = form(label="  Be\u0301   Na\u202e\x00\n ")
    assert one.text("label", 20) == "Bé Na"
    assert not one.mistakes


def test_mistakes_are_collected_and_raised_at_once() -> None:
    """A person sees every slip of a form together."""
    one = form(label="", long="x" * 50, days="someday")
    one.text("label", 10)
    one.text("long", 10)
    one.choice("days", Days, Days.EVERY)
    one.choice("missing", Days, Days.EVERY)
    one.one_of("days", ("a", "b"))
    with pytest.raises(InvalidInput) as caught:
        one.check()
    assert [(mistake.field, mistake.code) for mistake in caught.value.mistakes] == [
        ("label", "required"),
        ("long", "too_long"),
        ("days", "unknown"),
        ("missing", "choose"),
        ("days", "unknown"),
    ]


def test_lines_of_a_text_area_are_bounded() -> None:
    """Empty lines go; too many or too long ones are told."""
    one = form(classes="3A\r\n\r\n 7B \n" + "x" * 50)
    assert one.lines("classes", 10, 3) == ["3A", "7B", "x" * 10]
    assert [mistake.code for mistake in one.mistakes] == ["too_long"]
    assert form(classes="a\nb\nc").lines("classes", 10, 2) == ["a", "b"]


def test_choice_and_many_read_closed_and_repeated_fields() -> None:
    """Values of a closed set, and every value of a repeated field."""
    one = form(days="weekend", label=["Bi", "Na"])
    assert one.choice("days", Days, Days.EVERY) is Days.WEEKEND
    assert one.many("label") == ["Bi", "Na"]
    assert one.has("days")
    assert not one.has("other")
    assert one.one_of("days", ("weekend",)) == "weekend"


@pytest.mark.parametrize(
    ("text", "clock"),
    [
        ("21:00", "21:00"),
        ("9h30", "09:30"),
        ("7g", "07:00"),
        ("0730", "07:30"),
        ("24:00", "24:00"),
        ("6", "06:00"),
        ("21.15", "21:15"),
        ("24:30", None),
        ("25:00", None),
        ("9:60", None),
        ("tối", None),
        ("", None),
    ],
)
def test_read_clock_understands_how_people_write_times(text: str, clock: str | None) -> None:
    """Vietnamese and plain spellings of a time of day; nothing else."""
    assert read_clock(text) == clock


def test_clean_keeps_line_breaks_and_tabs_of_a_note() -> None:
    """Only what cannot be seen goes."""
    assert clean("a\n\tb\u2066c\u2069\x07") == "a\n\tbc"
