"""The office this gateway joined, as it stands in the state directory. Light: any page and any start may import it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.release import replace_file

OFFICE: Final = "follow/office.json"
ROOT: Final = "follow/root.json"
"""Where older versions kept the root of whichever office was joined."""
MISSING: Final = "follow/missing.json"


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


def root_of(state_dir: Path, fingerprint: str) -> Path:
    """Where the root with this fingerprint is kept: under its own name, so that `office.json` alone says which office is followed."""
    path = state_dir / "follow" / f"root-{fingerprint}.json"
    old = state_dir / ROOT
    return old if not path.exists() and old.exists() else path


def leave(state_dir: Path) -> None:
    """Follow no office any more; the key stays, so that coming back is the same gateway."""
    (state_dir / OFFICE).unlink(missing_ok=True)


def note_missing(state_dir: Path, url: str) -> None:
    """Remember that a backup came from a gateway which followed the office at `url`, and that this one does not. Raises OSError."""
    (state_dir / MISSING).parent.mkdir(parents=True, exist_ok=True)
    replace_file(state_dir / MISSING, json.dumps({"url": url}).encode())


def read_missing(state_dir: Path) -> str:
    """The office that was followed before a backup was put back here, and is not followed now; empty for none."""
    if read_joined(state_dir) is not None:
        return ""
    try:
        return str(json.loads((state_dir / MISSING).read_bytes())["url"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""


def forget_missing(state_dir: Path) -> None:
    """Somebody joined an office, or said that none is to be followed."""
    (state_dir / MISSING).unlink(missing_ok=True)
