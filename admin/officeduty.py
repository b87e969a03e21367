"""The publishing duty: what is due leaves, what was approved goes out, and what gateways enforce is what the database says.

Woken after each change and once a second. One turn: entries whose end has come expire, reviews past their time suspend or escalate, urgent
orders that nobody confirmed lapse; then the next version is written and the supervisor is asked to put it in force; its answer is the
receipt, and the entries become active. After a restart on either side the turn finds the difference and closes it. While the gateway is
away nothing is lost: the entries stay "publishing", pages say so, and the next turn tries again.

Nothing ends for good by a clock that may be wrong: what is due is held while no time service keeps the machine's clock and the last act of
a person is days away. Enforcement loses nothing by that, because gateways look at the dates of entries themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import exists, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.link import GatewayAway, GatewayLink
from admin.office import find_office, open_office
from admin.officefeed import ListFeed
from blocklists.database import Database
from blocklists.tables import OrganisationId, journal
from blocklists.takedown import cases, publishing, returns, store, tables
from blocklists.takedown.assertions import AssertionCheck, Broken, ReleaseStopped
from blocklists.takedown.masking import mask_older
from blocklists.takedown.model import SYSTEM, State
from blocklists.takedown.segments import merge_apart
from blocklists.takedown.store import Office
from blocklists.takedown.workflow import URGENT_LIFE, TransitionRefused
from gateway import release
from gateway.errors import ControlError, GenerationError

log = logging.getLogger(__name__)

STEP_SECONDS = 1.0
REVIEW_SECONDS = 20.0
MERGE_AGAIN_SECONDS = 60.0
LOCAL_GATEWAY = "local"
ORIGIN = "office"
FOLLOWS_FILE = "follows_file"
FOLLOWS_OFFICE = "follows_office"
STOPPED = "stopped"
CLOCK = "clock"
#: So long after the last act of a person a clock that no time service keeps is not believed when it ends something.
BELIEVED_FOR = timedelta(hours=48)
_ELSEWHERE = {"file": FOLLOWS_FILE, "follow": FOLLOWS_OFFICE}


@dataclass(frozen=True, slots=True)
class Standing:
    """How the gateway stands to the newest version. `problem` is empty, `away`, `follows_file`, `follows_office`, `stopped`
    (`broken` says by which assertions), `clock` (what is due is held), or the gateway's own sentence, with its `code`."""

    serial: int = 0
    in_force: int = 0
    problem: str = ""
    since: datetime | None = None
    broken: tuple[Broken, ...] = ()
    code: str = ""

    @property
    def is_settled(self) -> bool:
        """Whether the newest version is enforced."""
        return self.serial == self.in_force and not self.problem


class OfficeDuty:
    """Carries out what the office decided. One per process."""

    def __init__(
        self, database: Database, link: GatewayLink, state_dir: Path, now: Callable[[], datetime],
        feed: ListFeed | None = None, *, elsewhere: str = "", assertions: AssertionCheck | None = None,
    ) -> None:  # fmt: skip
        """`elsewhere` (`file`, `follow`): this gateway takes its orders from there, so nothing of this office goes to it. A version
        that breaks one of `assertions` does not go out at all."""
        self.database = database
        self.link = link
        self.state_dir = state_dir
        self.now = now
        self.feed = feed
        self.elsewhere = _ELSEWHERE.get(elsewhere, "")
        self.assertions = assertions
        self.standing = Standing()
        self.is_clock_kept: Callable[[], bool | None] = lambda: True
        """Whether a time service keeps this machine's clock, None where nobody may ask; the process gives the kernel's own answer."""
        self._is_masked = False
        self._turn = asyncio.Lock()
        self._wake = asyncio.Event()
        self._merging: asyncio.Task[None] | None = None

    async def settle(self) -> Standing:
        """Carry out now what a person just decided; how the gateway then stands. Never raises for a gateway that is away."""
        async with self._turn:
            await self._once()
        return self.standing

    async def run(self) -> None:
        """Turn after turn, for as long as the process lives."""
        while True:
            try:
                await self.settle()
            except Exception:
                # Only the next turn can heal what went wrong in this one.
                log.exception("publishing failed", extra={"event": "office.failed"})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STEP_SECONDS):
                    await self._wake.wait()
            self._wake.clear()

    async def _mask(self, office: Office) -> None:
        """Once in a process: names that an older version stored in clear are masked, in the database and in what gateways read."""
        async with self.database.write() as connection:
            if await mask_older(connection, self.state_dir):
                await publishing.publish(connection, office, self.state_dir, self.now(), whole=True)
        self._is_masked = True

    async def _once(self) -> None:
        now = self.now()
        async with self.database.read() as connection:
            tenant = await find_office(connection, now)
            if tenant is None:
                return
            office = await open_office(connection, tenant)
            is_due = await _is_due(connection, office, now)
            is_held = is_due and not await believes_clock(connection, office.tenant, self.is_clock_kept(), now)
            has_news = await _has_news(connection, office)
        if not self._is_masked:
            await self._mask(office)
        in_force = await asyncio.to_thread(self._in_force)
        broken: tuple[Broken, ...] = ()
        if is_due and not is_held:
            async with self.database.write() as connection:
                await carry_out(connection, office, now)
        if has_news or (is_due and not is_held):
            above = max(_serial_of(in_force), await asyncio.to_thread(published_serial, self.state_dir))
            broken = await self._publish(office, now, above)
        if self.elsewhere:
            # This machine's gateway takes its orders from a file or from another office: what is decided here goes out as the list only.
            async with self.database.read() as connection:
                serial, _ = await publishing.current_segments(connection, office)
            found = Standing(serial, 0, self.elsewhere if serial else "")
        else:
            found = await self._bring_up(office, in_force)
        if broken:
            found = replace(found, problem=STOPPED, broken=broken)
        elif is_held and not found.problem:
            found = replace(found, problem=CLOCK)
        self._note(found)
        if self.feed is not None:
            await self.feed.follow(self.database, office, now)
        if self._merging is None or self._merging.done():
            async with self.database.read() as connection:
                parts = await publishing.wants_merge(connection, office)
            if parts:
                self._merging = asyncio.create_task(self._merge(office, parts))

    async def _merge(self, office: Office, parts: tuple[str, ...]) -> None:
        """Merge large segments beside everything else; the next turn hands the gateway the merged one."""
        async with self.database.read() as connection:
            _, names = await publishing.current_segments(connection, office)
        try:
            piece = await asyncio.to_thread(merge_apart, self.state_dir, parts, is_base=names[: len(parts)] == parts)
        except GenerationError as error:
            log.warning("segments not merged", extra={"event": "office.merge", "reason": str(error)})
            await asyncio.sleep(MERGE_AGAIN_SECONDS)
            return
        async with self.database.write() as connection:
            await publishing.put_merged(connection, office, parts, piece)
        self._wake.set()

    async def _publish(self, office: Office, now: datetime, above: int) -> tuple[Broken, ...]:
        """Write the next version; the assertions that stopped it."""
        check = self.assertions.require if self.assertions is not None else None
        try:
            async with self.database.write() as connection:
                await publishing.publish(connection, office, self.state_dir, now, above=above, check=check)
        except ReleaseStopped as stopped:
            return stopped.broken
        return ()

    async def _bring_up(self, office: Office, in_force: release.Orders | None) -> Standing:
        """Put the newest version in force where it is not, and note in the database that it is."""
        async with self.database.read() as connection:
            serial, segments = await publishing.current_segments(connection, office)
            waiting = await _waits_for_receipt(connection, office, serial)
        if serial == 0:
            return self.standing
        if in_force is not None and in_force.origin != ORIGIN:
            return Standing(serial, 0, FOLLOWS_FILE)
        if (_serial_of(in_force), in_force.segments if in_force else ()) != (serial, segments):
            if _serial_of(in_force) > serial or not await asyncio.to_thread(self._has_files, segments):
                # A database put back from a backup, or a state directory that lost a file: the whole list once more, under a new number.
                async with self.database.write() as connection:
                    version = await publishing.publish(
                        connection, office, self.state_dir, self.now(), whole=True, above=_serial_of(in_force)
                    )
                assert version is not None
                serial, segments = version.serial, version.segments
            try:
                await self.link.apply({"orders": {"serial": serial, "segments": list(segments), "origin": ORIGIN}})
            except GatewayAway:
                return Standing(serial, _serial_of(in_force), "away")
            except ControlError as error:
                return Standing(serial, _serial_of(in_force), str(error), code=error.code)
            waiting = True
        if waiting:
            now = self.now()
            async with self.database.write() as connection:
                await publishing.acknowledge(connection, office, serial, LOCAL_GATEWAY, now, now)
        return Standing(serial, serial)

    def _note(self, found: Standing) -> None:
        """Remember how the gateway stands, and since when; a new problem is told in the log once."""
        before = self.standing
        is_same = (found.serial, found.in_force, found.problem) == (before.serial, before.in_force, before.problem)
        if found.problem and found.problem != before.problem:
            log.warning("orders wait", extra={"event": "office.waiting", "reason": found.problem, "serial": found.serial})
        self.standing = replace(found, since=before.since if is_same else self.now())

    def _in_force(self) -> release.Orders | None:
        try:
            return release.read_manifest(self.state_dir).orders
        except GenerationError:
            return None

    def _has_files(self, segments: tuple[str, ...]) -> bool:
        return all((self.state_dir / "files" / name).is_file() for name in segments)


async def believes_clock(connection: AsyncConnection, tenant: str, is_kept: bool | None, now: datetime) -> bool:
    """Whether the clock may end something at a place: a time service keeps it (None: not known), or a person acted there lately."""
    if is_kept is not False:
        return True
    acts = select(func.max(journal.c.at)).where(journal.c.tenant_id == tenant, journal.c.actor_id.is_not(None))
    last = (await connection.execute(acts)).scalar()
    return last is not None and abs(now - last) <= BELIEVED_FOR


async def carry_out(connection: AsyncConnection, office: Office, now: datetime) -> None:
    """What the clock decides: ends, late reviews, urgent orders that nobody confirmed."""
    for entry in await store.due_to_expire(connection, office, now):
        await store.move_entry(connection, office, entry, "expire", SYSTEM, now)
    await cases.late_reviews(connection, office, now)
    await returns.lapse_returns(connection, office, now)
    for order in await _lapsed(connection, office, now):
        with contextlib.suppress(TransitionRefused):
            await store.move_order(connection, office, order, "lapse", SYSTEM, now)


async def _is_due(connection: AsyncConnection, office: Office, now: datetime) -> bool:
    """Whether the clock has something to decide: looked at without the write lock."""
    if await store.due_to_expire(connection, office, now) or await _lapsed(connection, office, now):
        return True
    if any(row["due_at"] <= now for row in await returns.waiting_returns(connection, office)):
        return True
    reviews = tables.reviews
    late = exists().where(
        reviews.c.tenant_id == office.tenant,
        reviews.c.state.in_([State.RECEIVED.value, State.REVIEWING.value]),
        reviews.c.escalated_at.is_(None),
        reviews.c.received_at <= now - await cases.review_time(connection, office),
    )
    return bool((await connection.execute(select(late))).scalar())


async def _has_news(connection: AsyncConnection, office: Office) -> bool:
    """Whether something was decided that no version holds yet: looked at without the write lock."""
    unpublished = [exists().where(condition) for condition in publishing.unpublished(office)]
    return any((await connection.execute(select(*(one.label(f"n{n}") for n, one in enumerate(unpublished))))).one())


async def _lapsed(connection: AsyncConnection, office: Office, now: datetime) -> list[str]:
    orders = tables.orders
    statement = select(orders.c.id).where(
        orders.c.tenant_id == office.tenant, orders.c.state == State.URGENT.value, orders.c.approved_at <= now - URGENT_LIFE
    )
    return list((await connection.execute(statement)).scalars())


async def _waits_for_receipt(connection: AsyncConnection, office: Office, serial: int) -> bool:
    """Whether this gateway enforces the serial and the database does not know yet."""
    versions = tables.versions
    statement = select(versions.c.applied_at).where(versions.c.tenant_id == office.tenant, versions.c.serial == serial)
    return serial > 0 and (await connection.execute(statement)).scalar_one_or_none() is None


def _serial_of(orders: release.Orders | None) -> int:
    return orders.serial if orders is not None and orders.origin == ORIGIN else 0


def published_serial(state_dir: Path) -> int:
    """The serial of the list that the release folder holds, and followers with it; 0 without one. No number is used twice, whatever
    database stands beside it."""
    if not (state_dir / "release" / "metadata" / "timestamp.json").exists():
        return 0
    from blocklists.releases import Repository  # ten megabytes that only an office needs

    return Repository(state_dir / "release").serial() or 0


async def office_tenant(database: Database, now: datetime) -> OrganisationId | None:
    """The office's id, for processes that have something to do only where there is one."""
    async with database.read() as connection:
        return await find_office(connection, now)
