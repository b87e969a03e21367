"""Putting stored changes in force: one policy file per tenant, cut, judged, written, applied; again and again until it is so.

A change raises the tenant's revision in its own transaction (`admin.tenants.mark_changed`). The applier cuts the file, lets the
gateway's own parser judge it, writes it content addressed, and asks the gateway to switch; `policies.applied_revision` then says what
is in force. While the gateway is away or the disk is full the change stays stored and is applied when that is over; pages say so. A file
that the gateway refuses leaves the last good policy in force, and the reason stands in `policies.error` for the page.

The loop also compares what is in force with what should be: after a restart, a restored backup, or a state directory that was replaced.
What a file is made of besides the tenant's own rows is the catalogue (its days off, the groups that rest closes), the address of the
explaining page and this program; when one of them changed, every file is cut anew, so that what the pages show is what is enforced.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError, NoResultFound
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import MACHINE, Act, Action, keep_checkpoint, record
from admin.catalogue import Shelves
from admin.erasing import read_erased
from admin.link import GatewayAway, GatewayLink
from admin.policyfile import NOTHING_AROUND, Around, cut, has_policy, read_rows
from admin.tables import policies
from blocklists.database import Database
from blocklists.tables import EVERY_TENANT, OrganisationId, OrganisationKind, organisations
from gateway.errors import ControlError, GenerationError, PolicyFileError
from gateway.policy.claims import refuse_contradictions
from gateway.policy.tenant import parse_policy_file
from gateway.release import read_manifest, replace_file, write_file

log = logging.getLogger(__name__)

#: Seconds between looks at what is in force, and between tries while the gateway is away.
COMPARE_SECONDS = 60.0
RETRY_SECONDS = 2.0
#: Tenants in one switch of generations.
BATCH = 200
#: What the files were cut with, besides the tenants' rows; below the state directory.
CUT_WITH = "policies.cut"
#: What a disk says that has no room, or refuses otherwise.
UNWRITTEN = (OSError, DBAPIError)
#: Counted up when `policyfile.cut` writes something else from the same rows.
CUT_FORM = 3


@dataclass(frozen=True, slots=True)
class Enforcement:
    """How a tenant's stored rules stand to what the gateway enforces."""

    revision: int
    applied_revision: int
    changed_at: datetime
    applied_at: datetime | None
    generation: int | None
    error: str

    @property
    def is_pending(self) -> bool:
        """Whether a stored change is not in force yet."""
        return self.applied_revision < self.revision


@dataclass(frozen=True, slots=True)
class _Ready:
    tenant: OrganisationId
    revision: int
    file: str


class Applier:
    """Applies what is stored. One per process; `run` is its loop, `settle` is what a page waits for after a change."""

    def __init__(
        self,
        database: Database,
        link: GatewayLink,
        shelves: Shelves,
        state_dir: Path,
        page_address: Sequence[str],
        now: Callable[[], datetime],
        around: Around = NOTHING_AROUND,
    ) -> None:
        self.database = database
        self.link = link
        self.shelves = shelves
        self.state_dir = state_dir
        self.page_address = tuple(page_address)
        self.now = now
        self.around = around
        self._turn = asyncio.Lock()
        self._wake = asyncio.Event()
        self._forgetting: set[OrganisationId] = {tenant for tenant, _ in read_erased(state_dir)}

    async def settle(self, tenant: OrganisationId) -> Enforcement:
        """Try to put a tenant's change in force at once; what came of it. Never raises for a gateway that is away, nor for a full disk: the
        change is stored, and the loop goes on trying."""
        with self._else_later():
            async with self._turn:
                await self._apply([tenant])
        return await self.enforcement(tenant)

    def hurry(self) -> None:
        """The loop looks now instead of at its next round: the whole database was changed."""
        self._wake.set()

    async def forget(self, tenant: OrganisationId) -> None:
        """After an erasure: what the write-ahead log and older generations still say of the tenant leaves the disk, now or by the loop."""
        self._forgetting.add(tenant)
        with self._else_later():
            await self._forget()

    @contextlib.contextmanager
    def _else_later(self) -> Iterator[None]:
        try:
            yield
        except GatewayAway:
            self._wake.set()
        except UNWRITTEN as error:
            log.error("a stored change waits: it cannot be written", extra={"event": "apply.unwritten", "reason": _why(error)})
            self._wake.set()

    async def _forget(self) -> None:
        if not self._forgetting:
            return
        scrubbed = await self.database.scrub()
        for tenant in list(self._forgetting):
            async with self._turn:
                try:
                    if scrubbed and not (await self.enforcement(tenant)).is_pending:
                        await self.link.forget(tenant)
                        self._forgetting.discard(tenant)
                except NoResultFound:  # of an older database
                    self._forgetting.discard(tenant)
                except ControlError as error:
                    log.warning("older generations stay for now", extra={"event": "apply.forget", "reason": error.code})

    async def enforcement(self, tenant: OrganisationId) -> Enforcement:
        """How a tenant stands."""
        async with self.database.read() as connection:
            return await read_enforcement(connection, tenant)

    async def run(self) -> None:
        """Apply what is pending, compare, wait; for as long as the process lives."""
        away = False
        while True:
            try:
                await self.reconcile()
                away = False
            except GatewayAway:
                if not away:
                    log.warning("gateway does not answer; changes wait", extra={"event": "apply.away"})
                away = True
            except UNWRITTEN as error:
                if not away:
                    log.error("changes wait: they cannot be written", extra={"event": "apply.unwritten", "reason": _why(error)})
                away = True
            except Exception:
                # The loop is the only thing that heals a gap later: whatever happened, it must come round again.
                log.exception("applying failed", extra={"event": "apply.failed"})
                away = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RETRY_SECONDS if away else COMPARE_SECONDS):
                    await self._wake.wait()
            self._wake.clear()

    async def reconcile(self) -> int:
        """Put everything in force that is not; returns how many tenants changed. Raises GatewayAway."""
        applied = 0
        await self._look_around()
        cut_with = self._cut_with()
        is_anew = await asyncio.to_thread(self._read_cut_with) != cut_with
        waiting, settled = await self._find_waiting()
        waiting += settled if is_anew else ()
        for first in range(0, len(waiting), BATCH):
            async with self._turn:
                applied += await self._apply(waiting[first : first + BATCH], settled)
        if is_anew:
            await asyncio.to_thread(replace_file, self.state_dir / CUT_WITH, cut_with.encode())
        await self._forget()
        if applied:
            await keep_checkpoint(self.database, self.state_dir)
        return applied

    async def _look_around(self) -> None:
        """Who may ask today: the gateway's settings may have changed since this process began."""
        with contextlib.suppress(ControlError, GatewayAway):
            told = await self.link.status()
            served, words, link = (tuple(map(str, told.get(name) or ())) for name in ("allow_from", "allow_words", "link"))
            if served:
                self.around = replace(self.around, served=served, words=words or served, link=link)

    def _cut_with(self) -> str:
        made_of = [CUT_FORM, version("lachan"), self.shelves.current().catalogue.version, sorted(self.page_address)]
        made_of += [sorted(self.around.served), sorted(self.around.taken)]
        return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()

    def _read_cut_with(self) -> str:
        try:
            return (self.state_dir / CUT_WITH).read_text("ascii")
        except (OSError, UnicodeDecodeError):
            return ""

    async def _find_waiting(self) -> tuple[list[OrganisationId], dict[OrganisationId, str]]:
        """Tenants whose stored rules, or whose file in the generation in force, say that something is to be done; the others' files."""
        try:
            in_force = dict((await asyncio.to_thread(read_manifest, self.state_dir)).policies)
        except GenerationError:
            in_force = {}
        async with self.database.read() as connection:
            rows = (
                await connection.execute(
                    select(policies.c.tenant_id, policies.c.revision, policies.c.applied_revision, policies.c.file, organisations.c.kind)
                    .join(organisations, organisations.c.id == policies.c.tenant_id)
                    .where(organisations.c.valid_until.is_(None) | (organisations.c.valid_until > self.now()))
                    .order_by(policies.c.changed_at)
                    .execution_options(**EVERY_TENANT)
                )
            ).all()
        waiting: list[OrganisationId] = []
        settled: dict[OrganisationId, str] = {}
        for row in rows:
            if has_policy(OrganisationKind(row.kind)):
                if row.applied_revision < row.revision or in_force.get(row.tenant_id) != row.file:
                    waiting.append(OrganisationId(row.tenant_id))
                else:
                    settled[OrganisationId(row.tenant_id)] = row.file
        return waiting, settled

    async def _apply(self, tenants: Sequence[OrganisationId], settled: Mapping[OrganisationId, str] | None = None) -> int:
        """Cut and apply; how many. Nothing is done for a tenant whose file turns out to be the one in `settled`."""
        ready = [found for tenant in tenants if (found := await self._prepare(tenant)) is not None]
        ready = [one for one in ready if settled is None or settled.get(one.tenant) != one.file]
        if not ready:
            return 0
        try:
            generation = await self.link.apply({"policies": {one.tenant: one.file for one in ready}})
        except GatewayAway:
            raise
        except ControlError as error:
            if error.code == "disk":  # nobody's file is at fault
                raise OSError(str(error)) from error
            if len(ready) > 1:  # one refused file must not hold back the others
                return sum([await self._apply([one.tenant], settled) for one in ready])
            await self._note_refusal(ready[0].tenant, f"{error.where}: {error}" if error.where else str(error))
            return 0
        async with self.database.write() as connection:
            for one in ready:
                await self._note_applied(connection, one, generation)
        return len(ready)

    async def _prepare(self, tenant: OrganisationId) -> _Ready | None:
        shelf = self.shelves.current()
        async with self.database.read() as connection:
            revision = (await read_enforcement(connection, tenant)).revision
            rows = replace(await read_rows(connection, tenant, self.now()), around=self.around)
        if not has_policy(rows.kind):
            return None
        document = cut(rows, shelf, self.page_address)
        try:
            refuse_contradictions(parse_policy_file(document, shelf.catalogue))
        except PolicyFileError as error:
            log.error("a policy file has mistakes", extra={"event": "apply.mistakes", "tenant": tenant, "mistakes": len(error.mistakes)})
            await self._note_refusal(tenant, str(error.mistakes[0]))
            return None
        return _Ready(tenant, revision, await asyncio.to_thread(write_file, self.state_dir, document))

    async def _note_applied(self, connection: AsyncConnection, one: _Ready, generation: int) -> None:
        now = self.now()
        await connection.execute(
            update(policies)
            .where(policies.c.tenant_id == one.tenant)
            .values(applied_revision=one.revision, applied_at=now, file=one.file, generation=generation, error=None)
        )
        after = {"file": one.file, "generation": generation}
        act = Act(one.tenant, MACHINE, now)
        await record(connection, act, Action.POLICY_APPLIED, one.tenant, after=after, basis=f"generation {generation}")

    async def _note_refusal(self, tenant: OrganisationId, reason: str) -> None:
        async with self.database.write() as connection:
            await connection.execute(update(policies).where(policies.c.tenant_id == tenant).values(error=reason[:500]))


def _why(error: Exception) -> str:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return f"{type(cause).__name__}: {cause}"


async def read_enforcement(connection: AsyncConnection, tenant: OrganisationId) -> Enforcement:
    """How a tenant's stored rules stand to what is enforced."""
    row = (await connection.execute(select(policies).where(policies.c.tenant_id == tenant))).one()
    return Enforcement(row.revision, row.applied_revision, row.changed_at, row.applied_at, row.generation, row.error or "")
