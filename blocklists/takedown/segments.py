"""Order segments laid over each other, as gateways do it: later ones win. Pure; imported by `publishing` and the tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

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
            for entry in gone:
                entries.pop(entry, None)
        entries |= {(key, rows[place]["id"]): match for key, match, place in segment["entries"]}
    wanted = sorted({identity for _, identity in entries} if is_base else orders)
    places = {identity: place for place, identity in enumerate(wanted)}
    return {
        "format": 1,
        "orders": [orders[identity] for identity in wanted],
        "entries": sorted([key, match, places[identity]] for (key, identity), match in entries.items()),
        "lifted": [] if is_base else [[key, identity] for key, identity in sorted(lifted)],
    }
