"""Requests of children, for the adults who answer: a quarter of an hour, an hour, today, always, no.

A teacher answers for a lesson: no, a quarter of an hour or an hour, for a class, and only what the groups a teacher may open (`CLASS_OPEN`)
would open; a name that the school itself wrote down, or a class that is off, is the school's.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from admin.apply import read_enforcement
from admin.dependencies import Visit, need
from admin.errors import FieldMistake, Forbidden
from admin.foresight import Verdict, is_locked
from admin.lessons import is_used_in_lessons
from admin.moment import Moment, moment_in
from admin.names import is_whole_ending
from admin.permissions import Permission
from admin.policyfile import has_policy, read_rows
from admin.profiles import Profile, list_profiles, load_profile, strictest_band
from admin.requests import answer, count_waiting, end_of, list_requests, load_request
from admin.routes.cards import children_door, page_line, way_in
from admin.values import Decision, ProfileKind
from gateway.policy.model import Reason

router = APIRouter()

Reader = Annotated[Visit, Depends(need(Permission.REQUEST_READ))]
#: What a teacher may answer.
FOR_A_LESSON = (Decision.QUARTER, Decision.HOUR, Decision.NO)
_OF_GROUPS = frozenset({Reason.MATRIX, Reason.SCHEDULE, Reason.SWITCH, Reason.SERVICE})


@router.get("/requests")
async def show(visit: Reader, stored: bool = False) -> Response:
    """What waits, and what was answered lately."""
    return await _page(visit, stored)


@router.post("/requests/{request}")
async def decide(request: str, visit: Reader) -> Response:
    """Answer one request. Every answer but no opens something, so it asks for the password; a teacher's opens what a lesson may."""
    answers_all = visit.may(Permission.REQUEST_ANSWER)
    visit.require(Permission.REQUEST_ANSWER if answers_all else Permission.CLASS_OPEN, waits=False)
    decision = visit.form.choice("decision", Decision, Decision.NO)
    visit.form.check()
    if decision is not Decision.NO and answers_all:
        visit.require(Permission.PROFILE_LOOSEN, waits=False)
    async with visit.services.database.read() as connection:
        found = await load_request(connection, visit.tenant_id, request)
        chosen = found.profile_id or visit.form.raw("profile")
        profile = await load_profile(connection, visit.tenant_id, chosen) if chosen else None
    if decision is not Decision.NO and (profile is None or profile.kind is ProfileKind.GUEST):
        return await _page(visit, False, (FieldMistake(f"profile-{request}", "required"),))
    if not answers_all:
        if profile is not None and not _is_ones_own(visit, profile):
            raise Forbidden
        verdict = await visit.services.foresight.judge(visit.tenant_id, profile.id, found.host, visit.now) if profile else None
        if decision not in (FOR_A_LESSON if profile is None or _is_for_a_lesson(visit, verdict, profile) else (Decision.NO,)):
            return await _page(visit, False, (FieldMistake(f"profile-{request}", "locked"),))
    async with visit.services.database.write() as connection:
        rest_at = None
        if profile is not None and not visit.form.has("through"):
            rows = await read_rows(connection, visit.tenant_id, visit.now)
            rest_at = moment_in(profile, rows, visit.services.shelves.current(), visit.now).rest_at
        await answer(connection, visit.act, found, decision, profile, visit.tenant.time_zone, rest_at)
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
        around = await read_rows(connection, visit.tenant_id, visit.now)
    by_id = {profile.id: profile for profile in profiles}
    rows = []
    rests: dict[str, Moment | None] = {}
    for one in waiting:
        profile = by_id.get(one.profile_id) if one.profile_id else None
        verdict = await visit.services.foresight.judge(visit.tenant_id, one.profile_id, one.host, visit.now)
        band = profile.band if profile else strictest_band(profiles)
        groups = [shelf.name_of(code, visit.language) for code in verdict.categories] if verdict else []
        locked = is_whole_ending(one.host) or (verdict is not None and verdict.blocked and is_locked(verdict, shelf, band))
        part = None if locked or (verdict is not None and not verdict.blocked) else shelf.service_of(one.host)
        service = shelf.name_of(part.id, visit.language) if part is not None else ""
        answers = _answers(visit, verdict, profile, locked)
        rows.append((one, profile, verdict, groups, locked, service, answers))
        ends = [end for decision in answers if (end := end_of(decision, visit.now, visit.tenant.time_zone)) is not None]
        moment = moment_in(profile, around, shelf, visit.now) if profile is not None and ends else None
        rests[one.id] = moment if moment is not None and moment.rest_at is not None and moment.rest_at < max(ends) else None
    context = {
        "rows": rows,
        "rests": rests,
        "answered": [(one, by_id.get(one.profile_id) if one.profile_id else None) for one in answered],
        "people": [profile for profile in profiles if profile.kind is not ProfileKind.GUEST and _is_ones_own(visit, profile)],
        "enforcement": enforcement,
        "stored": stored,
        "mistakes": mistakes,
        "waiting": count,
        "address": way_in(visit, door := await children_door(visit)),
        "line": "" if door else page_line(visit),
    }
    return visit.page("requests/requests.html", context, 422 if mistakes else 200)


def _is_ones_own(visit: Visit, profile: Profile) -> bool:
    """Whether this person answers for a profile: a teacher for classes, whoever looks after the place for everybody."""
    return visit.may(Permission.REQUEST_ANSWER) or profile.kind is ProfileKind.CLASS


def _answers(visit: Visit, verdict: Verdict | None, profile: Profile | None, locked: bool) -> tuple[Decision, ...]:
    """The answers to offer; none to somebody who only looks, nor to a teacher for whom it is not."""
    if visit.may(Permission.REQUEST_ANSWER):
        return (Decision.NO,) if locked else tuple(Decision)
    if not visit.may(Permission.CLASS_OPEN) or (profile is not None and not _is_ones_own(visit, profile)):
        return ()
    return FOR_A_LESSON if not locked and (profile is None or _is_for_a_lesson(visit, verdict, profile)) else (Decision.NO,)


def _is_for_a_lesson(visit: Visit, verdict: Verdict | None, profile: Profile) -> bool:
    """Whether what blocks a name for a class is something a teacher may open: every group of the name may be delegated, and it is blocked
    by the age, the hours or a switch, not by a name the school wrote nor because the class is off."""
    if profile.kind is not ProfileKind.CLASS or verdict is None:
        return False
    shelf = visit.services.shelves.current()
    is_theirs = bool(verdict.categories) and (not verdict.blocked or verdict.reason in _OF_GROUPS)
    return is_theirs and all(is_used_in_lessons(shelf, code) for code in verdict.categories) and not is_locked(verdict, shelf, profile.band)
