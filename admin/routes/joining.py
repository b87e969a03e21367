"""A family with one phone joins a gateway that somebody else runs: from the printed sheet to a protected phone. No mail address and no
telephone number is asked anywhere; the way back in is the recovery sheet (`admin.routes.recovery`).

The first page makes an empty family that signs in with a PIN; the rest are pages of that family, so that whoever stops half-way finds
everything again after signing in.
"""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from admin.auth import CodeNeeded, WrongPassword
from admin.dependencies import Visit, address_of, language_of, need, open_page, services_of, session_of, wrong_ones_count
from admin.edge.cookies import BROWSER, read_cookie
from admin.errors import Conflict, FieldMistake, InvalidInput, NotFound, TooManyTries
from admin.forms import read_form
from admin.hosting import JoinCode, find_join_code, join, joined_lately
from admin.onboarding import add_phone, list_tokens, reach_of
from admin.owncertificate import phones_doubt
from admin.pages.words import mark as _
from admin.permissions import Permission
from admin.profiles import NewProfile, create_profile, list_profiles, list_sites, load_profile
from admin.recovery import judge_account_pin, read_paper_code, uses_pin
from admin.routes.setup import MOST_CHILDREN, Answers, words_for_labels
from admin.routes.sign import admit, let_in
from admin.setup import ASKS_MESSENGER, MESSENGER, Owner
from admin.switches import set_switch
from admin.tenants import SIGN_IN, fold_sign_in
from admin.values import ProfileKind, SwitchKind, SwitchState
from blocklists.tables import AccountId

router = APIRouter()

Reader = Annotated[Visit, Depends(need(Permission.PROFILE_READ))]
Tightener = Annotated[Visit, Depends(need(Permission.PROFILE_TIGHTEN))]
Assigner = Annotated[Visit, Depends(need(Permission.DEVICE_ASSIGN))]


@router.get("/family/{code}")
async def show_name(code: str, request: Request) -> Response:
    """Who runs this gateway and what they never see; a sign-in name and a PIN."""
    found = await session_of(request, services_of(request))
    if found is not None and await _signs_in_with_pin(request, found.actor.account_id):
        return RedirectResponse("/welcome", 303)
    return await _name_page(request, await _find(request, code), "")


@router.post("/family/{code}")
async def make_family(code: str, request: Request) -> Response:
    """Make the family and sign this phone in."""
    services = services_of(request)
    found = await _find(request, code)
    form = await read_form(request)
    sign_in, pin = form.raw("sign_in")[:64], form.raw("pin")
    mistakes = [] if SIGN_IN.fullmatch(fold_sign_in(sign_in)) else [FieldMistake("sign_in", "sign_in_form")]
    mistakes += judge_account_pin(pin, form.raw("again"))
    if mistakes:
        return await _name_page(request, found, sign_in, tuple(mistakes))
    language, now = language_of(request), services.now()
    owner = Owner(sign_in, await services.door.passwords.hash(pin), language)
    words = words_for_labels(services.pages.words[language], is_school=False)
    try:
        async with services.database.write() as connection:
            found = await find_join_code(connection, found.code, now)  # withdrawn or filled while the PIN was being hashed
            made = await join(connection, found, owner, words, services.shelves.current(), now)
    except Conflict as error:
        if error.field != "sign_in":
            raise
        again = await _sent_again(request, found, sign_in, pin)
        return again or await _name_page(request, found, sign_in, (FieldMistake("sign_in", error.code),))
    await services.applier.settle(made.tenant)
    await admit(request, made.account)
    return RedirectResponse("/welcome", 303)


@router.get("/welcome")
async def show_children(visit: Reader) -> Response:
    """Who are the children? Somebody who has answered goes on."""
    await _require_pin(visit)
    async with visit.services.database.read() as connection:
        profiles = await list_profiles(connection, visit.tenant_id)
    if any(profile.kind is ProfileKind.CHILD for profile in profiles):
        return visit.go("/welcome/phone")
    return _children_page(visit, Answers(labels=[""], bands=[""]))


@router.post("/welcome")
async def add_children(visit: Tightener) -> Response:
    """The children with the rules of their ages; or one more line."""
    await _require_pin(visit)
    answers = Answers.from_form(visit.form)
    if visit.form.has("add"):
        answers.labels.append("")
        answers.bands.append("")
        return _children_page(visit, answers)
    try:
        children = answers.children()
    except InvalidInput as error:
        return _children_page(visit, answers, error.mistakes)
    if answers.messenger:
        visit.require(Permission.PROFILE_LOOSEN)
    shelf = visit.services.shelves.current()
    async with visit.services.database.write() as connection:
        (site, *_others) = await list_sites(connection, visit.tenant_id)
        for child in children:
            profile = await create_profile(connection, visit.act, site.id, NewProfile(ProfileKind.CHILD, child.label, child.band), shelf)
            if answers.messenger and child.band in ASKS_MESSENGER and MESSENGER in shelf.catalogue.service_ids:
                await set_switch(connection, visit.act, profile, SwitchKind.SERVICE, MESSENGER, SwitchState.ALLOW)
    await visit.services.applier.settle(visit.tenant_id)
    return visit.go("/welcome/phone")


@router.get("/welcome/phone")
async def show_phone(visit: Reader) -> Response:
    """Whose rules hold on this phone?"""
    await _require_pin(visit)
    return await _phone_page(visit)


@router.post("/welcome/phone")
async def add_this_phone(visit: Assigner) -> Response:
    """A token for this phone; then the recovery sheet."""
    await _require_pin(visit)
    async with visit.services.database.read() as connection:
        try:
            profile = await load_profile(connection, visit.tenant_id, visit.form.raw("owner"))
        except NotFound:
            return await _phone_page(visit, (FieldMistake("owner", "unknown"),))
    if profile.kind not in (ProfileKind.CHILD, ProfileKind.ADULT):
        return await _phone_page(visit, (FieldMistake("owner", "unknown"),))
    if profile.kind is ProfileKind.ADULT:
        visit.require(Permission.PROFILE_LOOSEN)
    words = visit.services.pages.words[visit.language]
    async with visit.services.database.write() as connection:
        if not await list_tokens(connection, visit.tenant_id):
            await add_phone(connection, visit.act, profile.id, words.gettext(_("The family's phone")))
    await visit.services.applier.settle(visit.tenant_id)
    return visit.go("/recovery")


async def _find(request: Request, code: str) -> JoinCode:
    services = services_of(request)
    with wrong_ones_count(request):
        async with services.database.read() as connection:
            return await find_join_code(connection, read_paper_code(code), services.now())


async def _sent_again(request: Request, code: JoinCode, sign_in: str, pin: str) -> Response | None:
    """On a slow line the first page is sent twice: whoever made this account a moment ago by this sheet, and shows its PIN, goes on.
    None for anybody else. Guesses wait as at the sign-in page."""
    services = services_of(request)
    async with services.database.read() as connection:
        if not await joined_lately(connection, code, sign_in, services.now()):
            return None
    try:
        opened = await services.door.sign_in(
            sign_in,
            pin,
            address=address_of(request),
            browser_secret=read_cookie(request, BROWSER),
            user_agent=request.headers.get("user-agent", ""),
            kept=True,
            now=services.now(),
            monotonic=time.monotonic(),
        )
    except (CodeNeeded, WrongPassword, TooManyTries):
        return None
    return let_in(request, opened, "/welcome")


async def _signs_in_with_pin(request: Request, account: AccountId) -> bool:
    async with services_of(request).database.read() as connection:
        return await uses_pin(connection, account)


async def _require_pin(visit: Visit) -> AccountId:
    """These pages are for families that sign in with a PIN. Raises NotFound."""
    account = visit.signed_in.actor.account_id
    async with visit.services.database.read() as connection:
        if not await uses_pin(connection, account):
            raise NotFound
    return account


async def _name_page(request: Request, code: JoinCode, sign_in: str, mistakes: tuple[FieldMistake, ...] = ()) -> Response:
    context = {"code": code, "sign_in": sign_in, "mistakes": mistakes}
    return open_page(request, "hosting/name.html", context, 422 if mistakes else 200)


def _children_page(visit: Visit, answers: Answers, mistakes: tuple[FieldMistake, ...] = ()) -> Response:
    rows = [(label, answers.bands[place] if place < len(answers.bands) else "") for place, label in enumerate(answers.labels or [""])]
    context = {"answers": answers, "rows": rows, "room_for_more": len(rows) < MOST_CHILDREN, "mistakes": mistakes}
    return visit.page("hosting/children.html", context, 422 if mistakes else 200)


async def _phone_page(visit: Visit, mistakes: tuple[FieldMistake, ...] = ()) -> Response:
    async with visit.services.database.read() as connection:
        profiles = await list_profiles(connection, visit.tenant_id)
    people = [profile for profile in profiles if profile.kind in (ProfileKind.CHILD, ProfileKind.ADULT)]
    gateway = visit.services.settings.gateway
    context = {"people": people, "reach": reach_of(gateway), "mistakes": mistakes, "doubt": await phones_doubt(gateway, visit.now)}
    return visit.page("hosting/phone.html", context, 422 if mistakes else 200)
