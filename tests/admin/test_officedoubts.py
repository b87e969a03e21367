"""What one officer doubts waits for a second one, a week at most; a damaged file is no doubt."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from admin.officedoubts import FILE, HOLDS, ROLES, Doubt, changing_doubts, read_doubts, write_doubts
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


ADDS = """
import asyncio, sys
from datetime import datetime, UTC
from pathlib import Path
from admin.officedoubts import ROLES, Doubt, changing_doubts
from blocklists.tables import AccountId

async def main() -> None:
    now = datetime(2026, 11, 26, 8, tzinfo=UTC)
    sys.stdout.write("ready\\n"); sys.stdout.flush(); sys.stdin.readline()
    for number in range(20):
        async with changing_doubts(Path(sys.argv[1]), now, ROLES) as doubts:
            await asyncio.sleep(0.002)
            doubts[f"{sys.argv[2]}{number}"] = Doubt(AccountId("a"), now)

asyncio.run(main())
"""


def test_two_processes_lose_nothing_of_each_other(tmp_path: Path) -> None:
    """What two processes ask for at the same time is all there: each reads, changes and writes before the other one reads."""
    pipe = subprocess.PIPE
    both = [subprocess.Popen([sys.executable, "-c", ADDS, str(tmp_path), word], stdin=pipe, stdout=pipe, text=True) for word in "ab"]
    for one in both:
        assert one.stdout is not None and one.stdout.readline() == "ready\n"
    for one in both:
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    for one in both:
        one.communicate(timeout=30)
        assert one.returncode == 0
    assert set(read_doubts(tmp_path, NOW, ROLES)) == {f"{word}{number}" for word in "ab" for number in range(20)}


async def test_a_change_that_fails_writes_nothing(tmp_path: Path) -> None:
    """What could not be carried out was not asked for, and the next one is not held up."""
    with pytest.raises(RuntimeError):
        async with changing_doubts(tmp_path, NOW, ROLES) as doubts:
            doubts["k1"] = Doubt(AccountId("a"), NOW)
            raise RuntimeError
    async with asyncio.timeout(5), changing_doubts(tmp_path, NOW, ROLES) as doubts:
        assert doubts == {}
        doubts["k2"] = Doubt(AccountId("a"), NOW)
    assert list(read_doubts(tmp_path, NOW, ROLES)) == ["k2"]
