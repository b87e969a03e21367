"""A gateway and its office find each other: the code that carries address and root fingerprint, and the words both sides show.

    https://danhsach.example.vn/release#<fingerprint of the root>-<ticket>

The fingerprint (128 bits of the first root's SHA-256) makes the code enough to trust what is fetched from the address, whoever carries it.
The ticket is the gateway's own, once, and lets it send receipts. Pure; imported by `blocklists`, `admin` and `lachan`.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import Final

from gateway.errors import LachanError

_WORDS = (
    "bàn ghế sách vở bút thước cặp bảng lớp trường sân cây hoa lá quả hạt "
    "mưa nắng gió mây trăng sao núi sông biển đảo rừng ruộng đường cầu thuyền xe "
    "mèo chó gà vịt trâu bò cá tôm chim ong bướm voi cam chuối xoài dừa "
    "mít ổi lúa ngô khoai đậu muối chanh nhà cửa đèn trống sáo đàn diều nón"
)
WORDS: Final = tuple(_WORDS.split())
"""Sixty-four words that sound unlike each other over a telephone."""
SHOWN: Final = 6
_FINGERPRINT_BYTES = 16
_SIGNS = 26
_CODE = re.compile(rf"(https?://[^\s#@]+)#([a-z2-7]{{{_SIGNS}}})(?:-([a-z2-9]{{24}}))?")
_COMMAND = re.compile(r"^(?:sudo)?lachanjoin")


class CodeError(LachanError):
    """A text that is not a code of an office."""


@dataclass(frozen=True, slots=True)
class JoinCode:
    """Where an office's releases are, the fingerprint of its first root, and the gateway's ticket (empty: it sends no receipts)."""

    url: str
    fingerprint: str
    ticket: str = ""

    def __str__(self) -> str:
        return f"{self.url}#{self.fingerprint}{'-' if self.ticket else ''}{self.ticket}"


def parse_code(text: str) -> JoinCode:
    """Read a code as it was typed, pasted or scanned: spaces, line breaks and capital letters of its second half do not matter, nor does
    the command around it (`lachan join '…'`), as the office's page shows it. Raises CodeError."""
    joined = _COMMAND.sub("", "".join(text.split())).strip("'\"")
    address, _, rest = joined.partition("#")
    found = _CODE.fullmatch(f"{address}#{rest.lower()}")
    if found is None:
        raise CodeError("this is not a code of a list office: copy the whole line from the office's page, from http to the end")
    return JoinCode(found[1].rstrip("/"), found[2], found[3] or "")


def fingerprint_of(data: bytes) -> str:
    """The fingerprint of a root, or of a public key, as it stands in a code."""
    digest = hashlib.sha256(data).digest()[:_FINGERPRINT_BYTES]
    return base64.b32encode(digest).decode().rstrip("=").lower()


def words_of(fingerprint: str) -> str:
    """Six words for people to compare: the same fingerprint gives the same words, another gives others (36 bits)."""
    number = int.from_bytes(hashlib.sha256(fingerprint.encode()).digest()[:8], "big")
    picked = []
    for _ in range(SHOWN):
        number, place = divmod(number, len(WORDS))
        picked.append(WORDS[place])
    return " · ".join(picked)
