"""The alarm of the journal: somebody's copy of its head does not fit. Kept beside the database, not in it, until a person looks.

Heads are outside the database in three places: the checkpoint, every signed release of this server, and the receipts of gateways. Whoever
owns the database can write the whole chain anew, but not these.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

from gateway.release import replace_file

FILE = "journal.alarm"
log = logging.getLogger(__name__)


class JournalAlarm:
    """Since when a head does not fit; None while all do."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / FILE

    @property
    def since(self) -> datetime | None:
        """When it first rang."""
        try:
            return datetime.fromtimestamp(int(self._path.read_text(encoding="ascii")), UTC)
        except (OSError, ValueError):
            return None

    def ring(self, now: datetime) -> None:
        """Note it, once; the file is taken away by the person who has looked into it."""
        if self.since is None:
            log.error("the journal does not hold a head that was signed", extra={"event": "journal.rewritten"})
            replace_file(self._path, f"{int(now.timestamp())}\n".encode("ascii"))
