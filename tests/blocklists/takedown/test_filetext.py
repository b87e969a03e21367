"""What a file gives: bounds are kept and said, blank rows cost nothing, what only links name is told."""

from __future__ import annotations

import time

import pytest

from blocklists.takedown import filetext
from blocklists.takedown.filetext import LINKS, MORE, MOST_UNREAD, TOO_MANY_ROWS, TOO_MUCH_TEXT, FileText, Unread


def test_the_bounds_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows and letters beyond the bounds are not taken, and that is told once; nothing is told where everything was taken."""
    monkeypatch.setattr(filetext, "MAX_ROWS", 3)
    whole = FileText()
    assert whole.lines("a\nb\nc\n\n \n") and whole.unread == []
    cut = FileText()
    assert not cut.lines("a\nb\nc\nd\ne")
    assert not cut.row(["f"])
    assert (cut.rows, cut.unread) == ([["a"], ["b"], ["c"]], [TOO_MANY_ROWS])
    monkeypatch.setattr(filetext, "MAX_TEXT", 5)
    long = FileText()
    assert not long.lines("abcd\nef\ng")
    assert (long.rows, long.unread) == ([["abcd"]], [TOO_MUCH_TEXT])


def test_blank_rows_between_keep_the_numbers_of_lines() -> None:
    """A blank row in the middle counts, those at the end do not."""
    text = FileText()
    for row in (["a"], [], [" "], ["b"], [], []):
        text.row(row)
    assert text.rows == [["a"], [], [], ["b"]]


def test_a_part_is_named_once_and_not_for_ever() -> None:
    """The same part is one line; of very many the end says that there are more; a name of a file is one printable line."""
    text = FileText()
    for number in range(2 * MOST_UNREAD):
        text.miss(Unread("x", "Tệp", "File", f"ảnh\n{number // 2}.png"))
    assert len(text.unread) == MOST_UNREAD
    assert text.unread[1].detail == "ảnh 1.png"
    for number in range(5):
        text.miss(Unread("y", "Tệp", "File", str(number)))
    assert len(text.unread) == MOST_UNREAD + 1
    assert text.unread[-1] == MORE


def test_sites_that_only_links_name_are_told() -> None:
    """A link whose site stands in the words says nothing new; mail addresses and places in the text are no sites."""
    text = FileText([["xem a.example nhé"]])
    for target in ("http://www.a.example/x", "https://u@b.example:8443/y", "mailto:x@c.example", "#here", "https://b.example"):
        text.link(target)
    [told] = text.close().unread
    assert (told.code, told.detail) == (LINKS.code, "b.example")


def test_many_links_are_looked_up_and_not_searched_for() -> None:
    """A page of twenty thousand links that its words name costs a moment (searching for each in all the words took minutes)."""
    names = [f"trang-so-{number}.example" for number in range(20_000)]
    text = FileText([[f"xem {name}, và www.khac-{name}." + "x" * 200] for name in names])
    for name in names:
        text.link(f"https://{name}/")
    began = time.process_time()
    assert text.close().unread == []
    assert time.process_time() - began < 10
