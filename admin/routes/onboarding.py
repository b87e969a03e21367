"""Phones that leave the house: a token for a phone, the sheet to print, and the page that the sheet opens (no account needed)."""

from __future__ import annotations

import hmac
import re
import secrets
from hashlib import sha256
from typing import Annotated

import segno
from fastapi import APIRouter, Depends, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from admin.dependencies import Services, Visit, address_of, form_token, need, open_page, services_of, session_of
from admin.devices import frees_new_device, frees_when_forgotten, retire_device
from admin.edge.headers import allow_pictures_of
from admin.errors import ConfirmationNeeded, CoolingOff, FieldMistake, Forbidden, NotFound, SheetUnknown
from admin.link import GatewayAway, Probe
from admin.onboarding import Phone, add_phone, apple_profile, is_token, load_phone, profile_of_token, reach_of, renew_token, sign_profile
from admin.owncertificate import phones_doubt, warning_ahead
from admin.permissions import Permission
from admin.profiles import Profile, load_profile, load_strictest
from admin.routes.home import waiting_of
from admin.setup import public_url
from admin.values import ProfileKind
from gateway.policy.model import Band

router = APIRouter()

#: How people and manuals call the ways a question comes in.
TRANSPORTS = {"udp": "DNS", "tcp": "DNS (TCP)", "dot": "DNS over TLS", "doh": "DNS over HTTPS", "doq": "DNS over QUIC"}

LABEL_LENGTH = 40
PATIENCE = 5
TOKEN = re.compile(r"[2-9a-hjkmnp-z]{5}(?:-[2-9a-hjkmnp-z]{5}){2}")

Reader = Annotated[Visit, Depends(need(Permission.DEVICE_READ))]
Assigner = Annotated[Visit, Depends(need(Permission.DEVICE_ASSIGN))]


@router.get("/profiles/{profile}/phones/new")
async def show_new(profile: str, visit: Assigner) -> Response:
    """One question: what to call the phone."""
    async with visit.services.database.read() as connection:
        found = await load_profile(connection, visit.tenant_id, profile)
    return await _new(visit, found)


@router.post("/profiles/{profile}/phones")
async def create(profile: str, visit: Assigner) -> Response:
    """A phone with a token of its own; then its sheet."""
    label = visit.form.text("label", LABEL_LENGTH)
    async with visit.services.database.read() as connection:
        found = await load_profile(connection, visit.tenant_id, profile)
        strictest = await load_strictest(connection, visit.tenant_id)
    if visit.form.mistakes:
        return await _new(visit, found, tuple(visit.form.mistakes))
    if frees_new_device(strictest, found):  # the sheet frees whichever phone it is read by
        visit.require(Permission.PROFILE_LOOSEN)
    async with visit.services.database.write() as connection:
        device = await add_phone(connection, visit.act, found.id, label)
    await visit.services.applier.settle(visit.tenant_id)
    return visit.go(f"/phones/{device}")


async def _new(visit: Visit, profile: Profile, mistakes: tuple[FieldMistake, ...] = ()) -> Response:
    gateway = visit.services.settings.gateway
    context = {"profile": profile, "reach": reach_of(gateway), "waiting": await waiting_of(visit), "mistakes": mistakes}
    context["doubt"] = await phones_doubt(gateway, visit.now)
    return visit.page("onboarding/new.html", context, 422 if mistakes else 200)


@router.get("/phones/{device}")
async def show_sheet(device: str, visit: Reader) -> Response:
    """The sheet for one phone: QR, name, short steps; made for printing. One of an adult or an elder child frees whichever phone reads it,
    so a page left open shows only a button, which asks for the password."""
    async with visit.services.database.read() as connection:
        phone = await load_phone(connection, visit.tenant_id, device)
        profile = await load_profile(connection, visit.tenant_id, phone.device.profile_id)
        strictest = await load_strictest(connection, visit.tenant_id)
    if not may_show(visit, profile, strictest):
        return visit.page("onboarding/closed.html", {"phone": phone, "profile": profile, "waiting": await waiting_of(visit)})
    reach = reach_of(visit.services.settings.gateway)
    page = _page_of(visit.services, phone)
    context = {"phone": phone, "profile": profile, "reach": reach, "page": page, "waiting": await waiting_of(visit)}
    context["certificate"] = await warning_ahead(visit.services.settings)
    context["doubt"] = await phones_doubt(visit.services.settings.gateway, visit.now)
    return visit.page("onboarding/sheet.html", context)


@router.post("/phones/{device}/show")
async def open_sheet(device: str, visit: Reader) -> Response:
    """The password, then the sheet."""
    async with visit.services.database.read() as connection:
        await load_phone(connection, visit.tenant_id, device)
    visit.require(Permission.PROFILE_LOOSEN)
    return visit.go("/devices#home" if visit.form.has("back") else f"/phones/{device}")


@router.get("/phones/{device}/qr.svg")
async def show_qr(device: str, visit: Reader) -> Response:
    """The sheet's QR, which opens the phone's own page."""
    async with visit.services.database.read() as connection:
        phone = await load_phone(connection, visit.tenant_id, device)
        profile = await load_profile(connection, visit.tenant_id, phone.device.profile_id)
        strictest = await load_strictest(connection, visit.tenant_id)
    if frees_new_device(strictest, profile):
        visit.require(Permission.PROFILE_LOOSEN)
    picture = segno.make(_page_of(visit.services, phone), error="m").svg_inline(scale=6, border=2)
    return Response(picture.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1), media_type="image/svg+xml")


@router.post("/phones/{device}/renew")
async def renew(device: str, visit: Assigner) -> Response:
    """A new token: the old sheet is worthless from now on."""
    async with visit.services.database.write() as connection:
        phone = await load_phone(connection, visit.tenant_id, device)
        await renew_token(connection, visit.act, phone.device)
    await visit.services.applier.settle(visit.tenant_id)
    return visit.go(f"/phones/{device}")


@router.post("/phones/{device}/remove")
async def remove(device: str, visit: Assigner) -> Response:
    """Take the phone away: its token ends within a second."""
    async with visit.services.database.write() as connection:
        phone = await load_phone(connection, visit.tenant_id, device)
        if frees_when_forgotten(await load_profile(connection, visit.tenant_id, phone.device.profile_id)):
            visit.require(Permission.PROFILE_LOOSEN)
        await retire_device(connection, visit.act, phone.device)
    await visit.services.applier.settle(visit.tenant_id)
    return visit.go(f"/profiles/{phone.device.profile_id}?stored=1")


@router.get("/phone/{token}")
async def show_phone(token: str, request: Request) -> HTMLResponse:
    """What the QR opens on the phone itself: the steps for Android, iPhone and computers, with a field to copy. No account."""
    await known_phone(token, request)
    reach = reach_of(services_of(request).settings.gateway)
    async with services_of(request).database.read() as connection:
        _, profile = await profile_of_token(connection, token)
    context = {"token": token, "reach": reach, "android": reach.android_name(token), "doh": reach.doh_url(token)}
    context |= {"owner": profile, "leave_token": await _leave_token(request, profile)}
    context["doubt"] = await phones_doubt(services_of(request).settings.gateway, services_of(request).now())
    return open_page(request, "onboarding/phone.html", context)


@router.get("/phone/{token}/{kind}.mobileconfig")
async def give_apple_profile(token: str, kind: str, request: Request) -> Response:
    """Apple's settings file, for this phone."""
    await known_phone(token, request)
    services = services_of(request)
    profile = apple_profile(reach_of(services.settings.gateway), token, kind)
    if profile is None:
        raise NotFound
    signed = sign_profile(profile, services.settings.gateway.tls, services.now())
    headers = {"content-disposition": f'attachment; filename="lachan-{kind}.mobileconfig"'}
    return Response(signed, media_type="application/x-apple-aspen-config", headers=headers)


@router.get("/phone/{token}/check")
async def begin_check(token: str, request: Request) -> Response:
    """A fresh name for this phone's check."""
    await known_phone(token, request)
    fresh = secrets.token_hex(6)
    return RedirectResponse(f"/phone/{token}/check/{fresh}{_seal(token, fresh)}", 303)


@router.get("/phone/{token}/check/{nonce}")
async def look(token: str, nonce: str, request: Request, n: int = 0) -> Response:
    """Whether the phone asked this gateway for the fresh name, by which transport, and under which rules."""
    await known_phone(token, request)
    if len(nonce) != 24 or not hmac.compare_digest(nonce[12:], _seal(token, nonce[:12])):
        raise NotFound
    services = services_of(request)
    name = services.settings.gateway.dns.name
    try:
        probe = await services.link.probe(nonce)
    except GatewayAway:
        probe = Probe(False)
    async with services.database.read() as connection:
        device, profile = await profile_of_token(connection, token)
    tries = max(0, min(n, PATIENCE))
    context = {"token": token, "nonce": nonce, "probe": probe, "tries": tries, "gives_up": tries >= PATIENCE}
    context |= {"profile": profile if probe.client == device else None, "transport": TRANSPORTS.get(probe.transport, "")}
    context |= {"owner": profile, "leave_token": await _leave_token(request, profile)}
    context["check_name"] = f"check-{nonce}.{name}"
    page = open_page(request, "onboarding/check.html", context)
    page.headers["Content-Security-Policy"] = allow_pictures_of(name)
    return page


def may_show(visit: Visit, owner: Profile, strictest: Band) -> bool:
    """Whether this session may see a token now: whoever has an adult's or an elder child's could free a small child's phone with it."""
    if not frees_new_device(strictest, owner):
        return True
    try:
        visit.require(Permission.PROFILE_LOOSEN)
    except (ConfirmationNeeded, CoolingOff, Forbidden):
        return False
    return True


def _seal(token: str, fresh: str) -> str:
    """Ties a check to the phone that began it."""
    return hmac.new(token.encode(), f"check {fresh}".encode(), sha256).hexdigest()[:12]


async def _leave_token(request: Request, profile: Profile | None) -> str:
    """What signing out here takes, where a grown-up is still signed in on a phone that is a child's; else nothing."""
    if profile is None or profile.kind is ProfileKind.ADULT:
        return ""
    live = await session_of(request, services_of(request))
    return form_token(live) if live is not None else ""


async def known_phone(token: str, request: Request) -> None:
    """Refuse a token that no live phone has; guesses are counted like other look-ups without an account."""
    services = services_of(request)
    if TOKEN.fullmatch(token):
        async with services.database.read() as connection:
            if await is_token(connection, token):
                return
    services.lookups.take(address_of(request), services.now())
    raise SheetUnknown


def _page_of(services: Services, phone: Phone) -> str:
    """The address the QR holds."""
    return f"{public_url(services.settings)}/phone/{phone.token}"
