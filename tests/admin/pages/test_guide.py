"""The guides: every picture is there and small, every page named in them exists, and nothing of them is HTML."""

from __future__ import annotations

import pytest

from admin.pages.guide import FOLDER, GUIDES, Block, Span, _blocks, pictures_of, read_guide


@pytest.mark.parametrize("name", sorted(GUIDES))
def test_guide_has_a_title_parts_and_steps(name: str) -> None:
    """One title, several parts, lists to follow."""
    blocks = read_guide(name)
    kinds = [block.kind for block in blocks]
    assert kinds[0] == "h1"
    assert kinds.count("h1") == 1
    assert kinds.count("h2") >= 5
    assert {"ul", "p", "picture"} <= set(kinds)


def test_pictures_are_there_small_and_all_used() -> None:
    """`make guide-pictures` makes exactly these; a phone on a slow line loads a guide in a moment."""
    used = {name for guide in GUIDES for name in pictures_of(read_guide(guide))}
    files = {path.name: path for path in (FOLDER / "pictures").glob("*.webp")}
    assert used == set(files)
    for path in files.values():
        content = path.read_bytes()
        assert content[:4] + content[8:12] == b"RIFFWEBP"
        assert len(content) < 50_000


def test_no_html_of_a_guide_reaches_a_page() -> None:
    """Markup in a guide stays text; what is not known is left out."""
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark", {"html": False}).parse("Một <b>chữ</b> **đậm** `mã` [liên kết](/why)\n\n1. một\n2. hai\n")
    blocks = list(_blocks(tokens))
    assert blocks[0] == Block(
        "p",
        (
            Span("text", "Một <b>chữ</b> "),
            Span("strong", "đậm"),
            Span("text", " "),
            Span("code", "mã"),
            Span("text", " "),
            Span("link", "liên kết", "/why"),
        ),
    )
    assert [item[0].text for item in blocks[1].items] == ["một", "hai"]


def test_unknown_guide_is_none() -> None:
    """No path of the disk is built from a request."""
    with pytest.raises(KeyError):
        read_guide("../README")
