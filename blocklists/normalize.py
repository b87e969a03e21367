"""Text as people and lists write it → one host name in canonical form, or the reason why it is none. Pure.

`blocklists` and `admin` may import this module. It reads plain names, URLs, defanged names (`hxxp://bad[.]site`), full-width and
invisible letters, decomposed Vietnamese, ports, user names and trailing dots. International names follow UTS #46 non-transitional
processing and IDNA 2008; lengths are checked before any IDNA code runs. Underscores and hyphens are accepted wherever DNS accepts
them. Every position in a rejection is one of the text as it was given.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

import idna

from blocklists.rejections import Reason, Rejection

MAX_TEXT: Final = 4096
_MAX_NAME: Final = 253
_MAX_LABEL: Final = 63
_MAX_BEFORE_NFC: Final = 1024  # a name of 253 Vietnamese letters, each decomposed into three code points, stays below

_PLAIN: Final = re.compile(r"(?:[a-z0-9_-]{1,63}\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?").fullmatch
_LABEL: Final = re.compile(r"[a-z0-9_-]+").fullmatch

_DOTS: Final = frozenset("\u3002\uff61\ufe52\u2024")
_INVISIBLE: Final = frozenset("\u200b\u2060\ufeff\u00ad\u180e") | frozenset(map(chr, range(0xFE00, 0xFE10)))
_JOINERS: Final = frozenset("\u200c\u200d")
_DIRECTION: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_WRAPPING: Final = " \"'`<>“”‘’«»,;"

_DEFANGED: Final = (
    (re.compile(r"\s*[\[({<]\s*(?:\.|dot|d0t|chấm|cham)\s*[\])}>]\s*|\s*\[\.\s*|\s*\.\]\s*|\\\.", re.I), "."),
    (re.compile(r"\[://\]|\[:\]//", re.I), "://"),
    (re.compile(r"\[:\]"), ":"),
    (re.compile(r"\[/\]"), "/"),
    (re.compile(r"^\s*h(?:xx|xt|tx|\*\*|__)p(?=s?:)", re.I), "http"),
    (re.compile(r"\s*\.\s*"), "."),
)
_SCHEME: Final = re.compile(r"\s*([a-z][a-z0-9+.-]{1,20}):(?:[/\\]{2,})|\s*//", re.I)
_MAIL: Final = re.compile(r"\s*mailto:", re.I)
_PATH: Final = re.compile(r"[/\\?#]")
_NUMBER: Final = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+")


@dataclass(frozen=True, slots=True)
class Host:
    """One host name.

    `name` is lower-case ASCII (A-labels) without a final dot; `key` is its index key (`com.example.www.`). `wildcard` says that it was
    written as `*.name`. `has_path` and `port` tell what stood behind the name: a rule on the name is wider than what was written.
    """

    name: str
    key: str
    wildcard: bool = False
    has_path: bool = False
    port: int | None = None


def normalize_host(text: str) -> Host | Rejection:
    """Read one host name out of `text`. The text is the name alone (with what a URL adds), not a sentence with a name in it."""
    key = plain_key(text)
    if key is not None:
        return Host(text.lower(), key)
    if len(text) > MAX_TEXT:
        return Rejection(Reason.NAME_TOO_LONG)
    folded = _fold(text)
    return folded if isinstance(folded, Rejection) else _Reader(folded).read()


def plain_key(text: str) -> str | None:
    """The index key of a name that needs no work at all (almost every line of a list); None when `normalize_host` must look at it."""
    name = text.lower()
    if len(name) > _MAX_NAME or _PLAIN(name) is None:
        return None
    return key_of_name(name)


def key_of_name(name: str) -> str:
    """The index key of a lower-case name whose labels hold only `a-z 0-9 _ -`."""
    labels = name.split(".")
    labels.reverse()
    return ".".join(labels) + "."


def name_of_key(key: str) -> str:
    """The name of a key made by `key_of_name`."""
    labels = key[:-1].split(".")
    labels.reverse()
    return ".".join(labels)


@dataclass(frozen=True, slots=True)
class _Text:
    """Text whose every character knows its place in the text as given."""

    text: str
    places: tuple[int, ...]

    def cut(self, start: int, end: int | None = None) -> _Text:
        return _Text(self.text[start:end], self.places[start:end])

    def replace(self, pattern: re.Pattern[str], new: str) -> _Text:
        pieces: list[str] = []
        places: list[int] = []
        pos = 0
        for match in pattern.finditer(self.text):
            start, end = match.span()
            pieces += (self.text[pos:start], new)
            places += self.places[pos:start]
            places += [self.places[start]] * len(new)
            pos = end
        return _Text("".join(pieces) + self.text[pos:], (*places, *self.places[pos:])) if pieces else self

    def strip(self, unwanted: str) -> _Text:
        left = len(self.text) - len(self.text.lstrip(unwanted))
        return self.cut(left, max(left, len(self.text.rstrip(unwanted))))

    def reject(self, reason: Reason, index: int) -> Rejection:
        return Rejection(reason, self.places[index], self.text[index])


def _fold(text: str) -> _Text | Rejection:
    """Fold full-width letters, dots and spaces; drop what nobody can see; refuse what turns the reading direction round."""
    letters: list[str] = []
    places: list[int] = []
    joiners = not text.translate(dict.fromkeys(map(ord, _JOINERS | _INVISIBLE))).isascii()
    for place, letter in enumerate(text):
        code = ord(letter)
        if 0xFF01 <= code <= 0xFF5E:
            letter = chr(code - 0xFEE0)
        elif letter in _DOTS:
            letter = "."
        elif letter.isspace():
            if letters and letters[-1] == " ":
                continue  # one space stands for any number, so that no pattern below has to walk over thousands
            letter = " "
        elif letter in _INVISIBLE or (letter in _JOINERS and not joiners):
            continue
        elif letter in _DIRECTION or code == 0xFFFD or unicodedata.category(letter) in ("Cc", "Cs", "Co"):
            return Rejection(Reason.BAD_CHARACTER, place, letter)
        letters.append(letter)
        places.append(place)
    return _Text("".join(letters), tuple(places))


class _Reader:
    """The steps from folded text to a host, in the order in which a URL is built."""

    def __init__(self, text: _Text) -> None:
        for pattern, new in _DEFANGED:
            text = text.replace(pattern, new)
        self.text = text.strip(_WRAPPING)

    def read(self) -> Host | Rejection:
        text = self.text
        if mail := _MAIL.match(text.text):
            return text.reject(Reason.EMAIL, mail.start())
        scheme = _SCHEME.match(text.text)
        if scheme:
            text = text.cut(scheme.end())
        path = _PATH.search(text.text)
        has_path = bool(path and text.text[path.start() :].strip("/\\?# "))
        if path:
            text = text.cut(0, path.start())
        at = text.text.rfind("@")
        if at >= 0:
            if not scheme:
                return text.reject(Reason.EMAIL, at)
            text = text.cut(at + 1)
        text = text.strip(" ")
        if text.text.startswith("[") or text.text.count(":") > 1:
            return _read_ipv6(text)
        colon = text.text.find(":")
        port = None
        if colon >= 0:
            digits = text.text[colon + 1 :]
            if digits and not (digits.isascii() and digits.isdigit() and int(digits[:6]) <= 65_535):
                return text.reject(Reason.BAD_CHARACTER, colon)
            port = int(digits) if digits else None
            text = text.cut(0, colon)
        return _read_name(text, has_path, port)


def _read_ipv6(text: _Text) -> Rejection:
    inner = text.text[1:].partition("]")[0] if text.text.startswith("[") else text.text
    if re.fullmatch(r"[0-9a-fA-F:.]{2,45}(?:%[\w.-]{0,16})?", inner) and ":" in inner:
        return Rejection(Reason.IP_ONLY)
    return text.reject(Reason.BAD_CHARACTER, 0 if text.text.startswith("[") else text.text.find(":"))


def _read_name(text: _Text, has_path: bool, port: int | None) -> Host | Rejection:
    wildcard = text.text.startswith("*.")
    if wildcard:
        text = text.cut(2)
    elif text.text.startswith("."):
        text = text.cut(1)
    if text.text.endswith("."):
        text = text.cut(0, -1)
    if not text.text:
        return Rejection(Reason.EMPTY)
    star = text.text.find("*")
    if star >= 0:
        return text.reject(Reason.WILDCARD_INSIDE, star)
    name = text.text.lower() if text.text.isascii() else _to_ascii(text)
    if isinstance(name, Rejection):
        return name
    fault = _fault_of(name, text)
    if fault is not None:
        return fault
    last = name.rpartition(".")[2]
    if _NUMBER.fullmatch(last):
        return Rejection(Reason.IP_ONLY if _is_ipv4(name) else Reason.NUMERIC_END)
    return Host(name, key_of_name(name), wildcard, has_path, port)


def _fault_of(name: str, text: _Text) -> Rejection | None:
    """What is wrong with an ASCII name; positions are given where the name still is the text letter by letter."""
    exact = len(name) == len(text.text)
    pos = 0
    for label in name.split("."):
        if not label:
            return Rejection(Reason.EMPTY_LABEL, text.places[min(pos, len(text.places) - 1)]) if exact else Rejection(Reason.EMPTY_LABEL)
        if len(label) > _MAX_LABEL:
            return Rejection(Reason.LABEL_TOO_LONG, text.places[pos]) if exact else Rejection(Reason.LABEL_TOO_LONG)
        if not _LABEL(label):
            odd = next(index for index, letter in enumerate(label) if not _LABEL(letter))
            return text.reject(Reason.BAD_CHARACTER, pos + odd) if exact else Rejection(Reason.BAD_CHARACTER)
        pos += len(label) + 1
    return Rejection(Reason.NAME_TOO_LONG) if len(name) > _MAX_NAME else None


def _to_ascii(text: _Text) -> str | Rejection:
    """UTS #46 mapping, then one A-label per label that is not ASCII. Each length is bounded before IDNA code sees it."""
    if len(text.text) > _MAX_BEFORE_NFC:
        return Rejection(Reason.NAME_TOO_LONG)
    composed = unicodedata.normalize("NFC", text.text)
    if len(composed) > _MAX_NAME:
        return Rejection(Reason.NAME_TOO_LONG)
    try:
        mapped = idna.uts46_remap(composed, std3_rules=False)
    except idna.IDNAError as error:
        return _idna_fault(text, error)
    labels: list[str] = []
    for label in mapped.split("."):
        if len(label) > _MAX_LABEL:
            return Rejection(Reason.LABEL_TOO_LONG)
        if label.isascii():
            labels.append(label)
            continue
        try:
            labels.append(_a_label(label))
        except (idna.IDNAError, UnicodeError, ValueError) as error:
            return _idna_fault(text, error)
    return ".".join(labels)


def _a_label(label: str) -> str:
    try:
        return idna.alabel(label).decode("ascii")
    except idna.InvalidCodepoint:
        # Browsers follow UTS #46 alone and do look up names with pictures in them, which IDNA 2008 forbids.
        if all(letter.isalnum() or letter == "-" or unicodedata.category(letter) == "So" for letter in label):
            return "xn--" + label.encode("punycode").decode("ascii")
        raise


def _idna_fault(text: _Text, error: Exception) -> Rejection:
    code = getattr(error, "codepoint", None)
    odd = text.text.find(chr(code)) if isinstance(code, int) else -1
    if odd < 0:
        odd = next(index for index, letter in enumerate(text.text) if not letter.isascii())
    return text.reject(Reason.BAD_IDNA, odd)


def _is_ipv4(name: str) -> bool:
    """Whether a URL with this host leads to an IPv4 address: dotted, short, hexadecimal, octal and plain-number forms (WHATWG URL §3.5)."""
    parts = name.split(".")
    if len(parts) > 4:
        return False
    numbers: list[int] = []
    for part in parts:
        if not _NUMBER.fullmatch(part) or len(part) > 12:
            return False
        if part.startswith("0x"):
            numbers.append(int(part[2:] or "0", 16))
        elif part.startswith("0") and part.strip("01234567") == "":
            numbers.append(int(part, 8))
        else:
            numbers.append(int(part, 10))
    if len(parts) == 1 and numbers[0] < 1 << 24:
        return False  # a bare small number is a line number or a year, not an address
    return all(number < 256 for number in numbers[:-1]) and numbers[-1] < 256 ** (5 - len(numbers))


def name_in_letters(host: str) -> str:
    """A name with xn-- parts as people write it (`xn--nhbc-4na10a004p.vn`: `đánhbạc.vn`); "" for any other, and where it is none."""
    if "xn--" not in host:
        return ""
    try:
        return idna.decode(host)
    except (idna.IDNAError, UnicodeError, ValueError):
        return ""
