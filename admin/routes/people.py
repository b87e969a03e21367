"""The people of a family or school: who has a role, inviting another, ending one."""

from __future__ import annotations

from datetime import datetime, time
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends
from starlette.responses import Response

from admin.dependencies import Visit, need
from admin.errors import Conflict, FieldMistake, NotFound
from admin.invitations import HOLDS, invite
from admin.owncertificate import warning_ahead
from admin.pages.qr import draw_qr
from admin.people import GIVEN, end_role, list_members, list_waiting, withdraw_invitation
from admin.permissions import Permission
from admin.routes.dates import read_day
from admin.routes.home import waiting_of
from admin.setup import public_url
from blocklists.tables import Role

router = APIRouter()

Looker = Annotated[Visit, Depends(need(Permission.STATUS_READ))]
Manager = Annotated[Visit, Depends(need(Permission.PEOPLE_MANAGE))]


@router.get("/people")
async def show(visit: Looker, done: str = "") -> Response:
    """Everybody with a role here, and the links that wait."""
    return await _page(visit, done=done == "1")


@router.post("/people")
async def offer(visit: Manager) -> Response:
    """A one-time link for one more person; it stands in this answer only."""
    role = visit.form.one_of("role", (one.value for one in _given(visit)))
    zone = ZoneInfo(visit.tenant.time_zone)
    last = read_day(visit.form, "last") if visit.form.raw("last") else None
    if last is not None and last < visit.now.astimezone(zone).date():
        visit.form.mistake("last", "end_passed")
    if visit.form.mistakes:
        return await _page(visit, mistakes=tuple(visit.form.mistakes))
    until = datetime.combine(last, time(23, 59, 59), zone) if last is not None else None
    async with visit.services.database.write() as connection:
        secret = await invite(connection, visit.act, Role(role), "", until=until)
    return await _page(visit, link=f"{public_url(visit.services.settings)}/join/{secret}", role=role)


@router.post("/people/{assignment}/end")
async def end(assignment: str, visit: Manager) -> Response:
    """End a role: that person's open pages and keys show nothing of this place from now on."""
    try:
        async with visit.services.database.write() as connection:
            await end_role(connection, visit.act, assignment)
    except Conflict:
        return await _page(visit, mistakes=(FieldMistake("people", "last_person"),))
    return visit.go("/people?done=1")


@router.post("/people/invitations/{invitation}/withdraw")
async def withdraw(invitation: str, visit: Manager) -> Response:
    """The link is worth nothing any more."""
    async with visit.services.database.write() as connection:
        await withdraw_invitation(connection, visit.act, invitation)
    return visit.go("/people?done=1")


def _given(visit: Visit) -> tuple[Role, ...]:
    roles = GIVEN.get(visit.tenant.kind)
    if roles is None or not visit.may(Permission.PEOPLE_MANAGE):
        raise NotFound
    return roles


async def _page(visit: Visit, mistakes: tuple[FieldMistake, ...] = (), *, link: str = "", role: str = "", done: bool = False) -> Response:
    roles = _given(visit)
    async with visit.services.database.read() as connection:
        members = await list_members(connection, visit.tenant_id, visit.now)
        waiting_places = await list_waiting(connection, visit.tenant_id, visit.now)
    context = {
        "members": members,
        "places": waiting_places,
        "roles": roles,
        "link": link,
        "picture": draw_qr(link) if link else None,
        "certificate": await warning_ahead(visit.services.settings),
        "offered": role,
        "days": HOLDS.days,
        "done": done,
        "me": visit.signed_in.actor.account_id,
        "mistakes": mistakes,
        "waiting": await waiting_of(visit),
    }
    return visit.page("more/people.html", context, 422 if mistakes else 200)
