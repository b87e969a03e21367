"""Order segments laid over each other, as gateways do it: later ones win; and when that is worth doing.

Each publish adds a small segment. When what came since a segment outweighs half of it, they are merged, so sizes at least triple from one
to the one before: the list of a million names is some twenty segments, and each name is written a bounded number of times (its logarithm)
however often something is published. Small merges happen in the publish itself, large ones in a process of their own (`merge_apart`).
`publishing` and `blocklists.follower` use it.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gateway import release
from gateway.errors import GenerationError
from gateway.policy.masked import is_masked, mask
from gateway.policy.segment import count_rows, write_mapped

FEW: Final = 8
"""So many segments may lie above each other before any are merged."""
INLINE_ROWS: Final = 4096
"""Up to how many rows are merged while somebody waits for the publish."""
MOST_MADE: Final = 16
"""Of how many merged segments it is said what they were made of."""
LONGEST_SECONDS: Final = 900.0

Json = dict[str, Any]  # Any: JSON of the segment format


def merge(segments: Iterable[Mapping[str, Any]], *, is_base: bool) -> Json:  # Any: order segments
    """One segment that does what these do, earliest first. A base has nothing below it: what only lifts, and orders without entries, are
    left out of it. Sorted, so the same content is the same bytes."""
    orders: dict[str, Json] = {}
    entries: dict[tuple[str, str], int] = {}
    lifted: set[tuple[str, str]] = set()
    for segment in segments:
        rows = segment["orders"]
        orders |= {row["id"]: row for row in rows}
        for key, identity in segment["lifted"]:
            lifted.add((key, identity))
            gone = [(key, identity)] if key else [entry for entry in entries if entry[1] == identity]
            if is_masked(key):  # it leaves, too, where an older segment lists it in clear
                gone += [entry for entry in entries if entry[1] == identity and mask(entry[0]) == key]
            for entry in gone:
                entries.pop(entry, None)
        names = [row["id"] for row in rows]
        for key, match, place in segment["entries"]:
            entries[key, names[place]] = match
    wanted = sorted({identity for _, identity in entries} if is_base else orders)
    places = {identity: place for place, identity in enumerate(wanted)}
    return {
        "format": 1,
        "orders": [orders[identity] for identity in wanted],
        "entries": sorted([key, match, places[identity]] for (key, identity), match in entries.items()),
        "lifted": [] if is_base else [[key, identity] for key, identity in sorted(lifted)],
    }


@dataclass(frozen=True, slots=True)
class Piece:
    """A segment file and how many rows it has."""

    name: str
    rows: int


@dataclass(frozen=True, slots=True)
class Chain:
    """The segments in force, earliest first, and out of which each merged one was made (where that is still known).

    Written into the database as text and signed with a release, so that followers who hold the parts make the merged one themselves.
    """

    pieces: tuple[Piece, ...] = ()
    made_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The files, earliest first."""
        return tuple(piece.name for piece in self.pieces)

    def place_to_merge(self) -> int | None:
        """From which segment on they should be merged; None while they should not."""
        if len(self.pieces) <= FEW:
            return None
        above = sum(piece.rows for piece in self.pieces)
        for place, piece in enumerate(self.pieces[:-1]):
            above -= piece.rows
            if above * 2 >= piece.rows:
                return place
        return None

    def rows_from(self, place: int) -> int:
        """How many rows a merge from there on reads."""
        return sum(piece.rows for piece in self.pieces[place:])

    def grown(self, piece: Piece) -> Chain:
        """With one more segment on top."""
        return Chain((*self.pieces, piece), self.made_of)

    def merged(self, parts: Sequence[str], piece: Piece) -> Chain | None:
        """With a run of its segments replaced by one; None when they are not all there any more."""
        names = self.names
        place = names.index(parts[0]) if parts and parts[0] in names else -1
        if place < 0 or names[place : place + len(parts)] != tuple(parts):
            return None
        made = [*self.made_of.items(), (piece.name, tuple(parts))][-MOST_MADE:]
        return Chain((*self.pieces[:place], piece, *self.pieces[place + len(parts) :]), dict(made))

    def to_text(self) -> str:
        """As it stands in the database."""
        pieces = [[piece.name, piece.rows] for piece in self.pieces]
        return json.dumps({"pieces": pieces, "made_of": self.made_of}, separators=(",", ":"))


def read_chain(text: str) -> Chain:
    """A chain as `Chain.to_text` wrote it."""
    document = json.loads(text)
    pieces = tuple(Piece(str(name), int(rows)) for name, rows in document["pieces"])
    return Chain(pieces, {str(name): tuple(map(str, parts)) for name, parts in document["made_of"].items()})


def merge_files(state_dir: Path, names: Sequence[str], *, is_base: bool) -> Piece:
    """Merge segment files into one more, mapped where it is large. Raises GenerationError or OSError."""
    merged = merge((release.read_file(state_dir, name) for name in names), is_base=is_base)
    name = release.write_file(state_dir, merged)
    write_mapped(state_dir, name, merged)
    return Piece(name, count_rows(merged))


def merge_apart(state_dir: Path, names: Sequence[str], *, is_base: bool) -> Piece:
    """The same in a process of its own, whose memory goes with it. Raises GenerationError."""
    command = [sys.executable, "-m", "blocklists.takedown.segments", str(state_dir), "base" if is_base else "part", *names]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=LONGEST_SECONDS, env=environment)
        name, rows = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, OSError, ValueError, TypeError) as error:
        raise GenerationError("segments", f"cannot be merged ({type(error).__name__})") from error
    return Piece(str(name), int(rows))


def main() -> int:
    """One merge: state directory, `base` or `part`, names; the new file's name and rows as JSON."""
    os.nice(10)
    gc.disable()  # millions of rows that all stay, and no cycles: looking for some takes longer than the merge
    piece = merge_files(Path(sys.argv[1]), sys.argv[3:], is_base=sys.argv[2] == "base")
    sys.stdout.write(json.dumps([piece.name, piece.rows]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
