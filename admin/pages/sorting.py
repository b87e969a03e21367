"""The order of the Vietnamese alphabet: ă and â after a, đ after d, tones only where letters are the same; numbers by their size.

Any room may import it. Not for finding: that is `admin.asking.fold`, which knows no marks at all.
"""

from __future__ import annotations

import re
import unicodedata

_LETTERS = {letter: rank for rank, letter in enumerate("aăâbcdđeêfghijklmnoôơpqrstuưvwxyz")}
#: The five marks of tone in the order of dictionaries: huyền, hỏi, ngã, sắc, nặng.
_TONES = {"\u0300": 1, "\u0309": 2, "\u0303": 3, "\u0301": 4, "\u0323": 5}
_PARTS = re.compile(r"\d+|\D")

Key = tuple[tuple[tuple[int, int], ...], tuple[int, ...], str]


def vietnamese_order(text: str) -> Key:
    """What to sort by: the letters, then the tones, then the text itself, so that the order is the same every time."""
    toneless: list[str] = []
    tones: list[int] = []
    for sign in unicodedata.normalize("NFD", text.casefold()):
        if sign in _TONES and tones:
            tones[-1] = _TONES[sign]
        else:
            toneless.append(sign)
            tones.append(0)
    letters = unicodedata.normalize("NFC", "".join(toneless))
    return tuple(_rank(part) for part in _PARTS.findall(letters)), tuple(tones), text


def _rank(part: str) -> tuple[int, int]:
    """Spaces and signs first, then numbers, then letters, then whatever else is written."""
    if part.isdecimal():
        return 1, int(part)
    if part in _LETTERS:
        return 2, _LETTERS[part]
    return (3 if part.isalpha() else 0), ord(part[0])
