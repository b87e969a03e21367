"""The guides for people (`admin/guides/*.md`), read into blocks that a template shows: no HTML of a guide ever reaches a page.

The files are ordinary Markdown, so that they read well in the repository too; what they may use is headings, paragraphs, lists, code,
pictures from `admin/guides/pictures`, strong words and links.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

FOLDER = Path(__file__).parent.parent / "guides"
#: The guides by the last part of their address: for whom, in Vietnamese and English.
GUIDES = {"phu-huynh": "parent", "nha-truong": "school", "van-hanh": "operator", "co-quan": "office"}


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a line: plain text, strong, code, or a link to `target`."""

    kind: str
    text: str
    target: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """A heading (`h1` to `h3`), a paragraph (`p`), a list (`ul`, `ol`) with its items, a `code` block, or a `picture`."""

    kind: str
    spans: tuple[Span, ...] = ()
    items: tuple[tuple[Span, ...], ...] = ()
    anchor: str = ""


@cache
def read_guide(name: str) -> tuple[Block, ...]:
    """The blocks of a guide; KeyError for one that does not exist."""
    if name not in GUIDES:
        raise KeyError(name)
    return tuple(_blocks(MarkdownIt("commonmark", {"html": False}).parse((FOLDER / f"{name}.md").read_text(encoding="utf-8"))))


def pictures_of(blocks: Sequence[Block]) -> list[str]:
    """The file names of the pictures that a guide shows."""
    return [block.spans[0].target for block in blocks if block.kind == "picture"]


@cache
def picture_size(name: str) -> tuple[int, int]:
    """Width and height of a picture in pixels, from its own head (WebP container, "VP8X"), so that a page keeps its place free."""
    head = (FOLDER / "pictures" / name).read_bytes()[:30]
    return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1


def _blocks(tokens: Sequence[Token]) -> Iterator[Block]:
    place = count = 0
    while place < len(tokens):
        token = tokens[place]
        if token.type == "heading_open":
            count += 1
            yield Block(token.tag, _spans(tokens[place + 1]), anchor=f"m{count}")
        elif token.type == "paragraph_open":
            spans = _spans(tokens[place + 1])
            yield Block("picture" if [span.kind for span in spans] == ["picture"] else "p", spans)
        elif token.type in ("bullet_list_open", "ordered_list_open"):
            end = next(
                at for at in range(place, len(tokens)) if tokens[at].level == token.level and tokens[at].type == token.type[:-4] + "close"
            )
            yield Block(token.tag, items=tuple(_spans(one) for one in tokens[place:end] if one.type == "inline"))
            place = end
        elif token.type == "fence":
            yield Block("code", (Span("text", token.content),))
        place += 1


def _spans(inline: Token) -> tuple[Span, ...]:
    found: list[Span] = []
    kind, target = "text", ""
    for token in inline.children or ():
        match token.type:
            case "strong_open":
                kind = "strong"
            case "link_open":
                kind, target = "link", str(token.attrs["href"])
            case "strong_close" | "link_close":
                kind, target = "text", ""
            case "image":
                found.append(Span("picture", token.content, Path(str(token.attrs["src"])).name))
            case "code_inline":
                found.append(Span("code", token.content))
            case "softbreak":
                found.append(Span("text", " "))
            case "text" if token.content:
                found.append(Span(kind, token.content, target))
    return tuple(found)
