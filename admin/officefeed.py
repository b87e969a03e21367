"""The list for other people's resolvers: policy zones kept at the newest version, announced to the secondaries.

A zone is read in clear by whoever may transfer it, so names of the masked category are not in it: those go to gateways that follow the
office, whose releases hold masks. A zone cannot tell its askers apart either, so each says whom it is for (`Audience`), and holds the
orders that bind all of them and have begun. Zones live in memory and are made from the database: whole at the start and where another
database was put in its place, then from what came and left with each version, so that one entry costs work for one entry and secondaries
take IXFR. Only a version that the local gateway enforces goes out. A serial is a thousand times the version, plus one for each moment since
then at which orders began; but it never stands for two contents: the last one of each zone and what it held are kept in a file
(`rpz-out.json`), and where a restored database or another audience makes something else of it, the serial takes one more step.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import dns.name
import dns.serial
import dns.tsig
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.rpzsettings import Audience, RpzOutSettings
from blocklists.database import Database
from blocklists.normalize import key_of_name
from blocklists.policyzone import Entry, PolicyZone
from blocklists.takedown import tables
from blocklists.takedown.model import IN_FORCE, MASKED, Match
from blocklists.takedown.store import Office
from blocklists.xfr import Feed, Secondary, TransferServer
from gateway.errors import StartError
from gateway.release import canonical_bytes, replace_file
from gateway.tls import DOT_PROTOCOLS, ServerContext

log = logging.getLogger(__name__)
_MATCH = {Match.BOTH: 0, Match.EXACT: 1, Match.BELOW: 2}
_STEPS = 1000
FILE: Final = "rpz-out.json"
"""What each zone last said, in the state directory."""
_SUM: Final = 2**128


@dataclass(frozen=True, slots=True)
class Said:
    """A serial of a zone, and the sum of what it stood for."""

    serial: int = 0
    content: int = 0

    def then(self, natural: int, content: int) -> Said:
        """What the zone says next, of this content: the serial of the version where that is newer, else one that stood for nothing yet."""
        if dns.serial.Serial(natural) > dns.serial.Serial(self.serial):
            return Said(natural, content)
        return self if content == self.content else Said((self.serial + 1) % 2**32, content)


@dataclass(slots=True)
class Outlet:
    """One zone with whom it is for, the ids of the entries it holds, the sum of these, and what it last said."""

    zone: PolicyZone
    audience: Audience = field(default_factory=Audience)
    held: set[str] = field(default_factory=set)
    content: int = 0
    said: Said = field(default_factory=Said)


class ListFeed:
    """Keeps policy zones at the newest version that is in force here."""

    def __init__(
        self, server: TransferServer, outlets: Sequence[Outlet], certificate: ServerContext | None = None, state_dir: Path | None = None
    ) -> None:
        self.server = server
        self.outlets = outlets
        self.certificate = certificate
        self._state_dir = state_dir
        self._version, self._digest = 0, ""
        self._steps = 0
        self._waiting: list[tuple[datetime, str, Any]] = []

    async def stop(self) -> None:
        """Stop serving."""
        await self.server.stop()

    def _look_at_certificate(self) -> None:
        try:
            if self.certificate is not None and self.certificate.reload_if_changed():
                log.info("certificate renewed", extra={"event": "rpz_out.renewed"})
        except StartError as error:
            log.error("certificate not usable, the old one stays", extra={"event": "rpz_out.broken", "reason": str(error)})

    async def follow(self, database: Database, office: Office, now: datetime) -> None:
        """Take the zones to the newest version and the orders that have begun, if they are not there yet; a renewed certificate serves new
        connections."""
        self._look_at_certificate()
        versions, entries = tables.versions, tables.entries
        came: list[Any] = []
        left: list[Any] = []
        async with database.read() as connection:
            newest = select(versions.c.serial, versions.c.created_at, versions.c.digest).where(versions.c.tenant_id == office.tenant)
            applied = newest.where(versions.c.applied_at.isnot(None))
            last = (await connection.execute(applied.order_by(versions.c.serial.desc()).limit(1))).first()
            if last is None or last.serial < self._version:  # an older database: its whole list is on its way to the gateway
                return
            known = (await connection.execute(newest.where(versions.c.serial == self._version))).first()
            is_whole = known is None or known.digest != self._digest
            if not is_whole and last.serial == self._version and not self._begins(now):
                return
            if is_whole or last.serial > self._version:
                base = 0 if is_whole else self._version
                came = await self._rows(connection, office, entries.c.serial_in > base, entries.c.serial_in <= last.serial)
                gone = select(entries.c.id, entries.c.host, entries.c.match).where(
                    entries.c.tenant_id == office.tenant, entries.c.serial_out > base, entries.c.serial_out <= last.serial
                )
                left = [] if is_whole else list(await connection.execute(gone))
                begun = {row.valid_from for row in came if last.created_at < row.valid_from <= now} if is_whole else set()
                self._version, self._digest, self._steps = last.serial, last.digest, len(begun)
        if is_whole:
            self._waiting = []
        away = {row.id for row in left}
        self._waiting = [one for one in self._waiting if one[1] not in away]
        for row in came:
            if row.valid_from > now:
                self._waiting.append((row.valid_from, row.id, row))
        heapq.heapify(self._waiting)
        fresh = [row for row in came if row.valid_from <= now]
        moments = set()
        while self._begins(now):
            at, _, row = heapq.heappop(self._waiting)
            moments.add(at)
            fresh.append(row)
        self._steps = min(self._steps + len(moments), _STEPS - 1)
        moved = [outlet for outlet in self.outlets if self._advance(outlet, fresh, left, is_whole=is_whole)]
        if moved:
            await asyncio.to_thread(self._keep)
        for outlet in moved:
            self.server.announce(outlet.zone.origin)

    def _begins(self, now: datetime) -> bool:
        return bool(self._waiting) and self._waiting[0][0] <= now

    def _advance(self, outlet: Outlet, fresh: list[Any], left: list[Any], *, is_whole: bool) -> bool:  # Any: rows
        """Take one zone to the rows that came and left, or to those that came alone; whether its serial is another one now."""
        if is_whole:
            outlet.held, outlet.content = set(), 0
        mine = [row for row in fresh if row.id not in outlet.held and _is_in(outlet.audience, row)]
        gone = [row for row in left if row.id in outlet.held]
        outlet.held.difference_update(row.id for row in gone)
        outlet.held.update(row.id for row in mine)
        outlet.content = (outlet.content + sum(map(_weight, mine)) - sum(map(_weight, gone))) % _SUM
        outlet.said = outlet.said.then((self._version * _STEPS + self._steps) % 2**32, outlet.content)
        if outlet.said.serial == outlet.zone.serial:
            return False
        if is_whole:
            outlet.zone.replace(outlet.said.serial, map(_entry, mine))
        else:
            outlet.zone.advance(outlet.said.serial, map(_entry, gone), map(_entry, mine))
        return True

    def _keep(self) -> None:
        """Write down what the zones say. A disk that refuses stops nothing: a lift is as fast as a block."""
        if self._state_dir is None:
            return
        said = read_said(self._state_dir) | {str(one.zone.origin): one.said for one in self.outlets}  # a zone may be taken up again
        zones = {name: [one.serial, f"{one.content:x}"] for name, one in said.items()}
        try:
            replace_file(self._state_dir / FILE, canonical_bytes({"format": 1, "zones": zones}))
        except OSError as error:
            log.error("serials of policy zones not kept", extra={"event": "rpz_out.unkept", "reason": str(error)})

    async def _rows(self, connection: AsyncConnection, office: Office, *conditions: Any) -> list[Any]:  # Any: SQL expressions; rows
        """Entries that gateways have and that may stand in a zone."""
        orders, entries = tables.orders, tables.entries
        statement = (
            select(
                entries.c.id, entries.c.host, entries.c.match, entries.c.category, entries.c.valid_from,
                orders.c.places, orders.c.organisations, orders.c.bands,
            )
            .outerjoin(orders, orders.c.id == entries.c.order_id)
            .where(
                entries.c.tenant_id == office.tenant,
                orders.c.tenant_id.is_(None) | (orders.c.tenant_id == office.tenant),
                entries.c.state.in_([state.value for state in IN_FORCE]),
                entries.c.category != MASKED,
                *conditions,
            )
        )  # fmt: skip
        return list((await connection.execute(statement)).all())


def _is_in(audience: Audience, row: Any) -> bool:  # Any: a row of an entry with its order
    return audience.is_bound(row.places, row.organisations, row.bands, row.category)


def _entry(row: Any) -> Entry:  # Any: a row with host and match
    return key_of_name(row.host), _MATCH[Match(row.match)]


def _weight(row: Any) -> int:  # Any: a row with host and match
    """A number for what a row says in a zone; a zone's content is known by the sum of them."""
    key, match = _entry(row)
    return int.from_bytes(blake2b(f"{key} {match}".encode(), digest_size=16).digest())


def read_said(state_dir: Path) -> dict[str, Said]:
    """What each zone last said; nothing where that cannot be read."""
    try:
        zones = json.loads((state_dir / FILE).read_bytes())["zones"]
        return {str(name): Said(int(serial), int(content, 16)) for name, (serial, content) in zones.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


async def open_feed(settings: RpzOutSettings, state_dir: Path | None = None) -> ListFeed:
    """Serve the list as `rpz_out` says, its serials going on from those kept in the state directory. Raises StartError when the address is
    taken."""
    known = read_said(state_dir) if state_dir is not None else {}
    zones = [(PolicyZone(name), audience) for name, audience in settings.zones]
    outlets = [Outlet(zone, audience, said=known.get(str(zone.origin), Said())) for zone, audience in zones]
    feed = Feed(
        zones={outlet.zone.origin: outlet.zone for outlet in outlets},
        keys={dns.name.from_text(key.name): dns.tsig.Key(key.name, key.secret, key.algorithm) for key in settings.keys},
        open_to=settings.open_to,
        secondaries=[Secondary(one.address, one.port, one.key) for one in settings.secondaries],
        scopes={dns.name.from_text(key): frozenset(map(dns.name.from_text, zones)) for key, zones in settings.scopes},
    )
    server = TransferServer(feed)
    key, where = "listen", settings.listen
    certificate = None
    try:
        await server.start(where.host, where.port)
        if settings.tls is not None and settings.secure_listen is not None:
            key, where = "tls.listen", settings.secure_listen
            certificate = ServerContext(settings.tls, DOT_PROTOCOLS)
            await server.start_tls(where.host, where.port, certificate.context)
    except (OSError, StartError) as error:
        await server.stop()
        if isinstance(error, StartError):
            raise
        raise StartError(f"rpz_out.{key}: cannot listen on {where} ({error.strerror}): choose another address") from error
    return ListFeed(server, outlets, certificate, state_dir)
