"""`lachan lists update | compile | show` as a person runs it, against a real web server on loopback: what is said, and the exit status."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gateway import ROOT, Gateway, run_command
from tests.support.listserver import ListServer, Page

NAMES = b"".join(b"n%d.example\n" % number for number in range(200))
MESSY = NAMES + b"# a remark\n0.0.0.0 two.example\n192.0.2.1\nbad_^name\nn1.example\nsub.n1.example\n" + b"a" * 300 + b".example\ncom.vn\n"


class Desk:
    """A configuration with one subscription and one file, and the command."""

    def __init__(self, folder: Path, server: ListServer) -> None:
        self.folder = folder
        self.server = server
        self.config = folder / "lachan.yaml"
        (folder / "own.txt").write_text("own.example\n")
        self.config.write_text(
            f"""\
state_dir: var
upstreams: {{servers: ["udp://192.0.2.1"]}}
lists_fetch: {{allow_private: true, max_bytes: 20KiB}}
lists:
  - {{id: far, category: ads, url: "{server.url("/far.txt")}"}}
  - {{id: own, category: game, path: own.txt}}
default_profile: nguoi-lon
profiles: [{{id: nguoi-lon, band: NL}}]
"""
        )

    def lists(self, word: str) -> tuple[int, str, str]:
        """Exit status, standard output, standard error of `lachan lists WORD`."""
        done = run_command("lists", word, "-c", str(self.config), environment={"COLUMNS": "220"})
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout, done.stderr

    def row(self, text: str, name: str) -> list[str]:
        """The cells of a list's row in a table."""
        (line,) = (line for line in text.splitlines() if line.startswith(f"│ {name} "))
        return [cell.strip() for cell in line.strip("│").split("│")]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Nothing fetched, nothing compiled yet; the subscription is there to be had."""
    with ListServer() as server:
        server.pages["/far.txt"] = Page(MESSY, etag='"1"')
        yield Desk(tmp_path, server)


def test_update_tells_counts_and_rejected_lines_by_reason_and_asks_again_conditionally(desk: Desk) -> None:
    """The first time everything comes; the second the server says 304 and nothing changes; new names then make a new generation."""
    status, _, error = desk.lists("show")
    assert status == 1 and error.splitlines()[0].endswith("make one with lachan lists compile")
    status, told, error = desk.lists("update")
    assert (status, error) == (0, "")
    far = desk.row(told, "far")
    assert far[1:4] == ["ads", "201", "4"], told
    assert set(far[4].split(", ")) == {"ip_only 1", "label_too_long 1", "public_suffix 1", "bad_character 1"}, told
    assert set(far[5].split(", ")) == {"duplicate 1", "covered 1"}, told
    assert desk.row(told, "own")[1:4] == ["game", "1", "0"]
    assert told.endswith("Bản / generation 1: đã áp dụng / in force.\n")
    status, told, error = desk.lists("update")
    assert (status, error) == (0, "") and "nothing changed" in told and "generation 1" in told
    assert [request.headers.get("If-None-Match") for request in desk.server.requests] == [None, '"1"']
    desk.server.pages["/far.txt"] = Page(NAMES + b"new.example\n", etag='"2"')
    status, told, _ = desk.lists("update")
    assert status == 0 and desk.row(told, "far")[2:4] == ["201", "0"] and "generation 2" in told
    status, shown, _ = desk.lists("show")
    assert status == 0 and "fresh" in desk.row(shown, "far") and "generation 2" in shown


def test_status_tells_the_state_of_the_last_fetch_whoever_asked_for_it(desk: Desk) -> None:
    """What had failed at the start is not told any more after it came by hand, and what fails by hand is told, though nothing changes."""
    good = desk.server.pages["/far.txt"]
    desk.server.pages["/far.txt"] = Page(status=500)
    text = desk.config.read_text() + 'dns: {listen: ["127.0.0.1:0"], workers: 1}\n'
    with Gateway(desk.folder, text) as running:
        end = time.monotonic() + 60
        while "the server answered 500" not in running.command("status").stdout and time.monotonic() < end:
            time.sleep(0.5)  # the process that fetches by itself
        assert "far: " in running.command("status").stdout
        desk.server.pages["/far.txt"] = good
        assert desk.lists("update")[0] == 0
        assert "the server answered 500" not in running.command("status").stdout
        desk.server.pages["/far.txt"] = Page(status=503)
        assert desk.lists("update")[0] == 1
        assert "the server answered 503" in running.command("status").stdout


SPOILT = {
    "the list is larger than 20 KiB (lists_fetch.max_bytes)": Page(b"x" * 50_000),
    "lines are mistakes, so the new copy is not used": Page(b"<!DOCTYPE html>\n<html><body>\nplease sign in\n</body></html>\n"),
}


def test_copy_that_cannot_be_used_is_told_and_ends_with_status_1(desk: Desk) -> None:
    """Broken, too large, a page to sign in: nothing is in force before there was a good copy, later that one stays."""
    good = desk.server.pages["/far.txt"]
    desk.server.pages["/far.txt"] = Page(status=500)
    status, told, error = desk.lists("update")
    assert status == 1 and "the server answered 500" in told and desk.row(told, "own")[2] == "1"
    assert error == "lỗi / error: nothing is in force of: far\n"
    desk.server.pages["/far.txt"] = good
    assert desk.lists("update")[0] == 0
    for reason, page in SPOILT.items():
        desk.server.pages["/far.txt"] = page
        status, told, error = desk.lists("update")
        assert status == 1 and reason in told and desk.row(told, "far")[2] == "201"
        assert error == "lỗi / error: the last good copy stays in force of: far\n"
    assert "kept" in desk.row(desk.lists("show")[1], "far")


def test_compile_takes_changed_files_and_tells_of_a_missing_one(desk: Desk) -> None:
    """Status 0 for what is new, 1 for a file that is gone; its last good copy stays."""
    assert desk.lists("update")[0] == 0
    (desk.folder / "own.txt").write_text("own.example\nmore.example\n")
    status, told, error = desk.lists("compile")
    assert (status, error) == (0, "") and desk.row(told, "own")[2] == "2" and "generation 2" in told
    (desk.folder / "own.txt").unlink()
    status, _, error = desk.lists("compile")
    assert status == 1 and len(error.strip().splitlines()) == 1 and "own" in error
    assert desk.row(desk.lists("show")[1], "own")[2] == "2"


def test_progress_is_drawn_on_a_terminal(desk: Desk) -> None:
    """Fetching, reading and compiling each have a bar on standard error; what was piped stays free of it."""
    main, side = pty.openpty()
    command = [sys.executable, "-m", "lachan", "lists", "update", "-c", str(desk.config)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "160"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=side) as process:
        os.close(side)
        drawn = b""
        try:
            while part := os.read(main, 65536):
                drawn += part
        except OSError:  # Linux says so when the other side is closed
            pass
        assert process.stdout is not None
        told = process.stdout.read()
        assert process.wait(30) == 0, drawn.decode()
    os.close(main)
    text = drawn.decode()
    for stage in ("Tải danh sách / fetching lists", "Đọc danh sách / reading lists", "Biên dịch / compiling"):
        assert stage in text, text
    assert b"fetching lists" not in told
