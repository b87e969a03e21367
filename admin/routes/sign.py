"""Signing in and out, and the choice of language and organisation."""

from __future__ import annotations

import re
import time
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from admin.audit import Action, record
from admin.auth import CodeNeeded, Opened, TicketOver, WrongCode, WrongPassword
from admin.dependencies import Visit, address_of, ceremony_of, language_of, need, open_page, services_of, session_of
from admin.edge.cookies import BROWSER, BROWSER_SECONDS, LANGUAGE, SESSION, drop_cookie, give_cookie, read_cookie
from admin.edge.faults import wait_text
from admin.errors import NotFound, TooManyTries
from admin.forms import read_form
from admin.hosting import has_families
from admin.pages.words import mark as _
from admin.passkeys import Purpose
from admin.permissions import Permission
from admin.sessions import KEPT, choose_organisation, end_session
from admin.tenants import is_empty
from blocklists.tables import AccountId, OrganisationId

router = APIRouter()

#: A path of our own: one slash, no host, nothing that a browser could read as another site.
_OWN_PATH = re.compile(r"/(?![/\\])[\w./~%-]*")


@router.get("/sign-in")
async def show_sign_in(request: Request, next: str = "/", made: bool = False, renewed: bool = False) -> Response:
    """The sign-in page; somebody who is signed in goes on to where they wanted to, who just made an account is told that it is there, and
    who just made a new password that it holds."""
    services = services_of(request)
    if await session_of(request, services) is not None:
        return RedirectResponse(own_path(next), 303)
    async with services.database.read() as connection:
        if await is_empty(connection):
            return RedirectResponse("/setup", 303)
    return await show_page(request, own_path(next), made=made, renewed=renewed)


@router.post("/sign-in")
async def sign_in(request: Request) -> Response:
    """Check the name and the password; wait or say no in the same words for every account."""
    services = services_of(request)
    form = await read_form(request)
    target, kept = own_path(form.raw("next")), form.has("kept")
    words = services.pages.words[language_of(request)]
    try:
        opened = await services.door.sign_in(
            form.raw("sign_in"),
            form.raw("password"),
            address=address_of(request),
            browser_secret=read_cookie(request, BROWSER),
            user_agent=request.headers.get("user-agent", ""),
            kept=kept,
            now=services.now(),
            monotonic=time.monotonic(),
        )
    except CodeNeeded as error:
        return _ask_code(request, error.ticket, target)
    except WrongPassword as error:
        fault = words.gettext(_("The sign-in name and the password do not belong together."))
        return await show_page(request, target, form.raw("sign_in"), kept, fault, error.status)
    except TooManyTries as error:
        fault = words.gettext(_("Too many tries. Please wait {time}.")).format(time=wait_text(request, error))
        return await show_page(request, target, form.raw("sign_in"), kept, fault, error.status)
    return let_in(request, opened, target)


@router.post("/sign-in/code")
async def sign_in_with_code(request: Request) -> Response:
    """The second factor of a sign-in whose password was right."""
    services = services_of(request)
    form = await read_form(request)
    target, ticket = own_path(form.raw("next")), form.raw("ticket")
    words = services.pages.words[language_of(request)]
    try:
        opened = await services.door.finish(ticket, form.raw("code"), services.now(), time.monotonic())
    except WrongCode as error:
        fault = words.gettext(_("This code does not fit, or it was used before. Wait for the next one."))
        return _ask_code(request, ticket, target, fault, error.status)
    except TooManyTries as error:
        fault = words.gettext(_("Too many tries. Please wait {time}.")).format(time=wait_text(request, error))
        return _ask_code(request, ticket, target, fault, error.status)
    except TicketOver as error:
        return await show_page(request, target, fault=words.gettext(_("That took too long. Please begin again.")), status=error.status)
    return let_in(request, opened, target)


@router.post("/sign-out")
async def sign_out(request: Request, visit: Annotated[Visit, Depends(need(Permission.STATUS_READ))]) -> Response:
    """End this session now."""
    assert visit.signed_in.session_id is not None
    async with visit.services.database.write() as connection:
        await end_session(connection, visit.signed_in.session_id)
        await record(connection, visit.act, Action.SESSION_ENDED, visit.signed_in.actor.account_id)
    drop_cookie(request, SESSION)
    return RedirectResponse("/sign-in", 303)


@router.post("/organisation")
async def choose(visit: Annotated[Visit, Depends(need(Permission.STATUS_READ))]) -> Response:
    """Show another organisation on which this account has a role."""
    wanted = OrganisationId(visit.form.raw("organisation"))
    if all(tenant.id != wanted for tenant in visit.signed_in.tenants):
        raise NotFound
    assert visit.signed_in.session_id is not None
    async with visit.services.database.write() as connection:
        await choose_organisation(connection, visit.signed_in.session_id, wanted)
    return visit.go("/")


@router.post("/language")
async def choose_language(request: Request) -> Response:
    """Keep the language in this browser."""
    form = await read_form(request)
    if form.raw("language") in services_of(request).pages.words:
        give_cookie(request, LANGUAGE, form.raw("language"), seconds=BROWSER_SECONDS)
    return RedirectResponse(own_path(form.raw("back")), 303)


def let_in(request: Request, opened: Opened, target: str) -> Response:
    """Give the cookies of a new session, and go on."""
    give_cookie(request, SESSION, opened.session_secret, seconds=int(KEPT.total_seconds()) if opened.kept else None)
    if opened.browser_secret:
        give_cookie(request, BROWSER, opened.browser_secret, seconds=BROWSER_SECONDS)
    return RedirectResponse(target, 303)


async def admit(request: Request, account: AccountId) -> None:
    """Sign somebody in who has shown otherwise who they are, for thirty days, to look and to tighten; the browser becomes a known one, whom
    strangers' guesses never slow down."""
    services = services_of(request)
    opened = await services.door.open(account, user_agent=request.headers.get("user-agent", ""), now=services.now())
    give_cookie(request, SESSION, opened.session_secret, seconds=int(KEPT.total_seconds()))
    if opened.browser_secret:
        give_cookie(request, BROWSER, opened.browser_secret, seconds=BROWSER_SECONDS)


def _ask_code(request: Request, ticket: str, target: str, fault: str = "", status: int = 200) -> Response:
    return open_page(request, "sign/code.html", {"ticket": ticket, "next": target, "fault": fault, "options": _options(request)}, status)


def own_path(text: str) -> str:
    """A path on this site, or the home page: no address of another site is ever followed."""
    return text if _OWN_PATH.fullmatch(text) else "/"


async def show_page(
    request: Request,
    target: str,
    name: str = "",
    kept: bool = False,
    fault: str = "",
    status: int = 200,
    made: bool = False,
    renewed: bool = False,
) -> Response:
    """The sign-in page; `fault` is what went wrong before, in the reader's language; `made`: the account was made a moment ago, `renewed`:
    its password or PIN was."""
    context = {"next": target, "sign_in": name, "kept": kept, "fault": fault, "options": _options(request), "made": made}
    context["renewed"] = renewed
    async with services_of(request).database.read() as connection:
        context["has_families"] = await has_families(connection)
    return open_page(request, "sign/in.html", context, status)


def _options(request: Request) -> str:
    """What the browser needs to offer its passkeys of this page; empty where there are none to be had."""
    ceremony = ceremony_of(request, Purpose.SIGN_IN)
    return services_of(request).door.passkeys.options_to_use(ceremony, []) if ceremony else ""
