"""Letters as they are pasted: what stands in them is found, what is blank stays blank."""

from __future__ import annotations

import subprocess
import sys
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocklists.takedown.documents import PartialDate
from blocklists.takedown.letters import Letter, read_letter

LETTER = """SỞ THÔNG TIN VÀ TRUYỀN THÔNG        CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM
                                            Độc lập - Tự do - Hạnh phúc
Số: 412/QĐ - STTTT                          Lai Châu, ngày 05 tháng 8 năm 2026
KHẨN
V/v ngăn chặn trang thông tin điện tử
lừa đảo trẻ em

Căn cứ Luật An ninh mạng số 116/2025/QH15;
Căn cứ Nghị định số 147/2024/NĐ-CP;
Theo đề nghị tại văn bản 2915/CAT-ANND,
đề nghị ngăn chặn đến hết ngày 05 tháng 11 năm 2026 các tên miền sau:
1. hxxps://qua-tang-hoc-sinh[.]example/nhan?id=7
2. game-doi-the.example
                                            KT. GIÁM ĐỐC
"""


def test_read_letter_finds_what_stands_in_it() -> None:
    """The form is filled in from the letter: symbol as written, day, issuer, subject, capacity, basis, urgency, end."""
    letter = read_letter(LETTER)
    assert letter.symbol == "412/QĐ - STTTT"
    assert letter.issued_on == PartialDate(2026, 8, 5)
    assert letter.issuer == "SỞ THÔNG TIN VÀ TRUYỀN THÔNG"
    assert letter.subject == "ngăn chặn trang thông tin điện tử lừa đảo trẻ em"
    assert letter.capacity == "KT. GIÁM ĐỐC"
    assert letter.urgent
    assert letter.until == date(2026, 11, 5)
    assert letter.basis == (("116/2025/QH15", True), ("147/2024/NĐ-CP", True), ("2915/CAT-ANND", False))


def test_read_letter_leaves_blanks_blank() -> None:
    """A draft without number and day stays one: nothing is invented (seed 002)."""
    letter = read_letter("ỦY BAN NHÂN DÂN\nSố:        /UBND-VX      Lai Châu, ngày     tháng 8 năm 2024\n")
    assert letter.symbol == "/UBND-VX"
    assert letter.issued_on == PartialDate(2024, 8, None)
    assert not letter.urgent
    assert letter.until is None


def test_read_letter_finds_a_term_in_days() -> None:
    """A term may be written as a number of days."""
    assert read_letter("thời hạn 30 (ba mươi) ngày kể từ ngày ký").days == 30


@given(st.text(max_size=400))
def test_read_letter_takes_any_text(text: str) -> None:
    """Whatever is pasted, reading ends with a letter."""
    assert isinstance(read_letter(text), Letter)


@pytest.mark.parametrize(
    "text",
    [
        "thời hạn" + " " * 400_000 + "x",
        "ngày .. tháng" + " " * 400_000 + "x",
        "ngày" + "\n" * 400_000 + "x",
        ("ngày" + " " * 40 + "tháng" + " " * 40 + "năm" + " " * 41) * 3_000,
        "thời hạn 5 (" * 33_000,
        "a" + " " * 400_000 + ".",
    ],
    ids=["term", "month", "lines", "dates", "brackets", "name"],
)
def test_no_letter_keeps_the_office_busy(text: str) -> None:
    """A page of blanks is read at once, not in hours: nobody else is served while a letter is read (a stop after 60 s, not a measure)."""
    program = (
        "import sys; from blocklists.takedown.letters import read_letter; from blocklists.takedown.reading import find_addresses\n"
        "text = sys.stdin.read(); read_letter(text); list(find_addresses(text, frozenset({'com'})))"
    )
    assert subprocess.run([sys.executable, "-c", program], input=text, text=True, timeout=60, check=False).returncode == 0


def test_the_end_of_a_document_is_not_read_as_its_own_date() -> None:
    """A short letter without a date of its own says until when it holds: that day is the end alone."""
    letter = read_letter("Số: 8/QĐ-SVHTTDL\nđến hết ngày 31 tháng 12 năm 2026\nmoi.example")
    assert (letter.issued_on, letter.until) == (None, date(2026, 12, 31))
