"""The renderer escapes everything, misses nothing silently, and speaks the reader's language."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from jinja2 import UndefinedError

from admin.errors import FieldMistake
from admin.pages.formats import Formats
from admin.pages.render import Pages

HOSTILE = "<img src=x onerror=alert(1)>\"'&"
CONTEXT = {"visit": None, "form_token": "", "path": "/", "mistakes": ()}


def formats(pages: Pages, language: str = "vi") -> Formats:
    return Formats(pages.words[language], "Asia/Ho_Chi_Minh", datetime(2026, 10, 12, tzinfo=UTC))


def test_render_escapes_hostile_text(pages: Pages) -> None:
    """A name made to be markup stays text."""
    page = pages.render("layout/fault.html", formats(pages), {**CONTEXT, "headline": HOSTILE, "remedy": HOSTILE, "wait": ""})
    assert b"<img src=x" not in page.body
    assert b"&lt;img src=x" in page.body


def test_render_escapes_inside_translated_sentences(pages: Pages) -> None:
    """A hostile name inside a sentence with a placeholder is escaped too."""
    page = pages.render("layout/fault.html", formats(pages), {**CONTEXT, "headline": "x", "remedy": "y", "wait": HOSTILE})
    assert b"<img src=x" not in page.body


def test_render_refuses_unknown_names(pages: Pages) -> None:
    """A page that names what it was not given fails in a test instead of showing a gap."""
    with pytest.raises(UndefinedError):
        pages.render("layout/fault.html", formats(pages), {**CONTEXT, "headline": "x"})


def test_render_says_its_language(pages: Pages) -> None:
    """Screen readers pronounce the page right."""
    for language in ("vi", "en"):
        page = pages.render("layout/fault.html", formats(pages, language), {**CONTEXT, "headline": "x", "remedy": "y", "wait": ""})
        assert f'<html lang="{language}">'.encode() in page.body
        assert page.headers["content-language"] == language


def test_mistake_stands_beside_its_field(pages: Pages) -> None:
    """The field says that it is wrong, and which sentence tells why."""
    mistakes = (FieldMistake("password", "password_short"),)
    context = {**CONTEXT, "step": "password", "number": 4, "carried": (), "mistakes": mistakes}

    class Answers:
        sign_in = "me"
        is_school = False

    page = pages.render("setup/password.html", formats(pages), {**context, "answers": Answers()})
    assert b'aria-describedby="password-mistake' in page.body
    assert b'id="password-mistake"' in page.body
    assert page.body.count(b"autofocus") == 1  # one mistake has the cursor in its field; no list of one
    assert b"<title>Xem l\xe1\xba\xa1i: " in page.body

    more = (*mistakes, FieldMistake("again", "password_differs"))
    page = pages.render("setup/password.html", formats(pages), {**context, "answers": Answers(), "mistakes": more})
    assert page.body.index(b"autofocus") < page.body.index(b'href="#password-mistake"') < page.body.index(b'href="#again-mistake"')
    for place in (b'id="password-mistake"', b'id="again-mistake"'):
        assert place in page.body


def test_templates_are_compiled_once_for_all_languages(pages: Pages) -> None:
    """Every template compiles, before somebody waits for it; a second language costs no second time and has its own words."""
    names = [*pages.templates(), "letters/letter.css"]
    assert "home/home.html" in names
    for name in names:
        pages.warm(name)
    assert len(pages._compiled._kept) == len(names)
    context = {**CONTEXT, "headline": "", "remedy": "", "wait": ""}
    shown = [pages.render("layout/fault.html", formats(pages, language), context) for language in ("vi", "en")]
    assert shown[0].body != shown[1].body
