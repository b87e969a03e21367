"""Office files → text or rows: CSV, XLSX, DOCX, the text of a PDF, mail with what is attached to it, HTML. The file is read from memory and
dropped; nothing of it is stored.

Reads with bounds (`filetext`), and says what it did not read; a zip that unpacks to more than `MAX_UNPACKED` bytes is refused before
anything is read. Runs in a job, off the event loop.
"""

from __future__ import annotations

import csv
import io
import logging
import re
import zipfile
from dataclasses import replace
from typing import Any, Final

from blocklists.takedown.filetext import FileText, Unread, UnreadableFile
from blocklists.takedown.mailfiles import read_html, read_mail
from blocklists.takedown.wordfiles import read_document
from blocklists.takedown.workbooks import read_workbook

MAX_BYTES: Final = 32 * 1024 * 1024
MAX_UNPACKED: Final = 256 * 1024 * 1024
MAX_PAGES: Final = 2000
_WIDE_GAP = re.compile(" {41,}")
_MORE_PAGES = Unread("pages", "Chỉ đọc 2.000 trang đầu của tệp PDF.", "Only the first 2,000 pages of the PDF were read.")

_KINDS: Final = "CSV, XLSX, DOCX, PDF, EML, HTML, TXT"
_IMAGE = re.compile(
    rb"\x89PNG\r\n|\xff\xd8\xff|GIF8[79]a|BM.{4}\x00{4}|II\x2a\x00|MM\x00\x2a|RIFF.{4}WEBP|.{4}ftyp(?:hei|hev|mif|avi)", re.DOTALL
)
"""How pictures begin: PNG, JPEG, GIF, BMP, TIFF, WebP, HEIC and AVIF."""
_PACKED = re.compile(rb"Rar!\x1a\x07|7z\xbc\xaf\x27\x1c|\x1f\x8b|PK\x05\x06|PK\x07\x08")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")

_PICTURES = Unread(
    "picture_pages", "Có trang của tệp PDF là ảnh, chưa có chữ: hãy gõ những gì ở trang ấy.",
    "Pages of the PDF are pictures without text: type what stands there.",
)  # fmt: skip


def read_file(name: str, content: bytes) -> FileText:
    """The rows of cells in a file, by its bytes and ending, and what was not read; a text has one cell a line. Raises UnreadableFile."""
    if len(content) > MAX_BYTES:
        raise UnreadableFile("too_big", "Tệp quá lớn (tối đa 32 MB). Hãy tách ra.", "The file is too big (32 MB at most). Split it.")
    out = FileText()
    _read_into(name, content, out)
    return out.close()


def _read_into(name: str, content: bytes, out: FileText) -> None:
    ending = name.rpartition(".")[2].lower()
    if content[:4] == b"%PDF":
        _pdf(content, out)
    elif content[:4] == b"PK\x03\x04":
        read = read_workbook if _is_workbook(content) else read_document
        read(content, out)
    elif content[:4] == b"\xd0\xcf\x11\xe0":
        raise UnreadableFile(
            "old_office",
            "Tệp Office đời cũ (.doc, .xls): hãy lưu lại thành .docx hoặc .xlsx.",
            "An old Office file: save it as .docx or .xlsx.",
        )
    elif _IMAGE.match(content):
        raise UnreadableFile(
            "image",
            f"Đây là hình, không có chữ để đọc: hãy gõ danh sách vào ô bên dưới, hoặc chọn tệp {_KINDS}.",
            f"This is a picture without text to read: type the list into the box below, or choose a file of the kind {_KINDS}.",
        )
    elif _PACKED.match(content):
        raise _packed()
    elif b"\x00" in content and not content.startswith(_UTF16):  # no text has one: a program, a sound, a disk
        raise UnreadableFile(
            "no_text",
            f"Tệp này không phải văn bản, không đọc được: hãy chọn tệp {_KINDS}.",
            f"This file is no text and cannot be read: choose a file of the kind {_KINDS}.",
        )
    elif ending == "eml":
        read_mail(content, out, _read_into)
    elif ending in ("htm", "html"):
        read_html(_decode(content), out)
    elif ending == "csv":
        _table(_decode(content), out)
    else:
        out.lines(_decode(content))


def _is_workbook(content: bytes) -> bool:
    """Whether a zip holds a workbook, whatever the file is called. Raises UnreadableFile for one that unpacks to too much."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
            names = archive.namelist()
    except zipfile.BadZipFile:
        raise UnreadableFile("broken", "Tệp hỏng, không mở được.", "The file is broken and cannot be opened.") from None
    if unpacked > MAX_UNPACKED:
        raise UnreadableFile("unpacks_too_big", "Tệp bung ra quá lớn.", "The file unpacks to too much.")
    if "[Content_Types].xml" not in names:
        raise _packed()
    return any(name.startswith("xl/") for name in names)


def _packed() -> UnreadableFile:
    return UnreadableFile(
        "packed",
        f"Đây là tệp nén: hãy mở ra rồi chọn từng tệp bên trong ({_KINDS}).",
        f"This is an archive: unpack it and choose the files inside one by one ({_KINDS}).",
    )


def _pdf(content: bytes, out: FileText) -> None:
    """The lines of every page. Pictures are never looked at: a scan without text is said to be one, and so are single pages."""
    import pypdf
    from pypdf.errors import PyPdfError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # its warnings quote the file
    has_text, pictures = False, []
    try:
        reader = pypdf.PdfReader(io.BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            vi, en = "Tệp PDF có mật khẩu: hãy lưu lại không mật khẩu.", "The PDF has a password: save it without one."
            raise UnreadableFile("locked", vi, en)
        if len(reader.pages) > MAX_PAGES:
            out.miss(_MORE_PAGES)
        for number, page in enumerate(reader.pages[:MAX_PAGES], 1):
            # By places: where a font has no letter and another one steps in, the order of drawing alone would put a blank into a name.
            drawn = page.extract_text(extraction_mode="layout", layout_mode_space_vertically=False) or page.extract_text()
            if not drawn.strip():
                pictures += [str(number)] if _shows_something(page) else []
                continue
            has_text = True
            if not all(out.row([line]) for line in _WIDE_GAP.sub(" " * 40, drawn).splitlines() if line.strip()):
                break
    except UnreadableFile:
        raise
    except (PyPdfError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, OSError) as error:
        raise UnreadableFile("broken", "Tệp PDF hỏng, không mở được.", "The PDF is broken and cannot be opened.") from error
    if not has_text:
        raise UnreadableFile(
            "scan", "Tệp PDF này là ảnh quét, chưa có chữ: hãy gõ danh sách vào ô bên dưới.",
            "This PDF is a scanned picture without text: type the list into the box below.",
        )  # fmt: skip
    if pictures:
        out.miss(replace(_PICTURES, detail=", ".join(pictures)))


def _shows_something(page: Any) -> bool:  # Any: a page of pypdf
    """Whether a page without text is more than a blank sheet."""
    resources = page.get("/Resources")
    return bool(resources is not None and resources.get_object().get("/XObject"))


def _table(text: str, out: FileText) -> None:
    try:
        dialect: type[csv.Dialect] | str = csv.Sniffer().sniff(text[:8192], delimiters=",;\t|")
    except csv.Error:
        dialect = "excel"
    all(out.row(row) for row in csv.reader(io.StringIO(text), dialect))


def _decode(content: bytes) -> str:
    """UTF-8 (with or without a mark), UTF-16 by its mark, else the Vietnamese Windows code page."""
    if content.startswith(_UTF16):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1258", errors="replace")
