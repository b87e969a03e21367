"""The office this gateway joined, as it stands in the state directory. Light: any page and any start may import it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

OFFICE: Final = "follow/office.json"
ROOT: Final = "follow/root.json"


@dataclass(frozen=True, slots=True)
class Joined:
    """The office this gateway joined. `gateway` is its id there; empty where it sends no receipts."""

    url: str
    fingerprint: str
    gateway: str = ""
    label: str = ""
    public: str = ""


def read_joined(state_dir: Path) -> Joined | None:
    """The office that was joined; None when none was, or nothing can be read."""
    try:
        document = json.loads((state_dir / OFFICE).read_bytes())
        return Joined(**{name: str(document[name]) for name in ("url", "fingerprint", "gateway", "label", "public")})
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def leave(state_dir: Path) -> None:
    """Follow no office any more; the key stays, so that coming back is the same gateway."""
    (state_dir / OFFICE).unlink(missing_ok=True)
