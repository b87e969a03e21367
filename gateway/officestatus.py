"""How a list office on this machine stands, for metrics: the document its pages leave (`state_dir/office/status.json`).

Numbers only: no gateway's name, no listed name. Any package may import this module.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from gateway.release import canonical_bytes, replace_file

FILE: Final = "office/status.json"
STATES: Final = ("current", "waiting", "lagging", "silent", "quiet", "invited", "refused")


@dataclass(frozen=True, slots=True)
class OfficeStatus:
    """Gateways by how they stand, how long (seconds) the newest version took to the middle and the slowest of those that enforce it,
    whether it waits for a signature, and whether a head of the journal that was signed is not in the journal (1 or 0). Of releases that go
    out in stages: whether one is held back (1 or 0), and the smallest share (per cent) that one of them has come to. How many gateways keep
    something that the server took out and may not."""

    current: int = 0
    waiting: int = 0
    lagging: int = 0
    silent: int = 0
    quiet: int = 0
    invited: int = 0
    refused: int = 0
    middle: int = 0
    slowest: int = 0
    unsigned: int = 0
    journal_alarm: int = 0
    held: int = 0
    share: int = 100
    withdrawals_kept: int = 0


def read_office(state_dir: Path) -> OfficeStatus | None:
    """What the office's pages left; None where there is no office."""
    try:
        document = json.loads((state_dir / FILE).read_bytes())
        return OfficeStatus(**{name: int(document[name]) for name in OfficeStatus.__dataclass_fields__})
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def write_office(state_dir: Path, status: OfficeStatus) -> None:
    """Leave it for the supervisor. Raises OSError."""
    (state_dir / FILE).parent.mkdir(parents=True, exist_ok=True)
    replace_file(state_dir / FILE, canonical_bytes({"format": 1} | asdict(status)))
