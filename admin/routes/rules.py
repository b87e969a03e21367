"""What holds for a profile: hours, apps, groups of content, names. Each has a page of its own; a change that opens anything asks for the
password."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends
from starlette.responses import Response

from admin.apply import read_enforcement
from admin.asking import fold
from admin.catalogue import Shelf
from admin.dates import list_dates, with_dates
from admin.dependencies import Visit, need
from admin.errors import AdminError, Conflict, FieldMistake, InvalidInput
from admin.foresight import foresee
from admin.forms import Form, read_clock
from admin.hours import MOST_HOURS, Hours, is_looser, list_hours, paint_week, set_hours
from admin.locks import bases_of
from admin.names import add_name, list_names, read_pattern, remove_name
from admin.officetighten import rules_for, with_rules
from admin.overrides import list_overrides
from admin.pages.weekgrid import draw_week, monday_of
from admin.permissions import Permission
from admin.profiles import Profile, list_profiles, load_profile, strictest_band
from admin.routes.home import waiting_of
from admin.switches import EXITS, EXITS_SWITCH, Switches, check_switch, is_loosening, is_open, list_switches, opened_until, set_switch
from admin.timetable import day_names, write_timetable
from admin.values import WEEKDAYS, Days, HoursEffect, NameEffect, SwitchKind, SwitchState
from gateway.policy.catalogue import Service
from gateway.policy.model import Band

router = APIRouter()

Reader = Annotated[Visit, Depends(need(Permission.PROFILE_READ))]
Writer = Annotated[Visit, Depends(need(Permission.PROFILE_TIGHTEN))]

#: Groups of services that a parent may want to open or close; the others stand under groups of content, where they are locked.
SHOWN_GROUPS = ("short-video", "social", "video", "games", "chat", "ai", "music", "live", "shopping", "search", "dating", "crypto")
#: Letters from which on a word may mean an app, and how many apps are named.
MEANT, MOST_MEANT = 3, 4


@router.get("/profiles/{profile}/hours")
async def show_hours(profile: str, visit: Reader, stored: bool = False) -> Response:
    """The hours as rows of a form, and as a picture of the week."""
    async with visit.services.database.read() as connection:
        found = await load_profile(connection, visit.tenant_id, profile)
        rows = await list_hours(connection, visit.tenant_id, found.id)
    return await _hours_page(visit, found, rows, stored)


@router.post("/profiles/{profile}/hours")
async def change_hours(profile: str, visit: Writer) -> Response:
    """Replace the hours; `add` only shows one more row."""
    async with visit.services.database.read() as connection:
        found = await load_profile(connection, visit.tenant_id, profile)
        before = await list_hours(connection, visit.tenant_id, found.id)
        shelf = with_dates(visit.services.shelves.current(), await list_dates(connection, visit.tenant_id))
    rows, mistakes = _read_hours(visit.form)
    if visit.form.has("add"):
        return await _hours_page(visit, found, [*rows, Hours(Days.SCHOOL, "", "", HoursEffect.REST)], False)
    rows = [row for row in rows if row.starts or row.ends]
    if mistakes:
        return await _hours_page(visit, found, rows, False, tuple(mistakes))
    monday = monday_of(visit.now.astimezone(ZoneInfo(visit.tenant.time_zone)).date())
    rows += [row for row in before if row.days in WEEKDAYS]  # lessons have a page of their own
    if is_looser(before, rows, shelf, monday):
        visit.require(Permission.PROFILE_LOOSEN)
    async with visit.services.database.write() as connection:
        await set_hours(connection, visit.act, found.id, rows)
    await visit.services.applier.settle(visit.tenant_id)
    return visit.go(f"/profiles/{profile}/hours?stored=1")


@router.get("/profiles/{profile}/apps")
async def show_apps(profile: str, visit: Reader, stored: bool = False, q: str = "", group: str = "") -> Response:
    """The groups of services, one of them with its rows: open or closed, with what is locked. With `q`: every service whose name has these
    letters, marks or not, in its group. One group at a time, so that the page is light for an old phone."""
    found, strictest, own, shelf = await _switches_of(visit, profile)
    groups: list[tuple[Any, list[tuple[Any, bool, bool]]]] = []
    by_id = {group.id: group for group in shelf.groups}
    shown = [by_id[one] for one in SHOWN_GROUPS if one in by_id]
    for each in shown:
        rows = [
            (
                service,
                is_open(shelf, own, found, strictest, SwitchKind.SERVICE, service.id),
                shelf.is_locked(service, found.band, strictest),
            )
            for service in each.services
        ]
        groups.append((each, rows))
    sought = fold(q[:60])
    if sought:
        names = {row[0].id: fold(f"{row[0].name_vi} {row[0].name_en}") for _, rows in groups for row in rows}
        groups = [(each, hits) for each, rows in groups if (hits := [row for row in rows if sought in names[row[0].id]])]
    bases = bases_of("H", visit.now.date())
    mine = {code for kind, code in own if kind is SwitchKind.SERVICE}
    codes = [row[0].id for _, rows in groups for row in rows]
    until = await _opened_of(visit, found, strictest, own, shelf, SwitchKind.SERVICE, codes)
    at_hand = group if group in {each.id for each in shown} else next((each.id for each in shown), "")
    context: dict[str, Any] = {"bases": bases, "groups": groups, "sought": q.strip()[:60], "own": mine, "at_hand": at_hand}
    context |= {"until": until, "open_now": {each.id: sum(1 for row in rows if row[1] or row[0].id in until) for each, rows in groups}}
    context["unchecked"] = any(not row[0].verified for each, rows in groups if sought or each.id == at_hand for row in rows)
    return await _page(visit, "profile/apps.html", found, stored, context)


@router.get("/profiles/{profile}/groups")
async def show_groups(profile: str, visit: Reader, stored: bool = False) -> Response:
    """Every group of content, open or closed, with what is locked and why."""
    found, strictest, own, shelf = await _switches_of(visit, profile)
    rows = [(row, is_open(shelf, own, found, strictest, SwitchKind.CATEGORY, row.code)) for row in shelf.rows(found.band, strictest)]
    having = {code for code, count in shelf.entries.items() if count}
    free = [(row, opened) for row, opened in rows if not row.cell.locked]
    exits = [opened for row, opened in free if row.code in EXITS]
    if len(exits) == len(EXITS):
        free = [(row, opened) for row, opened in free if row.code not in EXITS]
    context = {
        "exits": any(exits) if len(exits) == len(EXITS) else None,
        "exits_switch": EXITS_SWITCH,
        "rows": [(row, opened) for row, opened in free if row.code in having],
        "unlisted": [(row, opened) for row, opened in free if row.code not in having],
        "until": await _opened_of(visit, found, strictest, own, shelf, SwitchKind.CATEGORY, [row.code for row, _ in free]),
        "has_partly": any(row.partly for row, _ in free),
        "locked": [row for row, _ in rows if row.cell.locked],
        "having": having,
        "above": shelf.above,
        "bases": {tier: bases_of(tier, visit.now.date()) for tier in ("L", "H")},
    }
    return await _page(visit, "profile/groups.html", found, stored, context)


@router.post("/profiles/{profile}/apps")
async def switch_app(profile: str, visit: Writer) -> Response:
    """Open or close one service."""
    return await _switch(visit, profile, SwitchKind.SERVICE, "apps")


@router.post("/profiles/{profile}/groups")
async def switch_group(profile: str, visit: Writer) -> Response:
    """Open or close one group of content."""
    return await _switch(visit, profile, SwitchKind.CATEGORY, "groups")


@router.get("/profiles/{profile}/names")
async def show_names(profile: str, visit: Reader, stored: bool = False, name: str = "") -> Response:
    """The listed names; for a name that was typed, what happens to it now and what either list would change."""
    async with visit.services.database.read() as connection:
        found = await load_profile(connection, visit.tenant_id, profile)
    return await _names_page(visit, found, stored, (), name[:300])


@router.post("/profiles/{profile}/names")
async def change_names(profile: str, visit: Writer) -> Response:
    """List a name as allowed or denied."""
    effect = visit.form.choice("effect", NameEffect, NameEffect.DENY)
    text = visit.form.text("name", 300)
    async with visit.services.database.read() as connection:
        found = await load_profile(connection, visit.tenant_id, profile)
    try:
        visit.form.check()
        pattern = read_pattern(text, effect, visit.services.shelves.current().catalogue)
        if effect is NameEffect.ALLOW:
            visit.require(Permission.PROFILE_LOOSEN)
        async with visit.services.database.write() as connection:
            await add_name(connection, visit.act, found.id, effect, pattern)
    except (InvalidInput, Conflict) as error:
        return await _names_page(visit, found, False, _mistakes(error), text)
    await visit.services.applier.settle(visit.tenant_id)
    return visit.go(f"/profiles/{profile}/names?stored=1")


@router.post("/profiles/{profile}/names/{rule}/remove")
async def take_off(profile: str, rule: str, visit: Writer) -> Response:
    """Take a name off; taking off a denied one loosens."""
    async with visit.services.database.read() as connection:
        found = await load_profile(connection, visit.tenant_id, profile)
        listed = await list_names(connection, visit.tenant_id, found.id)
    if any(one.id == rule and one.effect is NameEffect.DENY for one in listed):
        visit.require(Permission.PROFILE_LOOSEN)
    async with visit.services.database.write() as connection:
        await remove_name(connection, visit.act, found.id, rule)
    await visit.services.applier.settle(visit.tenant_id)
    return visit.go(f"/profiles/{profile}/names?stored=1")


async def _switch(visit: Visit, profile: str, kind: SwitchKind, page: str) -> Response:
    found, strictest, own, shelf = await _switches_of(visit, profile)
    code, _, wanted = visit.form.raw("set").rpartition(" ")
    if wanted not in ("allow", "block"):
        raise InvalidInput(FieldMistake("set", "unknown"))
    asked = SwitchState(wanted)
    changes: list[tuple[str, SwitchState | None]] = []
    for each in EXITS if (kind, code) == (SwitchKind.CATEGORY, EXITS_SWITCH) else (code,):
        check_switch(shelf, found, strictest, kind, each, asked)
        without = {key: value for key, value in own.items() if key != (kind, each)}
        is_usual = is_open(shelf, without, found, strictest, kind, each) == (asked is SwitchState.ALLOW)
        state = None if is_usual else asked  # what the band has anyway: no switch of one's own
        if is_loosening(shelf, own, found, strictest, kind, each, state):
            visit.require(Permission.PROFILE_LOOSEN)
        changes.append((each, state))
    async with visit.services.database.write() as connection:
        for each, state in changes:
            await set_switch(connection, visit.act, found.id, kind, each, state)
    await visit.services.applier.settle(visit.tenant_id)
    group = next((one.id for one in shelf.groups if kind is SwitchKind.SERVICE and any(each.id == code for each in one.services)), "")
    return visit.go(f"/profiles/{profile}/{page}?stored=1{f'&group={group}' if group else ''}#{code}")


async def _switches_of(visit: Visit, profile: str) -> tuple[Profile, Band, Any, Shelf]:
    async with visit.services.database.read() as connection:
        found = await load_profile(connection, visit.tenant_id, profile)
        strictest = strictest_band(await list_profiles(connection, visit.tenant_id))
        shelf = with_rules(visit.services.shelves.current(), await rules_for(connection, visit.tenant), found)
        return found, strictest, await list_switches(connection, visit.tenant_id, found.id), shelf


async def _opened_of(
    visit: Visit, profile: Profile, strictest: Band, own: Switches, shelf: Shelf, kind: SwitchKind, codes: Sequence[str]
) -> dict[str, datetime]:
    """What somebody opened on top of the switches now, and until when."""
    async with visit.services.database.read() as connection:
        acts = await list_overrides(connection, visit.tenant_id, visit.now)
    acts = [act for act in acts if act.profile_id == profile.id and act.is_active(visit.now)]
    ends = {code: opened_until(shelf, own, profile, strictest, kind, code, acts) for code in codes}
    return {code: end for code, end in ends.items() if end is not None}


def _read_hours(form: Form) -> tuple[list[Hours], list[FieldMistake]]:
    """The rows of the form; a row whose two times are empty is left out later. The first row left is the field `hours-1`."""
    columns = [form.many(name, MOST_HOURS + 1) for name in ("days", "starts", "ends", "effect")]
    removed = set(form.many("remove"))
    rows: list[Hours] = []
    mistakes: list[FieldMistake] = []
    for place, (days, starts, ends, effect) in enumerate(zip(*columns, strict=False)):
        if str(place) in removed or days not in set(Days) - set(WEEKDAYS) or effect not in set(HoursEffect):
            continue
        first, last = read_clock(starts), read_clock(ends)
        field = f"hours-{sum(1 for row in rows if row.starts or row.ends) + 1}"
        if (starts or ends) and (first is None or last is None or first == "24:00"):
            mistakes.append(FieldMistake(field, "clock"))
        elif first is not None and first == last:
            mistakes.append(FieldMistake(field, "same_clock"))
        rows.append(Hours(Days(days), first or starts, last or ends, HoursEffect(effect)))
    if len(rows) > MOST_HOURS:
        mistakes.append(FieldMistake("hours", "too_many_hours"))
    return rows, mistakes


async def _hours_page(visit: Visit, profile: Profile, rows: list[Hours], stored: bool, mistakes: tuple[FieldMistake, ...] = ()) -> Response:
    rows = [row for row in rows if row.days not in WEEKDAYS]
    async with visit.services.database.read() as connection:
        own = await list_dates(connection, visit.tenant_id)
        lessons = [row for row in await list_hours(connection, visit.tenant_id, profile.id) if row.days in WEEKDAYS]
    shelf = with_dates(visit.services.shelves.current(), own)
    here = visit.now.astimezone(ZoneInfo(visit.tenant.time_zone))
    whole = [row for row in rows if read_clock(row.starts) and read_clock(row.ends) and row.starts != row.ends]
    week = draw_week(paint_week([*whole, *lessons], shelf, monday_of(here.date())), visit.services.pages.words[visit.language], here)
    days = [one for one in Days if one not in WEEKDAYS]
    context = {"rows": rows, "week": week, "days": days, "effects": list(HoursEffect), "own": own}
    context["lessons"] = write_timetable(lessons, day_names(visit.language))
    today = here.date()
    context["summers"] = [span for span in shelf.summers if span[1] >= today][:1]
    context["days_off"] = [one for one in shelf.days_off if one.last >= today][:3]
    context["coming"] = [span for span in shelf.exams if span[1] >= today]
    return await _page(visit, "profile/hours.html", profile, stored, context, mistakes)


async def _names_page(visit: Visit, profile: Profile, stored: bool, mistakes: tuple[FieldMistake, ...] = (), typed: str = "") -> Response:
    shelf = visit.services.shelves.current()
    async with visit.services.database.read() as connection:
        listed = await list_names(connection, visit.tenant_id, profile.id)
        strictest = strictest_band(await list_profiles(connection, visit.tenant_id))
    context: dict[str, Any] = {
        "allowed": [rule for rule in listed if rule.effect is NameEffect.ALLOW],
        "denied": [rule for rule in listed if rule.effect is NameEffect.DENY],
        "typed": typed,
        "pattern": "",
        "verdict": None,
        "outcomes": {},
        "groups": [],
    }
    if typed and not mistakes:
        try:
            context["pattern"] = pattern = read_pattern(typed, NameEffect.ALLOW, shelf.catalogue)
        except InvalidInput as error:
            mistakes = error.mistakes
        else:
            host = pattern.removeprefix("=").removeprefix("*.")
            verdict = await visit.services.foresight.judge(visit.tenant_id, profile.id, host, visit.now)
            context["verdict"] = verdict
            if verdict is not None:
                band = strictest if profile.band is Band.KH else profile.band
                context["outcomes"] = {effect.value: foresee(verdict, host, effect, shelf, band).value for effect in NameEffect}
                context["groups"] = [shelf.name_of(code, visit.language) for code in verdict.categories]
    context["apps"] = _apps_named(shelf, typed) if mistakes or "." not in typed else []
    return await _page(visit, "profile/names.html", profile, stored, context, mistakes)


def _apps_named(shelf: Shelf, typed: str) -> list[Service]:
    """The apps that somebody meant who typed a name instead of an address: "Facebook", "tik tok"."""
    sought = fold(typed[:60]).replace(" ", "")
    if len(sought) < MEANT:
        return []
    shown = [service for group in shelf.groups if group.id in SHOWN_GROUPS for service in group.services]
    names = [(service, fold(service.name_vi).replace(" ", ""), fold(service.name_en).replace(" ", "")) for service in shown]
    return [service for service, *called in names if any(sought in one for one in called)][:MOST_MEANT]


async def _page(
    visit: Visit, template: str, profile: Profile, stored: bool, context: dict[str, Any], mistakes: tuple[FieldMistake, ...] = ()
) -> Response:
    async with visit.services.database.read() as connection:
        enforcement = await read_enforcement(connection, visit.tenant_id)
    base = {
        "profile": profile,
        "stored": stored,
        "enforcement": enforcement,
        "mistakes": mistakes,
        "waiting": await waiting_of(visit),
        "shelf": visit.services.shelves.current(),
        "may_change": visit.may(Permission.PROFILE_TIGHTEN),
    }
    return visit.page(template, {**base, **context}, 422 if mistakes else 200)


def _mistakes(error: AdminError) -> tuple[FieldMistake, ...]:
    return error.mistakes if isinstance(error, InvalidInput) else (FieldMistake(error.field or "name", error.code),)
