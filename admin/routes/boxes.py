"""Guides with drawn pictures for the box at home and for one computer, with this gateway's own address filled in; and the rules by which a
router leads every device back here. No account is needed: somebody may be reading before the first step."""

from __future__ import annotations

import asyncio
from functools import cache

from fastapi import APIRouter, Request
from starlette.responses import Response

from admin.boxes import BOXES, PROVIDERS, Place, find_place
from admin.dependencies import address_of, open_page, services_of
from admin.errors import NotFound
from admin.onboarding import reach_of
from admin.routes.onboarding import known_phone
from admin.routes.setup import gateway_addresses
from blocklists import catalogue
from blocklists.exits import FILE_NAMES, INTERFACES, Network, Resolver, export, read_resolvers

router = APIRouter()


@router.get("/guide/box")
async def show_list(request: Request) -> Response:
    """Which box gives you Wi-Fi?"""
    return open_page(request, "guide/boxes.html", {"boxes": BOXES, "place": _place(request)})


@router.get("/guide/box/{box}")
async def show_box(box: str, request: Request) -> Response:
    """The guide for one box or computer."""
    if box not in BOXES:
        raise NotFound
    return _show(request, box)


@router.get("/guide/rules/{form}")
async def give_rules(form: str, request: Request, own: bool = False) -> Response:
    """The rules for a router, as a file. `own`: the gateway has a network of its own, as in schools."""
    name = next((known for known in FILE_NAMES if known == form), None)
    if name is None:
        raise NotFound
    place = _place(request)
    if not place.is_known:  # rules that lead to an example would lead nowhere
        raise NotFound
    resolvers = await asyncio.to_thread(_resolvers)
    text = export(name, resolvers, Network(place.addresses(), INTERFACES[name], not own))
    headers = {"content-disposition": f'attachment; filename="{FILE_NAMES[name]}"'}
    return Response(text, media_type="text/plain; charset=utf-8", headers=headers)


@router.get("/phone/{token}/computer/{box}")
async def show_computer(token: str, box: str, request: Request) -> Response:
    """The guide for a computer that leaves the house: with the address for DNS over HTTPS that is its own."""
    if box not in ("windows", "chrome"):
        raise NotFound
    await known_phone(token, request)
    return _show(request, box, reach_of(services_of(request).settings.gateway).doh_url(token), token)


def _show(request: Request, box: str, doh: str | None = None, token: str = "") -> Response:
    template = "provider" if box in PROVIDERS else box
    context = {"box": box, "name": BOXES[box][0], "menus": PROVIDERS.get(box, ()), "place": _place(request), "doh": doh, "token": token}
    return open_page(request, f"guide/{template}.html", context)


@cache
def _resolvers() -> list[Resolver]:
    return read_resolvers(catalogue.load())


def _place(request: Request) -> Place:
    services = services_of(request)
    server = request.scope.get("server") or ("",)
    candidates = [*gateway_addresses(services, request), str(server[0])]
    return find_place(services.settings.gateway, candidates, address_of(request))
