"""`lachan lists`: tables a person can read."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from lachan.lists import ListsError, compile_now, in_force, show


def test_compile_tells_counts_and_rejected_lines(
    prepared: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Per list and per category, with the reasons, in one look."""
    monkeypatch.setenv("COLUMNS", "160")
    (prepared / "games.txt").write_text("one.example\ntwo.example\n-junk-\n")
    compile_now(prepared / "lachan.yaml")
    text = capsys.readouterr().out
    assert "games" in text and "gamb" in text and "generation 2" in text
    compile_now(prepared / "lachan.yaml")
    assert "nothing changed" in capsys.readouterr().out


def test_show_lists_what_is_in_force(prepared_once: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every source with its names and state."""
    monkeypatch.setenv("COLUMNS", "200")
    show(prepared_once / "lachan.yaml")
    text = capsys.readouterr().out
    assert "games" in text and "fresh" in text and "seed:gamb" in text and "generation 1" in text


def test_show_before_the_first_generation_is_one_sentence(tmp_path: Path) -> None:
    """The remedy is named."""
    (tmp_path / "lachan.yaml").write_text("state_dir: var\n")
    with pytest.raises(ListsError, match="lachan lists compile"):
        show(tmp_path / "lachan.yaml")


def test_markup_in_a_title_is_shown_as_it_is() -> None:
    """A list's id or publisher cannot colour or hide a line."""
    row = {"id": "[red]x", "kind": "category", "category": "ads", "action": None, "rpz": None, "entries": 1, "rejected": {"junk": 2}}
    out = io.StringIO()
    Console(file=out, width=160).print(in_force([{**row, "publisher": "[link=https://a.example]a[/link]"}], {}))
    assert "[red]x" in out.getvalue() and "junk 2" in out.getvalue() and "[link=" in out.getvalue()
