"""The home whose public address changes: made, linked by a press, taken back; and the address that a router calls, without an account."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import PlainTextResponse, Response

from admin.audit import VISITOR, Act
from admin.dependencies import Visit, address_of, need, open_page, services_of, wrong_ones_count
from admin.devices import frees_new_device
from admin.errors import Conflict, NotFound
from admin.homelink import Home, add_home, find_home, load_home, remove_home, unlink_home
from admin.pages.phrases import MISTAKES
from admin.permissions import Permission
from admin.profiles import LABEL_LENGTH, load_profile, load_strictest
from admin.routes.devices import mistakes_of, show_devices
from admin.routes.onboarding import TOKEN
from admin.values import ProfileKind
from blocklists.tables import OrganisationKind

router = APIRouter()

Writer = Annotated[Visit, Depends(need(Permission.DEVICE_ASSIGN))]


@router.post("/home-link")
async def make(visit: Writer) -> Response:
    """The family's home, under somebody's rules; and its present address, if it may be linked."""
    if visit.tenant.kind is not OrganisationKind.FAMILY:
        raise NotFound
    owner = visit.form.text("home_owner", 40)
    if visit.form.mistakes:
        return await show_devices(visit, mistakes=tuple(visit.form.mistakes))
    async with visit.services.database.read() as connection:
        profile = await load_profile(connection, visit.tenant_id, owner)
        strictest = await load_strictest(connection, visit.tenant_id)
    if profile.kind is ProfileKind.GUEST:
        raise NotFound
    if frees_new_device(strictest, profile):
        visit.require(Permission.PROFILE_LOOSEN)
    label = visit.services.pages.words[visit.language].gettext("Our home")
    try:
        async with visit.services.database.write() as connection:
            await add_home(connection, visit.act, profile.id, label[:LABEL_LENGTH])
    except Conflict as error:
        return await show_devices(visit, mistakes=mistakes_of(error))
    await visit.services.applier.settle(visit.tenant_id)
    return visit.go("/devices?stored=1#home")


@router.post("/home-link/now")
async def link_now(visit: Writer) -> Response:
    """This is our home: the address this page was asked from."""
    try:
        await visit.services.homes.link(await _home(visit), address_of(visit.request), visit.act, by_hand=True)
    except Conflict as error:
        return await show_devices(visit, mistakes=mistakes_of(error))
    return visit.go("/devices?stored=1#home")


@router.post("/home-link/stop")
async def stop(visit: Writer) -> Response:
    """Take the address back now."""
    home = await _home(visit)
    async with visit.services.database.write() as connection:
        await unlink_home(connection, visit.act, home)
    await _settle(visit)
    return visit.go("/devices?stored=1#home")


@router.post("/home-link/remove")
async def remove(visit: Writer) -> Response:
    """No home any more: the token and the update address end, too."""
    home = await _home(visit)
    async with visit.services.database.write() as connection:
        await remove_home(connection, visit.act, home)
    await _settle(visit)
    return visit.go("/devices?stored=1")


@router.get("/home/{token}")
async def update(token: str, request: Request) -> Response:
    """What a router, or a computer at home, calls again and again: wherever it calls from is the home. No account."""
    services = services_of(request)
    now = services.now()
    with wrong_ones_count(request):
        if not TOKEN.fullmatch(token):
            raise NotFound
        async with services.database.read() as connection:
            home = await find_home(connection, token)
    services.lookups.take(home.device_id, now)  # a call may write
    try:
        await services.homes.link(home, address_of(request), Act(home.tenant, VISITOR, now))
    except Conflict as error:
        return _told(request, None, error.code)
    async with services.database.read() as connection:
        after = await load_home(connection, home.tenant)
    return _told(request, after, "")


async def _home(visit: Visit) -> Home:
    async with visit.services.database.read() as connection:
        home = await load_home(connection, visit.tenant_id)
    if home is None:
        raise NotFound
    return home


async def _settle(visit: Visit) -> None:
    await visit.services.applier.settle(visit.tenant_id)
    await visit.services.applier.forget(visit.tenant_id)


def _told(request: Request, home: Home | None, reason: str) -> Response:
    """A page for people, one word for routers, as update services answer them."""
    status = 409 if reason else 200
    if "text/html" not in request.headers.get("accept", ""):
        return PlainTextResponse(f"refused {reason}\n" if reason else "good\n", status)
    until = max((one.until for one in home.addresses), default=None) if home is not None else None
    return open_page(request, "devices/linked.html", {"until": until, "reason": MISTAKES.get(reason, "")}, status)
