"""Reading a document: every mistake once, with its path, and nothing raised."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.policy.reading import Reading, join


def faults(reading: Reading) -> list[str]:
    """The mistakes as text."""
    return [str(mistake) for mistake in reading.mistakes]


def test_table_names_unknown_keys_with_the_nearest_known_one() -> None:
    """A slip of the pen is named with what was meant; missing keys are named too."""
    reading = Reading()
    assert reading.table({"catgories": 1}, "p", {"categories", "id"}, ("id",)) == {"catgories": 1}
    assert faults(reading) == ["p.catgories: is not a known key (did you mean categories?)", "p.id: is missing"]


@pytest.mark.parametrize(
    ("method", "value", "expected", "fault"),
    [
        ("table", [], {}, "p: must be an object"),
        ("rows", {}, [], "p: must be a list"),
        ("texts", ["a", 1, ""], ("a",), "p[1]: must be text"),
        ("texts", "a", (), "p: must be a list"),
        ("text", 3, "", "p: must be text"),
        ("optional_text", 3, "", "p: must be text"),
        ("flag", "yes", None, "p: must be true or false"),
        ("moment", 5, None, "p: must be a moment"),
        ("moment", "yesterday", None, "p: is not a moment"),
        ("moment", "2026-01-01T00:00:00", None, "p: does not say its time zone"),
    ],
)
def test_value_of_the_wrong_kind_is_one_mistake_and_a_neutral_value(method: str, value: Any, expected: Any, fault: str) -> None:
    """The rest of the document is still read."""
    reading = Reading()
    arguments = (value, "p", {"a"}) if method == "table" else (value, "p")
    assert getattr(reading, method)(*arguments) == expected
    assert faults(reading)[0].startswith(fault)


def test_values_of_the_right_kind_are_no_mistake() -> None:
    """Nothing is reported for what is right."""
    reading = Reading()
    assert reading.rows(None, "p") == []
    assert reading.texts(None, "p") == ()
    assert reading.texts(["a"], "p") == ("a",)
    assert reading.optional_text(None, "p") is None
    assert reading.flag(False, "p") is False
    assert reading.choice(None, "p", ("a", "b"), "b") == "b"
    assert reading.choice("a", "p", ("a", "b"), "b") == "a"
    assert reading.moment("1970-01-01T07:00:10+07:00", "p") == 10.0
    assert not reading.mistakes


def test_choice_outside_the_choices_names_them() -> None:
    """A wrong word is answered with the right ones."""
    reading = Reading()
    assert reading.choice("c", "p", ("a", "b"), "b") == "b"
    assert faults(reading) == ["p: must be one of a, b"]


def test_join_of_paths() -> None:
    """The path of a member of the whole document has no leading dot."""
    assert [join("", "a"), join("a[0]", "b")] == ["a", "a[0].b"]
