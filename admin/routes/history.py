"""A child's history for the family, with everybody's agreement."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from admin.agreeing import find_proposal, propose_history
from admin.apply import read_enforcement
from admin.consents import ended_by_restore
from admin.dependencies import Visit, need
from admin.devices import list_devices
from admin.errors import FieldMistake, InvalidInput, NotFound
from admin.history import (
    DAYS_OFFERED,
    child_must_agree,
    days_of,
    find_keeping,
    keeps_names,
    make_box,
    read_day,
    read_day_choice,
    start_history,
    stop_history,
)
from admin.historybox import show_code
from admin.permissions import Permission
from admin.profiles import Profile, load_profile
from admin.routes.cards import children_door
from admin.routes.home import waiting_of
from admin.setup import public_url
from admin.values import ProfileKind

router = APIRouter()

Guardian = Annotated[Visit, Depends(need(Permission.HISTORY_MANAGE))]


@router.get("/profiles/{profile}/history")
async def show(profile: str, visit: Annotated[Visit, Depends(need(Permission.PROFILE_READ))], stored: bool = False) -> Response:
    """What would be kept and what never is; while one is kept, the way to read it and to end it."""
    if not visit.may(Permission.HISTORY_MANAGE):
        raise NotFound
    return await _page(visit, await _load(visit, profile), {"stored": stored})


@router.post("/profiles/{profile}/history")
async def begin(profile: str, visit: Guardian) -> Response:
    """Begin to keep one, or from seven ask the child, whose own press then begins it. The code is shown once, to whoever begins."""
    found = await _load(visit, profile)
    days = visit.form.one_of("days", [str(one) for one in DAYS_OFFERED])
    if not visit.form.has("guardian"):
        visit.form.mistake("guardian", "guardian_agrees")
    try:
        visit.form.check()
        if child_must_agree(found.band):
            async with visit.services.database.write() as connection:
                await propose_history(connection, visit.act, found, int(days), visit.language)
            return visit.go(f"/profiles/{profile}/history")
        box, code = await make_box()
        async with visit.services.database.write() as connection:
            await start_history(connection, visit.act, found, int(days), False, visit.language, box)
    except InvalidInput as error:
        return await _page(visit, found, {"mistakes": error.mistakes})
    await visit.services.applier.settle(visit.tenant_id)
    return await _page(visit, found, {"new_code": show_code(code)})


@router.post("/profiles/{profile}/history/read")
async def read(profile: str, visit: Annotated[Visit, Depends(need(Permission.PROFILE_READ))]) -> Response:
    """One day, opened with the family's code; that somebody looked stands in the journal."""
    if not visit.may(Permission.HISTORY_MANAGE):
        raise NotFound
    found = await _load(visit, profile)
    visit.services.lookups.take(f"history {found.id}", visit.now)
    code = visit.form.raw("code")[:40]
    async with visit.services.database.read() as connection:
        keeping = await find_keeping(connection, visit.tenant_id, found.id)
    if keeping is None:
        raise NotFound
    day = read_day_choice(visit.form.raw("day")) or days_of(keeping, visit.now, visit.tenant.time_zone)[0]
    visits = await read_day(visit.services.database, visit.act, keeping, code, day, visit.tenant.time_zone)
    if visits is None:
        return await _page(visit, found, {"mistakes": (FieldMistake("code", "history_code"),)})
    return await _page(visit, found, {"visits": visits, "day": day, "code": code})


@router.post("/profiles/{profile}/history/stop")
async def stop(profile: str, visit: Annotated[Visit, Depends(need(Permission.PROFILE_TIGHTEN))]) -> Response:
    """Withdraw the agreement, or the question to the child: it ends at once, for one press, without a password."""
    if not visit.may(Permission.HISTORY_MANAGE):
        raise NotFound
    found = await _load(visit, profile)
    async with visit.services.database.write() as connection:
        await stop_history(connection, visit.act, found.id)
    await visit.services.applier.settle(visit.tenant_id)
    return visit.go(f"/profiles/{profile}/history?stored=1")


async def _load(visit: Visit, profile: str) -> Profile:
    async with visit.services.database.read() as connection:
        found = await load_profile(connection, visit.tenant_id, profile)
    if found.kind is not ProfileKind.CHILD:
        raise NotFound
    return found


async def _page(visit: Visit, profile: Profile, context: dict[str, Any]) -> Response:
    async with visit.services.database.read() as connection:
        keeping = await find_keeping(connection, visit.tenant_id, profile.id)
        proposal = await find_proposal(connection, visit.tenant_id, profile, visit.now) if keeping is None else None
        restored_at = await ended_by_restore(connection, visit.tenant_id, profile.id) if keeping is None and proposal is None else None
        devices = [one for one in await list_devices(connection, visit.tenant_id) if one.profile_id == profile.id and one.is_single]
        enforcement = await read_enforcement(connection, visit.tenant_id)
    base = {
        "profile": profile,
        "keeping": keeping,
        "proposal": proposal,
        "restored_at": restored_at,
        "has_device": bool(devices),
        "days": days_of(keeping, visit.now, visit.tenant.time_zone),
        "offered": DAYS_OFFERED,
        "asks_child": child_must_agree(profile.band),
        "names": keeps_names(profile.band),
        "enforcement": enforcement,
        "stored": False,
        "mistakes": (),
        "waiting": await waiting_of(visit),
        "shelf": visit.services.shelves.current(),
        "may_change": True,
        "new_code": "",
        "visits": None,
        "day": None,
        "code": "",
        "address": f"{await children_door(visit) or public_url(visit.services.settings)}/history",
    }
    return visit.page("profile/history.html", {**base, **context}, 422 if context.get("mistakes") else 200)
