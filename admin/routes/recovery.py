"""The recovery sheet: made by whoever is signed in, and used by whoever forgot the password or the PIN, without being signed in.

The sheet is found by its code alone, so nobody names an account here and nobody's account can be kept busy: a wrong code slows down the
address it came from, the right one passes whatever was tried before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from admin.choices import read_choices
from admin.dependencies import Visit, address_of, need, open_page, services_of
from admin.errors import FieldMistake, NotFound
from admin.forms import read_form
from admin.notices import Message
from admin.onboarding import list_tokens
from admin.owncertificate import warning_ahead
from admin.pages.qr import draw_qr
from admin.pages.words import mark as _
from admin.passwords import judge_new
from admin.permissions import Permission
from admin.recovery import (
    Paper,
    judge_account_pin,
    make_sheet,
    read_paper,
    read_paper_code,
    renew_password,
    renew_pin,
    sheet_made_at,
    stop_renewal,
    uses_pin,
)
from admin.routes.home import waiting_of
from admin.routes.sign import admit
from admin.setup import public_url
from admin.tenants import fold_sign_in
from blocklists.tables import OrganisationId

router = APIRouter()

Tightener = Annotated[Visit, Depends(need(Permission.PROFILE_TIGHTEN))]
Looker = Annotated[Visit, Depends(need(Permission.STATUS_READ))]
Owner = Annotated[Visit, Depends(need(Permission.SHEET_MAKE))]


@router.get("/recovery")
async def show_recovery(visit: Looker) -> Response:
    """What the recovery sheet is for, and the button that makes one."""
    if not visit.may(Permission.SHEET_MAKE):
        raise NotFound
    account = visit.signed_in.actor.account_id
    async with visit.services.database.read() as connection:
        made_at, has_pin = await sheet_made_at(connection, account), await uses_pin(connection, account)
    context = {"made_at": made_at, "code": "", "has_pin": has_pin, "waiting": await waiting_of(visit)}
    return visit.page("recovery/sheet.html", context)


@router.post("/recovery")
async def make_recovery(visit: Owner) -> Response:
    """The sheet, shown once."""
    account = visit.signed_in.actor.account_id
    async with visit.services.database.write() as connection:
        code, has_pin = await make_sheet(connection, visit.act, account), await uses_pin(connection, account)
        phones = await list_tokens(connection, visit.tenant_id) if has_pin else []
    address = f"{public_url(visit.services.settings)}/{'new-pin' if has_pin else 'new-password'}/{code}"
    context = {"code": code, "address": address, "picture": draw_qr(address), "phone": phones[0] if phones else ""}
    context |= {"made_at": visit.now, "sign_in": visit.signed_in.actor.name, "waiting": await waiting_of(visit)}
    context |= {"has_pin": has_pin, "has_factor": visit.signed_in.actor.has_factor}
    context["certificate"] = await warning_ahead(visit.services.settings)
    page = visit.page("recovery/sheet.html", context)
    page.headers["Cache-Control"] = "no-store"
    return page


@router.get("/new-pin")
@router.get("/new-pin/{code}")
async def show_new_pin(request: Request, code: str = "") -> Response:
    """A field for the code of a recovery sheet or slip; the picture on the paper brings it along."""
    return open_page(request, "recovery/newpin.html", {"code": read_paper_code(code), "opens_at": None})


@router.post("/new-pin")
async def set_new_pin(request: Request) -> Response:
    """A new PIN for whoever holds the paper; a slip of the host waits for its day."""
    services = services_of(request)
    form = await read_form(request)
    code, pin = read_paper_code(form.raw("code")), form.raw("pin")
    context = {"code": form.raw("code")[:40], "opens_at": None}
    paper = await _find(request, code)
    if paper is None:
        return open_page(request, "recovery/newpin.html", {**context, "mistakes": (FieldMistake("code", "recovery_code"),)}, 422)
    if not paper.has_pin:
        return RedirectResponse(f"/new-password/{code}", 303)
    if paper.opens_at is not None and paper.opens_at > services.now():
        return open_page(request, "recovery/newpin.html", {**context, "opens_at": paper.opens_at})
    mistakes = judge_account_pin(pin, form.raw("again"))
    if mistakes:
        return open_page(request, "recovery/newpin.html", {**context, "mistakes": tuple(mistakes)}, 422)
    stored = await services.door.passwords.hash(pin)
    now = services.now()
    async with services.database.write() as connection:
        again = await read_paper(connection, code, now)  # used a moment ago, or stopped meanwhile
        if again is None or not again.has_pin:
            raise NotFound
        await renew_pin(connection, again, code, stored, now)
    return await _let_in(request, again)


@router.get("/new-password")
@router.get("/new-password/{code}")
async def show_new_password(request: Request, code: str = "") -> Response:
    """The code of a recovery sheet first: it says whether a password or a PIN is to be chosen. The picture on the paper brings it along."""
    return open_page(request, "recovery/newpassword.html", {"code": read_paper_code(code), "asks_code": not code})


@router.post("/new-password")
async def set_new_password(request: Request) -> Response:
    """A new password for whoever holds the sheet. The second step, where there is one, is asked for as before."""
    services = services_of(request)
    form = await read_form(request)
    code, password = read_paper_code(form.raw("code")), form.raw("password")
    asks_code = not form.has("password")
    context = {"code": form.raw("code")[:40], "asks_code": asks_code}
    paper = await _find(request, code)
    if paper is None:
        return open_page(request, "recovery/newpassword.html", {**context, "mistakes": (FieldMistake("code", "recovery_code"),)}, 422)
    if paper.has_pin:
        return RedirectResponse(f"/new-pin/{code}", 303)
    if asks_code:
        return RedirectResponse(f"/new-password/{code}", 303)
    mistakes = judge_new(password, fold_sign_in(paper.sign_in))
    if not mistakes and form.raw("again") != password:
        mistakes = [FieldMistake("again", "password_differs")]
    if mistakes:
        return open_page(request, "recovery/newpassword.html", {**context, "mistakes": tuple(mistakes)}, 422)
    stored = await services.door.passwords.hash(password)
    now = services.now()
    async with services.database.write() as connection:
        again = await read_paper(connection, code, now)  # used a moment ago by somebody else, or replaced
        if again is None or again.has_pin:
            raise NotFound
        told = await renew_password(connection, again, stored, now)
    await _tell(request, told)
    return await _let_in(request, again)


@router.post("/renewal/stop")
async def stop(visit: Tightener) -> Response:
    """The family did not ask for a new PIN: the slip is worth nothing."""
    async with visit.services.database.write() as connection:
        await stop_renewal(connection, visit.act)
    return visit.go("/")


async def _find(request: Request, code: str) -> Paper | None:
    """The paper with this code. A wrong one counts against the address it came from, and raises TooManyTries after some."""
    services = services_of(request)
    now = services.now()
    async with services.database.read() as connection:
        paper = await read_paper(connection, code, now)
    if paper is None:
        services.lookups.take(address_of(request), now)
    return paper


async def _let_in(request: Request, paper: Paper) -> Response:
    """Sign the holder of the paper in, who then makes the next sheet; an account with a second factor shows it at the sign-in page."""
    services = services_of(request)
    async with services.database.read() as connection:
        has_factor = await services.door.factors.has(connection, paper.account)
    if has_factor:
        return RedirectResponse("/sign-in?renewed=true", 303)
    await admit(request, paper.account)
    return RedirectResponse("/recovery", 303)


async def _tell(request: Request, tenants: Sequence[OrganisationId]) -> None:
    """Say it to whoever else acts there, beside the note on their home page: without a name, which a message does not need."""
    services = services_of(request)
    words = services.pages.words[next(iter(services.pages.words))]
    text = words.gettext(
        _("Your home page says whose password it is. Was it none of you? Change the passwords, and look at the settings: {address}")
    )
    message = Message(
        words.gettext(_("Lá Chắn: a password was made anew with a recovery sheet")), text.format(address=public_url(services.settings))
    )
    for tenant in tenants:
        async with services.database.read() as connection:
            choices = await read_choices(connection, tenant)
        services.post.announce(tenant, choices, message, services.now(), is_urgent=True)
