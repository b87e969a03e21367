"""How zones taken from primaries stand: the state that each transfer leaves for status, metrics and lists.

The transfers are in `lachan`, in a process of their own; here is only the document they write for each zone
(`state_dir/zones/*.json`), when a zone is due again (RFC 1035 §3.3.13), and what the supervisor makes of it. Any package may import this
module.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from gateway.release import canonical_bytes, replace_file

FOLDER: Final = "zones"
CODES: Final = ("unreachable", "refused", "key", "tls", "cut", "shape", "size", "backwards", "apply", "disk")
"""Why the last transfer of a zone failed; empty when it went well."""

SHORTEST, LONGEST = 30.0, 86_400.0
"""Bounds of the times that a zone's SOA record may ask for (seconds)."""
FIRST_RETRY: Final = 60.0
"""Seconds until a zone that was never had is tried again; doubled each time, up to an hour."""
JITTER: Final = 0.1
NEVER_HAD_LONGEST: Final = 3600.0


@dataclass(frozen=True, slots=True)
class ZoneState:
    """One zone: its serial and the times of its SOA record (seconds), why the last transfer failed (`code`, empty when it did not), the
    sentence for people, failures in a row, and when (unix seconds): the last try, the last one that went well, the last change, and the
    first of the failures (0: never)."""

    name: str
    primary: str = ""
    serial: int = 0
    records: int = -1
    refresh: int = 0
    retry: int = 0
    expire: int = 0
    code: str = ""
    problem: str = ""
    failures: int = 0
    checked_at: int = 0
    good_at: int = 0
    changed_at: int = 0
    failing_since: int = 0

    def after_failure(self, code: str, problem: str, now: float) -> ZoneState:
        """The state after a transfer that failed: what is known of the zone stays."""
        at = int(now)
        return replace(
            self,
            code=code if code in CODES else "shape",
            problem=problem[:500],
            failures=self.failures + 1,
            checked_at=at,
            failing_since=self.failing_since or at,
        )

    def after_success(self, serial: int, times: tuple[int, int, int], records: int | None, now: float) -> ZoneState:
        """The state after a transfer that went well; `records` is None when it brought nothing new."""
        at = int(now)
        refresh, retry, expire = times
        found = replace(self, code="", problem="", failures=0, checked_at=at, good_at=at, failing_since=0, serial=serial)
        found = replace(found, refresh=refresh, retry=retry, expire=expire)
        return found if records is None else replace(found, records=records, changed_at=at)

    def due_at(self) -> float:
        """When the zone is to be asked for next (unix seconds), a little early: by how much depends on the zone and its last check."""
        if not self.checked_at:
            return 0.0
        if not self.code:
            wait = min(max(float(self.refresh), SHORTEST), LONGEST)
        elif self.good_at:
            wait = min(max(float(self.retry), SHORTEST), LONGEST)
        else:
            wait = min(FIRST_RETRY * 2 ** min(self.failures - 1, 10), NEVER_HAD_LONGEST)
        seed = hashlib.sha256(f"{self.name}:{self.checked_at}".encode()).digest()
        return self.checked_at + wait * (1 - JITTER * int.from_bytes(seed[:4]) / 0xFFFFFFFF)

    def is_expired(self, now: float) -> bool:
        """Whether a secondary would have to forget the zone (RFC 1035). Ours stays in force, and says so."""
        return bool(self.good_at and self.expire and now > self.good_at + self.expire)


def read_zone(state_dir: Path, copy: Path) -> ZoneState | None:
    """What the last transfer into this copy left; None when there was none, or nothing can be read."""
    return _read(state_dir / FOLDER / f"{copy.stem}.json")


def read_zones(state_dir: Path) -> list[ZoneState]:
    """Every zone that is taken from a primary, by name."""
    found = (_read(path) for path in (state_dir / FOLDER).glob("*.json"))
    return sorted((state for state in found if state is not None), key=lambda state: state.name)


def write_zone(state_dir: Path, copy: Path, state: ZoneState) -> None:
    """Leave the state for others. Raises OSError."""
    target = state_dir / FOLDER / f"{copy.stem}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    replace_file(target, canonical_bytes({"format": 1} | asdict(state)))


def forget_others(state_dir: Path, copies: set[Path]) -> None:
    """Take the states of zones away that nobody takes any more; their copies go, too."""
    for path in (state_dir / FOLDER).glob("*.json"):
        if path.with_suffix(".zone") not in copies:
            path.unlink(missing_ok=True)
            path.with_suffix(".zone").unlink(missing_ok=True)


def describe(state: ZoneState, now: float) -> dict[str, Any]:  # Any: JSON values
    """The state for people and programs. `age`: seconds since the zone was last found good, None before the first time."""
    age = max(0, int(now) - state.good_at) if state.good_at else None
    return {
        "name": state.name,
        "primary": state.primary,
        "serial": state.serial if state.good_at else None,
        "age": age,
        "expired": state.is_expired(now),
        "code": state.code or None,
        "problem": state.problem or None,
    } | {name: getattr(state, name) or None for name in ("checked_at", "good_at", "changed_at", "failing_since")}


def _read(path: Path) -> ZoneState | None:
    try:
        document = json.loads(path.read_bytes())
        return ZoneState(**{name: kind(document[name]) for name, kind in _kinds()})
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _kinds() -> Iterator[tuple[str, type]]:
    for name, field in ZoneState.__dataclass_fields__.items():
        yield name, str if field.type == "str" else int
