"""Where a family or school is: decides which bulletins of the list office it reads, and whether orders for other places leave it alone."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends
from sqlalchemy import select
from starlette.responses import Response

from admin.dependencies import Visit, need
from admin.errors import Conflict, FieldMistake, NotFound
from admin.pages.sorting import vietnamese_order
from admin.permissions import Permission
from admin.policyfile import has_policy
from admin.routes.home import waiting_of
from admin.schoolmoves import find_move, move
from blocklists.places import gazetteer
from blocklists.tables import organisations
from blocklists.takedown.deadlines import VIET_NAM
from gateway.policy.tenant import PLACE

router = APIRouter()

Reader = Annotated[Visit, Depends(need(Permission.REQUEST_ANSWER))]
Owner = Annotated[Visit, Depends(need(Permission.PROFILE_LOOSEN))]


@router.get("/place")
async def show(visit: Reader) -> Response:
    """The place as it stands."""
    return await _page(visit)


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


async def _page(visit: Visit, mistakes: tuple[FieldMistake, ...] = ()) -> Response:
    if not has_policy(visit.tenant.kind):
        raise NotFound
    async with visit.services.database.read() as connection:
        stored = (
            await connection.execute(select(organisations.c.place_code).where(organisations.c.id == visit.tenant_id))
        ).scalar_one_or_none() or ""
        held = await find_move(connection, visit.tenant_id)
    province, _, commune = stored.partition(".")
    provinces = sorted(gazetteer().provinces(_today(visit)), key=lambda place: vietnamese_order(place.name))
    context = {
        "provinces": provinces, "province": province, "commune": commune, "mistakes": mistakes, "move": held,
        "was": gazetteer().say(held.place, _today(visit)) if held else "", "shelf": visit.services.shelves.current(),
        "waiting": await waiting_of(visit),
    }  # fmt: skip
    return visit.page("more/place.html", context, 422 if mistakes else 200)


def _today(visit: Visit) -> date:
    return visit.now.astimezone(VIET_NAM).date()
