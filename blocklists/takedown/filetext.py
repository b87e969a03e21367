"""What a file gives: rows of cells, and what of it was not read; the faults of a file that gives nothing. No I/O.

The readers of each kind (`officefiles`, `wordfiles`, `workbooks`, `mailfiles`) fill a `FileText`; `admin` shows what it did not take.
Nothing is left out in silence: whatever a bound or a reader passes over becomes an `Unread`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from gateway.errors import LachanError

MAX_ROWS = 200_000
MAX_TEXT = 20_000_000
MOST_UNREAD = 30
"""So many parts that were not read are named one by one."""
_LINKED_HOST = re.compile(r"\s*https?:/*(?:[^/?#\s@]*@)?(?:www\.)?([^/?#\s:@]+)", re.IGNORECASE)
_BETWEEN_NAMES = re.compile(r"[^\w.-]+")
_LONGEST_DETAIL = 120


class UnreadableFile(LachanError):
    """A file that cannot be read; the sentences say what to do instead."""

    def __init__(self, code: str, vi: str, en: str) -> None:
        self.code = code
        self.vi = vi
        self.en = en
        super().__init__(en)


@dataclass(frozen=True, slots=True)
class Unread:
    """A part that was not read, said in both languages. `detail` is what the file calls it, and may hold the name of a site."""

    code: str
    vi: str
    en: str
    detail: str = ""


TOO_MANY_ROWS = Unread(
    "rows", "Chỉ đọc 200.000 dòng đầu: hãy tách tệp ra.", "Only the first 200,000 lines were read: split the file."
)  # fmt: skip
TOO_MUCH_TEXT = Unread(
    "letters", "Chỉ đọc 20 triệu chữ đầu: hãy tách tệp ra.", "Only the first 20 million letters were read: split the file."
)  # fmt: skip
ENDLESS_WORD = Unread(
    "long_word", "Có một chuỗi hơn 4.096 chữ liền nhau không đọc hết: hãy tách bằng dấu cách hoặc xuống dòng.",
    "A string of more than 4,096 letters without a blank was not read to its end: divide it by blanks or lines.",
)  # fmt: skip
LINKS = Unread(
    "links", "Liên kết dẫn tới trang mà chữ không nêu tên: hãy gõ địa chỉ nếu đó là trang phải chặn.",
    "Links lead to sites that the words do not name: type the address if it is one to block.",
)  # fmt: skip
MORE = Unread("more", "Còn những phần khác chưa đọc.", "Other parts were not read, either.")


class FileText:
    """The rows of one file in their order (a text has one cell a row) within the bounds, and what was not read."""

    def __init__(self, rows: Iterable[Sequence[str]] = (), unread: Iterable[Unread] = ()) -> None:
        self.rows = [list(row) for row in rows]
        self.unread = list(unread)
        self._letters = 0
        self._blank = 0
        self._is_full = False
        self._links: list[str] = []

    def row(self, cells: Iterable[str]) -> bool:
        """Take a row. False when a bound is reached: nothing more is taken, and whoever reads may stop."""
        kept = list(cells)
        if not any(cell.strip() for cell in kept):
            self._blank += 1  # the blank end of a sheet is not worth a row, blank rows between are, for the numbers of lines
            return not self._is_full
        self._letters += sum(len(cell) for cell in kept)
        if len(self.rows) + self._blank >= MAX_ROWS or self._letters > MAX_TEXT:
            self._is_full = True
        if self._is_full:
            self.miss(TOO_MUCH_TEXT if self._letters > MAX_TEXT else TOO_MANY_ROWS)
            return False
        self.rows += [[] for _ in range(self._blank)]
        self._blank = 0
        self.rows.append(kept)
        return True

    def lines(self, text: str) -> bool:
        """Take a text line by line; False as `row` does."""
        return all(self.row([line]) for line in text.splitlines())

    def miss(self, part: Unread) -> None:
        """Note a part that was not read, once."""
        if MORE in self.unread:
            return
        detail = "".join(sign if sign.isprintable() else " " for sign in part.detail[:_LONGEST_DETAIL]).strip()
        named = replace(part, detail=detail)
        if named not in self.unread:
            self.unread.append(named if len(self.unread) < MOST_UNREAD else MORE)

    def link(self, target: str) -> None:
        """Note where a link leads whose words were taken."""
        self._links.append(target)

    def close(self) -> FileText:
        """Name the sites that only links lead to: no address stands there for a person to read, so none is taken from it."""
        if not self._links:
            return self
        text = "\n".join(" ".join(row) for row in self.rows).lower()
        words = {word.removeprefix("www.") for word in _BETWEEN_NAMES.split(text)}
        hosts = dict.fromkeys(found[1].lower() for target in self._links if (found := _LINKED_HOST.match(target)))
        # What stands there as a word is found at once; only the rest is looked for letter by letter, until enough are known to be told.
        unnamed = list(islice((host for host in hosts if "." in host and host not in words and host not in text), MOST_UNREAD))
        if unnamed:
            self.miss(replace(LINKS, detail=", ".join(unnamed)))
        return self
