"""Timed acts of a person: "no internet until…", "open more until…", a single name opened for a while.

Each has an absolute end and survives a restart; the gateway ends it by its own clock, also when this process is dead. The newest act
wins: going offline ends what was opened, opening ends an offline. No act touches what is locked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import Act, Action, record
from admin.errors import FieldMistake, InvalidInput, NotFound
from admin.tables import override_targets, overrides
from admin.tenants import mark_changed
from admin.values import OverrideKind, ProfileId, TargetKind
from blocklists.tables import OrganisationId, new_id

LONGEST = timedelta(hours=24)
MORNING = 6

Target = tuple[TargetKind, str]


@dataclass(frozen=True, slots=True)
class Override:
    """One timed act. `ended_at` is set when a person ended it early."""

    id: str
    profile_id: ProfileId
    kind: OverrideKind
    starts_at: datetime
    ends_at: datetime
    ended_at: datetime | None
    targets: tuple[Target, ...]

    def is_active(self, now: datetime) -> bool:
        """Whether it holds at this moment."""
        return self.starts_at <= now < self.ends_at and self.ended_at is None


async def list_overrides(connection: AsyncConnection, tenant: OrganisationId, now: datetime) -> list[Override]:
    """Every act of a tenant that has not ended, oldest first."""
    statement = select(overrides).where(overrides.c.tenant_id == tenant, overrides.c.ends_at > now, overrides.c.ended_at.is_(None))
    rows = (await connection.execute(statement.order_by(overrides.c.created_at, overrides.c.id))).all()
    targets: dict[str, list[Target]] = {}
    if rows:
        listed = select(override_targets).where(
            override_targets.c.tenant_id == tenant, override_targets.c.override_id.in_([row.id for row in rows])
        )
        for row in await connection.execute(listed.order_by(override_targets.c.kind, override_targets.c.value)):
            targets.setdefault(row.override_id, []).append((TargetKind(row.kind), row.value))
    return [
        Override(
            row.id,
            ProfileId(row.profile_id),
            OverrideKind(row.kind),
            row.starts_at,
            row.ends_at,
            row.ended_at,
            tuple(targets.get(row.id, ())),
        )
        for row in rows
    ]


async def start_override(
    connection: AsyncConnection, act: Act, profile: ProfileId, kind: OverrideKind, ends_at: datetime, targets: Sequence[Target]
) -> str:
    """Begin an act now. Acts of this profile that it contradicts end."""
    contradicted = {
        OverrideKind.OFF: {OverrideKind.OFF, OverrideKind.OPEN},
        OverrideKind.OPEN: {OverrideKind.OFF, OverrideKind.OPEN},
        OverrideKind.EXCEPTION: set[OverrideKind](),
    }[kind]
    for other in await list_overrides(connection, act.tenant, act.now):
        if other.profile_id == profile and other.kind in contradicted:
            await _end(connection, act, other)
    override = new_id()
    await connection.execute(
        insert(overrides).values(
            id=override,
            tenant_id=act.tenant,
            profile_id=profile,
            kind=kind.value,
            starts_at=act.now,
            ends_at=ends_at,
            created_at=act.now,
            created_by=act.by.account_id,
        )
    )
    if targets:
        await connection.execute(
            insert(override_targets),
            [
                {"tenant_id": act.tenant, "override_id": override, "kind": what.value, "value": value}
                for what, value in dict.fromkeys(targets)
            ],
        )
    after = {"profile": profile, "kind": kind.value, "until": ends_at.isoformat(), "targets": [value for _, value in targets]}
    await record(connection, act, Action.OVERRIDE_STARTED, override, after=after)
    await mark_changed(connection, act)
    return override


async def shortens_off(connection: AsyncConnection, tenant: OrganisationId, profile: ProfileId, ends_at: datetime, now: datetime) -> bool:
    """Whether going offline until `ends_at` would give the internet back earlier than an act that runs: that loosens."""
    running = await list_overrides(connection, tenant, now)
    return any(one.profile_id == profile and one.kind is OverrideKind.OFF and one.ends_at > ends_at for one in running)


async def load_override(connection: AsyncConnection, tenant: OrganisationId, override: str, now: datetime) -> Override:
    """One act that has not ended. Raises NotFound."""
    for found in await list_overrides(connection, tenant, now):
        if found.id == override:
            return found
    raise NotFound


async def end_override(connection: AsyncConnection, act: Act, override: Override) -> None:
    """End an act before its time."""
    await _end(connection, act, override)
    await mark_changed(connection, act)


async def _end(connection: AsyncConnection, act: Act, override: Override) -> None:
    await connection.execute(
        update(overrides).where(overrides.c.tenant_id == act.tenant, overrides.c.id == override.id).values(ended_at=act.now)
    )
    await record(connection, act, Action.OVERRIDE_ENDED, override.id, before={"until": override.ends_at.isoformat()})


def read_end(choice: str, clock: str | None, now: datetime, zone: str, *, asks: bool = False) -> datetime:
    """The absolute end of an act: `30m`, `1h`, `90m`, `2h`, `3h`, `morning` (six o'clock), or `clock` with a time of day. With `asks` a
    time that has passed today is asked back (`ends_meant`), and answered by the moment itself, as ISO 8601 has it. Raises InvalidInput."""
    here = now.astimezone(ZoneInfo(zone))
    spans = {"15m": 15, "30m": 30, "1h": 60, "90m": 90, "2h": 120, "3h": 180}
    if choice in spans:
        return now + timedelta(minutes=spans[choice])
    if choice == "morning":
        return _next_clock(here, MORNING, 0)
    if choice == "today":
        return _next_clock(here, 0, 0)
    end = _read_moment(choice)
    if choice == "clock" and clock is not None:
        hour, minute = int(clock[:2]) % 24, int(clock[3:])
        end = _next_clock(here, hour, minute)
        if asks and (hour, minute) != (0, 0) and end.date() > here.date():
            raise InvalidInput(FieldMistake("clock", "clock_passed"))
    if end is None:
        raise InvalidInput(FieldMistake("clock", "clock") if choice == "clock" else FieldMistake("until", "unknown"))
    if not timedelta() < end - now <= LONGEST:
        raise InvalidInput(FieldMistake("clock", "time_far" if end > now else "time_past"))
    return end


def ends_meant(clock: str, now: datetime, zone: str) -> list[datetime]:
    """What a time that has passed today may mean: twelve hours later today (`07:00` said for seven in the evening), or tomorrow."""
    here = now.astimezone(ZoneInfo(zone))
    hour, minute = int(clock[:2]) % 24, int(clock[3:])
    evening = [here.replace(hour=hour + 12, minute=minute, second=0, microsecond=0)] if 1 <= hour < 12 else []
    return [end for end in (*evening, _next_clock(here, hour, minute)) if timedelta() < end - now <= LONGEST]


def _read_moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def _next_clock(here: datetime, hour: int, minute: int) -> datetime:
    """The next moment after `here` at which the clock on the wall shows this time."""
    today = here.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return today if today > here else today + timedelta(days=1)
