"""My account: a new password, the second factor with its recovery codes, signing out elsewhere. Everybody who signs in has these pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from urllib.parse import urlsplit

import segno
from fastapi import APIRouter, Depends
from sqlalchemy import delete, select, update
from starlette.responses import Response

from admin.audit import Action, record
from admin.dependencies import Visit, need, passkey_options
from admin.errors import Conflict, FieldMistake, NotFound
from admin.factors import app_address
from admin.held import Held, held_in
from admin.passkeys import list_passkeys, place_of
from admin.passwords import judge_new
from admin.people import sign_out_elsewhere
from admin.permissions import Permission
from admin.recovery import change_pin, judge_account_pin, sheet_made_at, uses_pin
from admin.routes.home import waiting_of
from admin.settings import AdminSettings
from admin.setup import public_url
from admin.tables import known_browsers
from blocklists.tables import accounts

router = APIRouter()

ISSUER = "Lá Chắn DNS"
DONE = frozenset({"password", "pin", "factor", "others", "passkey", "passkey-removed"})

Looker = Annotated[Visit, Depends(need(Permission.STATUS_READ))]
Owner = Annotated[Visit, Depends(need(Permission.ACCOUNT_CHANGE))]


@router.get("/account")
async def show(visit: Looker, done: str = "") -> Response:
    """How this account is protected."""
    return await _page(visit, done if done in DONE else "")


@router.post("/account/password")
async def change_password(visit: Owner) -> Response:
    """A new password; every other session ends, for whoever had the old one."""
    account = visit.signed_in.actor.account_id
    password = visit.form.raw("password")
    async with visit.services.database.read() as connection:
        if await uses_pin(connection, account):  # its password is a PIN, changed on a form of its own
            raise NotFound
        sign_in = (await connection.execute(select(accounts.c.sign_in).where(accounts.c.id == account))).scalar_one()
    mistakes = judge_new(password, sign_in)
    if not mistakes and visit.form.raw("again") != password:
        mistakes = [FieldMistake("again", "password_differs")]
    if mistakes:
        return await _page(visit, mistakes=tuple(mistakes))
    hashed = await visit.services.door.passwords.hash(password)
    assert visit.signed_in.session_id is not None
    async with visit.services.database.write() as connection:
        await connection.execute(update(accounts).where(accounts.c.id == account).values(password_hash=hashed, password_set_at=visit.now))
        await sign_out_elsewhere(connection, visit.act, account, visit.signed_in.session_id)
        await connection.execute(delete(known_browsers).where(known_browsers.c.account_id == account))
        await record(connection, visit.act, Action.PASSWORD_CHANGED, account)
    return visit.go("/account?done=password")


@router.post("/account/pin")
async def renew_pin(visit: Owner) -> Response:
    """A new PIN for an account that signs in with one; every other session ends."""
    account = visit.signed_in.actor.account_id
    async with visit.services.database.read() as connection:
        if not await uses_pin(connection, account):
            raise NotFound
    pin = visit.form.raw("pin")
    mistakes = judge_account_pin(pin, visit.form.raw("again"))
    if mistakes:
        return await _page(visit, mistakes=tuple(mistakes))
    stored = await visit.services.door.passwords.hash(pin)
    assert visit.signed_in.session_id is not None
    async with visit.services.database.write() as connection:
        await change_pin(connection, visit.act, account, stored)
        await sign_out_elsewhere(connection, visit.act, account, visit.signed_in.session_id)
        await record(connection, visit.act, Action.PASSWORD_CHANGED, account)
    return visit.go("/account?done=pin")


@router.post("/account/others")
async def end_others(visit: Looker) -> Response:
    """End every other session of this account. This tightens, so no password is asked."""
    account = visit.signed_in.actor.account_id
    assert visit.signed_in.session_id is not None
    async with visit.services.database.write() as connection:
        await sign_out_elsewhere(connection, visit.act, account, visit.signed_in.session_id)
        await record(connection, visit.act, Action.SESSION_ENDED, account)
    return visit.go("/account?done=others")


@router.get("/account/factor")
async def show_factor(visit: Looker, why: str = "") -> Response:
    """Setting up the second factor: the picture for the app, and the field for its first code."""
    async with visit.services.database.read() as connection:
        secret = await visit.services.door.factors.pending(connection, visit.signed_in.actor.account_id)
    return await show_factor_page(visit, secret, bool(why))


@router.post("/account/factor/begin")
async def begin_factor(visit: Owner) -> Response:
    """A secret for the app. Nothing changes until the first code was typed."""
    async with visit.services.database.write() as connection:
        secret = await visit.services.door.factors.begin(connection, visit.signed_in.actor.account_id, visit.now)
    held = held_in(visit.form)
    return visit.go("/account/factor") if held is None else await show_factor_page(visit, secret, False, held=held)


@router.get("/account/factor/qr.svg")
async def show_qr(visit: Looker) -> Response:
    """The picture for the app."""
    account = visit.signed_in.actor.account_id
    async with visit.services.database.read() as connection:
        secret = await visit.services.door.factors.pending(connection, account)
        sign_in = (await connection.execute(select(accounts.c.sign_in).where(accounts.c.id == account))).scalar_one()
    if secret is None:
        raise NotFound
    picture = segno.make(app_address(secret, sign_in, ISSUER), error="m").svg_inline(scale=6, border=2)
    content = picture.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return Response(content, media_type="image/svg+xml", headers={"Cache-Control": "no-store"})


@router.post("/account/factor")
async def turn_on(visit: Owner) -> Response:
    """The first code: from now on it is asked for; the recovery codes are shown once."""
    account = visit.signed_in.actor.account_id
    async with visit.services.database.write() as connection:
        codes = await visit.services.door.factors.confirm(connection, account, visit.form.raw("code"), visit.now)
        if codes is not None:
            await record(connection, visit.act, Action.FACTOR_ADDED, account)
    if codes is None:
        async with visit.services.database.read() as connection:
            secret = await visit.services.door.factors.pending(connection, account)
        return await show_factor_page(visit, secret, False, (FieldMistake("code", "wrong_code"),), held_in(visit.form))
    return await show_codes(visit, codes, held_in(visit.form))


@router.post("/account/recovery")
async def renew_recovery(visit: Owner) -> Response:
    """New recovery codes; the old paper is worthless from now on."""
    account = visit.signed_in.actor.account_id
    if not visit.signed_in.actor.has_factor:
        raise Conflict("no_factor")
    async with visit.services.database.write() as connection:
        codes = await visit.services.door.factors.renew_recovery(connection, account, visit.now)
        await record(connection, visit.act, Action.RECOVERY_RENEWED, account)
    return await show_codes(visit, codes)


@router.post("/account/factor/remove")
async def turn_off(visit: Owner) -> Response:
    """No second factor any more; password and code were asked for by `need`."""
    account = visit.signed_in.actor.account_id
    async with visit.services.database.write() as connection:
        await visit.services.door.factors.remove(connection, account)
        await record(connection, visit.act, Action.FACTOR_REMOVED, account)
    return visit.go("/account?done=factor")


async def _page(visit: Visit, done: str = "", mistakes: tuple[FieldMistake, ...] = ()) -> Response:
    async with visit.services.database.read() as connection:
        left = await visit.services.door.factors.left(connection, visit.signed_in.actor.account_id)
        has_pin = await uses_pin(connection, visit.signed_in.actor.account_id)
        sheet = await sheet_made_at(connection, visit.signed_in.actor.account_id)
        own = await list_passkeys(connection, visit.signed_in.actor.account_id)
    place = place_of(visit.request.scope["scheme"], visit.request.headers.get("host", ""))
    context = {
        "passkeys": own,
        "place": place.name if place else "",
        "named": _named_address(visit.services.settings),
        "has_pin": has_pin,
        "sheet_made_at": sheet,
        "has_factor": visit.signed_in.actor.has_factor,
        "left": left,
        "done": done,
        "mistakes": mistakes,
        "waiting": await waiting_of(visit),
    }
    return visit.page("account/account.html", context, 422 if mistakes else 200)


def _named_address(settings: AdminSettings) -> str:
    """The configured address of these pages, when it is one at which passkeys work."""
    parts = urlsplit(public_url(settings))
    return public_url(settings) if place_of(parts.scheme, parts.netloc) else ""


async def show_codes(visit: Visit, codes: Sequence[str], held: Held | None = None) -> Response:
    """New recovery codes, if there are any, and from there on with what the second step was asked for."""
    secrets = held.labels(visit.services.pages.words[visit.language].gettext) if held is not None else []
    return visit.page("account/recovery.html", {"codes": codes, "held": held, "secrets": secrets, "waiting": await waiting_of(visit)})


async def show_factor_page(
    visit: Visit, secret: str | None, why: bool, mistakes: tuple[FieldMistake, ...] = (), held: Held | None = None
) -> Response:
    """Setting up the second step; `why` says that an act asked for it, and offers what this account has to show; `held` is that act."""
    context: dict[str, object] = {"secret": secret, "why": why, "mistakes": mistakes, "held": held, "waiting": await waiting_of(visit)}
    context["options"] = await passkey_options(visit.request, visit.signed_in) if why else ""
    context["has_passkey"] = visit.signed_in.actor.has_passkey
    return visit.page("account/factor.html", context, 422 if mistakes else 200)
