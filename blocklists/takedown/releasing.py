"""What an office signs: its newest version as one canonical list. Imported by `lachan`, `admin` and the tests.

The segments since the last base are laid over each other as gateways do it (later ones win), so the list is whole: a gateway that was away
for a year needs nothing else. Sorted, so the same version is the same bytes on every machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from blocklists import journal
from blocklists.takedown.publishing import current_segments
from blocklists.takedown.store import Office
from gateway import release

Json = dict[str, Any]  # Any: JSON of the release format


async def read_content(connection: AsyncConnection, office: Office, state_dir: Path) -> Json | None:
    """The newest version with the head of the journal; None before the first. Raises GenerationError when a segment is lost."""
    serial, names = await current_segments(connection, office)
    if not serial:
        return None
    return content_of(serial, await journal.read_head(connection), (release.read_file(state_dir, name) for name in names))


def content_of(serial: int, head: journal.Head, segments: Iterable[Mapping[str, Any]]) -> Json:  # Any: order segments
    """One list out of segments, earliest first: orders by id, entries by key; orders without entries are left out."""
    orders: dict[str, Json] = {}
    entries: dict[tuple[str, str], int] = {}
    for segment in segments:
        rows = segment["orders"]
        orders |= {row["id"]: row for row in rows}
        for key, identity in segment["lifted"]:
            gone = [(key, identity)] if key else [entry for entry in entries if entry[1] == identity]
            for entry in gone:
                entries.pop(entry, None)
        entries |= {(key, rows[place]["id"]): match for key, match, place in segment["entries"]}
    wanted = sorted({identity for _, identity in entries})
    places = {identity: place for place, identity in enumerate(wanted)}
    return {
        "format": 1,
        "serial": serial,
        "journal": {"seq": head.seq, "digest": head.digest.hex()},
        "orders": [orders[identity] for identity in wanted],
        "entries": sorted([key, match, places[identity]] for (key, identity), match in entries.items()),
    }
