"""Switches: one category or one service, opened or closed for one profile. No row means what the band has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import Act, Action, record
from admin.catalogue import Shelf
from admin.errors import FieldMistake, InvalidInput
from admin.overrides import Override
from admin.profiles import Profile
from admin.tables import switches
from admin.tenants import mark_changed
from admin.values import OverrideKind, ProfileId, SwitchKind, SwitchState, TargetKind
from blocklists.tables import OrganisationId
from gateway.policy.model import Band

EXITS = ("bypass", "encdns")
"""The categories that lead around the filter; people open and close them by one switch."""
EXITS_SWITCH = "exits"

Switches = Mapping[tuple[SwitchKind, str], SwitchState]


async def list_switches(connection: AsyncConnection, tenant: OrganisationId, profile: ProfileId) -> Switches:
    """What a profile's owner has set."""
    statement = select(switches).where(switches.c.tenant_id == tenant, switches.c.profile_id == profile)
    return {(SwitchKind(row.kind), row.code): SwitchState(row.state) for row in await connection.execute(statement)}


async def set_switch(
    connection: AsyncConnection, act: Act, profile: ProfileId, kind: SwitchKind, code: str, state: SwitchState | None
) -> None:
    """Open, close, or leave to the band."""
    before = (await list_switches(connection, act.tenant, profile)).get((kind, code))
    if before == state:
        return
    own = (switches.c.tenant_id == act.tenant, switches.c.profile_id == profile, switches.c.kind == kind.value, switches.c.code == code)
    await connection.execute(delete(switches).where(*own))
    if state is not None:
        await connection.execute(
            insert(switches).values(tenant_id=act.tenant, profile_id=profile, kind=kind.value, code=code, state=state.value)
        )
    content = [None if one is None else {"kind": kind.value, "code": code, "state": one.value} for one in (before, state)]
    await record(connection, act, Action.SWITCH_SET, profile, before=content[0], after=content[1])
    await mark_changed(connection, act)


def check_switch(shelf: Shelf, profile: Profile, strictest: Band, kind: SwitchKind, code: str, state: SwitchState | None) -> None:
    """Refuse a switch that does not exist or that would open what is locked for this age."""
    known = shelf.catalogue.codes if kind is SwitchKind.CATEGORY else shelf.catalogue.service_ids
    if code not in known or (kind is SwitchKind.CATEGORY and code in shelf.catalogue.order_only):
        raise InvalidInput(FieldMistake("code", "unknown"))
    if state is not SwitchState.ALLOW:
        return
    if kind is SwitchKind.CATEGORY:
        locked = shelf.cell(code, profile.band, strictest).locked
    else:
        locked = shelf.is_locked(shelf.catalogue.services[code], profile.band, strictest)
    if locked:
        raise InvalidInput(FieldMistake("code", "locked"))


def is_open(shelf: Shelf, set_by_owner: Switches, profile: Profile, strictest: Band, kind: SwitchKind, code: str) -> bool:
    """Where a switch stands: as the owner set it, else as the band has it. A service follows its own switch, then its categories."""
    own = set_by_owner.get((kind, code))
    if kind is SwitchKind.CATEGORY:
        cell = shelf.cell(code, profile.band, strictest)
        if cell.locked:
            return False
        return own is SwitchState.ALLOW if own else not cell.blocked
    service = shelf.catalogue.services[code]
    if shelf.is_locked(service, profile.band, strictest):
        return False
    if own is not None:
        return own is SwitchState.ALLOW
    return all(is_open(shelf, set_by_owner, profile, strictest, SwitchKind.CATEGORY, one) for one in service.categories)


def opened_until(
    shelf: Shelf, set_by_owner: Switches, profile: Profile, strictest: Band, kind: SwitchKind, code: str, acts: Sequence[Override]
) -> datetime | None:
    """Until when what its switch closes is open all the same, by these acts; None where it is not. An opening of a group comes before the
    switch of a service in it; a service of several groups is open as long as all that are closed are. An act that turns everything off
    comes before what was opened earlier."""
    if is_open(shelf, set_by_owner, profile, strictest, kind, code):
        return None
    service = shelf.catalogue.services[code] if kind is SwitchKind.SERVICE else None
    if shelf.is_locked(service, profile.band, strictest) if service else shelf.cell(code, profile.band, strictest).locked:
        return None
    closed_at = max((act.starts_at for act in acts if act.kind is OverrideKind.OFF), default=None)
    targets = [(target, act.ends_at) for act in acts if closed_at is None or act.starts_at > closed_at for target in act.targets]
    own = max((ends for target, ends in targets if target == (TargetKind(kind.value), code)), default=None)
    if own is not None or service is None:
        return own
    is_closed = set_by_owner.get((kind, code)) is SwitchState.BLOCK
    free = {one for one in service.categories if is_open(shelf, set_by_owner, profile, strictest, SwitchKind.CATEGORY, one)}
    needed = service.categories if is_closed else service.categories - free
    ends_of = [max((ends for target, ends in targets if target == (TargetKind.CATEGORY, one)), default=None) for one in needed]
    ends_known = [ends for ends in ends_of if ends is not None]
    return min(ends_known) if ends_known and len(ends_known) == len(ends_of) else None


def is_loosening(
    shelf: Shelf, before: Switches, profile: Profile, strictest: Band, kind: SwitchKind, code: str, state: SwitchState | None
) -> bool:
    """Whether a switch would open what is closed now."""
    after = {key: value for key, value in before.items() if key != (kind, code)}
    if state is not None:
        after[(kind, code)] = state
    was = is_open(shelf, before, profile, strictest, kind, code)
    return not was and is_open(shelf, after, profile, strictest, kind, code)
