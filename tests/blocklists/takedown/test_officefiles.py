"""Office files as they come: tables, documents, mail, code pages; what cannot be read says what to do instead."""

from __future__ import annotations

import io
import shutil
import zipfile

import docx
import openpyxl
import pypdf
import pytest
from playwright.sync_api import sync_playwright
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from blocklists.takedown import officefiles
from blocklists.takedown.filetext import UnreadableFile
from blocklists.takedown.importer import known_endings
from blocklists.takedown.officefiles import read_file
from blocklists.takedown.reading import find_in_cells


def hosts(name: str, content: bytes) -> list[str]:
    """The addresses found in a file."""
    return [found.text for found in find_in_cells(read_file(name, content).rows, known_endings())]


def test_workbook_gives_its_addresses() -> None:
    """Addresses are found in whatever column they stand."""
    book = openpyxl.Workbook()
    book.active.append(["STT", "Tên miền", "Ghi chú"])
    book.active.append([1, "bad-1.net", "cờ bạc"])
    book.active.append([2, "hxxp://bad-2[.]net", "ngày 01.02.2024"])
    content = io.BytesIO()
    book.save(content)
    assert hosts("danh-sach.xlsx", content.getvalue()) == ["bad-1.net", "hxxp://bad-2.net"]


def test_document_gives_paragraphs_and_tables() -> None:
    """Addresses are found in the text and in the tables of a letter."""
    letter = docx.Document()
    letter.add_paragraph("Đề nghị ngăn chặn trang bad-1.net và các trang sau:")
    letter.add_table(1, 2).rows[0].cells[1].text = "bad-2.net"
    content = io.BytesIO()
    letter.save(content)
    assert hosts("cong-van.docx", content.getvalue()) == ["bad-1.net", "bad-2.net"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1258"])
def test_text_in_any_code_page(encoding: str) -> None:
    """Lists come in several encodings; the names are the same."""
    assert hosts("danh-sach.csv", "stt;ten\n1;bad-1.net\n2;bad-2.net\n".encode(encoding)) == ["bad-1.net", "bad-2.net"]


def test_mail_gives_its_plain_text() -> None:
    """A saved mail is read by its text."""
    mail = b"From: a@example.com\r\nSubject: x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nXin chan bad-1.net nhe\r\n"
    assert hosts("thu.eml", mail) == ["bad-1.net"]


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("broken.pdf", b"%PDF-1.7 ...", "broken"),
        ("old.doc", b"\xd0\xcf\x11\xe0" + bytes(600), "old_office"),
        ("broken.xlsx", b"PK\x03\x04" + bytes(60), "broken"),
        ("big.txt", b"x" * (32 * 1024 * 1024 + 1), "too_big"),
    ],
)
def test_unreadable_file_says_what_to_do(name: str, content: bytes, code: str) -> None:
    """A file that cannot be read is refused with a sentence in both languages."""
    with pytest.raises(UnreadableFile) as refusal:
        hosts(name, content)
    assert refusal.value.code == code
    assert refusal.value.vi
    assert refusal.value.en


def _zip() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("danh-sach.txt", "bad-1.net")
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR bad-1.net", "Đây là hình"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF bad-1.net", "Đây là hình"),
        (b"\xff\xd8\xff\xe1Exif bad-1.net", "Đây là hình"),
        (b"GIF89a bad-1.net", "Đây là hình"),
        (b"RIFF\x10\x00\x00\x00WEBP bad-1.net", "Đây là hình"),
        (b"\x00\x00\x00\x18ftypheic bad-1.net", "Đây là hình"),
        (_zip(), "Đây là tệp nén"),
        (b"Rar!\x1a\x07\x01\x00 bad-1.net", "Đây là tệp nén"),
        (b"7z\xbc\xaf\x27\x1c bad-1.net", "Đây là tệp nén"),
        (b"MZ\x90\x00\x03\x00 bad-1.net", "không phải văn bản"),
        (b"\x7fELF\x02\x01\x01\x00 bad-1.net", "không phải văn bản"),
    ],
)
@pytest.mark.parametrize("name", ["anh.png", "cong-van.docx", "danh-sach.csv", "thu.eml", "trang.html", "khong-duoi"])
def test_what_is_no_text_is_refused_by_its_bytes_whatever_it_is_called(name: str, content: bytes, said: str) -> None:
    """A picture, an archive or a program gives no rows of nonsense: the officer reads what it is and what to bring instead."""
    with pytest.raises(UnreadableFile) as refusal:
        hosts(name, content)
    assert said in refusal.value.vi


def test_zip_bomb_is_refused_before_it_is_read() -> None:
    """A file that would unpack to gigabytes is refused by its own directory."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("xl/big.xml", "w") as member:
        for _ in range(300):
            member.write(bytes(1024 * 1024))
    with pytest.raises(UnreadableFile) as refusal:
        hosts("bomb.xlsx", content.getvalue())
    assert refusal.value.code == "unpacks_too_big"


def test_a_pdf_without_text_is_said_to_be_a_scan() -> None:
    """Nothing can be read from a picture: the officer is asked to type."""
    content = io.BytesIO()
    writer = pypdf.PdfWriter()
    writer.add_blank_page(200, 200)
    writer.write(content)
    with pytest.raises(UnreadableFile) as refusal:
        hosts("quet.pdf", content.getvalue())
    assert "ảnh quét, chưa có chữ" in refusal.value.vi
    assert "gõ" in refusal.value.vi


def test_pages_beyond_the_bound_and_pages_that_are_pictures_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a PDF has text, the pages without are named; a blank sheet is nothing that was lost."""
    writer = pypdf.PdfWriter()
    for kind in ("text", "picture", "blank", "text"):
        page = writer.add_blank_page(200, 200)
        stream = DecodedStreamObject()
        stream.set_data(b"BT /F1 12 Tf 10 100 Td (bad-1.net) Tj ET" if kind == "text" else b"")
        page[NameObject("/Contents")] = writer._add_object(stream)
        font = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}
        fonts = DictionaryObject({NameObject("/F1"): DictionaryObject({NameObject(key): NameObject(value) for key, value in font.items()})})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        if kind == "picture":
            picture = writer._add_object(DecodedStreamObject())
            page["/Resources"][NameObject("/XObject")] = DictionaryObject({NameObject("/Im1"): picture})
    content = io.BytesIO()
    writer.write(content)
    assert [(one.code, one.detail) for one in read_file("cv.pdf", content.getvalue()).unread] == [("picture_pages", "2")]
    monkeypatch.setattr(officefiles, "MAX_PAGES", 1)
    assert [one.code for one in read_file("cv.pdf", content.getvalue()).unread] == ["pages"]


def test_a_page_of_html_and_a_misnamed_workbook_are_read() -> None:
    """A saved page gives its words; a workbook is known by what is in it."""
    assert hosts("ds.html", b"<ul><li>bad-1.net<li>bad-2.net</ul>") == ["bad-1.net", "bad-2.net"]
    book, content = openpyxl.Workbook(), io.BytesIO()
    book.active.append(["bad-1.net"])
    book.save(content)
    assert hosts("danh-sach", content.getvalue()) == ["bad-1.net"]


@pytest.mark.full
def test_the_text_of_a_pdf_gives_its_addresses() -> None:
    """A letter as a browser prints it, with Vietnamese letters and two pages; one with a password asks for one without."""
    if shutil.which("chromium") is None:
        pytest.skip("no Chromium here")
    lines = ["Số: 412/QĐ-SVHTTDL", "đề nghị ngăn chặn các trang lừa đảo trẻ em:", "1. hxxps://qua-tang[.]net", "2. tiền-ảo.vn"]
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page()
        page.set_content("".join(f"<p>{line}</p>" for line in lines) + "<p style='break-before:page'>3. bad-3.com</p>")
        content = page.pdf()
        browser.close()
    assert hosts("cong-van.pdf", content) == ["hxxps://qua-tang.net", "tiền-ảo.vn", "bad-3.com"]
    locked = io.BytesIO()
    writer = pypdf.PdfWriter(io.BytesIO(content))
    writer.encrypt("mật khẩu", algorithm="RC4-128")
    writer.write(locked)
    with pytest.raises(UnreadableFile) as refusal:
        hosts("khoa.pdf", locked.getvalue())
    assert refusal.value.code == "locked"
