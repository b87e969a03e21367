"""Word documents → lines and rows, in the order of the text: paragraphs, tables within tables, content controls, text boxes, what tracked
changes inserted (not what they deleted), then headers, footers, footnotes and endnotes. Used by `officefiles`.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

from blocklists.takedown.filetext import FileText, Unread, UnreadableFile

_READ = ("document.main+xml", "header+xml", "footer+xml", "footnotes+xml", "endnotes+xml")
"""How the kinds of the parts end, in the order in which they are read."""
_LEFT_OUT = frozenset({"del", "moveFrom", "delText", "delInstrText", "Fallback", "pPr", "rPr", "tblPr", "tcPr", "trPr", "sdtPr", "sectPr"})
_SIGNS = {"tab": "\t", "ptab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_FIELD_LINK = re.compile(r'HYPERLINK\s+"([^"]+)"')
_LINK_ID = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_COMMENTS = Unread("comments", "Nhận xét bên lề văn bản không được đọc.", "Comments beside the text were not read.")
_EMBEDDED = Unread(
    "embedded", "Tệp và sơ đồ nhúng trong văn bản không được đọc: hãy nộp riêng.",
    "Files and diagrams inside the document were not read: bring them by themselves.",
)  # fmt: skip


def read_document(content: bytes, out: FileText) -> None:
    """Read a DOCX into `out`. Raises UnreadableFile."""
    import docx

    try:
        parts = list(docx.Document(io.BytesIO(content)).part.package.iter_parts())
        for ending in _READ:
            for part in sorted((one for one in parts if _kind(one).endswith(ending)), key=lambda one: str(one.partname)):
                _Reader(part, out).blocks(_root(part))
    except Exception as error:  # python-docx raises whatever its parsers raise
        raise UnreadableFile("broken", "Không đọc được văn bản.", "The document cannot be read.") from error
    if any(_kind(part).endswith("comments+xml") and b":t>" in part.blob for part in parts):
        out.miss(_COMMENTS)
    if any(_is_embedded(str(part.partname)) for part in parts):
        out.miss(_EMBEDDED)


def _kind(part: Any) -> str:  # Any: a part of python-docx, which has no types
    return re.sub(r"(?:document\.macroEnabled(?:Template)?|template)\.main\+xml$", "document.main+xml", str(part.content_type))


def _is_embedded(name: str) -> bool:
    return name.startswith(("/word/embeddings/", "/word/diagrams/data", "/word/afchunk"))


def _root(part: Any) -> Any:
    from docx.oxml import parse_xml

    element = getattr(part, "element", None)
    return parse_xml(part.blob) if element is None else element


def _children(element: Any) -> Iterator[tuple[str, Any]]:
    """The elements below one that are read, with their local names."""
    for child in element:
        if isinstance(child.tag, str):
            name = child.tag.rpartition("}")[2]
            if name not in _LEFT_OUT:
                yield name, child


def _within(element: Any, wanted: str) -> Iterator[Any]:
    """The rows of a table, or the cells of a row, also where a content control stands around them."""
    for name, child in _children(element):
        if name == wanted:
            yield child
        elif name not in ("p", "tbl", "tr", "tc"):
            yield from _within(child, wanted)


def _is_deleted(row: Any) -> bool:
    return any(
        mark.tag.rpartition("}")[2] == "del"
        for part in row
        if isinstance(part.tag, str) and part.tag.endswith("}trPr")
        for mark in part
        if isinstance(mark.tag, str)
    )


class _Reader:
    """One part of the document on its way into a FileText."""

    def __init__(self, part: Any, out: FileText) -> None:
        self._links = part.rels
        self._out = out
        self._code = ""

    def blocks(self, element: Any) -> None:
        """Everything below an element that holds paragraphs and tables."""
        self._blocks(element)
        self._end_code()

    def _blocks(self, element: Any) -> None:
        for name, child in _children(element):
            if name == "p":
                inside: list[Any] = []
                self._out.lines(self._text(child, inside))
                for box in inside:
                    self.blocks(box)
            elif name == "tbl":
                for row in _within(child, "tr"):
                    if not _is_deleted(row):
                        self._row(row)
            else:
                self._blocks(child)

    def _row(self, row: Any) -> None:
        inside: list[Any] = []
        self._out.row(["\n".join(self._paragraphs(cell, inside)) for cell in _within(row, "tc")])
        for one in inside:
            self.blocks(one)

    def _paragraphs(self, element: Any, inside: list[Any]) -> Iterator[str]:
        """The paragraphs of a cell; its tables and boxes are put aside, and read behind the row."""
        for name, child in _children(element):
            if name == "p":
                yield self._text(child, inside)
            elif name == "tbl":
                inside.append([child])
            else:
                yield from self._paragraphs(child, inside)

    def _text(self, element: Any, inside: list[Any]) -> str:
        """The letters of a paragraph; boxes that hang on it are put aside."""
        said = []
        for name, child in _children(element):
            if name == "t":
                said.append(child.text or "")
            elif name in _SIGNS:
                said.append(_SIGNS[name])
            elif name == "txbxContent":
                inside.append(child)
            elif name == "instrText":
                self._code += child.text or ""  # Word divides it among runs as it likes
            elif name == "fldChar":
                self._end_code()
            else:
                if name == "hyperlink":
                    self._link(child.get(_LINK_ID))
                elif name == "fldSimple":
                    self._field(" ".join(child.attrib.values()))
                said.append(self._text(child, inside))
        return "".join(said)

    def _link(self, identity: str | None) -> None:
        if identity in self._links and self._links[identity].is_external:
            self._out.link(str(self._links[identity].target_ref))

    def _end_code(self) -> None:
        self._field(self._code)
        self._code = ""

    def _field(self, text: str) -> None:
        for target in _FIELD_LINK.findall(text):
            self._out.link(target)
