"""What is read in a child's note before it is sent: words of distress (help comes first), and things better left out. Pure.

Matching ignores case and diacritics, so that "muon chet" is understood like "muốn chết". It errs on the side of showing help: showing
111 to somebody who did not need it costs one press.
"""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum

_DISTRESS = (
    "tu tu",
    "tu sat",
    "tu hai",
    "muon chet",
    "chet di",
    "chet quach",
    "khong muon song",
    "chan song",
    "het muon song",
    "rach tay",
    "cat tay",
    "uong thuoc ngu",
    "lam dau minh",
    "lam dau ban than",
    "bi danh",
    "danh em",
    "danh con",
    "bi ep",
    "ep con",
    "ep em",
    "bi doa",
    "doa dang",
    "doa giet",
    "tong tien",
    "anh nong",
    "anh khoa than",
    "goi anh",
    "gui anh nhay cam",
    "xam hai",
    "quay roi",
    "hiep dam",
    "cuong hiep",
    "so mo",
    "sam so",
    "bo nha di",
    "bat coc",
    "so qua",
    "cuu con",
    "cuu em",
    "cuu toi",
    "kill myself",
    "suicide",
    "want to die",
    "self harm",
    "cut myself",
    "hurt myself",
    "hits me",
    "beats me",
    "touched me",
    "touches me",
    "raped",
    "blackmail",
    "naked pictures",
    "nude",
    "threatens me",
    "help me",
)


class Hint(StrEnum):
    """Things better left out of a note."""

    PHONE = "phone"
    MAIL = "mail"
    SCHOOL_CLASS = "class"
    NAME = "name"


_PHONE = re.compile(r"(?:\+?84|0)(?:[ .-]?\d){8,10}\b")
_MAIL = re.compile(r"[\w.+-]+@[\w-]+\.\w+")
_CLASS = re.compile(r"\b(?:lớp|lop|class)\s*\d{1,2}", re.IGNORECASE)
_FULL_NAME = re.compile(r"\b(?:tên|ten|là|la|i am|my name is)\s+(?:[A-ZĐÀ-Ỹ][\w]*\s+){1,3}[A-ZĐÀ-Ỹ]\w*")


def is_distressed(note: str) -> bool:
    """Whether a note has words after which help is shown before anything else."""
    folded = f" {fold(note)} "
    return any(f" {words} " in folded for words in _DISTRESS)


def hints_for(note: str) -> list[Hint]:
    """What a child had better leave out: a phone number, an address for mail, a class, a full name."""
    composed = unicodedata.normalize("NFC", note)
    found = [(Hint.PHONE, _PHONE), (Hint.MAIL, _MAIL), (Hint.SCHOOL_CLASS, _CLASS), (Hint.NAME, _FULL_NAME)]
    return [hint for hint, pattern in found if pattern.search(composed)]


def fold(text: str) -> str:
    """Letters without diacritics and case, single spaces: for finding what people meant, never for showing."""
    plain = unicodedata.normalize("NFD", text.casefold()).replace("đ", "d")
    letters = "".join(sign for sign in plain if not unicodedata.combining(sign))
    return " ".join(re.sub(r"[^\w]+", " ", letters).split())
