"""Finding names that may have to be blocked: a list of somebody else's is read, and this machine's lists are searched; for page and API.

A search takes minutes on large lists: it runs in this process, one at a time, and is found again by its id for an hour. One that a stop of
the process cut off begins anew with the next start: a small file in the state directory says who began it, and no name. It looks at what
the public reported and at lists, never at what anybody asked. Nothing is blocked: every name waits for a person.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from admin.errors import FieldMistake, InvalidInput
from admin.office import open_office
from admin.officeguard import GuardShelf
from admin.officepreview import open_index
from blocklists.database import Database
from blocklists.normalize import Host, normalize_host
from blocklists.tables import OrganisationId, new_id
from blocklists.takedown import candidates
from blocklists.takedown.candidates import Added, Found
from blocklists.takedown.candidatetables import Origin
from blocklists.takedown.freetext import require_clean
from blocklists.takedown.importer import known_endings
from blocklists.takedown.model import Actor, Capacity
from blocklists.takedown.reading import Found as Address
from blocklists.takedown.reading import find_addresses, find_in_cells
from gateway.release import canonical_bytes, replacing

KEPT: Final = timedelta(hours=1)
FOLDER: Final = "searches"
"""Below the state directory: a file for each search that has not come to its end."""
MOST_TEXT: Final = 1_000_000
"""Letters of a list that is read at once; a larger one is brought in parts."""

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Scan:
    """One search. `looked_at`: names of lists that were compared so far; `found` and `added` are known at its end."""

    id: str
    tenant: OrganisationId
    begun_at: datetime
    state: Literal["running", "done", "failed"] = "running"
    looked_at: int = 0
    found: int = 0
    added: int = 0
    task: asyncio.Task[None] | None = field(default=None, repr=False)


class Finder:
    """The searches of one process."""

    def __init__(self, database: Database, state_dir: Path, guard: GuardShelf) -> None:
        self._database = database
        self._state_dir = state_dir
        self._guard = guard
        self._scans: dict[str, Scan] = {}
        self._folder = state_dir / FOLDER
        self._is_stopping = False
        self._turn = asyncio.Semaphore(1)

    def begin(self, tenant: OrganisationId, actor: Actor, now: datetime) -> Scan:
        """Start to search; one that runs for this office already is the same search."""
        for one in self.of(tenant, now):
            if one.state == "running":
                return one
        return self._start(Scan(new_id(), tenant, now), actor, now)

    async def resume(self, now: datetime) -> None:
        """Begin anew what a stop cut off within the last hour, under the id it had."""
        for scan, actor in await asyncio.to_thread(self._left, now):
            self._start(scan, actor, now)

    async def stop(self) -> None:
        """Leave what is under way for the next start."""
        self._is_stopping = True
        tasks = [one.task for one in self._scans.values() if one.task is not None and one.state == "running"]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, scan: Scan, actor: Actor, now: datetime) -> Scan:
        self._scans[scan.id] = scan
        scan.task = asyncio.create_task(self._run(scan, actor, now), name="finding")
        return scan

    def _note(self, scan: Scan, actor: Actor) -> None:
        """Note that a search was begun. A disk that takes nothing stops no search."""
        row = {"tenant": scan.tenant, "account": actor.account, "capacity": actor.capacity.value, "begun_at": scan.begun_at.isoformat()}
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, exist_ok=True)
            with replacing(self._folder / f"{scan.id}.json") as file:
                file.write(canonical_bytes(row))

    def _left(self, now: datetime) -> list[tuple[Scan, Actor]]:
        found = []
        for path in sorted(self._folder.glob("*.json")):
            try:
                row = json.loads(path.read_bytes())
                scan = Scan(path.stem, OrganisationId(str(row["tenant"])), datetime.fromisoformat(row["begun_at"]))
                actor = Actor(str(row["account"]), Capacity(row["capacity"]), str(row["tenant"]))
                if now - KEPT <= scan.begun_at <= now:
                    found.append((scan, actor))
                    continue
            except (OSError, ValueError, KeyError, TypeError):
                log.warning("note of a search cannot be read", extra={"event": "office.finding"})
            self._forget(path.stem)
        return found

    def _forget(self, identity: str) -> None:
        with suppress(OSError):
            (self._folder / f"{identity}.json").unlink(missing_ok=True)

    def of(self, tenant: OrganisationId, now: datetime) -> list[Scan]:
        """The searches of an office in the last hour, the newest first."""
        for identity in [one.id for one in self._scans.values() if one.state != "running" and one.begun_at < now - KEPT]:
            del self._scans[identity]
        return [one for one in reversed(self._scans.values()) if one.tenant == tenant]

    async def bring(self, tenant: OrganisationId, actor: Actor, source: str, category: str, text: str, now: datetime) -> tuple[int, Added]:
        """Read a list of somebody else's: how many names it has, and what became of them. Raises InvalidInput
        for more than `MOST_TEXT` letters, TransitionRefused for a source that names a person."""
        if len(text) > MOST_TEXT:
            raise InvalidInput(FieldMistake("text", "list_long"))
        require_clean(source, "Nguồn", "Source")
        async with self._turn:
            found = await asyncio.to_thread(read_names, text, source, category)
        return len(found), await self._add(tenant, actor, found, now) if found else Added()

    async def _run(self, scan: Scan, actor: Actor, now: datetime) -> None:
        try:
            await asyncio.to_thread(self._note, scan, actor)
            async with self._turn:
                async with self._database.read() as connection:
                    office = await open_office(connection, scan.tenant)
                    found = await candidates.from_reports(connection, office)
                    listed = await candidates.listed_names(connection, office)
                if listed:
                    found += await asyncio.to_thread(lambda: candidates.relatives(listed, self._names(scan)))
                scan.found = len(found)
                scan.added = (await self._add(scan.tenant, actor, found, now)).added
            scan.state = "done"
        except Exception:  # whoever asked must be told, whatever it was
            log.exception("search failed", extra={"event": "office.finding"})
            scan.state = "failed"
        await asyncio.to_thread(self._forget, scan.id)

    async def _add(self, tenant: OrganisationId, actor: Actor, found: list[Found], now: datetime) -> Added:
        guard = await asyncio.to_thread(self._guard.current)
        async with self._database.write() as connection:
            return await candidates.add_found(connection, await open_office(connection, tenant), found, guard, actor, now)

    def _names(self, scan: Scan) -> Iterator[tuple[str, str]]:
        """The names of the lists in force with the list that holds them: third-party knowledge, never anybody's questions."""
        index = open_index(self._state_dir)
        if index is None:
            return
        sources: dict[int, str | None] = {}
        for key, number in index.names():
            scan.looked_at += 1
            if self._is_stopping:
                return
            if number not in sources:
                held = [entry.source for entry in index.entries(number) if entry.source.kind == "category" and not entry.source.allows]
                sources[number] = (held[0].title or held[0].id) if held else None
            source = sources[number]
            if source is not None:
                yield key, source


def read_names(text: str, source: str, category: str) -> list[Found]:
    """The names of a pasted list, text or CSV, each once; a page of a site is no name."""
    hosts: dict[str, Found] = {}
    endings = known_endings()
    for one in (*find_addresses(text, endings), *_in_cells(text, endings)):
        host = normalize_host(one.text)
        if isinstance(host, Host) and not host.has_path:
            hosts.setdefault(host.name, Found(host.name, category, Origin.LIST, source, source))
    return list(hosts.values())


def _in_cells(text: str, endings: frozenset[str]) -> list[Address]:
    """The addresses of a text that is a table; a text that is none has those of its lines."""
    delimiter = max(",;\t|", key=text[:8192].count)
    try:
        return list(find_in_cells(csv.reader(io.StringIO(text), delimiter=delimiter), endings))
    except csv.Error:
        return []
