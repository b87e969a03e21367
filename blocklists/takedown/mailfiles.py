"""Saved mail → lines: the subject, plain text, HTML by its words, mail within mail, and attachments of a kind that is read. What is of no
such kind is named. Used by `officefiles`, which also reads the attachments, and HTML files by `read_html`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage, Message
from html.parser import HTMLParser
from typing import Any, Final

from blocklists.takedown.filetext import FileText, Unread, UnreadableFile

DEEPEST: Final = 12
"""So many levels of parts within parts are followed."""
MOST_PARTS: Final = 500
KINDS: Final = frozenset({"pdf", "docx", "docm", "xlsx", "xlsm", "csv", "txt", "eml", "htm", "html"})
"""Endings of attachments that are read."""
_OFFICE: Final = "application/vnd.openxmlformats-officedocument."
_ENDINGS: Final = {
    "text/plain": "txt", "text/csv": "csv", "text/html": "html", "application/pdf": "pdf",
    f"{_OFFICE}wordprocessingml.document": "docx", f"{_OFFICE}spreadsheetml.sheet": "xlsx",
}  # fmt: skip
_SEALS: Final = ("application/pkcs7-signature", "application/x-pkcs7-signature", "application/pgp-signature")
_UNSEEN: Final = frozenset({"script", "style", "title", "template"})
_INLINE: Final = frozenset(
    {"a", "abbr", "b", "big", "code", "em", "font", "i", "mark", "s", "small", "span", "strong", "sub", "sup", "u", "wbr"}
)
_CELLS: Final = frozenset({"td", "th"})
_TRIM: Final = "\"'`“”‘’«»<>()[]{},;:!…."
_ATTACHMENT: Final = Unread(
    "attachment", "Tệp kèm theo thư không được đọc: hãy nộp riêng (PDF, DOCX, XLSX, CSV) hoặc gõ danh sách.",
    "A file that came with the mail was not read: bring it by itself (PDF, DOCX, XLSX, CSV), or type the list.",
)  # fmt: skip

ReadPart = Callable[[str, bytes, FileText], None]


def read_mail(content: bytes, out: FileText, read_part: ReadPart) -> None:
    """Read a mail into `out`; `read_part` reads an attachment (name, content, where to). Raises UnreadableFile."""
    try:
        _Mail(out, read_part).part(message_from_bytes(content, policy=policy.default), 0)
    except UnreadableFile:
        raise
    except Exception as error:  # a header or a set of letters that its parsers cannot read ends in whatever they raise
        raise UnreadableFile("broken", "Không đọc được tệp thư.", "The mail file cannot be read.") from error


def read_html(text: str, out: FileText, said: frozenset[str] | None = None) -> None:
    """Read the words of HTML into `out`. With `said`, words that stand there already, only lines that name a site besides those."""
    page = _Words()
    page.feed(text)
    page.close()
    for line in "".join(page.words).splitlines():
        words = " ".join(line.split())
        if (said is None or any("." in word and word not in said for word in _words(words))) and not out.row([words]):
            return
    for target in page.links:
        out.link(target)


def _words(text: str) -> Iterator[str]:
    return (word.strip(_TRIM).lower() for word in text.split())


class _Mail:
    """One mail on its way into a FileText."""

    def __init__(self, out: FileText, read_part: ReadPart) -> None:
        self._out = out
        self._read_part = read_part
        self._parts = 0

    def part(self, message: Message[Any, Any], depth: int, said: frozenset[str] | None = None) -> None:
        """A mail or one part of it. `said`: words of the plain text beside which this part stands."""
        self._parts += 1
        kind = message.get_content_type()
        if depth > DEEPEST or self._parts > MOST_PARTS:
            self._out.miss(replace(_ATTACHMENT, detail=kind))
        elif kind == "message/rfc822" or depth == 0:
            inner = message.get_payload(0) if kind == "message/rfc822" and message.is_multipart() else message
            if isinstance(inner, Message):
                if (subject := inner.get("Subject")) is not None:
                    self._out.lines(str(subject))
                self._content(inner, depth + 1, None)
        else:
            self._content(message, depth, said)

    def _content(self, message: Message[Any, Any], depth: int, said: frozenset[str] | None) -> None:
        kind = message.get_content_type()
        if kind == "multipart/alternative":
            self._alternatives(list(_inside(message)), depth)
        elif message.is_multipart():
            for one in _inside(message):
                self.part(one, depth + 1, said)
        elif message.get_filename() is None and message.get_content_disposition() != "attachment" and kind in ("text/plain", "text/html"):
            assert isinstance(message, EmailMessage)
            text = str(message.get_content())
            if kind == "text/html":
                read_html(text, self._out, said)
            else:
                self._out.lines(text)
        else:
            self._attachment(message, kind)

    def _alternatives(self, parts: list[Message[Any, Any]], depth: int) -> None:
        """The same letter in several forms: the plain one, and what another names besides it."""
        before = len(self._out.rows)
        others = [one for one in parts if one.get_content_type() != "text/plain"]
        for one in parts:
            if one not in others:
                self.part(one, depth + 1)
        said = frozenset(word for row in self._out.rows[before:] for cell in row for word in _words(cell))
        for one in others:
            self.part(one, depth + 1, said or None)

    def _attachment(self, message: Message[Any, Any], kind: str) -> None:
        content = message.get_payload(decode=True)
        if kind in _SEALS or not isinstance(content, bytes) or not content:
            return
        name = message.get_filename() or ""
        ending = name.rpartition(".")[2].lower()
        if ending not in KINDS:
            ending = "pdf" if content[:4] == b"%PDF" else _ENDINGS.get(kind, "")
        if not ending:
            self._out.miss(replace(_ATTACHMENT, detail=name or kind))
            return
        try:
            self._read_part(f"file.{ending}", content, self._out)
        except UnreadableFile as error:
            self._out.miss(Unread(error.code, error.vi, error.en, name or kind))


def _inside(message: Message[Any, Any]) -> Iterator[Message[Any, Any]]:
    payload = message.get_payload()
    return (one for one in payload if isinstance(one, Message)) if isinstance(payload, list) else iter(())


class _Words(HTMLParser):
    """The words of a page: a line for each block and each row of a table."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self.links: list[str] = []
        self._unseen = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A block begins a line; what is not shown is passed over."""
        if tag in _UNSEEN:
            self._unseen += 1
        elif tag == "a":
            self.links += [value for name, value in attrs if name == "href" and value]
        self._divide(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element without content, as `<br/>`."""
        self._divide(tag)

    def handle_endtag(self, tag: str) -> None:
        """A block ends its line."""
        if tag in _UNSEEN:
            self._unseen = max(0, self._unseen - 1)
        self._divide(tag)

    def handle_data(self, data: str) -> None:
        """Words; a line break between them is a blank."""
        if not self._unseen:
            self.words.append(" ".join(data.splitlines()) if data.strip() else " ")

    def _divide(self, tag: str) -> None:
        if tag in _CELLS:
            self.words.append(" ")
        elif tag not in _INLINE:
            self.words.append("\n")
