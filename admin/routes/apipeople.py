"""The API of people: who acts here, the staff's picture, and families that a host serves; by the same functions as the pages.

A program never appoints or ends whoever runs the place: such a key could then do more than it was made for.
"""

from __future__ import annotations

from datetime import datetime, time
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends

from admin.errors import FieldMistake, Forbidden, InvalidInput, NotFound, PersonNeeded
from admin.hosting import JoinCode, count_families, list_join_codes, load_join_code, make_join_code, withdraw_join_code
from admin.invitations import invite
from admin.people import (
    GIVEN,
    Waiting,
    end_role,
    find_place,
    list_members,
    list_waiting,
    load_member,
    load_waiting,
    runs,
    withdraw_invitation,
)
from admin.peopleschemas import HostOut, InvitationIn, InvitationOut, PersonOut, SheetIn, SheetOut, StaffIn, StaffOut, StaffState
from admin.permissions import Permission, reaches
from admin.profiles import list_profiles
from admin.routes.api import PAGE, After, Caller, IdempotencyKey, Limit, caller, made_before, note_made, page_of
from admin.schemas import PageOf
from admin.setup import public_url
from admin.sharing import adults_of
from admin.staff import LONGEST, StaffInvitation, count_enrolled, current_invitation, invite_staff, withdraw_staff_invitation
from blocklists.tables import OrganisationKind, Role

router = APIRouter()

_BEYOND = (
    "Whoever has the link takes the place, and could then do more than this key. Invite at the page, or make a key that may look and change"
    " as well as invite."
)

Manager = Annotated[Caller, Depends(caller(Permission.PEOPLE_MANAGE))]
Host = Annotated[Caller, Depends(caller(Permission.FAMILY_HOST))]
Reader = Annotated[Caller, Depends(caller(Permission.DEVICE_READ))]
Loosener = Annotated[Caller, Depends(caller(Permission.PROFILE_LOOSEN))]
Tightener = Annotated[Caller, Depends(caller(Permission.PROFILE_TIGHTEN))]


@router.get("/people", tags=["people"])
async def list_people(who: Manager, limit: Limit = PAGE, after: After = None) -> PageOf[PersonOut]:
    """Everybody with a role here, the longest-standing first."""
    async with who.services.database.read() as connection:
        members = await list_members(connection, who.tenant_id, who.now)
    listed = [PersonOut(id=one.assignment, name=one.name, role=one.role, since=one.since, until=one.until) for one in members]
    return page_of(listed, after, limit)


@router.delete("/people/{assignment}", status_code=204, tags=["people"])
async def end_person(who: Manager, assignment: str) -> None:
    """End a role: that person's open pages and keys show nothing of this place from now on. Whoever runs it is ended by a person (403
    `person_only`)."""
    async with who.services.database.write() as connection:
        if runs((await load_member(connection, who.tenant_id, assignment, who.now)).role):
            raise Forbidden("person_only")
        await end_role(connection, who.act, assignment)


@router.get("/invitations", tags=["people"])
async def list_invitations(who: Manager, limit: Limit = PAGE, after: After = None) -> PageOf[InvitationOut]:
    """Places whose link nobody has used yet."""
    async with who.services.database.read() as connection:
        return page_of([_place_out(one) for one in await list_waiting(connection, who.tenant_id, who.now)], after, limit)


@router.post("/invitations", status_code=201, tags=["people"])
async def invite_person(who: Manager, new: InvitationIn, key: IdempotencyKey = None) -> InvitationOut:
    """Offer a place. The link is in this answer and nowhere else: repeated with its key, the same place is given without it. Who takes the
    place may do no more than the key: for a parent or teacher it must look and change, too (403 `person_needed`)."""
    role, zone = Role(new.role), ZoneInfo(who.tenant.time_zone)
    if role not in GIVEN.get(who.tenant.kind, ()):
        raise InvalidInput(FieldMistake("role", "unknown"))
    if new.last is not None and new.last < who.now.astimezone(zone).date():
        raise InvalidInput(FieldMistake("last", "end_passed"))
    if not reaches(who.signed_in.actor.scopes or (), role):
        raise PersonNeeded("/people", _BEYOND)
    until = datetime.combine(new.last, time(23, 59, 59), zone) if new.last is not None else None
    async with who.services.database.write() as connection:
        made, link = await made_before(connection, who, key, "invitation", new), None
        if made is None:
            secret = await invite(connection, who.act, role, "", until=until)
            made, link = await find_place(connection, who.tenant_id, secret), f"{public_url(who.services.settings)}/join/{secret}"
            await note_made(connection, who, key, made, "invitation", new)
        place = await load_waiting(connection, who.tenant_id, made, who.now)
    return _place_out(place, link)


@router.delete("/invitations/{invitation}", status_code=204, tags=["people"])
async def withdraw_place(who: Manager, invitation: str) -> None:
    """The link is worth nothing any more."""
    async with who.services.database.write() as connection:
        await withdraw_invitation(connection, who.act, invitation)


@router.get("/staff", tags=["people"])
async def show_staff(who: Reader) -> StaffState:
    """Whether staff can enrol their own devices now, and how many did."""
    _require_school(who)
    async with who.services.database.read() as connection:
        found = await current_invitation(connection, who.tenant_id, who.now)
        enrolled = await count_enrolled(connection, who.tenant_id, who.now)
    return StaffState(until=found.ends_at if found else None, enrolled=enrolled)


@router.post("/staff", status_code=201, tags=["people"])
async def make_staff_picture(who: Loosener, new: StaffIn, key: IdempotencyKey = None) -> StaffOut:
    """A new picture until a day; an older one is withdrawn."""
    _require_school(who)
    today = who.now.astimezone(ZoneInfo(who.tenant.time_zone)).date()
    if not today <= new.last <= today + LONGEST:
        raise InvalidInput(FieldMistake("last", "staff_day"))
    async with who.services.database.write() as connection:
        made = await made_before(connection, who, key, "staff", new)
        if made is None:
            adults = adults_of(await list_profiles(connection, who.tenant_id))
            if adults is None:
                raise NotFound
            made = await invite_staff(connection, who.act, adults.id, new.last, who.tenant.time_zone)
            await note_made(connection, who, key, made, "staff", new)
        found = await current_invitation(connection, who.tenant_id, who.now)
    if found is None or found.id != made:  # withdrawn, or another made, since a first request with the same key
        raise NotFound
    return _staff_out(who, found)


@router.delete("/staff", status_code=204, tags=["people"])
async def withdraw_staff_picture(who: Tightener) -> None:
    """Nobody enrols any more; devices that did stay until their end."""
    _require_school(who)
    async with who.services.database.write() as connection:
        await withdraw_staff_invitation(connection, who.act)


@router.get("/families", tags=["families"])
async def count_hosted(who: Host) -> HostOut:
    """How many families live on this gateway: all that its host is told."""
    async with who.services.database.read() as connection:
        return HostOut(families=await count_families(connection, who.tenant_id))


@router.get("/families/sheets", tags=["families"])
async def list_sheets(who: Host, limit: Limit = PAGE, after: After = None) -> PageOf[SheetOut]:
    """The sheets that work now, the newest first."""
    async with who.services.database.read() as connection:
        return page_of([_sheet_out(who, one) for one in await list_join_codes(connection, who.tenant_id, who.now)], after, limit)


@router.post("/families/sheets", status_code=201, tags=["families"])
async def make_sheet(who: Host, new: SheetIn, key: IdempotencyKey = None) -> SheetOut:
    """A new sheet by which families join, to be printed."""
    async with who.services.database.write() as connection:
        made = await made_before(connection, who, key, "sheet", new)
        if made is None:
            made = await make_join_code(connection, who.act, new.label, new.most)
            await note_made(connection, who, key, made, "sheet", new)
        return _sheet_out(who, await load_join_code(connection, who.tenant_id, made, who.now))


@router.get("/families/sheets/{sheet}", tags=["families"])
async def show_sheet(who: Host, sheet: str) -> SheetOut:
    """One sheet."""
    async with who.services.database.read() as connection:
        return _sheet_out(who, await load_join_code(connection, who.tenant_id, sheet, who.now))


@router.delete("/families/sheets/{sheet}", status_code=204, tags=["families"])
async def withdraw_sheet(who: Host, sheet: str) -> None:
    """Nobody joins by it any more; families that did stay."""
    async with who.services.database.write() as connection:
        await withdraw_join_code(connection, who.act, sheet)


def _require_school(who: Caller) -> None:
    if who.tenant.kind is not OrganisationKind.SCHOOL:
        raise NotFound


def _place_out(one: Waiting, link: str | None = None) -> InvitationOut:
    return InvitationOut(id=one.id, role=one.role, ends_at=one.ends_at, link=link)


def _staff_out(who: Caller, one: StaffInvitation) -> StaffOut:
    return StaffOut(id=one.id, until=one.ends_at, link=f"{public_url(who.services.settings)}/staff-join/{one.code}")


def _sheet_out(who: Caller, one: JoinCode) -> SheetOut:
    return SheetOut(
        id=one.id,
        label=one.label,
        code=one.code,
        link=f"{public_url(who.services.settings)}/family/{one.code}",
        most=one.most,
        joined=one.joined,
        created_at=one.created_at,
        ends_at=one.ends_at,
    )
