"""Documents of the list office: read a letter, register it, verify it, approve it; every step asks the transition table."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends
from sqlalchemy.engine import RowMapping
from sqlalchemy.exc import IntegrityError
from starlette.datastructures import UploadFile
from starlette.responses import Response

from admin.dependencies import Visit, need
from admin.errors import Conflict, FieldMistake, InvalidInput, NotFound
from admin.office import MASKED, open_office
from admin.officeactions import forward_item, open_item
from admin.officebasis import suggest_basis
from admin.officeform import CATEGORIES, EVERYBODY, first_values, read_order_form, values_of
from admin.officeintake import Intake, Upload, hidden, read_intake, seal, tally, unseal
from admin.officepreview import Preview, asked_for, broken_by, preview, require_unbroken
from admin.officereadings import LARGE
from admin.officereads import known_keys, read_order, taken_hosts
from admin.officescope import schools
from admin.permissions import Permission
from admin.routes.officeparts import actor_for, actors_of, sign, signing_of, unlock, words_of
from blocklists.takedown import store
from blocklists.takedown.agencies import find_named
from blocklists.takedown.before import find_same, read_before
from blocklists.takedown.filetext import Unread, UnreadableFile
from blocklists.takedown.importer import Row
from blocklists.takedown.masking import names_key
from blocklists.takedown.model import Enforceability
from blocklists.takedown.workflow import TransitionRefused

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner

router = APIRouter()

SHOWN_ROWS = 300
APPROVALS = ("approve", "second", "approve_urgent", "confirm")

Read = Annotated[Visit, Depends(need(Permission.OFFICE_READ))]
Register = Annotated[Visit, Depends(need(Permission.ORDER_REGISTER))]
Verify = Annotated[Visit, Depends(need(Permission.ORDER_VERIFY))]
Approve = Annotated[Visit, Depends(need(Permission.ORDER_APPROVE))]


@router.get("/office/orders/new")
async def begin(visit: Register) -> Response:
    """Paste the letter, or choose its file."""
    return _new(visit)


@router.post("/office/orders/read")
async def read(visit: Annotated[Visit, Depends(need(Permission.ORDER_REGISTER, files=1))]) -> Response:
    """What the letter says, for a person to check. Nothing is stored: the file is gone when this answer is."""
    text, category = visit.form.raw("text"), visit.form.raw("category")
    upload = await _upload(visit)
    if category not in CATEGORIES or (not text.strip() and upload is None):
        return _new(visit, text=text, category=category, mistakes=(FieldMistake("text", "required"),), status=422)
    async with visit.services.database.read() as connection:
        office = await open_office(connection, visit.tenant_id)
        known = await known_keys(connection, office)
        there = await schools(connection)
    guard = await asyncio.to_thread(visit.services.office.guard.current)
    if len(text) + (len(upload.content) if upload is not None else 0) > LARGE:
        account = visit.signed_in.actor.account_id
        work = partial(read_intake, text, upload, guard, office, known)
        reading = visit.services.office.readings.begin(account, category, work, visit.now)
        if reading is None:
            return _new(visit, category=category, mistakes=(FieldMistake("text", "too_many_readings"),), status=429)
        return visit.go(f"/office/orders/readings/{reading.id}")
    try:
        intake = await asyncio.to_thread(read_intake, text, upload, guard, office, known)
        sealed = await asyncio.to_thread(seal, office, intake)
    except UnreadableFile as error:
        return _new(visit, text=text, category=category, fault=words_of(visit).said(error.vi, error.en), status=422)
    if not intake.found.rows:
        return _new(visit, text=text, category=category, mistakes=(FieldMistake("text", "no_address"),), unread=intake.unread, status=422)
    values, source, same = await _filled(visit, office, intake)
    return _check(visit, values, category, sealed, intake=intake, there=there, source=source, same=same)


@router.get("/office/orders/readings/{reading_id}")
async def watch(visit: Register, reading_id: str) -> Response:
    """How far a large letter has come; then what it says. Whoever closed the tab finds the way back on the inbox."""
    readings = visit.services.office.readings
    reading = readings.find(visit.signed_in.actor.account_id, reading_id, visit.now)
    if reading is None:
        raise NotFound
    if reading.fault is not None:
        readings.drop(reading.account, reading.id)
        return _new(visit, category=reading.category, fault=words_of(visit).said(*reading.fault), status=422)
    if reading.intake is None:
        return visit.page("office/reading.html", {"reading": reading})
    if not reading.intake.found.rows:
        readings.drop(reading.account, reading.id)
        mistakes, unread = (FieldMistake("text", "no_address"),), reading.intake.unread
        return _new(visit, category=reading.category, mistakes=mistakes, unread=unread, status=422)
    async with visit.services.database.read() as connection:
        office = await open_office(connection, visit.tenant_id)
        there = await schools(connection)
    try:
        sealed = await asyncio.to_thread(seal, office, reading.intake)
    except UnreadableFile as error:
        readings.drop(reading.account, reading.id)
        return _new(visit, category=reading.category, fault=words_of(visit).said(error.vi, error.en), status=422)
    intake = readings.show(reading)
    values, source, same = await _filled(visit, office, intake)
    return _check(visit, values, reading.category, sealed, intake=intake, there=there, reading=reading.id, source=source, same=same)


@router.post("/office/orders")
async def register(visit: Register) -> Response:
    """Store the document as the officer stands by it."""
    async with visit.services.database.read() as connection:
        office = await open_office(connection, visit.tenant_id)
        there = await schools(connection)
    sealed_text = visit.form.raw("sealed")
    sealed = await asyncio.to_thread(unseal, office, sealed_text)

    def again(mistakes: tuple[FieldMistake, ...] = (), fault: str = "") -> Response:
        values, category = values_of(visit.form), visit.form.raw("category")
        counts, reading = tally(sealed.items), visit.form.raw("reading")
        return _check(
            visit, values, category, sealed_text, counts=counts, mistakes=mistakes, fault=fault, there=there, reading=reading,
            unread=sealed.unread,
        )  # fmt: skip

    try:
        order = read_order_form(visit.form, sealed, visit.now, frozenset(school["id"] for school in there))
    except InvalidInput as error:
        return again(error.mistakes)
    order = await hidden(order, visit.services.settings.state_dir)
    try:
        async with visit.services.database.write() as connection:
            order_id = await store.register(connection, office, order, actor_for(visit), visit.now)
    except TransitionRefused as refused:
        return again(fault=words_of(visit).refusal(refused))
    visit.services.office.readings.drop(visit.signed_in.actor.account_id, visit.form.raw("reading"))
    return visit.go(f"/office/orders/{order_id}")


@router.get("/office/orders/{order_id}")
async def show(visit: Read, order_id: str) -> Response:
    """The document with its rows, and beside it what an approval would touch."""
    return await show_order(visit, order_id)


@router.post("/office/orders/{order_id}/verify")
async def verify(visit: Verify, order_id: str) -> Response:
    """The first person stands by the rows."""
    return await _step(visit, order_id, "verify")


@router.post("/office/orders/{order_id}/release")
async def release(visit: Approve, order_id: str) -> Response:
    """A person agrees to very many new names at once."""

    async def act(office: store.Office, connection: Any) -> None:  # Any: the write transaction
        await store.release_held(connection, office, order_id, visit.form.raw("reason"), actor_for(visit), visit.now)

    return await _act(visit, order_id, act)


@router.post("/office/orders/{order_id}/approve")
async def approve(visit: Approve, order_id: str) -> Response:
    """The second person approves; the entries go out at once. `step` may also be the second approval, the urgent road, a refusal."""
    step = visit.form.raw("step")
    if step not in ("approve", "second", "approve_urgent", "confirm", "reject", "send_back"):
        raise NotFound
    return await _step(visit, order_id, step)


@router.post("/office/orders/{order_id}/items/{item_id}")
async def decide(visit: Verify, order_id: str, item_id: str) -> Response:
    """A row that needs a decision: block the whole site, saying why, or leave it."""
    decision = "block" if visit.form.raw("decision") == "block" else "leave"

    async def act(office: store.Office, connection: Any) -> None:  # Any: the write transaction
        reason = visit.form.raw("reason")[:300]
        actor = actor_for(visit)  # the page has these buttons on rows without a decision only
        await store.decide_item(connection, office, item_id, decision, reason, actor, visit.now, of=order_id, is_first=True)

    return await _act(visit, order_id, act)


@router.post("/office/orders/{order_id}/items/{item_id}/forward")
async def forward(visit: Annotated[Visit, Depends(need(Permission.REPORT_WORK))], order_id: str, item_id: str) -> Response:
    """Note to whom an address on a platform was sent, or what came of it."""

    async def act(office: store.Office, connection: Any) -> None:  # Any: the write transaction
        form = visit.form
        await forward_item(
            connection, office, order_id, item_id, form.raw("sent_to")[:120], form.raw("outcome"), actor_for(visit), visit.now
        )

    return await _act(visit, order_id, act)


@router.post("/office/orders/{order_id}/items/{item_id}/open")
async def open_name(visit: Annotated[Visit, Depends(need(Permission.NAME_OPEN))], order_id: str, item_id: str) -> Response:
    """Show one masked name once, in this answer only; the journal says who looked."""
    key = await asyncio.to_thread(names_key, visit.services.settings.state_dir)
    async with visit.services.database.write() as connection:
        office = await open_office(connection, visit.tenant_id)
        try:
            name = await open_item(connection, office, order_id, item_id, actor_for(visit), visit.now, key)
        except store.NotFound as error:
            raise NotFound from error
        except TransitionRefused as refused:
            return await show_order(visit, order_id, fault=words_of(visit).refusal(refused), status=409)
    return await show_order(visit, order_id, opened=(item_id, name))


async def _step(visit: Visit, order_id: str, verb: str) -> Response:
    signer = None
    if verb in APPROVALS:
        try:
            signer = await unlock(visit)
        except InvalidInput as error:
            return await show_order(visit, order_id, status=422, mistakes=error.mistakes)

    async def act(office: store.Office, connection: Any) -> None:  # Any: the write transaction
        reason = visit.form.raw("reason")[:300]
        if verb in APPROVALS:
            order, hosts = await store.order_row(connection, office, order_id), await taken_hosts(connection, office, order_id)
            await asyncio.to_thread(require_unbroken, visit.services.office.assertions, hosts, order)
        await store.move_order(connection, office, order_id, verb, actor_for(visit), visit.now, reason)

    return await _act(visit, order_id, act, publishes=True, signer=signer)


async def _act(
    visit: Visit, order_id: str, act: Callable[[store.Office, Any], Awaitable[None]],
    *, publishes: bool = False, signer: CryptoSigner | None = None,
) -> Response:  # fmt: skip
    """Do something with a document and show it again; a refusal stands on the page in words."""
    try:
        async with visit.services.database.write() as connection:
            await act(await open_office(connection, visit.tenant_id), connection)
    except TransitionRefused as refused:
        return await show_order(visit, order_id, fault=words_of(visit).refusal(refused), status=409)
    except store.NotFound as error:
        raise NotFound from error
    except IntegrityError as error:  # the database's own refusal of two steps by one person
        raise Conflict from error
    if publishes:
        await visit.services.office.duty.settle()
        await sign(visit, signer)
    return visit.go(f"/office/orders/{order_id}")


async def show_order(
    visit: Visit,
    order_id: str,
    *,
    fault: str = "",
    status: int = 200,
    opened: tuple[str, str] | None = None,
    mistakes: tuple[FieldMistake, ...] = (),
) -> Response:
    """The page of a document."""
    try:
        async with visit.services.database.read() as connection:
            office = await open_office(connection, visit.tenant_id)
            page = await read_order(connection, office, order_id, actors_of(visit), visit.now)
            hosts = await taken_hosts(connection, office, order_id)
            is_open = page.row["category"] != MASKED and page.row["state"] in ("parsed", "verified", "awaiting_second", "urgent")
            before = await read_before(connection, office, [host for host, _ in hosts], order_id) if is_open else []
    except store.NotFound as error:
        raise NotFound from error
    reach: Preview | None = None
    if is_open:
        services = visit.services
        reach = await asyncio.to_thread(lambda: preview(hosts, services.office.guard.document(), services.settings.state_dir))
        broken = await asyncio.to_thread(broken_by, services.office.assertions, hosts, page.row)
        asked = await asked_for(services.link, services.office.demand, visit.tenant_id, hosts, visit.now)
        reach = replace(reach, broken=broken, asked=asked)
    context = {
        "page": page, "order": page.row, "say": words_of(visit), "reach": reach, "fault": fault, "opened": opened,
        "standing": visit.services.office.duty.standing, "will_block": len(hosts), "before": before,
        "mistakes": mistakes, **await signing_of(visit),
    }  # fmt: skip
    return visit.page("office/order.html", context, status)


def _new(
    visit: Visit, *, text: str = "", category: str = "order", mistakes: tuple[FieldMistake, ...] = (), fault: str = "",
    unread: Sequence[Unread] = (), status: int = 200,
) -> Response:  # fmt: skip
    context = {
        "text": text, "category": category, "categories": CATEGORIES, "say": words_of(visit), "mistakes": mistakes, "fault": fault,
        "unread": unread, "masked": category == MASKED,
    }  # fmt: skip
    return visit.page("office/new.html", context, status)


async def _filled(visit: Visit, office: store.Office, intake: Intake) -> tuple[dict[str, str], str, RowMapping | None]:
    """What the form is filled in with, the earlier document that its basis was taken from, and the same document registered before."""
    values = first_values(intake.letter, visit.now)
    async with visit.services.database.read() as connection:
        letterhead = values["issuer"]
        known = (await find_named(connection, office, letterhead, store.day_of(intake.letter.issued_on, visit.now))).agency
        if known is not None:
            values["issuer"] = known["name"]
        issuers = {letterhead, values["issuer"]} - {""}
        values["basis"], source = await suggest_basis(connection, office, issuers, values["basis"])
        same = await find_same(connection, office, values["symbol"], values["issuer"])
    return values, source, same


def _check(
    visit: Visit, values: dict[str, str], category: str, sealed: str, *, intake: Intake | None = None,
    counts: list[tuple[str, int]] | None = None, mistakes: tuple[FieldMistake, ...] = (), fault: str = "",
    there: Sequence[RowMapping] = (), reading: str = "", source: str = "", unread: Sequence[Unread] = (), same: RowMapping | None = None,
) -> Response:  # fmt: skip
    rows = list(intake.found.rows) if intake else []
    shown = _first(rows)
    context = {
        "values": values, "category": category, "categories": CATEGORIES, "sealed": sealed, "say": words_of(visit), "mistakes": mistakes,
        "rows": shown, "more": len(rows) - len(shown), "counts": counts or tally(row.item for row in rows),
        "intake": intake, "masked": category == MASKED, "fault": fault, "schools": there, "bands": EVERYBODY,
        "reading": reading, "source": source, "unread": intake.unread if intake else unread, "same": same,
    }  # fmt: skip
    return visit.page("office/check.html", context, 422 if mistakes or fault else 200)


def _first(rows: Sequence[Row]) -> list[Row]:
    """What a page shows, in the order of the letter: all, or of very many first those that ask or cannot be blocked."""

    def urgency(place: int) -> tuple[bool, bool]:
        return rows[place].verdict is not Enforceability.ASK, rows[place].verdict is Enforceability.YES

    return [rows[place] for place in sorted(sorted(range(len(rows)), key=urgency)[:SHOWN_ROWS])]


async def _upload(visit: Visit) -> Upload | None:
    """The file of the form, in memory; None when none was chosen."""
    sent = (await visit.request.form()).get("file")
    if not isinstance(sent, UploadFile) or not sent.filename:
        return None
    content = await sent.read()
    await sent.close()
    return Upload(sent.filename, content) if content else None
