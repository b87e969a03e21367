"""Office files → text or rows: CSV, XLSX, DOCX, the text of a PDF, mail text. The file is read from memory and
dropped; nothing of it is stored.

Reads with bounds: a workbook of at most `MAX_ROWS` rows and `MAX_COLUMNS` columns, a document of at most `MAX_TEXT` characters; a zip
that unpacks to more than `MAX_UNPACKED` bytes is refused before anything is read. Runs in a job, off the event loop.
"""

from __future__ import annotations

import csv
import io
import logging
import re
import zipfile
from collections.abc import Iterator
from email import message_from_bytes, policy

from gateway.errors import LachanError

MAX_BYTES = 32 * 1024 * 1024
MAX_UNPACKED = 256 * 1024 * 1024
MAX_ROWS = 200_000
MAX_COLUMNS = 40
MAX_PAGES = 2000
_WIDE_GAP = re.compile(" {41,}")
MAX_TEXT = 20_000_000


class UnreadableFile(LachanError):
    """A file that cannot be read; the sentences say what to do instead."""

    def __init__(self, code: str, vi: str, en: str) -> None:
        self.code = code
        self.vi = vi
        self.en = en
        super().__init__(en)


def read_file(name: str, content: bytes) -> Iterator[list[str]]:
    """The rows of cells in a file, by its ending; a text has one cell a line. Raises UnreadableFile."""
    if len(content) > MAX_BYTES:
        raise UnreadableFile("too_big", "Tệp quá lớn (tối đa 32 MB). Hãy tách ra.", "The file is too big (32 MB at most). Split it.")
    ending = name.rpartition(".")[2].lower()
    if content[:4] == b"%PDF":
        return iter(_pdf(content))
    if content[:4] == b"PK\x03\x04":
        _check_zip(content)
        return _workbook(content) if ending in ("xlsx", "xlsm") else _document(content)
    if content[:4] == b"\xd0\xcf\x11\xe0":
        raise UnreadableFile(
            "old_office",
            "Tệp Office đời cũ (.doc, .xls): hãy lưu lại thành .docx hoặc .xlsx.",
            "An old Office file: save it as .docx or .xlsx.",
        )
    if ending == "eml":
        return _mail(content)
    text = _decode(content)
    return _table(text) if ending == "csv" else ([line] for line in text.splitlines()[:MAX_ROWS])


def _check_zip(content: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except zipfile.BadZipFile:
        raise UnreadableFile("broken", "Tệp hỏng, không mở được.", "The file is broken and cannot be opened.") from None
    if unpacked > MAX_UNPACKED:
        raise UnreadableFile("unpacks_too_big", "Tệp bung ra quá lớn.", "The file unpacks to too much.")


def _workbook(content: bytes) -> Iterator[list[str]]:
    import openpyxl

    try:
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True, keep_links=False)
    except Exception as error:  # openpyxl raises whatever its parsers raise
        raise UnreadableFile("broken", "Không đọc được bảng tính.", "The workbook cannot be read.") from error
    for sheet in book.worksheets:
        for row in sheet.iter_rows(max_row=MAX_ROWS, max_col=MAX_COLUMNS, values_only=True):
            yield [str(cell) for cell in row if cell is not None]


def _document(content: bytes) -> Iterator[list[str]]:
    import docx

    try:
        document = docx.Document(io.BytesIO(content))
    except Exception as error:  # python-docx raises whatever its parsers raise
        raise UnreadableFile("broken", "Không đọc được văn bản.", "The document cannot be read.") from error
    for paragraph in document.paragraphs[:MAX_ROWS]:
        yield from ([line] for line in paragraph.text.splitlines())
    for table in document.tables:
        for row in table.rows:
            yield [cell.text for cell in row.cells[:MAX_COLUMNS]]


def _pdf(content: bytes) -> list[list[str]]:
    """The lines of every page. Pictures are never looked at: a scan without text is said to be one."""
    import pypdf
    from pypdf.errors import PyPdfError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # its warnings quote the file
    lines: list[list[str]] = []
    try:
        reader = pypdf.PdfReader(io.BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            vi, en = "Tệp PDF có mật khẩu: hãy lưu lại không mật khẩu.", "The PDF has a password: save it without one."
            raise UnreadableFile("locked", vi, en)
        letters = 0
        for page in reader.pages[:MAX_PAGES]:
            # By places: where a font has no letter and another one steps in, the order of drawing alone would put a blank into a name.
            drawn = page.extract_text(extraction_mode="layout", layout_mode_space_vertically=False) or page.extract_text()
            text = _WIDE_GAP.sub(" " * 40, drawn)
            letters += len(text)
            if letters > MAX_TEXT:
                break
            lines += [[line] for line in text.splitlines() if line.strip()]
    except UnreadableFile:
        raise
    except (PyPdfError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, OSError) as error:
        raise UnreadableFile("broken", "Tệp PDF hỏng, không mở được.", "The PDF is broken and cannot be opened.") from error
    if not lines:
        raise UnreadableFile(
            "scan", "Tệp PDF này là ảnh quét, chưa có chữ: hãy gõ danh sách vào ô bên dưới.",
            "This PDF is a scanned picture without text: type the list into the box below.",
        )  # fmt: skip
    return lines[:MAX_ROWS]


def _mail(content: bytes) -> Iterator[list[str]]:
    try:
        body = message_from_bytes(content, policy=policy.default).get_body(preferencelist=("plain", "html"))
        text = body.get_content() if body is not None else ""
    except Exception as error:  # a header or a set of letters that its parsers cannot read ends in whatever they raise
        raise UnreadableFile("broken", "Không đọc được tệp thư.", "The mail file cannot be read.") from error
    return ([line] for line in str(text)[:MAX_TEXT].splitlines())


def _table(text: str) -> Iterator[list[str]]:
    try:
        dialect: type[csv.Dialect] | str = csv.Sniffer().sniff(text[:8192], delimiters=",;\t|")
    except csv.Error:
        dialect = "excel"
    for number, row in enumerate(csv.reader(io.StringIO(text), dialect)):
        if number >= MAX_ROWS:
            return
        yield row[:MAX_COLUMNS]


def _decode(content: bytes) -> str:
    """UTF-8 (with or without a mark), UTF-16 by its mark, else the Vietnamese Windows code page."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", errors="replace")[:MAX_TEXT]
    try:
        return content.decode("utf-8-sig")[:MAX_TEXT]
    except UnicodeDecodeError:
        return content.decode("cp1258", errors="replace")[:MAX_TEXT]
