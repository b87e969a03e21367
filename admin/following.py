"""Which list office this machine follows: who may say so, joining by a code, leaving; for the page and the API.

A code carries the address and the fingerprint of the office's first root; what the address offers is believed only when it fits. Joining or
leaving changes no rule that is in force: the gateway looks again and takes what it finds.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from admin.dependencies import Services
from admin.errors import AdminError, FieldMistake, InvalidInput
from admin.link import GatewayAway
from admin.permissions import Actor, Permission
from admin.tenants import is_alone
from blocklists import joined
from blocklists.joined import Joined
from blocklists.pairing import CodeError, JoinCode, fingerprint_of, parse_code, words_of
from blocklists.tables import OrganisationId, Role
from gateway.errors import ControlError
from gateway.following import describe, read_state

LONGEST_CODE = 600


class NotJoined(AdminError):
    """The code cannot be used, or the office cannot be reached; nothing changed. `words`: one sentence with the remedy, in English; `vi`:
    in Vietnamese."""

    status = 409
    code = "not_joined"

    def __init__(self, words: str, vi: str) -> None:
        self.words, self.vi = words, vi
        super().__init__()


@dataclass(frozen=True, slots=True)
class Following:
    """The office that is followed (None: none was joined by a code), words to compare, and how the list stands. `own`: the words of this
    gateway's key; `by_file`: the source that the configuration file names instead; `missing`:
    the office that was followed before a backup was put back here."""

    office: Joined | None
    words: str
    own: str
    by_file: str
    missing: str
    state: dict[str, Any] | None  # Any: JSON values
    good_at: datetime | None
    test_name: str


async def keeps_machine(
    connection: AsyncConnection, actor: Actor, tenant: OrganisationId, permission: Permission = Permission.LIST_FOLLOW
) -> bool:
    """Whether somebody looks after this machine, and has the permission: its operator, or whoever runs the one organisation that has it
    for itself."""
    if actor.role_on(tenant, permission) is None:
        return False
    return any(assignment.role is Role.OPERATOR for assignment in actor.assignments) or await is_alone(connection)


async def read_followed(services: Services, now: datetime) -> Following:
    """Which office is followed, and how it stands."""
    settings = services.settings
    office = await asyncio.to_thread(joined.read_joined, settings.state_dir)
    seen = await asyncio.to_thread(read_state, settings.state_dir)
    state = describe(seen, now.timestamp()) if seen is not None else None
    return Following(
        office=office,
        words=words_of(office.fingerprint) if office else "",
        own=words_of(fingerprint_of(bytes.fromhex(office.public))) if office and office.public else "",
        by_file=(settings.orders_from or "") if office is None else "",
        missing=await asyncio.to_thread(joined.read_missing, settings.state_dir),
        state=state,
        good_at=datetime.fromtimestamp(state["good_at"], UTC) if state and state["good_at"] else None,
        test_name=f"serial.orders.{settings.gateway.dns.name}",
    )


def read_code(text: str) -> JoinCode:
    """A code as it was typed. Raises InvalidInput."""
    try:
        return parse_code(text[:LONGEST_CODE])
    except CodeError as error:
        raise InvalidInput(FieldMistake("code", "office_code")) from error


async def follow_office(services: Services, code: JoinCode) -> None:
    """Join the office of a code; the gateway takes its list at once and goes on by itself. Raises NotJoined."""
    from blocklists import joining  # loads the library of signatures: ten megabytes for this one act

    try:
        await asyncio.to_thread(joining.join, services.settings.state_dir, code)
    except joining.JoinError as error:
        raise NotJoined(error.en, error.vi) from error
    await _reload(services)


async def leave_office(services: Services) -> None:
    """Follow it no more; what is in force stays."""
    await asyncio.to_thread(joined.leave, services.settings.state_dir)
    await asyncio.to_thread(joined.forget_missing, services.settings.state_dir)
    await _reload(services)


async def _reload(services: Services) -> None:
    """Have the running gateway look again; one that is away looks when it starts."""
    with contextlib.suppress(GatewayAway, ControlError):
        await services.link.reload()
