"""The list for other people's resolvers: policy zones kept at the newest version, announced to the secondaries.

A zone is read in clear by whoever may transfer it, so names of the masked category are not in it: those go to gateways that follow the
office, whose releases hold masks. A zone cannot tell its askers apart either, so each says whom it is for (`Audience`), and holds the
orders that bind all of them and have begun. Zones live in memory and are made from the database: whole at the start, then from what came
and left with each version, so that one entry costs work for one entry and secondaries take IXFR. Only a version that the local gateway
enforces goes out. A serial is a thousand times the version, plus one for each moment since then at which orders began.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import dns.name
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
from gateway.tls import DOT_PROTOCOLS, ServerContext

log = logging.getLogger(__name__)
_MATCH = {Match.BOTH: 0, Match.EXACT: 1, Match.BELOW: 2}
_STEPS = 1000


@dataclass(slots=True)
class Outlet:
    """One zone with whom it is for, and the ids of the entries it holds."""

    zone: PolicyZone
    audience: Audience = field(default_factory=Audience)
    held: set[str] = field(default_factory=set)


class ListFeed:
    """Keeps policy zones at the newest version that is in force here."""

    def __init__(self, server: TransferServer, outlets: Sequence[Outlet], certificate: ServerContext | None = None) -> None:
        self.server = server
        self.outlets = outlets
        self.certificate = certificate
        self._version = 0
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
            newest = select(versions.c.serial, versions.c.created_at).where(
                versions.c.tenant_id == office.tenant, versions.c.applied_at.isnot(None)
            )
            last = (await connection.execute(newest.order_by(versions.c.serial.desc()).limit(1))).first()
            if last is None or (last.serial <= self._version and not self._begins(now)):
                return
            if last.serial > self._version:
                came = await self._rows(connection, office, entries.c.serial_in > self._version, entries.c.serial_in <= last.serial)
                gone = select(entries.c.id, entries.c.host, entries.c.match).where(
                    entries.c.tenant_id == office.tenant, entries.c.serial_out > self._version, entries.c.serial_out <= last.serial
                )
                left = list(await connection.execute(gone))
                begun = {row.valid_from for row in came if last.created_at < row.valid_from <= now} if not self._version else set()
                self._version, self._steps = last.serial, len(begun)
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
        for outlet in self.outlets:
            self._advance(outlet, fresh, left)

    def _begins(self, now: datetime) -> bool:
        return bool(self._waiting) and self._waiting[0][0] <= now

    def _advance(self, outlet: Outlet, fresh: list[Any], left: list[Any]) -> None:  # Any: rows
        mine = [row for row in fresh if row.id not in outlet.held and _is_in(outlet.audience, row)]
        gone = [row for row in left if row.id in outlet.held]
        outlet.held.difference_update(row.id for row in gone)
        outlet.held.update(row.id for row in mine)
        serial = (self._version * _STEPS + self._steps) % 2**32
        if serial != outlet.zone.serial:
            outlet.zone.advance(serial, map(_entry, gone), map(_entry, mine))
            self.server.announce(outlet.zone.origin)

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


async def open_feed(settings: RpzOutSettings) -> ListFeed:
    """Serve the list as `rpz_out` says. Raises StartError when the address is taken."""
    outlets = [Outlet(PolicyZone(name), audience) for name, audience in settings.zones]
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
    return ListFeed(server, outlets, certificate)
