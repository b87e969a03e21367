"""What the office's pages and answers show: read models over the takedown tables, masked where names are not to be seen.

Reads only; every statement names the office. Ages and clocks come from `blocklists.takedown.deadlines`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, and_, func, or_, select
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.office import MASKED, masked
from admin.officescope import say_places
from blocklists.normalize import Host, normalize_host
from blocklists.tables import accounts, journal, organisations
from blocklists.takedown import deadlines, store, tables
from blocklists.takedown.clocks import Levels, read_levels
from blocklists.takedown.deadlines import Countdown, countdown
from blocklists.takedown.masking import key_of_host
from blocklists.takedown.model import IN_FORCE, Actor, Enforceability, Match, State
from blocklists.takedown.renewing import is_state_host, owners_to_tell, platforms_waiting
from blocklists.takedown.store import Office
from blocklists.takedown.workflow import TransitionRefused, possible, weighed

OPEN_ORDERS = (State.REGISTERED, State.PARSED, State.VERIFIED, State.AWAITING_SECOND, State.URGENT)
OPEN_REPORTS = (State.RECEIVED, State.TRIAGED, State.VERIFYING, State.PROPOSED)
OPEN_REVIEWS = (State.RECEIVED, State.REVIEWING)
PAGE = 200
DECISIONS = ("block", "leave")
"""What a person may decide about a row."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One thing in the inbox: its row, and how its clock stands."""

    row: RowMapping
    clock: Countdown
    count: int = 0


@dataclass(frozen=True, slots=True)
class Inbox:
    """Everything that waits, the most urgent first."""

    orders: tuple[Waiting, ...]
    reviews: tuple[Waiting, ...]
    reports: tuple[Waiting, ...]
    expiring: tuple[RowMapping, ...]
    #: Without an end and approved long ago: names change hands, so a person looks again.
    endless: tuple[RowMapping, ...]
    #: Sent to platforms without an answer; state sites whose owner is to be told.
    platforms: tuple[Waiting, ...]
    owners: tuple[Waiting, ...]
    done: tuple[RowMapping, ...]

    @property
    def overdue(self) -> int:
        """How many clocks have run out."""
        return sum(one.clock.overdue for one in (*self.orders, *self.reviews, *self.reports, *self.platforms, *self.owners))


@dataclass(frozen=True, slots=True)
class ItemRow:
    """A row of a document as a page shows it."""

    id: str
    shown: str
    host: str | None
    match: str
    verdict: str
    reason_code: str
    decision: str | None
    decision_reason: str
    needs_second: bool
    platform: str | None
    platform_kind: str | None
    forwarded_to: str | None
    forwarded_at: datetime | None
    outcome: str | None
    is_masked: bool


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a history, from the journal."""

    at: datetime
    verb: str
    name: str
    role: str


@dataclass(frozen=True, slots=True)
class OrderPage:
    """A document with its rows, clock, basis, people, possible steps and history."""

    row: RowMapping
    items: tuple[ItemRow, ...]
    more: int
    #: How many rows of each verdict; of those that a person decided, of each decision.
    counts: tuple[tuple[str, int], ...]
    basis: tuple[BasisRow, ...]
    clock: Countdown
    verbs: frozenset[str]
    #: What stands in the way of an approval by this reader, where the role has it and the button is not there.
    obstacle: TransitionRefused | None
    history: tuple[Step, ...]
    people: dict[str, str]
    entries: int
    held: bool
    #: For whom the order is, where it is not for everybody.
    places: list[str]
    schools: list[str]


async def read_inbox(connection: AsyncConnection, office: Office, now: datetime) -> Inbox:
    """What waits in this office."""
    levels = await read_levels(connection, office)
    orders, items, reviews, reports, entries = tables.orders, tables.items, tables.reviews, tables.reports, tables.entries
    counts = (
        select(items.c.order_id, func.count().label("count"))
        .where(items.c.tenant_id == office.tenant)
        .group_by(items.c.order_id)
        .subquery()
    )
    statement = (
        select(orders, func.coalesce(counts.c.count, 0).label("count"))
        .outerjoin(counts, counts.c.order_id == orders.c.id)
        .where(orders.c.tenant_id == office.tenant)
        .order_by(orders.c.received_at)
    )
    waiting = await _all(connection, statement.where(_is(orders.c.state, OPEN_ORDERS)))
    done = await _all(
        connection, statement.where(~_is(orders.c.state, OPEN_ORDERS)).order_by(None).order_by(orders.c.received_at.desc()).limit(20)
    )
    open_reviews = await _all(
        connection,
        select(reviews, entries.c.host, entries.c.category, entries.c.id.label("entry"))
        .join(entries, entries.c.id == reviews.c.entry_id)
        .where(reviews.c.tenant_id == office.tenant, entries.c.tenant_id == office.tenant, _is(reviews.c.state, OPEN_REVIEWS))
        .order_by(reviews.c.received_at)
        .limit(PAGE),
    )
    open_reports = await _all(
        connection,
        select(reports)
        .where(reports.c.tenant_id == office.tenant, _is(reports.c.state, OPEN_REPORTS))
        .order_by(reports.c.received_at)
        .limit(PAGE),
    )
    warning = timedelta(hours=deadlines.level("expiry_warning", now.astimezone(deadlines.VIET_NAM).date(), levels).hours)
    expiring = await _all(
        connection,
        select(entries)
        .where(
            entries.c.tenant_id == office.tenant,
            _is(entries.c.state, tuple(IN_FORCE)),
            entries.c.no_end == 0,
            entries.c.valid_until <= now + warning,
        )
        .order_by(entries.c.valid_until)
        .limit(PAGE),
    )
    yearly = timedelta(hours=deadlines.level("no_end_review", now.astimezone(deadlines.VIET_NAM).date(), levels).hours)
    endless = await _all(
        connection,
        select(entries)
        .where(
            entries.c.tenant_id == office.tenant, _is(entries.c.state, tuple(IN_FORCE)), entries.c.no_end == 1,
            entries.c.approved_at <= now - yearly,
        )
        .order_by(entries.c.approved_at)
        .limit(PAGE),
    )  # fmt: skip
    return Inbox(
        orders=tuple(sorted((Waiting(row, order_clock(row, now, levels), row["count"]) for row in waiting), key=lambda one: one.clock.due)),
        reviews=tuple(Waiting(row, countdown("review", row["received_at"], now, levels)) for row in open_reviews),
        reports=tuple(Waiting(row, countdown("report_acknowledge", row["received_at"], now, levels)) for row in open_reports),
        expiring=tuple(expiring),
        endless=tuple(endless),
        platforms=tuple(
            Waiting(row, countdown("platform", row["forwarded_at"], now, levels)) for row in await platforms_waiting(connection, office)
        ),
        owners=tuple(
            Waiting(row, countdown("owner_told", row["approved_at"], now, levels)) for row in await owners_to_tell(connection, office)
        ),
        done=tuple(done),
    )


def order_clock(row: RowMapping, now: datetime, levels: Levels = deadlines.DEFAULTS) -> Countdown:
    """The clock of a document: urgent ones have their own."""
    return countdown("order_urgent" if row["urgent"] else "order", row["received_at"], now, levels)


async def read_order(connection: AsyncConnection, office: Office, order_id: str, actors: Sequence[Actor], now: datetime) -> OrderPage:
    """A document with everything its page shows. Raises NotFound."""
    row = await store.order_row(connection, office, order_id)
    case = await store.order_case(connection, office, row)
    items = await store.item_rows(connection, office, order_id)
    counts = Counter(item["decision"] or item["verdict"] for item in items)
    entries = tables.entries
    made = select(func.count()).where(entries.c.tenant_id == office.tenant, entries.c.order_id == order_id)
    # Rows that a person must look at stand first.
    first = sorted(items, key=lambda item: (item["verdict"] != Enforceability.ASK, item["verdict"] == Enforceability.YES, item["position"]))
    people = await _names(connection, [row[column] for column in ("created_by", "verified_by", "approved_by", "second_by", "released_by")])
    verbs = frozenset(verb for actor in actors for verb in possible(case, actor, now))
    barred = {verb: refusal for actor in actors for verb, refusal in weighed(case, actor, now).items() if refusal is not None}
    return OrderPage(
        row=row,
        items=tuple(_item(item, row["category"]) for item in first[:PAGE]),
        more=max(0, len(items) - PAGE),
        counts=tuple((str(kind), counts[kind]) for kind in (*Enforceability, *DECISIONS) if counts[kind]),
        basis=await read_basis(connection, office, order_id),
        clock=order_clock(row, now, await read_levels(connection, office)),
        verbs=verbs,
        obstacle=next((barred[verb] for verb in ("approve", "second", "confirm") if verb in barred and verb not in verbs), None),
        history=tuple(await read_history(connection, office, order_id)),
        people=people,
        entries=int((await connection.execute(made)).scalar_one()),
        held=bool(row["held"]) and row["released_by"] is None,
        places=say_places(row["places"], now.astimezone(deadlines.VIET_NAM).date()),
        schools=await _school_names(connection, row["organisations"]),
    )


@dataclass(frozen=True, slots=True)
class BasisRow:
    """A document of a basis: how many documents stand between it and the order."""

    symbol: str
    is_law: bool
    depth: int


async def read_basis(connection: AsyncConnection, office: Office, order_id: str) -> tuple[BasisRow, ...]:
    """The basis of an order as a chain: each document behind the one that stands on it."""
    basis = tables.order_basis
    rows = await _all(
        connection, select(basis).where(basis.c.tenant_id == office.tenant, basis.c.order_id == order_id).order_by(basis.c.position)
    )
    depths: dict[int, int] = {}
    for row in rows:
        depths[row["position"]] = depths.get(row["parent_position"], -1) + 1
    return tuple(BasisRow(row["symbol"], bool(row["is_law"]), depths[row["position"]]) for row in rows)


async def _school_names(connection: AsyncConnection, stored: str) -> list[str]:
    wanted = [one for one in stored.split(",") if one]
    if not wanted:
        return []
    found = await connection.execute(select(organisations.c.name).where(organisations.c.id.in_(wanted)).order_by(organisations.c.name))
    return list(found.scalars())


def _item(item: RowMapping, category: str) -> ItemRow:
    hidden = category == MASKED and bool(item["host"] or item["as_written"])
    shown = masked(item["host"] or item["as_written"], category, item["id"])
    return ItemRow(
        id=item["id"], shown=shown, host=None if hidden else item["host"], match=item["match"], verdict=item["verdict"],
        reason_code=item["reason_code"], decision=item["decision"], decision_reason=item["decision_reason"],
        needs_second=bool(item["needs_second"]), platform=item["platform"], platform_kind=item["platform_kind"],
        forwarded_to=item["forwarded_to"], forwarded_at=item["forwarded_at"], outcome=item["outcome"], is_masked=hidden,
    )  # fmt: skip


async def read_history(connection: AsyncConnection, office: Office, object_id: str) -> list[Step]:
    """What the journal says about one object, newest first. People are named by their account, the machine by its role."""
    rows = await _all(
        connection,
        select(journal.c.at, journal.c.action, journal.c.actor_role, accounts.c.name)
        .outerjoin(accounts, accounts.c.id == journal.c.actor_id)
        .where(journal.c.tenant_id == office.tenant, journal.c.object_id == object_id)
        .order_by(journal.c.seq.desc())
        .limit(PAGE),
    )
    return [Step(row["at"], row["action"].rpartition(".")[2], row["name"] or "", row["actor_role"]) for row in rows]


@dataclass(frozen=True, slots=True)
class EntryPage:
    """An entry with its document, history and possible steps."""

    row: RowMapping
    shown: str
    order: RowMapping | None
    basis: tuple[BasisRow, ...]
    history: tuple[Step, ...]
    people: dict[str, str]
    verbs: frozenset[str]
    reviews: tuple[RowMapping, ...]
    #: A site under gov.vn or edu.vn: its owner is told by a person.
    is_state: bool


async def read_entry(connection: AsyncConnection, office: Office, entry_id: str, actors: Sequence[Actor], now: datetime) -> EntryPage:
    """An entry with everything its page shows. Raises NotFound."""
    row = await store.entry_row(connection, office, entry_id)
    case = await store.entry_case(connection, office, row)
    reviews = tables.reviews
    order = await store.order_row(connection, office, row["order_id"]) if row["order_id"] else None
    return EntryPage(
        row=row,
        is_state=is_state_host(row["host"]),
        shown=masked(row["host"], row["category"], row["id"]),
        order=order,
        basis=await read_basis(connection, office, row["order_id"] or ""),
        history=tuple(await read_history(connection, office, entry_id)),
        people=await _names(connection, [row[column] for column in ("verified_by", "approved_by", "second_by")]),
        verbs=frozenset(verb for actor in actors for verb in possible(case, actor, now)),
        reviews=tuple(
            await _all(
                connection,
                select(reviews).where(reviews.c.tenant_id == office.tenant, reviews.c.entry_id == entry_id).order_by(reviews.c.received_at),
            )
        ),
    )


async def find_entries(
    connection: AsyncConnection, office: Office, text: str, state: str, limit: int = PAGE, after: str | None = None
) -> list[RowMapping]:
    """Entries by name or part of one; masked ones are never found by their name."""
    table, orders = tables.entries, tables.orders
    statement = (
        select(table, orders.c.symbol)
        .outerjoin(orders, orders.c.id == table.c.order_id)
        .where(table.c.tenant_id == office.tenant, orders.c.tenant_id.is_(None) | (orders.c.tenant_id == office.tenant))
        .order_by(table.c.approved_at.desc(), table.c.id)
        .limit(limit)
    )
    if text:
        host = normalize_host(text)
        wanted = host.name if isinstance(host, Host) else text.strip().lower()
        in_host = table.c.host.like(f"%{_escaped(wanted)}%", escape="\\")
        in_symbol = orders.c.symbol.like(f"%{_escaped(text.strip())}%", escape="\\")
        statement = statement.where(or_(in_host, in_symbol), table.c.category != MASKED)
    if state == "in_force":
        statement = statement.where(_is(table.c.state, tuple(IN_FORCE)))
    if after:
        statement = statement.where(table.c.id > after).order_by(None).order_by(table.c.id)
    return await _all(connection, statement)


def _escaped(text: str) -> str:
    """Text that LIKE takes literally."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


async def read_versions(connection: AsyncConnection, office: Office, limit: int = 100) -> list[RowMapping]:
    """Published versions, newest first."""
    table = tables.versions
    return await _all(connection, select(table).where(table.c.tenant_id == office.tenant).order_by(table.c.serial.desc()).limit(limit))


async def read_receipts(connection: AsyncConnection) -> list[RowMapping]:
    """The newest receipt of each gateway."""
    table = tables.receipts
    newest = select(table.c.gateway, func.max(table.c.serial).label("serial")).group_by(table.c.gateway).subquery()
    statement = select(table).join(newest, and_(newest.c.gateway == table.c.gateway, newest.c.serial == table.c.serial))
    return await _all(connection, statement.order_by(table.c.gateway))


async def _names(connection: AsyncConnection, ids: Sequence[str | None]) -> dict[str, str]:
    wanted = [one for one in ids if one]
    if not wanted:
        return {}
    found = await connection.execute(select(accounts.c.id, accounts.c.name).where(accounts.c.id.in_(wanted)))
    return {row.id: row.name for row in found}


def _is(column: Column[str], states: Sequence[State]) -> ColumnElement[bool]:
    return column.in_([state.value for state in states])


async def _all(connection: AsyncConnection, statement: Select[Any]) -> list[RowMapping]:
    return list((await connection.execute(statement)).mappings())


async def known_keys(connection: AsyncConnection, office: Office) -> frozenset[str]:
    """Index keys of the names in force, for telling how many names of a document are new."""
    table = tables.entries
    statement = select(table.c.host).where(table.c.tenant_id == office.tenant, _is(table.c.state, tuple(IN_FORCE)))
    return frozenset(key_of_host(host) for host in (await connection.execute(statement)).scalars())


async def taken_hosts(connection: AsyncConnection, office: Office, order_id: str) -> list[tuple[str, Match]]:
    """The names that become entries when the document is approved."""
    rows = await store.item_rows(connection, office, order_id)
    return [(row["host"], Match(row["match"])) for row in rows if store.will_block(row)]
