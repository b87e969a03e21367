"""Cards to print: the child's own way in to the page that explains, and how everything is undone."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from admin.dependencies import Services, Visit, need
from admin.onboarding import reach_of
from admin.owncertificate import warning_ahead
from admin.pages.qr import draw_qr
from admin.permissions import Permission
from admin.routes.home import waiting_of
from admin.routes.setup import gateway_addresses
from admin.setup import public_url
from admin.tenants import is_hosted

router = APIRouter()

Reader = Annotated[Visit, Depends(need(Permission.PROFILE_READ))]


@router.get("/cards/way-in")
async def show_way_in(visit: Reader) -> Response:
    """The short local name with its picture, for the door of a room, a class or the fridge."""
    address = way_in(visit.services)
    own = await warning_ahead(visit.services.settings) if address.startswith("https:") else ""
    async with visit.services.database.read() as connection:
        hosted = await is_hosted(connection, visit.tenant_id)
    reaches_out = reach_of(visit.services.settings.gateway).is_ready
    context: dict[str, Any] = {"hosted": hosted, "reaches_out": reaches_out, "waiting": await waiting_of(visit)}
    context |= {"address": address, "picture": draw_qr(f"{address}add"), "certificate": own}
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


def way_in(services: Services) -> str:
    """Where a child reaches the explaining pages by hand, with the slash at the end without which browsers would search for the name."""
    page = services.settings.block_page
    if page is None:
        return f"{public_url(services.settings)}/"
    return f"http://{services.settings.gateway.dns.name}" + ("" if page.port == 80 else f":{page.port}") + "/"
