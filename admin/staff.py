"""Staff of a school enrol their own devices: a picture in the staff room, scanned on the school's network, until the term ends.

The invitation gives no account and no right; it gives the device that scans it to the adults' profile, so it hangs where pupils are not. It
ends with the term and can be withdrawn; the devices that came by it become new again on the same day: the gateway ends them by its own
clock, also when this process is dead, and this process forgets them afterwards.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import MACHINE, VISITOR, Act, Action, record
from admin.devices import Match, assign_device, list_devices, retire_device
from admin.errors import NotFound
from admin.familytables import device_ends, staff_invitations
from admin.values import DeviceId, ProfileId
from blocklists.tables import EVERY_TENANT, ID_SIGNS, OrganisationId, new_id, organisations

LONGEST = timedelta(days=200)
GROUPS, GROUP = 2, 5
_WITH_SCHOOL = select(staff_invitations, organisations.c.name.label("school")).join(
    organisations, organisations.c.id == staff_invitations.c.tenant_id
)


@dataclass(frozen=True, slots=True)
class StaffInvitation:
    """A picture that works now. `school`: what the school is called."""

    id: str
    tenant: OrganisationId
    code: str
    profile: ProfileId
    ends_at: datetime
    school: str

    @property
    def last_moment(self) -> datetime:
        """A moment of its last day: people are told the day, not the midnight after it."""
        return self.ends_at - timedelta(seconds=1)


async def invite_staff(connection: AsyncConnection, act: Act, profile: ProfileId, last: date, zone: str) -> str:
    """A new picture that works through the day `last`; the one before is withdrawn. Returns its id."""
    await withdraw_staff_invitation(connection, act)
    code = "-".join("".join(secrets.choice(ID_SIGNS) for _ in range(GROUP)) for _ in range(GROUPS))
    made = new_id()
    ends = datetime.combine(last + timedelta(days=1), time(), ZoneInfo(zone))
    await connection.execute(
        insert(staff_invitations).values(
            id=made, tenant_id=act.tenant, code=code, profile_id=profile, created_by=act.by.account_id, created_at=act.now, ends_at=ends
        )
    )
    await record(connection, act, Action.STAFF_INVITED, made, after={"until": ends.isoformat()})
    return made


async def withdraw_staff_invitation(connection: AsyncConnection, act: Act) -> None:
    """Nobody enrols by it any more; devices that did stay until their end."""
    own = (staff_invitations.c.tenant_id == act.tenant, staff_invitations.c.withdrawn_at.is_(None), staff_invitations.c.ends_at > act.now)
    result = await connection.execute(update(staff_invitations).where(*own).values(withdrawn_at=act.now))
    if result.rowcount:
        await record(connection, act, Action.STAFF_INVITATION_WITHDRAWN, act.tenant)


async def current_invitation(connection: AsyncConnection, tenant: OrganisationId, now: datetime) -> StaffInvitation | None:
    """The picture of a school that works now."""
    row = (await connection.execute(_WITH_SCHOOL.where(staff_invitations.c.tenant_id == tenant, *_open(now)))).first()
    return _of(row) if row else None


async def find_staff_invitation(connection: AsyncConnection, code: str, now: datetime) -> StaffInvitation:
    """The invitation somebody scanned. Raises NotFound."""
    statement = _WITH_SCHOOL.where(staff_invitations.c.code == code, *_open(now))
    row = (await connection.execute(statement.execution_options(**EVERY_TENANT))).first()  # the code says whose it is
    if row is None:
        raise NotFound
    return _of(row)


async def enrol(connection: AsyncConnection, invitation: StaffInvitation, label: str, matches: Sequence[Match], now: datetime) -> DeviceId:
    """Give the device to the adults until the invitation's end. Raises Conflict when somebody has it already."""
    act = Act(invitation.tenant, VISITOR, now)
    device = await assign_device(connection, act, invitation.profile, label, matches)
    await connection.execute(insert(device_ends).values(tenant_id=invitation.tenant, device_id=device, ends_at=invitation.ends_at))
    await record(connection, act, Action.STAFF_ENROLLED, device, after={"until": invitation.ends_at.isoformat()})
    return device


async def list_ends(connection: AsyncConnection, tenant: OrganisationId) -> Mapping[str, datetime]:
    """When each enrolled device is over, by its id."""
    rows = await connection.execute(select(device_ends.c.device_id, device_ends.c.ends_at).where(device_ends.c.tenant_id == tenant))
    return {row.device_id: row.ends_at for row in rows}


async def count_enrolled(connection: AsyncConnection, tenant: OrganisationId, now: datetime) -> int:
    """How many devices staff have enrolled."""
    statement = select(func.count()).select_from(device_ends).where(device_ends.c.tenant_id == tenant, device_ends.c.ends_at > now)
    return int((await connection.execute(statement)).scalar_one())


async def end_enrolments(connection: AsyncConnection, now: datetime) -> list[OrganisationId]:
    """Forget the devices whose time is over; the tenants whose policy changed."""
    statement = select(device_ends.c.tenant_id, device_ends.c.device_id).where(device_ends.c.ends_at <= now)
    over = (await connection.execute(statement.execution_options(**EVERY_TENANT))).all()
    for tenant in {row.tenant_id for row in over}:
        gone = {row.device_id for row in over if row.tenant_id == tenant}
        act = Act(OrganisationId(tenant), MACHINE, now)
        for device in await list_devices(connection, act.tenant):
            if device.id in gone:
                await retire_device(connection, act, device)
        await connection.execute(delete(device_ends).where(device_ends.c.tenant_id == tenant, device_ends.c.device_id.in_(gone)))
    return sorted({OrganisationId(row.tenant_id) for row in over})


def term_end(terms: Sequence[date], today: date) -> date:
    """The last day of the term that runs now; in four months where the calendar knows none."""
    return min((day for day in terms if day >= today), default=today + timedelta(days=120))


def _of(row: Row[Any]) -> StaffInvitation:
    return StaffInvitation(row.id, OrganisationId(row.tenant_id), row.code, ProfileId(row.profile_id), row.ends_at, row.school)


def _open(now: datetime) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return staff_invitations.c.withdrawn_at.is_(None), staff_invitations.c.ends_at > now
