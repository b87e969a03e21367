"""Asking and answering: a child asks for a page, a parent or teacher answers, the child sees the answer by a code.

No account is needed to ask. The host is kept without its path, the note is at most 200 letters; both are emptied thirty days after
the answer. What a request opens is an ordinary exception of the profile with an absolute end, or an allowed name ("always"). Times
are arguments.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import VISITOR, Act, Action, record
from admin.errors import Conflict, FieldMistake, InvalidInput, NotFound, TooManyTries
from admin.names import add_name, is_whole_ending, list_names, remove_name
from admin.officebudget import Budget
from admin.overrides import start_override
from admin.profiles import Profile
from admin.tables import requests
from admin.values import Decision, NameEffect, OverrideKind, ProfileId, RequestId, RequestReason, RequestState, TargetKind
from blocklists.tables import EVERY_TENANT, OrganisationId, new_id
from gateway.policy.model import Band

NOTE_LENGTH = 200
CODE_LENGTH = 8
#: Without 0, O, 1 and I: a child reads it aloud or copies it by hand.
CODE_SIGNS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
WAITS = timedelta(days=7)
FORGET = timedelta(days=30)
A_DAY = 3
MOST_WAITING = 50


@dataclass(frozen=True, slots=True)
class Asked:
    """What a child asks for. `profile` is None where the address is shared and the person who answers chooses."""

    profile: ProfileId | None
    host: str
    reason: RequestReason
    note: str
    band: Band


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it stands."""

    id: RequestId
    tenant_id: OrganisationId
    profile_id: ProfileId | None
    code: str
    host: str
    reason: RequestReason
    note: str
    band: Band
    state: RequestState
    decision: Decision | None
    open_until: datetime | None
    decided_at: datetime | None
    created_at: datetime


#: An IPv6 home could mint addresses in its /64 without end: all of them together have so many devices' share, as has an IPv4 address that
#: is known to stand for several.
DEVICES_OF_HOME = 10


class Quota:
    """How often one device may do something in a while; kept in memory only, never with a name. A device is an address, of which an IPv6
    network together has a bounded share, or the id that a phone showed."""

    def __init__(self, most: int = A_DAY, span: timedelta = timedelta(days=1)) -> None:
        self.most = most
        self.span = span
        self._taken: OrderedDict[str, list[datetime]] = OrderedDict()
        self._homes = Budget(most * DEVICES_OF_HOME, span.total_seconds())

    def take(self, who: str, now: datetime, devices: int = 1) -> None:
        """Count one act of a device, or of an address that stands for so many. Raises TooManyTries when it has had its share."""
        since = [at for at in self._taken.pop(who, []) if timedelta() <= now - at < self.span]  # none of a clock that was put back
        if len(since) >= self.most * devices:
            self._taken[who] = since
            raise TooManyTries((since[0] + self.span - now).total_seconds(), "asked_often")
        if ":" in who:
            self._homes.spend(who, now.timestamp())
        self._taken[who] = [*since, now]
        while len(self._taken) > 10_000:
            self._taken.popitem(last=False)


async def ask(connection: AsyncConnection, tenant: OrganisationId, asked: Asked, now: datetime) -> Request:
    """Note a request; the same wish of the same profile that still waits is the same. Raises InvalidInput for a whole ending."""
    if is_whole_ending(asked.host):
        raise InvalidInput(FieldMistake("host", "name_suffix"))
    waiting = (
        await connection.execute(
            select(requests).where(
                requests.c.tenant_id == tenant,
                requests.c.state == RequestState.WAITING.value,
                requests.c.created_at > now - WAITS,
            )
        )
    ).all()
    for row in waiting:
        if row.host == asked.host and row.profile_id == asked.profile:
            return _request(row)
    if len(waiting) >= MOST_WAITING:
        raise TooManyTries(3600, "too_many_waiting")
    request = RequestId(new_id())
    await connection.execute(
        insert(requests).values(
            id=request,
            tenant_id=tenant,
            profile_id=asked.profile,
            code="".join(secrets.choice(CODE_SIGNS) for _ in range(CODE_LENGTH)),
            host=asked.host,
            reason=asked.reason.value,
            note=asked.note,
            band=asked.band.value,
            state=RequestState.WAITING.value,
            created_at=now,
        )
    )
    await record(connection, Act(tenant, VISITOR, now), Action.REQUEST_RECEIVED, request, after={"host": asked.host, "note": asked.note})
    return await load_request(connection, tenant, request)


async def list_requests(connection: AsyncConnection, tenant: OrganisationId, now: datetime) -> tuple[list[Request], list[Request]]:
    """Requests that wait (oldest first), and those answered in the last days (newest first)."""
    statement = select(requests).where(requests.c.tenant_id == tenant, requests.c.created_at > now - FORGET)
    rows = [_request(row) for row in await connection.execute(statement.order_by(requests.c.created_at))]
    waiting = [one for one in rows if one.state is RequestState.WAITING and now - one.created_at < WAITS]
    answered = [one for one in rows if one.state is RequestState.ANSWERED]
    return waiting, sorted(answered, key=lambda one: one.decided_at or one.created_at, reverse=True)[:30]


async def count_waiting(connection: AsyncConnection, tenant: OrganisationId, now: datetime) -> int:
    """How many requests wait for an answer."""
    statement = (
        select(func.count())
        .select_from(requests)
        .where(requests.c.tenant_id == tenant, requests.c.state == RequestState.WAITING.value, requests.c.created_at > now - WAITS)
    )
    return int((await connection.execute(statement)).scalar_one())


async def load_request(connection: AsyncConnection, tenant: OrganisationId, request: str) -> Request:
    """One request. Raises NotFound, also for another tenant's."""
    row = (await connection.execute(select(requests).where(requests.c.tenant_id == tenant, requests.c.id == request))).one_or_none()
    if row is None:
        raise NotFound
    return _request(row)


async def find_by_code(connection: AsyncConnection, code: str, now: datetime) -> Request | None:
    """The request of a code, for the child who holds it. The code is the whole proof: forty random bits, looked up slowly."""
    statement = select(requests).where(requests.c.code == code, requests.c.created_at > now - FORGET)
    row = (await connection.execute(statement.execution_options(**EVERY_TENANT))).one_or_none()
    return _request(row) if row is not None else None


async def answer(
    connection: AsyncConnection,
    act: Act,
    request: Request,
    decision: Decision,
    profile: Profile | None,
    zone: str,
    rest_at: datetime | None,
) -> None:
    """Answer a request once; what it opens is opened in the same transaction, until `rest_at` at the latest: the next rest time of the
    profile, or None where somebody said that it is to go on through it. Raises Conflict when it was answered meanwhile,
    InvalidInput when it would open a whole ending such as every .vn site.
    """
    if decision is not Decision.NO and is_whole_ending(request.host):
        raise InvalidInput(FieldMistake("decision", "name_suffix"))
    until = end_of(decision, act.now, zone)
    if until is not None and rest_at is not None:
        until = min(until, rest_at)
    result = await connection.execute(
        update(requests)
        .where(requests.c.tenant_id == act.tenant, requests.c.id == request.id, requests.c.state == RequestState.WAITING.value)
        .values(
            state=RequestState.ANSWERED.value,
            decision=decision.value,
            open_until=until,
            decided_by=act.by.account_id,
            decided_at=act.now,
            profile_id=profile.id if profile else request.profile_id,
        )
    )
    if result.rowcount != 1:
        raise Conflict
    if profile is not None and until is not None:
        targets = [(TargetKind.NAME, request.host)]
        await start_override(connection, act, profile.id, OverrideKind.EXCEPTION, until, targets)
    elif profile is not None and decision is Decision.ALWAYS:
        listed = await list_names(connection, act.tenant, profile.id)
        for rule in listed:
            if rule.pattern == request.host and rule.effect is NameEffect.DENY:
                await remove_name(connection, act, profile.id, rule.id)
        if not any(rule.pattern == request.host and rule.effect is NameEffect.ALLOW for rule in listed):
            await add_name(connection, act, profile.id, NameEffect.ALLOW, request.host)
    after = {"decision": decision.value, "until": until.isoformat() if until else None}
    await record(connection, act, Action.REQUEST_ANSWERED, request.id, after=after)


async def forget_old(connection: AsyncConnection, now: datetime) -> int:
    """Empty what people wrote in requests that are over for thirty days; returns how many."""
    old = (requests.c.host != "", requests.c.created_at < now - FORGET)
    statement = update(requests).where(*old).values(host="", note="")
    result = await connection.execute(statement.execution_options(**EVERY_TENANT))
    return int(result.rowcount)


def end_of(decision: Decision, now: datetime, zone: str) -> datetime | None:
    """Until when a decision opens; None for always and for no."""
    if decision is Decision.QUARTER:
        return now + timedelta(minutes=15)
    if decision is Decision.HOUR:
        return now + timedelta(hours=1)
    if decision is Decision.TODAY:
        midnight = now.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight + timedelta(days=1)
    return None


def read_code(text: str) -> str:
    """A code as a child types it: case, spaces and hyphens do not matter."""
    return "".join(sign for sign in text.upper() if sign in CODE_SIGNS)[:CODE_LENGTH]


def _request(row: Row[Any]) -> Request:
    return Request(
        id=RequestId(row.id),
        tenant_id=OrganisationId(row.tenant_id),
        profile_id=None if row.profile_id is None else ProfileId(row.profile_id),
        code=row.code,
        host=row.host,
        reason=RequestReason(row.reason),
        note=row.note,
        band=Band(row.band),
        state=RequestState(row.state),
        decision=None if row.decision is None else Decision(row.decision),
        open_until=row.open_until,
        decided_at=row.decided_at,
        created_at=row.created_at,
    )
