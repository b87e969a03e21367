"""What an office signs: the segments of its newest version, with the head of its journal. Imported by `lachan`, `admin` and the tests.

A gateway that was away for a year fetches the base and what came since; one that was here this morning fetches the last few names.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from blocklists import journal
from blocklists.releases import Listing
from blocklists.takedown.publishing import current_segments
from blocklists.takedown.store import Office
from gateway import release


async def read_listing(connection: AsyncConnection, office: Office) -> Listing | None:
    """The newest version with the head of the journal; None before the first."""
    serial, names = await current_segments(connection, office)
    if not serial:
        return None
    head = await journal.read_head(connection)
    return Listing(serial, {"seq": head.seq, "digest": head.digest.hex()}, names)


def segments_of(state_dir: Path) -> Callable[[str], bytes]:
    """Reads segment files of this machine. The reader raises GenerationError when one is lost."""
    return lambda name: release.read_verified(state_dir, name)
