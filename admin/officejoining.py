"""A code by which one gateway joins an office, and taking a gateway away; for the page and the API.

A code is made only once the office's list is signed: it carries the fingerprint of the first root. Taking a gateway away changes the key
that later releases are sealed with, which it was never given.
"""

from __future__ import annotations

import asyncio

from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import Act
from admin.errors import Conflict
from admin.officegateways import invite_gateway, retire_gateway
from admin.officesigning import SigningDesk
from admin.settings import AdminSettings
from admin.setup import public_url
from blocklists.database import Database
from blocklists.pairing import JoinCode
from blocklists.sealing import office_keys


class NotSigned(Conflict):
    """The office's list has no signature yet: nobody can follow it."""

    code = "not_signed"


async def read_fingerprint(signing: SigningDesk) -> str:
    """The fingerprint of the office's first root. Raises NotSigned."""
    standing = await signing.standing()
    if not standing.is_begun:
        raise NotSigned
    return standing.fingerprint


async def make_code(connection: AsyncConnection, act: Act, settings: AdminSettings, fingerprint: str, label: str) -> tuple[str, JoinCode]:
    """A place for one gateway: its id, and the code that is shown once."""
    identity, ticket = await invite_gateway(connection, act, label)
    return identity, JoinCode(f"{public_url(settings)}/release", fingerprint, ticket)


async def take_away(database: Database, act: Act, signing: SigningDesk, settings: AdminSettings, gateway: str) -> None:
    """Take a gateway off the office. What is published from now on is sealed with a key it was never given. Raises NotFound."""
    named = await asyncio.to_thread(signing.room.repository.sealing_keys)
    async with database.write() as connection:
        if await retire_gateway(connection, act, gateway):
            await asyncio.to_thread(office_keys, settings.state_dir, fresh=True, named=named)
