"""Devices: the new ones that wait for a name, and whose the others are."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from admin.apply import read_enforcement
from admin.dependencies import Visit, address_of, need
from admin.devices import (
    assign_device,
    frees_new_device,
    frees_when_forgotten,
    group_seen,
    has_private_mac,
    is_looser_owner,
    judge_owner,
    load_device,
    matches_of,
    move_device,
    read_match,
    retire_device,
)
from admin.errors import AdminError, Conflict, FieldMistake, InvalidInput
from admin.home import last_seen, unnamed_devices
from admin.homelink import Home, judge_address
from admin.moment import Moment, moment_in
from admin.onboarding import load_phone, reach_of
from admin.pages.phrases import MISTAKES
from admin.permissions import Permission
from admin.policyfile import TenantRows, has_policy, read_rows
from admin.profiles import LABEL_LENGTH, load_profile, load_strictest
from admin.routes.home import look_around, waiting_of
from admin.routes.onboarding import may_show
from admin.routes.setup import gateway_addresses
from admin.setup import public_url
from admin.sharing import adults_of
from admin.tenants import is_hosted
from admin.unserved import look_at, refuse_elsewhere
from admin.values import ProfileKind
from blocklists.tables import OrganisationKind

router = APIRouter()

Reader = Annotated[Visit, Depends(need(Permission.DEVICE_READ))]
Writer = Annotated[Visit, Depends(need(Permission.DEVICE_ASSIGN))]


@router.get("/devices")
async def show(visit: Reader, stored: bool = False) -> Response:
    """New devices first, then everybody's."""
    return await show_devices(visit, stored)


@router.post("/devices")
async def assign(visit: Writer) -> Response:
    """Give a new device to somebody. Giving it to anybody freer than the strictest frees it, so it asks for the password."""
    try:
        address = visit.form.text("address", 60)
        owner = visit.form.raw("adults")[:40] or visit.form.raw("owner")[:40]  # the press "this is an adult's", or the choice
        if not owner:
            visit.form.mistake("owner", "choose")
        label = visit.form.text("label", LABEL_LENGTH, required=False)
        visit.form.check()
        match = read_match(address)
        if match is None:
            raise InvalidInput(FieldMistake("address", "device_form"))
        seen, _ = await look_around(visit)
        known = next((one for one in group_seen(seen) if match.value in (one.address, *one.others)), None)
        matches = matches_of(known) if known is not None and visit.form.has("seen") else (match,)
        async with visit.services.database.read() as connection:
            profile = await load_profile(connection, visit.tenant_id, owner)
            strictest = await load_strictest(connection, visit.tenant_id)
            rows = await read_rows(connection, visit.tenant_id, visit.now)
        refuse_elsewhere(matches, "address", replace(rows, around=visit.services.applier.around))
        judge_owner(visit.tenant.kind, profile, matches)
        if frees_new_device(strictest, profile):
            visit.require(Permission.PROFILE_LOOSEN)
        words = visit.services.pages.words[visit.language]
        name = label or words.gettext("{name}’s device").format(name=profile.label)
        async with visit.services.database.write() as connection:
            await assign_device(connection, visit.act, profile.id, name[:LABEL_LENGTH], matches)
    except (InvalidInput, Conflict) as error:
        return await show_devices(visit, mistakes=mistakes_of(error), pressed=address if visit.form.has("seen") else "")
    await visit.services.applier.settle(visit.tenant_id)
    return visit.go("/devices?stored=1")


@router.post("/devices/{device}")
async def change(device: str, visit: Writer) -> Response:
    """Give a device to somebody else, or rename it. A freer owner asks for the password."""
    async with visit.services.database.read() as connection:
        found = await load_device(connection, visit.tenant_id, device)
        before = await load_profile(connection, visit.tenant_id, found.profile_id)
        after = await load_profile(connection, visit.tenant_id, visit.form.raw("owner") or found.profile_id)
    label = visit.form.text("label", LABEL_LENGTH)
    if visit.form.mistakes or after.kind is ProfileKind.GUEST:
        return await show_devices(visit, mistakes=tuple(visit.form.mistakes) or (FieldMistake("owner", "unknown"),))
    if after.id != before.id:
        try:
            judge_owner(visit.tenant.kind, after, found.matches)
        except InvalidInput as error:
            return await show_devices(visit, mistakes=error.mistakes)
    if is_looser_owner(before, after):
        visit.require(Permission.PROFILE_LOOSEN)
    async with visit.services.database.write() as connection:
        await move_device(connection, visit.act, found, after.id, label)
    await visit.services.applier.settle(visit.tenant_id)
    return visit.go("/devices?stored=1")


@router.post("/devices/{device}/forget")
async def forget(device: str, visit: Writer) -> Response:
    """A forgotten device is new again: it rests with the children and has the strictest band, but a child's own rules end: that loosens."""
    async with visit.services.database.write() as connection:
        found = await load_device(connection, visit.tenant_id, device)
        if frees_when_forgotten(await load_profile(connection, visit.tenant_id, found.profile_id)):
            visit.require(Permission.PROFILE_LOOSEN)
        await retire_device(connection, visit.act, found)
    await visit.services.applier.settle(visit.tenant_id)
    return visit.go("/devices?stored=1")


async def show_devices(visit: Visit, stored: bool = False, mistakes: tuple[FieldMistake, ...] = (), pressed: str = "") -> Response:
    """The page: what is new, what everybody has, the home. `pressed`: the address of the new device whose form the mistakes belong to."""
    if not has_policy(visit.tenant.kind):
        return visit.go("/more")
    seen, away = await look_around(visit)
    async with visit.services.database.read() as connection:
        rows = await read_rows(connection, visit.tenant_id, visit.now)
        enforcement = await read_enforcement(connection, visit.tenant_id)
        hosted = await is_hosted(connection, visit.tenant_id)
    people = [profile for profile in rows.profiles if profile.kind is not ProfileKind.GUEST]
    unnamed = unnamed_devices(rows, seen)
    context = {
        "unnamed": [(one, has_private_mac(one.mac)) for one in unnamed],
        "owners": [(profile, [device for device in rows.devices if device.profile_id == profile.id]) for profile in people],
        "lent": {loan.device_id: loan for loan in rows.loans},
        "people": people,
        "adults": adults_of(people),
        "here": address_of(visit.request),
        "resting": _resting(visit, rows),
        "last": last_seen(rows, seen),
        "away": away,
        "hosted": hosted,
        "only_one": not hosted and len(group_seen(seen)) == 1 and len(rows.devices) > 1,
        "gateway_addresses": gateway_addresses(visit.services, visit.request),
        "enforcement": enforcement,
        "unserved": look_at(rows, visit.services.applier.around),
        "stored": stored,
        "mistakes": mistakes,
        "pressed": pressed if any(pressed == one.address for one in unnamed) else "",
        "waiting": await waiting_of(visit),
        "may_assign": visit.may(Permission.DEVICE_ASSIGN),
        **await _home_context(visit, rows.home, hosted),
    }
    return visit.page("devices/devices.html", context, 422 if mistakes else 200)


def _resting(visit: Visit, rows: TenantRows) -> Moment | None:
    """What holds for a family's unnamed devices now."""
    guests = next((profile for profile in rows.profiles if profile.kind is ProfileKind.GUEST), None)
    if visit.tenant.kind is not OrganisationKind.FAMILY or guests is None:
        return None
    return moment_in(guests, rows, visit.services.shelves.current(), visit.now)


async def _home_context(visit: Visit, home: Home | None, hosted: bool) -> dict[str, Any]:
    """What the page of devices shows of the home."""
    address = address_of(visit.request)
    reason = ""
    try:
        network = judge_address(address, visit.services.settings.gateway.dns.serves)
        here = str(network.network_address) if network.version == 4 else str(network)
    except Conflict as error:
        here, reason = "", error.code
    is_family = visit.tenant.kind is OrganisationKind.FAMILY
    offered = is_family and (hosted or bool(here) or home is not None)
    context: dict[str, Any] = {"home": home, "home_offered": offered, "home_here": here, "home_profile": None}
    if home is None:
        return context
    async with visit.services.database.read() as connection:
        phone = await load_phone(connection, visit.tenant_id, home.device_id)
        profile = await load_profile(connection, visit.tenant_id, phone.device.profile_id)
        strictest = await load_strictest(connection, visit.tenant_id)
    shown: dict[str, Any] = {"home_sheet": phone.device.id, "home_is_open": may_show(visit, profile, strictest)}
    if shown["home_is_open"]:
        reach = reach_of(visit.services.settings.gateway)
        shown["home_update"] = f"{public_url(visit.services.settings)}/home/{phone.token}"
        shown["home_dot"], shown["home_doh"] = reach.android_name(phone.token), reach.doh_url(phone.token)
    return context | {
        "home_profile": profile,
        "home_live": home.live(visit.now),
        "home_reason": MISTAKES["home_shared"] if home.is_shared(visit.now) else MISTAKES.get(reason, ""),
        "home_is_here": any(one.network == here for one in home.live(visit.now)),
        **shown,
    }


def mistakes_of(error: AdminError) -> tuple[FieldMistake, ...]:
    """What the page says of an error, at its fields."""
    return error.mistakes if isinstance(error, InvalidInput) else (FieldMistake(error.field or "address", error.code),)
