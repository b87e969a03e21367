"""Categories of the lists as zones for other people's resolvers: made anew, in a process of their own, whenever the lists in force change.

The zones are files (`blocklists.categoryzone`); this process holds only where they are. A zone that could not be made stays at the serial
it has, and is tried again after a while. `admin.process` runs it beside the pages, in the server of `admin.officefeed`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from blocklists.categoryzone import CategoryZone, Offer, folder_of, read_state
from blocklists.xfr import TransferServer
from gateway import release
from gateway.errors import GenerationError

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
AGAIN_SECONDS = 60.0
LONGEST_SECONDS = 900.0


class CategoryFeed:
    """Keeps the zones of categories at the lists that are in force here."""

    def __init__(self, server: TransferServer, offers: Sequence[Offer], state_dir: Path, now: Callable[[], datetime]) -> None:
        self._server = server
        self._offers = offers
        self._state_dir = state_dir
        self._now = now
        self._zones: dict[str, CategoryZone] = {}
        self._number: int | None = None
        self._wait = 0.0

    async def run(self) -> None:
        """Look once a second, for as long as the process lives."""
        while self._offers:
            try:
                await self.look()
            except Exception:
                # Whatever went wrong, the zones stay as they are and the next look tries again.
                log.exception("zones of categories failed", extra={"event": "category_zones.failed"})
                self._wait = AGAIN_SECONDS
            await asyncio.sleep(max(LOOK_SECONDS, self._wait))

    async def look(self) -> None:
        """Serve what is there, and build what the generation in force changes. Raises nothing that is expected."""
        self._wait = 0.0
        try:
            number = release.current_number(self._state_dir)
            if number is None or number == self._number:
                return
            manifest = await asyncio.to_thread(release.read_manifest, self._state_dir, number)
        except GenerationError:
            return  # the gateway keeps the last good generation, and so do the zones
        self._take()
        stale = [offer for offer in self._offers if self._is_stale(offer, manifest)]
        if stale and not await self._build(stale):
            self._wait = AGAIN_SECONDS
            return
        self._take()
        self._number = number

    def _is_stale(self, offer: Offer, manifest: release.Manifest) -> bool:
        zone = self._zones.get(offer.zone)
        return zone is None or dict(zone.state.made_from) != offer.made_from(manifest)

    def _take(self) -> None:
        """Serve the newest serials on the disk; followers are told of those that are new."""
        for offer in self._offers:
            folder = folder_of(self._state_dir, offer.zone)
            state = read_state(folder)
            if state is None or state.made_from.get("category") != offer.category:
                continue
            zone = self._zones.get(offer.zone)
            if zone is None:
                zone = self._zones[offer.zone] = CategoryZone(offer.zone, folder, state)
                self._server.feed.zones[zone.origin] = zone
            elif zone.state.serial == state.serial:
                zone.state = state
                continue
            zone.state = state
            self._server.announce(zone.origin)
            about = {"zone": offer.zone, "serial": state.serial, "rules": state.rules, "sources": list(state.sources)}
            log.info("a zone of a category is served", extra={"event": "category_zone.served", **about})
            if state.left_out:
                log.warning(
                    "lists are left out of a zone: their licence is not known to let others have them (rpz_out.passing_on)",
                    extra={"event": "category_zone.left_out", "zone": offer.zone, "lists": list(state.left_out)},
                )

    async def _build(self, offers: Sequence[Offer]) -> bool:
        """Make zones in a process of their own; whether all of them were."""
        command = [sys.executable, "-m", "blocklists.categorybuild", str(self._state_dir)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}
        task = json.dumps({"now": int(self._now().timestamp()), "zones": [offer.to_json() for offer in offers]}).encode()
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, env=environment)
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                output, _ = await child.communicate(task)
        except (TimeoutError, asyncio.CancelledError) as error:
            if child.returncode is None:
                child.kill()
                await child.wait()
            if isinstance(error, TimeoutError):
                log.error("zones of categories took too long", extra={"event": "category_zones.slow"})
                return False
            raise
        rows: list[Mapping[str, Any]] = [json.loads(line) for line in output.splitlines()]  # Any: JSON written by our own child
        for row in rows:
            if row["problem"]:
                log.error("a zone stays as it is", extra={"event": "category_zone.failed", "zone": row["zone"], "reason": row["problem"]})
        return child.returncode == 0 and len(rows) == len(offers) and not any(row["problem"] for row in rows)
