"""Office files in a process of their own: the same rows, the same words for a bad file, and bounds that hold."""

from __future__ import annotations

import io
import zlib

import openpyxl
import pypdf
import pytest
from pypdf.generic import DecodedStreamObject, NameObject

from blocklists.takedown.filereader import read_apart
from blocklists.takedown.filetext import UnreadableFile
from blocklists.takedown.officefiles import read_file


def workbook(rows: int) -> bytes:
    book = openpyxl.Workbook()
    for number in range(rows):
        book.active.append([number, f"bad-{number}.example"])
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def test_a_file_gives_the_same_rows_as_read_at_home() -> None:
    """The process adds a wall and changes nothing."""
    content = workbook(500)
    assert read_apart("ds.xlsx", content).rows == read_file("ds.xlsx", content).rows
    assert read_apart("ds.csv", b"a.example;b\n").rows == [["a.example", "b"]]


def test_what_was_not_read_crosses_the_process() -> None:
    """The picture that came with a mail is named on the other side."""
    head = b"Content-Type: multipart/mixed; boundary=x\n\n--x\n\nbad.example\n--x\nContent-Type: image/png; name=a.png\n\nabc\n--x--\n"
    here, apart = read_file("thu.eml", head), read_apart("thu.eml", head)
    assert apart.unread == here.unread
    assert [(one.code, one.detail) for one in apart.unread] == [("attachment", "a.png")]


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("x.pdf", b"%PDF-1.7 ...", "broken"),
        ("x.docx", b"PK\x03\x04....", "broken"),
        ("x.eml", b"Content-Type: text/plain; charset=nope\n\nhi\n", "broken"),
        ("x.eml", b"Content-Type: text/plain " + b"(" * 20_000 + b"\n\nhi\n", "broken"),
    ],
)
def test_a_broken_file_is_told_in_the_same_words(name: str, content: bytes, code: str) -> None:
    """The sentence crosses the process."""
    with pytest.raises(UnreadableFile) as refused:
        read_apart(name, content)
    assert refused.value.code == code
    assert refused.value.vi
    assert refused.value.en


def test_a_file_that_takes_too_much_is_given_up() -> None:
    """A page whose content unpacks to hundreds of megabytes ends the reading process, not the office."""
    writer = pypdf.PdfWriter()
    page = writer.add_blank_page(200, 200)
    stream = DecodedStreamObject()
    stream.set_data(zlib.compress(b"BT (a) Tj ET\n" * 12_000_000, 9))
    stream[NameObject("/Filter")] = NameObject("/FlateDecode")
    page[NameObject("/Contents")] = writer._add_object(stream)
    content = io.BytesIO()
    writer.write(content)
    with pytest.raises(UnreadableFile):
        read_apart("bom.pdf", content.getvalue(), memory=300 * 1024 * 1024)


def test_a_file_that_takes_too_long_is_given_up() -> None:
    """The clock ends it, too."""
    with pytest.raises(UnreadableFile) as refused:
        read_apart("ds.xlsx", workbook(5), seconds=0.001)
    assert refused.value.code == "too_heavy"


def test_a_mail_whose_headers_never_end_is_given_up() -> None:
    """The parser of mail takes minutes for some small files; it takes them in a process of its own, not in the office."""
    with pytest.raises(UnreadableFile) as refused:
        read_apart("thu.eml", b"Content-Type: text/plain" + b"; a=b" * 60_000 + b"\n\nhi\n", seconds=3)
    assert refused.value.code == "too_heavy"
    assert read_apart("thu.eml", b"Content-Type: text/plain; charset=utf-8\n\nbad.example\n").rows == [["bad.example"]]
