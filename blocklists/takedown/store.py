"""Orders, items and entries in the database: every change passes the transition table and writes the journal in the same transaction.

Functions take the open write transaction, the office and the time; they read rows, ask `workflow.decide`, write, and add one journal row.
`admin` calls them from its pages and its API; the publishing job calls `due_to_expire` and the `publishing` module.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from blocklists import journal
from blocklists.database import call_after
from blocklists.tables import new_id
from blocklists.takedown import tables
from blocklists.takedown.agencies import require_there
from blocklists.takedown.before import read_before
from blocklists.takedown.deadlines import VIET_NAM
from blocklists.takedown.documents import PartialDate, Symbol
from blocklists.takedown.freetext import Mark, require_clean, require_unnamed
from blocklists.takedown.masking import is_hidden
from blocklists.takedown.model import MASKED, Actor, Case, Enforceability, Event, Kind, Match, State
from blocklists.takedown.model import NotFound as NotFound
from blocklists.takedown.model import Office as Office
from blocklists.takedown.workflow import PROVISIONAL_DEFAULT, URGENT_LIFE, TransitionRefused, decide

OPENING = frozenset({"lift", "suspend", "withdraw", "reinstate"})
"""Steps of an entry that open its site, or close it again before its end."""
ANSWERING = frozenset({"uphold", "overturn", "uphold_again", "overturn_again"})
"""Steps of a review that answer whoever asked for it."""
OF_AN_OFFICE = frozenset({Mark.PHONE, Mark.MAIL, Mark.PATH})
"""What a text about an office may hold: its telephone, its mail, its page."""


@dataclass(frozen=True, slots=True)
class NewItem:
    """One row of an import with its verdict. `as_written` is the host part only."""

    as_written: str
    host: str | None
    match: Match
    verdict: Enforceability
    reason_code: str = ""
    needs_second: bool = False
    is_state_host: bool = False
    platform: str | None = None
    platform_kind: str | None = None
    address_digest: str | None = None


@dataclass(frozen=True, slots=True)
class NewOrder:
    """What an officer enters about a document. `issued_on` may have blanks; `no_end` needs a number."""

    symbol: Symbol
    issuer: str
    valid_from: datetime
    valid_until: datetime | None
    no_end: bool = False
    category: str = "order"
    bands: tuple[str, ...] = ()
    capacity: str = ""
    subject: str = ""
    issued_on: PartialDate | None = None
    basis: tuple[tuple[str, bool], ...] = ()
    #: For each line of `basis`, the line that stands on it; None (and a missing one): the order itself does.
    basis_parents: tuple[int | None, ...] = ()
    urgent: bool = False
    appeal: str = ""
    places: tuple[str, ...] = ()
    organisations: tuple[str, ...] = ()
    file_digest: str | None = None
    file_bytes: int | None = None
    held: bool = False
    items: Sequence[NewItem] = field(default_factory=tuple)


async def register(connection: AsyncConnection, office: Office, order: NewOrder, actor: Actor, now: datetime) -> str:
    """Store a document and its rows; it stands `parsed` and waits for verification. Returns the order's id.

    Names of the masked category come hidden (`masking.hide`). An issuer that the office keeps is called by the name it has there, not by
    the capitals of a letterhead. Raises TransitionRefused for one that was not there on the day of the document.
    """
    if order.category == MASKED and not all(map(is_hidden, order.items)):
        raise ValueError("a name of the masked category is not hidden")
    require_clean(order.capacity, "Ký với tư cách", "Signed as")
    require_clean(order.subject, "Trích yếu", "Subject")
    require_unnamed(order.subject, order.category, "Trích yếu", "Subject")
    require_clean(order.appeal, "Nơi khiếu nại", "Where to appeal", OF_AN_OFFICE)
    order_id = new_id()
    issued = order.issued_on or PartialDate(now.year, None, None)
    issuer = await require_there(connection, office, order.issuer, day_of(issued, now))
    no_end = order.no_end and order.symbol.is_numbered
    until = None if no_end else order.valid_until or order.valid_from + PROVISIONAL_DEFAULT
    await connection.execute(
        insert(tables.orders).values(
            id=order_id, tenant_id=office.tenant, symbol=order.symbol.as_written, number=order.symbol.number,
            issuer=issuer["name"] if issuer is not None else order.issuer,
            issuer_id=issuer["id"] if issuer is not None else None, capacity=order.capacity,
            subject=order.subject, issued_year=issued.year, issued_month=issued.month, issued_day=issued.day,
            category=order.category, bands=",".join(order.bands), places=",".join(order.places),
            organisations=",".join(order.organisations), urgent=int(order.urgent),
            valid_from=order.valid_from, valid_until=until, no_end=int(no_end), appeal=order.appeal, state=State.PARSED.value,
            file_digest=order.file_digest, file_bytes=order.file_bytes, held=int(order.held), received_at=now, created_by=actor.account,
        )
    )  # fmt: skip
    for position, (symbol, is_law) in enumerate(order.basis):
        parent = order.basis_parents[position] if position < len(order.basis_parents) else None
        row = {"tenant_id": office.tenant, "order_id": order_id, "position": position, "symbol": symbol, "is_law": int(is_law)}
        await connection.execute(insert(tables.order_basis).values(**row, parent_position=parent))
    if order.items:
        await connection.execute(
            insert(tables.items),
            [_item_row(office, order_id, position, item) for position, item in enumerate(order.items)],
        )
    await record(connection, office, actor, "register", Kind.ORDER, order_id, now, after=State.PARSED.value)
    return order_id


def day_of(issued: PartialDate | None, now: datetime) -> date:
    """The day on which a document's issuer is looked up: its own, the first of its month, or today where neither is known."""
    if issued is None or issued.month is None:
        return now.astimezone(VIET_NAM).date()
    return issued.complete or date(issued.year, issued.month, 1)


def _item_row(office: Office, order_id: str, position: int, item: NewItem) -> dict[str, Any]:
    return {
        "id": new_id(), "tenant_id": office.tenant, "order_id": order_id, "position": position, "as_written": item.as_written,
        "host": item.host, "match": item.match.value, "verdict": item.verdict.value, "reason_code": item.reason_code,
        "needs_second": int(item.needs_second), "is_state_host": int(item.is_state_host), "platform": item.platform,
        "platform_kind": item.platform_kind, "address_digest": item.address_digest,
    }  # fmt: skip


async def order_row(connection: AsyncConnection, office: Office, order_id: str) -> RowMapping:
    """The order's row. Raises NotFound, also for another office's order."""
    table = tables.orders
    found = await connection.execute(select(table).where(table.c.id == order_id, table.c.tenant_id == office.tenant))
    row = found.mappings().first()
    if row is None:
        raise NotFound("no such order")
    return row


async def item_rows(connection: AsyncConnection, office: Office, order_id: str) -> list[RowMapping]:
    """The rows of an order, in their order."""
    table = tables.items
    statement = select(table).where(table.c.order_id == order_id, table.c.tenant_id == office.tenant).order_by(table.c.position)
    return list((await connection.execute(statement)).mappings())


async def order_case(connection: AsyncConnection, office: Office, row: RowMapping, reason: str = "") -> Case:
    """What the transition table needs to know about an order."""
    rows = await item_rows(connection, office, row["id"])
    taken = [item for item in rows if will_block(item)]
    basis = tables.order_basis
    laws = (
        select(func.count())
        .select_from(basis)
        .where(basis.c.tenant_id == office.tenant, basis.c.order_id == row["id"], basis.c.is_law == 1)
    )
    return Case(
        Kind.ORDER,
        State(row["state"]),
        category=row["category"],
        has_number=row["number"] is not None,
        has_law=bool((await connection.execute(laws)).scalar()),
        urgent=bool(row["urgent"]),
        verified_by=row["verified_by"],
        approved_by=row["approved_by"],
        second_by=row["second_by"],
        needs_second=any(item["needs_second"] for item in taken),
        is_state_host=any(item["is_state_host"] for item in taken),
        held=bool(row["held"]) and row["released_by"] is None,
        undecided_items=sum(1 for item in rows if item["verdict"] == Enforceability.ASK and item["decision"] is None),
        valid_from=row["valid_from"],
        valid_until=row["valid_until"],
        no_end=bool(row["no_end"]),
        reason=reason,
    )


def will_block(item: RowMapping) -> bool:
    """Whether this row becomes an entry when the order is approved."""
    if not item["host"] or item["decision"] == "leave":
        return False
    verdict = Enforceability(item["verdict"])
    return verdict is Enforceability.YES or (verdict is Enforceability.ASK and item["decision"] == "block")


async def decide_item(
    connection: AsyncConnection, office: Office, item_id: str, decision: str, reason: str, actor: Actor, now: datetime, *, of: str = "",
    is_first: bool = False,
) -> None:  # fmt: skip
    """Block the whole host of a row, or leave it; only while the order is parsed, and blocking says why. `of`: the document it must be of.
    `is_first`: whoever decides was shown a row without a decision, so that another one meanwhile is not replaced.

    Raises NotFound, TransitionRefused.
    """
    table = tables.items
    found = await connection.execute(select(table).where(table.c.id == item_id, table.c.tenant_id == office.tenant))
    item = found.mappings().first()
    if item is None or (of and item["order_id"] != of):
        raise NotFound("no such row")
    order = await order_row(connection, office, item["order_id"])
    if order["state"] != State.PARSED:
        raise TransitionRefused("order_closed", "Văn bản đã qua bước này.", "The order is past this step.")
    if item["verdict"] not in (Enforceability.ASK, Enforceability.YES) or (decision == "block" and not item["host"]):
        raise TransitionRefused("not_enforceable", "DNS không chặn được dòng này.", "DNS cannot enforce this row.")
    if decision == "block" and not reason.strip():
        raise TransitionRefused("reason_missing", "Hãy ghi vì sao chặn cả trang web.", "Say why the whole site is blocked.")
    require_clean(reason, "Lý do", "Reason")
    require_unnamed(reason, order["category"], "Lý do", "Reason")
    if is_first and item["decision"]:
        if (item["decision"], item["decision_reason"], item["decided_by"]) == (decision, reason.strip(), actor.account):
            return  # the same press once more
        raise TransitionRefused("decided", "Dòng này đã được quyết định, hãy xem lại.", "This row was decided meanwhile; look at it again.")
    values = {"decision": decision, "decision_reason": reason.strip(), "decided_by": actor.account}
    await connection.execute(update(table).where(table.c.id == item_id, table.c.tenant_id == office.tenant).values(**values))
    await record(connection, office, actor, f"item_{decision}", Kind.ORDER, order["id"], now, after=f"{item_id}:{decision}")


async def release_held(connection: AsyncConnection, office: Office, order_id: str, reason: str, actor: Actor, now: datetime) -> None:
    """A person says yes to a document that was held for its many new names. Raises NotFound, TransitionRefused."""
    row = await order_row(connection, office, order_id)
    if not row["held"] or row["released_by"] is not None:
        raise TransitionRefused("not_held", "Văn bản này không bị giữ lại.", "This document is not held.")
    if not reason.strip():
        raise TransitionRefused("reason_missing", "Hãy ghi lý do.", "Give a reason.")
    require_clean(reason, "Lý do", "Reason")
    require_unnamed(reason, row["category"], "Lý do", "Reason")
    table = tables.orders
    statement = update(table).where(table.c.id == order_id, table.c.tenant_id == office.tenant)
    await connection.execute(statement.values(released_by=actor.account, reason=reason.strip()))
    await record(connection, office, actor, "release", Kind.ORDER, order_id, now, before="held", after="released", basis=row["symbol"])


async def move_order(
    connection: AsyncConnection, office: Office, order_id: str, verb: str, actor: Actor, now: datetime, reason: str = ""
) -> Event:
    """Take one step with an order; an approval makes its entries. Raises NotFound, TransitionRefused."""
    row = await order_row(connection, office, order_id)
    require_clean(reason, "Lý do", "Reason")
    require_unnamed(reason, row["category"], "Lý do", "Reason")
    event = decide(await order_case(connection, office, row, reason), verb, actor, now)
    if verb in ("approve", "approve_urgent") and not reason.strip():
        await _require_not_opened(connection, office, order_id)
    values: dict[str, Any] = {"state": event.after.value, "reason": reason.strip()}
    if verb == "verify":
        values |= {"verified_by": actor.account, "verified_at": now}
    elif verb in ("approve", "approve_urgent"):
        values |= {"approved_by": actor.account, "approved_at": now}
    elif verb in ("second", "confirm"):
        values |= {"second_by": actor.account}
    elif verb in ("send_back", "parse"):
        values |= {"verified_by": None, "verified_at": None, "approved_by": None, "approved_at": None}
    await connection.execute(
        update(tables.orders).where(tables.orders.c.id == order_id, tables.orders.c.tenant_id == office.tenant).values(**values)
    )
    if event.after in (State.APPROVED, State.URGENT) and verb != "confirm":
        await _make_entries(connection, office, order_id, now, urgent=event.after is State.URGENT)
    elif verb == "confirm":
        await _confirm_entries(connection, office, row, actor, now)
    await record(
        connection, office, actor, verb, Kind.ORDER, order_id, now, before=event.before.value, after=event.after.value, basis=row["symbol"]
    )
    return event


async def _require_not_opened(connection: AsyncConnection, office: Office, order_id: str) -> None:
    """A name that was opened again is not closed by a paste: somebody says why."""
    hosts = [item["host"] for item in await item_rows(connection, office, order_id) if will_block(item)]
    if any(one.opened_at is not None for one in await read_before(connection, office, hosts, order_id)):
        raise TransitionRefused(
            "reason_missing",
            "Có trang từng bị chặn và đã được mở lại: hãy ghi vì sao nay chặn lại.",
            "A site was blocked before and opened again: say why it is blocked anew.",
        )


async def _make_entries(connection: AsyncConnection, office: Office, order_id: str, now: datetime, *, urgent: bool) -> None:
    """One entry for every row that will block; an urgent one lives a day until a second approver confirms."""
    order = await order_row(connection, office, order_id)
    starts = max(order["valid_from"], now)
    until = now + URGENT_LIFE if urgent else order["valid_until"]
    rows = [
        {
            "id": new_id(), "tenant_id": office.tenant, "order_id": order_id, "report_id": None,
            "host": item["host"], "match": item["match"], "category": order["category"],
            "valid_from": starts, "valid_until": until, "no_end": 0 if urgent else order["no_end"],
            "provisional_since": None if order["number"] is not None else starts, "state": State.PUBLISHING.value,
            "verified_by": order["verified_by"], "approved_by": order["approved_by"], "second_by": order["second_by"], "approved_at": now,
        }
        for item in await item_rows(connection, office, order_id)
        if will_block(item)
    ]  # fmt: skip
    if rows:
        await connection.execute(insert(tables.entries), rows)


async def _confirm_entries(connection: AsyncConnection, office: Office, order: RowMapping, actor: Actor, now: datetime) -> None:
    """Give the entries of an urgent order the dates of the order; they are published once more. Those that a return took out have the
    dates too, for when it is refused, and stay out."""
    table = tables.entries
    live = [State.PUBLISHING.value, State.PARTIAL.value, State.ACTIVE.value]
    mine = (table.c.order_id == order["id"], table.c.tenant_id == office.tenant)
    own = {"valid_until": order["valid_until"], "no_end": order["no_end"], "second_by": actor.account}
    returned = (table.c.state == State.SUSPENDED.value, table.c.return_id.isnot(None))
    await connection.execute(update(table).where(*mine, *returned).values(**own))
    again = own | {"state": State.PUBLISHING.value, "serial_in": None, "approved_at": now}
    await connection.execute(update(table).where(*mine, table.c.state.in_(live)).values(**again))


async def entry_case(connection: AsyncConnection, office: Office, row: RowMapping, reason: str = "") -> Case:
    """What the transition table needs to know about an entry."""
    numbered = False
    if row["order_id"]:
        found = await connection.execute(
            select(tables.orders.c.number).where(tables.orders.c.id == row["order_id"], tables.orders.c.tenant_id == office.tenant)
        )
        numbered = found.scalar() is not None
    return Case(
        Kind.ENTRY,
        State(row["state"]),
        category=row["category"],
        has_number=numbered,
        verified_by=row["verified_by"],
        approved_by=row["approved_by"],
        second_by=row["second_by"],
        is_state_host=await _is_state_host(connection, office, row),
        valid_from=row["valid_from"],
        valid_until=row["valid_until"],
        no_end=bool(row["no_end"]),
        provisional_since=row["provisional_since"],
        withdrawn=row["return_id"] is not None,
        reason=reason,
    )


async def _is_state_host(connection: AsyncConnection, office: Office, entry: RowMapping) -> bool:
    """Whether an entry is a host under gov.vn or edu.vn; of a masked name its row says so."""
    if entry["category"] != MASKED:
        return str(entry["host"]).endswith((".gov.vn", ".edu.vn"))
    table = tables.items
    own = (table.c.tenant_id == office.tenant, table.c.order_id == entry["order_id"], table.c.host == entry["host"])
    found = await connection.execute(select(func.max(table.c.is_state_host)).where(*own))
    return bool(found.scalar())


async def entry_row(connection: AsyncConnection, office: Office, entry_id: str) -> RowMapping:
    """The entry's row. Raises NotFound, also for another office's entry."""
    table = tables.entries
    found = await connection.execute(select(table).where(table.c.id == entry_id, table.c.tenant_id == office.tenant))
    row = found.mappings().first()
    if row is None:
        raise NotFound("no such entry")
    return row


async def move_entry(
    connection: AsyncConnection, office: Office, entry_id: str, verb: str, actor: Actor, now: datetime, reason: str = ""
) -> Event:
    """Take one step with an entry: lift it, expire it, suspend it. Raises NotFound, TransitionRefused."""
    row = await entry_row(connection, office, entry_id)
    require_clean(reason, "Lý do", "Reason")
    require_unnamed(reason, row["category"], "Lý do", "Reason")
    event = decide(await entry_case(connection, office, row, reason), verb, actor, now)
    values: dict[str, Any] = {"state": event.after.value}
    if event.after in (State.LIFTED, State.EXPIRED, State.SUSPENDED):
        values |= {"ended_at": now, "end_reason": reason.strip()}
    await connection.execute(
        update(tables.entries).where(tables.entries.c.id == entry_id, tables.entries.c.tenant_id == office.tenant).values(**values)
    )
    await record(connection, office, actor, verb, Kind.ENTRY, entry_id, now, before=event.before.value, after=event.after.value)
    return event


async def due_to_expire(connection: AsyncConnection, office: Office, now: datetime) -> list[str]:
    """Entries whose end has come and that nobody has ended yet."""
    table = tables.entries
    live = [State.PUBLISHING.value, State.PARTIAL.value, State.ACTIVE.value, State.SUSPENDED.value]
    statement = select(table.c.id).where(
        table.c.tenant_id == office.tenant, table.c.state.in_(live), table.c.no_end == 0, table.c.valid_until <= now
    )
    return list((await connection.execute(statement)).scalars())


def action_of(kind: Kind, verb: str) -> str:
    """A step as the journal has it."""
    return f"takedown.{kind.value}.{verb}"


async def record(
    connection: AsyncConnection, office: Office, actor: Actor, verb: str, kind: Kind, object_id: str, now: datetime,
    *, before: str = "", after: str = "", basis: str | None = None,
) -> None:  # fmt: skip
    """One journal row: random ids and keyed digests, never a host or a note. What opens a site, or closes it again, and what answers
    a review, is kept outside the database, too."""
    if (kind is Kind.ENTRY and verb in OPENING) or (kind is Kind.REVIEW and verb in ANSWERING):
        call_after(connection, journal.ENDED)
    await journal.append(
        connection,
        journal.Entry(
            at=now,
            tenant_id=office.tenant,
            actor_id=None if actor.account == "system" else actor.account,
            actor_role=actor.capacity.value,
            action=action_of(kind, verb),
            object_kind=f"takedown_{kind.value}",
            object_id=object_id,
            before_digest=office.digest(json.dumps([object_id, before])) if before else None,
            after_digest=office.digest(json.dumps([object_id, after])) if after else None,
            basis=basis,
        ),
    )
