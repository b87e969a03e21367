"""What people write in a few words: checked before it is stored, so that nothing of a child, no path and no number of a person stays here.

A text with a telephone number, an identity number, a class, a name of a person, a day of birth, a mail address or an address with a path is
refused with the field, what was found and what to do; it is not cleaned in silence, because then nobody would learn. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from enum import StrEnum

from blocklists.takedown.model import MASKED, TransitionRefused


class Mark(StrEnum):
    """What a text holds that must not be stored."""

    PHONE = "phone"
    ID_NUMBER = "id_number"
    CLASS = "class"
    MAIL = "mail"
    NAME = "name"
    BIRTH = "birth"
    PATH = "path"


# No pattern begins with a run that may be long: whoever has no account may send text, and it is read while others wait.
_PATTERNS = (
    (Mark.PHONE, re.compile(r"(?<!\d)(?:\+?84|0)(?:[\s.-]?\d){8,10}\b")),
    (Mark.ID_NUMBER, re.compile(r"\b\d{9}(?:\d{3})?\b")),
    (Mark.CLASS, re.compile(r"\b(?:lớp|lop|class)\s*\d{1,2}\s*[a-zđ]\d{0,2}\b", re.IGNORECASE)),
    (Mark.MAIL, re.compile(r"\S@[^\s@]{1,255}\.\S")),
    (Mark.BIRTH, re.compile(r"\b(?:sinh\s+(?:ngày|năm)|ngày\s+sinh|born\s+(?:on|in))\b", re.IGNORECASE)),
    (Mark.PATH, re.compile(r"[a-z0-9+.-]://[^\s/?#]+[/?#]\S|[\w-]\.[a-z]{2,63}(?::\d{1,5})?[/?#]\S", re.IGNORECASE)),
)
_SITE = re.compile(r"[\w-]{2}(?:\.|\[\.\]|\(\.\))[a-z]{2,}", re.IGNORECASE)
_SURNAMES = frozenset(re.findall(r"\w+", """
    nguyễn trần lê phạm hoàng huỳnh phan vũ võ đặng bùi đỗ hồ ngô dương lý đinh mai trịnh đoàn lương vương cao lâm đào hà tô tạ
    giàng vàng lò quàng tòng cà
"""))  # fmt: skip
_CALLED = frozenset({"em", "cháu", "bé", "học sinh", "con", "pupil", "child"})
_PLACES = frozenset({"hồ chí minh"})

_WORDS = {
    Mark.PHONE: ("số điện thoại", "a telephone number"),
    Mark.ID_NUMBER: ("số giấy tờ", "an identity number"),
    Mark.CLASS: ("lớp học", "a class"),
    Mark.MAIL: ("địa chỉ thư điện tử", "a mail address"),
    Mark.NAME: ("họ tên một người", "a person's name"),
    Mark.BIRTH: ("ngày sinh", "a day of birth"),
    Mark.PATH: ("đường dẫn của một trang", "an address with a path"),
}


def personal_marks(text: str) -> list[str]:
    """What in a text must not be stored; empty for a text that may be."""
    folded = unicodedata.normalize("NFC", text)
    found = [mark.value for mark, pattern in _PATTERNS if pattern.search(folded)]
    if _holds_name(folded):
        found.append(Mark.NAME.value)
    return found


def require_clean(text: str, vi: str, en: str, allow: Collection[Mark] = ()) -> str:
    """The text without outer spaces. Raises TransitionRefused that names the field (`vi`, `en`), what was found, and the remedy."""
    found = [Mark(mark) for mark in personal_marks(text) if Mark(mark) not in allow]
    if found:
        words = [_WORDS[mark] for mark in found]
        raise TransitionRefused(
            "personal_data",
            f"Ô “{vi}” có {', '.join(word[0] for word in words)}: hãy bỏ đi rồi lưu lại.",
            f"The field “{en}” holds {', '.join(word[1] for word in words)}: leave it out and save again.",
        )
    return text.strip()


def require_unnamed(text: str, category: str, vi: str, en: str) -> None:
    """Where names are masked, no text repeats one. Raises TransitionRefused."""
    if category == MASKED and _SITE.search(text):
        raise TransitionRefused(
            "masked_name",
            f"Văn bản này giữ kín tên trang: hãy bỏ tên khỏi ô “{vi}” rồi lưu lại.",
            f"Names of this document are masked: leave the name of a site out of the field “{en}” and save again.",
        )


def _holds_name(text: str) -> bool:
    """A surname with two or three capitalised words behind it, or two such words behind what a child is called."""
    words = [word.strip(".,;:!?()\"'“”") for word in text.split()]
    for place, word in enumerate(words):
        after = 0
        for word_after in words[place + 1 : place + 3]:
            if not (word_after[:1].isupper() and word_after.isalpha()):
                break
            after += 1
        whole = " ".join(words[place : place + 3]).lower()
        if word[:1].isupper() and not word.isupper() and word.lower() in _SURNAMES and after >= 2 and whole not in _PLACES:
            return True
        called = word.lower() in _CALLED or " ".join(words[max(0, place - 1) : place + 1]).lower() in _CALLED
        if called and after >= 2 and not words[place + 1].isupper():
            return True
    return False
