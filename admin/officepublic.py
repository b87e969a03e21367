"""What people without an account may know and ask: what is blocked and why in numbers, one site at a time, a review, a report by code.

Names of the masked category are never confirmed nor denied: the answer about them is the answer about a name that is not listed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.errors import FieldMistake, InvalidInput, NotFound
from admin.office import MASKED
from admin.officedirectives import route
from blocklists.normalize import Host, key_of_name, normalize_host
from blocklists.tables import OrganisationKind, organisations
from blocklists.takedown import cases, tables
from blocklists.takedown.clocks import read_levels
from blocklists.takedown.deadlines import Countdown, countdown
from blocklists.takedown.model import IN_FORCE, Match, State
from blocklists.takedown.store import Office
from gateway.wire.name import covering_keys

REASONS = ("mistake", "lesson", "new_owner", "other")
REPORT_CATEGORIES = ("gamb", "scam", "porn", "groom", "self", "drug", "gore", "bully", "other")
MOST_DOCUMENTS = 200


@dataclass(frozen=True, slots=True)
class Overview:
    """The list in numbers: entries by category, and the documents they stand on. No name of a site."""

    serial: int
    changed_at: datetime | None
    categories: tuple[tuple[str, int], ...]
    documents: tuple[RowMapping, ...]
    reviews_upheld: int
    reviews_overturned: int
    expired: int
    lifted: int

    @property
    def entries(self) -> int:
        """How many entries are in force."""
        return sum(count for _, count in self.categories)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a code leads to."""

    kind: str
    state: str
    reason: str
    clock: Countdown | None
    decided_at: datetime | None
    routed_to: str


async def read_overview(connection: AsyncConnection, office: Office) -> Overview:
    """The list in numbers."""
    entries, orders, versions, reviews = tables.entries, tables.orders, tables.versions, tables.reviews
    live = entries.c.state.in_([state.value for state in IN_FORCE])
    own = entries.c.tenant_id == office.tenant
    by_category = select(entries.c.category, func.count()).where(own, live).group_by(entries.c.category)
    documents = (
        select(
            orders.c.id, orders.c.symbol, orders.c.issuer, orders.c.category, orders.c.issued_year, orders.c.issued_month,
            orders.c.issued_day, orders.c.approved_at, orders.c.valid_until, orders.c.no_end, func.count().label("count"),
        )
        .join(entries, entries.c.order_id == orders.c.id)
        .where(orders.c.tenant_id == office.tenant, own, live)
        .group_by(orders.c.id)
        .order_by(orders.c.approved_at.desc())
        .limit(MOST_DOCUMENTS)
    )  # fmt: skip
    last = (
        await connection.execute(
            select(versions.c.serial, versions.c.created_at)
            .where(versions.c.tenant_id == office.tenant)
            .order_by(versions.c.serial.desc())
            .limit(1)
        )
    ).first()
    counts = await _counts(
        connection, select(reviews.c.state, func.count()).where(reviews.c.tenant_id == office.tenant).group_by(reviews.c.state)
    )
    categories = await _counts(connection, by_category)
    ended = await _counts(connection, select(entries.c.state, func.count()).where(own).group_by(entries.c.state))
    return Overview(
        serial=last.serial if last else 0,
        changed_at=last.created_at if last else None,
        categories=tuple(sorted(categories.items(), key=lambda one: -one[1])),
        documents=tuple((await connection.execute(documents)).mappings()),
        reviews_upheld=counts.get(State.UPHELD.value, 0),
        reviews_overturned=counts.get(State.OVERTURNED.value, 0),
        expired=ended.get(State.EXPIRED.value, 0),
        lifted=ended.get(State.LIFTED.value, 0),
    )


async def look_up(connection: AsyncConnection, office: Office, text: str) -> tuple[str, RowMapping | None, list[str]]:
    """The name that was asked for, the entry that blocks it or None, and the basis of its document. Raises InvalidInput."""
    host = normalize_host(text[:500])
    if not isinstance(host, Host):
        raise InvalidInput(FieldMistake("name", "not_a_name"))
    keys = covering_keys(host.key)
    names = {_name(key): key for key in keys}
    entries, orders = tables.entries, tables.orders
    found = await connection.execute(
        select(
            entries.c.id, entries.c.host, entries.c.match, entries.c.category, entries.c.valid_from, entries.c.valid_until,
            entries.c.no_end, entries.c.enforced_at, entries.c.order_id, orders.c.symbol, orders.c.issuer, orders.c.appeal,
        )
        .outerjoin(orders, orders.c.id == entries.c.order_id)
        .where(
            entries.c.tenant_id == office.tenant, orders.c.tenant_id.is_(None) | (orders.c.tenant_id == office.tenant),
            entries.c.host.in_(list(names)), entries.c.category != MASKED,
            entries.c.state.in_([state.value for state in IN_FORCE]),
        )
        .order_by(func.length(entries.c.host).desc())
    )  # fmt: skip
    entry = next((row for row in found.mappings() if _covers(row, host.key)), None)
    basis = tables.order_basis
    symbols = select(basis.c.symbol).where(basis.c.tenant_id == office.tenant, basis.c.order_id == (entry["order_id"] if entry else ""))
    return host.name, entry, list((await connection.execute(symbols.order_by(basis.c.position))).scalars())


async def school_digest(connection: AsyncConnection, office: Office, tenant: str | None) -> str | None:
    """A keyed digest of the school that somebody asks from; None outside schools. It says only that two requests came from one school."""
    if not tenant:
        return None
    kind = await connection.execute(select(organisations.c.kind).where(organisations.c.id == tenant))
    return office.digest(f"site:{tenant}") if kind.scalar_one_or_none() == OrganisationKind.SCHOOL.value else None


async def ask_again(
    connection: AsyncConnection, office: Office, name: str, reason: str, note: str, now: datetime, school: str | None = None
) -> str:
    """Somebody asks to look again at what blocks a name; the code of the answer. Raises NotFound, TransitionRefused."""
    if reason not in REASONS:
        raise InvalidInput(FieldMistake("reason", "unknown"))
    _, entry, _ = await look_up(connection, office, name)
    if entry is None:
        raise NotFound
    return await cases.ask_review(connection, office, entry["id"], reason, note, now, school)


async def report(
    connection: AsyncConnection, office: Office, name: str, category: str, reporter: str, note: str, now: datetime,
    school: str | None = None,
) -> str:  # fmt: skip
    """Somebody reports a site; the code. It goes where the directive of that day says. Raises InvalidInput, TransitionRefused."""
    host = normalize_host(name[:500])
    mistakes = []
    if not isinstance(host, Host):
        mistakes.append(FieldMistake("name", "not_a_name"))
    if category not in REPORT_CATEGORIES:
        mistakes.append(FieldMistake("category", "unknown"))
    if reporter not in ("child", "parent", "teacher", "public"):
        mistakes.append(FieldMistake("reporter", "unknown"))
    if len(note) > cases.NOTE_LENGTH:
        mistakes.append(FieldMistake("note", "note_long"))
    elif cases.personal_marks(note):
        mistakes.append(FieldMistake("note", "personal_data"))
    if mistakes:
        raise InvalidInput(*mistakes)
    assert isinstance(host, Host)
    directive = await route(connection, office, category, now)
    fresh = cases.NewReport(
        "web", "harmful", reporter, host.name, category, note, site_digest=school,
        directive_id=directive["id"] if directive else None, routed_to=directive["focal_point"] if directive else "",
    )  # fmt: skip
    return await cases.receive_report(connection, office, fresh, now)


async def read_answer(connection: AsyncConnection, office: Office, code: str, now: datetime) -> Answer | None:
    """What became of a review or a report; None for a code that nobody has."""
    wanted = code.strip().upper().replace(" ", "").replace("-", "")[:32]
    reviews, reports = tables.reviews, tables.reports
    found = await connection.execute(select(reviews).where(reviews.c.tenant_id == office.tenant, reviews.c.code == wanted))
    row = found.mappings().first()
    if row is not None:
        clock = countdown("review", row["received_at"], now, await read_levels(connection, office)) if row["decided_at"] is None else None
        return Answer("review", row["state"], row["decision_reason"], clock, row["decided_at"], "")
    found = await connection.execute(select(reports).where(reports.c.tenant_id == office.tenant, reports.c.code == wanted))
    row = found.mappings().first()
    if row is None:
        return None
    return Answer("report", row["state"], "", None, row["closed_at"], row["referred_to"] or row["routed_to"])


def _name(key: str) -> str:
    return ".".join(reversed(key.rstrip(".").split(".")))


def _covers(row: RowMapping, key: str) -> bool:
    own = key_of_name(row["host"])
    match = Match(row["match"])
    return match is Match.BOTH or (match is Match.EXACT and own == key) or (match is Match.BELOW and own != key)


async def _counts(connection: AsyncConnection, statement: Select[Any]) -> dict[str, int]:
    return {row[0]: int(row[1]) for row in (await connection.execute(statement)).all()}
