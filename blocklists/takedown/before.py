"""What the office decided before about a document and its names: the same document registered already, names that another document or
report blocks, names that were opened again. For the store, and for the pages and the API of orders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from blocklists.takedown import tables
from blocklists.takedown.documents import SymbolError, parse_symbol
from blocklists.takedown.model import IN_FORCE, Office, State

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Before:
    """What stands about one name: the entry, the document it came by ("" for a report), and when and why it was opened again."""

    host: str
    entry: str
    symbol: str
    opened_at: datetime | None = None
    reason: str = ""


async def find_same(connection: AsyncConnection, office: Office, written: str, issuer: str, but: str = "") -> RowMapping | None:
    """The latest document of this number and symbol by the same issuer that was not refused, other than `but`; None when there is none, or
    when it has no number yet (drafts of one office look alike)."""
    try:
        symbol = parse_symbol(written)
    except SymbolError:
        return None
    if not symbol.is_numbered:
        return None
    table = tables.orders
    statement = (
        select(table.c.id, table.c.symbol, table.c.issuer, table.c.received_at, table.c.state)
        .where(table.c.tenant_id == office.tenant, table.c.symbol == symbol.as_written, table.c.state != State.REJECTED.value)
        .order_by(table.c.received_at.desc())
    )
    rows = (await connection.execute(statement)).mappings().all()
    return next((row for row in rows if row["id"] != but and row["issuer"].casefold() == issuer.casefold()), None)


async def read_before(connection: AsyncConnection, office: Office, hosts: Sequence[str], order_id: str) -> list[Before]:
    """What other documents and reports did with these names, those that were opened again first."""
    entries, orders = tables.entries, tables.orders
    found: dict[str, Before] = {}
    for start in range(0, len(hosts), _AT_ONCE):
        statement = (
            select(entries.c.id, entries.c.host, entries.c.state, entries.c.ended_at, entries.c.end_reason, orders.c.symbol)
            .select_from(entries.outerjoin(orders, (orders.c.id == entries.c.order_id) & (orders.c.tenant_id == office.tenant)))
            .where(entries.c.tenant_id == office.tenant, entries.c.host.in_(hosts[start : start + _AT_ONCE]))
            .where(entries.c.order_id.is_(None) | (entries.c.order_id != order_id))
            .where(entries.c.state.in_([State.LIFTED.value, *(state.value for state in IN_FORCE)]))
            .order_by(entries.c.approved_at)
        )
        for row in (await connection.execute(statement)).mappings():
            is_lifted = row["state"] == State.LIFTED.value
            if is_lifted and row["host"] in found and found[row["host"]].opened_at is None:
                continue  # blocked by another one all the same
            opened = row["ended_at"] if is_lifted else None
            found[row["host"]] = Before(row["host"], row["id"], row["symbol"] or "", opened, row["end_reason"] if is_lifted else "")
    return sorted(found.values(), key=lambda one: (one.opened_at is None, one.host))


async def find_others(connection: AsyncConnection, office: Office, entry: str, host: str) -> list[Before]:
    """Entries besides this one that block the same name."""
    table, orders = tables.entries, tables.orders
    statement = (
        select(table.c.id, table.c.host, orders.c.symbol)
        .select_from(table.outerjoin(orders, (orders.c.id == table.c.order_id) & (orders.c.tenant_id == office.tenant)))
        .where(table.c.tenant_id == office.tenant, table.c.host == host, table.c.id != entry)
        .where(table.c.state.in_([state.value for state in IN_FORCE]))
        .order_by(table.c.approved_at)
    )
    rows = (await connection.execute(statement)).mappings()
    return [Before(row["host"], row["id"], row["symbol"] or "") for row in rows]
