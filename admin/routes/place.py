"""What a family or school is called, and where it is. The place decides which bulletins of the list office it reads, and whether
orders for other places leave it alone."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from admin.dependencies import Visit, need
from admin.errors import Conflict, FieldMistake, NotFound
from admin.pages.sorting import vietnamese_order
from admin.permissions import Permission
from admin.policyfile import has_policy
from admin.routes.home import waiting_of
from admin.schoolmoves import find_move, move
from admin.tenants import NAME_LENGTH, read_place, rename_tenant
from blocklists.places import gazetteer
from blocklists.takedown.deadlines import VIET_NAM
from gateway.policy.tenant import PLACE

router = APIRouter()

Reader = Annotated[Visit, Depends(need(Permission.REQUEST_ANSWER))]
Namer = Annotated[Visit, Depends(need(Permission.PROFILE_TIGHTEN))]
Owner = Annotated[Visit, Depends(need(Permission.PROFILE_LOOSEN))]


@router.get("/place")
async def show(visit: Reader, stored: bool = False) -> Response:
    """The name and the place as they stand."""
    return await _page(visit, stored=stored)


@router.post("/place")
async def change(visit: Owner) -> Response:
    """Say where this is. It may end an order that is for another place, so it asks for the password like everything that loosens."""
    form = visit.form
    known = [place.code for place in gazetteer().provinces(_today(visit))]
    province = form.one_of("province", known) if form.raw("province") else ""
    commune = form.text("commune", 5, required=False)
    code = f"{province}.{commune}" if province and commune else province
    if code and not PLACE.fullmatch(code):
        form.mistake("commune", "place_unknown")
    if form.mistakes:
        return await _page(visit, tuple(form.mistakes))
    try:
        async with visit.services.database.write() as connection:
            await move(connection, visit.act, visit.tenant.kind, code)
    except Conflict as error:
        return await _page(visit, (FieldMistake(error.field, error.code),))
    await visit.services.applier.settle(visit.tenant_id)
    return visit.go("/place")


@router.post("/place/name")
async def rename(visit: Namer) -> Response:
    """Another name for this family or school."""
    if not has_policy(visit.tenant.kind):
        raise NotFound
    name = visit.form.text("name", NAME_LENGTH)
    if visit.form.mistakes:
        return await _page(visit, tuple(visit.form.mistakes))
    async with visit.services.database.write() as connection:
        await rename_tenant(connection, visit.act, name)
    return visit.go("/place?stored=1")


async def _page(visit: Visit, mistakes: tuple[FieldMistake, ...] = (), stored: bool = False) -> Response:
    if not has_policy(visit.tenant.kind):
        raise NotFound
    async with visit.services.database.read() as connection:
        code = await read_place(connection, visit.tenant_id) or ""
        held = await find_move(connection, visit.tenant_id)
    province, _, commune = code.partition(".")
    provinces = sorted(gazetteer().provinces(_today(visit)), key=lambda place: vietnamese_order(place.name))
    context = {
        "provinces": provinces, "province": province, "commune": commune, "mistakes": mistakes, "move": held,
        "was": gazetteer().say(held.place, _today(visit)) if held else "", "shelf": visit.services.shelves.current(),
        "name": visit.form.raw("name")[:200] or visit.tenant.name, "stored": stored,
        "waiting": await waiting_of(visit),
    }  # fmt: skip
    return visit.page("more/place.html", context, 422 if mistakes else 200)


def _today(visit: Visit) -> date:
    return visit.now.astimezone(VIET_NAM).date()
