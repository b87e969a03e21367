"""A child's page: what is on now, the two big buttons, and the way to everything else. Also new profiles and their settings."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends
from starlette.responses import Response

from admin.apply import Enforcement, read_enforcement
from admin.audit import Act
from admin.catalogue import Shelf
from admin.dates import with_dates
from admin.dependencies import Services, Visit, need
from admin.erasing import erase_in_copies, erase_profile, note_erased, read_erased
from admin.errors import FieldMistake, InvalidInput, NotFound
from admin.forms import Form, read_clock
from admin.history import stop_history
from admin.home import make_card
from admin.hours import paint_week
from admin.keptbackups import clear_leftovers, erase_in_kept
from admin.lessons import MINUTES, check_span, lesson_groups
from admin.moment import moment_in
from admin.officetighten import with_rules
from admin.overrides import end_override, ends_meant, list_overrides, load_override, read_end, shortens_off, start_override
from admin.pages.weekgrid import draw_week, monday_of
from admin.permissions import Permission
from admin.policyfile import read_rows
from admin.profiles import (
    LABEL_LENGTH,
    NewProfile,
    Profile,
    change_profile,
    create_profile,
    is_looser,
    load_profile,
    looks_like_full_name,
    retire_profile,
)
from admin.routes.home import look_around, waiting_of
from admin.setup import band_of_class
from admin.totals import read_day, read_watched
from admin.treats import TREATS
from admin.unserved import look_at
from admin.values import CHILD_BANDS, OverrideKind, ProfileId, ProfileKind, SwitchState, TargetKind
from admin.watching import WATCHABLE, end_watch, start_watch
from blocklists.tables import OrganisationId, OrganisationKind
from gateway.policy.model import Band

router = APIRouter()

Reader = Annotated[Visit, Depends(need(Permission.PROFILE_READ))]
Writer = Annotated[Visit, Depends(need(Permission.PROFILE_TIGHTEN))]
Loosener = Annotated[Visit, Depends(need(Permission.PROFILE_LOOSEN))]

ENDS = ("30m", "1h", "2h", "morning")
CLASS_ENDS = ("30m", "1h", "90m")


@router.get("/profiles/new")
async def show_new(visit: Writer) -> Response:
    """A form for one more child or class."""
    return visit.page("profile/new.html", {"waiting": await waiting_of(visit), "label": "", "band": "TH"})


@router.post("/profiles")
async def create(visit: Writer) -> Response:
    """One more child or class, with the hours its band starts with."""
    is_school = visit.tenant.kind is OrganisationKind.SCHOOL
    label = visit.form.text("label", LABEL_LENGTH)
    band = band_of_class(label) if is_school else None
    if is_school and band is None and label:
        visit.form.mistake("label", "class_form")
    if not is_school:
        band = visit.form.choice("band", Band, Band.TH)
        if looks_like_full_name(label):
            visit.form.mistake("label", "label_name")
    if visit.form.mistakes or band not in CHILD_BANDS:
        context = {"waiting": await waiting_of(visit), "label": label, "band": visit.form.raw("band")}
        return visit.page("profile/new.html", {**context, "mistakes": tuple(visit.form.mistakes)}, 422)
    kind = ProfileKind.CLASS if is_school else ProfileKind.CHILD
    async with visit.services.database.write() as connection:
        rows = await read_rows(connection, visit.tenant_id, visit.now)
        new = NewProfile(kind, label, band)
        profile = await create_profile(connection, visit.act, rows.sites[0].id, new, visit.services.shelves.current())
    await visit.services.applier.settle(visit.tenant_id)
    return visit.go(f"/profiles/{profile}?stored=1")


@router.get("/profiles/{profile}")
async def show(profile: str, visit: Reader, stored: bool = False) -> Response:
    """What is on for this child now, and the way to everything else."""
    return await _overview(visit, profile, stored)


@router.post("/profiles/{profile}/off")
async def go_offline(profile: str, visit: Writer) -> Response:
    """No internet until a moment; help stays open."""
    return await _start(visit, profile, OverrideKind.OFF)


@router.post("/profiles/{profile}/open")
async def open_more(profile: str, visit: Writer) -> Response:
    """Some things opened until a moment; what is locked stays locked. Loosens: the password is asked once it is known what to open."""
    return await _start(visit, profile, OverrideKind.OPEN)


@router.post("/profiles/{profile}/acts/{act}/end")
async def end_act(profile: str, act: str, visit: Writer) -> Response:
    """End a timed act now. Ending an offline loosens."""
    async with visit.services.database.read() as connection:
        found = await load_override(connection, visit.tenant_id, act, visit.now)
    if found.profile_id != profile:
        raise NotFound
    if found.kind is OverrideKind.OFF:
        visit.require(Permission.PROFILE_LOOSEN)
    async with visit.services.database.write() as connection:
        await end_override(connection, visit.act, found)
    await visit.services.applier.settle(visit.tenant_id)
    return visit.go(f"/profiles/{profile}?stored=1")


@router.post("/profiles/{profile}/lesson")
async def open_for_class(profile: str, visit: Annotated[Visit, Depends(need(Permission.CLASS_OPEN))]) -> Response:
    """A teacher opens one group that may be delegated for a class, for a lesson; never what is locked."""
    code = visit.form.raw("category")
    minutes = visit.form.one_of("minutes", [str(one) for one in MINUTES])
    async with visit.services.database.read() as connection:
        found = await load_profile(connection, visit.tenant_id, profile)
        rows = await read_rows(connection, visit.tenant_id, visit.now)
        rest_at = moment_in(found, rows, visit.services.shelves.current(), visit.now).rest_at
        shelf = with_rules(visit.services.shelves.current(), rows.above, found)
        acts = rows.overrides
    if found.kind is not ProfileKind.CLASS:
        raise NotFound
    if code not in lesson_groups(shelf, found.band):
        is_locked = code not in shelf.leisure or shelf.cell(code, found.band, found.band).locked
        visit.form.mistake("category", "required" if not code else "locked" if is_locked else "no_lesson")
    if any(act.profile_id == found.id and act.kind is OverrideKind.OFF and act.is_active(visit.now) for act in acts):
        visit.form.mistake("category", "class_off")
    if visit.form.mistakes:
        return await _overview(visit, profile, False, tuple(visit.form.mistakes), 422)
    until = visit.now + timedelta(minutes=int(minutes))
    if rest_at is not None and not visit.form.has("through"):
        until = min(until, rest_at)
    async with visit.services.database.write() as connection:
        await start_override(connection, visit.act, found.id, OverrideKind.OPEN, until, [(TargetKind.CATEGORY, code)])
    await visit.services.applier.settle(visit.tenant_id)
    return visit.go(f"/profiles/{profile}?stored=1")


@router.post("/profiles/{profile}/lesson/end")
async def close_for_class(profile: str, visit: Annotated[Visit, Depends(need(Permission.CLASS_OPEN))]) -> Response:
    """Close it again before its time."""
    async with visit.services.database.write() as connection:
        found = await load_profile(connection, visit.tenant_id, profile)
        for act in await list_overrides(connection, visit.tenant_id, visit.now):
            if act.profile_id == found.id and act.kind is OverrideKind.OPEN:
                await end_override(connection, visit.act, act)
    await visit.services.applier.settle(visit.tenant_id)
    return visit.go(f"/profiles/{profile}?stored=1")


@router.post("/profiles/{profile}/watch")
async def watch_first(profile: str, visit: Loosener) -> Response:
    """For a day only what is locked is blocked, the rest is counted."""
    async with visit.services.database.write() as connection:
        found = await load_profile(connection, visit.tenant_id, profile)
        if found.kind is not ProfileKind.CHILD or found.band not in WATCHABLE:
            raise NotFound
        await start_watch(connection, visit.act, found.id)
    await visit.services.applier.settle(visit.tenant_id)
    return visit.go(f"/profiles/{profile}?stored=1")


@router.post("/profiles/{profile}/watch/end")
async def protect_now(profile: str, visit: Writer) -> Response:
    """Full protection from now on."""
    async with visit.services.database.write() as connection:
        found = await load_profile(connection, visit.tenant_id, profile)
        await end_watch(connection, visit.act, found.id)
    await visit.services.applier.settle(visit.tenant_id)
    return visit.go(f"/profiles/{profile}?stored=1")


@router.get("/profiles/{profile}/settings")
async def show_settings(profile: str, visit: Writer, stored: bool = False) -> Response:
    """Nickname, age, safe search, YouTube, unknown sites."""
    async with visit.services.database.read() as connection:
        found = await load_profile(connection, visit.tenant_id, profile)
        enforcement = await read_enforcement(connection, visit.tenant_id)
    return await _settings_page(visit, found, enforcement, stored)


@router.post("/profiles/{profile}/settings")
async def change_settings(profile: str, visit: Writer) -> Response:
    """Change them; a change that opens anything asks for the password."""
    async with visit.services.database.read() as connection:
        before = await load_profile(connection, visit.tenant_id, profile)
        enforcement = await read_enforcement(connection, visit.tenant_id)
    try:
        after = _read_settings(visit.form, before)
    except InvalidInput as error:
        return await _settings_page(visit, before, enforcement, False, error.mistakes)
    if is_looser(before, after):
        visit.require(Permission.PROFILE_LOOSEN)
    async with visit.services.database.write() as connection:
        if before.band is not after.band:  # what was agreed was agreed for that age
            await stop_history(connection, visit.act, before.id)
        await change_profile(connection, visit.act, before, after)
    await visit.services.applier.settle(visit.tenant_id)
    return visit.go(f"/profiles/{profile}/settings?stored=1")


@router.post("/profiles/{profile}/retire")
async def retire(profile: str, visit: Writer) -> Response:
    """Take a profile away; its devices are new again and get the strictest band, without its hours: that loosens."""
    async with visit.services.database.write() as connection:
        found = await load_profile(connection, visit.tenant_id, profile)
        if found.kind in (ProfileKind.GUEST, ProfileKind.ADULT):
            raise NotFound
        visit.require(Permission.PROFILE_LOOSEN)
        await retire_profile(connection, visit.act, found)
    await visit.services.applier.settle(visit.tenant_id)
    return visit.go("/")


@router.post("/profiles/{profile}/erase")
async def erase(profile: str, visit: Annotated[Visit, Depends(need(Permission.PROFILE_ERASE))]) -> Response:
    """Erase everything that was written about a child or class, here and in backups that are put back later; asked once more first."""
    if not visit.form.has("sure"):
        async with visit.services.database.read() as connection:
            found = await load_profile(connection, visit.tenant_id, profile)
        return visit.page("profile/erase.html", {"profile": found, "waiting": await waiting_of(visit)})
    await erase_everywhere(visit.services, visit.act, profile)
    return visit.go("/?erased=1")


async def erase_everywhere(services: Services, act: Act, profile: str) -> None:
    """In the database, in what is in force, in the copies and backups beside it. First the note, then the rows: a crash between the two
    leaves too much erased in a later restore, never too little. Each of the other steps is done whatever became of those before it; asked
    again after NoRoom, what was left is done. Raises NotFound, NoRoom."""
    state, tenant = services.settings.state_dir, act.tenant
    wanted = ProfileId(profile)
    try:
        async with services.database.read() as connection:
            found = await load_profile(connection, tenant, profile)
    except NotFound:
        if (tenant, wanted) not in await asyncio.to_thread(read_erased, state):
            raise
    else:
        if found.kind in (ProfileKind.GUEST, ProfileKind.ADULT):
            raise NotFound
        note_erased(state, tenant, wanted)
        async with services.database.write() as connection:
            await erase_profile(connection, act, wanted)
    async with contextlib.AsyncExitStack() as then:  # the last one first
        then.push_async_callback(services.applier.forget, tenant)
        then.push_async_callback(_erase_in_kept, services, tenant, wanted)
        then.push_async_callback(asyncio.to_thread, erase_in_copies, state, tenant, wanted)
        then.push_async_callback(asyncio.to_thread, clear_leftovers, state)
        await services.applier.settle(tenant)


async def _erase_in_kept(services: Services, tenant: OrganisationId, profile: ProfileId) -> None:
    async with services.backing_up:  # one that is under way was begun before, and comes to its place first
        await asyncio.to_thread(erase_in_kept, services.settings.state_dir, tenant, profile)


async def _start(visit: Visit, profile: str, kind: OverrideKind) -> Response:
    async with visit.services.database.read() as connection:
        found = await load_profile(connection, visit.tenant_id, profile)
        rows = await read_rows(connection, visit.tenant_id, visit.now)
        rest_at = moment_in(found, rows, visit.services.shelves.current(), visit.now).rest_at
        shelf = with_rules(visit.services.shelves.current(), rows.above, found)
    try:
        targets = _read_targets(visit, shelf, found.band) if kind is OverrideKind.OPEN else []
        clock = read_clock(visit.form.raw("clock"))
        ends_at = read_end(visit.form.raw("until"), clock, visit.now, visit.tenant.time_zone, asks=kind is OverrideKind.OPEN)
        if kind is OverrideKind.OPEN:
            if rest_at is not None and not visit.form.has("through"):
                ends_at = min(ends_at, rest_at)
            check_span(found, visit.now, ends_at, "clock")
    except InvalidInput as error:
        return await _overview(visit, profile, False, error.mistakes, error.status, kind)
    if kind is OverrideKind.OPEN:
        visit.require(Permission.PROFILE_LOOSEN)
    async with visit.services.database.write() as connection:
        if kind is OverrideKind.OFF and await shortens_off(connection, visit.tenant_id, found.id, ends_at, visit.now):
            visit.require(Permission.PROFILE_LOOSEN)
        await start_override(connection, visit.act, found.id, kind, ends_at, targets)
    await visit.services.applier.settle(visit.tenant_id)
    return visit.go(f"/profiles/{profile}?stored=1")


def _read_targets(visit: Visit, shelf: Shelf, band: Band) -> list[tuple[TargetKind, str]]:
    """The things to open, without what is locked for this age. Raises InvalidInput when nothing was chosen, or nothing of it can open."""
    chosen = [name for name in visit.form.many("what") if name in TREATS]
    codes = [code for name in chosen for code in _open_codes(shelf, name, band)]
    if not codes:
        raise InvalidInput(FieldMistake("what", "locked" if chosen else "choose_some"))
    return [(TargetKind.CATEGORY, code) for code in codes]


def _open_codes(shelf: Shelf, treat: str, band: Band) -> list[str]:
    return [code for code in TREATS[treat][1] if code in shelf.catalogue.codes and not shelf.cell(code, band, band).locked]


async def _overview(
    visit: Visit,
    profile: str,
    stored: bool,
    mistakes: tuple[FieldMistake, ...] = (),
    status: int = 200,
    mistaken: OverrideKind | None = None,
) -> Response:
    """The page of one profile; `mistaken` is the act whose form the mistakes belong to, which keeps what was typed in it."""
    shelf = visit.services.shelves.current()
    seen, away = await look_around(visit)
    here = visit.now.astimezone(ZoneInfo(visit.tenant.time_zone))
    async with visit.services.database.read() as connection:
        found = await load_profile(connection, visit.tenant_id, profile)
        rows = await read_rows(connection, visit.tenant_id, visit.now)
        total = (await read_day(connection, visit.tenant_id, here.date().isoformat())).get(found.id)
        enforcement = await read_enforcement(connection, visit.tenant_id)
        watched = await read_watched(connection, visit.tenant_id, found.id)
    shelf = with_rules(shelf, rows.above, found)
    own = rows.switches.get(found.id, {})
    states = list(own.values())
    card = make_card(found, rows, seen, total, shelf, visit.now)
    zone, rest_at = visit.tenant.time_zone, card.moment.rest_at
    opening = CLASS_ENDS if found.kind is ProfileKind.CLASS else ENDS
    passed = read_clock(visit.form.raw("clock")) if any(one.code == "clock_passed" for one in mistakes) else None
    context: dict[str, Any] = {
        "profile": found,
        "card": card,
        "away": away,
        "shelf": shelf,
        "week": draw_week(
            paint_week(rows.hours.get(found.id, ()), with_dates(shelf, rows.dates), monday_of(here.date())),
            visit.services.pages.words[visit.language],
            here,
        ),
        "hours": rows.hours.get(found.id, ()),
        "treats": {name: treat for name, treat in TREATS.items() if _open_codes(shelf, name, found.band)},
        "ends": ENDS,
        "opening_ends": [one for one in opening if one != "morning" or rest_at is None or rest_at >= read_end(one, None, visit.now, zone)],
        "meant": [] if passed is None else ends_meant(passed, visit.now, zone),
        "through": mistaken is not None and visit.form.has("through"),
        "opened": states.count(SwitchState.ALLOW),
        "closed": states.count(SwitchState.BLOCK),
        "names": rows.names.get(found.id, ()),
        "enforcement": enforcement,
        "unserved": look_at(rows, visit.services.applier.around, [one for one in rows.devices if one.profile_id == found.id]),
        "watched_until": rows.watches[found.id][1] if found.id in rows.watches else None,
        "watched": watched,
        "may_watch": found.kind is ProfileKind.CHILD and found.band in WATCHABLE,
        "lessons": MINUTES,
        "lesson_rests": rest_at is not None and rest_at < visit.now + timedelta(minutes=max(MINUTES)),
        "lesson_groups": lesson_groups(shelf, found.band) if found.kind is ProfileKind.CLASS else [],
        "kept_days": rows.kept.get(found.id, 0),
        "stored": stored,
        "mistakes": mistakes,
        "mistaken": mistaken,
        "typed_clock": visit.form.raw("clock") if mistaken else "",
        "typed_what": visit.form.many("what") if mistaken else [],
        "waiting": await waiting_of(visit),
    }
    return visit.page("profile/overview.html", context, status)


def _read_settings(form: Form, before: Profile) -> Profile:
    label = form.text("label", LABEL_LENGTH)
    if before.kind is ProfileKind.CHILD and looks_like_full_name(label):
        form.mistake("label", "label_name")
    band = before.band
    if before.kind in (ProfileKind.CHILD, ProfileKind.CLASS):
        band = form.choice("band", Band, before.band)
        if band not in CHILD_BANDS:
            form.mistake("band", "unknown")
    safe = form.one_of("safe_search", ("default", "on", "off"))
    youtube = form.one_of("youtube", ("default", "strict", "moderate", "off"))
    uncategorised = form.one_of("uncategorised", ("default", "allow", "block"))
    form.check()
    return replace(
        before,
        label=label,
        band=band,
        safe_search={"on": True, "off": False}.get(safe),
        youtube=None if youtube == "default" else youtube,
        uncategorised=None if uncategorised == "default" else uncategorised,
    )


async def _settings_page(
    visit: Visit, profile: Profile, enforcement: Enforcement, stored: bool, mistakes: tuple[FieldMistake, ...] = ()
) -> Response:
    context = {
        "profile": profile,
        "enforcement": enforcement,
        "stored": stored,
        "mistakes": mistakes,
        "waiting": await waiting_of(visit),
        "defaults": visit.services.shelves.current().catalogue.defaults[profile.band],
    }
    return visit.page("profile/settings.html", context, 422 if mistakes else 200)
