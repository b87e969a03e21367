"""Homes followed: where the token of a home was presented last is where the home is; linked and put in force at once (`admin.homelink`).

The gateway tells once a second which tokens of homes came from where, out of its memory. Made by `admin.app`, run by `admin.process`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import select

from admin.apply import Applier
from admin.audit import MACHINE, Act
from admin.errors import AdminError
from admin.familytables import home_links
from admin.homelink import RENEWED_AFTER, Home, HomeShared, judge_link, link_home, load_home
from admin.link import GatewayLink
from blocklists.database import Database
from blocklists.tables import EVERY_TENANT, OrganisationId

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0


class Homes:
    """Follows the queries that carry a home's token: where it was asked from last is where the home is."""

    def __init__(
        self, database: Database, link: GatewayLink, applier: Applier, allowed: Callable[[str], bool], now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._link = link
        self._applier = applier
        self._allowed = allowed
        self._now = now
        self._followed: dict[tuple[str, str], tuple[str, float]] = {}

    async def run(self) -> None:
        """Look every second, as long as there is a home at all; what fails is tried again."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except AdminError:
                continue
            except Exception:
                log.exception("following homes failed", extra={"event": "homes.failed"})

    async def look(self) -> None:
        """Link what moved since the last look."""
        async with self._database.read() as connection:
            statement = select(home_links.c.tenant_id).limit(1)
            if (await connection.execute(statement.execution_options(**EVERY_TENANT))).first() is None:
                return
        for tenant, device, address, at in await self._link.homes():
            where, then = self._followed.get((tenant, device), ("", 0.0))
            if where == address and at - then < RENEWED_AFTER.total_seconds():
                continue
            if await self.follow(OrganisationId(tenant), device, address):
                self._followed[tenant, device] = (address, at)

    async def follow(self, tenant: OrganisationId, device: str, address: str) -> bool:
        """Link one home by its token; whether this is settled (it may have moved too soon)."""
        async with self._database.read() as connection:
            home = await load_home(connection, tenant)
        if home is None or home.device_id != device:
            return True
        try:
            await self.link(home, address, Act(tenant, MACHINE, self._now()))
        except AdminError as error:
            return error.code != "home_moves"
        return True

    async def link(self, home: Home, address: str, act: Act, *, by_hand: bool = False) -> None:
        """Link and put in force at once. Raises what `link_home` does."""
        shared: HomeShared | None = None
        async with self._database.read() as connection:  # most calls change nothing, and hold no other writer up
            link = await judge_link(connection, home, address, self._allowed, act.now, by_hand=by_hand)
        if link is None:
            return
        async with self._database.write() as connection:
            try:
                changed = await link_home(connection, act, home, address, self._allowed, by_hand=by_hand)
            except HomeShared as error:
                shared, changed = error, [home.tenant, *error.others]
        for tenant in changed:
            await self._applier.settle(tenant)
            await self._applier.forget(tenant)  # older generations hold older addresses
        if shared is not None:
            raise shared
