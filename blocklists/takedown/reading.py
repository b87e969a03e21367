"""Pasted text, letters and mail → the addresses that stand in it, in order, with their line. Pure.

A line that is one address alone is a row whatever it looks like, so that a mistyped address is reported and not lost. In a sentence only
what looks like an address counts: something with a scheme, or a dotted name whose ending is in the public suffix list. Document
numbers, dates, amounts, mail addresses and abbreviations in the prose of a letter are not addresses.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MAX_LINE = 4096

_ENDLESS = re.compile(rf"(?<![^\s,;])[^\s,;]{{{MAX_LINE + 1}}}")
_BRACKET_DOT = re.compile(r"\s*[\[({]\s*(?:\.|dot|chấm)\s*[\])}]\s*", re.IGNORECASE)
_SPACED_NAME = re.compile(r"[\w-]+(?:\s*\.\s*[\w-]+)+\.?", re.UNICODE)
_MARKER = re.compile(r"^\s*(?:\(?\d{1,6}[.)]|[-–—*•+])\s+")
_SCHEME = re.compile(r"^h(?:tt|xx|xt|tx|\*\*)ps?(?::|\[:\])(?://|\[//\]|\\\\)", re.IGNORECASE)
_NAME = re.compile(r"^(?:\*\.)?(?:[\w-]+\.)+(?P<ending>[^\W\d_][\w-]*)\.?(?::\d{1,5})?(?:[/?#].*)?$", re.UNICODE)
_IPV4 = re.compile(r"^\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?(?:/\S*)?$")
_GAP = re.compile(r"\s{2,}")
_TRIM = "\"'`“”‘’«»<>()[]{},;!…"


@dataclass(frozen=True, slots=True)
class Found:
    """An address as it stands in the text: its line (from 1) and itself. `alone` says that the line holds nothing else."""

    line: int
    text: str
    alone: bool


def find_addresses(text: str, endings: frozenset[str]) -> Iterator[Found]:
    """The addresses of a text, line by line. `endings` are the top-level names that exist (A-labels and letters)."""
    for number, line in enumerate(text.splitlines(), 1):
        for piece in _pieces(line):
            yield from _of_line(number, piece, endings)


def find_in_cells(rows: Iterable[Iterable[object]], endings: frozenset[str]) -> Iterator[Found]:
    """The addresses of a table: in each row, the cells that hold one; a cell is read like a line."""
    for number, row in enumerate(rows, 1):
        for cell in row:
            if isinstance(cell, str) and cell.strip():
                for piece in _pieces(cell):
                    for found in _of_line(number, piece, endings):
                        if not found.alone or _looks_like_address(found.text, endings) or _is_mistyped(found.text, endings):
                            yield found


def has_endless_word(text: str) -> bool:
    """Whether a word is so long that only its beginning was read, or nothing of it."""
    return len(text) > MAX_LINE and _ENDLESS.search(text) is not None


def _pieces(line: str) -> Iterator[str]:
    """A long line, as a paragraph of a letter is one, in parts of at most MAX_LINE letters, divided between its words: a name that was cut
    would be another one. A word that is longer still is cut in its path, behind the name, and is no address where it has none."""
    if len(line) <= MAX_LINE:
        yield line
        return
    piece = ""
    for word in re.split(r"(?<=[\s,;])", line):
        if len(word) > MAX_LINE:
            word = word[:MAX_LINE] if "/" in _SCHEME.sub("", word[:MAX_LINE]) else ""
        if len(piece) + len(word) > MAX_LINE:
            yield piece
            piece = ""
        piece += word
    yield piece


_LOST_DOT = re.compile(r"\s*\d{1,5}\s*[.)/-]?\s+[a-z0-9-]{3,60}(?:com|net|org|info|vn|xyz|club|vip|online)\s*", re.IGNORECASE)
"""A numbered row with one word that ends like a name and has no dot: told as a row that cannot be read, never mended."""


def _of_line(number: int, line: str, endings: frozenset[str]) -> Iterator[Found]:
    folded = _GAP.sub(" ", unicodedata.normalize("NFC", line).replace("\u00a0", " "))
    bare = _MARKER.sub("", _BRACKET_DOT.sub(".", folded)).strip()
    if not bare:
        return
    if not re.search(r"\s", bare) or _SPACED_NAME.fullmatch(bare):
        if (re.search(r"[.\[:/。．]", bare) and not _is_mail_header(bare)) or _is_mistyped(bare, endings) or _LOST_DOT.fullmatch(folded):
            yield from (Found(number, one, alone=True) for one in _apart(bare, endings))
        return
    for word in bare.split():
        token = word.strip(_TRIM).rstrip(".:")
        if _looks_like_address(token, endings) or _is_mistyped(token, endings):
            yield from (Found(number, one, alone=False) for one in _apart(token, endings))


def _apart(token: str, endings: frozenset[str]) -> list[str]:
    """Several addresses that only commas divide, one by one; anything else as it is."""
    parts = [part for part in re.split("[,;]", token) if part]
    return parts if len(parts) > 1 and all(_looks_like_address(part, endings) for part in parts) else [token]


def _is_mistyped(token: str, endings: frozenset[str]) -> bool:
    """Whether it would be a name if a comma, a semicolon or a middle dot in it were a dot: typing and scanning make them. It is told as a
    row that cannot be read, never mended."""
    host = re.split("[/?#]", _SCHEME.sub("", token), maxsplit=1)[0]
    return re.search("[,;·]", host) is not None and _looks_like_address(re.sub("[,;·]", ".", host), endings)


def _looks_like_address(token: str, endings: frozenset[str]) -> bool:
    if _SCHEME.match(token) or _IPV4.match(token):
        return True
    if "@" in token.split("/")[0]:
        return False
    found = _NAME.match(token)
    if found is None or found["ending"].lower() not in endings:
        return False
    # "789.club" is a name; "0213.3876.xxx" is a telephone number with its end hidden.
    front = token[: found.start("ending")].rstrip(".").split(".")
    return len(front) == 1 or not all(label.isdigit() for label in front)


def _is_mail_header(text: str) -> bool:
    return text.endswith(":") and "." not in text
