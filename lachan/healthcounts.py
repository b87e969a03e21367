"""How a gateway fares with a list, in three numbers: answers, blocks and failures before it came into force, and since.

Sampled once a round from the running gateway's totals into `state_dir/follow/counts.json`: sums without names, and without the clients
that asked most (`gateway.weights`), for two hours. The receipt carries them once for each serial, a quarter of an hour after it came.
Only `lachan.following` imports this module.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from gateway.control import ask_now
from gateway.errors import ControlError
from gateway.release import canonical_bytes, replace_file

FILE: Final = "follow/counts.json"
READY_SECONDS: Final = 900
KEPT_SECONDS: Final = 7200

Row = tuple[int, int, int, int, int]
"""When (unix seconds), the serial in force, and the totals: answers, blocks, failures."""


def count_health(state_dir: Path, serial: int, now: float) -> tuple[tuple[int, int, int], tuple[int, int, int]] | None:
    """Take a sample; the counts before this serial and since, as soon as there is something to compare. Raises OSError."""
    try:
        totals = ask_now(state_dir, {"do": "counts"}, 10.0)
        row = (int(now), serial, int(totals["answers"]), int(totals["blocked"]), int(totals["failed"]))
    except (ControlError, KeyError, ValueError, TypeError):
        return None
    rows = [*(one for one in _read(state_dir / FILE) if now - KEPT_SECONDS <= one[0] <= now and one[2] <= row[2]), row]
    replace_file(state_dir / FILE, canonical_bytes([list(one) for one in rows]))
    before, since = [one for one in rows if one[1] != serial], [one for one in rows if one[1] == serial]
    if len(before) < 2 or since[-1][0] - since[0][0] < READY_SECONDS:
        return None
    return _grown(before), _grown(since)


def _grown(rows: list[Row]) -> tuple[int, int, int]:
    first, last = rows[0], rows[-1]
    return last[2] - first[2], last[3] - first[3], last[4] - first[4]


def _read(path: Path) -> list[Row]:
    try:
        return [(int(a), int(b), int(c), int(d), int(e)) for a, b, c, d, e in json.loads(path.read_bytes())]
    except (OSError, ValueError, TypeError, RecursionError):
        return []
