"""Requests of children, for the adults who answer: a quarter of an hour, an hour, today, always, no."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from admin.apply import read_enforcement
from admin.dependencies import Visit, need
from admin.errors import FieldMistake
from admin.foresight import is_locked
from admin.permissions import Permission
from admin.policyfile import has_policy
from admin.profiles import list_profiles, load_profile, strictest_band
from admin.requests import answer, count_waiting, list_requests, load_request
from admin.values import Decision, ProfileKind

router = APIRouter()

Reader = Annotated[Visit, Depends(need(Permission.REQUEST_READ))]
Answerer = Annotated[Visit, Depends(need(Permission.REQUEST_ANSWER))]


@router.get("/requests")
async def show(visit: Reader, stored: bool = False) -> Response:
    """What waits, and what was answered lately."""
    return await _page(visit, stored)


@router.post("/requests/{request}")
async def decide(request: str, visit: Answerer) -> Response:
    """Answer one request. Every answer but no opens something, so it asks for the password."""
    decision = visit.form.choice("decision", Decision, Decision.NO)
    visit.form.check()
    if decision is not Decision.NO:
        visit.require(Permission.PROFILE_LOOSEN, waits=False)
    async with visit.services.database.read() as connection:
        found = await load_request(connection, visit.tenant_id, request)
        chosen = found.profile_id or visit.form.raw("profile")
        profile = await load_profile(connection, visit.tenant_id, chosen) if chosen else None
    if decision is not Decision.NO and (profile is None or profile.kind is ProfileKind.GUEST):
        return await _page(visit, False, (FieldMistake(f"profile-{request}", "required"),))
    async with visit.services.database.write() as connection:
        await answer(connection, visit.act, found, decision, profile, visit.tenant.time_zone)
    if decision is not Decision.NO:
        await visit.services.applier.settle(visit.tenant_id)
    return visit.go("/requests?stored=1" if decision is not Decision.NO else "/requests")


async def _page(visit: Visit, stored: bool, mistakes: tuple[FieldMistake, ...] = ()) -> Response:
    if not has_policy(visit.tenant.kind):
        return visit.go("/more")
    shelf = visit.services.shelves.current()
    async with visit.services.database.read() as connection:
        waiting, answered = await list_requests(connection, visit.tenant_id, visit.now)
        profiles = await list_profiles(connection, visit.tenant_id)
        enforcement = await read_enforcement(connection, visit.tenant_id)
        count = await count_waiting(connection, visit.tenant_id, visit.now)
    by_id = {profile.id: profile for profile in profiles}
    rows = []
    for one in waiting:
        profile = by_id.get(one.profile_id) if one.profile_id else None
        verdict = await visit.services.foresight.judge(visit.tenant_id, one.profile_id, one.host, visit.now)
        band = profile.band if profile else strictest_band(profiles)
        groups = [shelf.name_of(code, visit.language) for code in verdict.categories] if verdict else []
        rows.append((one, profile, verdict, groups, verdict is not None and verdict.blocked and is_locked(verdict, shelf, band)))
    context = {
        "rows": rows,
        "answered": [(one, by_id.get(one.profile_id) if one.profile_id else None) for one in answered],
        "people": [profile for profile in profiles if profile.kind is not ProfileKind.GUEST],
        "decisions": list(Decision),
        "enforcement": enforcement,
        "stored": stored,
        "mistakes": mistakes,
        "waiting": count,
        "may_answer": visit.may(Permission.REQUEST_ANSWER),
    }
    return visit.page("requests/requests.html", context, 422 if mistakes else 200)
