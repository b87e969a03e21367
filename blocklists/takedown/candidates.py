"""Candidates: names that may have to be blocked, with their evidence, waiting for a person. None is enforced by itself.

They come from what the public reported, from third-party lists that an officer brings in, and from those lists when a name in them looks
like a listed one or belongs to its family (the same brand with another number or ending). Nothing here reads what anybody asked: the
names are those of reports and lists only. A person takes a candidate, which makes it a report on the usual road (verified by one, approved
by another, judged by the guard), or refuses it; both count for the source. Used by `admin`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import func, insert, select, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from blocklists import journal
from blocklists.guard import ORDER, Guard
from blocklists.normalize import Host, key_of_name, name_of_key, normalize_host
from blocklists.parsers import Match as GuardMatch
from blocklists.tables import new_id
from blocklists.takedown import cases, tables
from blocklists.takedown.candidatetables import Origin, candidates
from blocklists.takedown.freetext import require_clean
from blocklists.takedown.model import IN_FORCE, Actor, NotFound, Office, State, TransitionRefused

MOST_AT_ONCE = 5000
"""So many candidates may one list or one search add; the rest is counted, and the same list brings it the next time."""
LEAST_BRAND = 4
CATEGORIES = ("gamb", "scam", "porn", "groom", "self", "drug", "gore", "malware")
"""What a candidate may be about: `order`, `dist` and `csam` are filled from numbered documents only."""


@dataclass(frozen=True, slots=True)
class Found:
    """A name that was found, and what speaks for it."""

    host: str
    category: str
    origin: Origin
    source: str
    evidence: str


class Added(NamedTuple):
    """How many names were put into the queue, and how many new ones were left because they were too many at once; how many wait there
    already, were decided or are in force; how many are protected, or need a document: shared platforms, offices of the state, schools."""

    added: int = 0
    left: int = 0
    known: int = 0
    guarded: int = 0


@dataclass(frozen=True, slots=True)
class History:
    """What became of the candidates of one source before."""

    taken: int = 0
    refused: int = 0
    overturned: int = 0

    @property
    def wrong(self) -> int:
        """How many were mistakes: refused by a person, or lifted again after a review."""
        return self.refused + self.overturned


def brand_of(key: str) -> str:
    """What stays of a name's own label without digits and hyphens; empty when that is too short to say anything."""
    parts = key.rstrip(".").split(".")
    own = parts[2] if len(parts) > 2 and parts[0] == "vn" and parts[1] in ("com", "net", "org", "edu", "gov", "io") else parts[1:2]
    label = own if isinstance(own, str) else "".join(own)
    bare = "".join(sign for sign in label if not sign.isdigit() and sign != "-")
    return bare if len(bare) >= LEAST_BRAND and not label.startswith("xn--") else ""


def relatives(listed: Mapping[str, str], others: Iterable[tuple[str, str]], origin_of: str = "") -> list[Found]:
    """Names among `others` (key, list) that resemble a listed one. `listed` maps keys in force to their category.

    A family is the same brand with another number or ending; a look-alike differs from the brand by one sign.
    """
    brands: dict[str, str] = {}
    for key in sorted(listed):
        brand = brand_of(key)
        if brand:
            brands.setdefault(brand, key)
    near = {cut: brand for brand in brands for cut in _with_one_gap(brand)}
    found: dict[str, Found] = {}
    for key, source in others:
        if key in listed or len(found) >= MOST_AT_ONCE:
            continue
        brand = brand_of(key)
        if not brand:
            continue
        host = name_of_key(key)
        if brand in brands:
            like, origin = brands[brand], Origin.FAMILY
        else:
            other = next((near[cut] for cut in _with_one_gap(brand) if cut in near and one_apart(near[cut], brand)), None)
            if other is None or len(brand) < LEAST_BRAND + 2:
                continue
            like, origin = brands[other], Origin.LOOKALIKE
        evidence = f"{name_of_key(like)} · {source}" if source else name_of_key(like)
        found.setdefault(host, Found(host, listed[like], origin, origin_of or name_of_key(like), evidence))
    return list(found.values())


async def add_found(
    connection: AsyncConnection, office: Office, found: Sequence[Found], guard: Guard, actor: Actor, now: datetime
) -> Added:
    """Put names into the queue; those that the guard protects, that are in force or are known from this source already are left out."""
    hosts = [one.host for one in found]
    known = await _known(connection, office, hosts)
    rows: list[dict[str, Any]] = []
    again = guarded = 0
    for one in found:
        host = normalize_host(one.host)
        if not isinstance(host, Host) or one.category not in CATEGORIES:
            continue
        if (one.host, one.origin.value, one.source) in known or (one.host, "", "") in known:
            again += 1
            continue
        if guard.judge(host.key, GuardMatch.BOTH, ORDER) is not None or guard.needs_second_approver(host.key):
            guarded += 1
            continue
        known.add((one.host, one.origin.value, one.source))
        rows.append(
            {
                "id": new_id(), "tenant_id": office.tenant, "host": host.name, "category": one.category, "origin": one.origin.value,
                "source": one.source[:160], "evidence": one.evidence[:300], "found_at": now, "state": "waiting", "reason": "",
            }
        )  # fmt: skip
    taken = rows[:MOST_AT_ONCE]
    if taken:
        await connection.execute(insert(candidates), taken)
        await _record(connection, office, actor, "found", taken[0]["id"], now)
    return Added(len(taken), len(rows) - len(taken), again, guarded)


async def _known(connection: AsyncConnection, office: Office, hosts: Sequence[str]) -> set[tuple[str, str, str]]:
    """What is queued or decided already, and (with empty origin and source) what is in force."""
    known: set[tuple[str, str, str]] = set()
    entries = tables.entries
    for start in range(0, len(hosts), 500):
        part = hosts[start : start + 500]
        before = select(candidates.c.host, candidates.c.origin, candidates.c.source).where(
            candidates.c.tenant_id == office.tenant, candidates.c.host.in_(part)
        )
        known |= {(row.host, row.origin, row.source) for row in await connection.execute(before)}
        live = select(entries.c.host).where(
            entries.c.tenant_id == office.tenant, entries.c.host.in_(part), entries.c.state.in_([state.value for state in IN_FORCE])
        )
        known |= {(host, "", "") for host in (await connection.execute(live)).scalars()}
    return known


async def from_reports(connection: AsyncConnection, office: Office) -> list[Found]:
    """Names that the public reported and that still wait, with how many reports there are."""
    reports = tables.reports
    open_states = [State.RECEIVED.value, State.TRIAGED.value]
    statement = (
        select(reports.c.host, func.min(reports.c.category).label("category"), func.count().label("count"))
        .where(
            reports.c.tenant_id == office.tenant, reports.c.host.isnot(None), reports.c.kind == "harmful",
            reports.c.state.in_(open_states), reports.c.channel != "finding",
        )
        .group_by(reports.c.host)
        .having(func.count() > 1)
    )  # fmt: skip
    rows = (await connection.execute(statement)).all()
    return [Found(row.host, row.category, Origin.REPORT, "public", f"× {row.count}") for row in rows]


async def listed_names(connection: AsyncConnection, office: Office) -> dict[str, str]:
    """Names in force by key, with their category, that a family may be looked for by; masked ones never."""
    entries = tables.entries
    statement = select(entries.c.host, entries.c.category).where(
        entries.c.tenant_id == office.tenant, entries.c.state.in_([state.value for state in IN_FORCE]), entries.c.category.in_(CATEGORIES)
    )
    return {key_of_name(row.host): row.category for row in await connection.execute(statement)}


async def waiting(connection: AsyncConnection, office: Office, limit: int = 100) -> list[RowMapping]:
    """The queue, the oldest first."""
    statement = select(candidates).where(candidates.c.tenant_id == office.tenant, candidates.c.state == "waiting")
    return list((await connection.execute(statement.order_by(candidates.c.found_at, candidates.c.host).limit(limit))).mappings())


async def count_waiting(connection: AsyncConnection, office: Office) -> int:
    """How many wait."""
    statement = select(func.count()).where(candidates.c.tenant_id == office.tenant, candidates.c.state == "waiting")
    return int((await connection.execute(statement)).scalar_one())


async def histories(connection: AsyncConnection, office: Office) -> dict[tuple[str, str], History]:
    """What became of each source's candidates, by (origin, source)."""
    statement = (
        select(candidates.c.origin, candidates.c.source, candidates.c.state, func.count().label("count"))
        .where(candidates.c.tenant_id == office.tenant, candidates.c.state != "waiting")
        .group_by(candidates.c.origin, candidates.c.source, candidates.c.state)
    )
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for row in (await connection.execute(statement)).mappings():
        counts.setdefault((row["origin"], row["source"]), {})[row["state"]] = row["count"]
    entries, reviews = tables.entries, tables.reviews
    lifted = (
        select(candidates.c.origin, candidates.c.source, func.count(func.distinct(candidates.c.id)).label("count"))
        .join(entries, entries.c.report_id == candidates.c.report_id)
        .join(reviews, reviews.c.entry_id == entries.c.id)
        .where(
            candidates.c.tenant_id == office.tenant, entries.c.tenant_id == office.tenant, reviews.c.tenant_id == office.tenant,
            reviews.c.state == State.OVERTURNED.value,
        )
        .group_by(candidates.c.origin, candidates.c.source)
    )  # fmt: skip
    for row in (await connection.execute(lifted)).mappings():
        counts.setdefault((row["origin"], row["source"]), {})["overturned"] = row["count"]
    return {who: History(found.get("taken", 0), found.get("refused", 0), found.get("overturned", 0)) for who, found in counts.items()}


async def decide(
    connection: AsyncConnection, office: Office, identity: str, step: str, reason: str, actor: Actor, now: datetime
) -> str | None:
    """Take a candidate (it becomes a report on the usual road; its id) or refuse it with a reason. Raises NotFound, TransitionRefused."""
    where = (candidates.c.id == identity, candidates.c.tenant_id == office.tenant, candidates.c.state == "waiting")
    row = (await connection.execute(select(candidates).where(*where))).mappings().first()
    if row is None or step not in ("take", "refuse"):
        raise NotFound("no such candidate")
    clean = require_clean(reason, "Lý do", "Reason")
    if step == "refuse" and not clean:
        raise TransitionRefused("reason_missing", "Hãy ghi lý do.", "Give a reason.")
    report = None
    if step == "take":
        fresh = cases.NewReport("finding", "harmful", "office", row["host"], row["category"])
        code = await cases.receive_report(connection, office, fresh, now)
        reports = tables.reports
        by_code = select(reports.c.id).where(reports.c.code == code, reports.c.tenant_id == office.tenant)
        report = (await connection.execute(by_code)).scalar_one()
    values: dict[str, Any] = {
        "state": "taken" if step == "take" else "refused", "decided_by": actor.account, "decided_at": now, "reason": clean,
        "report_id": report,
    }  # fmt: skip
    await connection.execute(update(candidates).where(*where).values(**values))
    await _record(connection, office, actor, step, identity, now)
    return report


async def _record(connection: AsyncConnection, office: Office, actor: Actor, verb: str, identity: str, now: datetime) -> None:
    await journal.append(
        connection,
        journal.Entry(
            at=now, tenant_id=office.tenant, actor_id=actor.account, actor_role=actor.capacity.value, action=f"takedown.candidate.{verb}",
            object_kind="takedown_candidate", object_id=identity,
        ),
    )  # fmt: skip


def _with_one_gap(text: str) -> set[str]:
    """The text, and the text with each sign left out: two texts that are one sign apart share one of these."""
    return {text} | {text[:place] + text[place + 1 :] for place in range(len(text))}


def one_apart(first: str, second: str) -> bool:
    """Whether one insertion, deletion or change makes one text the other."""
    short, long = sorted((first, second), key=len)
    if first == second or len(long) - len(short) > 1:
        return False
    place = next((number for number, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    return short[place + (len(short) == len(long)) :] == long[place + 1 :]
