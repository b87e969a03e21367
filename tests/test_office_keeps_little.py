"""What the running office keeps, and what it does not: a file is dropped after reading, and no candidate comes from what a child asked.

The whole program runs; afterwards every file of its state directory, its database with the write-ahead log, its log and its directory for
temporary files are searched.
"""

from __future__ import annotations

import asyncio
import io
import os
import re
import signal
import sqlite3
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import docx
import httpx
import openpyxl
import pytest

from tests.support.echogateway import free_port
from tests.support.gateway import Gateway, RunningUpstream
from tests.support.upstream import ScriptedUpstream
from tests.test_office_road import Browser, join, pages_ready

SETTINGS = """
state_dir: var
dns: {listen: ["127.0.0.1:0"], workers: 2}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"], timeout: 0.3s}
metrics: {listen: "127.0.0.1:{metrics}"}
admin: {listen: "127.0.0.1:{admin}"}
lists:
  - {id: danh-sach-a, category: gamb, path: danh-sach-a.txt}
profiles:
  - {id: be, band: PT}
default_profile: be
"""
LISTED = "kubetvip.example"
IN_A_LIST = "kubetvip88.example"
ASKED = [
    *(f"kubetvip{number}7031.example" for number in range(100)), *(f"kubettvip{number}7031.example" for number in range(100)),
    *(f"kubetvip{number}7031.com.vn" for number in range(50)), *(f"www.kubetvip{number}7031.net" for number in range(50)),
]  # fmt: skip
"""Names of the listed one's family and look-alikes of it: each would be a candidate if it stood in a list."""
ASKED_MARK = b"7031"
MARK = "dauriengkqz7f3"
"""A word of the letters that is no address."""


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Gateway, str]]:
    """The program with its pages, and their address; temporary files have a directory of their own."""
    port = free_port()
    (tmp_path / "temporary").mkdir()
    (tmp_path / "danh-sach-a.txt").write_text(f"{IN_A_LIST}\nmuasam.example\n")
    places = {"TMPDIR": str(tmp_path / "temporary")}
    with (
        RunningUpstream(upstream=ScriptedUpstream({(name, "A"): ["192.0.2.7"] for name in ASKED})) as upstream,
        Gateway(tmp_path, SETTINGS, upstream=upstream.port, admin=port, environment=places) as gateway,
    ):
        yield gateway, f"http://127.0.0.1:{port}"


@pytest.fixture
async def officers(running: tuple[Gateway, str]) -> AsyncIterator[tuple[Browser, Browser]]:
    """A verifier and an approver of a new office, signed in."""
    gateway, origin = running
    owner, one, two = [Browser(origin) for _ in range(3)]
    await pages_ready(owner)
    await owner.get(f"/setup/{(gateway.folder / 'var' / 'setup.token').read_text().strip()}")
    await owner.get("/setup-office")
    await owner.submit("/setup-office", {"name": "Sở Văn hóa, Thể thao và Du lịch", "basis": "15/QĐ-SVHTTDL"})
    links = re.findall(r"/join/[\w-]+", owner.response.text)
    await join(one, links[0], "mot")
    await join(two, links[1], "hai")
    yield one, two
    for browser in (owner, one, two):
        await browser.close()


def holding(folder: Path, *marks: bytes) -> list[str]:
    """The files below a folder, names of files too, that hold one of the marks: as it is, or in sixteen bits a letter."""
    wide = [mark.decode("latin-1").encode("utf-16-le") for mark in marks]
    found = []
    for path in folder.rglob("*"):
        try:
            content = os.fsencode(path.relative_to(folder)) + (path.read_bytes() if path.is_file() else b"")
        except FileNotFoundError:
            continue
        if any(mark in content for mark in (*marks, *wide)):
            found.append(str(path.relative_to(folder)))
    return found


def rows(gateway: Gateway, statement: str) -> list[tuple[object, ...]]:
    """What stands in the database of the running program."""
    with closing(sqlite3.connect(f"file:{gateway.folder}/var/lachan.db?mode=ro", uri=True)) as connection:
        return connection.execute(statement).fetchall()


async def test_no_candidate_comes_from_what_a_child_asked(running: tuple[Gateway, str], officers: tuple[Browser, Browser]) -> None:
    """Three hundred relatives of a listed name, asked again and again from seven devices: the search finds the one that stands in a list
    and no other; no table, no file and no log holds one of them, while it runs and after it ended."""
    gateway, _ = running
    one, two = officers
    await one.get("/office/orders/new")
    await one.submit("/office/orders/read", {"text": f"Số: 412/QĐ-SVHTTDL\nđề nghị ngăn chặn:\n1. {LISTED}\n", "category": "gamb"})
    await one.submit("/office/orders", {"issuer": "UBND tỉnh"})
    path = one.response.url.path
    await one.submit(f"{path}/verify")
    await two.get(path)
    await two.submit(f"{path}/approve", button=("step", "approve"))
    for device in range(1, 8):
        for name in ASKED:
            assert await asyncio.to_thread(gateway.addresses, name, source=f"127.0.{device}.1") == ["192.0.2.7"]
    await one.get("/office/finding")
    await one.submit("/office/finding/scan")
    assert "1 tên mới" in one.text and IN_A_LIST in one.text
    assert "7031" not in one.text
    assert rows(gateway, "SELECT host, origin FROM takedown_candidates") == [(IN_A_LIST, "family")]
    assert "var/lachan.db" in {name.removesuffix("-wal") for name in holding(gateway.folder, IN_A_LIST.encode())}, "a stored name is found"
    assert holding(gateway.folder, ASKED_MARK) == []
    await one.submit("/office/finding/scan")
    assert "0 tên mới" in one.text
    gateway.stop()
    assert holding(gateway.folder, ASKED_MARK) == []


def letters() -> dict[str, bytes]:
    """One letter in each form that is read, each with a name of its own and the word that nobody needs to keep."""
    said = f"Ghi chu noi bo: {MARK} xin giu kin"
    book, letter = openpyxl.Workbook(), docx.Document()
    book.active.append(["1", "trang-xlsx.net", said])
    letter.add_paragraph(said)
    letter.add_paragraph("1. trang-docx.net")
    sheet, paper = io.BytesIO(), io.BytesIO()
    book.save(sheet)
    letter.save(paper)
    mail = f"From: a@example.com\r\nSubject: {MARK}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{said}\r\ntrang-eml.net\r\n"
    return {
        "cong-van.pdf": printed(said, "1. trang-pdf.net"),
        "danh-sach.xlsx": sheet.getvalue(),
        "cong-van.docx": paper.getvalue(),
        "danh-sach.csv": f"1,trang-csv.net,{said}\n".encode(),
        "thu.eml": mail.encode(),
        "thu.txt": f"{said}\ntrang-txt.net\n".encode(),
    }


def printed(*lines: str) -> bytes:
    """A PDF of one page."""
    text = "".join(f"BT /F 12 Tf 20 {150 - 20 * number} Td ({line}) Tj ET\n" for number, line in enumerate(lines))
    parts = [
        "<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 500 200] /Contents 4 0 R /Resources << /Font << /F 5 0 R >> >> >>",
        f"<< /Length {len(text)} >>\nstream\n{text}endstream", "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]  # fmt: skip
    whole, places = "%PDF-1.4\n", []
    for number, part in enumerate(parts, 1):
        places.append(len(whole))
        whole += f"{number} 0 obj\n{part}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    end = f"trailer << /Size 6 /Root 1 0 R >>\nstartxref\n{len(whole)}\n%%EOF\n"
    return f"{whole}xref\n0 6\n0000000000 65535 f \n{table}{end}".encode("latin-1")


def refused() -> dict[str, bytes]:
    """Files that cannot be read, with the word in them."""
    broken = io.BytesIO()
    with zipfile.ZipFile(broken, "w") as archive:
        archive.writestr("word/document.xml", f"<broken>{MARK}")
    return {"hong.docx": broken.getvalue(), "hong.pdf": f"%PDF-1.7 {MARK} ...".encode(), "cu.doc": b"\xd0\xcf\x11\xe0" + MARK.encode() * 40}


def marks_of(content: bytes) -> list[bytes]:
    """What betrays a kept file: the word, and octets from its middle for forms that are packed."""
    middle = len(content) // 2
    return [MARK.encode(), content[middle : middle + 24]]


async def upload(browser: Browser, name: str, content: bytes) -> str:
    """Choose a file and press the button; the text of the answer, also that of a large file that is read behind a page."""
    await browser.get("/office/orders/new")
    form = next(form for form in browser.forms if form.action == "/office/orders/read")
    fields = {**dict(form.fields), "category": "order"}
    files = {"file": (name, content)}
    answer = await browser.http.post(form.action, data=fields, files=files, headers={"Origin": browser.origin})
    await browser._follow(answer)
    return browser.text


async def register(browser: Browser) -> None:
    """Store the document that was read, without its file."""
    await browser.submit("/office/orders", {"symbol": "12/QĐ-SVHTTDL", "issuer": "UBND tỉnh"})
    assert browser.response.status_code == 200 and browser.response.url.path.count("/") == 3, browser.text[:500]


def reader_of(gateway: Gateway) -> tuple[int, int] | None:
    """The process that reads a file and the one that asked it to, where there is one below the program."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            command, status = (place / "cmdline").read_bytes(), (place / "stat").read_text()
        except OSError:
            continue
        if b"blocklists.takedown.filereader" in command:
            parent = int(status.rpartition(")")[2].split()[1])
            above = int(Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[1])
            if above == gateway.pid:
                return int(place.name), parent
    return None


async def test_a_file_is_dropped_after_reading(running: tuple[Gateway, str], officers: tuple[Browser, Browser]) -> None:
    """Every form of letter, read and registered, refused, or cut off with its process in the middle of reading: neither a word of it that
    is no address nor a piece of its octets is in any file afterwards."""
    gateway, _ = running
    one, _ = officers
    marks: list[bytes] = []
    for name, content in letters().items():
        said = await upload(one, name, content)
        assert f"trang-{name.rpartition('.')[2]}.net" in said, said[:600]
        await register(one)
        marks += marks_of(content)
    for name, content in refused().items():
        await upload(one, name, content)
        assert one.response.status_code == 422
        marks += marks_of(content)
    large = "".join(f"{number},trang-{number}.net,{MARK} {number}\n" for number in range(30_000)).encode()
    assert len(large) > 1_048_576, "larger than what a form keeps in memory"
    await upload(one, "lon.csv", large)
    watching = one.response.url.path
    assert watching.startswith("/office/orders/readings/")
    for _ in range(600):
        await one.get(watching)
        if one.has_form("/office/orders"):
            break
        await asyncio.sleep(0.1)
    assert "trang-7.net" in one.text
    marks += marks_of(large)
    assert "var/lachan.db" in {name.removesuffix("-wal") for name in holding(gateway.folder, b"trang-eml.net")}, "what is kept is found"
    assert holding(gateway.folder, *marks) == []

    # The process of the pages, and the one that reads, are killed with the file in their hands.
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    for number in range(60_000):
        sheet.append([number, f"trang-{number}.net", f"{MARK} {number}"])
    packed = io.BytesIO()
    book.save(packed)
    await upload(one, "lon.xlsx", packed.getvalue())
    for _ in range(200):
        if (pair := reader_of(gateway)) is not None:
            break
        await asyncio.sleep(0.05)
    assert pair is not None, "the file is being read"
    for pid in reversed(pair):
        os.kill(pid, signal.SIGKILL)
    assert holding(gateway.folder, *marks, *marks_of(packed.getvalue())) == []
    for _ in range(600):
        try:
            await one.get("/office")
            break
        except httpx.TransportError:
            await asyncio.sleep(0.1)
    gateway.stop()
    assert holding(gateway.folder, *marks, *marks_of(packed.getvalue())) == []
