"""Bodies of the state in the list office: what they are called on a day, who follows whom, who holds which role."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from sqlalchemy.exc import IntegrityError
from starlette.responses import Response

from admin.dependencies import Visit, need
from admin.errors import FieldMistake, InvalidInput, NotFound
from admin.forms import Form
from admin.office import open_office
from admin.officescope import read_places
from admin.permissions import Permission
from admin.routes.officeparts import actor_for, words_of
from blocklists.places import gazetteer
from blocklists.takedown import agencies, store
from blocklists.takedown.agencies import NewAgency
from blocklists.takedown.agencytables import AgencyKind, AgencyRole
from blocklists.takedown.deadlines import VIET_NAM
from blocklists.takedown.workflow import TransitionRefused

router = APIRouter()

Read = Annotated[Visit, Depends(need(Permission.OFFICE_READ))]
Keep = Annotated[Visit, Depends(need(Permission.ORDER_APPROVE))]
Act = Callable[[store.Office, Any], Awaitable[object]]  # Any: the write transaction


@router.get("/office/agencies")
async def agencies_page(visit: Read, on: str = "") -> Response:
    """The bodies of a day, and who holds which role on it."""
    return await _page(visit, _day(on) or _today(visit))


@router.post("/office/agencies")
async def add(visit: Keep) -> Response:
    """Keep a body."""
    form = visit.form
    kind = form.choice("kind", AgencyKind, AgencyKind.OTHER)
    name, short = form.text("name", 160), form.text("short", 40, required=False)
    starts = _form_day(form, "from", required=False)
    places, unknown = read_places(form.raw("place"), starts or _today(visit))
    if unknown or len(places) > 1:
        form.mistake("place", "place_unknown")
    form.check()
    fresh = NewAgency(name, kind, short, places[0] if places else "", starts)
    return await _act(visit, lambda office, connection: agencies.add_agency(connection, office, actor_for(visit), fresh, visit.now))


@router.post("/office/agencies/{agency_id}")
async def change(visit: Keep, agency_id: str) -> Response:
    """End a body and name who follows it, give it another name from a day on, or a role by a document."""
    form, now, actor = visit.form, visit.now, actor_for(visit)
    step = form.raw("step")
    on = _form_day(form, "on")
    basis = form.text("basis", 160, required=step == "role")
    name = form.text("name", 160, required=step == "rename")
    role = form.choice("role", AgencyRole, AgencyRole.LIST_OWNER) if step == "role" else AgencyRole.LIST_OWNER
    form.check()
    assert on is not None

    async def act(office: store.Office, connection: Any) -> None:  # Any: the write transaction
        if step == "end":
            await agencies.end_agency(connection, office, actor, agency_id, on, form.many("successor", 20), basis, now)
        elif step == "rename":
            await agencies.rename_agency(connection, office, actor, agency_id, on, name, form.raw("short")[:40], basis, now)
        elif step == "role":
            await agencies.give_role(connection, office, actor, role, agency_id, on, basis, now)
        else:
            raise NotFound

    return await _act(visit, act)


async def _act(visit: Visit, act: Act) -> Response:
    try:
        async with visit.services.database.write() as connection:
            await act(await open_office(connection, visit.tenant_id), connection)
    except TransitionRefused as refused:
        return await _page(visit, _today(visit), words_of(visit).refusal(refused), 409)
    except (store.NotFound, IntegrityError) as error:
        raise NotFound from error
    return visit.go("/office/agencies")


async def _page(visit: Visit, on: date, fault: str = "", status: int = 200) -> Response:
    async with visit.services.database.read() as connection:
        office = await open_office(connection, visit.tenant_id)
        there = await agencies.agencies_on(connection, office, on)
        gone = await agencies.agencies_gone(connection, office, on)
        after = {row["id"]: await agencies.successors_of(connection, office, row["id"], on) for row in gone}
        roles = {role: await agencies.holders(connection, office, role, on) for role in AgencyRole}
    table = gazetteer()
    context = {
        "on": on, "rows": there, "gone": gone, "after": after, "roles": roles, "kinds": list(AgencyKind), "fault": fault,
        "say": words_of(visit), "say_place": lambda code, day: table.say(code, date.fromisoformat(day) if day else on),
        "today": _today(visit),
    }  # fmt: skip
    return visit.page("office/agencies.html", context, status)


def _today(visit: Visit) -> date:
    return visit.now.astimezone(VIET_NAM).date()


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _form_day(form: Form, name: str, *, required: bool = True) -> date | None:
    day = _day(form.raw(name))
    if day is None and (required or form.raw(name)):
        raise InvalidInput(FieldMistake(name, "date_form"))
    return day
