"""What an office signs: the segments of its newest version, with the head of its journal. Imported by `lachan`, `admin` and the tests.

A gateway that was away for a year fetches the base and what came since; one that was here this morning fetches the last few names, and
makes a merged segment itself out of the parts it holds (`made_of`; the digest says whether it came out right).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from blocklists import journal
from blocklists.releases import Listing
from blocklists.sealing import KEYS_FILE, is_in_use, must_be_sealed, office_keys, read_keys, seal
from blocklists.takedown.publishing import latest, read_current
from blocklists.takedown.store import Office
from gateway import release


async def read_listing(connection: AsyncConnection, office: Office) -> Listing | None:
    """The newest version with the head of the journal; None before the first."""
    last = await latest(connection, office)
    if last is None:
        return None
    chain = await read_current(connection, office)
    head = await journal.read_head(connection)
    made = {name: list(parts) for name, parts in chain.made_of.items()}
    return Listing(last["serial"], {"seq": head.seq, "digest": head.digest.hex()}, chain.names, {"made_of": made} if made else {})


def segments_of(state_dir: Path) -> Callable[[str], bytes]:
    """Reads segment files of this machine as they are published: those with masked names sealed with the newest key. The reader raises
    GenerationError when one is lost, SealError or OSError where there is no key."""

    def read(name: str) -> bytes:
        data = release.read_verified(state_dir, name)
        return seal(data, next(iter(office_keys(state_dir).values()))) if must_be_sealed(data) else data

    return read


def keys_in_use(state_dir: Path) -> Callable[[str], bool]:
    """Says whether what is sealed with a key may be published on: it is here, and not about to be dropped. Raises SealError, OSError."""
    return partial(is_in_use, read_keys(state_dir / KEYS_FILE))
