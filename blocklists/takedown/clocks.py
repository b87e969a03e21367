"""The office's own clocks: dated settings above the shipped ones, each with its basis. What began before a change keeps the older clock.

Used by `admin` and by `cases`; a change writes the journal.
"""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from blocklists import journal
from blocklists.takedown.candidatetables import service_levels
from blocklists.takedown.deadlines import DEFAULTS, VIET_NAM, ServiceLevel
from blocklists.takedown.freetext import require_clean
from blocklists.takedown.model import Actor, Office, TransitionRefused

Levels = tuple[ServiceLevel, ...]
CLOCKS = tuple(dict.fromkeys(row.clock for row in DEFAULTS))


async def read_levels(connection: AsyncConnection, office: Office) -> Levels:
    """Every clock of the office, the shipped ones first: of two with the same first day the office's own wins."""
    statement = select(service_levels).where(service_levels.c.tenant_id == office.tenant).order_by(service_levels.c.valid_from)
    own = [
        ServiceLevel(row["clock"], row["hours"], row["basis"], date.fromisoformat(row["valid_from"]))
        for row in (await connection.execute(statement)).mappings()
    ]
    taken = {(row.clock, row.valid_from) for row in own}
    return (*(row for row in DEFAULTS if (row.clock, row.valid_from) not in taken), *own)


async def set_level(
    connection: AsyncConnection, office: Office, actor: Actor, clock: str, hours: float, basis: str, starts: date, now: datetime
) -> None:
    """A clock from a day on, today or later. Raises TransitionRefused."""
    clean = require_clean(basis, "Căn cứ", "Basis")
    if clock not in CLOCKS or not 0 < hours <= 8784:
        raise TransitionRefused("clock", "Thời hạn từ 1 giờ đến 366 ngày.", "A clock runs between an hour and 366 days.")
    if not clean:
        raise TransitionRefused("basis_missing", "Hãy ghi văn bản làm căn cứ.", "Name the document it stands on.")
    if starts < now.astimezone(VIET_NAM).date():
        raise TransitionRefused(
            "clock_past", "Không đổi thời hạn của việc đã bắt đầu: hãy chọn từ hôm nay trở đi.", "What began keeps its clock."
        )
    try:
        await connection.execute(
            insert(service_levels).values(
                tenant_id=office.tenant, clock=clock, hours=hours, basis=clean[:160], valid_from=starts.isoformat(), set_by=actor.account,
                set_at=now,
            )
        )  # fmt: skip
    except IntegrityError as error:
        raise TransitionRefused("clock_twice", "Ngày này đã có thời hạn.", "This day has a clock already.") from error
    await journal.append(
        connection,
        journal.Entry(
            at=now, tenant_id=office.tenant, actor_id=actor.account, actor_role=actor.capacity.value, action="takedown.clock.set",
            object_kind="takedown_clock", object_id=clock, basis=clean[:160], after_digest=office.digest(f"{clock}|{hours}|{starts}"),
        ),
    )  # fmt: skip
