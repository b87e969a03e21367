"""The rest of the office's API: reach, histories, differences, reports, candidates, bulletins, returns, renewals, the shared register.

By the same functions as the pages, and under the same permissions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends

from admin.errors import NotFound
from admin.office import MASKED
from admin.officebulletins import NewBulletin, add_bulletin, bulletins_of, end_bulletin
from admin.officecases import ReportPage, read_report
from admin.officedirectives import officers
from admin.officeendings import read_asked
from admin.officepreview import Touched, asked_for, broken_by, preview
from admin.officereads import read_entry, taken_hosts
from admin.officeresults import (
    AskedOut,
    BulletinIn,
    BulletinOut,
    CandidateOut,
    CandidateStepIn,
    CaseOut,
    DifferenceOut,
    EntryDetailOut,
    GroupOut,
    OfficerOut,
    PreviewOut,
    RenewIn,
    ReportDetailOut,
    ReportOut,
    ReportStepIn,
    ReturnOut,
    ReturnStepIn,
    SchoolOut,
    SchoolsOut,
    TouchedOut,
)
from admin.officeschemas import EntryOut, LiftIn, StepOut
from admin.officeschools import read_schools
from admin.officeshared import SharedCase, read_cases, voice_of
from admin.officeversions import read_version
from admin.permissions import Permission
from admin.routes.api import PAGE, After, Caller, IdempotencyKey, Limit, caller, cut_page, made_before, note_made, page_of
from admin.routes.apioffice import Reader, Releases, actor_in, actor_with, actors_in, changing, entry_out, reading
from admin.schemas import PageOf, Serial
from blocklists.tables import Role
from blocklists.takedown import candidates, cases, renewing, returns, store
from blocklists.takedown.deadlines import VIET_NAM

_Out = TypeVar("_Out")

router = APIRouter(prefix="/office", tags=["list office"])

Worker = Annotated[Caller, Depends(caller(Permission.REPORT_WORK))]
Approver = Annotated[Caller, Depends(caller(Permission.ORDER_APPROVE))]
Lifter = Annotated[Caller, Depends(caller(Permission.ENTRY_LIFT))]
CaseReader = Annotated[Caller, Depends(caller(Permission.CASE_READ))]

_REPORT_STEPS = dict.fromkeys(("triage", "refer", "merge", "reject", "start", "propose"), Permission.REPORT_WORK) | {
    "approve": Permission.ORDER_APPROVE
}


@router.get("/orders/{order_id}/preview")
async def show_preview(who: Reader, order_id: str) -> PreviewOut:
    """What an approval would touch. Nothing is told about masked names."""
    async with reading(who) as (connection, office):
        order = await store.order_row(connection, office, order_id)
        hosts = await taken_hosts(connection, office, order_id)
    if order["category"] == MASKED:
        return PreviewOut(names=len(hosts), services=[], lookalikes=[], listed=[], must_stay_reachable=[], known=False, asked=[])
    services = who.services
    reach = await asyncio.to_thread(lambda: preview(hosts, services.office.guard.document(), services.settings.state_dir))
    broken = await asyncio.to_thread(broken_by, services.office.assertions, hosts, order)
    asked = [
        AskedOut(
            name=one.registered, at_least=one.at_least, since=one.since, elsewhere_at_least=one.elsewhere, gateways_elsewhere=one.gateways
        )
        for one in await asked_for(services.link, services.office.demand, who.tenant_id, hosts, who.now)
    ]
    return PreviewOut(
        names=reach.names, services=_touched(reach.services), lookalikes=_touched(reach.lookalikes), listed=_touched(reach.listed),
        must_stay_reachable=[TouchedOut(name=one.assertion.name, what=one.assertion.band.value, detail=one.order) for one in broken],
        known=reach.known, asked=asked,
    )  # fmt: skip


@router.get("/entries/{entry_id}")
async def show_entry(who: Reader, entry_id: str) -> EntryDetailOut:
    """An entry with its basis and history; people are told by their role."""
    async with reading(who) as (connection, office):
        page = await read_entry(connection, office, entry_id, actors_in(who), who.now)
    return EntryDetailOut(
        entry=entry_out(page.row),
        basis=[one.symbol for one in page.basis],
        history=[StepOut(at=step.at, step=step.verb, role=step.role) for step in page.history],
        steps=sorted(page.verbs),
        is_state=page.is_state,
        owner_told_at=page.row["owner_told_at"],
        owner_told_how=page.row["owner_told_how"] or None,
    )


@router.post("/entries/{entry_id}/renew")
async def renew(who: Approver, entry_id: str, wanted: RenewIn) -> EntryOut:
    """A new end; the caps of the transition table hold."""
    until = datetime.combine(wanted.last_day + timedelta(days=1), time(0), VIET_NAM).astimezone(UTC)
    async with changing(who) as (connection, office):
        await renewing.renew_entry(connection, office, entry_id, until, wanted.reason, actor_in(who), who.now)
    await who.services.office.duty.settle()
    async with reading(who) as (connection, office):
        return entry_out(await store.entry_row(connection, office, entry_id))


@router.get("/versions/{serial}")
async def show_version(who: Releases, serial: Serial) -> DifferenceOut:
    """What a version brought and took away: counts, and the first 1,000 entries of each by name."""
    async with reading(who) as (connection, office):
        found = await read_version(connection, office, serial)
    if found is None:
        raise NotFound
    came, left, drops = ([entry_out(row) for row in part.rows] for part in (found.came, found.left, found.drops))
    return DifferenceOut(
        serial=serial, came=came, left=left, return_drops=drops,
        came_count=found.came.count, left_count=found.left.count, return_drops_count=found.drops.count,
    )  # fmt: skip


@router.post("/versions/{serial}/return", status_code=201)
async def go_back(who: Lifter, serial: Serial, wanted: LiftIn, key: IdempotencyKey = None) -> ReturnOut:
    """Back to an earlier version; a second person confirms it within a day."""
    async with changing(who) as (connection, office):
        made = await made_before(connection, who, key, "return", wanted, str(serial))
        if made is None:
            made = await returns.go_back(connection, office, serial, wanted.reason, actor_in(who), who.now)
            await note_made(connection, who, key, made, "return", wanted, str(serial))
    await who.services.office.duty.settle()
    return _of([one for one in await _returns(who) if one.id == made])


@router.get("/returns")
async def list_returns(who: Releases, limit: Limit = PAGE, after: After = None) -> PageOf[ReturnOut]:
    """Returns that wait for a second person."""
    return page_of(await _returns(who), after, limit)


async def _returns(who: Caller) -> list[ReturnOut]:
    async with reading(who) as (connection, office):
        rows = await returns.waiting_returns(connection, office)
    return [ReturnOut(**{name: row[name] for name in ReturnOut.model_fields}) for row in rows]


@router.post("/returns/{identity}", status_code=204)
async def decide_return(who: Lifter, identity: str, wanted: ReturnStepIn) -> None:
    """The second person decides."""
    async with changing(who) as (connection, office):
        await returns.decide_return(connection, office, identity, wanted.step, actor_in(who), who.now)
    await who.services.office.duty.settle()


@router.get("/reports")
async def list_reports(who: Reader, limit: Limit = PAGE, after: After = None) -> PageOf[ReportOut]:
    """Reports that wait, the oldest first."""
    async with reading(who) as (connection, office):
        rows, following = cut_page(await cases.open_reports(connection, office), lambda row: str(row["id"]), after, limit)
        pages = [await read_report(connection, office, row["id"], actors_in(who), who.now) for row in rows]
    return PageOf(items=[_report(page) for page in pages if page is not None], next=following)


@router.get("/reports/{report_id}")
async def show_report(who: Reader, report_id: str) -> ReportDetailOut:
    """One report with its history; people are told by their role."""
    async with reading(who) as (connection, office):
        page = await read_report(connection, office, report_id, actors_in(who), who.now)
    if page is None:
        raise NotFound
    history = [] if page.referred else [StepOut(at=step.at, step=step.verb, role=step.role) for step in page.history]
    return ReportDetailOut(**_report(page).model_dump(), history=history)


@router.post("/reports/{report_id}/steps")
async def report_step(who: Worker, report_id: str, wanted: ReportStepIn) -> ReportDetailOut:
    """Classify, refer, merge, reject, verify, propose, approve: one move."""
    actor = actor_with(who, _REPORT_STEPS, wanted.step)
    guard = await asyncio.to_thread(who.services.office.guard.current)
    async with changing(who) as (connection, office):
        await cases.move_report(
            connection, office, report_id, wanted.step, actor, who.now, reason=wanted.reason, referred_to=wanted.referred_to,
            merged_into=wanted.merged_into, guard=guard,
        )  # fmt: skip
    if wanted.step == "approve":
        await who.services.office.duty.settle()
    return await show_report(who, report_id)


@router.get("/candidates")
async def list_candidates(who: Reader, limit: Limit = PAGE, after: After = None) -> PageOf[CandidateOut]:
    """Names that wait for a person."""
    async with reading(who) as (connection, office):
        rows = await candidates.waiting(connection, office)
        before = await candidates.histories(connection, office)
    found = []
    for row in rows:
        past = before.get((row["origin"], row["source"]), candidates.History())
        found.append(
            CandidateOut(
                id=row["id"], name=row["host"], category=row["category"], origin=row["origin"], source=row["source"],
                evidence=row["evidence"], source_taken=past.taken, source_wrong=past.wrong,
            )
        )  # fmt: skip
    return page_of(found, after, limit)


@router.post("/candidates/{identity}", status_code=204)
async def decide_candidate(who: Worker, identity: str, wanted: CandidateStepIn) -> None:
    """Take it up, which makes it a report, or refuse it."""
    async with changing(who) as (connection, office):
        await candidates.decide(connection, office, identity, wanted.step, wanted.reason, actor_in(who), who.now)


@router.get("/bulletins")
async def list_bulletins(who: Reader, limit: Limit = PAGE, after: After = None) -> PageOf[BulletinOut]:
    """What schools and families read now."""
    return page_of(await _bulletins(who), after, limit)


async def _bulletins(who: Caller) -> list[BulletinOut]:
    async with reading(who) as (connection, office):
        rows = await bulletins_of(connection, office, who.now)
    return [
        BulletinOut(
            id=row["id"], kind=row["kind"], title=row["title"], text=row["text"], symbol=row["symbol"], place=row["place_code"],
            host=row["host"], ends_at=row["ends_at"],
        )
        for row in rows
    ]  # fmt: skip


@router.post("/bulletins", status_code=201)
async def write_bulletin(who: Approver, new: BulletinIn, key: IdempotencyKey = None) -> BulletinOut:
    """Publish one; nothing is blocked by it."""
    ends = datetime.combine(new.last_day, time(23, 59, 59), VIET_NAM)
    fresh = NewBulletin(new.kind, new.title, new.text, new.symbol, ends, new.place, new.host)
    async with changing(who) as (connection, office):
        made = await made_before(connection, who, key, "bulletin", new)
        if made is None:
            made = await add_bulletin(connection, office, actor_in(who), fresh, who.now)
            await note_made(connection, who, key, made, "bulletin", new)
    return _of([one for one in await _bulletins(who) if one.id == made])


@router.post("/bulletins/{identity}/end", status_code=204)
async def take_down(who: Approver, identity: str) -> None:
    """Take one down before its end."""
    async with changing(who) as (connection, office):
        await end_bulletin(connection, office, actor_in(who), identity, who.now)


@router.get("/officers")
async def list_officers(who: Reader, limit: Limit = PAGE, after: After = None) -> PageOf[OfficerOut]:
    """Who has a role here. Appointing and ending one takes two persons at the page; no key may."""
    asked = await read_asked(who.services.settings.state_dir, who.now)
    async with reading(who) as (connection, office):
        rows = await officers(connection, office.tenant, who.now)
    listed = [
        OfficerOut(
            id=row["id"], account=row["account_id"], role=Role(row["role"]), basis=row["basis"], since=row["valid_from"],
            until=row["valid_until"], end_asked=asked[row["id"]].basis if row["id"] in asked else None,
        )
        for row in rows
    ]  # fmt: skip
    return page_of(listed, after, limit)


@router.get("/cases")
async def list_cases(who: CaseReader, limit: Limit = PAGE, after: After = None) -> PageOf[CaseOut]:
    """The shared register: states, deadlines and decisions, without anybody's notes."""
    async with reading(who) as (connection, office):
        found = await read_cases(connection, office, who.now)
    return page_of([case_out(one) for one in found], after, limit)


def case_out(one: SharedCase) -> CaseOut:
    """A case of the register as every body sees it."""
    return CaseOut(
        kind=one.kind.value, id=one.id, title=one.title, category=one.category, state=one.state, received_at=one.received_at,
        due_at=one.clock.due if one.clock else None, overdue=bool(one.clock and one.clock.overdue), goes_to=one.goes_to,
        decision=one.decision,
    )  # fmt: skip


def _of(found: list[_Out]) -> _Out:
    """The one that was just made. Raises NotFound when it has ended since a first request with the same key made it."""
    if not found:
        raise NotFound
    return found[0]


@router.get("/schools")
async def show_schools(who: Annotated[Caller, Depends(caller(Permission.SCHOOLS_COUNT))]) -> SchoolsOut:
    """The schools of the education department's own province, in numbers."""
    async with reading(who) as (connection, office):
        voice = await voice_of(connection, office, who.signed_in.actor.account_id, who.now, Role.EDU_ADMIN)
        found = await read_schools(connection, office, voice.agency, who.now)
    return SchoolsOut(
        body=found.body,
        place=found.place,
        schools=[SchoolOut(name=one.name, in_force=one.in_force, blocked=one.blocked) for one in found.schools],
        groups=[GroupOut(category=cell.category, blocked=cell.count) for cell in found.figures.cells],
    )


def _touched(rows: Iterable[Touched]) -> list[TouchedOut]:
    return [TouchedOut(name=one.host, what=one.what, detail=one.detail) for one in rows]


def _report(page: ReportPage) -> ReportOut:
    row = page.row
    name = None if row["category"] == MASKED else row["host"]
    return ReportOut(
        id=row["id"], code=row["code"], state=row["state"], category=row["category"], name=name,
        goes_to=row["referred_to"] or row["routed_to"], received_at=row["received_at"], due_at=page.clock.due,
        overdue=page.clock.overdue and row["closed_at"] is None, referral_code=row["referral_code"], steps=sorted(page.verbs),
    )  # fmt: skip
