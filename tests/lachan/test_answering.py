"""Whether the release that the installer put in force is what answers (the real machine is in `deploy/test_install.py`)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lachan import answering
from lachan.answering import NO_ANSWER, NO_PAGES, judge, program_of
from tests.support.gateway import ROOT, Gateway, RunningUpstream

SETTINGS = """
state_dir: {folder}/var
dns: {listen: ["127.0.0.1:0"], workers: 1}
upstreams: {servers: ["udp://127.0.0.1:{upstream}"]}
profiles: [{id: a, band: TH}]
admin: {listen: "127.0.0.1:{pages}"}
"""
THIS = Path(sys.prefix)


def test_the_release_that_answers_is_told_from_another(tmp_path: Path, free_pages: int) -> None:
    """By the program that runs, as the installer asks: this one with its pages; another folder is another release."""
    with RunningUpstream({}) as upstream, Gateway(tmp_path, SETTINGS, upstream=upstream.port, pages=free_pages) as gateway:
        done = ask(gateway.path, THIS, 30)
        assert (done.returncode, done.stdout) == (0, "")
        done = ask(gateway.path, tmp_path, 0)
        assert done.returncode == 1
        assert done.stdout == f"chương trình khác đang trả lời / another program answers: {sys.executable} (pid {gateway.pid})\n"
        [pages] = gateway.status()["processes"]
        assert pages["at_work"] is True
    assert ask(gateway.path, THIS, 0).stdout.strip() == NO_ANSWER


@pytest.fixture
def free_pages() -> int:
    """A port for the pages."""
    from tests.support.echogateway import free_port

    return free_port()


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"pid": 5, "restarts": 0, "at_work": True}, ""),
        ({"pid": 5, "restarts": 3, "at_work": False}, NO_PAGES),  # until the time is over
        ({"pid": None, "restarts": 4, "at_work": False}, NO_PAGES),
        ({"pid": None, "restarts": 0, "at_work": False}, NO_PAGES),  # their port is somebody else's
        ({"pid": 5, "restarts": 0}, ""),  # as an older program tells it
        ({"pid": None, "restarts": 9}, NO_PAGES),
    ],
)
def test_pages_that_do_not_run_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: dict[str, object], problem: str) -> None:
    """Names are answered, so it is the pages that are named."""
    (tmp_path / "lachan.yaml").write_text("state_dir: ./var\n")
    status = {"state": "ready", "pid": os.getpid(), "processes": [{"name": "admin", **row}]}
    monkeypatch.setattr(answering, "ask", lambda *_: status)
    monkeypatch.setattr(answering, "PORT_SECONDS", 0.2)
    assert judge(tmp_path / "lachan.yaml", Path(program_of(os.getpid())).parent, 0.5) == problem


def test_without_pages_names_are_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway without an admin section has none that could fail."""
    (tmp_path / "lachan.yaml").write_text("state_dir: ./var\n")
    monkeypatch.setattr(answering, "ask", lambda *_: {"state": "ready", "pid": os.getpid(), "processes": []})
    assert judge(tmp_path / "lachan.yaml", Path(program_of(os.getpid())).parent, 0.0) == ""


def ask(config: Path, release: Path, seconds: float) -> subprocess.CompletedProcess[str]:
    """The command, as the installer gives it."""
    command = [sys.executable, "-m", "lachan.answering", str(config), str(release), str(seconds)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=90, check=False)
