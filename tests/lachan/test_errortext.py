"""Expected errors in words: the place, the remedy, nothing that a terminal obeys."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from admin.migrate import migrate
from blocklists.database import open_database
from gateway.errors import LachanError, StartError
from gateway.settings import Endpoint
from gateway.sockets import bind
from gateway.statelock import StateLock
from lachan.configuration import load as read_configuration
from lachan.control import ask
from lachan.errortext import explain_error, in_both, refused_by_database, refused_by_system
from lachan.query import run as ask_server


@pytest.mark.parametrize(("number", "remedy"), [(errno.EACCES, "run it with sudo"), (errno.ENOSPC, "make room on the disk")])
def test_what_the_system_refuses_is_told_with_its_remedy(number: int, remedy: str) -> None:
    """A folder of somebody else's, a full disk."""
    refused = refused_by_system(OSError(number, os.strerror(number), "/srv/lachan/x"))
    assert refused is not None
    told = explain_error(refused)
    assert told.startswith(f"lỗi / error: /srv/lachan/x: {os.strerror(number)}: ") and remedy in told


@pytest.mark.parametrize(("place", "told"), [((), "state_dir"), (("/a/list.txt", None, "/srv/lachan/copy"), "/srv/lachan/copy")])
def test_a_full_disk_is_told_where_the_system_names_no_file_or_two(place: tuple[str | None, ...], told: str) -> None:
    """A write into an open file that no longer fits; a copy, whose target has no room."""
    refused = refused_by_system(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), *place))
    assert refused is not None and explain_error(refused).startswith(f"lỗi / error: {told}: No space left on device: dọn chỗ")


def test_a_full_disk_of_the_database_is_told() -> None:
    """As SQLite says it."""
    told = refused_by_database(OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full")))
    assert told is not None and "make room on the disk" in explain_error(told)


def taken_port() -> None:
    """Somebody listens there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        bind(Endpoint("127.0.0.1", holder.getsockname()[1]), socket.SOCK_DGRAM, "dns.listen", share=False)


def read_text(folder: Path, content: bytes) -> None:
    """A settings file with this in it."""
    path = folder / "lachan.yaml"
    path.write_bytes(content)
    read_configuration(path)


def held_twice(folder: Path) -> None:
    """Two gateways want one folder."""
    first = StateLock(folder)
    try:
        StateLock(folder)
    finally:
        first.close()


def newer_database(folder: Path) -> None:
    """A database that a newer program wrote."""

    async def meet() -> None:
        database = await open_database(f"sqlite+aiosqlite:///{folder / 'lachan.db'}")
        try:
            await migrate(database, folder)
            async with database.write() as connection:
                await connection.execute(text("UPDATE schema_marks SET number = 9000, oldest_code = 9000"))
            await migrate(database, folder)
        finally:
            await database.close()

    asyncio.run(meet())


def lost_server(folder: Path) -> None:
    """A PostgreSQL that does not run."""
    asyncio.run(open_database("postgresql+asyncpg://u:p@127.0.0.1:9/x"))


MET: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "no file": (lambda folder: read_configuration(folder / "none.yaml"), "không có tệp này", "this file is not there"),
    "a folder": (read_configuration, "không đọc được tệp này (là thư mục)", "this file cannot be read (Is a directory)"),
    "no YAML": (lambda folder: read_text(folder, b"a: [1\nb: }"), "tệp không đúng cách viết YAML", "not YAML"),
    "no text": (lambda folder: read_text(folder, b"\xff\xfe\x00"), "dòng này không phải UTF-8", "this line is not UTF-8"),
    "unknown key": (lambda folder: read_text(folder, b"dnss: {}"), "không có khóa 'dnss'", "unknown key 'dnss'"),
    "nearest key": (lambda folder: read_text(folder, b"dnss: {}"), "có phải dns?", "did you mean dns?"),
    "twice": (lambda folder: read_text(folder, b"dns: {}\ndns: {}"), "khóa này viết hai lần", "this key is written twice"),
    "port in use": (lambda folder: taken_port(), "hoặc chọn cổng khác", "or choose another port"),
    "address of another machine": (
        lambda folder: bind(Endpoint("192.0.2.77", 0), socket.SOCK_DGRAM, "dns.listen", share=False),
        "máy này không có địa chỉ 192.0.2.77",
        "this machine has no address 192.0.2.77",
    ),
    "no gateway": (lambda folder: ask(folder, {"do": "status"}), "không có cổng lọc nào đang chạy", "no gateway is running"),
    "a second gateway": (held_twice, "một cổng lọc khác (pid", "another gateway (pid"),
    "newer database": (newer_database, "bản lachan mới hơn", "written by a newer lachan"),
    "lost database": (lost_server, "không kết nối được postgresql", "cannot be reached"),
    "nobody there": (lambda folder: ask_server(["a", "@127.0.0.1:9"], None, False, 5, False), "không ai nghe ở", "nobody listens at"),
}  # fmt: skip


@pytest.mark.parametrize("what", MET)
def test_what_an_operator_meets_is_told_in_both_languages(what: str, tmp_path: Path) -> None:
    """As it is really raised: one line, Vietnamese, then English."""
    meet, vietnamese, english = MET[what]
    with pytest.raises(LachanError) as met:
        meet(tmp_path)
    told = explain_error(met.value)
    assert vietnamese in told and english in told and told.index(vietnamese) < told.index(english), told
    assert len(told.splitlines()) == 1 and "%s" not in told


@pytest.mark.parametrize(
    ("english", "vietnamese"),
    [
        ("dns.listen: 0.0.0.0:53 (UDP) is taken by dnsmasq (pid 7): stop it (systemctl disable --now dnsmasq)", "do dnsmasq (pid 7) giữ"),
        ("dns.listen: this user may not listen on 0.0.0.0:53 (UDP): start with sudo", "không được nghe ở 0.0.0.0:53 (UDP)"),
        ("opening port 53 needs root's right: run: sudo make run LAN=1", "cần quyền root: chạy: sudo make run LAN=1 / "),
        ("a.yaml: this file cannot be read (Permission denied) (run it with sudo, or as the user of the gateway)", "(chạy bằng sudo hoặc "),
        ("state_dir: cannot write to /x: Read-only file system: give it to the gateway's user (chown)", "vào /x (đĩa chỉ đọc)"),
        ("admin.database: sqlite:////x.db is damaged (file is not a database); names keep resolving", "sqlite:////x.db bị hỏng"),
    ],
)
def test_what_needs_another_machine_is_told_in_both_languages(english: str, vietnamese: str) -> None:
    """The sentences of `gateway.sockets`, `lachan.lan` and `blocklists.database`, whose tests show when they are said."""
    assert vietnamese in in_both(english)


def test_database_that_somebody_holds_is_one_sentence() -> None:
    """What SQLAlchemy raises then; everything else of it stays a fault."""
    told = refused_by_database(OperationalError("BEGIN IMMEDIATE", {}, sqlite3.OperationalError("database is locked")))
    assert told is not None and "một chương trình khác đang giữ cơ sở dữ liệu" in explain_error(told)
    assert refused_by_database(OperationalError("SELECT", {}, sqlite3.OperationalError("no such table"))) is None
    assert refused_by_database(ValueError("database is locked")) is None


def test_fault_of_ours_stays_a_fault() -> None:
    """A descriptor that is not open, an error without a place: a bug shows its traceback."""
    assert refused_by_system(OSError(errno.EBADF, "Bad file descriptor", "/x")) is None
    assert refused_by_system(OSError(errno.EACCES, "Permission denied")) is None


def test_error_text_cannot_move_the_cursor() -> None:
    """Control characters of a hostile file name are escaped; several lines stay several lines."""
    assert explain_error(StartError("a\x1b[2Jb\nc")) == "lỗi / error: a\\x1b[2Jb\nc"
