"""Before an entry ends: renewing it by a document or a reason, and noting that the owner of a state site was told.

A renewal is a move of the transition table with the new end in the case, so its caps hold: 45 days without a document, 7 days for hosts
under gov.vn and edu.vn, 90 days for distorted information. Nothing is sent from here; a person sends the text and says so. Used by `admin`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from blocklists.takedown import tables
from blocklists.takedown.freetext import require_clean
from blocklists.takedown.model import IN_FORCE, Actor, Kind, Office, TransitionRefused
from blocklists.takedown.store import OF_AN_OFFICE, entry_case, entry_row, record
from blocklists.takedown.workflow import decide

STATE_ENDINGS = (".gov.vn", ".edu.vn")


async def renew_entry(
    connection: AsyncConnection, office: Office, entry_id: str, until: datetime, reason: str, actor: Actor, now: datetime
) -> None:
    """A new end for an entry in force, by somebody other than its verifier; it is published once more.

    Raises NotFound, TransitionRefused.
    """
    row = await entry_row(connection, office, entry_id)
    clean = require_clean(reason, "Lý do", "Reason")
    if row["no_end"]:
        raise TransitionRefused("no_end", "Mục này không có thời hạn.", "This entry has no end.")
    if until <= row["valid_until"]:
        raise TransitionRefused("end_earlier", "Ngày mới phải sau ngày cũ.", "The new end comes after the old one.")
    case = replace(await entry_case(connection, office, row, clean), valid_until=until)
    event = decide(case, "renew", actor, now)
    values = {"state": event.after.value, "valid_until": until, "serial_in": None}
    table = tables.entries
    await connection.execute(update(table).where(table.c.id == entry_id, table.c.tenant_id == office.tenant).values(**values))
    await record(
        connection, office, actor, "renew", Kind.ENTRY, entry_id, now,
        before=row["valid_until"].isoformat(), after=f"{until.isoformat()}:{clean}",
    )  # fmt: skip


async def tell_owner(connection: AsyncConnection, office: Office, entry_id: str, how: str, actor: Actor, now: datetime) -> None:
    """Note how the owner of a state site was told. Raises NotFound, TransitionRefused."""
    row = await entry_row(connection, office, entry_id)
    clean = require_clean(how, "Đã báo bằng cách", "Told how", OF_AN_OFFICE)
    if not is_state_host(row["host"]) or row["owner_told_at"] is not None:
        raise TransitionRefused("owner_told", "Mục này không cần báo, hoặc đã báo.", "Nobody is to be told, or it was done.")
    if not clean:
        raise TransitionRefused("reason_missing", "Hãy ghi đã báo bằng cách nào.", "Say how they were told.")
    table = tables.entries
    values = {"owner_told_at": now, "owner_told_by": actor.account, "owner_told_how": clean[:120]}
    await connection.execute(update(table).where(table.c.id == entry_id, table.c.tenant_id == office.tenant).values(**values))
    await record(connection, office, actor, "owner_told", Kind.ENTRY, entry_id, now, after="told")


async def owners_to_tell(connection: AsyncConnection, office: Office) -> list[RowMapping]:
    """Entries in force about state sites whose owner nobody has told yet, the oldest first."""
    table = tables.entries
    statement = select(table).where(
        table.c.tenant_id == office.tenant, table.c.owner_told_at.is_(None), table.c.state.in_([state.value for state in IN_FORCE]),
        table.c.host.like("%.gov.vn") | table.c.host.like("%.edu.vn"),
    )  # fmt: skip
    return list((await connection.execute(statement.order_by(table.c.approved_at).limit(200))).mappings())


async def platforms_waiting(connection: AsyncConnection, office: Office) -> list[RowMapping]:
    """Addresses on platforms that were sent on and have no outcome yet, with their document, the oldest first."""
    items, orders = tables.items, tables.orders
    statement = (
        select(items.c.order_id, items.c.platform, items.c.platform_kind, items.c.forwarded_to, items.c.forwarded_at, orders.c.symbol)
        .join(orders, orders.c.id == items.c.order_id)
        .where(
            items.c.tenant_id == office.tenant, orders.c.tenant_id == office.tenant, items.c.forwarded_at.isnot(None),
            items.c.outcome.is_(None),
        )
        .order_by(items.c.forwarded_at)
        .limit(200)
    )  # fmt: skip
    return list((await connection.execute(statement)).mappings())


def is_state_host(host: str) -> bool:
    """Whether a host lies under gov.vn or edu.vn."""
    return host.endswith(STATE_ENDINGS)


