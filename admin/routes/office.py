"""The list office's inbox, entries, reviews, reports, releases and gateways."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from sqlalchemy.exc import IntegrityError
from starlette.responses import Response

from admin.dependencies import Visit, need
from admin.emergency import list_glasses
from admin.errors import Conflict, FieldMistake, InvalidInput, NotFound
from admin.invitations import open_places, propose, second
from admin.office import masked, open_office
from admin.officebulletins import LONGEST_TEXT, NewBulletin, add_bulletin, bulletins_of, end_bulletin
from admin.officecases import read_report, read_review
from admin.officedirectives import add_directive, directives_in_force, end_directive, officers
from admin.officeendings import end_officer, read_asked
from admin.officereads import (
    find_entries,
    read_entry,
    read_inbox,
    read_receipts,
    read_versions,
)
from admin.officeversions import read_version
from admin.owncertificate import warning_ahead
from admin.permissions import Permission
from admin.routes.officeparts import actor_for, actors_of, sign, signing_of, unlock, words_of
from admin.schemas import Serial
from admin.setup import public_url
from blocklists.tables import Role
from blocklists.takedown import cases, returns, store
from blocklists.takedown.agencies import agencies_on, agency_row
from blocklists.takedown.before import find_others
from blocklists.takedown.deadlines import VIET_NAM
from blocklists.takedown.documents import SymbolError
from blocklists.takedown.model import State
from blocklists.takedown.workflow import TransitionRefused

router = APIRouter()

Read = Annotated[Visit, Depends(need(Permission.OFFICE_READ))]
Lift = Annotated[Visit, Depends(need(Permission.ENTRY_LIFT))]
Take = Annotated[Visit, Depends(need(Permission.REVIEW_TAKE))]
Decide = Annotated[Visit, Depends(need(Permission.REVIEW_DECIDE))]
Work = Annotated[Visit, Depends(need(Permission.REPORT_WORK))]
Releases = Annotated[Visit, Depends(need(Permission.RELEASE_READ))]

#: Roles that end with an assignment; those of them that speak for a body.
LIAISONS = (Role.POLICE_LIAISON.value, Role.CHILD_LIAISON.value, Role.EDU_ADMIN.value, Role.AUDITOR.value, Role.OBSERVER.value)
BODIES = LIAISONS[:3]
TOLD = timedelta(days=7)
"""How long an auditor's first page says that an operator looked into a place."""

Appoint = Annotated[Visit, Depends(need(Permission.OFFICER_APPOINT))]

Act = Callable[[store.Office, Any], Awaitable[object]]  # Any: the write transaction
Again = Callable[[str, int], Awaitable[Response]]


@router.get("/office")
async def inbox(visit: Read) -> Response:
    """What waits, with its age and clock."""
    return await _inbox(visit)


@router.get("/office/entries")
async def entries(visit: Read, q: str = "", state: str = "") -> Response:
    """Entries by name or document; those in force first."""
    async with visit.services.database.read() as connection:
        office = await open_office(connection, visit.tenant_id)
        found = await find_entries(connection, office, q[:253], "in_force" if state == "in_force" else "")
    context = {"rows": found, "q": q[:253], "state": state, "say": words_of(visit), "masked": masked}
    return visit.page("office/entries.html", context)


@router.get("/office/entries/{entry_id}")
async def entry(visit: Read, entry_id: str) -> Response:
    """One entry: basis, dates, people, history."""
    return await _entry(visit, entry_id)


@router.post("/office/entries/{entry_id}/lift")
async def lift(visit: Lift, entry_id: str) -> Response:
    """Take an entry out of force, with a reason; it leaves as fast as it came."""
    reason = visit.form.raw("reason")[:300]

    async def act(office: store.Office, connection: Any) -> None:  # Any: the write transaction
        await store.move_entry(connection, office, entry_id, "lift", actor_for(visit), visit.now, reason)

    return await _act(visit, act, f"/office/entries/{entry_id}", lambda fault, status: _entry(visit, entry_id, fault, status), True)


@router.get("/office/reviews/{review_id}")
async def review(visit: Read, review_id: str) -> Response:
    """A request to look again, and the entry it asks about."""
    return await _review(visit, review_id)


@router.post("/office/reviews/{review_id}/take")
async def take(visit: Take, review_id: str) -> Response:
    """Somebody who decided nothing before takes it on."""
    return await _move_review(visit, review_id, "take")


@router.post("/office/reviews/{review_id}/decide")
async def decide(visit: Decide, review_id: str) -> Response:
    """Uphold or overturn, with a reason; overturned, the entry leaves at once."""
    step = visit.form.raw("step")
    if step not in ("uphold", "overturn"):
        raise NotFound
    return await _move_review(visit, review_id, step)


@router.get("/office/reports/{report_id}")
async def report(visit: Read, report_id: str) -> Response:
    """What somebody told, and where the directive sends it."""
    return await _report(visit, report_id)


@router.post("/office/reports/{report_id}")
async def move_report(visit: Work, report_id: str) -> Response:
    """Classify, refer, merge, reject: one step of a report."""
    form = visit.form
    step = form.raw("step")
    if step == "approve":
        visit.require(Permission.ORDER_APPROVE)
    guard = await asyncio.to_thread(visit.services.office.guard.current)

    async def act(office: store.Office, connection: Any) -> None:  # Any: the write transaction
        merged = form.raw("merged_into")[:40] or None
        await cases.move_report(
            connection, office, report_id, step, actor_for(visit), visit.now,
            reason=form.raw("reason")[:300], referred_to=form.raw("referred_to")[:160], guard=guard, merged_into=merged,
        )  # fmt: skip

    def again(fault: str, status: int) -> Awaitable[Response]:
        return _report(visit, report_id, fault, status)

    return await _act(visit, act, f"/office/reports/{report_id}", again, step == "approve")


@router.get("/office/releases")
async def releases(visit: Releases) -> Response:
    """Versions with their differences in numbers, and what each gateway enforces."""
    async with visit.services.database.read() as connection:
        office = await open_office(connection, visit.tenant_id)
        versions = await read_versions(connection, office)
        receipts = await read_receipts(connection)
    context = {"versions": versions, "receipts": receipts, "say": words_of(visit), **await _standing(visit)}
    return visit.page("office/releases.html", context)


@router.get("/office/releases/{serial}")
async def release(visit: Releases, serial: Serial) -> Response:
    """What one version brought and took away."""
    return await _release(visit, serial)


@router.post("/office/releases/{serial}/return")
async def go_back(visit: Lift, serial: Serial) -> Response:
    """Back to an earlier version: what came later leaves at once, and a second person confirms it within a day."""
    reason = visit.form.raw("reason")[:300]

    async def act(office: store.Office, connection: Any) -> None:  # Any: the write transaction
        await returns.go_back(connection, office, serial, reason, actor_for(visit), visit.now)

    return await _act(visit, act, "/office", lambda fault, status: _release(visit, serial, fault, status), True)


@router.post("/office/returns/{identity}")
async def decide_return(visit: Lift, identity: str) -> Response:
    """The second person: the liftings stand, or the entries come back."""
    step = visit.form.raw("step")

    async def act(office: store.Office, connection: Any) -> None:  # Any: the write transaction
        await returns.decide_return(connection, office, identity, step, actor_for(visit), visit.now)

    return await _act(visit, act, "/office", lambda fault, status: _inbox(visit, fault, status), True)


async def _release(visit: Visit, serial: int, fault: str = "", status: int = 200) -> Response:
    async with visit.services.database.read() as connection:
        shown = await read_version(connection, await open_office(connection, visit.tenant_id), serial)
    if shown is None:
        raise NotFound
    context = {"version": shown.row, "shown": shown, "say": words_of(visit), "masked": masked, "fault": fault, **await signing_of(visit)}
    return visit.page("office/release.html", context, status)


async def _inbox(visit: Visit, fault: str = "", status: int = 200) -> Response:
    async with visit.services.database.read() as connection:
        office = await open_office(connection, visit.tenant_id)
        found = await read_inbox(connection, office, visit.now)
        going_back = await returns.waiting_returns(connection, office)
        listed = await list_glasses(connection, visit.now) if visit.may(Permission.GLASS_READ) else ()
    me = visit.signed_in.actor.account_id
    context = {
        "inbox": found, "returns": going_back, "me": me, "say": words_of(visit), "masked": masked,
        "readings": visit.services.office.readings.of(me, visit.now),
        "fault": fault, "glasses": [one for one in listed if visit.now - one.since < TOLD], **await _standing(visit),
    }  # fmt: skip
    return visit.page("office/inbox.html", context, status)


async def _entry(visit: Visit, entry_id: str, fault: str = "", status: int = 200) -> Response:
    async with visit.services.database.read() as connection:
        office = await open_office(connection, visit.tenant_id)
        try:
            page = await read_entry(connection, office, entry_id, actors_of(visit), visit.now)
        except store.NotFound as error:
            raise NotFound from error
        others = await find_others(connection, office, entry_id, page.row["host"])
    context = {"page": page, "entry": page.row, "others": others, "say": words_of(visit), "fault": fault, **await _standing(visit)}
    return visit.page("office/entry.html", context, status)


async def _review(visit: Visit, review_id: str, fault: str = "", status: int = 200) -> Response:
    async with visit.services.database.read() as connection:
        office = await open_office(connection, visit.tenant_id)
        page = await read_review(connection, office, review_id, actors_of(visit), visit.now)
    if page is None:
        raise NotFound
    row = page.row
    opened = row["state"] == State.OVERTURNED.value and row["decided_at"] is not None
    waits = opened and await visit.services.office.signing.waits_since(visit.tenant_id, row["decided_at"])
    context = {"page": page, "say": words_of(visit), "fault": fault, "waits": waits, **await _standing(visit)}
    return visit.page("office/review.html", context, status)


async def _report(visit: Visit, report_id: str, fault: str = "", status: int = 200) -> Response:
    async with visit.services.database.read() as connection:
        office = await open_office(connection, visit.tenant_id)
        page = await read_report(connection, office, report_id, actors_of(visit), visit.now)
    if page is None:
        raise NotFound
    return visit.page("office/report.html", {"page": page, "say": words_of(visit), "fault": fault, **await signing_of(visit)}, status)


async def _move_review(visit: Visit, review_id: str, verb: str) -> Response:
    async def act(office: store.Office, connection: Any) -> None:  # Any: the write transaction
        await cases.move_review(connection, office, review_id, verb, actor_for(visit), visit.now, visit.form.raw("reason")[:300])

    return await _act(
        visit, act, f"/office/reviews/{review_id}", lambda fault, status: _review(visit, review_id, fault, status), verb != "take"
    )


async def _act(visit: Visit, act: Act, path: str, again: Again, publishes: bool = False) -> Response:
    """Do it in one transaction and show the page; a refusal stands on the page in words. What is published is signed at once."""
    signer = None
    if publishes:
        try:
            signer = await unlock(visit)
        except InvalidInput as error:
            return await again(words_of(visit).mistake(error), 422)
    try:
        async with visit.services.database.write() as connection:
            await act(await open_office(connection, visit.tenant_id), connection)
    except TransitionRefused as refused:
        return await again(words_of(visit).refusal(refused), 409)
    except store.NotFound as error:
        raise NotFound from error
    except IntegrityError as error:  # the database's own refusal of a decision by one who took part
        raise Conflict from error
    if publishes:
        await visit.services.office.duty.settle()
        await sign(visit, signer)
    return visit.go(path)


async def act_on_entry(visit: Visit, entry_id: str, act: Act, publishes: bool = False) -> Response:
    """Do something with an entry and show it again."""
    return await _act(visit, act, f"/office/entries/{entry_id}", lambda fault, status: _entry(visit, entry_id, fault, status), publishes)


async def _standing(visit: Visit) -> dict[str, Any]:
    return {"standing": visit.services.office.duty.standing, **await signing_of(visit)}


@router.get("/office/more")
async def more(visit: Read) -> Response:
    """Officers, where reports go, and the pages of the public."""
    return await _more(visit)


@router.post("/office/directives")
async def directive(visit: Annotated[Visit, Depends(need(Permission.ORDER_APPROVE))]) -> Response:
    """A document that names the lead and the focal point of reports."""
    form = visit.form
    symbol, title, lead, focal_point = (form.text(name, 200) for name in ("symbol", "title", "lead", "focal_point"))
    form.check()
    try:
        async with visit.services.database.write() as connection:
            office = await open_office(connection, visit.tenant_id)
            await add_directive(
                connection, office, actor_for(visit), visit.now, symbol=symbol, title=title, lead=lead, focal_point=focal_point
            )
    except SymbolError as error:
        raise InvalidInput(FieldMistake("symbol", "symbol_form")) from error
    except TransitionRefused as refused:
        return await _more(visit, fault=words_of(visit).refusal(refused), status=409)
    return visit.go("/office/more")


@router.post("/office/directives/{directive_id}/end")
async def stop_directive(visit: Annotated[Visit, Depends(need(Permission.ORDER_APPROVE))], directive_id: str) -> Response:
    """A directive holds no more; what was routed by it stays where it went."""
    try:
        async with visit.services.database.write() as connection:
            await end_directive(connection, await open_office(connection, visit.tenant_id), actor_for(visit), directive_id, visit.now)
    except store.NotFound as error:
        raise NotFound from error
    return visit.go("/office/more")


@router.post("/office/bulletins")
async def bulletin(visit: Annotated[Visit, Depends(need(Permission.ORDER_APPROVE))]) -> Response:
    """Tell the schools and families of a place something, or warn them about a site; nothing is blocked by it."""
    form = visit.form
    kind = form.one_of("kind", ("bulletin", "advisory"))
    title, symbol, text = form.text("title", 200), form.text("symbol", 160), form.text("text", LONGEST_TEXT, required=False)
    place, host = form.text("place", 8, required=False), form.text("host", 253, required=False)
    try:
        ends = datetime.combine(date.fromisoformat(form.raw("ends_on")), time(23, 59, 59), VIET_NAM)
    except ValueError:
        ends = visit.now
        form.mistake("ends_on", "date_form")
    form.check()
    fresh = NewBulletin("advisory" if kind == "advisory" else "bulletin", title, text, symbol, ends, place, host)
    async with visit.services.database.write() as connection:
        office = await open_office(connection, visit.tenant_id)
        await add_bulletin(connection, office, actor_for(visit), fresh, visit.now)
    return visit.go("/office/more")


@router.post("/office/bulletins/{bulletin_id}/end")
async def stop_bulletin(visit: Annotated[Visit, Depends(need(Permission.ORDER_APPROVE))], bulletin_id: str) -> Response:
    """Take a bulletin down."""
    async with visit.services.database.write() as connection:
        office = await open_office(connection, visit.tenant_id)
        await end_bulletin(connection, office, actor_for(visit), bulletin_id, visit.now)
    return visit.go("/office/more")


@router.post("/office/officers")
async def propose_officer(visit: Appoint) -> Response:
    """Propose a further officer, appointed by a document; another officer must agree."""
    form = visit.form
    role = form.one_of("role", (Role.VERIFIER.value, Role.APPROVER.value, *LIAISONS))
    basis = form.text("basis", 160)
    agency, until = form.text("agency", 40, required=False), form.raw("role_until")
    if role in BODIES and not agency:
        form.mistake("agency", "required")
    try:
        ends = datetime.combine(date.fromisoformat(until), time(23, 59, 59), VIET_NAM) if until else None
    except ValueError:
        ends = None
        form.mistake("role_until", "date_form")
    if role in LIAISONS and (ends is None or ends <= visit.now):
        form.mistake("role_until", "required" if ends is None else "end_passed")
    form.check()
    async with visit.services.database.write() as connection:
        office = await open_office(connection, visit.tenant_id)
        if role in BODIES:
            try:
                body = await agency_row(connection, office, agency)
                if role == Role.EDU_ADMIN.value and not body["place_code"]:
                    raise InvalidInput(FieldMistake("agency", "place_unknown"))
            except store.NotFound as error:
                raise NotFound from error
        else:
            agency = ""
        await propose(connection, visit.act, Role(role), basis, agency=agency or None, until=ends if role in LIAISONS else None)
    return visit.go("/office/more")


@router.post("/office/officers/{invitation}")
async def second_officer(visit: Appoint, invitation: str) -> Response:
    """Another officer agrees: the link stands in this answer only."""
    async with visit.services.database.write() as connection:
        secret = await second(connection, visit.act, invitation)
    return await _more(visit, f"{public_url(visit.services.settings)}/join/{secret}")


@router.post("/office/roles/end")
async def end_of_role(visit: Appoint) -> Response:
    """Ask that an officer's role ends, by a document; when another officer agrees, it ends now. A new root without the key is drafted."""
    assignment = visit.form.raw("assignment")[:40]
    asked = (await read_asked(visit.services.settings.state_dir, visit.now)).get(assignment)
    mine = asked is None or asked.account == visit.signed_in.actor.account_id
    basis = visit.form.text("basis", 160) if mine else ""
    visit.form.check()
    try:
        ended = await end_officer(visit.services.database, visit.act, visit.services.settings.state_dir, assignment, basis)
    except TransitionRefused as refused:
        return await _more(visit, fault=words_of(visit).refusal(refused), status=409)
    if ended:
        await visit.services.office.signing.settle(visit.tenant_id, visit.now)
    return visit.go("/office/more")


async def _more(visit: Visit, link: str = "", fault: str = "", status: int = 200) -> Response:
    async with visit.services.database.read() as connection:
        office = await open_office(connection, visit.tenant_id)
        rows = await directives_in_force(connection, office, visit.now)
        news = await bulletins_of(connection, office, visit.now)
        people = await officers(connection, visit.tenant_id, visit.now)
        places = await open_places(connection, visit.tenant_id)
        bodies = await agencies_on(connection, office, visit.now.astimezone(VIET_NAM).date())
    asked = await read_asked(visit.services.settings.state_dir, visit.now)
    context = {
        "asked": asked, "names": {row["account_id"]: row["name"] for row in people},
        "directives": rows, "people": people, "places": places, "link": link, "say": words_of(visit),
        "me": visit.signed_in.actor.account_id, "news": news, "fault": fault, "agencies": bodies, "liaisons": LIAISONS,
        "certificate": await warning_ahead(visit.services.settings) if link else "",
    }  # fmt: skip
    return visit.page("office/more.html", context, status)
