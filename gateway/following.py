"""How this gateway follows its list office: the state that each round leaves for status, metrics and pages.

The rounds are in `lachan`, in processes of their own; here is only the document they write (`state_dir/follow/status.json`) and what
the supervisor makes of it. Any package may import this module.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from gateway.release import canonical_bytes, replace_file

FILE: Final = "follow/status.json"
WORD: Final = "word"
"""The release is good, and what the office's server says by itself cannot be used."""
CODES: Final = ("unreachable", "refused", "rollback", "shape", "root", "key", "apply", "disk", WORD)
"""Why a round failed, or went well only in part (`WORD`); empty when it went well."""
LIFE_SECONDS: Final = 3 * 86_400
"""How long a release counts as new where it is not known until when the office signed it."""


@dataclass(frozen=True, slots=True)
class FollowState:
    """The last round: the serial in force from the office, why it failed (`code`, empty when it did not), the sentence for people, and
    when (unix seconds): the round, the last one that went well, the first of the failures in a row (0 when there is none), and until
    when the office signed that what was found good then is the newest (0: not known). `waits_for`: the newest serial while it goes out in
    stages and has not come to this gateway. `other`: the serial of the list of an office before this one, which stays in force until the
    first list of this one is good; `serial` is 0 then."""

    serial: int = 0
    code: str = ""
    problem: str = ""
    checked_at: int = 0
    good_at: int = 0
    failing_since: int = 0
    expires_at: int = 0
    waits_for: int = 0
    other: int = 0

    def after(
        self, serial: int, code: str, problem: str, now: float, expires_at: int = 0, waits_for: int = 0, other: int = 0
    ) -> FollowState:
        """The state after one more round; `expires_at` and `waits_for` are those of a round that found a good release."""
        at = int(now)
        if code in ("", WORD):
            since = (self.failing_since or at) if code else 0
            return FollowState(serial, code, problem[:500], at, at, since, expires_at, waits_for, other)
        since, waits_for = self.failing_since or at, 0 if other else self.waits_for
        return FollowState(serial, code, problem[:500], at, self.good_at, since, self.expires_at, waits_for, other)

    def old_days(self, now: float) -> int:
        """For how many days nobody vouched for the release in force, once what the office signed has run out; 0 while it holds."""
        if not (self.serial or self.other) or not self.good_at or now < (self.expires_at or self.good_at + LIFE_SECONDS):
            return 0
        return max(1, int(now - self.good_at) // 86_400)


def read_state(state_dir: Path) -> FollowState | None:
    """What the last round left; None when this gateway follows nobody, or nothing can be read."""
    try:
        document = json.loads((state_dir / FILE).read_bytes())
        for name in ("expires_at", "waits_for", "other"):
            document.setdefault(name, 0)  # written by an older version
        state = FollowState(**{name: kind(document[name]) for name, kind in _KINDS.items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return state if state.code in ("", *CODES) else None


def write_state(state_dir: Path, state: FollowState) -> None:
    """Leave the state for others. Raises OSError."""
    target = state_dir / FILE
    target.parent.mkdir(parents=True, exist_ok=True)
    replace_file(target, canonical_bytes({"format": 1} | asdict(state)))


def forget_state(state_dir: Path) -> None:
    """Take the state away: this gateway follows nobody any more."""
    (state_dir / FILE).unlink(missing_ok=True)


def describe(state: FollowState, now: float) -> dict[str, Any]:  # Any: JSON values
    """The state for people and programs. `age`: seconds since the office's release was last found good, None before the first time;
    `old_days`: the same in days once nobody vouches for it any more, else None."""
    age = max(0, int(now) - state.good_at) if state.good_at else None
    said = {"serial": state.serial, "code": state.code or None, "problem": state.problem or None, "age": age}
    said["old_days"] = state.old_days(now) or None
    names = ("checked_at", "good_at", "failing_since", "expires_at", "waits_for", "other")
    return said | {name: getattr(state, name) or None for name in names}


_KINDS = {
    "serial": int,
    "code": str,
    "problem": str,
    "checked_at": int,
    "good_at": int,
    "failing_since": int,
    "expires_at": int,
    "waits_for": int,
    "other": int,
}
