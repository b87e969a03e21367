"""Every word is translated, and no text stands in a template without passing the catalogues."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from admin.pages.catalogues import extract, messages, missing, update
from admin.pages.render import TEMPLATES
from admin.pages.words import LOCALES, Words, load_words, mark

#: Proper names: the same in every language.
NAMES = {"Lá", "Chắn", "vn-cop.vn", "openapi.json", "Android", "iPhone", "iPad", "Mac", "Chrome", "Firefox", "Windows", "Zalo"}
#: Attributes that a person reads or hears.
SPOKEN = ("aria-label", "aria-description", "placeholder", "title", "alt", "label")
#: What an empty field shows as an example, the same in every language.
EXAMPLES = {"example.com", "ABCD 2345", "Lai Châu"}


@pytest.mark.parametrize("language", sorted(path.stem for path in LOCALES.glob("*.po")))
def test_every_message_has_words(language: str) -> None:
    """A message without a translation is found here, not by a grandmother."""
    assert missing(language) == []


def test_translations_keep_their_placeholders() -> None:
    """A translation that loses or invents a placeholder would break a page."""
    words = load_words()["vi"]
    for (context, message), found in messages(extract()):
        if found.pluralizable:
            continue
        said = words.pgettext(context, message) if context else words.gettext(message)
        assert placeholders(said) == placeholders(message), message


def test_no_sentence_is_left_in_english() -> None:
    """A translation that only repeats the English sentence is none."""
    words = load_words()["vi"]
    same = []
    for (context, message), found in messages(extract()):
        many = str(found.id[1]) if isinstance(found.id, tuple | list) else ""
        said = words.npgettext(context, message, many, 5) if context and many else words.ngettext(message, many, 5) if many else ""
        if message.count(" ") and (said or _said(words, context, message)) in (message, many):
            same.append(message)
    assert [message for message in same if re.search(r"[A-Za-z]{2}", re.sub(r"{\w+}", "", message))] == []


def _said(words: Words, context: str | None, message: str) -> str:
    return words.pgettext(context, message) if context else words.gettext(message)


def test_a_new_sentence_that_nobody_translated_is_found() -> None:
    """The checks above see what they are for: words in a tag, in an attribute, in a script's sentence."""
    for template in (
        "<p>New words</p>",
        '<input placeholder="Write here">',
        '<nav aria-label="Main">',
        '<b data-fault="It did not work"></b>',
    ):
        texts = _Texts()
        texts.feed(without_jinja(template))
        assert texts.found, template
    texts = _Texts()
    texts.feed(without_jinja('<p title="{{ _("x") }}">{{ _("y") }} <code>lachan run</code></p>'))
    assert texts.found == []


def placeholders(text: str) -> set[str]:
    return {part.partition("}")[0] for part in text.split("{")[1:]}


class _Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._code = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._code += tag == "code"
        for name, value in attrs:
            is_read = name in SPOKEN or (name.startswith("data-") and " " in (value or "").strip())
            if is_read and value and value.strip() not in EXAMPLES:
                self._keep(value)

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag == "code"

    def handle_data(self, data: str) -> None:
        if not self._code:  # what a person types into a terminal is the same everywhere
            self._keep(data)

    def _keep(self, text: str) -> None:
        words = [word for word in re.split(r"[\s,·/]+", text) if any(letter.isalpha() for letter in word)]
        self.found += [word for word in words if word not in NAMES]


@pytest.mark.parametrize("path", sorted(TEMPLATES.rglob("*.html")), ids=lambda path: str(path.relative_to(TEMPLATES)))
def test_templates_have_no_text_of_their_own(path: Path) -> None:
    """Whatever a person reads comes from the catalogues."""
    texts = _Texts()
    texts.feed(without_jinja(path.read_text(encoding="utf-8")))
    assert texts.found == []


@pytest.mark.parametrize("path", sorted(TEMPLATES.rglob("*.html")), ids=lambda path: str(path.relative_to(TEMPLATES)))
def test_templates_have_nothing_inline(path: Path) -> None:
    """No inline style, script or handler, and nothing marked safe: the content policy forbids the first, hostile names the last. A letter
    carries its sheet with it, because it fetches nothing."""
    text = path.read_text(encoding="utf-8")
    sheets = () if path.parent.name == "letters" else ("<style",)
    for forbidden in (*sheets, " style=", "onclick=", "onload=", "javascript:", "|safe", "| safe", "autoescape false"):
        assert forbidden not in text, forbidden
    assert "<script>" not in text


def without_jinja(text: str) -> str:
    """Template text with every Jinja part taken out."""
    text = re.sub(r"{% block (?:body|main)_class %}[a-z ]*{% endblock %}", "", text)  # names of classes, not words
    kept: list[str] = []
    place = 0
    while place < len(text):
        opening = min((at for at in (text.find(one, place) for one in ("{{", "{%", "{#")) if at >= 0), default=-1)
        if opening < 0:
            kept.append(text[place:])
            break
        kept.append(text[place:opening])
        closing = {"{{": "}}", "{%": "%}", "{#": "#}"}[text[opening : opening + 2]]
        place = text.index(closing, opening) + 2
    return "".join(kept)


def test_update_keeps_words_drops_unused_and_adds_new(tmp_path: Path) -> None:
    """The command that keeps catalogues complete loses no translation and can be run twice."""
    path = tmp_path / "fr.po"
    path.write_text(
        'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n\n'
        'msgid "Sign in"\nmsgstr "Se connecter"\n\nmsgid "Nobody says this"\nmsgstr "Rien"\n',
        encoding="utf-8",
    )
    lacking = update(path)
    first = path.read_text(encoding="utf-8")
    assert 'msgstr "Se connecter"' in first
    assert "Nobody says this" not in first
    assert lacking > 100
    assert update(path) == lacking
    assert path.read_text(encoding="utf-8") == first


def test_mark_only_names_a_message() -> None:
    """Marking changes nothing."""
    assert mark("Sign in") == "Sign in"
