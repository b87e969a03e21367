"""Releases that go out in stages: the office's rule, how each one stands, and what the server says of it to gateways.

An ordinary release goes to a small share of the gateways first, to a larger one, then to all. Urgent orders, the masked category, a return
to an earlier version, and a release that only takes out while nothing else is under way, go to everybody at once. What holds a release back
is `admin.officetallies`, or an officer; going on needs a person, and another one than whoever held it. What is held keeps what gateways
enforce: those that have it keep it, the others keep the one before; for fourteen days, within which the officers publish something else or
let it go on, for gateways then take what the officers signed (`blocklists.turns`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, cast

from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import Act, Action, record
from admin.errors import FieldMistake, InvalidInput, NotFound
from admin.officetables import gateways, rollout_rules, rollouts
from blocklists.online import MOST_WITHDRAWN, WHOLE, Statement, Steps, fitting, place_of
from blocklists.rolloutguard import FIRST_MEMBERS, Cause
from blocklists.tables import AccountId, OrganisationId, new_id
from blocklists.takedown import tables
from blocklists.takedown.freetext import require_clean
from blocklists.takedown.masking import key_of_host
from blocklists.takedown.model import IN_FORCE, MASKED, TransitionRefused
from blocklists.takedown.publishing import ENDED
from blocklists.turns import PATIENCE

FEWEST: Final = 10
"""With fewer gateways a share of them says nothing: every release goes to everybody at once."""
MOST_MINUTES: Final = 24 * 60
UNDER_WAY: Final = ("going", "held")


@dataclass(frozen=True, slots=True)
class Rule:
    """Shares in per cent, times in minutes after the signature."""

    is_on: bool = True
    first_share: int = 5
    second_share: int = 25
    second_after: int = 20
    all_after: int = 50

    def mistakes(self) -> tuple[FieldMistake, ...]:
        """What is wrong with its numbers: shares grow and leave something for the last stage, times are minutes of one day."""
        found = []
        if not 0 < self.first_share < self.second_share < 100:
            found.append(FieldMistake("first_share" if not 0 < self.first_share < 100 else "second_share", "stage_share"))
        if not 0 < self.second_after < self.all_after <= MOST_MINUTES:
            found.append(FieldMistake("second_after" if not 0 < self.second_after <= MOST_MINUTES else "all_after", "stage_time"))
        return tuple(found)

    def steps(self, first: int, start: int) -> Steps:
        """The steps from `start` (unix seconds); `first` is the share that holds enough gateways."""
        share = max(self.first_share * 100, first)
        second = max(self.second_share * 100, share)
        return (start, share), (start + self.second_after * 60, second), (start + self.all_after * 60, WHOLE)


@dataclass(frozen=True, slots=True)
class Rollout:
    """One release that goes out, or went out, in stages."""

    serial: int
    base: int
    steps: Steps
    started_at: datetime
    state: str
    cause: Cause
    held_at: datetime | None
    held_by: AccountId | None

    def said(self) -> Steps:
        """What gateways are told: of a release that is held, only what had come before."""
        if self.state != "held" or self.held_at is None:
            return self.steps
        return tuple(step for step in self.steps if step[0] <= self.held_at.timestamp()) or ((self.steps[0][0], 0),)

    def goes_on_at(self) -> datetime:
        """When gateways take it although it is held: the server's word alone stops no release for ever (`blocklists.turns`)."""
        return self.started_at + timedelta(seconds=PATIENCE)

    def share(self, now: datetime) -> int:
        """Which share takes it now."""
        return Statement({self.serial: self.said()}).share(self.serial, now.timestamp())

    def next_step(self, now: datetime) -> tuple[datetime, int] | None:
        """When the next share takes it, and which; None when nothing more comes by itself."""
        later = [step for step in self.said() if step[0] > now.timestamp()]
        return (datetime.fromtimestamp(later[0][0], now.tzinfo), later[0][1]) if later else None


async def read_rule(connection: AsyncConnection, tenant: OrganisationId) -> Rule:
    """How this office's releases go out."""
    row = (await connection.execute(select(rollout_rules).where(rollout_rules.c.tenant_id == tenant))).mappings().first()
    if row is None:
        return Rule()
    return Rule(bool(row["is_on"]), row["first_share"], row["second_share"], row["second_after"], row["all_after"])


async def set_rule(connection: AsyncConnection, act: Act, rule: Rule) -> None:
    """Change it for releases that are signed from now on. Raises InvalidInput."""
    mistakes = rule.mistakes()
    if mistakes:
        raise InvalidInput(*mistakes)
    values = {
        "is_on": int(rule.is_on), "first_share": rule.first_share, "second_share": rule.second_share,
        "second_after": rule.second_after, "all_after": rule.all_after,
    }  # fmt: skip
    await connection.execute(delete(rollout_rules).where(rollout_rules.c.tenant_id == act.tenant))
    await connection.execute(insert(rollout_rules).values(tenant_id=act.tenant, **values))
    await record(connection, act, Action.ROLLOUT_RULE_SET, act.tenant, after=values)


async def read_rollouts(connection: AsyncConnection, tenant: OrganisationId, states: Sequence[str] = UNDER_WAY) -> list[Rollout]:
    """Releases in these states, the newest first."""
    found = await connection.execute(
        select(rollouts).where(rollouts.c.tenant_id == tenant, rollouts.c.state.in_(states)).order_by(rollouts.c.serial.desc()).limit(64)
    )
    return [_rollout(row) for row in found.mappings()]


async def begin(connection: AsyncConnection, act: Act, base: int, serial: int) -> bool:
    """Whether the release that is about to be signed (after `base`) goes out in stages; then it is noted, before anybody sees it."""
    rule, under_way = await read_rule(connection, act.tenant), await read_rollouts(connection, act.tenant)
    others = [one for one in under_way if one.serial < serial]
    joined = await _joined(connection, act.tenant)
    if not rule.is_on or base == 0 or len(joined) < FEWEST or not await _may_wait(connection, act.tenant, base, serial, bool(others)):
        return False
    places = sorted(place_of(identity, serial) for identity in joined)
    values = {
        "base": base, "steps": json.dumps(rule.steps(places[FIRST_MEMBERS - 1] + 1, int(act.now.timestamp()))), "started_at": act.now,
        "state": "going", "cause": "", "held_at": None,
    }  # fmt: skip
    if any(one.state == "held" for one in others):
        values |= {"state": "held", "cause": "before", "held_at": act.now - timedelta(seconds=1)}
    await connection.execute(delete(rollouts).where(rollouts.c.tenant_id == act.tenant, rollouts.c.serial == serial))
    await connection.execute(insert(rollouts).values(id=new_id(), tenant_id=act.tenant, serial=serial, **values))
    await record(connection, act, Action.ROLLOUT_BEGUN, str(serial), after={"state": values["state"]})
    return True


async def pass_over(connection: AsyncConnection, tenant: OrganisationId, serial: int) -> None:
    """A release for everybody at once was published: those before it went along, or were taken back."""
    await connection.execute(
        update(rollouts)
        .where(rollouts.c.tenant_id == tenant, rollouts.c.serial < serial, rollouts.c.state.in_(UNDER_WAY))
        .values(state="passed")
    )


async def hold(connection: AsyncConnection, act: Act, serial: int, cause: Cause) -> None:
    """Hold a release back where it is, and those after it, which bring the same along. Raises NotFound when it does not go out."""
    mine = (rollouts.c.tenant_id == act.tenant, rollouts.c.state == "going")
    values = {"state": "held", "held_at": act.now, "held_by": act.by.account_id, "decided_by": None, "decided_at": None}
    done = await connection.execute(update(rollouts).where(*mine, rollouts.c.serial == serial).values(cause=cause, **values))
    if not done.rowcount:
        raise NotFound
    await connection.execute(update(rollouts).where(*mine, rollouts.c.serial > serial).values(cause="before", **values))
    await record(connection, act, Action.ROLLOUT_HELD, str(serial), after={"cause": cause})


async def go_on(connection: AsyncConnection, act: Act, serial: int, reason: str) -> None:
    """Let a release go on from where it was held, and those that `behind` tells; never one that would bring along what a release before it
    is held for. Raises NotFound, TransitionRefused."""
    found = await read_rollouts(connection, act.tenant, ("held",))
    held = next((one for one in found if one.serial == serial), None)
    if held is None or held.cause == "before":
        raise NotFound
    if (first := ahead(held, found)) is not None:
        vi = "Bản {n} trước đó đang bị giữ lại và bản này mang theo cùng nội dung: hãy quyết định bản {n} trước."
        en = "Version {n} before it is held back, and this one brings the same along: decide about version {n} first."
        raise TransitionRefused("held_before", vi, en, first)
    clean = require_clean(reason, "Lý do", "Reason")
    if not clean.strip():
        raise TransitionRefused("reason_missing", "Hãy ghi lý do.", "Give a reason.")
    if held.held_by is not None and held.held_by == act.by.account_id:
        raise TransitionRefused("same_person", "Cần một người thứ hai cho đi tiếp.", "A second person must let it go on.")
    for one in (held, *behind(held, found)):
        # Whoever held it stays in the row: the database refuses the same person twice.
        await _set_going(connection, act, one, reason=clean, decided_by=act.by.account_id, decided_at=act.now)
    await record(connection, act, Action.ROLLOUT_WENT_ON, str(serial))


async def free(connection: AsyncConnection, act: Act) -> None:
    """Let go on, each in its own stages, what waited behind a held release that is held no more: it has gone on by time."""
    for one in _freed(await read_rollouts(connection, act.tenant, ("held",))):
        await _set_going(connection, act, one)
        await record(connection, act, Action.ROLLOUT_WENT_ON, str(one.serial), after={"cause": one.cause})


def ahead(one: Rollout, found: Sequence[Rollout]) -> int | None:
    """The first release before a held one, of those found, that is held for a reason of its own: it has to be decided about first."""
    earlier = (other.serial for other in found if other.state == "held" and other.cause != "before" and other.serial < one.serial)
    return min(earlier, default=None) if one.state == "held" else None


def behind(one: Rollout, found: Sequence[Rollout]) -> list[Rollout]:
    """Which releases, of those found, go on together with a held one, the first one first."""
    if one.state != "held" or one.cause == "before" or ahead(one, found) is not None:
        return []
    freed = _freed([other for other in found if other.state == "held" and other is not one])
    return sorted((other for other in freed if other.serial > one.serial), key=lambda other: other.serial)


def _freed(held: Sequence[Rollout]) -> list[Rollout]:
    """Of releases that are held, those that wait for one before them, none of which is held."""
    first = min((one.serial for one in held if one.cause != "before"), default=None)
    return [one for one in held if one.cause == "before" and (first is None or one.serial < first)]


async def _set_going(connection: AsyncConnection, act: Act, one: Rollout, **decided: object) -> None:
    values = {"state": "going", "cause": "", "held_at": None, "steps": json.dumps(_shifted(one, act.now))} | decided
    mine = (rollouts.c.tenant_id == act.tenant, rollouts.c.serial == one.serial)
    await connection.execute(update(rollouts).where(*mine).values(**values))


async def read_statement(connection: AsyncConnection, tenant: OrganisationId, published: int) -> Statement:
    """What the server says by itself about the list that is published: shares, and entries without an order number that have ended."""
    under_way = [one for one in await read_rollouts(connection, tenant) if one.serial <= published]
    since = min((one.base for one in under_way), default=published)
    return Statement({one.serial: one.said() for one in under_way}, await _withdrawn(connection, tenant, since))


async def _withdrawn(connection: AsyncConnection, tenant: OrganisationId, since: int) -> tuple[tuple[str, int], ...]:
    """Index keys of entries without an order number, not masked, that a list since then brought and that have ended, with the serial that
    has them no more. Whoever hears it lets every such entry of the key go, so a key is left out while another of them stands."""
    table, orders = tables.entries, tables.orders
    others, theirs = table.alias("others"), orders.alias("theirs")
    standing = (
        select(others.c.host)
        .select_from(others.outerjoin(theirs, theirs.c.id == others.c.order_id))
        .where(others.c.tenant_id == tenant, others.c.state.in_([state.value for state in IN_FORCE]), theirs.c.number.is_(None))
    )
    found = await connection.execute(
        select(table.c.host, table.c.serial_out)
        .select_from(table.outerjoin(orders, orders.c.id == table.c.order_id))
        .where(
            table.c.tenant_id == tenant, table.c.state.in_(ENDED), orders.c.number.is_(None), table.c.category != MASKED,
            table.c.first_serial.isnot(None), or_(table.c.serial_out.is_(None), table.c.serial_out > since),
            table.c.host.not_in(standing),
        )
        .order_by(table.c.ended_at.desc())
        .limit(MOST_WITHDRAWN)
    )  # fmt: skip
    newest = await connection.execute(select(func.max(tables.versions.c.serial)).where(tables.versions.c.tenant_id == tenant))
    following = int(newest.scalar_one_or_none() or 0) + 1
    return fitting((key_of_host(row.host), int(row.serial_out or following)) for row in found)


async def _joined(connection: AsyncConnection, tenant: OrganisationId) -> list[str]:
    found = await connection.execute(
        select(gateways.c.id).where(gateways.c.tenant_id == tenant, gateways.c.retired_at.is_(None), gateways.c.public.isnot(None))
    )
    return list(found.scalars())


async def _may_wait(connection: AsyncConnection, tenant: OrganisationId, base: int, serial: int, others: bool) -> bool:
    """Whether what came since `base` can go out in stages: nothing urgent, nothing masked, no return, and not only endings."""
    entries, orders, versions = tables.entries, tables.orders, tables.versions
    came = (entries.c.tenant_id == tenant, entries.c.serial_in > base, entries.c.serial_in <= serial)
    urgent = (
        select(func.count())
        .select_from(entries.outerjoin(orders, orders.c.id == entries.c.order_id))
        .where(*came, or_(entries.c.category == MASKED, orders.c.urgent == 1))
    )
    went = (entries.c.tenant_id == tenant, entries.c.serial_out > base, entries.c.serial_out <= serial)
    returned = select(func.count()).select_from(entries).where(*went, entries.c.return_id.isnot(None))
    added = select(func.coalesce(func.sum(versions.c.added), 0)).where(
        versions.c.tenant_id == tenant, versions.c.serial > base, versions.c.serial <= serial
    )
    if (await connection.execute(urgent)).scalar_one() or (await connection.execute(returned)).scalar_one():
        return False
    return others or (await connection.execute(added)).scalar_one() > 0


def _shifted(one: Rollout, now: datetime) -> Steps:
    """The steps of a release that was held: what had come comes again at once, the rest after as long as it still had to wait."""
    assert one.held_at is not None
    waited, at = int((now - one.held_at).total_seconds()), int(now.timestamp())
    come = [step for step in one.steps if step[0] <= one.held_at.timestamp()]
    later = tuple((when + waited, share) for when, share in one.steps[len(come) :])
    return (*(((at, come[-1][1]),) if come else ()), *later)


def _rollout(row: RowMapping) -> Rollout:
    steps = tuple((int(at), int(share)) for at, share in json.loads(row["steps"]))
    held_by = AccountId(row["held_by"]) if row["held_by"] else None
    cause = cast(Cause, row["cause"])
    return Rollout(row["serial"], row["base"], steps, row["started_at"], row["state"], cause, row["held_at"], held_by)
