"""Word documents: everything a person sees in them is read, what was deleted is not, and what is passed over is named."""

from __future__ import annotations

import io
from typing import Any

import docx
import pytest
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.opc.packuri import PackURI
from docx.opc.part import Part
from docx.oxml import parse_xml

from blocklists.takedown.filetext import FileText, UnreadableFile
from blocklists.takedown.wordfiles import read_document

NAMES = (
    'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" '
    'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
)


def run(text: str) -> str:
    """The markup of some words."""
    return f'<w:r><w:t xml:space="preserve">{text}</w:t></w:r>'


def body(letter: Any, markup: str) -> None:
    """Put markup at the end of a letter."""
    for element in parse_xml(f"<w:body {NAMES}>{markup}</w:body>"):
        letter.element.body.insert(len(letter.element.body) - 1, element)


def read(letter: Any) -> FileText:
    """Save it and read it."""
    content = io.BytesIO()
    letter.save(content)
    text = FileText()
    read_document(content.getvalue(), text)
    return text.close()


def test_tracked_changes_count_as_they_stand() -> None:
    """What was put in counts, what was taken out or moved away does not, a row of a table neither."""
    letter = docx.Document()
    body(
        letter,
        f'<w:p>{run("một.")}<w:ins w:id="1" w:author="a">{run("example")}</w:ins>'
        '<w:del w:id="2" w:author="a"><w:r><w:delText>.cũ</w:delText></w:r></w:del></w:p>'
        f'<w:p><w:moveFrom w:id="3" w:author="a">{run("đi.example")}</w:moveFrom></w:p>'
        f'<w:p><w:moveTo w:id="4" w:author="a">{run("đến.example")}</w:moveTo></w:p>'
        f'<w:tbl><w:tr><w:trPr><w:del w:id="5" w:author="a"/></w:trPr><w:tc><w:p>{run("bỏ.example")}</w:p></w:tc></w:tr>'
        f'<w:tr><w:tc><w:p>{run("giữ.example")}</w:p></w:tc></w:tr></w:tbl>',
    )
    assert [row for row in read(letter).rows if row] == [["một.example"], ["đến.example"], ["giữ.example"]]


def test_everything_stands_in_the_order_of_the_text() -> None:
    """Content controls around paragraphs, rows, cells and words; tables within tables; text boxes, each once; breaks and tabs."""
    letter = docx.Document()
    box = f"<w:txbxContent><w:p>{run('khung')}</w:p></w:txbxContent>"
    inner = f"<w:tbl><w:tr><w:tc><w:p>{run('trong')}</w:p></w:tc></w:tr></w:tbl>"
    body(
        letter,
        f"<w:sdt><w:sdtPr/><w:sdtContent><w:p>{run('ô')}</w:p></w:sdtContent></w:sdt>"
        f"<w:p>{run('x')}<w:sdt><w:sdtContent>{run('y')}</w:sdtContent></w:sdt><w:r><w:tab/></w:r>{run('z')}<w:r><w:br/></w:r>{run('dưới')}"
        f"<mc:AlternateContent><mc:Choice Requires='wps'>{box}</mc:Choice><mc:Fallback>{box}</mc:Fallback></mc:AlternateContent></w:p>"
        f"<w:tbl><w:sdt><w:sdtContent><w:tr><w:tc><w:p>{run('1')}</w:p></w:tc><w:sdt><w:sdtContent><w:tc><w:p>{run('bảng')}</w:p>{inner}"
        f"<w:p>{run('hai')}</w:p></w:tc></w:sdtContent></w:sdt></w:tr></w:sdtContent></w:sdt></w:tbl><w:p>{run('sau')}</w:p>",
    )
    assert read(letter).rows == [["ô"], ["xy\tz"], ["dưới"], ["khung"], ["1", "bảng\nhai"], ["trong"], ["sau"]]


def test_headers_footers_and_notes_are_read_behind_the_text() -> None:
    """They hold addresses, too."""
    letter = docx.Document()
    letter.add_paragraph("chữ")
    letter.sections[0].footer.paragraphs[0].text = "chân.example"
    letter.sections[0].header.paragraphs[0].text = "đầu.example"
    notes = f"<w:footnotes {NAMES}><w:footnote w:id='2'><w:p>{run('chú.example')}</w:p></w:footnote></w:footnotes>"
    kind = "application/vnd.openxmlformats-officedocument.wordprocessingml.footnotes+xml"
    part = Part(PackURI("/word/footnotes.xml"), kind, notes.encode(), letter.part.package)
    letter.part.relate_to(part, RELATIONSHIP_TYPE.FOOTNOTES)
    found = read(letter)
    assert found.rows == [["chữ"], ["đầu.example"], ["chân.example"], ["chú.example"]]
    assert found.unread == []


def test_what_is_passed_over_is_named() -> None:
    """Comments, files inside the document, and sites that only a link names."""
    letter = docx.Document()
    identity = letter.part.relate_to("https://chi-lien-ket.example/x", RELATIONSHIP_TYPE.HYPERLINK, is_external=True)
    field = ' HYPERLINK "https://truong.example/" '
    body(letter, f'<w:p><w:hyperlink r:id="{identity}">{run("xem")}</w:hyperlink><w:r><w:instrText>{field}</w:instrText></w:r></w:p>')
    letter.add_comment(letter.paragraphs[0].runs or [letter.add_paragraph("y").runs[0]], "bỏ dòng này", author="a", initials="a")
    part = Part(PackURI("/word/embeddings/bang.xlsx"), "application/octet-stream", b"PK", letter.part.package)
    letter.part.relate_to(part, RELATIONSHIP_TYPE.PACKAGE)
    assert [(one.code, one.detail) for one in read(letter).unread] == [
        ("comments", ""), ("embedded", ""), ("links", "chi-lien-ket.example, truong.example"),
    ]  # fmt: skip


def test_a_field_code_in_pieces_is_a_link() -> None:
    """Word parts it among runs, between the marks of the field."""
    letter = docx.Document()
    mark = '<w:r><w:fldChar w:fldCharType="{}"/></w:r>'.format
    pieces = "".join(f"<w:r><w:instrText>{text}</w:instrText></w:r>" for text in (' HYPERLINK "https://chi-', 'lien-ket.example/" '))
    body(letter, f"<w:p>{mark('begin')}{pieces}{mark('separate')}{run('xem')}{mark('end')}</w:p>")
    assert [(one.code, one.detail) for one in read(letter).unread] == [("links", "chi-lien-ket.example")]


def test_another_zip_is_no_document() -> None:
    """What no document is ends in words."""
    with pytest.raises(UnreadableFile) as refused:
        read_document(b"PK\x03\x04", FileText())
    assert refused.value.code == "broken"
