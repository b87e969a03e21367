"""What was made stricter since an older state of the database, when that state takes the place of the present one: kept, or named.

Kept is what somebody else decided for a place: what an education department closed (or left to the schools again, by a document), and in
which place a school is, since that decides what is closed in it. Whoever puts a backup back decides about their own settings, not about
the department's; such a row stands alone, so nothing of the older state contradicts it.
Named, and gone, is what the places themselves made stricter: names denied, groups and apps blocked, hours, internet off, an age made
younger, safe search, a wait before opening, a device that went from the adults to a child, and the entries of an office's list. Putting
these beside an older state would be a third state that nobody has seen (a rule of a child that is an adult again, hours twice), and going
back is what the person asked for; but it weakens protection, so it is said how many of each and where. The journal could only count acts,
looser ones among them, since it holds digests; so the two states are compared, row by row, and only numbers and the names of schools and
offices leave here. Where the present database is lost there is nothing to compare, which is said, too. Used by `admin.backup` and
`admin.ended`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from admin.familytables import family_choices
from admin.officetables import school_moves, school_rules
from admin.tables import devices, hours, name_rules, overrides, profiles, switches
from admin.values import CHILD_BANDS, NameEffect, OverrideKind, ProfileKind, SwitchState
from blocklists.database import Database
from blocklists.tables import EVERY_TENANT, OrganisationKind, organisations
from blocklists.takedown.tables import entries

_ALIVE = profiles.c.retired_at.is_(None)
#: What can be gone, in the order in which it is told.
KINDS = ("names", "switches", "hours", "off", "ages", "search", "waits", "devices", "entries")


@dataclass(frozen=True, slots=True)
class Gone:
    """One kind of rule that was made stricter since: how many are gone, in which schools and offices, and in how many families."""

    kind: str
    count: int
    places: tuple[str, ...]
    families: int


async def keep_closures(connection: AsyncConnection, present: Database) -> int:
    """Put into an older state what departments decided since: closures and their end, where schools are, and which still hold to where
    they were. How many closures the older state did not know."""
    async with present.read() as rows:
        listed = select(school_rules).execution_options(**EVERY_TENANT)
        today = [dict(row) for row in (await rows.execute(listed)).mappings()]
        places = select(organisations.c.id, organisations.c.place_code).where(organisations.c.kind == OrganisationKind.SCHOOL.value)
        stand = {row.id: row.place_code for row in await rows.execute(places) if row.place_code}
        moves = [dict(row) for row in (await rows.execute(select(school_moves).execution_options(**EVERY_TENANT))).mappings()]
    there = set((await connection.execute(select(organisations.c.id))).scalars())
    known = set((await connection.execute(select(school_rules.c.id).execution_options(**EVERY_TENANT))).scalars())
    mine = [row for row in today if row["tenant_id"] in there]
    if mine:
        ids = [row["id"] for row in mine]
        await connection.execute(delete(school_rules).where(school_rules.c.id.in_(ids)).execution_options(**EVERY_TENANT))
        await connection.execute(insert(school_rules), mine)
    for school in sorted(stand.keys() & there):
        await connection.execute(update(organisations).where(organisations.c.id == school).values(place_code=stand[school]))
    await connection.execute(delete(school_moves).where(school_moves.c.tenant_id.in_(there)).execution_options(**EVERY_TENANT))
    if held := [row for row in moves if row["tenant_id"] in there]:
        await connection.execute(insert(school_moves), held)
    return sum(row["id"] not in known and row["lifted_at"] is None for row in mine)


async def find_gone(older: AsyncConnection, present: AsyncConnection, now: datetime) -> tuple[Gone, ...]:
    """What the present state has and the older one has not, by kind."""
    known = set((await older.execute(select(profiles.c.id).where(_ALIVE).execution_options(**EVERY_TENANT))).scalars())
    before, today = await _strict(older, now, known), await _strict(present, now, known)
    named = {row.id: (row.kind, row.name) for row in await present.execute(select(organisations))}
    found = []
    for kind in KINDS:
        # A device that the older state does not know is unknown again, and gets the strictest.
        absent = 1 if kind == "devices" else -1
        lost = [tenant for key, (tenant, degree) in today[kind].items() if before[kind].get(key, (tenant, absent))[1] < degree]
        if lost:
            told = {named[one] for one in lost if one in named and named[one][0] != OrganisationKind.FAMILY.value}
            families = {one for one in lost if one in named and named[one][0] == OrganisationKind.FAMILY.value}
            found.append(Gone(kind, len(lost), tuple(sorted({name for _, name in told})), len(families)))
    return tuple(found)


async def _strict(
    connection: AsyncConnection, now: datetime, known: Collection[str]
) -> Mapping[str, Mapping[tuple[Any, ...], tuple[str, int]]]:
    """Every strict setting of one state: by kind, what it is about (random ids and values, nothing is told of them), whose it is, and how
    strict where there are degrees. `known`: the profiles that the older state has. One that it does not have has no weaker rules there: its
    devices are unknown again, and get the strictest."""

    async def read(statement: Any) -> Sequence[Any]:  # Any: a select, and its rows
        return (await connection.execute(statement.execution_options(**EVERY_TENANT))).all()

    people = {row.id: row for row in await read(select(profiles).where(_ALIVE)) if row.id in known}
    denied = await read(select(name_rules).where(name_rules.c.effect == NameEffect.DENY.value))
    closed = await read(select(switches).where(switches.c.state == SwitchState.BLOCK.value))
    off = select(overrides).where(overrides.c.kind == OverrideKind.OFF.value, overrides.c.ended_at.is_(None), overrides.c.ends_at > now)
    waits = await read(select(family_choices).where(family_choices.c.cooling_minutes > 0))
    listed = select(entries.c.id, entries.c.tenant_id).where(entries.c.serial_in.isnot(None), entries.c.serial_out.is_(None))
    ages = [band.value for band in CHILD_BANDS]
    children = [row for row in people.values() if row.band in ages]
    young = (ProfileKind.CHILD.value, ProfileKind.CLASS.value)
    owned = [row for row in await read(select(devices).where(devices.c.retired_at.is_(None))) if row.profile_id in people]
    return {
        "names": {(row.profile_id, row.pattern): (row.tenant_id, 0) for row in denied if row.profile_id in people},
        "switches": {(row.profile_id, row.kind, row.code): (row.tenant_id, 0) for row in closed if row.profile_id in people},
        "hours": {
            (row.profile_id, row.days, row.starts, row.ends, row.effect): (row.tenant_id, 0)
            for row in await read(select(hours))
            if row.profile_id in people
        },
        "off": {(row.id,): (row.tenant_id, 0) for row in await read(off)},
        "ages": {(row.id,): (row.tenant_id, len(ages) - ages.index(row.band)) for row in children},
        "search": {(row.id,): (row.tenant_id, 0) for row in people.values() if row.safe_search},
        "waits": {(row.tenant_id,): (row.tenant_id, row.cooling_minutes) for row in waits},
        "devices": {(row.id,): (row.tenant_id, int(people[row.profile_id].kind in young)) for row in owned},
        "entries": {(row.id,): (row.tenant_id, 0) for row in await read(listed)},
    }
