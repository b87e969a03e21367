"""The list for other people's resolvers: one policy zone kept at the newest version, announced to the secondaries.

A zone is read in clear by whoever may transfer it, so names of the masked category are not in it: those go to gateways that follow the
office, whose releases hold masks. The zone lives in memory and is made from the database: whole at the start, then from what came and left
with each version, so that one entry costs work for one entry and secondaries take IXFR. Only a version that the local gateway enforces
goes out.
"""

from __future__ import annotations

import logging
from typing import Any

import dns.name
import dns.tsig
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.rpzsettings import RpzOutSettings
from blocklists.database import Database
from blocklists.normalize import key_of_name
from blocklists.policyzone import Entry, PolicyZone
from blocklists.takedown import tables
from blocklists.takedown.model import IN_FORCE, MASKED, Match
from blocklists.takedown.store import Office
from blocklists.xfr import Feed, Secondary, TransferServer
from gateway.errors import StartError
from gateway.policy.overlay import Scope
from gateway.tls import DOT_PROTOCOLS, ServerContext

log = logging.getLogger(__name__)
_MATCH = {Match.BOTH: 0, Match.EXACT: 1, Match.BELOW: 2}


class ListFeed:
    """Keeps a policy zone at the newest version that is in force here."""

    def __init__(self, server: TransferServer, zone: PolicyZone, place: str = "", certificate: ServerContext | None = None) -> None:
        self.server = server
        self.zone = zone
        self.place = place
        self.certificate = certificate
        self._held: set[str] = set()

    async def stop(self) -> None:
        """Stop serving."""
        await self.server.stop()

    def _look_at_certificate(self) -> None:
        try:
            if self.certificate is not None and self.certificate.reload_if_changed():
                log.info("certificate renewed", extra={"event": "rpz_out.renewed"})
        except StartError as error:
            log.error("certificate not usable, the old one stays", extra={"event": "rpz_out.broken", "reason": str(error)})

    async def follow(self, database: Database, office: Office) -> None:
        """Take the zone to the newest version, if it is not there yet; a renewed certificate serves new connections."""
        self._look_at_certificate()
        versions, entries = tables.versions, tables.entries
        async with database.read() as connection:
            newest = select(func.max(versions.c.serial)).where(versions.c.tenant_id == office.tenant, versions.c.applied_at.isnot(None))
            serial = (await connection.execute(newest)).scalar_one_or_none() or 0
            if serial <= self.zone.serial:
                return
            added = await self._rows(connection, office, entries.c.serial_in > self.zone.serial, entries.c.serial_in <= serial)
            gone = select(entries.c.id, entries.c.host, entries.c.match).where(
                entries.c.tenant_id == office.tenant, entries.c.serial_out > self.zone.serial, entries.c.serial_out <= serial
            )
            left = [row for row in await connection.execute(gone) if row.id in self._held]
        fresh = [row for row in added if row.id not in self._held]
        self._held.difference_update(row.id for row in left)
        self._held.update(row.id for row in fresh)
        self.zone.advance(serial, map(_entry, left), map(_entry, fresh))
        self.server.announce(self.zone.origin)

    async def _rows(self, connection: AsyncConnection, office: Office, *conditions: Any) -> list[Any]:  # Any: SQL expressions; rows
        """Entries in force that this zone is for."""
        orders, entries = tables.orders, tables.entries
        statement = (
            select(entries.c.id, entries.c.host, entries.c.match, orders.c.places, orders.c.organisations)
            .outerjoin(orders, orders.c.id == entries.c.order_id)
            .where(
                entries.c.tenant_id == office.tenant,
                orders.c.tenant_id.is_(None) | (orders.c.tenant_id == office.tenant),
                entries.c.state.in_([state.value for state in IN_FORCE]),
                entries.c.category != MASKED,
                *conditions,
            )
        )
        found = (await connection.execute(statement)).all()
        return [row for row in found if is_for(self.place, row.places or "", row.organisations or "")]


def _entry(row: Any) -> Entry:  # Any: a row with host and match
    return key_of_name(row.host), _MATCH[Match(row.match)]


def is_for(place: str, places: str, organisations: str) -> bool:
    """Whether a zone holds an order. A zone cannot tell its askers apart: it holds what is for everybody, and what is for its own place."""
    if not places and not organisations:
        return True
    return bool(place and places) and Scope(frozenset(places.split(","))).covers(place, "")


async def open_feed(settings: RpzOutSettings) -> ListFeed:
    """Serve the list as `rpz_out` says. Raises StartError when the address is taken."""
    zone = PolicyZone(settings.zone)
    feed = Feed(
        zones={zone.origin: zone},
        keys={dns.name.from_text(key.name): dns.tsig.Key(key.name, key.secret, key.algorithm) for key in settings.keys},
        open_to=settings.open_to,
        secondaries=[Secondary(one.address, one.port, one.key) for one in settings.secondaries],
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
    return ListFeed(server, zone, settings.place, certificate)
