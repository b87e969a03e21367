"""The commands that a family's own machine offers: link, password, journal."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from admin.ended import note_ended
from admin.migrate import migrate
from blocklists.database import open_database
from gateway.errors import LachanError
from lachan.__main__ import app
from lachan.errortext import explain_error
from tests.support.people import make_person

RUNNER = CliRunner()


def settings(folder: Path, admin: bool = True) -> list[str]:
    path = folder / "lachan.yaml"
    path.write_text(f"state_dir: {folder}/var\n" + ('admin: {listen: "127.0.0.1:0"}\n' if admin else ""), encoding="utf-8")
    (folder / "var").mkdir(exist_ok=True)
    return ["-c", str(path)]


def make_database(folder: Path) -> None:
    """An empty database of this program."""

    async def make() -> None:
        database = await open_database(f"sqlite+aiosqlite:///{folder}/var/lachan.db")
        await migrate(database, folder)
        await database.close()

    asyncio.run(make())


def test_setup_link_without_one_is_a_sentence(tmp_path: Path) -> None:
    """Nothing to show is told, not traced."""
    found = RUNNER.invoke(app, ["setup-link", *settings(tmp_path)])
    assert found.exit_code == 1
    assert "no open set-up link" in str(found.exception)


def test_setup_link_is_printed(tmp_path: Path) -> None:
    """What the program printed is printed again."""
    arguments = settings(tmp_path)
    (tmp_path / "var" / "setup.token").write_text("abc\n")
    found = RUNNER.invoke(app, ["setup-link", *arguments])
    assert found.output.strip().endswith("/setup/abc")


def test_verify_journal_of_an_empty_database(tmp_path: Path) -> None:
    """A journal without rows is whole; one that is not there is told."""
    found = RUNNER.invoke(app, ["verify-journal", *settings(tmp_path, admin=False)])
    assert found.exit_code == 1
    assert "no admin section" in str(found.exception)
    found = RUNNER.invoke(app, ["backup", str(tmp_path / "x.zip"), *settings(tmp_path, admin=False)])
    assert f"to back up a gateway alone, copy this file and {tmp_path / 'var'}" in str(found.exception)


def test_a_backup_of_nothing_is_not_made(tmp_path: Path) -> None:
    """The wrong settings file, or a program that never ran: a file without anything in it, called a backup, would be the loss of everything
    on the day it is put back."""
    found = RUNNER.invoke(app, ["backup", str(tmp_path / "x.backup"), *settings(tmp_path)])
    assert found.exit_code == 1 and "there is nothing to back up yet in" in str(found.exception)
    assert not (tmp_path / "x.backup").exists()


@pytest.mark.parametrize(
    ("command", "name", "said"),
    [
        ("backup", "there", ("đã có ở đó rồi: chọn tên khác", "it is there already: choose another name")),
        ("backup", "none/x", ("không có thư mục", "there is no folder")),
        ("backup", "there/x", ("không có thư mục", "there is no folder")),
        ("restore", "none", ("không đọc được", "cannot read")),
        ("restore", "there", ("không phải bản sao lưu của lachan", "is not a backup of lachan")),
        ("restore", "empty", ("không chứa gì", "holds nothing")),
    ],
)
def test_what_goes_wrong_with_a_backup_is_told_in_both_languages(tmp_path: Path, command: str, name: str, said: tuple[str, str]) -> None:
    """With what to do about it, and nothing is changed or written."""
    arguments = settings(tmp_path)
    make_database(tmp_path)
    (tmp_path / "there").write_text("a letter")
    with zipfile.ZipFile(tmp_path / "empty", "w") as archive:
        archive.writestr("manifest.json", json.dumps({"format": 1, "made_at": "2026-11-28T00:00:00+00:00", "schema": 0, "octets": 0}))
        archive.writestr("lachan.db", b"")
    before = sorted(path.name for path in tmp_path.iterdir())
    found = RUNNER.invoke(app, [command, str(tmp_path / name), *arguments, *(["--yes"] if command == "restore" else [])])
    assert found.exit_code == 1 and isinstance(found.exception, LachanError)
    told = explain_error(found.exception)
    assert told.startswith("lỗi / error: ") and len(told.splitlines()) == 1 and str(tmp_path / name) in told
    assert all(words in told for words in said) and told.index(said[0]) < told.index(said[1]), told
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_backup_onto_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    """No traceback, no half file."""
    arguments = settings(tmp_path)
    make_database(tmp_path)
    place = tmp_path / "small"
    place.mkdir()
    command = f"ulimit -f 64; exec {sys.executable} -m lachan backup {place}/one.backup {' '.join(arguments)}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert f"{place}/one.backup" in done.stderr and len(done.stderr.splitlines()) == 1
    assert list(place.iterdir()) == []


def test_reset_password_without_accounts_says_so(tmp_path: Path) -> None:
    """Nobody to give a password to."""
    arguments = settings(tmp_path)
    make_database(tmp_path)
    found = RUNNER.invoke(app, ["reset-password", *arguments])
    assert "chưa có ai / none" in str(found.exception)
    wrong = RUNNER.invoke(app, ["reset-password", "nobody", *arguments])
    assert "không có tên đăng nhập nobody / there is no sign-in name nobody" in str(wrong.exception)
    assert "Mật khẩu mới" not in wrong.output  # told before anything is typed
    whole = RUNNER.invoke(app, ["verify-journal", *arguments])
    assert whole.exit_code == 0


def test_backup_after_the_database_was_lost(tmp_path: Path) -> None:
    """A damaged file: the remedy is said. Moved away, the backup comes back by command; a password that changed after it opens nothing,
    and the command says for whom to set one."""
    arguments, now = settings(tmp_path), datetime.now(UTC)
    path, saved = tmp_path / "var" / "lachan.db", tmp_path / "one.backup"

    async def make() -> None:
        database = await open_database(f"sqlite+aiosqlite:///{path}")
        await migrate(database, tmp_path / "var")
        await make_person(database, now)
        await database.close()

    async def change() -> None:
        database = await open_database(f"sqlite+aiosqlite:///{path}")
        await note_ended(database, tmp_path / "var")
        await database.close()

    asyncio.run(make())
    assert RUNNER.invoke(app, ["backup", str(saved), *arguments]).exit_code == 0
    assert RUNNER.invoke(app, ["reset-password", "me", *arguments], input="một hai ba bốn\nmột hai ba bốn\n").exit_code == 0
    asyncio.run(change())
    content = bytearray(path.read_bytes())
    content[4096:] = bytes(len(content) - 4096)
    path.write_bytes(content)
    broken = RUNNER.invoke(app, ["restore", str(saved), "--yes", *arguments])
    assert broken.exit_code == 1 and "move the file away, then put the newest backup back (lachan restore FILE)" in str(broken.exception)
    path.rename(tmp_path / "damaged.db")
    done = RUNNER.invoke(app, ["restore", str(saved), "--yes", *arguments])
    assert done.exit_code == 0, done.output
    assert "lachan reset-password me" in done.output


SMALL_DISK = """
set -e
mount -t tmpfs -o size=64m,mode=700 tmpfs "$1/var"
cp "$1/lachan.db" "$1/var/lachan.db"
free=$(($(stat -c %s "$1/var/lachan.db") * $2 / 102400))
head -c $(($(df -k --output=avail "$1/var" | tail -1) - free))K /dev/zero > "$1/var/ballast"
status=0; "$3" -m lachan restore --yes -c "$1/lachan.yaml" "$1/one.backup" || status=$?
rm "$1/var/ballast"; ls -A "$1/var" > "$1/left"; cp "$1"/var/lachan.db* "$1"
exit $status
"""


@pytest.mark.parametrize("percent", [40, 120, 150, 180, 220, 250])
def test_restore_on_a_full_disk_is_one_sentence(tmp_path: Path, percent: int) -> None:
    """On a disk with so much of the database's size free: what to do about it is said, what is there stays, and nothing is left behind, not
    even half a copy, which an erasing would meet."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root and unshare")
    arguments, there = settings(tmp_path), tmp_path / "var/lachan.db"
    make_database(tmp_path)
    with contextlib.closing(sqlite3.connect(there)) as database, database:
        database.execute("CREATE TABLE ballast AS SELECT zeroblob(3000000)")
    assert RUNNER.invoke(app, ["backup", str(tmp_path / "one.backup"), *arguments]).exit_code == 0
    with contextlib.closing(sqlite3.connect(there)) as database, database:
        database.execute("CREATE TABLE since (a)")
    shutil.move(there, tmp_path / "lachan.db")
    words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", SMALL_DISK, "sh", str(tmp_path), str(percent), sys.executable]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert all(words in done.stderr for words in ("dọn chỗ trên đĩa", "make room on the disk")), done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert {name.partition("-")[0] for name in (tmp_path / "left").read_text().split()} <= {"lachan.db", "journal.head", "ended.ids"}
    with contextlib.closing(sqlite3.connect(tmp_path / "lachan.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        database.execute("SELECT a FROM since")
