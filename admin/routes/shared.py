"""A shared phone: an adult borrows it with the family's PIN, or answers a child's request on the same screen; and where the PIN is set.

The first pages need no account: they stand beside the children's pages and know the device by its address. They are never served behind
blocked names, only where the pages for adults are.
"""

from __future__ import annotations

import re
import time
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import RedirectResponse, Response

from admin.audit import Act
from admin.choices import read_choices
from admin.dependencies import Visit, need
from admin.devices import load_device
from admin.edge.faults import wait_text
from admin.errors import FieldMistake, NotFound, TooManyTries
from admin.forms import read_form
from admin.link import is_local
from admin.moment import Moment, moment_in
from admin.notices import Message
from admin.pages.words import mark as _
from admin.permissions import Permission
from admin.policyfile import read_rows
from admin.profiles import Profile, load_profile
from admin.recovery import uses_pin
from admin.requests import answer, end_of, read_code
from admin.routes.cards import children_door
from admin.routes.child import Here, arrive, find_asked
from admin.routes.home import waiting_of
from admin.setup import public_url
from admin.sharing import AT_DEVICE, SPANS, WrongPin, judge_pin, lend, note_right, note_wrong, read_pin, set_pin, take_back
from admin.values import Decision, DeviceId, RequestState
from blocklists.tables import OrganisationId, OrganisationKind

router = APIRouter()
_PROFILE = re.compile(r"/profiles/\w{20,64}")

Setter = Annotated[Visit, Depends(need(Permission.PROFILE_LOOSEN))]
Looker = Annotated[Visit, Depends(need(Permission.PROFILE_READ))]
Tightener = Annotated[Visit, Depends(need(Permission.PROFILE_TIGHTEN))]


@router.get("/adult")
async def show(request: Request) -> Response:
    """Borrow this device, or see until when it is borrowed."""
    return await _adult_page(await arrive(request))


@router.post("/adult")
async def borrow(request: Request) -> Response:
    """With the right PIN the device is an adult's for a while, and comes back by itself."""
    here = await arrive(request)
    form = await read_form(request)
    span = SPANS.get(form.raw("span"))
    device, adults, tenant = here.reader.lendable, here.reader.adults, here.reader.tenant
    if span is None or device is None or adults is None or tenant is None:
        return await _adult_page(here)
    fault = await _refuse_pin(here, form.raw("pin"))
    if fault is not None:
        return await _adult_page(here, *fault)
    async with here.services.database.write() as connection:
        await lend(connection, Act(tenant, AT_DEVICE, here.services.now()), device.id, adults.id, span)
    await here.services.applier.settle(tenant)
    return RedirectResponse("/adult", 303)


@router.post("/adult/back")
async def give_back(request: Request) -> Response:
    """Give the device back at once; nobody is asked for a PIN."""
    here = await arrive(request)
    if here.reader.lendable is not None and here.reader.tenant is not None:
        async with here.services.database.write() as connection:
            await take_back(connection, Act(here.reader.tenant, AT_DEVICE, here.services.now()), here.reader.lendable.id)
        await here.services.applier.settle(here.reader.tenant)
    return RedirectResponse("/adult", 303)


#: What a PIN on a shared device may answer: nothing for good.
_OFFERED = (Decision.QUARTER, Decision.HOUR, Decision.TODAY, Decision.NO)


@router.get("/answer/{code}/here")
async def show_answer_here(request: Request, code: str) -> Response:
    """An adult stands beside the child: answer on this screen, with the PIN."""
    here = await arrive(request)
    return await _answer_page(here, read_code(code))


@router.post("/answer/{code}/here")
async def answer_here(request: Request, code: str) -> Response:
    """The answer, by somebody with the PIN."""
    here = await arrive(request)
    wanted = read_code(code)
    form = await read_form(request)
    found = await find_asked(here, wanted)
    tenant = here.reader.tenant
    if found is None or tenant is None or found.tenant_id != tenant or form.raw("decision") not in _OFFERED:
        raise NotFound
    fault = await _refuse_pin(here, form.raw("pin"))
    if fault is not None:
        return await _answer_page(here, wanted, *fault)
    now = here.services.now()
    chosen = found.profile_id or (here.reader.profile.id if here.reader.profile is not None else None)
    async with here.services.database.write() as connection:
        profile = await load_profile(connection, tenant, chosen) if chosen is not None else None
        moment = await _moment_of(here, connection, tenant, profile)
        rest_at = None if moment is None or form.has("through") else moment.rest_at
        await answer(connection, Act(tenant, AT_DEVICE, now), found, Decision(form.raw("decision")), profile, here.reader.zone, rest_at)
    await here.services.applier.settle(tenant)
    return RedirectResponse(f"/answer/{wanted}", 303)


@router.get("/pin")
async def show_pin(visit: Looker, done: bool = False) -> Response:
    """Whether there is a PIN, and the field for a new one."""
    async with visit.services.database.read() as connection:
        if await uses_pin(connection, visit.signed_in.actor.account_id):
            return visit.go("/account")
    return await _pin_page(visit, done)


@router.post("/pin")
async def change_pin(visit: Setter) -> Response:
    """A new PIN for the family's shared devices."""
    if visit.tenant.kind is not OrganisationKind.FAMILY:
        raise NotFound
    async with visit.services.database.read() as connection:
        if await uses_pin(connection, visit.signed_in.actor.account_id):  # one PIN for both, changed under "my account"
            raise NotFound
    pin = visit.form.raw("pin")
    mistakes = judge_pin(pin)
    if mistakes:
        return await _pin_page(visit, mistakes=tuple(mistakes))
    stored = await visit.services.door.passwords.hash(pin)
    async with visit.services.database.write() as connection:
        await set_pin(connection, visit.act, stored)
    return visit.go("/pin?done=1")


@router.post("/pin/remove")
async def remove_pin(visit: Tightener) -> Response:
    """No PIN any more; this tightens."""
    async with visit.services.database.write() as connection:
        await set_pin(connection, visit.act, None)
    return visit.go("/pin")


@router.post("/devices/{device}/back")
async def give_back_from_afar(device: str, visit: Tightener) -> Response:
    """A parent ends a loan from their own phone; back to the page on which it was pressed."""
    async with visit.services.database.write() as connection:
        await take_back(connection, visit.act, (await load_device(connection, visit.tenant_id, DeviceId(device))).id)
    await visit.services.applier.settle(visit.tenant_id)
    before = urlsplit(visit.request.headers.get("referer", "")).path
    if before == "/":
        return visit.go("/")
    return visit.go(f"{before if _PROFILE.fullmatch(before) else '/devices'}?stored=1")


async def _refuse_pin(here: Here, pin: str) -> tuple[FieldMistake, str, int] | None:
    """Why a PIN is not taken: the mistake, how long to wait, and the status; None when it is right."""
    tenant = here.reader.tenant
    assert tenant is not None
    async with here.services.database.read() as connection:
        stored = await read_pin(connection, tenant)
    act = Act(tenant, AT_DEVICE, here.services.now())
    is_apart = here.reader.is_shared and not is_local(here.reader.address)
    try:
        await here.services.pins.check(tenant, stored, pin, time.monotonic(), is_apart=is_apart)
    except WrongPin as error:
        await _tell_wrong(here, act)
        return FieldMistake("pin", "wrong_pin"), "", error.status
    except TooManyTries as error:
        return FieldMistake("pin", "too_many_tries"), wait_text(here.request, error), error.status
    async with here.services.database.write() as connection:
        await note_right(connection, act)
    return None


async def _tell_wrong(here: Here, act: Act) -> None:
    """Count a wrong PIN; from the fifth on the parents are told, on their page and by message, and nobody is accused."""
    services = here.services
    async with services.database.write() as connection:
        is_told = await note_wrong(connection, act)
        choices = await read_choices(connection, act.tenant)
    if is_told:
        words = services.pages.words[next(iter(services.pages.words))]
        sentence = words.gettext(_("Several wrong PINs were typed on a shared device; each makes the next one wait longer."))
        whose = words.gettext(_("Who typed them is not known; away from home it may be a stranger on the same network."))
        remedy = words.gettext(_("Was it none of you? Then choose another PIN: {address}"))
        text = f"{sentence} {whose} {remedy.format(address=f'{public_url(services.settings)}/pin')}"
        message = Message(words.gettext(_("Lá Chắn: wrong PINs on a shared device")), text)
        services.post.announce(act.tenant, choices, message, act.now, is_urgent=True)


async def _adult_page(here: Here, mistake: FieldMistake | None = None, wait: str = "", status: int = 200) -> Response:
    tenant = here.reader.tenant
    async with here.services.database.read() as connection:
        has_pin = tenant is not None and await read_pin(connection, tenant) is not None
    can = has_pin and here.reader.lendable is not None and here.reader.adults is not None
    is_adult = here.reader.profile is not None and here.reader.adults is not None and here.reader.profile.id == here.reader.adults.id
    context = {"can": can, "has_pin": has_pin, "is_adult": is_adult, "until": here.reader.lent_until, "wait": wait, "spans": list(SPANS)}
    return here.page("child/adult.html", {**context, "mistakes": (mistake,) if mistake else ()}, status)


async def _answer_page(here: Here, code: str, mistake: FieldMistake | None = None, wait: str = "", status: int = 200) -> Response:
    found = await find_asked(here, code)
    tenant = here.reader.tenant
    async with here.services.database.read() as connection:
        has_pin = tenant is not None and await read_pin(connection, tenant) is not None
        chosen = (found.profile_id if found is not None else None) or (here.reader.profile.id if here.reader.profile is not None else None)
        is_here = tenant is not None and found is not None and found.tenant_id == tenant
        profile = await load_profile(connection, tenant, chosen) if is_here and tenant is not None and chosen is not None else None
        moment = await _moment_of(here, connection, tenant, profile)
    if found is None or found.tenant_id != tenant or found.state is not RequestState.WAITING or not has_pin:
        raise NotFound
    words = here.services.pages.words[here.language]
    choices = [
        (Decision.QUARTER, words.gettext(_("15 minutes"))),
        (Decision.HOUR, words.gettext(_("An hour"))),
        (Decision.TODAY, words.gettext(_("Today"))),
        (Decision.NO, words.gettext(_("No"))),
    ]
    latest = end_of(Decision.TODAY, here.services.now(), here.reader.zone)
    is_near = moment is not None and moment.rest_at is not None and latest is not None and moment.rest_at < latest
    context = {"rests": moment if is_near else None, "asked": found, "choices": choices, "wait": wait}
    return here.page("child/answerhere.html", {**context, "mistakes": (mistake,) if mistake else ()}, status)


async def _moment_of(here: Here, connection: AsyncConnection, tenant: OrganisationId | None, profile: Profile | None) -> Moment | None:
    if profile is None or tenant is None:
        return None
    now = here.services.now()
    return moment_in(profile, await read_rows(connection, tenant, now), here.services.shelves.current(), now)


async def _pin_page(visit: Visit, done: bool = False, mistakes: tuple[FieldMistake, ...] = ()) -> Response:
    if visit.tenant.kind is not OrganisationKind.FAMILY:
        raise NotFound
    async with visit.services.database.read() as connection:
        has_pin = await read_pin(connection, visit.tenant_id) is not None
    address = f"{await children_door(visit) or public_url(visit.services.settings)}/why"
    context = {"has_pin": has_pin, "done": done, "mistakes": mistakes, "address": address, "waiting": await waiting_of(visit)}
    return visit.page("more/pin.html", context, 422 if mistakes else 200)
