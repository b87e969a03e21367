"""The commands as a person types them: exit statuses, one sentence on an error, help in both languages."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lachan.__main__ import main
from tests.support.gateway import ROOT, run_command

COMMANDS = ["run", "gateway", "admin", "check", "explain", "query", "flush", "reload", "status", "demo", "config", "lists"]


def test_help_names_every_command_of_the_contract() -> None:
    """In Vietnamese and English; the internal one is not shown."""
    shown = run_command("--help")
    assert shown.returncode == 0
    for command in COMMANDS:
        assert f" {command} " in shown.stdout, command
    assert " prepare " not in shown.stdout
    assert "Lá Chắn DNS" in shown.stdout and "parental-control" in shown.stdout


@pytest.mark.parametrize("command", ["run", "gateway", "check", "reload", "status"])
def test_broken_file_is_told_with_every_mistake_and_status_1(command: str, tmp_path: Path) -> None:
    """No traceback, whatever the command."""
    path = tmp_path / "lachan.yaml"
    path.write_text("dns: {wrkers: 2}\ncache: {entries: lots}\n")
    found = run_command(command, "-c", str(path))
    assert found.returncode == 1
    assert "Traceback" not in found.stderr
    if command in ("run", "gateway", "check"):
        assert "lachan.yaml:1: dns.wrkers" in found.stderr and "lachan.yaml:2: cache.entries" in found.stderr


def test_missing_file_is_one_sentence(tmp_path: Path) -> None:
    """It says how to name another."""
    found = run_command("check", "-c", str(tmp_path / "none.yaml"))
    assert (found.returncode, found.stdout) == (1, "")
    assert "không có tệp này / this file is not there (chỉ tệp bằng -c TỆP / name the file with -c FILE)" in found.stderr


def test_command_in_another_folder_says_where_to_go(tmp_path: Path) -> None:
    """After `make run`, in the wrong folder: both files that a folder may have are named, in Vietnamese, too."""
    environment = {name: value for name, value in os.environ.items() if name != "LACHAN_CONFIG"} | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "lachan", "status"]
    found = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False)
    if Path("/etc/lachan/lachan.yaml").exists():
        pytest.skip("a gateway is installed here")
    assert found.returncode == 1
    assert "thư mục này không có lachan.yaml, không có var/lachan.yaml, và không có /etc/lachan/lachan.yaml / there is no" in found.stderr
    remedy = "vào thư mục đã chạy make run, hoặc chỉ tệp bằng -c TỆP / go to the folder of make run, or name the file with -c FILE"
    assert f"({remedy})" in found.stderr


def test_file_that_may_not_be_read_is_one_sentence_and_status_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In our words, whoever asks: the option's own check would answer with a usage text and status 2."""
    path = tmp_path / "lachan.yaml"
    path.write_text("state_dir: var\n")

    def refuse(*arguments: object) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "access", lambda *arguments, **options: False)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    monkeypatch.setattr(sys, "argv", ["lachan", "check", "-c", str(path)])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert ended.value.code == 1 and "Permission denied" in said and len(said.splitlines()) == 1


@pytest.mark.parametrize("command", [["run"], ["lists", "compile"], ["lists", "update"]])
def test_state_directory_that_cannot_be_made_is_one_sentence(command: list[str], tmp_path: Path) -> None:
    """The place is named, with the remedy; only a fault of ours shows a traceback."""
    (tmp_path / "var").write_text("a file, not a folder")
    (tmp_path / "lachan.yaml").write_text("state_dir: var/deeper\n")
    found = run_command(*command, "-c", str(tmp_path / "lachan.yaml"))
    assert found.returncode == 1 and str(tmp_path / "var") in found.stderr and "choose another" in found.stderr
    assert len(found.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "arguments", [["status"], ["reload"], ["flush"], ["flush", "a.example"], ["status", "--json"], ["status", "--wait", "--timeout", "0.2"]]
)
def test_asking_a_gateway_that_does_not_run_is_one_sentence(arguments: list[str], tmp_path: Path) -> None:
    """The remedy is to start it."""
    path = tmp_path / "lachan.yaml"
    path.write_text("state_dir: var\n")
    found = run_command(*arguments, "-c", str(path))
    assert found.returncode == 1
    english = f"no gateway is running for {tmp_path / 'var'}: start it with lachan run"
    vietnamese = f"không có cổng lọc nào đang chạy với {tmp_path / 'var'}: chạy bằng lachan run"
    assert found.stderr.strip() == f"lỗi / error: {vietnamese} / {english}"


def test_admin_without_a_section_is_one_sentence(tmp_path: Path) -> None:
    """The section to add is shown."""
    path = tmp_path / "lachan.yaml"
    path.write_text("state_dir: var\n")
    found = run_command("admin", "-c", str(path))
    assert found.returncode == 1
    assert "has no admin section: add admin:" in found.stderr


def test_query_without_a_server_is_one_sentence() -> None:
    """The sentence shows how to write it."""
    found = run_command("query", "example.com")
    assert found.returncode == 1
    assert "lachan query NAME [TYPE] @SERVER" in found.stderr
