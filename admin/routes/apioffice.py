"""The API's list office: documents, rows, entries, versions, reviews, by the same functions as the pages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends
from sqlalchemy.engine import RowMapping
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import by_account
from admin.errors import AdminError, Conflict, FieldMistake, InvalidInput, NotFound
from admin.office import actor_of, masked, open_office
from admin.officeform import CATEGORIES, EVERYBODY, read_chain, with_laws
from admin.officeintake import hidden, read_intake
from admin.officepreview import require_unbroken
from admin.officereads import find_entries, known_keys, order_clock, read_inbox, read_order, read_versions, taken_hosts
from admin.officeschemas import (
    DecisionIn,
    EntryOut,
    EntryPage,
    ItemOut,
    LiftIn,
    OrderIn,
    OrderOut,
    OrderRow,
    OrderStepIn,
    RegisteredOut,
    ReviewOut,
    ReviewStepIn,
    StandingOut,
    StepOut,
    UnreadOut,
    VersionOut,
    VersionPage,
)
from admin.officescope import read_places, schools
from admin.permissions import Permission, authorise
from admin.routes.api import PAGE, After, Caller, IdempotencyKey, Limit, caller, cut_page, made_before, note_made, page_of
from admin.routes.officeorders import APPROVALS
from admin.schemas import PageOf
from blocklists.takedown import cases, store
from blocklists.takedown.before import find_same
from blocklists.takedown.clocks import Levels, read_levels
from blocklists.takedown.deadlines import VIET_NAM
from blocklists.takedown.documents import PartialDate, SymbolError, parse_symbol
from blocklists.takedown.filetext import UnreadableFile
from blocklists.takedown.model import Actor, Capacity
from blocklists.takedown.store import NewOrder, Office
from blocklists.takedown.workflow import TransitionRefused

router = APIRouter(prefix="/office", tags=["list office"])

Reader = Annotated[Caller, Depends(caller(Permission.OFFICE_READ))]
Registrar = Annotated[Caller, Depends(caller(Permission.ORDER_REGISTER))]
Stepper = Annotated[Caller, Depends(caller(Permission.OFFICE_READ))]
Verifier = Annotated[Caller, Depends(caller(Permission.ORDER_VERIFY))]
Lifter = Annotated[Caller, Depends(caller(Permission.ENTRY_LIFT))]
Releases = Annotated[Caller, Depends(caller(Permission.RELEASE_READ))]

_STEPS = {"verify": Permission.ORDER_VERIFY} | dict.fromkeys(
    ("approve", "second", "approve_urgent", "confirm", "reject", "send_back"), Permission.ORDER_APPROVE
)
_REVIEW_STEPS = {"take": Permission.REVIEW_TAKE, "uphold": Permission.REVIEW_DECIDE, "overturn": Permission.REVIEW_DECIDE}


class Refused(AdminError):
    """The transition table, or the database behind it, does not allow the move; the code says why."""

    status = 409
    code = "refused"


@router.post("/orders", status_code=201)
async def register(who: Registrar, new: OrderIn, key: IdempotencyKey = None) -> RegisteredOut:
    """Read a letter, judge its rows and register it. Nothing of an address but its host is kept; what was not read is said."""
    if new.category not in CATEGORIES:
        raise InvalidInput(FieldMistake("category", "unknown"))
    async with who.services.database.read() as connection:
        office = await open_office(connection, who.tenant_id)
        known = await known_keys(connection, office)
        there = frozenset(school["id"] for school in await schools(connection))
    guard = await asyncio.to_thread(who.services.office.guard.current)
    try:
        intake = await asyncio.to_thread(read_intake, new.text, None, guard, office, known)
    except UnreadableFile as error:
        raise InvalidInput(FieldMistake("text", "too_many_addresses")) from error
    try:
        symbol = parse_symbol(new.symbol or intake.letter.symbol)
    except SymbolError as error:
        raise InvalidInput(FieldMistake("symbol", "symbol_form")) from error
    if not (new.issuer or intake.letter.issuer):
        raise InvalidInput(FieldMistake("issuer", "required"))
    if not intake.found.rows:
        raise InvalidInput(FieldMistake("text", "no_address"))
    places, unknown = read_places(",".join(new.places), who.now.astimezone(VIET_NAM).date())
    if unknown or not there.issuperset(new.schools):
        raise InvalidInput(FieldMistake("places" if unknown else "schools", "place_unknown" if unknown else "unknown"))
    issued, basis = intake.letter.issued_on, intake.letter.basis
    if new.issued_on is not None:
        issued = PartialDate(new.issued_on.year, new.issued_on.month, new.issued_on.day)
    if issued is not None and issued.is_after(who.now.astimezone(VIET_NAM).date()):
        raise InvalidInput(FieldMistake("issued_on", "issued_later"))
    parents: tuple[int | None, ...] = ()
    if new.basis is not None:
        documents, parents = read_chain(new.basis)
        basis = with_laws(documents)
    until = new.valid_until or intake.letter.until
    order = NewOrder(
        symbol=symbol,
        issuer=new.issuer or intake.letter.issuer,
        valid_from=_midnight(new.valid_from) if new.valid_from else who.now,
        valid_until=_midnight(until + timedelta(days=1)) if until and not new.no_end else None,
        no_end=new.no_end,
        category=new.category,
        bands=EVERYBODY if new.everybody else tuple(band for band in EVERYBODY if band in new.bands),
        places=places,
        organisations=tuple(sorted(set(new.schools))),
        capacity=intake.letter.capacity,
        subject=new.subject if new.subject is not None else intake.letter.subject,
        issued_on=issued,
        basis=basis,
        basis_parents=parents,
        urgent=intake.letter.urgent if new.urgent is None else new.urgent,
        appeal=new.appeal,
        held=intake.found.held,
        items=[row.item for row in intake.found.rows],
    )
    order = await hidden(order, who.services.settings.state_dir)
    async with changing(who) as (connection, office):
        made = await made_before(connection, who, key, "takedown_order", new)
        if made is None:
            made = await store.register(connection, office, order, actor_in(who), who.now)
            await note_made(connection, who, key, made, "takedown_order", new)
        same = await find_same(connection, office, symbol.as_written, order.issuer, made)
    unread = [UnreadOut(code=part.code, words=part.en) for part in intake.unread]
    return RegisteredOut(**(await order_out(who, made)).model_dump(), unread=unread, same_as=same["id"] if same else None)


@router.get("/orders")
async def list_orders(who: Reader, limit: Limit = PAGE, after: After = None) -> PageOf[OrderRow]:
    """Documents that wait, the most urgent first, then the latest decided ones."""
    async with reading(who) as (connection, office):
        inbox = await read_inbox(connection, office, who.now)
        levels = await read_levels(connection, office)
    listed = [one.row for one in inbox.orders] + list(inbox.done)
    return page_of([_row(row, who.now, levels) for row in listed], after, limit)


@router.get("/orders/{order_id}")
async def show_order(who: Reader, order_id: str) -> OrderOut:
    """One document with its rows and the steps that are open to this caller."""
    return await order_out(who, order_id)


@router.post("/orders/{order_id}/steps")
async def step(who: Stepper, order_id: str, wanted: OrderStepIn) -> OrderOut:
    """Verify, approve, reject: one move of the transition table. An approval is in force when the answer comes, if the gateway is there."""
    actor = actor_with(who, _STEPS, wanted.step)
    async with changing(who) as (connection, office):
        if wanted.step in APPROVALS:
            order, hosts = await store.order_row(connection, office, order_id), await taken_hosts(connection, office, order_id)
            await asyncio.to_thread(require_unbroken, who.services.office.assertions, hosts, order)
        await store.move_order(connection, office, order_id, wanted.step, actor, who.now, wanted.reason)
    await who.services.office.duty.settle()
    return await order_out(who, order_id)


@router.post("/orders/{order_id}/items/{item_id}")
async def decide(who: Verifier, order_id: str, item_id: str, wanted: DecisionIn) -> OrderOut:
    """Block the whole site of a row, or leave it."""
    async with changing(who) as (connection, office):
        await store.decide_item(connection, office, item_id, wanted.decision, wanted.reason, actor_in(who), who.now, of=order_id)
    return await order_out(who, order_id)


@router.get("/entries")
async def list_entries(who: Reader, q: str = "", state: str = "", limit: Limit = 50, after: After = None) -> EntryPage:
    """Entries by name or document."""
    async with reading(who) as (connection, office):
        rows = await find_entries(connection, office, q[:253], state, limit + 1, after or "0")
    following = rows[limit - 1]["id"] if len(rows) > limit else None
    return EntryPage(items=[entry_out(row) for row in rows[:limit]], next=following)


@router.post("/entries/{entry_id}/lift")
async def lift(who: Lifter, entry_id: str, wanted: LiftIn) -> EntryOut:
    """Take an entry out of force."""
    async with changing(who) as (connection, office):
        await store.move_entry(connection, office, entry_id, "lift", actor_in(who), who.now, wanted.reason)
    await who.services.office.duty.settle()
    async with reading(who) as (connection, office):
        return entry_out(await store.entry_row(connection, office, entry_id))


@router.get("/versions")
async def list_versions(who: Releases, limit: Limit = PAGE, after: After = None) -> VersionPage:
    """Published versions, and whether this gateway enforces the newest."""
    async with reading(who) as (connection, office):
        rows = await read_versions(connection, office)
    stands = who.services.office.duty.standing
    gateway = StandingOut(serial=stands.serial, in_force=stands.in_force, problem=stands.problem)
    page, following = cut_page(rows, lambda row: str(row["serial"]), after, limit)
    items = [VersionOut(**{name: row[name] for name in VersionOut.model_fields}) for row in page]
    return VersionPage(items=items, gateway=gateway, next=following)


@router.get("/reviews")
async def list_reviews(who: Reader, limit: Limit = PAGE, after: After = None) -> PageOf[ReviewOut]:
    """Requests to look again that wait for an answer."""
    async with reading(who) as (connection, office):
        inbox = await read_inbox(connection, office, who.now)
    items = [
        ReviewOut(
            id=one.row["id"], entry=one.row["entry_id"], name=masked(one.row["host"], one.row["category"], one.row["entry_id"]),
            reason=one.row["reason"], state=one.row["state"], received_at=one.row["received_at"], due_at=one.clock.due,
            overdue=one.clock.overdue,
        )
        for one in inbox.reviews
    ]  # fmt: skip
    return page_of(items, after, limit)


@router.post("/reviews/{review_id}/steps", status_code=204)
async def review_step(who: Stepper, review_id: str, wanted: ReviewStepIn) -> None:
    """Take, uphold or overturn."""
    actor = actor_with(who, _REVIEW_STEPS, wanted.step)
    async with changing(who) as (connection, office):
        await cases.move_review(connection, office, review_id, wanted.step, actor, who.now, wanted.reason)
    await who.services.office.duty.settle()


@asynccontextmanager
async def reading(who: Caller) -> AsyncIterator[tuple[AsyncConnection, Office]]:
    """A read transaction on the caller's office. Raises NotFound."""
    try:
        async with who.services.database.read() as connection:
            yield connection, await open_office(connection, who.tenant_id)
    except store.NotFound as error:
        raise NotFound from error


@asynccontextmanager
async def changing(who: Caller) -> AsyncIterator[tuple[AsyncConnection, Office]]:
    """The write transaction; refusals of the transition table become an answer with their code."""
    try:
        async with who.services.database.write() as connection:
            yield connection, await open_office(connection, who.tenant_id)
    except TransitionRefused as refused:
        raise Refused(refused.code) from refused
    except store.NotFound as error:
        raise NotFound from error
    except IntegrityError as error:  # the database's own refusal of two steps by one person, or of the same thing twice
        raise Conflict from error


def actors_in(who: Caller) -> list[Actor]:
    """In what capacity somebody looks at an object: none for those who only read (an auditor)."""
    return [actor_in(who)] if who.act.by.role in set(Capacity) else []


def actor_in(who: Caller) -> Actor:
    """The caller in the capacity that allowed this very request."""
    return actor_of(who.act.by, who.tenant_id)


def actor_with(who: Caller, steps: dict[str, Permission], wanted: str) -> Actor:
    """The caller in the capacity that this step needs. Raises Forbidden."""
    role = authorise(who.signed_in.actor, steps[wanted], who.tenant_id, who.now)
    return actor_of(by_account(who.signed_in.actor.account_id, role), who.tenant_id)


async def order_out(who: Caller, order_id: str) -> OrderOut:
    """A document as an answer shows it."""
    async with reading(who) as (connection, office):
        page = await read_order(connection, office, order_id, actors_in(who), who.now)
    row = page.row
    items = [
        ItemOut(
            id=item.id, name=item.shown, match=item.match, verdict=item.verdict, reason=item.reason_code, decision=item.decision,
            platform=item.platform, forwarded_to=item.forwarded_to, forwarded_at=item.forwarded_at, outcome=item.outcome,
        )
        for item in page.items
    ]  # fmt: skip
    return OrderOut(
        id=row["id"], symbol=row["symbol"], issuer=row["issuer"], category=row["category"], state=row["state"], urgent=bool(row["urgent"]),
        held=page.held, received_at=row["received_at"], due_at=page.clock.due, overdue=page.clock.overdue,
        basis=[one.symbol for one in page.basis], bands=[one for one in row["bands"].split(",") if one],
        places=[one for one in row["places"].split(",") if one], valid_from=row["valid_from"], valid_until=row["valid_until"],
        steps=sorted(page.verbs), items=items, rows_left_out=page.more, counts=dict(page.counts), entries=page.entries,
        history=[StepOut(at=step.at, step=step.verb, role=step.role) for step in page.history],
    )  # fmt: skip


def _row(row: RowMapping, now: datetime, levels: Levels) -> OrderRow:
    clock = order_clock(row, now, levels)
    late = clock.overdue and row["approved_at"] is None
    return OrderRow(id=row["id"], symbol=row["symbol"], issuer=row["issuer"], state=row["state"], due_at=clock.due, overdue=late)


def entry_out(row: RowMapping) -> EntryOut:
    """An entry as an answer shows it, masked where names are."""
    return EntryOut(
        id=row["id"], name=masked(row["host"], row["category"], row["id"]), match=row["match"],
        category=row["category"], state=row["state"],
        order=row["order_id"], symbol=row.get("symbol"), valid_from=row["valid_from"], valid_until=row["valid_until"],
        enforced_at=row["enforced_at"], serial_in=row["serial_in"], serial_out=row["serial_out"],
    )  # fmt: skip


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(0), VIET_NAM).astimezone(UTC)
