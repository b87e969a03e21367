"""Directives: documents that say who leads and where reports go, each for a time. Several hold at once, each with its own lead.

A later directive about the same topic takes its place from its first day; what was routed before stays where it went.
"""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import insert, or_, select, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from blocklists import journal
from blocklists.tables import accounts, new_id, role_assignments
from blocklists.takedown import tables
from blocklists.takedown.agencies import require_there
from blocklists.takedown.deadlines import VIET_NAM, DueRule
from blocklists.takedown.documents import parse_symbol
from blocklists.takedown.freetext import require_clean
from blocklists.takedown.model import Actor, NotFound
from blocklists.takedown.store import Office


async def add_directive(
    connection: AsyncConnection, office: Office, actor: Actor, now: datetime,
    *, symbol: str, title: str, lead: str, focal_point: str, topic: str = "", due_rule: DueRule = DueRule.NONE, due_on: date | None = None,
) -> str:  # fmt: skip
    """A directive from now on; the one about the same topic before it ends. Raises SymbolError, and TransitionRefused for a body that is
    no more: it names the successors, and somebody chooses."""
    parse_symbol(symbol)
    for text, vi, en in ((title, "Trích yếu", "Subject"), (topic, "Chủ đề", "Topic")):
        require_clean(text, vi, en)
    for body, vi, en in ((lead, "Cơ quan chủ trì", "Lead agency"), (focal_point, "Nơi nhận phản ánh", "Reports go to")):
        require_clean(body, vi, en)
        await require_there(connection, office, body, now.astimezone(VIET_NAM).date())
    table = tables.directives
    await connection.execute(
        update(table)
        .where(table.c.tenant_id == office.tenant, table.c.topic == topic, table.c.topic != "", table.c.valid_until.is_(None))
        .values(valid_until=now)
    )
    directive = new_id()
    await connection.execute(
        insert(table).values(
            id=directive, tenant_id=office.tenant, symbol=symbol, title=title, lead=lead, focal_point=focal_point, topic=topic,
            due_rule=due_rule.value, due_on=due_on.isoformat() if due_on else None, valid_from=now,
        )
    )  # fmt: skip
    await journal.append(
        connection,
        journal.Entry(
            at=now, tenant_id=office.tenant, actor_id=actor.account, actor_role=actor.capacity.value, action="takedown.directive.add",
            object_kind="takedown_directive", object_id=directive, basis=symbol,
            after_digest=office.digest(f"{symbol}|{lead}|{focal_point}"),
        ),
    )  # fmt: skip
    return directive


async def move_focal_point(
    connection: AsyncConnection, office: Office, actor: Actor, directive_id: str, focal_point: str, now: datetime
) -> None:
    """Reports from now on go to another office; those of before stay where they went. Raises TransitionRefused for a body of the past."""
    require_clean(focal_point, "Nơi nhận phản ánh", "Reports go to")
    await require_there(connection, office, focal_point, now.astimezone(VIET_NAM).date())
    table = tables.directives
    await connection.execute(
        update(table).where(table.c.id == directive_id, table.c.tenant_id == office.tenant).values(focal_point=focal_point)
    )
    await journal.append(
        connection,
        journal.Entry(
            at=now, tenant_id=office.tenant, actor_id=actor.account, actor_role=actor.capacity.value, action="takedown.directive.move",
            object_kind="takedown_directive", object_id=directive_id, after_digest=office.digest(focal_point),
        ),
    )  # fmt: skip


async def end_directive(connection: AsyncConnection, office: Office, actor: Actor, directive_id: str, now: datetime) -> None:
    """A directive that holds now ends. Raises NotFound."""
    table = tables.directives
    done = await connection.execute(
        update(table)
        .where(
            table.c.id == directive_id, table.c.tenant_id == office.tenant, table.c.valid_from <= now,
            or_(table.c.valid_until.is_(None), table.c.valid_until > now),
        )
        .values(valid_until=now)
    )  # fmt: skip
    if not done.rowcount:
        raise NotFound("no such directive")
    await journal.append(
        connection,
        journal.Entry(
            at=now, tenant_id=office.tenant, actor_id=actor.account, actor_role=actor.capacity.value, action="takedown.directive.end",
            object_kind="takedown_directive", object_id=directive_id,
        ),
    )  # fmt: skip


async def directives_in_force(connection: AsyncConnection, office: Office, now: datetime) -> list[RowMapping]:
    """Every directive that holds now, the newest first."""
    table = tables.directives
    found = await connection.execute(
        select(table)
        .where(table.c.tenant_id == office.tenant, table.c.valid_from <= now, or_(table.c.valid_until.is_(None), table.c.valid_until > now))
        .order_by(table.c.valid_from.desc(), table.c.id)
    )
    return list(found.mappings())


async def route(connection: AsyncConnection, office: Office, topic: str, now: datetime) -> RowMapping | None:
    """The directive that a report about a topic follows: the one of that topic, else a general one, else none."""
    rows = await directives_in_force(connection, office, now)
    return next((row for row in rows if row["topic"] == topic), next((row for row in rows if not row["topic"]), None))


async def officers(connection: AsyncConnection, tenant: str, now: datetime) -> list[RowMapping]:
    """Who has a role in this office, and by which document."""
    table = role_assignments
    found = await connection.execute(
        select(table.c.id, table.c.account_id, accounts.c.name, table.c.role, table.c.basis, table.c.valid_from, table.c.valid_until)
        .join(accounts, accounts.c.id == table.c.account_id)
        .where(table.c.organisation_id == tenant, table.c.valid_from <= now, or_(table.c.valid_until.is_(None), table.c.valid_until > now))
        .order_by(table.c.created_at)
    )
    return list(found.mappings())
