"""The shared case register with each body's own notes, and the numbers for observers."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from admin.dependencies import Visit, need
from admin.errors import NotFound
from admin.office import open_office
from admin.officeschools import read_schools
from admin.officeshared import read_case, read_cases, read_figures, voice_of
from admin.permissions import Permission
from admin.routes.officeparts import actor_for, words_of
from blocklists.places import gazetteer
from blocklists.tables import Role
from blocklists.takedown import notes
from blocklists.takedown.deadlines import VIET_NAM
from blocklists.takedown.model import Kind, TransitionRefused
from blocklists.takedown.model import NotFound as NoCase

router = APIRouter()

Reader = Annotated[Visit, Depends(need(Permission.CASE_READ))]


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
            voice = await voice_of(connection, office, visit.signed_in.actor.account_id, visit.now)
            if not voice.may_note:
                raise NotFound
            await notes.add_note(connection, office, actor_for(visit), voice.agency, kind, case_id, visit.form.raw("text"), visit.now)
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
    """The schools of one's own province in numbers."""
    async with visit.services.database.read() as connection:
        office = await open_office(connection, visit.tenant_id)
        voice = await voice_of(connection, office, visit.signed_in.actor.account_id, visit.now, Role.EDU_ADMIN)
        found = await read_schools(connection, office, voice.agency, visit.now)
    place = gazetteer().say(found.place, visit.now.astimezone(VIET_NAM).date())
    return visit.page("office/schools.html", {"found": found, "place": place, "shelf": visit.services.shelves.current()})


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
