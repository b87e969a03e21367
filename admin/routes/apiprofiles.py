"""The API's profiles: make, read, change, switches, names, timed acts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Response

from admin.dates import with_dates
from admin.errors import Conflict, FieldMistake, InvalidInput, NotFound
from admin.history import stop_history
from admin.hours import Hours, set_hours
from admin.hours import is_looser as are_hours_looser
from admin.lessons import check_span
from admin.moment import moment_in
from admin.names import add_name, list_names, read_pattern, remove_name
from admin.officetighten import with_rules
from admin.overrides import LONGEST, Override, end_override, list_overrides, load_override, shortens_off, start_override
from admin.pages.weekgrid import monday_of
from admin.permissions import Permission
from admin.policyfile import TenantRows, read_rows
from admin.profiles import NewProfile, Profile, change_profile, create_profile, is_looser, retire_profile, strictest_band
from admin.routes.api import PAGE, After, Caller, IdempotencyKey, Limit, caller, cut_page, made_before, note_made, page_of
from admin.schemas import (
    HoursModel,
    MomentOut,
    NameIn,
    NameOut,
    OverrideIn,
    OverrideOut,
    PageOf,
    ProfileChange,
    ProfileIn,
    ProfileOut,
    SwitchIn,
    TargetModel,
)
from admin.setup import band_of_class
from admin.switches import check_switch, is_loosening, set_switch
from admin.values import Days, HoursEffect, NameEffect, OverrideKind, ProfileKind, SwitchKind, TargetKind
from blocklists.tables import OrganisationKind
from gateway.policy.catalogue import Catalogue
from gateway.policy.model import Band

router = APIRouter(tags=["profiles"])

Reader = Annotated[Caller, Depends(caller(Permission.PROFILE_READ))]
Writer = Annotated[Caller, Depends(caller(Permission.PROFILE_TIGHTEN))]


@router.get("/profiles")
async def list_all(who: Reader, limit: Limit = PAGE, after: After = None) -> PageOf[ProfileOut]:
    """Every profile: children and classes, adults, guests."""
    rows = await _rows(who)
    page, following = cut_page(list(rows.profiles), lambda profile: profile.id, after, limit)
    return PageOf(items=[_out(who, rows, profile) for profile in page], next=following)


@router.post("/profiles", status_code=201)
async def create(who: Writer, new: ProfileIn, response: Response, key: IdempotencyKey = None) -> ProfileOut:
    """A child or a class, with the hours its band starts with. For a class the grade in its name must fit the band."""
    is_school = who.tenant.kind is OrganisationKind.SCHOOL
    if is_school and band_of_class(new.label) is not Band(new.band):
        raise InvalidInput(FieldMistake("label", "class_form"))
    kind = ProfileKind.CLASS if is_school else ProfileKind.CHILD
    async with who.services.database.write() as connection:
        made = await made_before(connection, who, key, "profile", new)
        if made is None:
            rows = await read_rows(connection, who.tenant_id, who.now)
            shelf = who.services.shelves.current()
            made = await create_profile(connection, who.act, rows.sites[0].id, NewProfile(kind, new.label, Band(new.band)), shelf)
            await note_made(connection, who, key, made, "profile", new)
    await who.services.applier.settle(who.tenant_id)
    response.headers["Location"] = f"/api/v1/profiles/{made}"
    return await _one(who, made)


@router.get("/profiles/{profile}")
async def read(who: Reader, profile: str) -> ProfileOut:
    """One profile."""
    return await _one(who, profile)


@router.patch("/profiles/{profile}")
async def change(who: Writer, profile: str, wanted: ProfileChange) -> ProfileOut:
    """Change some fields. What opens anything needs the right to loosen."""
    rows = await _rows(who)
    before = _find(rows, profile)
    after = _changed(before, wanted)
    old_hours = list(rows.hours.get(profile, ()))
    new_hours = old_hours if wanted.hours is None else [_hours(row) for row in wanted.hours]
    shelf = with_dates(who.services.shelves.current(), rows.dates)
    monday = monday_of(who.now.astimezone(ZoneInfo(rows.time_zone)).date())
    if is_looser(before, after) or are_hours_looser(old_hours, new_hours, shelf, monday):
        who.require(Permission.PROFILE_LOOSEN)
    async with who.services.database.write() as connection:
        if before.band is not after.band:  # what was agreed was agreed for that age
            await stop_history(connection, who.act, before.id)
        await change_profile(connection, who.act, before, after)
        await set_hours(connection, who.act, before.id, new_hours)
    await who.services.applier.settle(who.tenant_id)
    return await _one(who, profile)


@router.delete("/profiles/{profile}", status_code=204)
async def remove(who: Writer, profile: str) -> None:
    """Take a child or class away; its devices become new again. Needs the right to loosen. Adults and guests stay
    (409 `profile_stays`)."""
    found = _find(await _rows(who), profile)
    if found.kind not in (ProfileKind.CHILD, ProfileKind.CLASS):
        raise Conflict("profile_stays", "profile")
    who.require(Permission.PROFILE_LOOSEN)
    async with who.services.database.write() as connection:
        await retire_profile(connection, who.act, found)
    await who.services.applier.settle(who.tenant_id)


@router.put("/profiles/{profile}/category/{code}")
async def switch_category(who: Writer, profile: str, code: str, wanted: SwitchIn) -> ProfileOut:
    """Open or close one category, or leave it to the band; 409 `locked` for one that this age cannot have open."""
    return await _switch(who, profile, SwitchKind.CATEGORY, code, wanted)


@router.put("/profiles/{profile}/service/{code}")
async def switch_service(who: Writer, profile: str, code: str, wanted: SwitchIn) -> ProfileOut:
    """Open or close one service, or leave it to its categories; 409 `locked` for one that this age cannot have open."""
    return await _switch(who, profile, SwitchKind.SERVICE, code, wanted)


def name_codes(schema: dict[str, Any], catalogue: Catalogue) -> None:
    """Say in the published schema which codes the two switches know: those of the catalogue in use."""
    codes = {"category": catalogue.codes - catalogue.order_only, "service": catalogue.service_ids}
    for kind, known in codes.items():
        for one in schema["paths"][f"/profiles/{{profile}}/{kind}/{{code}}"]["put"]["parameters"]:
            if one["name"] == "code":
                one["schema"] = {"type": "string", "enum": sorted(known)}


async def _switch(who: Caller, profile: str, kind: SwitchKind, code: str, wanted: SwitchIn) -> ProfileOut:
    rows = await _rows(who)
    found = _find(rows, profile)
    shelf = with_rules(who.services.shelves.current(), rows.above, found)
    strictest = strictest_band(list(rows.profiles))
    try:
        check_switch(shelf, found, strictest, kind, code, wanted.state)
    except InvalidInput as error:  # the code is right; this profile's age has it locked
        if [one.code for one in error.mistakes] == ["locked"]:
            raise Conflict("locked", "code") from error
        raise
    if is_loosening(shelf, rows.switches.get(profile, {}), found, strictest, kind, code, wanted.state):
        who.require(Permission.PROFILE_LOOSEN)
    async with who.services.database.write() as connection:
        await set_switch(connection, who.act, found.id, kind, code, wanted.state)
    await who.services.applier.settle(who.tenant_id)
    return await _one(who, profile)


@router.post("/profiles/{profile}/names", status_code=201)
async def list_name(who: Writer, profile: str, new: NameIn, key: IdempotencyKey = None) -> NameOut:
    """List a name as allowed or denied."""
    found = _find(await _rows(who), profile)
    pattern = read_pattern(new.name, new.effect, who.services.shelves.current().catalogue)
    if new.effect is NameEffect.ALLOW:
        who.require(Permission.PROFILE_LOOSEN)
    async with who.services.database.write() as connection:
        made = await made_before(connection, who, key, "name", new, profile)
        if made is None:
            await add_name(connection, who.act, found.id, new.effect, pattern)
        listed = await list_names(connection, who.tenant_id, found.id)
        rule = next(
            (one for one in listed if one.id == made or (made is None and (one.pattern, one.effect) == (pattern, new.effect))), None
        )
        if rule is None:
            raise NotFound
        if made is None:
            await note_made(connection, who, key, rule.id, "name", new, profile)
    await who.services.applier.settle(who.tenant_id)
    return NameOut(id=rule.id, name=rule.pattern, effect=rule.effect)


@router.delete("/profiles/{profile}/names/{rule}", status_code=204)
async def take_off(who: Writer, profile: str, rule: str) -> None:
    """Take a name off; taking off a denied one needs the right to loosen."""
    rows = await _rows(who)
    found = _find(rows, profile)
    if any(one.id == rule and one.effect is NameEffect.DENY for one in rows.names.get(profile, ())):
        who.require(Permission.PROFILE_LOOSEN)
    async with who.services.database.write() as connection:
        await remove_name(connection, who.act, found.id, rule)
    await who.services.applier.settle(who.tenant_id)


@router.get("/profiles/{profile}/overrides")
async def list_acts(who: Reader, profile: str, limit: Limit = PAGE, after: After = None) -> PageOf[OverrideOut]:
    """The timed acts that have not ended."""
    rows = await _rows(who)
    found = _find(rows, profile)
    return page_of([_act_out(act) for act in rows.overrides if act.profile_id == found.id], after, limit)


@router.post("/profiles/{profile}/overrides", status_code=201)
async def start(who: Writer, profile: str, new: OverrideIn, key: IdempotencyKey = None) -> OverrideOut:
    """Off until a moment, or open some things until a moment. Opening needs the right to loosen."""
    rows = await _rows(who)
    found = _find(rows, profile)
    kind = OverrideKind(new.kind)
    if new.until.tzinfo is None or new.until <= who.now:
        raise InvalidInput(FieldMistake("until", "time_past"))
    if new.until - who.now > LONGEST + timedelta(minutes=1):
        raise InvalidInput(FieldMistake("until", "time_far"))
    if kind is OverrideKind.OPEN:
        who.require(Permission.PROFILE_LOOSEN)
    targets = _targets(who, new.targets) if kind is OverrideKind.OPEN else []
    if kind is OverrideKind.OPEN and not targets:
        raise InvalidInput(FieldMistake("targets", "required"))
    if kind is OverrideKind.OPEN:
        check_span(found, who.now, new.until, "until")
    rest_at = moment_in(found, rows, who.services.shelves.current(), who.now).rest_at
    if kind is OverrideKind.OPEN and rest_at is not None and new.until > rest_at and not new.through_rest:
        raise InvalidInput(FieldMistake("until", "time_rest"))
    async with who.services.database.write() as connection:
        made = await made_before(connection, who, key, "override", new, profile)
        if made is None:
            if kind is OverrideKind.OFF and await shortens_off(connection, who.tenant_id, found.id, new.until, who.now):
                who.require(Permission.PROFILE_LOOSEN)
            made = await start_override(connection, who.act, found.id, kind, new.until, targets)
            await note_made(connection, who, key, made, "override", new, profile)
        act = await load_override(connection, who.tenant_id, made, who.now)
    await who.services.applier.settle(who.tenant_id)
    return _act_out(act)


@router.delete("/profiles/{profile}/overrides/{act}", status_code=204)
async def end(who: Writer, profile: str, act: str) -> None:
    """End an act now; ending an offline needs the right to loosen."""
    async with who.services.database.read() as connection:
        found = next((one for one in await list_overrides(connection, who.tenant_id, who.now) if one.id == act), None)
    if found is None or found.profile_id != profile:
        raise NotFound
    if found.kind is OverrideKind.OFF:
        who.require(Permission.PROFILE_LOOSEN)
    async with who.services.database.write() as connection:
        await end_override(connection, who.act, found)
    await who.services.applier.settle(who.tenant_id)


async def _rows(who: Caller) -> TenantRows:
    async with who.services.database.read() as connection:
        return await read_rows(connection, who.tenant_id, who.now)


async def _one(who: Caller, profile: str) -> ProfileOut:
    rows = await _rows(who)
    return _out(who, rows, _find(rows, profile))


def _find(rows: TenantRows, profile: str) -> Profile:
    for found in rows.profiles:
        if found.id == profile:
            return found
    raise NotFound


def _out(who: Caller, rows: TenantRows, profile: Profile) -> ProfileOut:
    own = rows.switches.get(profile.id, {})
    hours = list(rows.hours.get(profile.id, ()))
    moment = moment_in(profile, rows, who.services.shelves.current(), who.now)
    return ProfileOut(
        id=profile.id,
        kind=profile.kind,
        label=profile.label,
        band=profile.band,
        safe_search=profile.safe_search,
        youtube=profile.youtube,
        uncategorised=profile.uncategorised,
        hours=[
            HoursModel.model_validate({"days": row.days.value, "starts": row.starts, "ends": row.ends, "effect": row.effect.value})
            for row in hours
        ],
        categories={code: state for (kind, code), state in own.items() if kind is SwitchKind.CATEGORY},
        services={code: state for (kind, code), state in own.items() if kind is SwitchKind.SERVICE},
        names=[NameOut(id=rule.id, name=rule.pattern, effect=rule.effect) for rule in rows.names.get(profile.id, ())],
        now=MomentOut.model_validate({"standing": moment.standing.value, "until": moment.until}),
    )


def _changed(before: Profile, wanted: ProfileChange) -> Profile:
    sent = wanted.model_fields_set
    after = before
    if "label" in sent and wanted.label is not None:
        after = replace(after, label=wanted.label)
    if "band" in sent and wanted.band is not None:
        if before.kind not in (ProfileKind.CHILD, ProfileKind.CLASS):
            raise InvalidInput(FieldMistake("band", "unknown"))
        after = replace(after, band=Band(wanted.band))
    if wanted.safe_search is not None:
        after = replace(after, safe_search={"on": True, "off": False}.get(wanted.safe_search))
    if wanted.youtube is not None:
        after = replace(after, youtube=None if wanted.youtube == "default" else wanted.youtube)
    if wanted.uncategorised is not None:
        after = replace(after, uncategorised=None if wanted.uncategorised == "default" else wanted.uncategorised)
    return after


def _hours(row: HoursModel) -> Hours:
    if row.starts == row.ends or row.starts == "24:00":
        raise InvalidInput(FieldMistake("hours", "same_clock"))
    return Hours(Days(row.days), row.starts, row.ends, HoursEffect(row.effect))


def _targets(who: Caller, targets: list[TargetModel]) -> list[tuple[TargetKind, str]]:
    catalogue = who.services.shelves.current().catalogue
    known = {TargetKind.CATEGORY: catalogue.codes, TargetKind.SERVICE: catalogue.service_ids}
    found: list[tuple[TargetKind, str]] = []
    for target in targets:
        if target.kind is TargetKind.NAME or target.value not in known[target.kind]:
            raise InvalidInput(FieldMistake("targets", "unknown"))
        found.append((target.kind, target.value))
    return found


def _act_out(act: Override) -> OverrideOut:
    return OverrideOut(
        id=act.id,
        profile=act.profile_id,
        kind=act.kind,
        starts_at=act.starts_at,
        until=act.ends_at,
        targets=[TargetModel(kind=kind, value=value) for kind, value in act.targets],
    )
