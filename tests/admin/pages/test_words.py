"""Words: found in the reader's language, with their number and tone; a third language is one file."""

from __future__ import annotations

from pathlib import Path

import pytest

from admin.pages.words import Words, load_words, negotiate

THIRD = """
msgid ""
msgstr ""
"Language: fr\\n"
"Plural-Forms: nplurals=2; plural=(n > 1);\\n"
"Content-Type: text/plain; charset=utf-8\\n"

msgid "Sign in"
msgstr "Se connecter"

msgctxt "small"
msgid "Sign in"
msgstr "Entre"

msgid "{n} device"
msgid_plural "{n} devices"
msgstr[0] "{n} appareil"
msgstr[1] "{n} appareils"

#, fuzzy
msgid "Home"
msgstr "Maison?"
"""


@pytest.fixture
def french(tmp_path: Path) -> Words:
    (tmp_path / "fr.po").write_text(THIRD, encoding="utf-8")
    return load_words(tmp_path)["fr"]


def test_a_third_language_is_one_file(french: Words) -> None:
    """A new catalogue file is a new language, with its own name and plural forms."""
    assert french.name == "Français"
    assert french.gettext("Sign in") == "Se connecter"
    assert [french.ngettext("{n} device", "{n} devices", number) for number in (0, 1, 2)] == [
        "{n} appareil",
        "{n} appareil",
        "{n} appareils",
    ]


def test_context_changes_the_tone_and_falls_back(french: Words) -> None:
    """What is said differently to a small child is; what is not, is said as to anybody."""
    assert french.pgettext("small", "Sign in") == "Entre"
    assert french.pgettext("youth", "Sign in") == "Se connecter"


def test_unknown_and_fuzzy_messages_stay_english(french: Words) -> None:
    """A missing translation is an English sentence, never an empty page."""
    assert french.gettext("Home") == "Home"
    assert french.ngettext("{n} day", "{n} days", 3) == "{n} days"


def test_shipped_languages_begin_with_vietnamese() -> None:
    """Vietnamese first, English second, each with its own name."""
    found = load_words()
    assert list(found)[:2] == ["vi", "en"]
    assert [one.name for one in found.values()][:2] == ["Tiếng Việt", "English"]


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "vi"),
        ("vi-VN,vi;q=0.9,en;q=0.8", "vi"),
        ("en-US,en;q=0.9", "en"),
        ("fr-FR,en;q=0.5", "en"),
        ("ja,ko", "vi"),
        ("en;q=0.2, vi;q=0.9", "vi"),
        ("en;q=nonsense", "vi"),
        ("en;q=0", "vi"),
        (",,;;q=,", "vi"),
    ],
)
def test_negotiate_takes_the_best_known_language(header: str, language: str) -> None:
    """The browser's wish counts; without one that fits, Vietnamese."""
    assert negotiate(header, load_words()) == language
