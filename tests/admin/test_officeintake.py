"""From a letter and a file to judged rows that travel sealed."""

from __future__ import annotations

import base64
import contextlib
import csv
import io
import json
import zlib
from pathlib import Path

import docx
import openpyxl
import pytest

from admin import officeintake
from admin.errors import InvalidInput
from admin.office import keyed
from admin.officeguard import GuardShelf
from admin.officeintake import Intake, Upload, _box, read_intake, seal, tally, unseal
from blocklists.guard import Guard
from blocklists.takedown.filetext import UnreadableFile
from blocklists.takedown.importer import JUMP
from blocklists.takedown.model import Enforceability
from blocklists.takedown.store import Office

OFFICE = Office("office", keyed(b"k" * 32))


@pytest.fixture(scope="module")
def guard() -> Guard:
    """The shipped guard."""
    return GuardShelf(Path("/nonexistent"), ()).current()


def read(guard: Guard, text: str = "", upload: Upload | None = None) -> Intake:
    """Read with nothing in force yet."""
    return read_intake(text, upload, guard, OFFICE, frozenset())


def workbook(*rows: list[str]) -> bytes:
    """A real XLSX."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def test_letter_and_annex_are_read_together(guard: Guard) -> None:
    """The pasted letter fills the form, the annexed table brings the rows; of the file only digest and size remain."""
    content = workbook(["STT", "Tên miền"], ["1", "nha-cai-mot.com"], ["2", "nha-cai-hai.vn"])
    intake = read(guard, "Số: 5/QĐ-UBND\n", Upload("phu-luc.xlsx", content))
    assert intake.letter.symbol == "5/QĐ-UBND"
    assert [row.item.host for row in intake.found.rows] == ["nha-cai-mot.com", "nha-cai-hai.vn"]
    assert intake.file_bytes == len(content)
    assert intake.file_digest is not None


@pytest.mark.slow
def test_what_can_be_read_can_be_registered(guard: Guard) -> None:
    """Tens of thousands of rows come back from the seal as they were."""
    intake = read(guard, "\n".join(f"trang-lua-dao-so-{number}.example" for number in range(90_000)))
    assert len(unseal(OFFICE, seal(OFFICE, intake)).items) == 90_000


def test_more_addresses_than_a_document_takes_are_refused_at_reading(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the number and what to do; the same address again and again is one, to a bound; neither does a seal grow without end."""
    monkeypatch.setattr(officeintake, "MOST_ROWS", 10)
    letter = "\n".join(f"n{number}.example" for number in range(10))
    intake = read(guard, f"{letter}\n{letter}\n")
    assert len(intake.found.rows) == 10
    for text in (letter + "\nn10.example", "n1.example\n" * 41):
        with pytest.raises(UnreadableFile) as refused:
            read(guard, text)
        assert refused.value.code == "too_many_rows"
        assert "100.000" in refused.value.vi and "100,000" in refused.value.en
    for bound in ("MOST_SEALED", "MOST_UNSEALED"):
        sealed = seal(OFFICE, intake)
        with monkeypatch.context() as small:
            small.setattr(officeintake, bound, 100)
            with pytest.raises(UnreadableFile):
                seal(OFFICE, intake)
            if bound == "MOST_UNSEALED":
                with pytest.raises(InvalidInput):
                    unseal(OFFICE, sealed)


def test_what_was_not_read_comes_along_and_back(guard: Guard) -> None:
    """An endless word of a letter, a picture of a mail; through the seal, too. A letter that was read whole says nothing."""
    mail = b"Content-Type: multipart/mixed; boundary=x\n\n--x\n\nbad.example\n--x\nContent-Type: image/png; name=a.png\n\nabc\n--x--\n"
    intake = read(guard, "x" * 5000, Upload("thu.eml", mail))
    assert [one.code for one in intake.unread] == ["attachment", "long_word"]
    assert unseal(OFFICE, seal(OFFICE, intake)).unread == intake.unread
    assert read(guard, "bad.example\n").unread == ()


def test_a_letterhead_in_two_columns_fills_the_form(guard: Guard) -> None:
    """The head of a letter in Word is a table without lines: the number stands in its left cell."""
    letter = docx.Document()
    left, right = letter.add_table(1, 2).rows[0].cells
    left.text, right.text = "UBND TỈNH LAI CHÂU\nSố: 5/QĐ-UBND", "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM"
    letter.add_paragraph("Đề nghị chặn bad.com")
    content = io.BytesIO()
    letter.save(content)
    intake = read(guard, "", Upload("cv.docx", content.getvalue()))
    assert intake.letter.symbol == "5/QĐ-UBND"
    assert [row.item.host for row in intake.found.rows] == ["bad.com"]


def test_a_broken_pdf_says_what_to_do(guard: Guard) -> None:
    """A file that is cut off is told as such."""
    with pytest.raises(UnreadableFile, match="broken"):
        read(guard, "", Upload("quet.pdf", b"%PDF-1.7"))


def test_download_for_platforms_holds_no_formula(guard: Guard) -> None:
    """What a spreadsheet could take for a formula is text (CWE-1236)."""
    intake = read(guard, "https://www.facebook.com/groups/xau\n")
    rows = list(csv.reader(io.StringIO(intake.export())))
    assert rows[1][2] == "https://www.facebook.com/groups/xau"
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)
    assert intake.export_link().startswith("data:text/csv")


def test_seal_brings_back_the_same_rows(guard: Guard) -> None:
    """What the guard judged is what is registered."""
    intake = read(guard, "bad.example\n103.21.244.7\n")
    back = unseal(OFFICE, seal(OFFICE, intake))
    assert list(back.items) == [row.item for row in intake.found.rows]
    assert tally(back.items) == [("yes", 1), ("ip_only", 1)]


def test_seal_from_before_an_upgrade_is_taken(guard: Guard) -> None:
    """An officer's open page outlives an upgrade: what was sealed when nothing was said of unread parts is registered all the same."""
    box, data = _box(OFFICE), base64.urlsafe_b64decode(seal(OFFICE, read(guard, "bad.example\n")))
    content = json.loads(zlib.decompress(box.decrypt(data[:12], data[12:], None)))
    del content["unread"]
    older = base64.urlsafe_b64encode(data[:12] + box.encrypt(data[:12], zlib.compress(json.dumps(content).encode()), None)).decode()
    assert [item.host for item in unseal(OFFICE, older).items] == ["bad.example"] and unseal(OFFICE, older).unread == ()


def test_seal_tells_no_name_and_takes_no_change(guard: Guard) -> None:
    """The page that carries it, kept or cached, is no list of names; one changed octet makes it worthless."""
    sealed = seal(OFFICE, read(guard, "trang-cam.example\n"))
    data = base64.urlsafe_b64decode(sealed)
    for start in range(len(data)):
        with contextlib.suppress(zlib.error):
            assert b"trang-cam" not in zlib.decompressobj().decompress(data[start:])
    assert b"trang-cam" not in data
    for place in (0, 20, len(data) - 1):
        changed = bytearray(data)
        changed[place] ^= 1
        with pytest.raises(InvalidInput):
            unseal(OFFICE, base64.urlsafe_b64encode(changed).decode())


@pytest.mark.parametrize("text", ["", "x", "x.y", ".", "ố", "a" * 64 + ".eJw"])
def test_anything_else_is_no_seal(text: str) -> None:
    """A made-up text opens nothing."""
    with pytest.raises(InvalidInput):
        unseal(OFFICE, text)


def test_a_seal_of_another_office_is_none(guard: Guard) -> None:
    """Rows of one office cannot be registered in another."""
    sealed = seal(OFFICE, read(guard, "bad.example\n"))
    with pytest.raises(InvalidInput):
        unseal(Office("other", keyed(b"o" * 32)), sealed)


@pytest.mark.slow
def test_very_many_new_names_are_held(guard: Guard) -> None:
    """Sixteen thousand new names at once wait for a person."""
    intake = read(guard, "\n".join(f"n{number}.example" for number in range(JUMP)))
    assert intake.found.held
    assert intake.found.count(Enforceability.YES) == JUMP
    assert unseal(OFFICE, seal(OFFICE, intake)).held
