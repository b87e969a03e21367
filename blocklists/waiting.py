"""A held copy of a list, described for the person who has to agree to it. `lachan` and `admin` may import this module.

What is compared is what a gateway would enforce: the names of the copy in force and of the one that waits, read the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from blocklists.copies import Copies, HeldCopy
from blocklists.normalize import name_of_key
from blocklists.parsers.detect import parse_file
from blocklists.sources import Source

EXAMPLES: Final = 5
"""How many names of each kind are shown."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The copy that waits: why, its entries and those in force, how many names come and go, the first of each in the order of names.

    `source` is where it came from, `checked_at` when a copy was last looked for (unix seconds).
    """

    held: HeldCopy
    source: str
    checked_at: int
    before: int
    added: int
    removed: int
    added_names: tuple[str, ...]
    removed_names: tuple[str, ...]


def waiting_copy(state_dir: Path, source: Source) -> Waiting | None:
    """What waits for a person at one list; None when nothing does. Raises OSError when the copies cannot be read."""
    copies = Copies(state_dir, source.id)
    about = copies.about()
    if about.held is None or not copies.held.is_file():
        return None
    new, old = _keys(source, copies.held), _keys(source, copies.good) if copies.good.is_file() else set()
    added, removed = new - old, old - new
    return Waiting(
        about.held,
        source.url or str(source.path or ""),
        about.checked_at,
        max(about.entries, 0),
        len(added),
        len(removed),
        _first(added),
        _first(removed),
    )


def _keys(source: Source, path: Path) -> set[str]:
    """The keys of a copy, exceptions left out."""
    _, harvest = parse_file(path, source.format, source.options)
    return {key for bucket, keys in harvest.buckets.items() if not bucket.exception for key in keys}


def _first(keys: set[str]) -> tuple[str, ...]:
    return tuple(sorted(name_of_key(key) for key in sorted(keys)[:EXAMPLES]))
