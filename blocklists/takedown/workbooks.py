"""Workbooks → rows of cells, with the addresses that links of a cell lead to behind the cells of its row. Used by `officefiles`."""

from __future__ import annotations

import html
import io
import re
import zipfile
from typing import Final
from urllib.parse import unquote
from xml.etree import ElementTree

from blocklists.takedown.filetext import FileText, Unread, UnreadableFile

_LINK: Final = re.compile(rb"<(?:\w+:)?hyperlink\s([^>]*)>")
_REF: Final = re.compile(rb'\bref="[A-Z]+(\d+)')
_ID: Final = re.compile(rb':id="([^"]+)"')
_FORMULA: Final = re.compile(
    rb"<(?:\w+:)?c\s([^>]*)>\s*<(?:\w+:)?f(?:\s[^>]*)?(?:/>|>([^<]*)</(?:\w+:)?f>)\s*(<(?:\w+:)?v>[^<]+)?"
)  # fmt: skip
_CELL: Final = re.compile(rb'\br="[A-Z]+(\d+)"')
_TARGET: Final = re.compile(r'HYPERLINK\(\s*"([^"]+)"', re.IGNORECASE)
_SCHEME: Final = re.compile(r"^https?:/*|/+$", re.IGNORECASE)
_PART_BESIDE: Final = re.compile(r"xl/(?:comments|threadedComments|drawings/).*\.xml$")
_WORDS: Final = re.compile(rb"<(?:\w+:)?(?:t|text)(?:\s[^>]*)?>\s*[^<\s]")
_UNCOUNTED: Final = Unread(
    "formulas", "Có ô là công thức chưa có kết quả trong tệp: hãy mở bằng chương trình bảng tính, lưu lại rồi nộp.",
    "Cells hold formulas without a result in the file: open it in a spreadsheet program, save it and bring it again.",
)  # fmt: skip
_BESIDE: Final = Unread(
    "beside_cells", "Nhận xét và khung chữ nằm ngoài ô của bảng tính không được đọc.",
    "Comments and text boxes outside the cells of the workbook were not read.",
)  # fmt: skip


def read_workbook(content: bytes, out: FileText) -> None:
    """Read an XLSX into `out`. Raises UnreadableFile."""
    import openpyxl

    try:
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True, keep_links=False)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for sheet in book.worksheets:
                path = str(sheet._worksheet_path).lstrip("/")
                links = _links(archive, path, out)
                sheet.reset_dimensions()  # each row as wide as it is, whatever the sheet says of itself
                for number, row in enumerate(sheet.iter_rows(values_only=True), 1):
                    cells = [str(cell) for cell in row if cell is not None]
                    if not out.row(cells + _unnamed(links.pop(number, []), cells)):
                        return
                for targets in links.values():
                    out.row(targets)
            if any(_PART_BESIDE.match(name) and _WORDS.search(archive.read(name)) for name in archive.namelist()):
                out.miss(_BESIDE)
    except Exception as error:  # openpyxl raises whatever its parsers raise
        raise UnreadableFile("broken", "Không đọc được bảng tính.", "The workbook cannot be read.") from error


def _links(archive: zipfile.ZipFile, path: str, out: FileText) -> dict[int, list[str]]:
    """Where the links of a sheet lead, by row; formulas whose result is not in the file are noted."""
    raw = archive.read(path)
    found: dict[int, list[str]] = {}
    targets = _targets(archive, path)
    for attributes in _LINK.findall(raw):
        ref, identity = _REF.search(attributes), _ID.search(attributes)
        if ref and identity and (target := targets.get(identity[1].decode())):
            found.setdefault(int(ref[1]), []).append(target)
    for attributes, formula, value in _FORMULA.findall(raw):
        cell, linked = _CELL.search(attributes), _TARGET.search(html.unescape(formula.decode("utf-8", errors="replace")))
        if linked is not None and "." in linked[1]:
            found.setdefault(int(cell[1]) if cell else 0, []).append(linked[1])
        elif not value and b't="str"' not in attributes:
            out.miss(_UNCOUNTED)
    return found


def _targets(archive: zipfile.ZipFile, path: str) -> dict[str, str]:
    """What leads out of a sheet, by the id of the relation."""
    folder, _, name = path.rpartition("/")
    try:
        relations = ElementTree.fromstring(archive.read(f"{folder}/_rels/{name}.rels"))
    except KeyError:
        return {}
    return {one.get("Id", ""): one.get("Target", "") for one in relations if one.get("TargetMode") == "External"}


def _unnamed(targets: list[str], cells: list[str]) -> list[str]:
    """The targets that no cell of the row names itself."""
    named = {_bare(cell) for cell in cells}
    return [target for target in dict.fromkeys(targets) if _bare(target) not in named]


def _bare(address: str) -> str:
    return _SCHEME.sub("", unquote(address).strip().lower())
