"""The first run of a list office, and the page where an appointed officer makes their own account."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from admin.dependencies import check_token, form_token, language_of, open_page, services_of, session_of
from admin.edge.cookies import SETUP, drop_cookie, give_cookie, read_cookie
from admin.errors import Conflict, FieldMistake, InvalidInput, NotFound, NotSignedIn
from admin.forms import read_form
from admin.invitations import accept, accept_as, find_invitation
from admin.office import find_office
from admin.officesetup import Link, create_office, is_staffed, renew_links
from admin.owncertificate import warning_ahead
from admin.passwords import judge_new
from admin.recovery import uses_pin
from admin.sessions import choose_organisation
from admin.setup import drop_token, is_token, public_url
from admin.tenants import SIGN_IN, fold_sign_in

router = APIRouter()

JOIN = "lachan-join"
JOIN_SECONDS = 3600


@router.get("/setup-office")
async def begin(request: Request) -> Response:
    """The office's name and the document that appoints its first two officers."""
    _require_link(request)
    services = services_of(request)
    async with services.database.read() as connection:
        exists = await find_office(connection, services.now()) is not None
    return open_page(request, "office/setup.html", {"name": "", "basis": "", "exists": exists})


@router.post("/setup-office")
async def make(request: Request) -> Response:
    """Make the office; the two links stand in this answer only."""
    _require_link(request)
    services = services_of(request)
    form = await read_form(request)
    now = services.now()
    if form.has("renew"):
        async with services.database.write() as connection:
            tenant = await find_office(connection, now)
            if tenant is None:
                raise NotFound
            links = await renew_links(connection, tenant, now)
        return await _links(request, links)
    name, basis = form.text("name", 160), form.text("basis", 160)
    try:
        form.check()
        async with services.database.write() as connection:
            links = await create_office(connection, name, basis, language_of(request), now)
    except InvalidInput as error:
        context = {"name": name, "basis": basis, "exists": False, "mistakes": error.mistakes}
        return open_page(request, "office/setup.html", context, error.status)
    return await _links(request, links)


@router.get("/join/{secret}")
async def open_link(request: Request, secret: str) -> Response:
    """Take the link's secret out of the address line and keep it in this browser."""
    services = services_of(request)
    async with services.database.read() as connection:
        await find_invitation(connection, secret, services.now())
    give_cookie(request, JOIN, secret, seconds=JOIN_SECONDS)
    return RedirectResponse("/join", 303)


@router.get("/join")
async def show_place(request: Request) -> Response:
    """Who invites to what, and a password of one's own."""
    return await _join(request)


@router.post("/join")
async def join(request: Request) -> Response:
    """Make the account; the link is worth nothing from here on."""
    services = services_of(request)
    form = await read_form(request)
    secret = read_cookie(request, JOIN) or ""
    sign_in, name, password = form.raw("sign_in"), form.text("name", 80), form.raw("password")
    mistakes = list(form.mistakes)
    mistakes += [] if SIGN_IN.fullmatch(fold_sign_in(sign_in)) else [FieldMistake("sign_in", "sign_in_form")]
    mistakes += judge_new(password, fold_sign_in(sign_in))
    if password != form.raw("again"):
        mistakes.append(FieldMistake("again", "password_differs"))
    if mistakes:
        return await _join(request, sign_in, name, tuple(mistakes))
    now = services.now()
    async with services.database.read() as connection:
        await find_invitation(connection, secret, now)  # before the work of hashing: strangers cannot keep the lanes of sign-ins busy
    hashed = await services.door.passwords.hash(password)
    try:
        async with services.database.write() as connection:
            await accept(connection, secret, sign_in, name, hashed, language_of(request), now)
    except Conflict:
        return await _join(request, sign_in, name, (FieldMistake("sign_in", "sign_in_taken"),))
    async with services.database.read() as connection:
        if await is_staffed(connection, now):
            drop_token(services.settings.state_dir)
    drop_cookie(request, JOIN)
    return RedirectResponse("/sign-in?made=1", 303)


@router.post("/join/mine")
async def join_as_myself(request: Request) -> Response:
    """Take the place with the account that is signed in here, and show its pages. An account whose last role ended may, too:
    one person, one account."""
    services = services_of(request)
    live = await session_of(request, services)
    if live is None:
        raise NotSignedIn
    check_token(await read_form(request), live)
    assert live.session_id is not None
    async with services.database.write() as connection:
        tenant = await accept_as(connection, read_cookie(request, JOIN) or "", live.actor.account_id, services.now())
        await choose_organisation(connection, live.session_id, tenant)
    drop_cookie(request, JOIN)
    return RedirectResponse("/", 303)


async def _join(request: Request, sign_in: str = "", name: str = "", mistakes: tuple[FieldMistake, ...] = ()) -> Response:
    services = services_of(request)
    async with services.database.read() as connection:
        place = await find_invitation(connection, read_cookie(request, JOIN) or "", services.now())
    live = await session_of(request, services)
    if live is not None:
        async with services.database.read() as connection:
            live = None if await uses_pin(connection, live.actor.account_id) else live  # such an account takes no other place
    context: dict[str, object] = {"place": place, "sign_in": sign_in, "name": name, "mistakes": mistakes}
    context |= {"own": live.actor.name if live else "", "form_token": form_token(live) if live else ""}
    return open_page(request, "office/join.html", context, 422 if mistakes else 200)


async def _links(request: Request, links: list[Link]) -> Response:
    base = public_url(services_of(request).settings)
    context: dict[str, object] = {"links": [(link.role, f"{base}/join/{link.secret}") for link in links]}
    context["certificate"] = await warning_ahead(services_of(request).settings)
    return open_page(request, "office/links.html", context)


def _require_link(request: Request) -> None:
    """Only the holder of the one-time set-up link gets in. Raises NotFound."""
    if not is_token(services_of(request).settings.state_dir, read_cookie(request, SETUP)):
        raise NotFound
