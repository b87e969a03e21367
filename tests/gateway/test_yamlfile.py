"""Strict YAML: what a person wrote is what is read, and everything ambiguous is refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import SettingsError
from gateway.yamlfile import Document, dotted, parse, read, text_of_scalar


def messages(text: str) -> list[str]:
    """The mistakes in a text, as a person reads them."""
    with pytest.raises(SettingsError) as caught:
        parse(text)
    return [str(mistake) for mistake in caught.value.mistakes]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("off", "off"),
        ("on", "on"),
        ("no", "no"),
        ("yes", "yes"),
        ("y", "y"),
        ("21:00", "21:00"),
        ('"21:00"', "21:00"),
        ("1_000", "1_000"),
        ("2026-09-01", "2026-09-01"),
        ("02:00:00:00:00:01", "02:00:00:00:00:01"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("10", 10),
        ("-3", -3),
        ("0x10", 16),
        ("0o17", 15),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("'10'", "10"),
        ('"true"', "true"),
        ("=", "="),
        (".inf", ".inf"),
    ],
)
def test_scalar_follows_the_core_schema_of_yaml_1_2(written: str, value: object) -> None:
    """Plain words keep their YAML 1.2 meaning; quoted ones are text."""
    found = parse(f"a: {written}").value["a"]
    assert value == found
    assert type(value) is type(found) or isinstance(found, type(value))


@pytest.mark.parametrize("written", ["007", "1e3", "0x1F", "10"])
def test_number_keeps_the_text_it_was_written_with(written: str) -> None:
    """An id that looks like a number can still be read as text, letter for letter."""
    assert written == text_of_scalar(parse(f"id: {written}").value["id"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\na: 2", "text:2: a: this key is written twice, first on line 1 (keep one of them)"),
        ("x: {b: 1, b: 2}", "text:1: x.b: this key is written twice, first on line 1 (keep one of them)"),
        ("a: &x 1", "text:1: anchor &x is not allowed (write the value out)"),
        ("a: !!str 1", "text:1: tag tag:yaml.org,2002:str is not allowed (write the value without it)"),
        ("a: 1\n---\nb: 2", "text:2: a second document starts here (keep one document in a file)"),
        ("<<: {a: 1}", "text:1: merge keys (<<) are not allowed (write the values out)"),
        ("? [a]\n: 1", "text:1: a key must be a word, not a list or a section"),
    ],
)
def test_ambiguous_text_is_refused_with_its_line(text: str, expected: str) -> None:
    """Whatever could say something else than its reader sees is a mistake."""
    assert [expected] == messages(text)


def test_alias_is_refused_beside_its_anchor() -> None:
    """Both ends of a reference are named."""
    assert messages("a: &x 1\nb: *x") == [
        "text:1: anchor &x is not allowed (write the value out)",
        "text:2: alias *x is not allowed (write the value out)",
    ]


@pytest.mark.parametrize("text", ["a: [1", "a: b: c", "\t- a", "a: \x01", "- [" * 60, '"' + "a" * 10])
def test_text_that_is_not_yaml_gives_one_mistake(text: str) -> None:
    """A broken file is one sentence, never a traceback."""
    assert len(messages(text)) == 1


@given(st.text(max_size=200))
def test_any_text_parses_or_raises_settings_error(text: str) -> None:
    """No text makes the reader raise anything else."""
    try:
        parse(text)
    except SettingsError as error:
        assert error.mistakes


def test_place_names_file_line_and_path() -> None:
    """A mistake is found by file, line and dotted path; a missing key stands at its parent."""
    document = parse("profiles:\n  - id: a\n    allow:\n      - x\n", Path("/etc/lachan.yaml"))
    assert document.place(("profiles", 0, "allow", 0)) == "lachan.yaml:4: profiles[0].allow[0]"
    assert document.place(("profiles", 0, "band")) == "lachan.yaml:2: profiles[0].band"
    assert document.place(()) == "lachan.yaml:1"
    assert Document(None, {}).place(("a",)) == "text:1: a"


def test_dotted_writes_indexes_in_brackets() -> None:
    """Paths look like a person writes them."""
    assert dotted(("a", "b", 2, "c")) == "a.b[2].c"


def test_read_explains_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file, a folder and bytes that are not UTF-8 are one sentence each."""
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: 1\nb: \xe9\n")
    for path, expected in [
        (tmp_path / "nothing.yaml", "this file is not there"),
        (tmp_path, "this file cannot be read"),
        (latin, "latin.yaml:2: this line is not UTF-8"),
    ]:
        with pytest.raises(SettingsError, match=expected):
            read(path)


def test_read_accepts_a_byte_order_mark_and_windows_lines(tmp_path: Path) -> None:
    """A file saved by an editor on Windows reads the same."""
    path = tmp_path / "a.yaml"
    path.write_bytes("\ufeffa: 1\r\nb: hai\r\n".encode())
    assert read(path).value == {"a": 1, "b": "hai"}
