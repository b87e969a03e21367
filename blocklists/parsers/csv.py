"""Comma-separated lists: `name[,category][,match]`, with or without a header row. `blocklists.parsers.detect` imports it.

The separator is a comma, a semicolon or a tab. A category column wins over the category of the source; it may only name categories that
lists may fill. `match` is `both` (the name and all below, the default), `exact` or `below`.
"""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from blocklists.parsers import Bucket, Harvest, Match, Options
from blocklists.parsers.names import is_comment, note_fact, take_name
from blocklists.rejections import Reason

_NAME: Final = frozenset({"name", "domain", "domains", "host", "hostname", "url", "website", "ten mien", "trang web", "dia chi"})
_CATEGORY: Final = frozenset({"category", "code", "nhom", "nhom noi dung", "the loai", "ma nhom"})
_MATCH: Final = frozenset({"match", "scope", "pham vi"})
_MATCHES: Final = {"": Match.BOTH, "both": Match.BOTH, "exact": Match.EXACT, "below": Match.BELOW}


@dataclass(slots=True)
class _Columns:
    """Which column holds what; -1 when there is none."""

    name: int = 0
    category: int = 1
    match: int = 2


def parse(lines: Iterable[str], harvest: Harvest, options: Options) -> None:
    """Read rows of names. Quotes must close on their own line."""
    columns: _Columns | None = None
    separator = ""
    for number, line in enumerate(lines, 1):
        line = line.strip("\r\n ")
        if is_comment(line):
            note_fact(harvest, number, line)
            continue
        separator = separator or separator_of(line)
        try:
            row = [cell.strip() for cell in next(csv.reader([line], delimiter=separator, strict=True))]
        except (csv.Error, StopIteration):
            harvest.reject(Reason.NOT_A_RULE, number, line)
            continue
        if columns is None:
            columns = _header(row)
            if columns is not None:
                continue
            columns = _Columns()
        _take_row(row, number, harvest, options, columns)


def separator_of(line: str) -> str:
    """The separator a row uses: whichever of comma, semicolon and tab it has most of."""
    return max(",;\t", key=line.count)


def _header(row: list[str]) -> _Columns | None:
    """The columns that a header row names; None when the row is no header."""
    words = [_plain(cell) for cell in row]
    if not any(word in _NAME for word in words):
        return None
    found = _Columns(-1, -1, -1)
    for index, word in enumerate(words):
        if word in _NAME and found.name < 0:
            found.name = index
        elif word in _CATEGORY and found.category < 0:
            found.category = index
        elif word in _MATCH and found.match < 0:
            found.match = index
    return found


def _take_row(row: list[str], number: int, harvest: Harvest, options: Options, columns: _Columns) -> None:
    name = _cell(row, columns.name)
    category = _cell(row, columns.category).lower() or None
    match = _MATCHES.get(_cell(row, columns.match).lower())
    if match is None:
        harvest.reject(Reason.NOT_A_RULE, number, ",".join(row))
        return
    if category is not None and category not in options.categories:
        harvest.reject(Reason.UNKNOWN_CATEGORY, number, ",".join(row))
        return
    if category is not None and not options.categories[category]:
        harvest.reject(Reason.CLOSED_CATEGORY, number, ",".join(row))
        return
    take_name(harvest, number, name, Bucket(category, match=match))


def _cell(row: list[str], column: int) -> str:
    return row[column] if 0 <= column < len(row) else ""


def _plain(cell: str) -> str:
    letters = unicodedata.normalize("NFD", cell.strip().lower().replace("đ", "d"))
    return " ".join("".join(letter for letter in letters if not unicodedata.combining(letter)).replace("_", " ").split())
