"""The API of what a list office works with: bodies of the state as dated data, clocks, directives, letters that a person sent,
cases and the notes of one's own body. By the same functions as the pages, and under the same permissions."""

from __future__ import annotations

from datetime import date
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.errors import FieldMistake, InvalidInput, NotFound
from admin.officeactions import forward_item
from admin.officedirectives import add_directive, directives_in_force, end_directive
from admin.officekeepschemas import (
    AgencyEndIn,
    AgencyIn,
    AgencyOut,
    AgencyRenameIn,
    AgencyRoleIn,
    AgencyRoleOut,
    CaseDetailOut,
    ClockIn,
    ClockLevelOut,
    ClockOut,
    DirectiveIn,
    DirectiveOut,
    ForwardIn,
    NoteIn,
    NoteOut,
    OwnerIn,
)
from admin.officeresults import EntryDetailOut
from admin.officeschemas import OrderOut
from admin.officescope import read_places
from admin.officeshared import read_case, voice_of, write_note
from admin.permissions import Permission
from admin.routes.api import PAGE, After, Caller, IdempotencyKey, Limit, caller, cut_page, made_before, note_made, page_of
from admin.routes.apioffice import Reader, actor_in, changing, order_out, reading
from admin.routes.apiofficework import Approver, CaseReader, Worker, case_out, show_entry
from admin.schemas import Day, PageOf
from blocklists.takedown import agencies, notes, renewing
from blocklists.takedown.agencies import NewAgency
from blocklists.takedown.agencytables import AgencyKind, AgencyRole
from blocklists.takedown.clocks import CLOCKS, Levels, read_levels, set_level
from blocklists.takedown.deadlines import VIET_NAM, level
from blocklists.takedown.documents import SymbolError
from blocklists.takedown.model import Kind, Office

router = APIRouter(prefix="/office", tags=["list office"])

_One = TypeVar("_One")
Noter = Annotated[Caller, Depends(caller(Permission.NOTE_WRITE))]


@router.get("/agencies")
async def list_agencies(
    who: Reader, on: Day | None = None, gone: bool = False, limit: Limit = PAGE, after: After = None
) -> PageOf[AgencyOut]:
    """The bodies of a day (today unless said) with what each is charged with; with `gone` those that had ended by then."""
    day = on or _today(who)
    async with reading(who) as (connection, office):
        rows = await (agencies.agencies_gone if gone else agencies.agencies_on)(connection, office, day)
        page, following = cut_page(rows, lambda row: str(row["id"]), after, limit)
        items = await _agencies(connection, office, page, day)
    return PageOf(items=items, next=following)


@router.get("/agencies/{agency_id}")
async def show_agency(who: Reader, agency_id: str) -> AgencyOut:
    """One body, and who does today what it did."""
    async with reading(who) as (connection, office):
        row = await agencies.agency_row(connection, office, agency_id)
        (found,) = await _agencies(connection, office, [row], _today(who))
    return found


@router.post("/agencies", status_code=201)
async def add_agency(who: Approver, new: AgencyIn, key: IdempotencyKey = None) -> AgencyOut:
    """Keep a body. A name of a person is refused."""
    places, unknown = read_places(new.place, new.valid_from or _today(who))
    if unknown or len(places) > 1:
        raise InvalidInput(FieldMistake("place", "place_unknown"))
    fresh = NewAgency(new.name.strip(), new.kind, new.short, places[0] if places else "", new.valid_from)
    async with changing(who) as (connection, office):
        made = await made_before(connection, who, key, "agency", new)
        if made is None:
            made = await agencies.add_agency(connection, office, actor_in(who), fresh, who.now)
            await note_made(connection, who, key, made, "agency", new)
    return await show_agency(who, made)


@router.post("/agencies/{agency_id}/rename", status_code=201)
async def rename_agency(who: Approver, agency_id: str, wanted: AgencyRenameIn, key: IdempotencyKey = None) -> AgencyOut:
    """Another name from a day on: a body of its own that follows the old one and keeps what it is charged with."""
    async with changing(who) as (connection, office):
        made = await made_before(connection, who, key, "agency_rename", wanted, agency_id)
        if made is None:
            made = await agencies.rename_agency(
                connection, office, actor_in(who), agency_id, wanted.on, wanted.name.strip(), wanted.short, wanted.basis, who.now
            )
            await note_made(connection, who, key, made, "agency_rename", wanted, agency_id)
    return await show_agency(who, made)


@router.post("/agencies/{agency_id}/end")
async def end_agency(who: Approver, agency_id: str, wanted: AgencyEndIn) -> AgencyOut:
    """A body ends on a day; its successors are named, and what it was charged with ends with it."""
    async with changing(who) as (connection, office):
        await agencies.end_agency(connection, office, actor_in(who), agency_id, wanted.on, wanted.successors, wanted.basis, who.now)
    return await show_agency(who, agency_id)


@router.post("/agencies/{agency_id}/roles")
async def give_role(who: Approver, agency_id: str, wanted: AgencyRoleIn) -> AgencyOut:
    """Charge a body with something from a day on, by a document."""
    async with changing(who) as (connection, office):
        await agencies.give_role(connection, office, actor_in(who), wanted.role, agency_id, wanted.on, wanted.basis, who.now)
    return await show_agency(who, agency_id)


@router.get("/clocks")
async def list_clocks(who: Reader, limit: Limit = PAGE, after: After = None) -> PageOf[ClockOut]:
    """Every clock as it runs today with its basis, and what is set for later."""
    async with reading(who) as (connection, office):
        levels = await read_levels(connection, office)
    page, following = cut_page(CLOCKS, str, after, limit)
    return PageOf(items=[_clock(clock, levels, _today(who)) for clock in page], next=following)


@router.get("/clocks/{clock}")
async def show_clock(who: Reader, clock: str) -> ClockOut:
    """One clock."""
    _require_clock(clock)
    async with reading(who) as (connection, office):
        return _clock(clock, await read_levels(connection, office), _today(who))


@router.put("/clocks/{clock}")
async def set_clock(who: Approver, clock: str, wanted: ClockIn) -> ClockOut:
    """A clock from a day on, by a document; what began before keeps the older one."""
    _require_clock(clock)
    async with changing(who) as (connection, office):
        await set_level(connection, office, actor_in(who), clock, wanted.hours, wanted.basis, wanted.starts, who.now)
    return await show_clock(who, clock)


@router.get("/directives")
async def list_directives(who: Reader, limit: Limit = PAGE, after: After = None) -> PageOf[DirectiveOut]:
    """Every directive in force, the newest first."""
    return page_of(await _directives(who), after, limit)


@router.get("/directives/{identity}")
async def show_directive(who: Reader, identity: str) -> DirectiveOut:
    """One directive in force."""
    return _found([one for one in await _directives(who) if one.id == identity])


@router.post("/directives", status_code=201)
async def write_directive(who: Approver, new: DirectiveIn, key: IdempotencyKey = None) -> DirectiveOut:
    """A directive from now on; the one about the same topic before it ends. What was routed before stays where it went."""
    try:
        async with changing(who) as (connection, office):
            made = await made_before(connection, who, key, "directive", new)
            if made is None:
                made = await add_directive(
                    connection, office, actor_in(who), who.now, symbol=new.symbol, title=new.title, lead=new.lead,
                    focal_point=new.focal_point, topic=new.topic,
                )  # fmt: skip
                await note_made(connection, who, key, made, "directive", new)
    except SymbolError as error:
        raise InvalidInput(FieldMistake("symbol", "symbol_form")) from error
    return await show_directive(who, made)


@router.post("/directives/{identity}/end", status_code=204)
async def stop_directive(who: Approver, identity: str) -> None:
    """A directive holds no more; what was routed by it stays where it went."""
    async with changing(who) as (connection, office):
        await end_directive(connection, office, actor_in(who), identity, who.now)


@router.post("/orders/{order_id}/items/{item_id}/forward")
async def forward(who: Worker, order_id: str, item_id: str, wanted: ForwardIn) -> OrderOut:
    """Note to whom an address on a platform was sent, or what came of it."""
    async with changing(who) as (connection, office):
        await forward_item(connection, office, order_id, item_id, wanted.sent_to, wanted.outcome, actor_in(who), who.now)
    return await order_out(who, order_id)


@router.post("/entries/{entry_id}/owner")
async def tell_owner(who: Worker, entry_id: str, wanted: OwnerIn) -> EntryDetailOut:
    """Note that the owner of a state site was told, and how."""
    async with changing(who) as (connection, office):
        await renewing.tell_owner(connection, office, entry_id, wanted.how, actor_in(who), who.now)
    return await show_entry(who, entry_id)


@router.get("/cases/{kind}/{case_id}")
async def show_case(who: CaseReader, kind: str, case_id: str) -> CaseDetailOut:
    """One case of the shared register, and the notes of the caller's own body; nobody reads another's."""
    async with reading(who) as (connection, office):
        case = await read_case(connection, office, _kind(kind), case_id, who.now)
        voice = await voice_of(connection, office, who.signed_in.actor.account_id, who.now)
        own = await notes.notes_of(connection, office, voice.agency, case_id) if voice.may_note else None
    return CaseDetailOut(case=case_out(case), notes=None if own is None else [_note(row) for row in own])


@router.post("/cases/{kind}/{case_id}/notes", status_code=201)
async def add_note(who: Noter, kind: str, case_id: str, new: NoteIn, key: IdempotencyKey = None) -> NoteOut:
    """Write a note for one's own body. Data of a person, and notes on what was referred, are refused."""
    what = _kind(kind)
    async with changing(who) as (connection, office):
        made = await made_before(connection, who, key, "note", new, kind, case_id)
        if made is None:
            made = await write_note(connection, office, actor_in(who), what, case_id, new.text, who.now)
            await note_made(connection, who, key, made, "note", new, kind, case_id)
        voice = await voice_of(connection, office, who.signed_in.actor.account_id, who.now)
        rows = await notes.notes_of(connection, office, voice.agency, case_id)
    return _found([_note(row) for row in rows if row["id"] == made])


async def _directives(who: Caller) -> list[DirectiveOut]:
    async with reading(who) as (connection, office):
        rows = await directives_in_force(connection, office, who.now)
    return [DirectiveOut(**{name: row[name] for name in DirectiveOut.model_fields}) for row in rows]


async def _agencies(connection: AsyncConnection, office: Office, rows: list[RowMapping], on: date) -> list[AgencyOut]:
    charged: dict[str, list[AgencyRoleOut]] = {}
    for role in AgencyRole:
        for row in await agencies.holders(connection, office, role, on):
            charged.setdefault(row["id"], []).append(AgencyRoleOut(role=role, basis=row["role_basis"]))
    found = []
    for row in rows:
        after = await agencies.successors_of(connection, office, row["id"], on) if row["valid_until"] else []
        found.append(
            AgencyOut(
                id=row["id"], kind=AgencyKind(row["kind"]), name=row["name"], short=row["short"], place=row["place_code"],
                valid_from=row["valid_from"], valid_until=row["valid_until"], roles=charged.get(row["id"], []),
                successors=[one["id"] for one in after],
            )
        )  # fmt: skip
    return found


def _clock(clock: str, levels: Levels, today: date) -> ClockOut:
    now = level(clock, today, levels)
    later = sorted((one for one in levels if one.clock == clock and one.valid_from > today), key=lambda one: one.valid_from)
    said = [ClockLevelOut(hours=one.hours, basis=one.basis, starts=one.valid_from) for one in later]
    return ClockOut(clock=clock, hours=now.hours, basis=now.basis, starts=now.valid_from, later=said)


def _note(row: RowMapping) -> NoteOut:
    return NoteOut(id=row["id"], text=row["text"], written_at=row["created_at"])


def _require_clock(clock: str) -> None:
    if clock not in CLOCKS:
        raise NotFound


def _kind(text: str) -> Kind:
    """The kind of case of an address. Raises NotFound."""
    if text not in set(Kind):
        raise NotFound
    return Kind(text)


def _found(rows: list[_One]) -> _One:
    """The one that is there. Raises NotFound."""
    if not rows:
        raise NotFound
    return rows[0]


def _today(who: Caller) -> date:
    return who.now.astimezone(VIET_NAM).date()
