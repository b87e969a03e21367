"""The office's numbers for metrics."""

from __future__ import annotations

from pathlib import Path

from gateway.officestatus import FILE, OfficeStatus, read_office, write_office


def test_numbers_are_read_as_they_were_written(tmp_path: Path) -> None:
    """None before the first time, and for a file that is none."""
    assert read_office(tmp_path) is None
    status = OfficeStatus(current=3, lagging=1, middle=40, slowest=300, unsigned=1)
    write_office(tmp_path, status)
    assert read_office(tmp_path) == status
    (tmp_path / FILE).write_text("{}")
    assert read_office(tmp_path) is None
