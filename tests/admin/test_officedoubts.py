"""What one officer doubts waits for a second one, a week at most; a damaged file is no doubt."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from admin.officedoubts import FILE, HOLDS, Doubt, read_doubts, write_doubts
from blocklists.tables import AccountId

NOW = datetime(2026, 11, 26, 8, tzinfo=UTC)


def test_doubts_are_kept_for_a_week(tmp_path: Path) -> None:
    """Written, read, forgotten."""
    assert read_doubts(tmp_path, NOW) == {}
    doubts = {"k1": Doubt(AccountId("a"), NOW), "k2": Doubt(AccountId("b"), NOW - timedelta(days=3))}
    write_doubts(tmp_path, doubts)
    assert read_doubts(tmp_path, NOW) == doubts
    assert list(read_doubts(tmp_path, NOW + HOLDS - timedelta(days=1))) == ["k1"]
    assert read_doubts(tmp_path, NOW + HOLDS) == {}


def test_a_damaged_file_withdraws_nothing(tmp_path: Path) -> None:
    """Nobody's word is made up."""
    write_doubts(tmp_path, {"k1": Doubt(AccountId("a"), NOW)})
    for damaged in ("", "[]", '{"k1": 1}', '{"k1": {"account": "a"}}', '{"k1": {"account": "a", "at": "x"}}'):
        (tmp_path / FILE).write_text(damaged)
        assert read_doubts(tmp_path, NOW) == {}
