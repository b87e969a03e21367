"""Workbooks: every column, where links lead, and what is not in the file is said."""

from __future__ import annotations

import io

import openpyxl
import pytest
from openpyxl.comments import Comment

from blocklists.takedown import filetext
from blocklists.takedown.filetext import FileText, UnreadableFile
from blocklists.takedown.workbooks import read_workbook


def read(book: openpyxl.Workbook) -> FileText:
    """Save it and read it."""
    content = io.BytesIO()
    book.save(content)
    text = FileText()
    read_workbook(content.getvalue(), text)
    return text.close()


def test_columns_have_no_end_and_links_are_followed() -> None:
    """The two hundredth column; a cell that is a link, named by its words or not; a formula that makes a link; every sheet."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet["A1"], sheet.cell(1, 200).value = "một.example", "xa.example"
    sheet["A3"], sheet["A3"].hyperlink = "Trang 3", "https://ba.example/x"
    sheet["A4"], sheet["A4"].hyperlink = "bon.example", "http://bon.example/"
    sheet["B5"] = '=HYPERLINK("http://nam.example/","xem")'
    book.create_sheet("hai")["C2"] = "sau.example"
    found = read(book)
    assert found.rows == [
        ["một.example", "xa.example"], [], ["Trang 3", "https://ba.example/x"], ["bon.example"], ["http://nam.example/"],
        [], ["sau.example"],
    ]  # fmt: skip
    assert found.unread == []


def test_a_formula_without_its_result_and_words_beside_the_cells_are_said() -> None:
    """Nobody can read them here."""
    book = openpyxl.Workbook()
    book.active["A1"] = '=A2&".example"'
    book.active["A2"] = "x"
    book.active["A2"].comment = Comment("y.example", "a")
    assert [one.code for one in read(book).unread] == ["formulas", "beside_cells"]


def test_more_rows_than_are_read_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also over several sheets; a blank end of a sheet is nothing that was lost."""
    book = openpyxl.Workbook()
    book.active.append(["a"])
    book.active.cell(50, 1).number_format = "0.00"
    assert read(book).unread == []
    monkeypatch.setattr(filetext, "MAX_ROWS", 2)
    assert read(book).unread == []
    for sheet in (book.active, book.create_sheet("hai")):
        sheet["A1"], sheet["A2"] = "a", "b"
    found = read(book)
    assert (found.rows, [one.code for one in found.unread]) == ([["a"], ["b"]], ["rows"])


def test_another_zip_is_no_workbook() -> None:
    """What no workbook is ends in words."""
    with pytest.raises(UnreadableFile) as refused:
        read_workbook(b"PK\x03\x04", FileText())
    assert refused.value.code == "broken"
