"""The list for other people's resolvers: one policy zone kept at the newest version, announced to the secondaries.

The zone lives in memory and is made from the database: whole at the start, then one difference for each version, so that secondaries take
IXFR. Only a version that the local gateway enforces goes out.
"""

from __future__ import annotations

import logging

import dns.name
import dns.tsig
from sqlalchemy import func, select

from admin.rpzsettings import RpzOutSettings
from blocklists.database import Database
from blocklists.normalize import key_of_name
from blocklists.policyzone import Entry, PolicyZone
from blocklists.takedown import tables
from blocklists.takedown.model import IN_FORCE, Match
from blocklists.takedown.store import Office
from blocklists.xfr import Feed, Secondary, TransferServer
from gateway.errors import StartError
from gateway.policy.overlay import Scope

log = logging.getLogger(__name__)
_MATCH = {Match.BOTH: 0, Match.EXACT: 1, Match.BELOW: 2}


class ListFeed:
    """Keeps a policy zone at the newest version that is in force here."""

    def __init__(self, server: TransferServer, zone: PolicyZone, place: str = "") -> None:
        self.server = server
        self.zone = zone
        self.place = place

    async def stop(self) -> None:
        """Stop serving."""
        await self.server.stop()

    async def follow(self, database: Database, office: Office) -> None:
        """Take the zone to the newest version, if it is not there yet."""
        versions, entries = tables.versions, tables.entries
        async with database.read() as connection:
            newest = select(func.max(versions.c.serial)).where(versions.c.tenant_id == office.tenant, versions.c.applied_at.isnot(None))
            serial = (await connection.execute(newest)).scalar_one_or_none() or 0
            if serial <= self.zone.serial:
                return
            orders = tables.orders
            statement = (
                select(entries.c.host, entries.c.match, orders.c.places, orders.c.organisations)
                .outerjoin(orders, orders.c.id == entries.c.order_id)
                .where(
                    entries.c.tenant_id == office.tenant,
                    orders.c.tenant_id.is_(None) | (orders.c.tenant_id == office.tenant),
                    entries.c.state.in_([state.value for state in IN_FORCE]),
                    entries.c.serial_in <= serial,
                )
            )
            found = (await connection.execute(statement)).all()
            rows: list[Entry] = [
                (key_of_name(row.host), _MATCH[Match(row.match)])
                for row in found
                if is_for(self.place, row.places or "", row.organisations or "")
            ]
        self.zone.replace(serial, rows)
        self.server.announce(self.zone.origin)


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
    try:
        await server.start(settings.listen.host, settings.listen.port)
    except OSError as error:
        raise StartError(f"rpz_out.listen: cannot listen on {settings.listen} ({error.strerror}): choose another address") from error
    return ListFeed(server, zone, settings.place)
