"""What a letter says about itself: its symbol, day, issuer, subject, basis, urgency and end. Pure; whatever is not found stays empty.

Reads the layout of Decree 30/2020, appendix I, as it arrives by pasting: two columns run together, hard line breaks, capitals. It only
fills in a form that a person checks; nothing is decided from it.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date

from blocklists.takedown.documents import PartialDate, SymbolError, find_symbols, parse_date, parse_symbol

LONGEST = 400_000
_HEAD_LINES = 30
_URGENT = re.compile(r"^\W*(?:hỏa\s+tốc|hoả\s+tốc|thượng\s+khẩn|khẩn)(?:\s+hẹn\s+giờ)?\W*$", re.IGNORECASE)
_ISSUER = re.compile(r"^(?:ỦY BAN|UỶ BAN|SỞ |CÔNG AN|BỘ |CỤC |PHÒNG |THANH TRA|BAN |TRUNG TÂM|BỘ CHỈ HUY|UBND )[^\d]{2,100}$", re.UNICODE)
_MOTTO = re.compile(r"CỘNG\s*H[OÒ][AÀ]\s*XÃ\s*HỘI.*$|Độc\s*lập\s*[-–].*$", re.IGNORECASE)
_SUBJECT = re.compile(r"^\W*(?:V/v|Về việc)\s*:?\s*(?P<text>.+)$", re.IGNORECASE)
_CAPACITY = re.compile(r"^\W*(?P<mark>KT|TM|TL|TUQ|Q)\.\s*(?P<office>[^\d\n]{2,80})$")
_UNTIL = re.compile(r"(?:đến\s+hết|hết\s+hiệu\s+lực|đến)\s+(?:hết\s+)?(?P<day>ngày[^.;\n]{4,60})", re.IGNORECASE)
_DAYS = re.compile(
    r"(?:trong\s+)?(?:thời\s+hạn|thời\s+gian)(?:\s+(?:chặn|là))?\s*:?\s*(?P<days>\d{1,3})(?:\s*\([^)\n]{0,60}\))?\s*ngày", re.IGNORECASE
)
_LAW = re.compile(r"/QH\d+|/NĐ-CP|\bLuật\b")
_LONG_GAP = re.compile(r"\s{41,}")


@dataclass(frozen=True, slots=True)
class Letter:
    """What was found; every part may be empty. `basis` are symbols as written, each with whether it is a law or decree."""

    symbol: str = ""
    issued_on: PartialDate | None = None
    issuer: str = ""
    capacity: str = ""
    subject: str = ""
    basis: tuple[tuple[str, bool], ...] = ()
    urgent: bool = False
    until: date | None = None
    days: int | None = None


def read_letter(text: str) -> Letter:
    """Read a pasted letter. The work grows with its length only, whatever it says: a page of blanks is a gap like any other."""
    folded = _LONG_GAP.sub(lambda gap: gap[0][:40], unicodedata.normalize("NFC", text[:LONGEST]).replace("\u00a0", " "))
    lines = [line.strip() for line in folded.splitlines()]
    symbols = find_symbols(folded)
    own = _own_symbol(lines)
    until = _UNTIL.search(folded)
    ends = parse_date(until["day"]) if until else None
    days = _DAYS.search(folded)
    return Letter(
        symbol=own,
        issued_on=next((found for line in lines[:_HEAD_LINES] if (found := parse_date(line)) not in (None, ends)), None),
        issuer=_issuer(lines),
        capacity=next((f"{mark['mark']}. {mark['office'].strip()}" for line in lines if (mark := _CAPACITY.match(line))), ""),
        subject=_subject(lines),
        basis=tuple((symbol, bool(_LAW.search(symbol))) for symbol in symbols if symbol.strip() != own.strip()),
        urgent=any(_URGENT.match(line) for line in lines[:_HEAD_LINES]),
        until=ends.complete if ends else None,
        days=int(days["days"]) if days else None,
    )


def _own_symbol(lines: list[str]) -> str:
    """The symbol behind `Số:`, as written, without what the other column put behind it."""
    for line in lines[:_HEAD_LINES]:
        found = re.search(r"\bSố\s*:\s*(?P<text>.{1,80})", line)
        if not found:
            continue
        written = re.split(r"\s{3,}|\t|,?\s+ngày\b|[A-ZĐ][a-zà-ỹ]+(?:\s[A-ZĐ][a-zà-ỹ]+)*,\s*ngày", found["text"])[0].strip()
        try:
            return parse_symbol(written).as_written
        except SymbolError:
            continue
    return ""


def _issuer(lines: list[str]) -> str:
    """The issuing body: the first lines in capitals that name one, the superior first."""
    found: list[str] = []
    for line in lines[:_HEAD_LINES]:
        bare = " ".join(_MOTTO.sub("", line).split())
        if bare.isupper() and _ISSUER.match(bare):
            found.append(bare)
        elif found:
            break
    return " - ".join(found[:2])


def _subject(lines: list[str]) -> str:
    for place, line in enumerate(lines[:60]):
        found = _SUBJECT.match(line)
        if found:
            # A subject in the narrow left column runs over a few short lines.
            parts = [found["text"].strip()]
            for following in lines[place + 1 : place + 4]:
                if not following or following[:1].isupper() or following.endswith(":"):
                    break
                parts.append(following)
            return " ".join(parts)[:300]
    return ""
