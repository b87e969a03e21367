"""The journal's alarm rings once and stays until a person takes it away."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from admin.officealarm import FILE, JournalAlarm


def test_alarm_keeps_its_first_moment(tmp_path: Path, now: datetime) -> None:
    """A second ring changes nothing; it outlives the process; a file that is none is no alarm."""
    alarm = JournalAlarm(tmp_path)
    assert alarm.since is None
    alarm.ring(now)
    alarm.ring(now + timedelta(hours=1))
    assert JournalAlarm(tmp_path).since == now
    (tmp_path / FILE).write_text("x")
    assert alarm.since is None
