"""Steps of the office that are no move in the transition table: following up an address on a platform, opening one masked name."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.office import MASKED
from blocklists.tables import journal
from blocklists.takedown import store, tables
from blocklists.takedown.freetext import require_clean
from blocklists.takedown.masking import reveal
from blocklists.takedown.model import Actor, Enforceability, Kind
from blocklists.takedown.store import NotFound, Office
from blocklists.takedown.workflow import TransitionRefused

OUTCOMES = ("removed", "refused", "no_answer")


async def forward_item(
    connection: AsyncConnection, office: Office, order_id: str, item_id: str, sent_to: str, outcome: str, actor: Actor, now: datetime
) -> None:
    """Note that an address on a platform was sent on, or what came of it. Raises NotFound, TransitionRefused."""
    table = tables.items
    where = (table.c.id == item_id, table.c.order_id == order_id, table.c.tenant_id == office.tenant)
    row = (await connection.execute(select(table).where(*where))).mappings().first()
    if row is None or row["verdict"] != Enforceability.SHARED_PLATFORM:
        raise NotFound("no such row")
    if outcome:
        if outcome not in OUTCOMES or row["forwarded_at"] is None:
            raise TransitionRefused("not_sent", "Hãy ghi đã gửi cho ai trước.", "Say first to whom it was sent.")
        values: dict[str, object] = {"outcome": outcome, "outcome_at": now}
    elif require_clean(sent_to, "Đã gửi cho", "Sent to", store.OF_AN_OFFICE):
        values = {"forwarded_to": sent_to.strip(), "forwarded_at": now}
    else:
        raise TransitionRefused("reason_missing", "Hãy ghi đã gửi cho ai.", "Say to whom it was sent.")
    await connection.execute(update(table).where(*where).values(**values))
    await store.record(connection, office, actor, "forwarded", Kind.ORDER, order_id, now, after=f"{item_id}:{sorted(values)}")


async def open_item(
    connection: AsyncConnection, office: Office, order_id: str, item_id: str, actor: Actor, now: datetime, key: bytes
) -> str:
    """One masked name for one officer who must decide about it; written down before it is shown.

    The first verifier and the first approver who open a name of a document are its assigned ones: no third person ever sees it.
    `key` is this server's (`masking.names_key`). Raises NotFound, TransitionRefused.
    """
    table = tables.items
    found = await connection.execute(
        select(table.c.as_written).where(table.c.id == item_id, table.c.order_id == order_id, table.c.tenant_id == office.tenant)
    )
    row = found.first()
    order = await store.order_row(connection, office, order_id)
    if row is None or order["category"] != MASKED:
        raise NotFound("no such row")
    name = reveal(row.as_written, key)
    before = await connection.execute(
        select(journal.c.actor_id).where(
            journal.c.tenant_id == office.tenant,
            journal.c.object_id == order_id,
            journal.c.action == "takedown.order.opened",
            journal.c.actor_role == actor.capacity.value,
        )
    )
    if any(account != actor.account for account in before.scalars()):
        raise TransitionRefused(
            "assigned_to_another", "Văn bản này đã có người được giao xem.", "Somebody else is assigned to look at this document."
        )
    await store.record(connection, office, actor, "opened", Kind.ORDER, order_id, now, after=item_id)
    return name
