"""For whoever runs the gateway for others: the sheet by which families join, and a new PIN for a person who stands there in person."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from admin.choices import read_choices
from admin.dependencies import Visit, need
from admin.errors import FieldMistake
from admin.hosting import MOST_FAMILIES, count_families, list_join_codes, load_join_code, make_join_code, withdraw_join_code
from admin.notices import Message
from admin.onboarding import reach_of
from admin.owncertificate import phones_doubt, warning_ahead
from admin.pages.qr import draw_qr
from admin.pages.words import mark as _
from admin.permissions import Permission
from admin.recovery import WAIT, start_renewal
from admin.routes.home import waiting_of
from admin.setup import public_url
from blocklists.tables import OrganisationId

router = APIRouter()

LABEL_LENGTH = 80

Host = Annotated[Visit, Depends(need(Permission.FAMILY_HOST))]
Renewer = Annotated[Visit, Depends(need(Permission.PIN_RENEW))]


@router.get("/families")
async def show(visit: Host) -> Response:
    """The sheets that work, how many families came, and what the host never sees."""
    return await _page(visit)


@router.post("/families/codes")
async def make(visit: Host) -> Response:
    """A new sheet; then the sheet itself, for printing."""
    label = visit.form.text("label", LABEL_LENGTH)
    text = visit.form.raw("most") or "200"
    most = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
    if not 1 <= most <= MOST_FAMILIES:
        visit.form.mistake("most", "families_most")
    if visit.form.mistakes:
        return await _page(visit, tuple(visit.form.mistakes))
    async with visit.services.database.write() as connection:
        code = await make_join_code(connection, visit.act, label, most)
    return visit.go(f"/families/codes/{code}")


@router.get("/families/codes/{code}")
async def show_sheet(code: str, visit: Host) -> Response:
    """The sheet to print and hang up."""
    async with visit.services.database.read() as connection:
        found = await load_join_code(connection, visit.tenant_id, code, visit.now)
    address = f"{public_url(visit.services.settings)}/family/{found.code}"
    context = {"code": found, "address": address, "picture": draw_qr(address), "waiting": await waiting_of(visit)}
    context["certificate"] = await warning_ahead(visit.services.settings)
    context["doubt"] = await phones_doubt(visit.services.settings.gateway, visit.now)
    return visit.page("hosting/sheet.html", context)


@router.post("/families/codes/{code}/withdraw")
async def withdraw(code: str, visit: Host) -> Response:
    """Nobody joins by this sheet any more."""
    async with visit.services.database.write() as connection:
        await withdraw_join_code(connection, visit.act, code)
    return visit.go("/families")


@router.post("/families/pin")
async def renew(visit: Renewer) -> Response:
    """A slip for a parent who forgot the PIN: shown once, to be handed over; the family is told at once."""
    sign_in = visit.form.text("sign_in", 64)
    if visit.form.mistakes:
        return await _page(visit, tuple(visit.form.mistakes))
    visit.services.lookups.take(f"host {visit.tenant_id}", visit.now)
    async with visit.services.database.write() as connection:
        codes = await list_join_codes(connection, visit.tenant_id, visit.now)
        name = codes[0].label if codes else visit.tenant.name  # as the family read it on the sheet
        found = await start_renewal(connection, visit.act, name, sign_in)
    if found is None:
        return await _page(visit, (FieldMistake("sign_in", "family_unknown"),))
    family, code = found
    await _tell(visit, family)
    address = f"{public_url(visit.services.settings)}/new-pin/{code}"
    context = {"sign_in": sign_in, "opens_at": visit.now + WAIT, "address": address, "picture": draw_qr(address)}
    context |= {"waiting": await waiting_of(visit), "certificate": await warning_ahead(visit.services.settings)}
    return visit.page("hosting/slip.html", context)


async def _tell(visit: Visit, family: OrganisationId) -> None:
    """By the ways that the family chose; its home page says it in any case."""
    services = visit.services
    async with services.database.read() as connection:
        choices = await read_choices(connection, family)
    words = services.pages.words[next(iter(services.pages.words))]
    text = words.gettext(_("Somebody asked for a new PIN in person. If it was not you, open {address} and stop it within a day."))
    subject = words.gettext(_("Lá Chắn: a new PIN was asked for"))
    message = Message(subject, text.format(address=public_url(services.settings)))
    services.post.announce(family, choices, message, visit.now, is_urgent=True)


async def _page(visit: Visit, mistakes: tuple[FieldMistake, ...] = ()) -> Response:
    async with visit.services.database.read() as connection:
        codes = await list_join_codes(connection, visit.tenant_id, visit.now)
        count = await count_families(connection, visit.tenant_id)
    context = {
        "codes": codes,
        "count": count,
        "reach": reach_of(visit.services.settings.gateway),
        "doubt": await phones_doubt(visit.services.settings.gateway, visit.now),
        "typed": {name: visit.form.raw(name) for name in ("label", "most", "sign_in")},
        "mistakes": mistakes,
        "waiting": await waiting_of(visit),
    }
    return visit.page("hosting/families.html", context, 422 if mistakes else 200)
