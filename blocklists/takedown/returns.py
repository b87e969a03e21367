"""A return to an earlier version of the list: a new serial whose content is the earlier one, less everything that has ended since.

It only ever takes out what came later; what was lifted, expired or overturned meanwhile stays so. Every entry it drops leaves at once and
is a recorded lifting that a second person confirms within a day; refused, or confirmed by nobody, the entries come back into force by
themselves. Used by `admin`; every step passes the transition table and writes the journal.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, insert, or_, select, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from blocklists.tables import new_id
from blocklists.takedown import deadlines, tables
from blocklists.takedown.clocks import read_levels
from blocklists.takedown.freetext import require_clean
from blocklists.takedown.model import IN_FORCE, SYSTEM, Actor, Capacity, Kind, State
from blocklists.takedown.publishing import latest
from blocklists.takedown.store import NotFound, Office, move_entry, record
from blocklists.takedown.workflow import TransitionRefused


def dropping(office: Office, serial: int) -> tuple[ColumnElement[bool], ...]:
    """Which entries in force a return to this version would take out, as conditions of a query."""
    table = tables.entries
    return (
        table.c.tenant_id == office.tenant,
        table.c.state.in_([state.value for state in IN_FORCE]),
        or_(table.c.first_serial.is_(None), table.c.first_serial > serial),
    )


async def dropped_by(connection: AsyncConnection, office: Office, serial: int) -> list[RowMapping]:
    """All of them, however many there are: for the return itself."""
    table = tables.entries
    statement = select(table).where(*dropping(office, serial)).order_by(table.c.host, table.c.id)
    return list((await connection.execute(statement)).mappings())


async def go_back(connection: AsyncConnection, office: Office, serial: int, reason: str, actor: Actor, now: datetime) -> str:
    """Take out what came after a version; the id of the return. Raises NotFound, TransitionRefused."""
    newest = await latest(connection, office)
    if newest is None or not 0 < serial < newest["serial"]:
        raise NotFound("no such earlier version")
    if actor.capacity is not Capacity.APPROVER:
        raise TransitionRefused("not_allowed", "Vai trò này không được làm bước này.", "This role may not take this step.")
    if await waiting_returns(connection, office):
        raise TransitionRefused("return_waits", "Đang có một lần quay lại chờ xác nhận.", "Another return waits for its confirmation.")
    if not reason.strip():
        raise TransitionRefused("reason_missing", "Hãy ghi lý do.", "Give a reason.")
    require_clean(reason, "Lý do", "Reason")
    rows = await dropped_by(connection, office, serial)
    if not rows:
        raise TransitionRefused("nothing_to_drop", "Không có mục chặn nào mới hơn bản đó.", "No entry in force is newer than that version.")
    identity = new_id()
    levels = await read_levels(connection, office)
    hours = deadlines.level("rollback_confirm", now.astimezone(deadlines.VIET_NAM).date(), levels).hours
    await connection.execute(
        insert(tables.returns).values(
            id=identity, tenant_id=office.tenant, to_serial=serial, dropped=len(rows), reason=reason.strip(), state="waiting",
            created_by=actor.account, created_at=now, due_at=now + timedelta(hours=hours),
        )
    )  # fmt: skip
    await record(connection, office, actor, "return", Kind.ENTRY, identity, now, after=f"{serial}")
    table = tables.entries
    for row in rows:
        await move_entry(connection, office, row["id"], "withdraw", actor, now, reason)
        mine = (table.c.id == row["id"], table.c.tenant_id == office.tenant)
        await connection.execute(update(table).where(*mine).values(return_id=identity))
    return identity


async def decide_return(connection: AsyncConnection, office: Office, identity: str, verb: str, actor: Actor, now: datetime) -> None:
    """Another approver confirms the liftings, or refuses them and the entries come back. Raises NotFound, TransitionRefused."""
    table = tables.returns
    found = await connection.execute(select(table).where(table.c.id == identity, table.c.tenant_id == office.tenant))
    row = found.mappings().first()
    if row is None:
        raise NotFound("no such return")
    if row["state"] != "waiting" or actor.capacity is not Capacity.APPROVER or verb not in ("confirm", "refuse"):
        raise TransitionRefused(
            "not_from_here", "Bước này không áp dụng ở trạng thái hiện tại.", "This step is not possible in the present state."
        )
    if actor.account == row["created_by"]:
        raise TransitionRefused("same_person", "Cần một người thứ hai xác nhận.", "A second person must confirm.")
    await _finish(connection, office, row, "confirmed" if verb == "confirm" else "refused", actor, now)


async def lapse_returns(connection: AsyncConnection, office: Office, now: datetime) -> int:
    """Returns that nobody confirmed in time: protection comes back by itself. How many."""
    late = [row for row in await waiting_returns(connection, office) if row["due_at"] <= now]
    for row in late:
        await _finish(connection, office, row, "lapsed", SYSTEM, now)
    return len(late)


async def waiting_returns(connection: AsyncConnection, office: Office) -> list[RowMapping]:
    """Returns that wait for a second person."""
    table = tables.returns
    statement = select(table).where(table.c.tenant_id == office.tenant, table.c.state == "waiting").order_by(table.c.created_at)
    return list((await connection.execute(statement)).mappings())


async def _finish(connection: AsyncConnection, office: Office, row: RowMapping, state: str, actor: Actor, now: datetime) -> None:
    returns, table = tables.returns, tables.entries
    decided = {"state": state, "decided_by": None if actor is SYSTEM else actor.account, "decided_at": now}
    await connection.execute(update(returns).where(returns.c.id == row["id"], returns.c.tenant_id == office.tenant).values(**decided))
    await record(connection, office, actor, f"return_{state}", Kind.ENTRY, row["id"], now, before="waiting", after=state)
    mine = (table.c.tenant_id == office.tenant, table.c.return_id == row["id"])
    waiting = select(table.c.id, table.c.no_end, table.c.valid_until).where(*mine, table.c.state == State.SUSPENDED.value)
    for entry in (await connection.execute(waiting)).all():
        if state == "confirmed":
            await move_entry(connection, office, entry.id, "lift", actor, now, row["reason"])
        elif entry.no_end or entry.valid_until > now:
            await move_entry(connection, office, entry.id, "reinstate", actor, now, "")
            back = {"serial_in": None, "serial_out": None, "ended_at": None, "end_reason": "", "return_id": None}
            own = (table.c.id == entry.id, table.c.tenant_id == office.tenant)
            await connection.execute(update(table).where(*own).values(**back))
