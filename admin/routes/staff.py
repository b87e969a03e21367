"""The picture in the staff room, and the page it opens on a teacher's own phone or laptop."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from admin.dates import list_dates, with_dates
from admin.dependencies import Visit, address_of, language_of, need, open_page, services_of, wrong_ones_count
from admin.devices import has_private_mac, matches_of
from admin.errors import Conflict, FieldMistake, NotFound
from admin.forms import read_form
from admin.link import GatewayAway, SeenDevice
from admin.owncertificate import warning_ahead
from admin.pages.qr import draw_qr
from admin.pages.words import mark as _
from admin.permissions import Permission
from admin.profiles import list_profiles
from admin.recovery import read_paper_code
from admin.routes.dates import read_day
from admin.routes.home import waiting_of
from admin.setup import public_url
from admin.sharing import adults_of
from admin.staff import (
    LONGEST,
    StaffInvitation,
    count_enrolled,
    current_invitation,
    enrol,
    find_staff_invitation,
    invite_staff,
    term_end,
    withdraw_staff_invitation,
)
from blocklists.tables import OrganisationKind

router = APIRouter()

Reader = Annotated[Visit, Depends(need(Permission.DEVICE_READ))]
Loosener = Annotated[Visit, Depends(need(Permission.PROFILE_LOOSEN))]
Tightener = Annotated[Visit, Depends(need(Permission.PROFILE_TIGHTEN))]


@router.get("/staff")
async def show(visit: Reader) -> Response:
    """The picture that works now, or the button that makes one."""
    return await _page(visit)


@router.post("/staff")
async def make(visit: Loosener) -> Response:
    """A new picture until a day; an older one is withdrawn."""
    _require_school(visit)
    today = visit.now.astimezone(ZoneInfo(visit.tenant.time_zone)).date()
    last = read_day(visit.form, "last")
    if last is not None and not today <= last <= today + LONGEST:
        visit.form.mistake("last", "staff_day")
    if visit.form.mistakes or last is None:
        return await _page(visit, tuple(visit.form.mistakes))
    async with visit.services.database.write() as connection:
        adults = adults_of(await list_profiles(connection, visit.tenant_id))
        if adults is None:
            raise NotFound
        await invite_staff(connection, visit.act, adults.id, last, visit.tenant.time_zone)
    return visit.go("/staff")


@router.post("/staff/withdraw")
async def withdraw(visit: Tightener) -> Response:
    """Nobody enrols any more."""
    async with visit.services.database.write() as connection:
        await withdraw_staff_invitation(connection, visit.act)
    return visit.go("/staff")


@router.get("/staff-join/{code}")
async def show_join(code: str, request: Request) -> Response:
    """Which device this is, and until when it will have the rules of staff."""
    invitation, seen = await _arrive(code, request)
    return _join_page(request, invitation, seen)


@router.post("/staff-join/{code}")
async def join(code: str, request: Request) -> Response:
    """Enrol the device in hand: the one that asks the gateway from this address."""
    services = services_of(request)
    invitation, seen = await _arrive(code, request)
    form = await read_form(request)
    label = form.text("label", 40)
    if form.mistakes or seen is None:
        return _join_page(request, invitation, seen, tuple(form.mistakes), status=422)
    try:
        async with services.database.write() as connection:
            await enrol(connection, invitation, label, matches_of(seen), services.now())
    except Conflict:
        return _join_page(request, invitation, seen, (FieldMistake("label", "device_taken"),), status=422)
    await services.applier.settle(invitation.tenant)
    return _join_page(request, invitation, seen, done=True)


async def _arrive(code: str, request: Request) -> tuple[StaffInvitation, SeenDevice | None]:
    """The invitation, and the device as the gateway knows it; None away from the school's network."""
    services = services_of(request)
    with wrong_ones_count(request):
        async with services.database.read() as connection:
            invitation = await find_staff_invitation(connection, read_paper_code(code), services.now())
    try:
        seen = await services.link.find_device(address_of(request))
    except GatewayAway:
        seen = None
    return invitation, seen if seen is not None and seen.tenant == invitation.tenant else None


def _join_page(
    request: Request,
    invitation: StaffInvitation,
    seen: SeenDevice | None,
    mistakes: tuple[FieldMistake, ...] = (),
    *,
    done: bool = False,
    status: int = 200,
) -> Response:
    words = services_of(request).pages.words[language_of(request)]
    context = {
        "code": invitation.code,
        "school": invitation.school,
        "last_moment": invitation.last_moment,
        "seen": seen,
        "private": seen is not None and has_private_mac(seen.mac),
        "suggested": words.gettext(_("A teacher's phone")),
        "done": done,
        "mistakes": mistakes,
    }
    return open_page(request, "staff/join.html", context, status)


def _require_school(visit: Visit) -> None:
    if visit.tenant.kind is not OrganisationKind.SCHOOL:
        raise NotFound


async def _page(visit: Visit, mistakes: tuple[FieldMistake, ...] = ()) -> Response:
    _require_school(visit)
    async with visit.services.database.read() as connection:
        invitation = await current_invitation(connection, visit.tenant_id, visit.now)
        enrolled = await count_enrolled(connection, visit.tenant_id, visit.now)
        shelf = with_dates(visit.services.shelves.current(), await list_dates(connection, visit.tenant_id))
    today: date = visit.now.astimezone(ZoneInfo(visit.tenant.time_zone)).date()
    address = f"{public_url(visit.services.settings)}/staff-join/{invitation.code}" if invitation else ""
    context = {
        "invitation": invitation,
        "address": address,
        "picture": draw_qr(address) if address else None,
        "certificate": await warning_ahead(visit.services.settings),
        "enrolled": enrolled,
        "last": visit.form.raw("last") or f"{term_end(shelf.terms, today):%d/%m/%Y}",
        "may_change": visit.may(Permission.PROFILE_LOOSEN),
        "mistakes": mistakes,
        "waiting": await waiting_of(visit),
    }
    return visit.page("staff/staff.html", context, 422 if mistakes else 200)
