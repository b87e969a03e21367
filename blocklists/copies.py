"""The copies of lists on disk: the last good one, the newest one not yet judged, one that waits for a person. `blocklists.jobs` imports it.

`state_dir/lists/list-<id>/` holds `good` (in force), `candidate`, `held` and `about.json`. A copy takes its place by rename, so that a
crash leaves the old one. Times are unix seconds.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

from blocklists.fetch import Validators
from gateway import release

FORMAT: Final = 1
JITTER: Final = 0.1
"""Share by which intervals differ from list to list, so that not all gateways ask at once."""

RETRY: Final = 900.0
"""Seconds until a failed fetch is tried again; doubled each time, up to the list's own interval."""


@dataclass(frozen=True, slots=True)
class HeldCopy:
    """A new copy that waits: its digest, how many entries it has, why it waits."""

    digest: str
    entries: int
    vi: str
    en: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Why the newest copy is not used."""

    vi: str
    en: str


@dataclass(frozen=True, slots=True)
class About:
    """What is known about the copies of one list: `entries` and `digest` of the good one, `accepted` a digest a person agreed to."""

    origin: str = ""
    digest: str = ""
    entries: int = -1
    fetched_at: int = 0
    checked_at: int = 0
    failures: int = 0
    validators: Validators = field(default_factory=Validators)
    held: HeldCopy | None = None
    accepted: str = ""
    refused: Refused | None = None


@contextmanager
def alone(state_dir: Path, purpose: Literal["fetch", "prepare", "follow", "zones", "zones-out"], *, wait: bool) -> Iterator[bool]:
    """Be the only process at `purpose` for the length of the block; False when another one is and `wait` says not to wait for it."""
    folder = state_dir / "lists"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f"{purpose}.lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True


class Copies:
    """The copies of one list."""

    def __init__(self, state_dir: Path, list_id: str) -> None:
        self.folder = state_dir / "lists" / f"list-{quote(list_id, safe='')}"
        self.good = self.folder / "good"
        self.candidate = self.folder / "candidate"
        self.held = self.folder / "held"

    def about(self) -> About:
        """What is known; nothing when the file is not there or cannot be read."""
        try:
            document = json.loads((self.folder / "about.json").read_bytes())
            if document.pop("format") != FORMAT:
                return About()
            held, refused, validators = document.pop("held"), document.pop("refused"), document.pop("validators")
            return About(
                **document,
                validators=Validators(**validators),
                held=HeldCopy(**held) if held else None,
                refused=Refused(**refused) if refused else None,
            )
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return About()

    def note(self, about: About) -> None:
        """Keep what is known."""
        self.folder.mkdir(parents=True, exist_ok=True)
        release.replace_file(self.folder / "about.json", release.canonical_bytes({"format": FORMAT, **asdict(about)}))

    def accept(self, path: Path, about: About) -> None:
        """Make `path` the good copy: a candidate or held one is moved, a file of the operator is copied."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if path not in (self.candidate, self.held):
            try:
                shutil.copyfile(path, self.candidate)
            except OSError:
                self.candidate.unlink(missing_ok=True)  # half a copy is worth nothing, and on a full disk every octet is
                raise
            path = self.candidate
        path.replace(self.good)
        if path != self.held:
            self.held.unlink(missing_ok=True)
        self.note(replace(about, held=None, accepted="", refused=None))

    def hold(self, about: About, held: HeldCopy) -> None:
        """Keep the candidate for a person to look at."""
        if self.candidate.is_file():
            self.candidate.replace(self.held)
        self.note(replace(about, held=held, accepted="", refused=None))

    def agree(self) -> HeldCopy | None:
        """A person agrees to the held copy: the next preparation takes it. Returns what was agreed to, None when nothing is held."""
        about = self.about()
        if about.held is None or not self.held.is_file():
            return None
        self.note(replace(about, accepted=about.held.digest))
        return about.held


def digest_of(path: Path) -> str:
    """The SHA-256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def due_at(list_id: str, about: About, refresh: float) -> float:
    """When a list is to be fetched next. The jitter depends on the list and its last fetch, so the time does not wander while waiting."""
    if not about.checked_at:
        return 0.0
    wait = refresh if not about.failures else min(RETRY * 2 ** min(about.failures - 1, 16), refresh)
    seed = hashlib.sha256(f"{list_id}:{about.checked_at}".encode()).digest()
    share = int.from_bytes(seed[:4]) / 0xFFFFFFFF * 2 - 1
    return about.checked_at + wait * (1 + JITTER * share)
