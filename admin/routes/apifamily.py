"""The rest of the API: own dates, choices, the week, the journal, watching first, phones that leave the house, the catalogue.

What stays with a person at the page, on purpose, stands with its reason in `tests/admin/test_pagesandapi.py`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import read_rows as read_journal
from admin.choices import WAITS_OFFERED, Choices, begin_wait, is_hook, is_mail, read_choices, set_choices
from admin.dates import Dates, add_dates, list_dates, remove_dates
from admin.devices import frees_new_device, load_device
from admin.digest import make_digest
from admin.errors import Conflict, FieldMistake, InvalidInput, NotFound
from admin.familyschemas import (
    CatalogueOut,
    CategoryOut,
    ChoicesIn,
    ChoicesOut,
    DatesIn,
    DatesOut,
    DigestLine,
    DigestOut,
    JournalOut,
    JournalPage,
    PhoneIn,
    PhoneOut,
    PlaceIn,
    PlaceOut,
    ServiceOut,
    WatchOut,
)
from admin.onboarding import Phone, add_phone, load_phone, reach_of, renew_token
from admin.owncertificate import phones_doubt
from admin.permissions import Permission
from admin.policyfile import has_policy
from admin.profiles import load_profile, load_strictest
from admin.routes.api import PAGE, After, Caller, IdempotencyKey, Limit, caller, load_owner, made_before, note_made, page_of
from admin.schemas import PageOf
from admin.schoolmoves import find_move, move
from admin.sharing import take_back
from admin.tenants import read_place
from admin.values import ProfileKind
from admin.watching import WATCHABLE, end_watch, list_watches, start_watch
from blocklists.places import gazetteer
from blocklists.tables import OrganisationKind
from blocklists.takedown.deadlines import VIET_NAM
from gateway.policy.tenant import PLACE

router = APIRouter()

Reader = Annotated[Caller, Depends(caller(Permission.PROFILE_READ))]
Tightener = Annotated[Caller, Depends(caller(Permission.PROFILE_TIGHTEN))]
Loosener = Annotated[Caller, Depends(caller(Permission.PROFILE_LOOSEN))]
Assigner = Annotated[Caller, Depends(caller(Permission.DEVICE_ASSIGN))]
DeviceReader = Annotated[Caller, Depends(caller(Permission.DEVICE_READ))]
Chooser = Annotated[Caller, Depends(caller(Permission.REQUEST_READ))]
Auditor = Annotated[Caller, Depends(caller(Permission.JOURNAL_READ))]


@router.get("/place", tags=["family"])
async def show_place(who: Reader) -> PlaceOut:
    """Where this is. It decides which bulletins are read, and which orders for other places leave it alone."""
    async with who.services.database.read() as connection:
        return await _place_out(connection, who)


def name_places(schema: dict[str, Any], now: datetime) -> None:
    """Say in the published schema which codes of places there are: a province of today, and perhaps a commune in it."""
    schema["components"]["schemas"]["PlaceIn"]["properties"]["place"]["pattern"] = rf"^$|^({'|'.join(_provinces(now))})(\.[0-9]{{3,5}})?$"


def _provinces(now: datetime) -> list[str]:
    return [place.code for place in gazetteer().provinces(now.astimezone(VIET_NAM).date())]


@router.put("/place", tags=["family"])
async def put_place(who: Loosener, wanted: PlaceIn) -> PlaceOut:
    """Say where this is. It may end an order that is for another place, so it needs the right to loosen. What a department closed in the
    place that a school leaves holds until `held_until`; a second place cannot be left before (409 `move_waits`)."""
    if not has_policy(who.tenant.kind):
        raise NotFound
    code = wanted.place or ""
    if code and not (PLACE.fullmatch(code) and code.partition(".")[0] in _provinces(who.now)):
        raise InvalidInput(FieldMistake("place", "place_unknown"))
    async with who.services.database.write() as connection:
        await move(connection, who.act, who.tenant.kind, code)
    await who.services.applier.settle(who.tenant_id)
    async with who.services.database.read() as connection:
        return await _place_out(connection, who)


async def _place_out(connection: AsyncConnection, who: Caller) -> PlaceOut:
    held = await find_move(connection, who.tenant_id)
    place = await read_place(connection, who.tenant_id)
    return PlaceOut(place=place, held_place=held.place if held else None, held_until=held.until if held else None)


@router.get("/catalogue", tags=["lists"])
async def show_catalogue(who: Reader) -> CatalogueOut:
    """The categories and services that switches know, and how many names the lists in force have for each category."""
    shelf = who.services.shelves.current()
    categories = [
        CategoryOut(code=code, vi=one.vi, en=one.en, tier=one.tier, entries=shelf.entries.get(code, 0), partly=code in shelf.partly)
        for code, one in shelf.catalogue.categories.items()
    ]
    services = [
        ServiceOut(id=code, vi=one.name_vi, en=one.name_en, categories=sorted(one.categories), verified=one.verified)
        for code, one in shelf.catalogue.services.items()
    ]
    return CatalogueOut(version=shelf.catalogue.version, categories=categories, services=services)


@router.get("/dates", tags=["dates"])
async def list_own_dates(who: Reader, limit: Limit = PAGE, after: After = None) -> PageOf[DatesOut]:
    """Exam days, days off and summers of one's own, earliest first; at most forty."""
    async with who.services.database.read() as connection:
        return page_of([_dates_out(one) for one in await list_dates(connection, who.tenant_id)], after, limit)


@router.post("/dates", status_code=201, tags=["dates"])
async def add_own_dates(who: Loosener, new: DatesIn, key: IdempotencyKey = None) -> DatesOut:
    """Add a span. A day off may open hours, so this needs the right to loosen."""
    async with who.services.database.write() as connection:
        made = await made_before(connection, who, key, "dates", new)
        if made is None:
            before = {one.id for one in await list_dates(connection, who.tenant_id)}
            await add_dates(connection, who.act, new.kind, new.label, new.first, new.last)
            made = next(one.id for one in await list_dates(connection, who.tenant_id) if one.id not in before)
            await note_made(connection, who, key, made, "dates", new)
        found = next((one for one in await list_dates(connection, who.tenant_id) if one.id == made), None)
    if found is None:
        raise NotFound
    await who.services.applier.settle(who.tenant_id)
    return _dates_out(found)


@router.delete("/dates/{dates}", status_code=204, tags=["dates"])
async def take_dates_away(who: Loosener, dates: str) -> None:
    """Take a span away."""
    async with who.services.database.write() as connection:
        await remove_dates(connection, who.act, dates)
    await who.services.applier.settle(who.tenant_id)


@router.get("/choices", tags=["choices"])
async def show_choices(who: Chooser) -> ChoicesOut:
    """Waiting before opening, notices, the weekly letter."""
    return _choices_out(await _choices(who), who)


@router.put("/choices", tags=["choices"])
async def change_choices(who: Loosener, wanted: ChoicesIn) -> ChoicesOut:
    """Replace them. A shorter wait loosens, so this needs that right, and waits where waiting was chosen."""
    mistakes = []
    if wanted.cooling_minutes not in WAITS_OFFERED:
        mistakes.append(FieldMistake("cooling_minutes", "unknown"))
    if wanted.mail and not is_mail(wanted.mail):
        mistakes.append(FieldMistake("mail", "mail_form"))
    if wanted.hook and not is_hook(wanted.hook):
        mistakes.append(FieldMistake("hook", "hook_form"))
    if mistakes:
        raise InvalidInput(*mistakes)
    choices = Choices(wanted.cooling_minutes, None, wanted.mail, wanted.hook, wanted.digest)
    async with who.services.database.write() as connection:
        await set_choices(connection, who.act, choices)
    return _choices_out(await _choices(who), who)


@router.post("/choices/wait", tags=["choices"])
async def begin_to_wait(who: Annotated[Caller, Depends(caller(Permission.REQUEST_ANSWER))]) -> ChoicesOut:
    """The first press: the wait begins; nothing where nothing is waited for."""
    async with who.services.database.write() as connection:
        await begin_wait(connection, who.act)
    return _choices_out(await _choices(who), who)


@router.get("/digest", tags=["status"])
async def show_week(who: Chooser) -> DigestOut:
    """The last whole week of a family: one number for each child, no names of sites. A school has none (404): it counts no class."""
    if who.tenant.kind is not OrganisationKind.FAMILY:
        raise NotFound
    async with who.services.database.read() as connection:
        week = await make_digest(connection, who.tenant_id, who.now, who.tenant.time_zone)
    children = [DigestLine(label=line.label, blocked=line.blocked) for line in week.children]
    return DigestOut(first=week.first, last=week.last, children=children, answered=week.answered, waiting=week.waiting)


@router.get("/journal", tags=["journal"])
async def show_journal(who: Auditor, limit: Limit = 50, before: Annotated[int | None, Query(ge=1, le=2**62)] = None) -> JournalPage:
    """Who changed what, newest first; `before` is the `next` of the page before."""
    async with who.services.database.read() as connection:
        rows = await read_journal(connection, who.tenant_id, limit + 1, before)
    items = [
        JournalOut(seq=row.seq, at=row.at, role=row.actor_role, action=row.action, object=row.object_id, digest=row.digest.hex())
        for row in rows[:limit]
    ]
    return JournalPage(items=items, next=items[-1].seq if len(rows) > limit else None)


@router.post("/profiles/{profile}/watch", tags=["profiles"])
async def watch_first(who: Loosener, profile: str) -> WatchOut:
    """For a day only what is locked is blocked, the rest is counted. Children of six to seventeen only (409 `not_watchable`)."""
    async with who.services.database.write() as connection:
        found = await load_profile(connection, who.tenant_id, profile)
        if found.kind is not ProfileKind.CHILD or found.band not in WATCHABLE:
            raise Conflict("not_watchable", "profile")
        running = (await list_watches(connection, who.tenant_id, who.now)).get(found.id)
        until = running[1] if running is not None else await start_watch(connection, who.act, found.id)
    await who.services.applier.settle(who.tenant_id)
    return WatchOut(profile=found.id, until=until)


@router.delete("/profiles/{profile}/watch", status_code=204, tags=["profiles"])
async def protect_now(who: Tightener, profile: str) -> None:
    """Full protection from now on."""
    async with who.services.database.write() as connection:
        found = await load_profile(connection, who.tenant_id, profile)
        await end_watch(connection, who.act, found.id)
    await who.services.applier.settle(who.tenant_id)


@router.post("/phones", status_code=201, tags=["devices"])
async def make_phone(who: Assigner, new: PhoneIn, key: IdempotencyKey = None) -> PhoneOut:
    """A phone that leaves the house, with a private name of its own. For an adult this needs the right to loosen."""
    async with who.services.database.write() as connection:
        profile = await load_owner(connection, who, new.profile)
        if profile.kind is ProfileKind.GUEST:
            raise InvalidInput(FieldMistake("profile", "unknown"))
        if frees_new_device(await load_strictest(connection, who.tenant_id), profile):
            who.require(Permission.PROFILE_LOOSEN)
        made = await made_before(connection, who, key, "phone", new)
        if made is None:
            made = await add_phone(connection, who.act, profile.id, new.label)
            await note_made(connection, who, key, made, "phone", new)
    await who.services.applier.settle(who.tenant_id)
    return await _phone(who, made)


@router.get("/phones/{device}", tags=["devices"])
async def show_phone(who: DeviceReader, device: str) -> PhoneOut:
    """How this phone reaches the gateway. Its names are secrets: an adult's free whichever phone asks by them, so they need the right to
    loosen."""
    async with who.services.database.read() as connection:
        await _judge_showing(connection, who, await load_phone(connection, who.tenant_id, device))
    return await _phone(who, device)


@router.post("/phones/{device}/renew", tags=["devices"])
async def renew_phone(who: Assigner, device: str) -> PhoneOut:
    """A new private name; the old one ends within a second."""
    async with who.services.database.write() as connection:
        phone = await load_phone(connection, who.tenant_id, device)
        await _judge_showing(connection, who, phone)
        await renew_token(connection, who.act, phone.device)
    await who.services.applier.settle(who.tenant_id)
    return await _phone(who, device)


@router.post("/devices/{device}/return", status_code=204, tags=["devices"])
async def end_loan(who: Tightener, device: str) -> None:
    """End the loan of a shared device before its time."""
    async with who.services.database.write() as connection:
        found = await load_device(connection, who.tenant_id, device)
        await take_back(connection, who.act, found.id)
    await who.services.applier.settle(who.tenant_id)


async def _choices(who: Caller) -> Choices:
    if not has_policy(who.tenant.kind):
        raise NotFound
    async with who.services.database.read() as connection:
        return await read_choices(connection, who.tenant_id)


async def _judge_showing(connection: AsyncConnection, who: Caller, phone: Phone) -> None:
    owner = await load_profile(connection, who.tenant_id, phone.device.profile_id)
    if frees_new_device(await load_strictest(connection, who.tenant_id), owner):
        who.require(Permission.PROFILE_LOOSEN)


async def _phone(who: Caller, device: str) -> PhoneOut:
    async with who.services.database.read() as connection:
        phone = await load_phone(connection, who.tenant_id, device)
    gateway = who.services.settings.gateway
    reach = reach_of(gateway)
    return PhoneOut(
        id=phone.device.id,
        profile=phone.device.profile_id,
        label=phone.device.label,
        android_name=reach.android_name(phone.token),
        doh_url=reach.doh_url(phone.token),
        refused=await phones_doubt(gateway, who.now) or None,
    )


def _choices_out(choices: Choices, who: Caller) -> ChoicesOut:
    choices = replace(choices, ripe_at=choices.ripe_at if choices.cooling_minutes else None)
    return ChoicesOut(
        cooling_minutes=choices.cooling_minutes,
        mail=choices.mail,
        hook=choices.hook,
        digest=choices.digest,
        ripe_at=choices.ripe_at,
        may_open=choices.may_open(who.now),
    )


def _dates_out(one: Dates) -> DatesOut:
    return DatesOut(id=one.id, kind=one.kind, label=one.label, first=one.first, last=one.last)
