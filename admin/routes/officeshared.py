"""The shared case register with each body's own notes, and the numbers for observers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from admin.choices import read_choices
from admin.dependencies import Services, Visit, need
from admin.errors import Conflict, FieldMistake, InvalidInput, NotFound
from admin.notices import Message
from admin.office import open_office
from admin.officeschools import read_schools
from admin.officeshared import read_case, read_cases, read_figures, voice_of, write_note
from admin.officetighten import list_rules, release_schools, tighten_schools
from admin.pages.words import mark as _
from admin.permissions import Permission
from admin.routes.officeparts import actor_for, words_of
from admin.schoolmoves import list_left
from admin.setup import public_url
from blocklists.places import gazetteer
from blocklists.tables import OrganisationId, Role
from blocklists.takedown import notes
from blocklists.takedown.deadlines import VIET_NAM
from blocklists.takedown.model import Kind, Office, TransitionRefused
from blocklists.takedown.model import NotFound as NoCase

router = APIRouter()

Reader = Annotated[Visit, Depends(need(Permission.CASE_READ))]
Tightener = Annotated[Visit, Depends(need(Permission.SCHOOLS_TIGHTEN))]


@router.get("/office/cases")
async def show_cases(visit: Reader) -> Response:
    """Every case with its state and deadline, for all bodies alike."""
    async with visit.services.database.read() as connection:
        office = await open_office(connection, visit.tenant_id)
        cases = await read_cases(connection, office, visit.now)
    return visit.page("office/cases.html", {"cases": cases, "say": words_of(visit)})


@router.get("/office/cases/{kind}/{case_id}")
async def show_case(visit: Reader, kind: Kind, case_id: str) -> Response:
    """One case, and the notes of one's own body."""
    return await _case(visit, kind, case_id)


@router.post("/office/cases/{kind}/{case_id}")
async def add_note(visit: Annotated[Visit, Depends(need(Permission.NOTE_WRITE))], kind: Kind, case_id: str) -> Response:
    """Write a note for one's own body."""
    try:
        async with visit.services.database.write() as connection:
            office = await open_office(connection, visit.tenant_id)
            await write_note(connection, office, actor_for(visit), kind, case_id, visit.form.raw("text"), visit.now)
    except TransitionRefused as refused:
        return await _case(visit, kind, case_id, words_of(visit).refusal(refused), 409)
    except NoCase as error:
        raise NotFound from error
    return visit.go(f"/office/cases/{kind.value}/{case_id}")


@router.get("/office/figures")
async def show_figures(visit: Annotated[Visit, Depends(need(Permission.FIGURES_READ))]) -> Response:
    """The office in numbers; nothing below five."""
    async with visit.services.database.read() as connection:
        figures = await read_figures(connection, await open_office(connection, visit.tenant_id))
    return visit.page("office/figures.html", {"figures": figures, "say": words_of(visit)})


@router.get("/office/schools")
async def show_schools(visit: Annotated[Visit, Depends(need(Permission.SCHOOLS_COUNT))]) -> Response:
    """The schools of one's own province in numbers, and what is closed in all of them."""
    return await _schools(visit)


@router.post("/office/schools/rules")
async def tighten(visit: Tightener) -> Response:
    """Close one group in every school of the place, by a document. The schools are told."""
    category, document = visit.form.text("category", 40), visit.form.text("document", 160)
    try:
        visit.form.check()
        async with visit.services.database.write() as connection:
            office, agency = await _department(visit, connection)
            _, schools = await tighten_schools(connection, visit.act, office, agency, category, document, visit.services.shelves.current())
    except (InvalidInput, Conflict) as error:
        mistakes = error.mistakes if isinstance(error, InvalidInput) else (FieldMistake(error.field, error.code),)
        return await _schools(visit, mistakes, {"category": category, "document": document})
    await tell_schools(visit.services, schools, visit.now)
    return visit.go("/office/schools")


@router.post("/office/schools/rules/{rule}/lift")
async def release(visit: Tightener, rule: str) -> Response:
    """Leave a group to the schools again, by a document. The schools are told."""
    document = visit.form.text("lifted_by", 160)
    try:
        visit.form.check()
        async with visit.services.database.write() as connection:
            office, agency = await _department(visit, connection)
            schools = await release_schools(connection, visit.act, office, agency, rule, document)
    except InvalidInput as error:
        return await _schools(visit, tuple(FieldMistake("lifted_by", one.code) for one in error.mistakes), {"rule": rule})
    await tell_schools(visit.services, schools, visit.now)
    return visit.go("/office/schools")


async def tell_schools(services: Services, schools: Sequence[OrganisationId], now: datetime) -> None:
    """The new policy of each, and a message where a school wants one: their home page says what and by which document."""
    services.applier.hurry()
    words = services.pages.words[next(iter(services.pages.words))]
    text = words.gettext(_("Your home page says which group it is, and by which document: {address}"))
    message = Message(
        words.gettext(_("Lá Chắn: a rule for the schools of your place changed")), text.format(address=public_url(services.settings))
    )
    for school in schools:
        async with services.database.read() as connection:
            choices = await read_choices(connection, school)
        services.post.announce(school, choices, message, now, is_urgent=True)


async def _department(visit: Visit, connection: AsyncConnection) -> tuple[Office, str | None]:
    """The office, and the body that this person speaks for as its education department."""
    office = await open_office(connection, visit.tenant_id)
    return office, (await voice_of(connection, office, visit.signed_in.actor.account_id, visit.now, Role.EDU_ADMIN)).agency


async def _schools(visit: Visit, mistakes: tuple[FieldMistake, ...] = (), typed: dict[str, str] | None = None) -> Response:
    async with visit.services.database.read() as connection:
        office, agency = await _department(visit, connection)
        found = await read_schools(connection, office, agency, visit.now)
        rules = await list_rules(connection, office, agency)
        left = await list_left(connection, office, rules, visit.now)
    place = gazetteer().say(found.place, visit.now.astimezone(VIET_NAM).date())
    shelf = visit.services.shelves.current()
    closed = {one.category for one in rules}
    context: dict[str, Any] = {"found": found, "place": place, "shelf": shelf, "rules": rules, "left": left, "mistakes": mistakes}
    context["typed"] = {"category": "", "document": "", "rule": "", **(typed or {})}
    context["offered"] = [code for code in shelf.leisure if code not in closed]
    return visit.page("office/schools.html", context, 422 if mistakes else 200)


async def _case(visit: Visit, kind: Kind, case_id: str, fault: str = "", status: int = 200) -> Response:
    async with visit.services.database.read() as connection:
        office = await open_office(connection, visit.tenant_id)
        case = await read_case(connection, office, kind, case_id, visit.now)
        voice = await voice_of(connection, office, visit.signed_in.actor.account_id, visit.now)
        own = await notes.notes_of(connection, office, voice.agency, case_id) if voice.may_note else []
    context = {
        "case": case, "notes": own, "fault": fault, "say": words_of(visit), "text": visit.form.raw("text") if fault else "",
        "may_note": voice.may_note and visit.may(Permission.NOTE_WRITE),
    }  # fmt: skip
    return visit.page("office/case.html", context, status)
