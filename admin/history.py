"""A family's history of a child, only if the people concerned agreed: off by default, at most seven days, and nobody reads it unseen.

What leaves the gateway is decided there (`gateway.activity`): registered names below fifteen, categories alone from fifteen on, help and
health never. Here each minute is sealed at once for the child's own box (`admin.historybox`); the family's code opens it, for the parent
and for the child alike. Ending it, or another age, destroys the key and the rows in the same transaction. Refusing changes no protection.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.audit import Act, Action, record
from admin.errors import Conflict, FieldMistake, InvalidInput
from admin.familytables import history_consents, history_keys, history_rows
from admin.historybox import Box, new_box, seal, take_out, unlock
from admin.profiles import Profile
from admin.tenants import mark_changed
from admin.values import ProfileId, ProfileKind
from blocklists.database import Database
from blocklists.tables import EVERY_TENANT, OrganisationId, new_id
from gateway.policy.model import Band

MOST_DAYS = 7
DAYS_OFFERED = (1, 3, 7)
TEXT_VERSION = "2026-11.2"
PURPOSE = "talk about the internet together"
#: From seven the child agrees too; the two youngest bands meet at six, so primary school asks everybody.
_CHILD_AGREES = (Band.TH, Band.CS, Band.PT)
#: How a category stands in the place of a name, as the gateway writes it.
_CATEGORY = "category:"


@dataclass(frozen=True, slots=True)
class Keeping:
    """A history that is being kept."""

    profile_id: ProfileId
    box: Box
    days: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Visited:
    """One name or category of a day: in how many minutes, and between when and when."""

    name: str
    category: str
    minutes: int
    first: datetime
    last: datetime


def child_must_agree(band: Band) -> bool:
    """Whether the child has a say, too."""
    return band in _CHILD_AGREES


def keeps_names(band: Band) -> bool:
    """Below fifteen names, from fifteen on categories and times only."""
    return band in (Band.MN, Band.TH, Band.CS)


async def start_history(
    connection: AsyncConnection, act: Act, profile: Profile, days: int, child_agreed: bool, language: str, box: Box
) -> None:
    """Begin to keep one, as agreed, in a new box (`make_box`). Raises InvalidInput without the agreement."""
    if profile.kind is not ProfileKind.CHILD or not 1 <= days <= MOST_DAYS:
        raise InvalidInput(FieldMistake("days", "unknown"))
    if child_must_agree(profile.band) and not child_agreed:
        raise InvalidInput(FieldMistake("child", "child_agrees"))
    if await find_keeping(connection, act.tenant, profile.id) is not None:
        raise Conflict
    consent = await note_consent(connection, act, profile, days, language, child_agreed=child_agreed)
    await begin_keeping(connection, act, profile, consent, days, box, child_agreed=child_agreed)


async def note_consent(connection: AsyncConnection, act: Act, profile: Profile, days: int, language: str, *, child_agreed: bool) -> str:
    """What a guardian agreed to, in force or waiting for the child's word (`admin.agreeing`); its id."""
    consent = new_id()
    await connection.execute(
        insert(history_consents).values(
            id=consent,
            tenant_id=act.tenant,
            profile_id=profile.id,
            given_by=act.by.account_id,
            purpose=PURPOSE,
            kinds="names" if keeps_names(profile.band) else "categories",
            band=profile.band.value,
            days=days,
            child_agreed=int(child_agreed),
            text_version=TEXT_VERSION,
            language=language,
            given_at=act.now,
        )
    )
    return consent


async def begin_keeping(
    connection: AsyncConnection, act: Act, profile: Profile, consent: str, days: int, box: Box, *, child_agreed: bool
) -> None:
    """From now on one is kept, under a consent that is complete."""
    await connection.execute(
        insert(history_keys).values(
            tenant_id=act.tenant,
            profile_id=profile.id,
            public=box.public,
            locked=box.locked,
            salt=box.salt,
            days=days,
            created_at=act.now,
        )
    )
    after = {"consent": consent, "days": days, "child": child_agreed, "band": profile.band.value}
    await record(connection, act, Action.HISTORY_STARTED, profile.id, after=after, basis=f"consent {consent}")
    await mark_changed(connection, act)


async def stop_history(connection: AsyncConnection, act: Act, profile: ProfileId) -> bool:
    """End it at once: the key is destroyed, the rows go, the gateway is told; what only waits for the child's word is withdrawn. False when
    there was neither."""
    await connection.execute(delete(history_keys).where(history_keys.c.tenant_id == act.tenant, history_keys.c.profile_id == profile))
    await connection.execute(delete(history_rows).where(history_rows.c.tenant_id == act.tenant, history_rows.c.profile_id == profile))
    ended = await connection.execute(
        update(history_consents)
        .where(
            history_consents.c.tenant_id == act.tenant,
            history_consents.c.profile_id == profile,
            history_consents.c.ended_at.is_(None),
        )
        .values(ended_at=act.now)
    )
    if not ended.rowcount:
        return False
    await record(connection, act, Action.HISTORY_ENDED, profile)
    await mark_changed(connection, act)
    return True


async def find_keeping(connection: AsyncConnection, tenant: OrganisationId, profile: ProfileId) -> Keeping | None:
    """What is kept of one child; None when nothing is."""
    return (await list_keepings(connection, tenant)).get(profile)


async def list_keepings(connection: AsyncConnection, tenant: OrganisationId) -> Mapping[ProfileId, Keeping]:
    """Every history that a tenant keeps."""
    rows = (await connection.execute(select(history_keys).where(history_keys.c.tenant_id == tenant))).all()
    return {
        ProfileId(row.profile_id): Keeping(ProfileId(row.profile_id), Box(row.public, row.locked, row.salt), row.days, row.created_at)
        for row in rows
    }


async def store_names(connection: AsyncConnection, batches: Sequence[Mapping[str, Any]]) -> int:
    """Seal what the gateway counted; returns how many seals were made. What belongs to no kept history is dropped unread."""
    found: dict[tuple[str, str, int], list[list[object]]] = {}
    for batch in batches:
        for minute, tenant, profile, name, count in batch.get("names", ()):
            found.setdefault((str(tenant), str(profile), int(minute) // 3600 * 3600), []).append([int(minute), str(name), int(count)])
    if not found:
        return 0
    tenants = sorted({tenant for tenant, _, _ in found})
    rows = (await connection.execute(select(history_keys).where(history_keys.c.tenant_id.in_(tenants)))).all()
    keys = {(row.tenant_id, row.profile_id): row for row in rows}
    seals = []
    for (tenant, profile, hour), visits in sorted(found.items()):
        key = keys.get((tenant, profile))
        if key is None:
            continue
        # A minute that began before the agreement is not the family's to keep.
        visits = [one for one in visits if int(str(one[0])) + 60 > key.created_at.timestamp()]
        if visits:
            content = json.dumps(visits, separators=(",", ":")).encode()
            moment = datetime.fromtimestamp(hour, UTC)
            seals.append({"id": new_id(), "tenant_id": tenant, "profile_id": profile, "hour": moment, "sealed": seal(key.public, content)})
    if seals:
        await connection.execute(insert(history_rows), seals)
    return len(seals)


async def forget_history(connection: AsyncConnection, now: datetime) -> int:
    """Delete what is older than each family agreed to; returns how many seals went."""
    gone = 0
    agreed = (await connection.execute(select(history_keys.c.days).distinct().execution_options(**EVERY_TENANT))).scalars()
    for days in sorted(agreed):
        whose = select(history_keys.c.profile_id).where(history_keys.c.days == days)
        old = delete(history_rows).where(history_rows.c.profile_id.in_(whose), history_rows.c.hour <= now - timedelta(days=days))
        gone += (await connection.execute(old.execution_options(**EVERY_TENANT))).rowcount
    oldest = delete(history_rows).where(history_rows.c.hour <= now - timedelta(days=MOST_DAYS))
    return int(gone + (await connection.execute(oldest.execution_options(**EVERY_TENANT))).rowcount)


async def make_box() -> tuple[Box, str]:
    """A new box for a child, and the code that opens it, told once and never again. Made before a write transaction, since it takes a
    moment."""
    return await asyncio.to_thread(new_box)


async def read_day(database: Database, act: Act, keeping: Keeping, code: str, day: date, zone: str) -> tuple[Visited, ...] | None:
    """One day, opened with the family's code and noted in the journal before it is given; None when the code is not right. No write
    transaction is open while the code is stretched: a child's guesses hold nobody up."""
    private = await asyncio.to_thread(unlock, keeping.box, code)
    if private is None:
        return None
    first = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone))
    kept = max(first, act.now - timedelta(days=keeping.days))
    statement = select(history_rows.c.sealed).where(
        history_rows.c.tenant_id == act.tenant,
        history_rows.c.profile_id == keeping.profile_id,
        history_rows.c.hour > kept - timedelta(hours=1),
        history_rows.c.hour < first + timedelta(days=1),
    )
    async with database.write() as connection:
        seals = [row.sealed for row in await connection.execute(statement.order_by(history_rows.c.hour))]
        await record(connection, act, Action.HISTORY_VIEWED, keeping.profile_id)
    visits = await asyncio.to_thread(_open_all, private, keeping.box.public, seals)
    within = [one for one in visits if first.timestamp() <= one[0] < (first + timedelta(days=1)).timestamp()]
    return _gather(within)


def days_of(keeping: Keeping | None, now: datetime, zone: str) -> list[date]:
    """The days that may be looked at, today first."""
    if keeping is None:
        return []
    today = now.astimezone(ZoneInfo(zone)).date()
    oldest = max(keeping.since, now - timedelta(days=keeping.days)).astimezone(ZoneInfo(zone)).date()
    return [today - timedelta(days=back) for back in range((today - oldest).days + 1)]


def read_day_choice(text: str) -> date | None:
    """A day as the page offered it."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


async def count_seals(connection: AsyncConnection, tenant: OrganisationId, profile: ProfileId) -> int:
    """How many seals are kept of a child: what anybody without the code can know."""
    statement = (
        select(func.count()).select_from(history_rows).where(history_rows.c.tenant_id == tenant, history_rows.c.profile_id == profile)
    )
    return int((await connection.execute(statement)).scalar_one())


def _open_all(private: bytes, public: bytes, seals: Sequence[bytes]) -> list[tuple[int, str, int]]:
    found: list[tuple[int, str, int]] = []
    for sealed in seals:
        content = take_out(private, public, sealed)
        if content is not None:
            found += [(int(minute), str(name), int(count)) for minute, name, count in json.loads(content)]
    return found


def _gather(visits: Sequence[tuple[int, str, int]]) -> tuple[Visited, ...]:
    by_name: dict[str, set[int]] = {}
    for minute, name, _ in visits:
        by_name.setdefault(name, set()).add(minute)
    rows = [
        Visited(
            name="" if name.startswith(_CATEGORY) else name,
            category=name.removeprefix(_CATEGORY) if name.startswith(_CATEGORY) else "",
            minutes=len(minutes),
            first=datetime.fromtimestamp(min(minutes), UTC),
            last=datetime.fromtimestamp(max(minutes), UTC),
        )
        for name, minutes in by_name.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.minutes, row.name, row.category)))
