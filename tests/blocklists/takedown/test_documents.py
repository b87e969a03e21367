"""Document symbols and dates: kept exactly, read tolerantly, blanks never invented."""

from __future__ import annotations

import contextlib
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocklists.takedown.documents import PartialDate, SymbolError, find_symbols, parse_date, parse_symbol

CASES = [
    ("2881/UBND - LĐT BXH", 2881, None, None, ("UBND", "LĐTBXH")),
    ("1877/UBND-CATP", 1877, None, None, ("UBND", "CATP")),
    ("/UBND-VX", None, None, None, ("UBND", "VX")),
    ("/UBND-NC", None, None, None, ("UBND", "NC")),
    ("531/KH-UBND", 531, None, "KH", ("UBND",)),
    ("830/QĐ-TTg", 830, None, "QĐ", ("TTG",)),
    ("739/QCPH-CATP-PGDĐT-THPT", 739, None, "QCPH", ("CATP", "PGDĐT", "THPT")),
    ("2886/BTTTT-PTTH&TTĐT", 2886, None, None, ("BTTTT", "PTTH&TTĐT")),
    ("05/QC-BCA-BLĐTBXH-BTTTT", 5, None, "QC", ("BCA", "BLĐTBXH", "BTTTT")),
    ("160/KH-UBND", 160, None, "KH", ("UBND",)),
    ("116/2025/QH15", 116, 2025, None, ("QH15",)),
    ("147/2024/NĐ-CP", 147, 2024, "NĐ", ("CP",)),
]


@pytest.mark.parametrize(("text", "number", "year", "kind", "bodies"), CASES)
def test_symbol_of_real_letters_is_read_and_kept(
    text: str, number: int | None, year: int | None, kind: str | None, bodies: tuple[str, ...]
) -> None:
    """Every symbol of real letters is read, and its text comes back to the letter."""
    symbol = parse_symbol(text)
    assert (symbol.number, symbol.year, symbol.kind, symbol.bodies) == (number, year, kind, bodies)
    assert symbol.as_written == text


def test_symbol_with_its_label_is_read() -> None:
    """A pasted label `Số:` in front does not hinder reading."""
    assert parse_symbol("Số: 12/QĐ-STTTT").canonical == "12/QĐ-STTTT"


def test_blank_number_stays_blank() -> None:
    """A draft without a number is not numbered and gets none."""
    assert not parse_symbol("Số:        /UBND-VX").is_numbered


@pytest.mark.parametrize("text", ["", "không số", "12/", "12/-", "12", "a/b/c/d", "x" * 200])
def test_text_that_is_no_symbol_is_refused_in_both_languages(text: str) -> None:
    """What is no symbol is refused with a reason in Vietnamese and English."""
    with pytest.raises(SymbolError) as refusal:
        parse_symbol(text)
    assert refusal.value.reason_vi
    assert refusal.value.reason_en


@given(st.text(max_size=200))
def test_any_text_reads_or_is_refused(text: str) -> None:
    """No text raises anything but SymbolError, and what reads keeps its text."""
    with contextlib.suppress(SymbolError):
        assert parse_symbol(text).as_written == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Lai Châu, ngày   tháng 8 năm 2024", PartialDate(2024, 8, None)),
        ("Vị Xuyên, ngày 24 tháng 11 năm 2023", PartialDate(2023, 11, 24)),
        ("05/08/2024", PartialDate(2024, 8, 5)),
        ("ngày … tháng … năm 2025", PartialDate(2025, None, None)),
        ("ngày 31 tháng 2 năm 2024", PartialDate(2024, 2, None)),
        ("no date here", None),
    ],
)
def test_dates_keep_their_blanks(text: str, expected: PartialDate | None) -> None:
    """A blank day stays blank; a full date is complete."""
    assert parse_date(text) == expected


def test_complete_date_is_a_date() -> None:
    """Only a date with all its parts becomes a calendar date."""
    assert PartialDate(2023, 11, 24).complete == date(2023, 11, 24)
    assert PartialDate(2023, 11, None).complete is None


@given(st.text(max_size=120))
def test_any_text_has_a_date_or_none(text: str) -> None:
    """Reading a date from any text raises nothing."""
    found = parse_date(text)
    assert found is None or 1900 <= found.year <= 2100


def test_symbols_of_a_letter_come_in_order_and_once() -> None:
    """The letter's own symbol and those it cites are found, each once."""
    letter = "Số: 12/QĐ-STTTT\nCăn cứ Nghị định 147/2024/NĐ-CP;\nthực hiện Kế hoạch số 531/KH-UBND và 147/2024/NĐ-CP."
    assert find_symbols(letter) == ["12/QĐ-STTTT", "147/2024/NĐ-CP", "531/KH-UBND"]
