"""Help numbers: one table, each row looked at by somebody."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from admin.helplines import load_helplines
from gateway.errors import StartError


def test_table_has_the_lines_the_pages_name() -> None:
    """Child line, report place, police, ambulance, and a way out."""
    lines = load_helplines()
    assert (lines.number("child"), lines.number("police"), lines.number("ambulance")) == ("111", "113", "115")
    assert lines.url("report").startswith("https://vn-cop.vn")
    assert lines.exit.startswith("https://")
    assert all(date.fromisoformat(line.checked) for line in lines.lines.values())


def test_numbers_stand_in_no_template() -> None:
    """A number that changes is changed in one place."""
    templates = Path(__file__).parents[2] / "admin" / "templates" / "child"
    assert [path.name for path in templates.glob("*.html") if "111" in path.read_text(encoding="utf-8")] == []


def test_broken_table_stops_the_start(tmp_path: Path) -> None:
    """Without help numbers no page for children is shown."""
    path = tmp_path / "helplines.yaml"
    path.write_text("format: 1\nhelplines: []\n", encoding="utf-8")
    with pytest.raises(StartError):
        load_helplines(path)
