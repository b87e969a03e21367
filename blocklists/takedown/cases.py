"""Reports and reviews in the database: short, without names of people, each ending in a reasoned answer.

A report keeps the host, never a path; a note of at most 200 characters that was shown to hold no name or number. Reports of one site's
pupils about one host count once. A review goes to somebody who decided nothing before; overturned, it lifts the entry in the same
transaction, and the next version carries that out as fast as any approval. Used by `admin`; every step writes the journal.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from blocklists.guard import ORDER, Guard
from blocklists.normalize import Host, normalize_host
from blocklists.parsers import Match as GuardMatch
from blocklists.rejections import Reason
from blocklists.tables import new_id
from blocklists.takedown import deadlines, tables
from blocklists.takedown.clocks import read_levels
from blocklists.takedown.freetext import personal_marks as personal_marks
from blocklists.takedown.freetext import require_clean
from blocklists.takedown.model import SYSTEM, Actor, Case, Event, Kind, Match, State
from blocklists.takedown.store import NotFound, Office, entry_case, entry_row, move_entry, record
from blocklists.takedown.workflow import PROVISIONAL_DEFAULT, TransitionRefused, decide

CODE_SIGNS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
CODE_LENGTH = 8
NOTE_LENGTH = 200
NOTE_LIFE = timedelta(days=30)
"""How long after closing the free text of a report or a review is kept."""

_NEEDS_DOCUMENT = frozenset({"", "other", "order", "dist", "csam"})
_FORGOTTEN = {"host": None, "note": "", "category": "", "site_digest": None}


def new_code() -> str:
    """A look-up code: eight signs without 0, O, 1 and I, about 40 bits."""
    return "".join(secrets.choice(CODE_SIGNS) for _ in range(CODE_LENGTH))


@dataclass(frozen=True, slots=True)
class NewReport:
    """What somebody without an account tells: the host, the kind, who they are in a word, and perhaps a short note."""

    channel: str
    kind: str
    reporter_kind: str
    host: str | None = None
    category: str = ""
    note: str = ""
    site_digest: str | None = None
    directive_id: str | None = None
    routed_to: str = ""


async def receive_report(connection: AsyncConnection, office: Office, report: NewReport, now: datetime) -> str:
    """Store a report and return its code. The same site's report about the same host returns the code it already has."""
    table = tables.reports
    if len(report.note) > NOTE_LENGTH or personal_marks(report.note):
        raise TransitionRefused("personal_data", "Đừng ghi tên, lớp, số điện thoại.", "Leave out names, classes and phone numbers.")
    if report.site_digest and report.host:
        same = select(table.c.code).where(
            table.c.tenant_id == office.tenant, table.c.site_digest == report.site_digest, table.c.host == report.host,
            table.c.kind == report.kind, table.c.state.in_([State.RECEIVED.value, State.TRIAGED.value, State.VERIFYING.value]),
        )  # fmt: skip
        known = (await connection.execute(same)).scalar()
        if known:
            return str(known)
    report_id, code = new_id(), new_code()
    await connection.execute(
        insert(table).values(
            id=report_id, tenant_id=office.tenant, code=code, received_at=now, channel=report.channel, category=report.category,
            host=report.host, kind=report.kind, reporter_kind=report.reporter_kind, site_digest=report.site_digest,
            note=report.note.strip(), directive_id=report.directive_id, routed_to=report.routed_to, state=State.RECEIVED.value,
        )
    )  # fmt: skip
    await record(connection, office, SYSTEM, "receive", Kind.REPORT, report_id, now, after=State.RECEIVED.value)
    return code


async def move_report(
    connection: AsyncConnection, office: Office, report_id: str, verb: str, actor: Actor, now: datetime,
    *, reason: str = "", referred_to: str = "", merged_into: str | None = None, guard: Guard | None = None,
) -> Event:  # fmt: skip
    """Take one step with a report; a referral keeps only where it went and a code. An approval blocks the host for a week, unless `guard`
    (needed for it) says that nobody may. Raises NotFound, TransitionRefused.
    """
    table = tables.reports
    row = await _row(connection, office, table, report_id)
    ends = now + PROVISIONAL_DEFAULT if verb == "approve" else None
    case = Case(
        Kind.REPORT, State(row["state"]), category=row["category"], verified_by=row["verified_by"], approved_by=row["approved_by"],
        valid_from=now, valid_until=ends, reason=reason,
    )  # fmt: skip
    require_clean(reason, "Lý do", "Reason")
    require_clean(referred_to, "Chuyển cho cơ quan", "Refer to which office")
    event = decide(case, verb, actor, now)
    if ends is not None:
        await _make_entry(connection, office, row, actor, now, ends, guard)
    values: dict[str, Any] = {"state": event.after.value, "reason": reason.strip()}
    if verb == "propose":
        values["verified_by"] = actor.account
    elif verb == "approve":
        values["approved_by"] = actor.account
    elif verb == "refer":
        if not referred_to.strip():
            raise TransitionRefused("office_missing", "Hãy ghi chuyển cho cơ quan nào.", "Say to which office it goes.")
        # What is left is a pointer: the code, the time, the office. Nothing that was told stays here.
        values |= {"referred_to": referred_to.strip(), "referral_code": new_code(), "reason": "", **_FORGOTTEN}
    elif verb == "merge":
        values["merged_into"] = await _merge_target(connection, office, row, merged_into)
    if event.after in (State.REFERRED, State.MERGED, State.REJECTED, State.CLOSED):
        values["closed_at"] = now
    await connection.execute(update(table).where(table.c.id == report_id, table.c.tenant_id == office.tenant).values(**values))
    await record(connection, office, actor, verb, Kind.REPORT, report_id, now, before=event.before.value, after=event.after.value)
    return event


async def _merge_target(connection: AsyncConnection, office: Office, row: RowMapping, target: str | None) -> str:
    """The report that another one is merged into: about the same host, another one, and open itself. Raises NotFound, TransitionRefused."""
    other = await _row(connection, office, tables.reports, target or "")
    open_states = (State.RECEIVED, State.TRIAGED, State.VERIFYING, State.PROPOSED)
    if other["id"] == row["id"] or other["host"] != row["host"] or other["state"] not in open_states:
        raise TransitionRefused(
            "merge_target", "Chỉ gộp với phản ánh đang mở về cùng một trang.", "Only with an open report of the same site."
        )
    return str(other["id"])


async def _make_entry(
    connection: AsyncConnection, office: Office, report: RowMapping, actor: Actor, now: datetime, ends: datetime, guard: Guard | None
) -> None:
    """The provisional entry of a decided report: without a document, so it ends within a week. Raises TransitionRefused."""
    host = normalize_host(report["host"] or "")
    if guard is None or not isinstance(host, Host) or report["category"] in _NEEDS_DOCUMENT:
        raise TransitionRefused(
            "needs_document", "Phản ánh này cần văn bản có số mới chặn được.", "This report needs a numbered document before it can block."
        )
    refusal = guard.judge(host.key, GuardMatch.BOTH, ORDER)
    if refusal is not None:
        raise TransitionRefused(refusal.reason.value, refusal.vi, refusal.en)
    if guard.needs_second_approver(host.key):
        raise TransitionRefused("needs_document", Reason.SECOND_APPROVER.vi, Reason.SECOND_APPROVER.en)
    await connection.execute(
        insert(tables.entries).values(
            id=new_id(), tenant_id=office.tenant, report_id=report["id"], host=host.name, match=Match.BOTH.value,
            category=report["category"], valid_from=now, valid_until=ends, no_end=0, provisional_since=now,
            state=State.PUBLISHING.value, verified_by=report["verified_by"], approved_by=actor.account, approved_at=now,
        )
    )  # fmt: skip


async def forget_notes(connection: AsyncConnection, office: Office, now: datetime) -> int:
    """Empty what people wrote in reports and reviews that were closed long ago; the skeletons stay for the counts. How many."""
    emptied = 0
    for table, closed in ((tables.reports, tables.reports.c.closed_at), (tables.reviews, tables.reviews.c.decided_at)):
        old = (table.c.tenant_id == office.tenant, table.c.note != "", closed <= now - NOTE_LIFE)
        emptied += int((await connection.execute(update(table).where(*old).values(note=""))).rowcount)
    return emptied


async def ask_review(
    connection: AsyncConnection, office: Office, entry_id: str, reason: str, note: str, now: datetime, site_digest: str | None = None
) -> str:
    """Somebody asks to look again at an entry in force; returns the code under which the answer will be found.

    While a request from the same school about the same entry waits, its code is returned: pupils count once for each school.
    """
    if len(note) > NOTE_LENGTH or personal_marks(note):
        raise TransitionRefused("personal_data", "Đừng ghi tên, lớp, số điện thoại.", "Leave out names, classes and phone numbers.")
    entry = await entry_row(connection, office, entry_id)
    if site_digest:
        table = tables.reviews
        same = select(table.c.code).where(
            table.c.tenant_id == office.tenant, table.c.entry_id == entry_id, table.c.site_digest == site_digest,
            table.c.state.in_([State.RECEIVED.value, State.REVIEWING.value]),
        )  # fmt: skip
        known = (await connection.execute(same)).scalar()
        if known:
            return str(known)
    review_id, code = new_id(), new_code()
    await connection.execute(
        insert(tables.reviews).values(
            id=review_id, tenant_id=office.tenant, code=code, entry_id=entry_id, entry_verified_by=entry["verified_by"],
            entry_approved_by=entry["approved_by"], entry_second_by=entry["second_by"], reason=reason, note=note.strip(),
            site_digest=site_digest, state=State.RECEIVED.value, received_at=now,
        )
    )  # fmt: skip
    await record(connection, office, SYSTEM, "receive", Kind.REVIEW, review_id, now, after=State.RECEIVED.value)
    return code


async def move_review(
    connection: AsyncConnection, office: Office, review_id: str, verb: str, actor: Actor, now: datetime, reason: str = ""
) -> Event:
    """Take, uphold or overturn a review; overturned, the entry is lifted at once. Raises NotFound, TransitionRefused."""
    table = tables.reviews
    row = await _row(connection, office, table, review_id)
    # An urgent order may have been confirmed since the review was asked for: whoever did so decided about the entry, too.
    second = row["entry_second_by"] or (await entry_row(connection, office, row["entry_id"]))["second_by"]
    case = Case(
        Kind.REVIEW, State(row["state"]), verified_by=row["entry_verified_by"], approved_by=row["entry_approved_by"], second_by=second,
        reason=reason,
    )  # fmt: skip
    require_clean(reason, "Lý do", "Reason")
    event = decide(case, verb, actor, now)
    values: dict[str, Any] = {"state": event.after.value, "entry_second_by": second}
    if verb == "take":
        values["taken_by"] = actor.account
    else:
        values |= {"decided_by": None if actor == SYSTEM else actor.account, "decided_at": now, "decision_reason": reason.strip()}
    await connection.execute(update(table).where(table.c.id == review_id, table.c.tenant_id == office.tenant).values(**values))
    await record(connection, office, actor, verb, Kind.REVIEW, review_id, now, before=event.before.value, after=event.after.value)
    if event.after is State.OVERTURNED:
        entry = await entry_row(connection, office, row["entry_id"])
        if entry["state"] in (State.PUBLISHING, State.PARTIAL, State.ACTIVE, State.SUSPENDED):
            await move_entry(connection, office, row["entry_id"], "lift", SYSTEM, now, reason or "overturned")
    return event


async def review_time(connection: AsyncConnection, office: Office) -> timedelta:
    """The shortest time after which a review may be late, whatever the day it came."""
    return timedelta(hours=min(row.hours for row in await read_levels(connection, office) if row.clock == "review"))


async def late_reviews(connection: AsyncConnection, office: Office, now: datetime) -> list[tuple[str, str]]:
    """Act on reviews past their time: an entry without an order number is suspended, any other is escalated. Returns what was done.

    Each pair is the review's id and `suspended` or `escalated`.
    """
    table = tables.reviews
    waiting = select(table).where(
        table.c.tenant_id == office.tenant,
        table.c.state.in_([State.RECEIVED.value, State.REVIEWING.value]),
        table.c.escalated_at.is_(None),
    )
    done: list[tuple[str, str]] = []
    levels = await read_levels(connection, office)
    for row in list((await connection.execute(waiting)).mappings()):
        if not deadlines.countdown("review", row["received_at"], now, levels).overdue:
            continue
        entry = await entry_row(connection, office, row["entry_id"])
        case = await entry_case(connection, office, entry)
        outcome = "escalated"
        if not case.has_number and case.state in (State.PUBLISHING, State.PARTIAL, State.ACTIVE):
            await move_entry(connection, office, row["entry_id"], "suspend", SYSTEM, now, "review overdue")
            outcome = "suspended"
        await connection.execute(update(table).where(table.c.id == row["id"], table.c.tenant_id == office.tenant).values(escalated_at=now))
        await record(connection, office, SYSTEM, outcome, Kind.REVIEW, row["id"], now, after=outcome)
        done.append((row["id"], outcome))
    return done


async def open_reports(connection: AsyncConnection, office: Office) -> list[RowMapping]:
    """Reports that wait for a step, the oldest first."""
    table = tables.reports
    waiting = [state.value for state in (State.RECEIVED, State.TRIAGED, State.VERIFYING, State.PROPOSED)]
    statement = select(table).where(table.c.tenant_id == office.tenant, table.c.state.in_(waiting)).order_by(table.c.received_at)
    return list((await connection.execute(statement)).mappings())


async def find_review(connection: AsyncConnection, code: str) -> RowMapping | None:
    """The review with this code, for its answer page; codes are looked up without an account."""
    found = await connection.execute(select(tables.reviews).where(tables.reviews.c.code == code.strip().upper()))
    return found.mappings().first()


async def _row(connection: AsyncConnection, office: Office, table: Any, object_id: str) -> RowMapping:  # Any: a table of `tables`
    found = await connection.execute(select(table).where(table.c.id == object_id, table.c.tenant_id == office.tenant))
    row: RowMapping | None = found.mappings().first()
    if row is None:
        raise NotFound("no such object")
    return row
