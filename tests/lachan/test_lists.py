"""`lachan lists`: tables a person can read."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from lachan.lists import ListsError, accept, compile_now, in_force, look, show, update
from tests.support.listserver import ListServer, Page


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
    assert "apps with addresses nobody checked yet" in text and ", tiktok, " in text and "zalo" not in text


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


def test_every_list_is_named_in_full_on_a_narrow_terminal() -> None:
    """Eighty columns: what no list has takes no room, and the column that tells the lists apart is whole."""
    names = ("seed:ut1-adult-and-more", "services:aichat")
    row = {"kind": "category", "category": "aichat", "action": None, "rpz": None, "entries": 22_269}
    row |= {"rejected": {"covered": 4}, "publisher": ""}
    out = io.StringIO()
    Console(file=out, width=80).print(in_force([{**row, "id": name} for name in names], {}))
    text = out.getvalue()
    assert all(name in text for name in names) and "aichat" in text and "22.269" in text and "covered 4" in text
    assert "publisher" not in text and "rejected" not in text


def test_tables_are_whole_without_a_terminal(prepared: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Into a file or a pipe nothing is cut to "k…", however narrow the environment says it is."""
    monkeypatch.setenv("COLUMNS", "40")
    compile_now(prepared / "lachan.yaml")
    show(prepared / "lachan.yaml")
    told = capsys.readouterr().out
    assert "…" not in told and "danh sách /" in told and told.count("│ games ") == 2
    for line in told.splitlines():
        assert not line.startswith("│ games ") or "game" in line.split("│")[2]


def test_repeats_are_told_apart_from_what_was_rejected(capsys: pytest.CaptureFixture[str]) -> None:
    """A name written twice is no fault of the list; a line that cannot be read is."""
    row = {"id": "x", "kind": "category", "category": "ads", "action": None, "rpz": None, "entries": 1, "publisher": ""}
    out = io.StringIO()
    Console(file=out, width=200).print(in_force([{**row, "rejected": {"duplicate": 7, "covered": 2, "not_a_rule": 3}}], {}))
    line = next(line for line in out.getvalue().splitlines() if "not_a_rule" in line)
    cells = [cell.strip() for cell in line.split("│")]
    assert cells[5:7] == ["not_a_rule 3", "duplicate 7, covered 2"]


def test_held_copy_is_shown_and_accepted(prepared: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A sudden change waits and names the command; the command says what waits and why, and puts it in force."""
    monkeypatch.setenv("COLUMNS", "200")
    config = prepared / "lachan.yaml"
    with ListServer() as server:
        names = [f"n{number}.example\n" for number in range(1200)]
        server.pages["/l"] = Page("".join(names).encode(), etag='"1"')
        text = config.read_text().replace("lists: [", f'lists: [{{id: far, category: ads, url: "{server.url("/l")}"}}, ')
        config.write_text(text + "lists_fetch: {allow_private: true}\n")
        update(config)
        with pytest.raises(ListsError, match="no copy of 'far' waits for anybody"):
            accept(config, "far", yes=True)
        server.pages["/l"] = Page("".join(names[:300]).encode(), etag='"2"')
        capsys.readouterr()
        update(config)
        told = capsys.readouterr().out
        assert "look at it with: lachan lists show far" in told and "agree with: lachan lists accept far" in told
        with pytest.raises(ListsError, match=r"there is no list 'fra' .*far"):
            accept(config, "fra", yes=True)
        with pytest.raises(ListsError, match="waiting now: far"):
            look(config, "games")
        look(config, "far")
        assert "1.200 → 300" in capsys.readouterr().out
        with pytest.raises(ListsError, match=r"nothing was changed: .* lachan lists accept far --yes"):
            accept(config, "far", yes=False)  # there is nobody at a terminal
        assert "1.200 → 300" in capsys.readouterr().out
        show(config)
        assert "held" in capsys.readouterr().out
        accept(config, "far", yes=True)
        told = capsys.readouterr().out
        assert "from 1200 to 300" in told and "1.200 → 300" in told and "/ removed: 900 (n" in told and server.url("/l") in told
        show(config)
        assert "fresh" in capsys.readouterr().out
        with pytest.raises(ListsError, match="waiting now: none"):
            accept(config, "far", yes=True)
