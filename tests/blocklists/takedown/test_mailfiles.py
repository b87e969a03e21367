"""Saved mail: its words in either form, what is attached, mail within mail; and by name whatever is not read."""

from __future__ import annotations

import io
from email.message import EmailMessage

import openpyxl
import pytest

from blocklists.takedown.filetext import FileText, UnreadableFile
from blocklists.takedown.mailfiles import MOST_PARTS, read_html, read_mail
from blocklists.takedown.officefiles import read_file

LIST = "<p>Đề nghị chặn:</p><ul><li>mot.example</li><li>hai.<b>example</b></li></ul><table><tr><td>1</td><td>ba.example</td></tr></table>"


def read(message: EmailMessage) -> FileText:
    """Save it and read it."""
    return read_file("thu.eml", message.as_bytes())


def words(text: FileText) -> list[str]:
    """Every cell."""
    return [cell for row in text.rows for cell in row if cell.strip()]


def mail(text: str, subtype: str = "plain") -> EmailMessage:
    """A mail with one body."""
    message = EmailMessage()
    message["Subject"], message["From"] = "Chặn tieu-de.example", "a@b.example"
    message.set_content(text, subtype=subtype)
    return message


def test_html_gives_its_words_line_by_line() -> None:
    """Blocks and rows are lines, marks within a name do not part it, what is not shown is passed over, sites of links are told."""
    text = FileText()
    hidden = "<head><title>t.example</title><style>a.example</style></head><script>'s.example'</script>"
    read_html(f"{hidden}{LIST}<a href='https://chi-lien-ket.example/'>xem</a><br/>cuối&nbsp;&amp;", text)
    assert words(text) == ["Đề nghị chặn:", "mot.example", "hai.example", "1 ba.example", "xem", "cuối &"]
    assert [(one.code, one.detail) for one in text.close().unread] == [("links", "chi-lien-ket.example")]


def test_a_mail_in_html_alone_is_read() -> None:
    """Subject and body."""
    assert words(read(mail(LIST, "html"))) == ["Chặn tieu-de.example", "Đề nghị chặn:", "mot.example", "hai.example", "1 ba.example"]


def test_of_two_forms_each_address_comes_once() -> None:
    """The plain form is read, and of the HTML one only the lines that name something else."""
    message = mail("mot.example\nhai.example\n")
    message.add_alternative(LIST, subtype="html")
    assert words(read(message)) == ["Chặn tieu-de.example", "mot.example", "hai.example", "1 ba.example"]
    empty = mail("\n")
    empty.add_alternative(LIST, subtype="html")
    assert words(read(empty))[1:] == ["Đề nghị chặn:", "mot.example", "hai.example", "1 ba.example"]


def test_attachments_are_read_or_named() -> None:
    """A table, a workbook without a name, a mail within the mail; a picture, an archive and a broken file are named with what to do."""
    book, content = openpyxl.Workbook(), io.BytesIO()
    book.active.append(["bon.example"])
    book.save(content)
    inner = mail("trong.example\n")
    inner.add_attachment(b"nam.example\n", maintype="text", subtype="plain", filename="ds.txt")
    message = mail("Danh sách kèm theo.\n")
    message.add_attachment(b"hai.example;x\nba.example;y\n", maintype="text", subtype="csv", filename="ds.csv")
    message.add_attachment(content.getvalue(), maintype="application", subtype="vnd.openxmlformats-officedocument.spreadsheetml.sheet")
    message.add_attachment(inner)
    message.add_attachment(b"\x89PNG", maintype="image", subtype="png", filename="danh sách.png")
    message.add_attachment(b"PK\x03\x04", maintype="application", subtype="zip", filename="ds.zip")
    message.add_attachment(b"%PDF-1.7", maintype="application", subtype="octet-stream", filename="cv")
    found = read(message)
    assert words(found) == [
        "Chặn tieu-de.example", "Danh sách kèm theo.", "hai.example", "x", "ba.example", "y", "bon.example",
        "Chặn tieu-de.example", "trong.example", "nam.example",
    ]  # fmt: skip
    assert [(one.code, one.detail) for one in found.unread] == [
        ("attachment", "danh sách.png"), ("attachment", "ds.zip"), ("broken", "cv"),
    ]  # fmt: skip


def test_parts_without_end_are_cut_and_told() -> None:
    """Mail within mail within mail, and a mail of thousands of parts."""
    message = mail("dưới đáy")
    for _ in range(30):
        outer = mail("vỏ")
        outer.add_attachment(message)
        message = outer
    assert {one.code for one in read(message).unread} == {"attachment"}
    many = b"".join(b"--x\r\nContent-Type: text/plain\r\n\r\na\r\n" for _ in range(MOST_PARTS + 5))
    found = read_file("thu.eml", b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + many + b"--x--\r\n")
    assert len(found.rows) < MOST_PARTS + 5
    assert [one.code for one in found.unread] == ["attachment"]


def test_letters_that_nobody_knows_are_refused() -> None:
    """A mail whose set of letters does not exist."""
    with pytest.raises(UnreadableFile) as refused:
        read_mail(b"Content-Type: text/plain; charset=nope\n\nhi\n", FileText(), lambda *part: None)
    assert refused.value.code == "broken"
