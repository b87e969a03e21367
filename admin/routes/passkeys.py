"""Passkeys on the pages: adding and taking away on the account page, signing in, and showing one as the second step of an officer.

Options for the browser stand in the page itself (`static/passkeys.js` reads them); its answer comes back in a field of an ordinary form.
"""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from sqlalchemy import select
from starlette.responses import Response

from admin.audit import Action, record
from admin.auth import WrongCode
from admin.dependencies import Visit, address_of, ceremony_of, language_of, need, services_of
from admin.edge.cookies import BROWSER, SESSION, give_cookie, read_cookie
from admin.edge.faults import wait_text
from admin.errors import FieldMistake, NotFound, TooManyTries
from admin.forms import PASSKEY_FIELD, read_form
from admin.held import held_in
from admin.pages.words import mark as _
from admin.passkeys import LONGEST_LABEL, Purpose, WrongPasskey, list_passkeys, remove_passkey
from admin.people import sign_out_elsewhere
from admin.permissions import Permission, is_officer
from admin.routes.account import show_codes, show_factor_page
from admin.routes.home import waiting_of
from admin.routes.sign import let_in, own_path, show_page
from blocklists.tables import accounts

router = APIRouter()

Looker = Annotated[Visit, Depends(need(Permission.STATUS_READ))]
Owner = Annotated[Visit, Depends(need(Permission.ACCOUNT_CHANGE))]


@router.post("/sign-in/passkey")
async def sign_in(request: Request) -> Response:
    """A session for whoever the passkey belongs to: no name, no password."""
    services = services_of(request)
    form = await read_form(request)
    target, ceremony = own_path(form.raw("next")), ceremony_of(request, Purpose.SIGN_IN)
    try:
        if ceremony is None:
            raise WrongPasskey
        opened = await services.door.sign_in_by_passkey(
            form.raw(PASSKEY_FIELD),
            ceremony,
            address=address_of(request),
            browser_secret=read_cookie(request, BROWSER),
            user_agent=request.headers.get("user-agent", ""),
            kept=form.has("kept"),
        )
    except WrongPasskey as error:
        fault = services.pages.words[language_of(request)].gettext(
            _("This passkey was not taken. Please try once more, or use your password.")
        )
        return await show_page(request, target, fault=fault, status=error.status)
    except TooManyTries as error:
        fault = services.pages.words[language_of(request)].gettext(_("Too many tries. Please wait {time}."))
        return await show_page(request, target, fault=fault.format(time=wait_text(request, error)), status=error.status)
    return let_in(request, opened, target)


@router.post("/account/passkeys/begin")
async def begin(visit: Owner) -> Response:
    """The page on which the browser makes a passkey. Nothing changes until it has."""
    return await _adding(visit, visit.form.raw("label")[:LONGEST_LABEL])


@router.post("/account/passkeys")
async def add(visit: Owner) -> Response:
    """Keep the new passkey; an officer without any other second step gets codes on paper with it."""
    account, ceremony = visit.signed_in.actor.account_id, ceremony_of(visit.request, Purpose.ADD, visit.signed_in)
    door = visit.services.door
    label = visit.form.text("label", LONGEST_LABEL)
    if ceremony is None:
        raise NotFound
    if visit.form.mistakes:
        return await _adding(visit, label, mistakes=tuple(visit.form.mistakes))
    codes: list[str] = []
    try:
        async with visit.services.database.write() as connection:
            made = await door.passkeys.add(connection, account, label, visit.form.raw("passkey"), ceremony)
            await record(connection, visit.act, Action.PASSKEY_ADDED, made)
            if is_officer(visit.signed_in.actor) and not await door.factors.left(connection, account):
                codes = await door.factors.renew_recovery(connection, account, visit.now)
    except WrongPasskey as error:
        return await _adding(visit, label, is_wrong=True, status=error.status)
    if codes:
        return await show_codes(visit, codes)
    return visit.go("/account?done=passkey")


@router.post("/account/passkeys/{passkey}/remove")
async def remove(passkey: str, visit: Owner) -> Response:
    """Take one away. The device it was in may be in other hands, so every other session ends, too."""
    account = visit.signed_in.actor.account_id
    assert visit.signed_in.session_id is not None
    async with visit.services.database.write() as connection:
        if not await remove_passkey(connection, account, passkey):
            raise NotFound
        await sign_out_elsewhere(connection, visit.act, account, visit.signed_in.session_id)
        await record(connection, visit.act, Action.PASSKEY_REMOVED, passkey)
    return visit.go("/account?done=passkey-removed")


@router.post("/account/second")
async def show_second(visit: Looker) -> Response:
    """The second step of an officer whose session has seen the password only: a code from paper. (A passkey goes through `need`.)"""
    if visit.form.raw(PASSKEY_FIELD):
        return visit.go("/")
    held = held_in(visit.form)
    try:
        secret = await visit.services.door.show_code(visit.signed_in, visit.form.raw("code"), visit.now, time.monotonic())
    except WrongCode:
        return await show_factor_page(visit, None, True, (FieldMistake("code", "wrong_code"),), held)
    give_cookie(visit.request, SESSION, secret)
    return visit.go("/") if held is None else await show_codes(visit, (), held)


async def _adding(
    visit: Visit, label: str, mistakes: tuple[FieldMistake, ...] = (), *, is_wrong: bool = False, status: int = 200
) -> Response:
    account, ceremony = visit.signed_in.actor.account_id, ceremony_of(visit.request, Purpose.ADD, visit.signed_in)
    if ceremony is None:
        raise NotFound
    async with visit.services.database.read() as connection:
        own = await list_passkeys(connection, account)
        sign_in = (await connection.execute(select(accounts.c.sign_in).where(accounts.c.id == account))).scalar_one()
    options = visit.services.door.passkeys.options_to_add(ceremony, account, sign_in, own)
    context = {"options": options, "label": label, "is_wrong": is_wrong, "mistakes": mistakes, "waiting": await waiting_of(visit)}
    return visit.page("account/passkey.html", context, 422 if mistakes else status)
