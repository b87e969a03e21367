"""Signing keys that one officer wants withdrawn and a second one has not confirmed yet: a small file beside the drafts of signing.

Used by `admin.officesigning`; a doubt that nobody shares is forgotten after a week.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from blocklists.tables import AccountId
from gateway.release import canonical_bytes, replace_file

FILE: Final = "signing/withdrawals.json"
HOLDS: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Doubt:
    """Who wants a key withdrawn, since when."""

    account: AccountId
    at: datetime


def read_doubts(state_dir: Path, now: datetime) -> dict[str, Doubt]:
    """The doubts that still hold, by the key's id in the database. A file that cannot be read holds none: a person asks again."""
    try:
        document = json.loads((state_dir / FILE).read_bytes())
        found = {str(key): Doubt(AccountId(str(row["account"])), datetime.fromisoformat(row["at"])) for key, row in document.items()}
        return {key: doubt for key, doubt in found.items() if now - doubt.at < HOLDS}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def write_doubts(state_dir: Path, doubts: dict[str, Doubt]) -> None:
    """Keep the doubts. Raises OSError."""
    target = state_dir / FILE
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(target, canonical_bytes({key: {"account": doubt.account, "at": doubt.at.isoformat()} for key, doubt in doubts.items()}))
