"""The exception tree: what each error tells the person who has to act on it."""

from __future__ import annotations

import inspect
import pickle

import pytest

from gateway import errors
from gateway.errors import (
    ControlError,
    FetchError,
    GenerationError,
    InvalidName,
    LachanError,
    Mistake,
    PolicyFileError,
    SettingsError,
)

CLASSES = [each for each in vars(errors).values() if inspect.isclass(each) and issubclass(each, Exception)]


def test_every_error_is_ours() -> None:
    """One `except LachanError` at an edge catches everything the product raises on purpose."""
    assert [each.__name__ for each in CLASSES if not issubclass(each, LachanError)] == []


def test_drawing_at_the_top_names_every_error() -> None:
    """The tree that a reader sees first is the tree there is."""
    drawing = errors.__doc__ or ""
    assert [each.__name__ for each in CLASSES if each.__name__ not in drawing and each is not errors.MistakesError] == []


@pytest.mark.parametrize(
    ("mistake", "text"),
    [
        (Mistake("dns.listen", "port 99999 does not exist"), "dns.listen: port 99999 does not exist"),
        (Mistake("dns.lissten", "unknown", "dns.listen?"), "dns.lissten: unknown (dns.listen?)"),
    ],
)
def test_mistake_says_where_what_and_what_to_do(mistake: Mistake, text: str) -> None:
    """A mistake is one line with its path; the remedy stands behind it when there is one."""
    assert str(mistake) == text


@pytest.mark.parametrize("kind", [SettingsError, PolicyFileError])
def test_all_mistakes_of_a_document_are_told_at_once(kind: type[errors.MistakesError]) -> None:
    """Nobody corrects a file one mistake at a time."""
    error = kind([Mistake("a", "wrong"), Mistake("b.c", "missing")])
    assert str(error).splitlines() == ["a: wrong", "b.c: missing"]
    assert [mistake.path for mistake in error.mistakes] == ["a", "b.c"]


def test_text_of_an_invalid_name_is_not_repeated() -> None:
    """What a stranger typed stays out of logs; the attribute holds it for the page that shows it back, escaped."""
    error = InvalidName("<script>", "a letter that no name has")
    assert "<script>" not in str(error)
    assert (error.text, error.reason) == ("<script>", "a letter that no name has")


def test_errors_carry_their_evidence() -> None:
    """Where and why, as attributes and in the sentence."""
    generation = GenerationError("records.bin", "cut short")
    assert (str(generation), generation.where, generation.reason) == ("records.bin: cut short", "records.bin", "cut short")
    control = ControlError("busy", "another change is under way", "apply")
    assert (str(control), control.code, control.where) == ("another change is under way", "busy", "apply")
    fetch = FetchError("too_large", "quá lớn", "too large")
    assert (str(fetch), fetch.code, fetch.vi) == ("too large", "too_large", "quá lớn")


def test_mistakes_keep_their_content_between_processes() -> None:
    """A mistake found in another process is the same mistake."""
    mistake = Mistake("dns.listen", "taken", "stop the other server")
    assert pickle.loads(pickle.dumps(mistake)) == mistake
