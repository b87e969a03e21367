"""Cards to print: the child's own way in to the page that explains, and how everything is undone."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from admin.dependencies import Visit, need
from admin.onboarding import reach_of
from admin.owncertificate import warning_ahead
from admin.pages.qr import draw_qr
from admin.permissions import Permission
from admin.routes.home import waiting_of
from admin.routes.setup import gateway_addresses
from admin.setup import children_at, public_url
from admin.tenants import is_hosted

router = APIRouter()

Reader = Annotated[Visit, Depends(need(Permission.PROFILE_READ))]


@router.get("/cards/way-in")
async def show_way_in(visit: Reader) -> Response:
    """The short local name with its picture, for the door of a room, a class or the fridge."""
    door = await children_door(visit)
    own = await warning_ahead(visit.services.settings) if door.startswith("https:") else ""
    async with visit.services.database.read() as connection:
        hosted = await is_hosted(connection, visit.tenant_id)
    reaches_out = reach_of(visit.services.settings.gateway).is_ready
    context: dict[str, Any] = {"hosted": hosted, "reaches_out": reaches_out, "waiting": await waiting_of(visit)}
    context |= {"address": way_in(visit, door), "picture": draw_qr(f"{door}/add") if door else None, "certificate": own}
    context["line"] = "" if door else page_line(visit)
    return visit.page("cards/wayin.html", context)


@router.get("/cards/go-back")
async def show_go_back(visit: Reader) -> Response:
    """One page: how the network, phones and the machine are put back as they were."""
    async with visit.services.database.read() as connection:
        hosted = await is_hosted(connection, visit.tenant_id)
    context = {
        "hosted": hosted,
        "gateway_addresses": gateway_addresses(visit.services, visit.request),
        "state_dir": str(visit.services.settings.state_dir.absolute()),
        "waiting": await waiting_of(visit),
    }
    return visit.page("cards/goback.html", context)


async def children_door(visit: Visit) -> str:
    """Where the children of this family or school reach the pages for children (`admin.setup.children_at`); empty where nobody can."""
    async with visit.services.database.read() as connection:
        hosted = await is_hosted(connection, visit.tenant_id)
    return children_at(visit.services.settings, is_hosted=hosted)


def way_in(visit: Visit, door: str) -> str:
    """What a child types: the short name with a slash at its end, without which browsers would search for it; the page itself where the
    pages for adults stand at the same address. Empty where there is no door."""
    if not door:
        return ""
    return f"{door}/why" if door == public_url(visit.services.settings) else f"{door}/"


def page_line(visit: Visit) -> str:
    """The line of the settings file that serves the page for children."""
    return f'block_page: {{listen: "{next(iter(gateway_addresses(visit.services, visit.request)), "192.168.1.2")}:80"}}'
