"""Document numbers and dates as Vietnamese offices write them. Pure; anybody may import it.

A symbol is kept exactly as written and read tolerantly: `Số: 2881/UBND - LĐT BXH`, a blank number (`/UBND-VX`, a draft before the
clerk assigns one), laws with a year (`116/2025/QH15`). The grammar is that of Decree 30/2020, appendix I: a named type stands before the
issuing body (`531/KH-UBND`), an official letter has none (`1877/UBND-CATP`). A blank stays blank: nothing here invents a number or a day.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date

TYPES = {
    "BC": "báo cáo",
    "CT": "chỉ thị",
    "CĐ": "công điện",
    "GM": "giấy mời",
    "HD": "hướng dẫn",
    "KH": "kế hoạch",
    "KL": "kết luận",
    "L": "luật",
    "NĐ": "nghị định",
    "NQ": "nghị quyết",
    "PL": "pháp lệnh",
    "QC": "quy chế",
    "QCPH": "quy chế phối hợp",
    "QĐ": "quyết định",
    "TB": "thông báo",
    "TT": "thông tư",
    "TTLT": "thông tư liên tịch",
    "TTR": "tờ trình",
    "VBHN": "văn bản hợp nhất",
    "YC": "yêu cầu",
}
_LONGEST = 120
_PREFIX = re.compile(r"^\s*(?:số|so|no\.?)\s*:?\s*", re.IGNORECASE)
_SHAPE = re.compile(r"^(?P<number>\d{0,6}[a-zA-Z]?)/(?:(?P<year>(?:19|20)\d\d)/)?(?P<rest>[^/]+)$")
_BODY = re.compile(r"^[0-9A-Za-zÀ-ỹĐđ&.]+$")
# Each gap is one run of one class and bounded: two runs of blanks side by side would be divided in every way before giving up.
_DATE = re.compile(
    r"ngày(?P<day>[\s\d.…_]{0,40})tháng(?P<month>[\s\d.…_]{0,40})năm\s{0,40}(?P<year>\d{4}|20[.…_ ]*)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Symbol:
    """A document's number and symbol: `as_written` exactly, and what could be read of it.

    `number` is None while the clerk has not assigned one; `kind` is a key of `TYPES` or None for an official letter;
    `bodies` are the issuing bodies and units in order, without inner spaces.
    """

    as_written: str
    number: int | None
    suffix: str
    year: int | None
    kind: str | None
    bodies: tuple[str, ...]

    @property
    def is_numbered(self) -> bool:
        """Whether the document has a number (a draft has none and cannot be the basis of an entry without an end)."""
        return self.number is not None

    @property
    def canonical(self) -> str:
        """One spelling for comparing two symbols: no inner spaces, NFC, upper-case bodies."""
        number = "" if self.number is None else f"{self.number:02d}{self.suffix}"
        middle = f"{self.year}/" if self.year else ""
        kind = f"{self.kind}-" if self.kind else ""
        return f"{number}/{middle}{kind}{'-'.join(self.bodies)}".rstrip("-")


@dataclass(frozen=True, slots=True)
class PartialDate:
    """A date of which the day, or day and month, may still be blank on the document."""

    year: int
    month: int | None
    day: int | None

    @property
    def complete(self) -> date | None:
        """The date when every part is there, else None."""
        if self.month is None or self.day is None:
            return None
        return date(self.year, self.month, self.day)

    def is_after(self, day: date) -> bool:
        """Whether it is later than this day, whatever its blanks are filled with."""
        return date(self.year, self.month or 1, self.day or 1) > day


class SymbolError(ValueError):
    """Text that is not a document symbol; `reason_vi` and `reason_en` say why in plain words."""

    def __init__(self, text: str, reason_vi: str, reason_en: str) -> None:
        self.text = text
        self.reason_vi = reason_vi
        self.reason_en = reason_en
        super().__init__(reason_en)


def parse_symbol(text: str) -> Symbol:
    """Read a document symbol. Raises SymbolError when there is no slash or no issuing body."""
    if len(text) > _LONGEST:
        raise SymbolError(text[:40], "số, ký hiệu quá dài", "the number and symbol are too long")
    folded = unicodedata.normalize("NFC", text).replace("\u00a0", " ").replace("–", "-").replace("−", "-")
    compact = re.sub(r"\s+", "", _PREFIX.sub("", folded))
    found = _SHAPE.match(compact)
    if not found:
        raise SymbolError(text, "không giống số, ký hiệu văn bản, ví dụ 531/KH-UBND", "not a document number such as 531/KH-UBND")
    parts = [part for part in found["rest"].split("-") if part]
    if not parts or not all(_BODY.match(part) for part in parts):
        raise SymbolError(text, "thiếu cơ quan ban hành sau dấu gạch chéo", "the issuing body after the slash is missing")
    kind = parts[0].upper() if parts[0].upper() in TYPES and len(parts) > 1 else None
    digits = re.match(r"\d+", found["number"])
    return Symbol(
        as_written=text,
        number=int(digits.group()) if digits else None,
        suffix=found["number"][digits.end() :] if digits else "",
        year=int(found["year"]) if found["year"] else None,
        kind=kind,
        bodies=tuple(part.upper() for part in (parts[1:] if kind else parts)),
    )


def find_symbols(text: str) -> list[str]:
    """The symbols that stand in a letter, as written, in order, each once: the document's own first when it has a `Số:` line."""
    found: list[str] = []
    for line in text.splitlines()[:400]:
        own = re.search(r"\bSố\s*:\s*(.{1,60})", unicodedata.normalize("NFC", line))
        pieces = [own.group(1)] if own else re.findall(r"\d{1,6}/(?:\d{4}/)?[0-9A-ZĐ&]{1,12}(?:\s?-\s?[0-9A-ZĐ&]{1,12}){0,4}", line)
        for piece in pieces:
            if own is None and not re.search("[A-ZĐ]", piece):  # a day, such as the 09/11 of 09/11/2024
                continue
            try:
                written = parse_symbol(piece.strip().rstrip(".,;)")).as_written
            except SymbolError:
                continue
            if written not in found:
                found.append(written)
    return found


def parse_date(text: str) -> PartialDate | None:
    """Read "ngày 05 tháng 8 năm 2024", "ngày   tháng 8 năm 2024" or "05/08/2024"; None when there is no date.

    An impossible day (31 tháng 2) reads as a blank day.
    """
    found = _DATE.search(unicodedata.normalize("NFC", text).replace("\u00a0", " "))
    if found:
        year, month, day = (_digits(found[part]) for part in ("year", "month", "day"))
    else:
        plain = re.search(r"\b(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})\b", text)
        if not plain:
            return None
        day, month, year = (int(part) for part in plain.groups())
    if year is None or not 1900 <= year <= 2100:
        return None
    month = month if month and 1 <= month <= 12 else None
    if month is None or not day:
        return PartialDate(year, month, None)
    try:
        date(year, month, day)
    except ValueError:
        return PartialDate(year, month, None)
    return PartialDate(year, month, day)


def _digits(text: str) -> int | None:
    """The number in a field that may hold dots or spaces for a blank."""
    only = re.sub(r"\D", "", text)
    return int(only) if only else None
