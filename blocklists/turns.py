"""Whose turn it is: which release a gateway takes while one goes out in stages, and how far the office's server may hold it back.

The rule, for a gateway that enforces an older serial. What the officers signed for everybody at once is taken. So is the oldest list that a
release names: a gateway that enforces something older has waited longer than anybody should. Otherwise the word of the office's server
decides (`blocklists.online`), for `PATIENCE` at most from when this gateway first saw the release; then the officers' signature alone
counts. Where that word cannot be used (it does not verify, has expired, cannot be fetched or read), the last one that could be goes on, and
a release that came after it is waited with for `UNHEARD`. So whoever has the server's key delays an ordinary release and stops none.

Kept in one small file of the follower's folder. Imported by `blocklists.follower` and the tests.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol, TypeVar

from blocklists.online import Statement, read_statement
from gateway.release import canonical_bytes, replace_file

FILE: Final = "word.json"
PATIENCE: Final = 14 * 86_400
"""Seconds for which the server may hold a release back: as long as one of its signatures is good."""
UNHEARD: Final = 86_400
"""Seconds for which a release is waited with of which the server's word was never heard."""


class Listed(Protocol):
    """What is known of a release here."""

    @property
    def serial(self) -> int: ...
    @property
    def at_once(self) -> bool: ...


_Listed = TypeVar("_Listed", bound=Listed)


@dataclass(frozen=True, slots=True)
class Word:
    """The last word of the server that could be used, the newest serial when it was `heard`, and since when (unix seconds) this gateway
    knows each release that is listed still."""

    statement: Statement = field(default_factory=Statement)
    heard: int = 0
    seen: Mapping[int, int] = field(default_factory=dict)

    def after(self, statement: Statement | None, serials: Iterable[int], now: float) -> Word:
        """What is known after a round that found these serials; None for a word that cannot be used."""
        known = list(serials)
        seen = {serial: min(self.seen.get(serial, int(now)), int(now)) for serial in known}
        if statement is None:
            return Word(self.statement, self.heard, seen)
        return Word(statement, max(known, default=0), seen)

    def to_bytes(self) -> bytes:
        """As it is kept."""
        seen = [[serial, at] for serial, at in sorted(self.seen.items())]
        return canonical_bytes({"format": 1, "heard": self.heard, "seen": seen, "statement": json.loads(self.statement.to_bytes())})

    def is_over(self, serial: int, now: float) -> bool:
        """Whether the server has held this release back for as long as it may."""
        return now - self.seen.get(serial, now) >= (PATIENCE if serial <= self.heard else UNHEARD)


def choose(lists: Sequence[_Listed], enforced: int, word: Word, gateway: str, now: float, *, by_hand: bool) -> _Listed | None:
    """Of lists, the newest first, the one above the serial in force that has come to this gateway, else the one in force; None when that
    is not named. `by_hand`: somebody carried the lists here, so no stage is waited for."""
    at = float("inf") if by_hand else now
    for one in lists:
        if one.serial <= enforced:
            return one if one.serial == enforced else None
        has_come = one.serial <= word.heard and word.statement.admits(one.serial, gateway, at)
        if one.at_once or one is lists[-1] or has_come or word.is_over(one.serial, now):
            return one
    return None


def read_word(folder: Path) -> Word:
    """What is kept in a follower's folder; nothing when it cannot be read."""
    try:
        document = json.loads((folder / FILE).read_bytes())
        seen = {int(serial): int(at) for serial, at in document["seen"]}
        return Word(read_statement(canonical_bytes(document["statement"])), int(document["heard"]), seen)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return Word()


def write_word(folder: Path, word: Word) -> None:
    """Keep it, where it is news. Raises OSError."""
    if word != read_word(folder):
        replace_file(folder / FILE, word.to_bytes())
